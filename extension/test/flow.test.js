// How a person gets one code: the state machine of src/flow.ts.

import assert from "node:assert/strict";
import path from "node:path";
import { before, test } from "node:test";
import { pathToFileURL } from "node:url";

const folder = process.env.KEYFOB_EXTENSION;
assert(folder, "KEYFOB_EXTENSION is not set: please run `cargo xtask test`");

/** @type {typeof import("../src/flow.js")} */
let flow;

before(async () => {
  flow = await import(pathToFileURL(path.join(folder, "flow.js")).href);
});

const NOW = 1000;
const code = (value, until = NOW + 20) => ({ value, valid_from: until - 30, valid_until: until });
const LATE = code("000000", NOW);
const asked = { what: "asked" };
const touch = { what: "event", event: { name: "touch-required", prompt: "Touch" } };
const waits = { what: "event", event: { name: "waiting", why: "another program" } };
const gives = (value, until) => ({ what: "code", code: code(value, until) });
const fails = (code) => ({ what: "trouble", trouble: { code, message: code } });
const [unlocked, cancelled, clock] = ["unlocked", "cancelled", "clock"].map((what) => ({ what }));
const listed = (value, until) => ({ what: "listed", code: code(value, until) });

/** The states that the happenings lead through. */
const through = (happenings, now = NOW) => {
  const states = [];
  let at = { state: "idle" };
  for (const each of happenings) {
    at = flow.next(at, each, now);
    states.push(at.state);
  }
  return [states.join(" "), at];
};

for (const [what, happenings, states] of [
  ["a touch", [asked, touch, gives("111111")], "waiting touch done"],
  ["no touch wanted", [asked, gives("111111")], "waiting done"],
  ["something first", [asked, waits, touch, waits, gives("111111")], "waiting waiting touch waiting done"],
  ["no touch came, and again", [asked, touch, fails("touch-timeout"), asked, touch], "waiting touch timed-out waiting touch"],
  ["locked", [asked, fails("locked"), unlocked, touch, gives("111111")], "waiting unlock waiting touch done"],
  ["locked, and given up", [asked, fails("locked"), cancelled, unlocked], "waiting unlock cancelled cancelled"],
  ["given up", [asked, touch, cancelled], "waiting touch cancelled"],
  ["given up; its answers come all the same", [asked, touch, cancelled, gives("111111"), fails("cancelled"), touch],
    "waiting touch cancelled cancelled cancelled cancelled"],
  ["taken back by the host", [asked, touch, fails("cancelled")], "waiting touch cancelled"],
  ["a touch too late", [asked, touch, gives("111111", NOW)], "waiting touch expired"],
  ["the key goes away", [asked, touch, fails("key-removed"), asked], "waiting touch failed waiting"],
  ["asked twice", [asked, asked, touch, asked], "waiting waiting touch touch"],
  ["listed", [listed("111111"), listed("222222")], "done done"],
  ["listed in the middle of a touch", [asked, touch, listed("111111")], "waiting touch touch"],
  ["listed when it is past", [listed("111111", NOW)], "idle"],
  ["answers to nobody", [touch, gives("111111"), fails("busy"), unlocked, cancelled, clock], "idle idle idle idle idle idle"],
  ["a used one, the next of which is asked for in vain", [listed("111111"), asked, waits, cancelled], "done waiting waiting done"],
]) {
  test(what, () => assert.equal(through(happenings)[0], states));
}

test("the states have what is to be shown", () => {
  assert.deepEqual(through([asked, waits])[1], { state: "waiting", before: undefined, why: "another program" });
  assert.deepEqual(through([asked, touch])[1], { state: "touch", before: undefined, prompt: "Touch" });
  assert.deepEqual(through([asked, gives("111111")])[1], { state: "done", code: code("111111") });
  assert.equal(through([asked, fails("busy")])[1].trouble.code, "busy");
});

test("a code is over when its time is", () => {
  const done = { state: "done", code: code("111111", NOW + 1) };
  assert.equal(flow.next(done, clock, NOW + 0.9), done);
  assert.deepEqual(flow.next(done, clock, NOW + 1), { state: "idle" });
  // A counter's has no time.
  const counted = { state: "done", code: { value: "111111" } };
  assert.equal(flow.next(counted, clock, Infinity), counted);
});

test("a code that was there before comes back only while it is right", () => {
  const before = flow.next({ state: "done", code: code("111111") }, asked, NOW);
  assert.deepEqual(flow.next(before, cancelled, NOW), { state: "done", code: code("111111") });
  assert.deepEqual(flow.next(before, cancelled, NOW + 20), { state: "cancelled" });
  // Nor is it brought back by what says that there is none.
  assert.equal(flow.next(before, fails("touch-timeout"), NOW).state, "timed-out");
});

test("nothing that can happen leads out of the table", () => {
  const happenings = [asked, touch, waits, gives("1"), gives("2", NOW), fails("locked"), fails("busy"), fails("touch-timeout"),
    fails("cancelled"), unlocked, cancelled, clock, listed("3"), { what: "listed", code: LATE }];
  const states = new Map([["idle", { state: "idle" }]]);
  for (let before = 0; before < states.size;) {
    before = states.size;
    for (const at of [...states.values()]) {
      for (const each of happenings) {
        const after = flow.next(at, each, NOW);
        states.set(after.state, after);
      }
    }
  }
  assert.deepEqual([...states.keys()].sort(),
    ["cancelled", "done", "expired", "failed", "idle", "timed-out", "touch", "unlock", "waiting"]);
});
