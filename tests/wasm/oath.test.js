// The RFCs' vectors in wasm: the same file and the same conversation as crate/tests/oath_vectors.rs.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

const folder = process.env.KEYFOB_WASM;
assert.ok(folder, "run `cargo xtask test`: it builds the wasm");
const core = await import(pathToFileURL(join(folder, "keyfob_core.js")).href);
core.initSync({ module: readFileSync(join(folder, "keyfob_core_bg.wasm")) });
const vectors = JSON.parse(readFileSync(new URL("../../crate/tests/vectors/oath.json", import.meta.url), "utf8"));

function run(card, exchange) {
  for (let step = exchange.step(); ; step = exchange.step(card.transmit(step.command))) {
    if (!step.command) return step.answer;
  }
}

test("codes are those of the RFCs", () => {
  const card = new core.OathCard(1);
  assert.deepEqual(run(card, core.OathExchange.select()), { version: "5.7.1", locked: false });
  const calculate = (id, hotp, step) => run(card, core.OathExchange.calculate(id, hotp, BigInt(step)));
  run(card, core.OathExchange.put(vectors.hotp.uri, false));
  for (const code of vectors.hotp.codes) assert.equal(calculate(vectors.hotp.id, true, 0), code);
  for (const { uri, id, codes } of vectors.totp) {
    run(card, core.OathExchange.put(uri, false));
    for (const [time, code] of Object.entries(codes)) {
      assert.equal(calculate(id, false, Math.floor(time / 30)), code, `${uri} ${time}`);
    }
  }
  assert.deepEqual(run(card, core.OathExchange.list()), ["rfc4226", "sha1", "sha256", "sha512"]);
});

test("long answers come in blocks, and are joined", () => {
  const card = new core.OathCard(1);
  run(card, core.OathExchange.select());
  for (let i = 0; i < 64; i++) {
    run(card, core.OathExchange.put(`otpauth://totp/${String(i).padStart(60, "x")}?secret=AAAA`, i % 2 === 1));
  }
  const all = run(card, core.OathExchange.calculate_all(1n));
  assert.equal(all.length, 64);
  assert.deepEqual(all.map((entry) => entry.code === null), all.map((_, i) => i % 2 === 1));
});

test("what no applet answers is an error with a code", () => {
  for (const response of [[], [0x90], [0x61, 0xff], [0x72, 0x90, 0x00], [0x69, 0x82]]) {
    const exchange = core.OathExchange.list();
    exchange.step();
    assert.throws(() => exchange.step(Uint8Array.from(response)), { code: "bad-answer" });
  }
  assert.throws(() => core.OathExchange.put("otpauth://totp/x", false), { code: "invalid-input" });
});
