// When the next code is waited for, and when one is past: arithmetic of src/step.ts.

import assert from "node:assert/strict";
import path from "node:path";
import { before, test } from "node:test";
import { pathToFileURL } from "node:url";

const folder = process.env.KEYFOB_EXTENSION;
assert(folder, "KEYFOB_EXTENSION is not set: please run `cargo xtask test`");

/** @type {typeof import("../src/step.js")} */
let step;

before(async () => {
  step = await import(pathToFileURL(path.join(folder, "step.js")).href);
});

const close = (actual, expected, what) => assert(Math.abs(actual - expected) < 1e-6, `${what}: ${actual}, not ${expected}`);

test("a code that costs nothing is not used in its last seconds", () => {
  const check = (touch, valid_until, expected) =>
    close(step.delayForNext({ touch }, { value: "123456", valid_until }, 1000), expected, JSON.stringify([touch, valid_until]));
  check(false, 1003, 0);
  check(false, 1002, 2.1);
  check(undefined, 1002, 2.1);
  check(false, 990, 0.1);
  check(true, 1002, 0);
  check(false, undefined, 0);
});

test("codes run out", () => {
  const check = (valid_until, now, expected) => assert.equal(step.hasRunOut({ value: "123456", valid_until }, now), expected);
  check(1000, 999.9, false);
  check(1000, 1000, true);
  check(1000, 1020, true);
  check(undefined, 1e12, false);
});
