// The wasm that makes links, loaded once somebody makes one.

import init from "./keyfob_links.js";

export * from "./keyfob_links.js";

/** Once this has resolved, the functions of the wasm can be called. */
export const ready = () => (loading ??= init({ module_or_path: chrome.runtime.getURL("keyfob_links_bg.wasm") }));
let loading: Promise<unknown> | undefined;
