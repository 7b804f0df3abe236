// Saving an account to keys, step by step, with a host that is a function.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

import { tool } from "../../tests/browser/harness.js";

const event = { addListener() {} };
globalThis.chrome = {
  runtime: { getManifest: () => ({}), getURL: (name) => name },
  i18n: { getMessage: (key) => key },
  storage: { onChanged: event },
};
const module = (name) => import(pathToFileURL(path.join(tool("KEYFOB_EXTENSION"), name)).href);
const { keyChoices, part, save, takenOn } = await module("save.js");
const { TroubleError } = await module("trouble.js");
const { areOurs } = await module("enrolment.js");
const { initSync } = await module("keyfob_qr.js");
initSync({ module: readFileSync(path.join(tool("KEYFOB_EXTENSION"), "keyfob_qr_bg.wasm")) });

const NAME = "Amazon Web Services:alice@123456789012";
const SETUP = { uri: "otpauth://totp/x?secret=AAAA", name: NAME, account: "alice", aws: { device: "alice", flow: "iam" } };
const CODES = ["111111", "222222", "333333"].map((value) => ({ value }));

const fails = (code) => {
  throw new TroubleError({ code, message: code });
};

/** As keys keep names: shortened. */
const kept = (name) => (name.length > 64 ? `${name.slice(0, 55)}~12345678` : name);

/**
 * Keys by id, each with the accounts on it: name to URI. What `failing` gives for an operation and a key, by how often it was
 * asked before, is thrown instead of, or after, it is done.
 */
class Keys {
  asked = [];
  failing = () => undefined;

  constructor(keys) {
    this.keys = new Map(Object.entries(keys));
  }

  ask = async (op, { key, onEvent }) => {
    const before = this.asked.filter((each) => each.key === key && each.op.name === op.name).length;
    this.asked.push({ op, key });
    const failure = this.failing(op.name, key, before);
    if (failure?.before) fails(failure.before);
    const on = this.keys.get(key);
    const answer = (() => {
      switch (op.name) {
        case "keys":
          return { name: "keys", keys: [...this.keys.keys()].map((id) => ({ id, kind: id.startsWith("soft:") ? "software" : "smart-card" })) };
        case "accounts":
          if (!on) return fails("no-key");
          return { name: "accounts", key: { id: key }, accounts: Object.keys(on).map((name) => ({ name })) };
        case "add-account":
          if (kept(op.account) in on) fails("exists");
          assert.equal(op.overwrite, false);
          on[kept(op.account)] = op.uri;
          return { name: "written", written: kept(op.account), replaced: false };
        case "confirm-account":
          if (!(op.account in on)) fails("not-found");
          onEvent({ name: "touch-required", prompt: "Touch for this" });
          if (on[op.account] !== op.uri) fails("bad-answer");
          return { name: "confirmed", codes: CODES };
      }
    })();
    if (failure?.after) fails(failure.after);
    return answer;
  };

  names = (name) => this.asked.filter(({ op }) => op.name === name).map(({ op, key }) => `${key} ${op.account}`);
}

const freeName = (name, taken) => {
  for (let n = 2, free = name; ; n++) {
    if (!taken.some((each) => each === free || each === kept(free))) return free;
    free = name.replace("alice", `alice-${n}`);
  }
};
const options = (keys, more) => ({ ask: keys.ask, freeName, touch: true, taken: [], ...more });
const short = (parts) => parts.map(({ key, name, state, added, trouble }) => [key, name, state, added, trouble?.code]);

test("the keys that are there: the chosen one is proposed, else a card; a locked one says so", async () => {
  const keys = new Keys({ "soft:test": {}, 1: { a: "", b: "" }, 2: { b: "", c: "" } });
  keys.failing = (op, key) => (op === "accounts" && key === "2" ? { before: "locked" } : undefined);
  const proposed = (choices) => choices.filter((each) => each.proposed).map(({ key }) => key.id);
  assert.deepEqual(proposed(await keyChoices(keys.ask)), ["1"]);
  const choices = await keyChoices(keys.ask, "soft:test");
  assert.deepEqual(proposed(choices), ["soft:test"]);
  assert.deepEqual(choices.map(({ trouble }) => trouble?.code).sort(), ["locked", undefined, undefined]);
  assert.deepEqual(takenOn(choices), ["a", "b"]);
  await assert.rejects(keyChoices(new Keys({}).ask), ({ trouble }) => trouble.code === "no-key");
});

test("on several keys: added, then confirmed, one after the other, and every step is told", async () => {
  const keys = new Keys({ 1: {}, 2: {} });
  const steps = [];
  const onChange = ({ key, state, waits, added }) => steps.push(`${key} ${state}${waits ? " touch" : ""} ${added}`);
  const parts = await save(SETUP, [part("1", NAME), part("2", NAME)], options(keys, { onChange }));
  assert.deepEqual(short(parts), [["1", NAME, "done", "yes", undefined], ["2", NAME, "done", "yes", undefined]]);
  assert.deepEqual(parts[0].codes, CODES);
  const of = (key) => ["adding no", "adding yes", "confirming yes", "confirming touch yes", "done yes"].map((step) => `${key} ${step}`);
  assert.deepEqual(steps, [...of(1), ...of(2)]);
});

test("a name that the browser did not know of is not overwritten, and the next key gets the new one too", async () => {
  const keys = new Keys({ 1: { [NAME]: "another" }, 2: {} });
  const parts = await save(SETUP, [part("1", NAME), part("2", NAME)], options(keys));
  const second = NAME.replace("alice", "alice-2");
  assert.deepEqual(short(parts), [["1", second, "done", "yes", undefined], ["2", second, "done", "yes", undefined]]);
  assert.equal(keys.keys.get("1")[NAME], "another");
  assert.deepEqual(Object.keys(keys.keys.get("2")), [second]);
});

test("when every name is taken there is an end", async () => {
  const keys = new Keys({ 1: {} });
  keys.failing = (op) => (op === "add-account" ? { before: "exists" } : undefined);
  const parts = await save(SETUP, [part("1", NAME)], options(keys));
  assert.deepEqual([parts[0].state, parts[0].added, parts[0].trouble.code], ["failed", "no", "exists"]);
  assert.equal(keys.names("add-account").length, 8);
});

test("a touch that did not come: the account is there, and only the touch is asked for again; other keys go on", async () => {
  const keys = new Keys({ 1: {}, 2: {} });
  keys.failing = (op, key, before) => (op === "confirm-account" && key === "1" && before === 0 ? { before: "touch-timeout" } : undefined);
  const parts = await save(SETUP, [part("1", NAME), part("2", NAME)], options(keys));
  assert.deepEqual(short(parts), [["1", NAME, "failed", "yes", "touch-timeout"], ["2", NAME, "done", "yes", undefined]]);
  // As a page keeps it for the next background.
  const again = await save(SETUP, JSON.parse(JSON.stringify(parts)), options(keys));
  assert.deepEqual(short(again), [["1", NAME, "done", "yes", undefined], ["2", NAME, "done", "yes", undefined]]);
  assert.deepEqual(keys.names("add-account"), [`1 ${NAME}`, `2 ${NAME}`]);
  assert.equal(again[0].trouble, undefined);
});

test("an answer that was lost: what is there is looked at before anything is written", async () => {
  for (const when of ["before", "after"]) {
    const keys = new Keys({ 1: {} });
    keys.failing = (op, _, before) => (op === "add-account" && before === 0 ? { [when]: "host-crashed" } : undefined);
    const parts = await save(SETUP, [part("1", NAME)], options(keys));
    assert.deepEqual(short(parts), [["1", NAME, "failed", "perhaps", "host-crashed"]]);
    const again = await save(SETUP, parts, options(keys));
    assert.deepEqual(short(again), [["1", NAME, "done", "yes", undefined]], when);
    assert.deepEqual(Object.keys(keys.keys.get("1")), [NAME], "once");
  }
});

test("stopped at any step: the next run, from what was told until then, saves it once", async () => {
  for (const name of [NAME, NAME.replace("alice", "alice".repeat(12))]) {
    for (let stopAt = 0; stopAt < 8; stopAt++) {
      const keys = new Keys({ 1: {}, 2: {} });
      let parts = [part("1", name), part("2", name)];
      let steps = 0;
      const onChange = (now) => {
        if (steps++ < stopAt) parts = parts.map((each) => (each.key === now.key ? now : each));
      };
      const setup = { ...SETUP, name };
      const whole = await save(setup, parts, options(keys, { onChange }));
      if (steps <= stopAt) break;
      // What a page does once it has asked: anything may have begun.
      parts = parts.map((each) => (each.state === "ready" ? { ...each, state: "adding" } : each));
      const again = await save(setup, JSON.parse(JSON.stringify(parts)), options(keys));
      assert.deepEqual(short(again), short(whole), `${name} after ${stopAt}`);
      assert.deepEqual(again.map(({ written }) => written), whole.map(({ written }) => written));
      for (const on of keys.keys.values()) assert.deepEqual(Object.keys(on), [kept(name)], `once, after ${stopAt}`);
    }
  }
});

test("a name that the key shortens is not another one", async () => {
  const name = NAME.replace("alice", "alice".repeat(12));
  const keys = new Keys({ 1: {} });
  const [done] = await save({ ...SETUP, name }, [part("1", name)], options(keys));
  assert.deepEqual([done.name, done.written, done.state], [name, kept(name), "done"]);
  const [again] = await save({ ...SETUP, name }, [{ ...done, state: "failed" }], options(keys));
  assert.equal(again.state, "done", "it is confirmed by the name that the key keeps");
});

test("what a page says that is to be saved has the name of what it sets up", () => {
  const long = NAME.replace("alice", "alice".repeat(12));
  const check = (expected, setup, ...names) =>
    assert.equal(areOurs(names.map((name, i) => part(`${i}`, name)), { name: setup }), expected, names.join());
  check(true, NAME, NAME);
  check(true, NAME, NAME, NAME.replace("alice", "alice-2"));
  check(true, NAME, NAME.replace("alice", "alice-17"));
  check(true, long, long.replace("@", "-2@"));
  check(true, "AWS SSO:bob", "AWS SSO:bob-2");
  check(false, NAME, "GitHub:me");
  check(false, NAME, NAME, "GitHub:me");
  check(false, NAME, NAME.replace("alice", "mallory"));
  check(false, NAME, NAME.replace("123456789012", "666666666666"));
  check(false, NAME, NAME.replace("alice", "alice-99999"));
  check(false, NAME, undefined);
  check(false, NAME, ...Array(17).fill(NAME));
  assert.equal(areOurs([part("1", NAME), part("1", NAME)], { name: NAME }), false, "each key once");
  assert.equal(areOurs(undefined, { name: NAME }), false);
});

test("an answer that was lost, and another account of that name since: it is left alone", async () => {
  const keys = new Keys({ 1: {} });
  keys.failing = (op, _, before) => (op === "add-account" && before === 0 ? { before: "key-removed" } : undefined);
  const parts = await save(SETUP, [part("1", NAME)], options(keys));
  keys.keys.get("1")[NAME] = "another";
  const again = await save(SETUP, parts, options(keys));
  assert.deepEqual(short(again), [["1", NAME.replace("alice", "alice-2"), "done", "yes", undefined]]);
  assert.equal(keys.keys.get("1")[NAME], "another");
});

test("what the host refuses for sure is not taken for perhaps done", async () => {
  for (const code of ["no-space", "unsupported", "locked", "forbidden"]) {
    const keys = new Keys({ 1: {} });
    keys.failing = (op) => (op === "add-account" ? { before: code } : undefined);
    const parts = await save(SETUP, [part("1", NAME)], options(keys));
    assert.deepEqual(short(parts), [["1", NAME, "failed", "no", code]]);
  }
});

test("another code than the secret's is never done", async () => {
  const keys = new Keys({ 1: {} });
  keys.failing = (op) => (op === "confirm-account" ? { before: "bad-answer" } : undefined);
  const [{ state, codes, added }] = await save(SETUP, [part("1", NAME)], options(keys));
  assert.deepEqual([state, codes, added], ["failed", undefined, "yes"]);
});

test("an account that browsers are told nothing of is saved, and cannot be checked; one of AWS's is not done so", async () => {
  const hidden = (op) => (op === "confirm-account" ? { before: "not-found" } : undefined);
  const other = { ...SETUP, name: "GitHub:carol", aws: undefined };
  const keys = new Keys({ 1: {} });
  keys.failing = hidden;
  const [done] = await save(other, [part("1", other.name)], options(keys));
  assert.deepEqual([done.state, done.codes], ["done", undefined]);
  const [failed] = await save(SETUP, [part("1", NAME)], options(keys));
  assert.equal(failed.state, "failed");
});

test("nonsense from the host is a failure, and so is whatever else is thrown", async () => {
  const nonsense = async () => ({ name: "hello" });
  const [one] = await save(SETUP, [part("1", NAME)], options({ ask: nonsense }));
  assert.deepEqual([one.state, one.added, one.trouble.code], ["failed", "perhaps", "bad-answer"]);
  const broken = async () => null.name;
  const [two] = await save(SETUP, [part("1", NAME)], options({ ask: broken }));
  assert.deepEqual([two.state, two.added, two.trouble.code], ["failed", "perhaps", "internal"]);
});
