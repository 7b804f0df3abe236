// One picture's QR codes: the worker that the reader runs in. Whoever started it ends it.

import { read_qr, ready } from "./qr.js";

self.onmessage = async ({ data }: MessageEvent<{ luma: Uint8Array; width: number }>) => {
  let texts: string[] = [];
  try {
    await ready();
    texts = read_qr(data.luma, data.width);
  } catch {
    // It trapped: the picture has nothing for us.
  }
  self.postMessage(texts);
};
