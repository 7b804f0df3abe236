// The port to the host, without a browser: hosts that are absent, slow, end, answer nonsense or too much. What browsers say where
// a host cannot be started is theirs, word for word.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { beforeEach, describe, mock, test } from "node:test";
import { pathToFileURL } from "node:url";

import { tool } from "../../tests/browser/harness.js";

const texts = JSON.parse(readFileSync(path.join(import.meta.dirname, "../static/_locales/en/messages.json"), "utf8"));

// A host that is idle is left after five minutes: no test waits for that.
const { setTimeout } = globalThis;
globalThis.setTimeout = (...args) => setTimeout(...args).unref();

/** What there is of an event's listeners, and how to call them. */
const event = () => {
  const listeners = [];
  return { addListener: (each) => listeners.push(each), emit: (...args) => listeners.forEach((each) => each(...args)) };
};

/** The ports that were opened, each with what was posted; `answer` is given every message that is posted. */
let ports, answer;

class FakePort {
  onMessage = event();
  onDisconnect = event();
  posted = [];
  error = undefined;
  postMessage(message) {
    if (this.closed) throw new Error("Attempting to use a disconnected port object");
    this.posted.push(message);
    queueMicrotask(() => answer(message, this));
  }
  reply(id, answer) {
    this.onMessage.emit({ type: "done", id, answer });
  }
  fail(id, error) {
    this.onMessage.emit({ type: "failed", id, error });
  }
  event(id, event) {
    this.onMessage.emit({ type: "event", id, event });
  }
  disconnect() {
    this.closed = true;
  }
  /** The host goes away; the browser says why. */
  end(reason) {
    this.closed = true;
    chrome.runtime.lastError = reason === undefined ? undefined : { message: reason };
    this.onDisconnect.emit(this);
    chrome.runtime.lastError = undefined;
  }
}

globalThis.chrome = {
  runtime: {
    getManifest: () => ({}),
    connectNative: () => {
      const port = new FakePort();
      ports.push(port);
      return port;
    },
  },
  i18n: {
    getMessage: (name, args = []) => {
      const { message, placeholders = {} } = texts[name] ?? { message: "" };
      return message.replace(/\$(\w+)\$/g, (_, each) => args[Number(placeholders[each.toLowerCase()].content[1]) - 1] ?? "");
    },
  },
};

const module = (name) => import(pathToFileURL(path.join(tool("KEYFOB_EXTENSION"), name)));
const { Host } = await module("host.js");
const { explain, TroubleError } = await module("trouble.js");

const KEY = { id: "1", kind: "smart-card", label: "Reader", version: "5.7.1", locked: false };
const greet = ({ id, op }, port) => {
  if (op.name === "hello") port.reply(id, { name: "hello", version: "9.9.9", protocol: 1 });
  return op.name === "hello";
};
/** A host that answers every operation but the greeting so. */
const host = (rest) => {
  answer = (message, port) => greet(message, port) || rest(message, port);
  return new Host();
};
const troubled = async (promise) => {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof TroubleError, String(error));
    return error.trouble;
  }
  return assert.fail("no trouble");
};

beforeEach(() => {
  ports = [];
  answer = () => undefined;
});

describe("a host that is not there, or ends", () => {
  for (const [reason, code] of [
    // Chromium: chrome/browser/extensions/api/messaging/native_message_process_host.cc
    ["Specified native messaging host not found.", "no-host"],
    ["Access to the specified native messaging host is forbidden.", "host-forbidden"],
    ["Failed to start native messaging host.", "host-stale"],
    ["Native host has exited.", "host-crashed"],
    ["Error when communicating with the native messaging host.", "host-crashed"],
    // Firefox: toolkit/components/extensions/NativeMessaging.sys.mjs, Subprocess.sys.mjs
    ["No such native application dev.keyfob.host", "no-host"],
    ["File at path \"/usr/bin/keyfob\" does not exist, or is not executable", "host-stale"],
    ["An unexpected error occurred", "host-crashed"],
    [undefined, "host-crashed"],
  ]) {
    test(`${reason}: ${code}`, async () => {
      answer = (_message, port) => port.end(reason);
      const trouble = await troubled(new Host().ask({ name: "keys" }));
      assert.equal(trouble.code, code);
      const { title, detail, fix } = explain(trouble);
      assert.ok(title.length > 10 && fix.length > 10 && !`${title}${fix}`.includes("$"), `${title} ${fix}`);
      assert.equal(detail, "");
      assert.equal(ports.length, 1, "one that does not even greet is not tried again at once");
    });
  }

  test("one that went away while nobody asked is started anew, unseen", async () => {
    const asks = host(({ id }, port) => port.reply(id, { name: "keys", keys: [KEY] }));
    await asks.ask({ name: "keys" });
    const [first] = ports;
    // The browser has not told yet.
    first.postMessage = () => first.end("Native host has exited.");
    assert.deepEqual((await asks.ask({ name: "keys" })).keys, [KEY]);
    assert.equal(ports.length, 2);
  });

  test("a refusal that the configuration may be to blame for: the next question is another host's, which reads it anew", async () => {
    for (const [code, hosts] of [["no-key", 2], ["forbidden", 2], ["not-found", 1]]) {
      ports = [];
      const asks = host(({ id }, port) => port.fail(id, { code, message: "no" }));
      assert.equal((await troubled(asks.ask({ name: "keys" }))).code, code);
      assert.equal((await troubled(asks.ask({ name: "keys" }))).code, code);
      assert.equal(ports.length, hosts, code);
    }
  });

  test("what changes the key is not asked twice", async () => {
    const asks = host((message, port) =>
      message.op.name === "keys" ? port.reply(message.id, { name: "keys", keys: [] }) : port.end("Native host has exited."),
    );
    await asks.ask({ name: "keys" });
    for (const op of [
      { name: "add-account", uri: "otpauth://", touch: true, overwrite: false },
      { name: "delete-account", account: "a" },
      { name: "rename-account", account: "a", to: "b" },
    ]) {
      await asks.ask({ name: "keys" });
      const before = ports.length;
      assert.equal((await troubled(asks.ask(op))).code, "host-crashed");
      assert.equal(ports.length, before, op.name);
    }
  });

  test("a touch that was seen to be waited for does not begin again by itself", async () => {
    const asks = host((message, port) => {
      if (message.op.name === "keys") return port.reply(message.id, { name: "keys", keys: [] });
      port.event(message.id, { name: "touch-required", prompt: "Touch" });
      return port.end("Native host has exited.");
    });
    await asks.ask({ name: "keys" });
    assert.equal((await troubled(asks.ask({ name: "code", account: "a" }))).code, "host-crashed");
    assert.equal(ports.length, 1);
  });
});

describe("a host that is slow", () => {
  test("each operation has its time, and each word of the host's begins it anew", async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    try {
      for (const [op, seconds] of [[{ name: "keys" }, 60], [{ name: "code", account: "a" }, 90], [{ name: "confirm-account", account: "a", uri: "" }, 90]]) {
        const asks = host(() => undefined);
        const asked = troubled(asks.ask(op));
        await new Promise(setImmediate);
        mock.timers.tick((seconds - 1) * 1000);
        const [port] = ports.splice(0);
        port.event(port.posted.at(-1).id, { name: "waiting", why: "the other program" });
        mock.timers.tick((seconds - 1) * 1000);
        assert.equal(port.posted.length, 2);
        mock.timers.tick(1_001);
        assert.equal((await asked).code, "host-timeout");
        assert.deepEqual(port.posted.at(-1).op, { name: "cancel", request: port.posted.at(-2).id });
      }
    } finally {
      mock.timers.reset();
    }
  });
});

describe("a host that answers something else", () => {
  const account = { name: "AWS:a", kind: "totp", period: 30 };
  for (const [what, op, given] of [
    ["no list", { name: "keys" }, { name: "keys", keys: "1" }],
    ["a key without a lock", { name: "keys" }, { name: "keys", keys: [{ id: "1", label: "x", kind: "smart-card" }] }],
    ["10,000 keys", { name: "keys" }, { name: "keys", keys: Array(10_000).fill(KEY) }],
    ["a name of megabytes", { name: "keys" }, { name: "keys", keys: [{ ...KEY, label: "x".repeat(1 << 20) }] }],
    ["an account whose period is a word", { name: "accounts", codes: true }, { name: "accounts", key: KEY, accounts: [{ ...account, period: "30" }] }],
    ["a device that is none", { name: "accounts", codes: true }, { name: "accounts", key: KEY, accounts: [{ ...account, aws: { device: 7 } }] }],
    ["a code that ends never", { name: "code", account: "a" }, { name: "code", account: "a", code: { value: "123456", valid_until: Infinity } }],
    ["a code of letters", { name: "code", account: "a" }, { name: "code", account: "a", code: { value: "12345x" } }],
    ["a code of five digits", { name: "code", account: "a" }, { name: "code", account: "a", code: { value: "12345" } }],
    ["a link that is none", { name: "presign", canonical_request: "", scheme: "https" }, { name: "presigned", url: {}, expires_at: 1 }],
    ["another's answer", { name: "code", account: "a" }, { name: "keys", keys: [] }],
    ["codes that are none", { name: "confirm-account", account: "a", uri: "" }, { name: "confirmed", codes: ["123456"] }],
  ]) {
    test(what, async () => {
      const trouble = await troubled(host(({ id }, port) => port.reply(id, given)).ask(op));
      assert.equal(trouble.code, "bad-answer");
    });
  }

  test("Steam's codes are codes, and spoil no list", async () => {
    const accounts = ["K7NPB", "123456", "12345678"].map((value) => ({ ...account, code: { value } }));
    const given = { name: "accounts", key: KEY, accounts };
    assert.deepEqual(await host(({ id }, port) => port.reply(id, given)).ask({ name: "accounts", codes: true }), given);
  });

  test("messages that are none, and those for nobody, are dropped", async () => {
    const asks = host(({ id }, port) => {
      for (const nonsense of [null, 7, "x", [], {}, { type: "done" }, { type: "done", id }, { type: "failed", id }, { type: "event", id, event: 1 }]) {
        port.onMessage.emit(nonsense);
      }
      port.reply("other", { name: "keys", keys: [KEY, KEY] });
      port.reply(id, { name: "keys", keys: [KEY] });
    });
    assert.equal((await asks.ask({ name: "keys" })).keys.length, 1);
  });

  test("a failure is believed as far as it is one", async () => {
    const given = { code: "locked", message: "the key is locked", hint: 7, candidates: [1], wants: { key: {} }, extra: "x" };
    const trouble = await troubled(host(({ id }, port) => port.fail(id, given)).ask({ name: "keys" }));
    assert.deepEqual(trouble, { code: "locked", message: "the key is locked" });
  });

  test("an operation that it does not know: it is too old", async () => {
    const given = { code: "bad-request", message: "this host does not know the operation `check-link` in this form" };
    const trouble = await troubled(host(({ id }, port) => port.fail(id, given)).ask({ name: "check-link", url: "" }));
    assert.equal(trouble.code, "host-old");
    assert.match(trouble.message, /9\.9\.9/);
  });

  for (const [protocol, code] of [[0, "host-old"], [2, "extension-old"]]) {
    test(`version ${protocol} of the protocol: ${code}`, async () => {
      answer = ({ id }, port) => port.reply(id, { name: "hello", version: "9.9.9", protocol });
      assert.equal((await troubled(new Host().ask({ name: "keys" }))).code, code);
      assert.equal(ports[0].closed, true);
    });
  }
});

describe("failures in words", () => {
  const error = (code, more = {}) => explain({ code, message: "scdaemon holds the key", ...more });
  test("the host's own words where they say more", () => {
    assert.deepEqual(error("busy", { hint: "run `gpgconf`" }), { title: "Scdaemon holds the key", detail: "", fix: "Run `gpgconf`" });
    assert.equal(error("busy").fix, texts.error_busy_fix.message);
  });
  test("ours where the host speaks of the command line", () => {
    const { title, detail, fix } = explain({ code: "no-key", message: "no key is plugged in", hint: "choose with --key soft:NAME" });
    assert.deepEqual([title, detail], ["No key is plugged in", ""]);
    assert.doesNotMatch(fix, /--key/);
  });
  test("what there is to choose from", () => {
    assert.equal(error("ambiguous", { candidates: ["1", "2"] }).detail, "Scdaemon holds the key. 1, 2");
  });
  test("a code of a newer host", () => {
    assert.deepEqual(error("quantum-entangled", { hint: "wait" }), { title: "Scdaemon holds the key", detail: "", fix: "Wait" });
  });
  test("another language: ours, and the host's words below", () => {
    const { message } = texts.text_language;
    texts.text_language.message = "de";
    try {
      const { title, detail, fix } = error("busy", { hint: "run `gpgconf`" });
      assert.deepEqual([title, fix], [texts.error_busy_title.message, texts.error_busy_fix.message]);
      assert.equal(detail, "Scdaemon holds the key. Run `gpgconf`");
    } finally {
      texts.text_language.message = message;
    }
  });
});
