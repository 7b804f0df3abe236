// Pages that show QR codes, in every way that pages do it.

import { readFileSync } from "node:fs";
import path from "node:path";
import { deflateSync } from "node:zlib";

import { tool } from "../../tests/browser/harness.js";

const folder = tool("KEYFOB_EXTENSION");
const qr = await import(path.join(folder, "keyfob_qr.js"));
qr.initSync({ module: readFileSync(path.join(folder, "keyfob_qr_bg.wasm")) });

/** `{ size, modules }` of a code, with its margin. */
function drawing(text) {
  const { size, modules } = qr.draw_qr(text);
  const side = size + 8;
  const wide = new Uint8Array(side * side);
  for (let y = 0; y < size; y++) wide.set(modules.subarray(y * size, (y + 1) * size), (y + 4) * side + 4);
  return { size: side, modules: wide };
}

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

/** A PNG in greys (RFC 2083) with `scale` pixels to a module. */
export function png(text, scale = 4) {
  const { size, modules } = drawing(text);
  const side = size * scale;
  const rows = Buffer.alloc((side + 1) * side);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      rows[y * (side + 1) + 1 + x] = modules[Math.floor(y / scale) * size + Math.floor(x / scale)] ? 0 : 255;
    }
  }
  const chunk = (name, data) => {
    const body = Buffer.concat([Buffer.from(name), data]);
    const [head, tail] = [Buffer.alloc(4), Buffer.alloc(4)];
    head.writeUInt32BE(data.length);
    tail.writeInt32BE(~body.reduce((crc, byte) => CRC[(crc ^ byte) & 255] ^ (crc >>> 8), -1));
    return Buffer.concat([head, body, tail]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  header[8] = 8;
  return Buffer.concat([
    Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(rows)),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

const dataUrl = (text) => `data:image/png;base64,${png(text).toString("base64")}`;

/** HTML that shows a code; `background` is the element's, `colours` dark and light. */
export const SHOWN = {
  img: (text) => `<img src="${dataUrl(text)}">`,
  canvas: (text) => {
    const { size, modules } = drawing(text);
    return `<canvas id="code" width="${size * 4}" height="${size * 4}"></canvas><script>
      const context = document.getElementById("code").getContext("2d");
      context.fillStyle = "#fff"; context.fillRect(0, 0, ${size * 4}, ${size * 4}); context.fillStyle = "#123";
      ${JSON.stringify([...modules])}.forEach((dark, i) => dark && context.fillRect(i % ${size} * 4, Math.floor(i / ${size}) * 4, 4, 4));
    </script>`;
  },
  svg: (text, attributes = `style="background:#fff;color:#000" fill="currentColor"`) => {
    const { size, modules } = drawing(text);
    const path = [...modules].map((dark, i) => (dark ? `M${i % size} ${Math.floor(i / size)}h1v1h-1z` : "")).join("");
    return `<svg width="220" viewBox="0 0 ${size} ${size}" shape-rendering="crispEdges" ${attributes}><path d="${path}"/></svg>`;
  },
  styledSvg: (text) =>
    `<style>.dark path { fill: #eee }</style><div style="background:#111;padding:20px">${SHOWN.svg(text, 'class="dark"')}</div>`,
  background: (text) => `<div style="width:220px;height:220px;background:url('${dataUrl(text)}') center/contain no-repeat"></div>`,
  shadow: (text) => `<div id="host"></div><script>
    document.getElementById("host").attachShadow({ mode: "closed" }).innerHTML = ${JSON.stringify(SHOWN.img(text))};
  </script>`,
  table: (text) => {
    const { size, modules } = drawing(text);
    const cell = (dark) => `<i style="width:4px;height:4px;background:${dark ? "#000" : "#fff"}"></i>`;
    return `<div style="display:grid;width:max-content;grid-template-columns:repeat(${size},4px)">${[...modules].map(cell).join("")}</div>`;
  },
  frame: (text) => `<iframe width="320" height="320" srcdoc='${SHOWN.img(text)}'></iframe>`,
};

/** A whole page. */
export const page = (body) => ({
  type: "text/html; charset=utf-8",
  body: `<!doctype html><meta charset="utf-8"><title>Set up</title><body style="font:16px sans-serif"><h1>Set up an app</h1>${body}`,
});
