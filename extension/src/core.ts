// The wasm, loaded once where it is first needed.

import init from "./keyfob_core.js";

export * from "./keyfob_core.js";

/** Once this has resolved, the functions of the wasm can be called. */
export const ready = () => (loading ??= init({ module_or_path: chrome.runtime.getURL("keyfob_core_bg.wasm") }));
let loading: Promise<unknown> | undefined;
