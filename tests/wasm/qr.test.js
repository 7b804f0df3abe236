// QR codes in wasm, as the extension calls it: what is drawn is read, what is read sets up an account, and hostile input ends.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

const folder = process.env.KEYFOB_EXTENSION;
assert.ok(folder, "run `cargo xtask test`: it builds the wasm");
const qr = await import(pathToFileURL(join(folder, "keyfob_qr.js")).href);
qr.initSync({ module: readFileSync(join(folder, "keyfob_qr_bg.wasm")) });

const SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
const NAME = "Amazon Web Services:alice@123456789012";
const URI = `otpauth://totp/${encodeURIComponent(NAME)}?secret=${SECRET}&issuer=Amazon%20Web%20Services`;

/** A picture of a code: `scale` pixels to a module, of these shades. */
function show(text, scale = 3, dark = 0, light = 255) {
  const { size, modules } = qr.draw_qr(text);
  const width = (size + 8) * scale;
  const luma = new Uint8Array(width * width).fill(light);
  for (let y = 0; y < size * scale; y++) {
    for (let x = 0; x < size * scale; x++) {
      if (modules[Math.floor(y / scale) * size + Math.floor(x / scale)]) luma[(y + 4 * scale) * width + x + 4 * scale] = dark;
    }
  }
  return [luma, width];
}

test("what is drawn is read", () => {
  for (const text of [URI, "x", "äöü 漢字", `https://b.s3.eu-west-1.amazonaws.com/k?X-Amz-Signature=${"0123456789abcdef".repeat(80)}`]) {
    for (const [scale, dark, light] of [[1, 0, 255], [3, 0, 255], [4, 255, 0], [5, 200, 30], [3, 100, 160]]) {
      assert.deepEqual(qr.read_qr(...show(text, scale, dark, light)), [text]);
    }
  }
  const { size, modules } = qr.draw_qr("x");
  assert.deepEqual([size, modules.length, [...new Set(modules)].sort()], [21, 441, [0, 1]]);
  assert.throws(() => qr.draw_qr("x".repeat(3000)), { code: "too-long" });
});

test("what is no picture has no codes", () => {
  for (const [luma, width] of [[[], 0], [[], 7], [[1, 2, 3], 2], [[1], 0], [[1], 1], [new Array(1000).fill(9), 10], [[1, 2], 2 ** 31]]) {
    assert.deepEqual(qr.read_qr(Uint8Array.from(luma), width), []);
  }
});

test("what a code sets up", () => {
  assert.deepEqual(qr.read_setup(URI), {
    uri: `otpauth://totp/Amazon%20Web%20Services:alice%40123456789012?secret=${SECRET}&issuer=Amazon%20Web%20Services&algorithm=SHA1&digits=6&period=30`,
    name: NAME,
    issuer: "Amazon Web Services",
    account: "alice@123456789012",
    kind: "totp",
    digits: 6,
    period: 30,
    algorithm: "SHA1",
    aws: { account: "123456789012", device: "alice", flow: "iam" },
  });
  const typed = qr.read_setup("jbsw y3dp ehpk 3pxp", { account: "me" });
  assert.deepEqual([typed.name, "issuer" in typed, "aws" in typed], ["me", false, false]);
  for (const [text, code] of [
    ["https://example.org/", "not-otpauth"],
    [SECRET, "no-account"],
    ["otpauth-migration://offline?data=x", "migration"],
    [URI.replace("totp", "hotp"), "hotp"],
    [URI.replace(SECRET, "1"), "invalid"],
    [URI.replace("alice", "a%E2%80%AEb"), "invalid"],
  ]) {
    assert.throws(() => qr.read_setup(text), (error) => error.code === code && !error.message.includes("JBSW"));
  }
});

test("a free name is that of the same login", () => {
  assert.equal(qr.names_for(NAME, []), NAME);
  assert.equal(qr.names_for(NAME, [NAME]), NAME.replace("alice", "alice-2"));
  assert.equal(qr.names_for(NAME, [NAME, NAME.replace("alice", "alice-2")]), NAME.replace("alice", "alice-3"));
});
