// Chromium's offscreen document: starts the workers that its background cannot start.

import type { ReadAsk, ReadTell } from "./internal.js";
import { readInWorker } from "./scan.js";

chrome.runtime.onMessage.addListener((message: ReadAsk, { id, tab }, respond: (tell: ReadTell) => void) => {
  // From the background, which is no tab.
  if (id !== chrome.runtime.id || tab || message.ask !== "read-qr") return false;
  readInWorker(message.picture).then((texts) => respond({ texts }), () => respond({ texts: [] }));
  return true;
});
