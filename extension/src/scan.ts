// Reading the QR codes of a picture, in a worker that ends with it: the reader may trap, and may take for ever, over a picture
// that was made for that. For the popup, the offscreen document and the background.

import type { Picture, ReadAsk, ReadTell } from "./internal.js";

/** More pixels no picture has: whoever takes them makes them fewer. */
const MAX_PIXELS = 16 << 20;

/** How long, in ms, codes are looked for. Pictures of real codes take a hundredth of it. */
const TIME = 5_000;

/** The texts of the QR codes in a picture; none if it has none that can be read. Throws nothing. */
export async function readQr(picture: Picture): Promise<string[]> {
  try {
    return await (typeof Worker === "undefined" ? readOffscreen(picture) : readInWorker(picture));
  } catch {
    return [];
  }
}

/** What pages say of a picture is looked at. */
function pixelsOf({ width, height, luma }: Picture): Uint8Array<ArrayBuffer> | undefined {
  const fits =
    Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0 && width * height <= MAX_PIXELS &&
    typeof luma === "string" && luma.length <= Math.ceil(MAX_PIXELS / 3) * 4;
  if (!fits) return undefined;
  const bytes = atob(luma);
  return bytes.length === width * height ? Uint8Array.from(bytes, (byte) => byte.charCodeAt(0)) : undefined;
}

/** As `readQr`, where there are workers. */
export function readInWorker(picture: Picture): Promise<string[]> {
  const luma = pixelsOf(picture);
  if (!luma) return Promise.resolve([]);
  return new Promise((resolve) => {
    const worker = new Worker(chrome.runtime.getURL("qr_worker.js"), { type: "module" });
    const end = (texts: string[]) => {
      clearTimeout(timer);
      worker.terminate();
      resolve(texts);
    };
    const timer = setTimeout(() => end([]), TIME);
    worker.onmessage = ({ data }: MessageEvent<string[]>) => end(data);
    // It trapped.
    worker.onerror = (event) => {
      event.preventDefault();
      end([]);
    };
    worker.postMessage({ luma, width: picture.width }, [luma.buffer]);
  });
}

// ---- Chromium's background has no workers: a document that is not seen has

/** How many pictures are being read there. */
let reading = 0;
/** Opening and closing take turns. */
let turn: Promise<unknown> = Promise.resolve();
const inTurn = (then: () => Promise<unknown>): Promise<unknown> => (turn = turn.catch(() => undefined).then(then));

async function readOffscreen(picture: Picture): Promise<string[]> {
  // Firefox has no such interface, and its linter finds it where it is called by its whole name.
  const { offscreen } = chrome;
  reading++;
  try {
    await inTurn(async () => {
      // A background that was ended may have left one.
      if (await offscreen.hasDocument()) return;
      await offscreen.createDocument({
        url: "offscreen.html",
        reasons: ["WORKERS" as chrome.offscreen.Reason],
        justification: "Reads the QR code of a page that sets up an authenticator app, in a worker that can be ended.",
      });
    });
    const { texts } = await chrome.runtime.sendMessage<ReadAsk, ReadTell>({ ask: "read-qr", picture });
    return texts;
  } finally {
    reading--;
    await inTurn(async () => {
      if (reading === 0) await offscreen.closeDocument();
    }).catch(() => undefined); // It has gone.
  }
}
