// SigV4's published vectors in wasm: the same files as crate/tests/sigv4_vectors.rs, stage by stage.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

const folder = process.env.KEYFOB_WASM;
assert.ok(folder, "run `cargo xtask test`: it builds the wasm");
const core = await import(pathToFileURL(join(folder, "keyfob_core.js")).href);
core.initSync({ module: readFileSync(join(folder, "keyfob_core_bg.wasm")) });

function vectors(name) {
  return JSON.parse(readFileSync(new URL(`../../crate/tests/vectors/${name}.json`, import.meta.url), "utf8")).vectors;
}

function presigner(vector, region = vector.region) {
  const made = new core.Presigner(
    vector.access_key_id,
    vector.secret_access_key,
    region,
    vector.endpoint ?? undefined,
    vector.session_token ?? undefined,
  );
  return vector.path_style ? made.path_style() : made;
}

test("every stage is as published", () => {
  const all = vectors("sigv4");
  assert.ok(all.length > 70);
  for (const vector of all) {
    const request = {
      ...vector,
      payloadHash: vector.payload_hash,
      twice: vector.path_encoding === "twice",
      normalized: vector.path_normalization === "enabled",
    };
    const stages = core.Presigner.stages(request, vector.secret_access_key ?? "");
    assert.equal(stages.canonicalRequest, vector.canonical_request, `${vector.name}: canonical request`);
    assert.equal(stages.stringToSign, vector.string_to_sign, `${vector.name}: string to sign`);
    if (vector.signature) assert.equal(stages.signature, vector.signature, `${vector.name}: signature`);
  }
});

test("links are as botocore makes them", () => {
  const all = vectors("presign");
  assert.ok(all.length > 25);
  for (const vector of all) {
    const request = { ...vector, versionId: vector.version_id ?? undefined };
    assert.equal(presigner(vector).presign_request(request), vector.url, vector.name);
  }
});

test("a presigner changes its key with the day, and only then", () => {
  const [plain] = vectors("presign");
  const one = presigner(plain);
  const link = (time) => one.presign(plain.method, plain.bucket, plain.key, time, plain.expires);
  for (const time of [plain.time, plain.time + 86_400, plain.time + 86_399, plain.time]) {
    const fresh = presigner(plain).presign(plain.method, plain.bucket, plain.key, time, plain.expires);
    assert.equal(link(time), fresh);
  }
  assert.equal(link(plain.time), plain.url);
});

test("what cannot be signed is an error with a code, and spoils nothing", () => {
  const [plain] = vectors("presign");
  const one = presigner(plain);
  for (const [key, expires] of [["", 1], ["k".repeat(1025), 1], ["k", 0], ["k", 604_801]]) {
    assert.throws(() => one.presign("GET", plain.bucket, key, plain.time, expires), { code: "invalid-input" });
  }
  for (const time of [-1, NaN, 1e300, 1_369_353_600_000]) {
    assert.throws(() => one.presign("GET", plain.bucket, "k", time, 1), { code: "invalid-input" });
  }
  assert.throws(() => one.presign_request({ ...plain, query: [["a"]] }), { code: "bad-request" });
  assert.throws(() => presigner(plain, "us-east-1/evil"), { code: "invalid-input" });
  assert.equal(one.presign(plain.method, plain.bucket, plain.key, plain.time, plain.expires), plain.url);
});
