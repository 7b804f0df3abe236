// The wasm that reads and draws QR codes and otpauth URIs: loaded only where one is needed. Pictures of pages are read in a
// worker, by `readQr` of scan.ts.

import init from "./keyfob_qr.js";

export * from "./keyfob_qr.js";

/** Once this has resolved, the functions of the wasm can be called. */
export const ready = () => init({ module_or_path: new URL("keyfob_qr_bg.wasm", import.meta.url).href });
