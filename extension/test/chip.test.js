// What the chip says when something is wrong, in real Chromium: with the real host where that can be, else with hosts that
// fail in chosen ways. (When it may fill at all: intent.test.js.)

import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import path from "node:path";
import { after, afterEach, before, describe, test } from "node:test";

import { Home, launch, Pages, picture, until } from "../../tests/browser/harness.js";
import { FakeHost } from "./fake-host.js";

const ALICE = "otpauth://totp/Amazon%20Web%20Services:alice@123456789012?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
const SIGN_IN = "https://us-east-1.signin.aws.amazon.com/signin.html?mfa&nofocus";

let home, pages, browser, page, devtools;

async function start(settings) {
  home = new Home();
  await home.keyfob(["soft", "create", "test"]);
  await home.keyfob(["--key", "soft:test", "oath", "uri"], `${ALICE}\n`);
  // What the command line unlocked is unlocked for the browser as well.
  await home.keyfob(["lock"]);
  Object.assign(home.settings, settings);
  pages = await Pages.start(home);
  browser = await launch("chromium", home, pages);
}

async function stop() {
  await browser?.close();
  pages?.stop();
  home?.remove();
}

async function open() {
  page = await browser.newPage();
  await page.bringToFront();
  devtools = await page.createCDPSession();
  await page.goto(SIGN_IN);
}

/** The chip as the person sees it: its state, and its lines. The root is closed to the page, but not to the debugger. */
async function chip() {
  const { root } = await devtools.send("DOM.getDocument", { depth: -1, pierce: true });
  const attributes = ({ attributes: list = [] }) =>
    Object.fromEntries(list.flatMap((name, i) => (i % 2 === 0 ? [[name, list[i + 1]]] : [])));
  const all = (node) => [node, ...[...(node.children ?? []), ...(node.shadowRoots ?? [])].flatMap(all)];
  const host = all(root).find((node) => node.localName === "div" && "popover" in attributes(node));
  const inside = host ? all(host) : [];
  const body = inside.find((node) => /^chip /.test(attributes(node).class ?? ""));
  if (!body) return undefined;
  const lines = inside.filter(({ localName }) => localName === "b" || localName === "small");
  return {
    state: attributes(body).class.replace("chip ", ""),
    text: lines.map((line) => all(line).map(({ nodeType, nodeValue }) => (nodeType === 3 ? nodeValue : "")).join("")),
  };
}

/** Where it is. By now the page may be looked at: a test does so only after it has clicked. */
const box = () =>
  page.evaluate(() => {
    const { left, top, right, bottom } = document.querySelector("html > [popover]").getBoundingClientRect();
    return { left, top, right, bottom };
  });

const click = async () => {
  const { left, top } = await box();
  await page.mouse.click(left + 60, top + 18);
};

/** Waits for the chip to be in that state and to say that, keeps a picture of it, and looks where it is. */
async function says(name, state, ...patterns) {
  let last;
  await until(`the chip's ${name}`, async () => {
    last = await chip();
    return last?.state === state && patterns.every((pattern, i) => pattern.test(last.text[i] ?? ""));
  }).catch((error) => {
    throw new Error(`${error.message}; it is ${JSON.stringify(last)}`);
  });
  await picture(page, `chip-${name}`);
  const [{ left, top, right, bottom }, { width, height }] = [await box(), page.viewport()];
  assert(left >= 8 && top >= 8 && right <= width - 8 && bottom <= height - 8, `it is whole: ${[left, top, right, bottom]}`);
  assert.doesNotMatch(last.text.join(" "), /`|undefined/);
}

const value = () => page.$eval("#mfaCode", (field) => field.value);
const notFilled = async () => assert.equal(await value(), "");

describe("chip without a key", { timeout: 60_000 }, () => {
  before(() => start({}));
  after(stop);

  test("it says so, and fills nothing from a key that nobody chose", async () => {
    await open();
    // Where no service runs there can be no key.
    await says("no-pcsc", "trouble", /smart-card service/, /toolbar/);
    await click();
    await says("no-pcsc", "trouble", /smart-card service/, /toolbar/);
    await notFilled();
  });
});

describe("chip on a locked key", { timeout: 60_000 }, () => {
  before(() => start({ KEYFOB_KEY: "soft:test", KEYFOB_PASSPHRASE_FILE: "" }));
  after(stop);

  test("it says where to unlock it, and has the code once that is done", async () => {
    await open();
    await says("locked", "trouble", /locked|wants its passphrase/i, /toolbar.*password/i);
    await click();
    await says("locked", "trouble", /locked|wants its passphrase/i, /toolbar.*password/i);
    await notFilled();
    const popup = await browser.newPage();
    await popup.goto(`chrome-extension://${browser.extensionId}/popup.html`);
    await popup.waitForSelector("#unlock:not([hidden])");
    await popup.type("#password", "a passphrase for a test");
    await popup.click("#unlock-submit");
    await popup.waitForSelector("#codes button[data-state=code]");
    await popup.close();
    await page.bringToFront();
    // The chip asks anew what fits, and changes its size, when the page is looked at again: as a person would, this
    // clicks again where a click came too early.
    await until("the code", async () => {
      if (["idle", "trouble"].includes((await chip())?.state)) await click();
      return value();
    });
  });
});

describe("chip on another host", { timeout: 120_000 }, () => {
  let host;
  before(async () => {
    await start({});
    host = new FakeHost(home);
  });
  after(stop);
  afterEach(async () => {
    await page.close();
    host.end();
  });

  /** Lists these accounts; what a request for a code gets is `toCode`'s, a function of (id, gives). */
  const ANSWER = (toCode, accounts = 'account("Amazon Web Services:alice@123456789012")') => `({ id, op }) => {
    const done = (answer) => frame({ type: "done", id, answer });
    const gives = (value, until) => done({ name: "code", account: op.account, code: code(value, until - 30, until) });
    return op.name === "code" ? (${toCode})(id, gives) : done({ name: "accounts", key, accounts: [${accounts}] });
  }`;

  test("that is not there", async () => {
    host.remove();
    await open();
    await says("no-host", "trouble", /not installed for this browser/, /keyfob browser install/);
    host.answers(ANSWER('(id, gives) => gives("111111", now() + 20)'));
    await click();
    await until("the code", value);
    assert.equal(await value(), "111111");
  });

  test("that ends at once", async () => {
    host.replace("/bin/false");
    await open();
    await says("host-crashed", "trouble", /ended unexpectedly/, /Try again/);
  });

  test("that has no key at first", async () => {
    const none = { code: "no-key", message: "no key is plugged in", hint: "choose a software key with --key soft:NAME" };
    host.answers(`(request) => {
      const { id } = request;
      const first = !globalThis.second;
      globalThis.second = true;
      return first ? failed(id, ${JSON.stringify(none)}) : (${ANSWER('(id, gives) => gives("111111", now() + 20)')})(request);
    }`);
    await open();
    await says("no-key", "trouble", /^No key is plugged in$/, /^Plug it in/);
    await notFilled();
    await click();
    await until("the code", value);
    await says("done", "done", /^Code filled$/);
  });

  test("that has two keys", async () => {
    host.answers(`({ id }) => failed(id, { code: "ambiguous", message: "several keys are plugged in",
      hint: "choose one with --key SERIAL", candidates: ["1", "2"] })`);
    await open();
    await says("two-keys", "trouble", /^Several keys are plugged in$/, /toolbar.*choose/i);
    await click();
    await says("two-keys", "trouble", /^Several keys are plugged in$/, /toolbar.*choose/i);
    await notFilled();
  });

  test("that has no account for this page", async () => {
    host.answers(ANSWER("() => null", ""));
    await open();
    await says("no-account", "trouble", /No code for this page/, /keyfob oath uri/);
  });

  // What goes wrong while the key waits for its touch; in all of them a second click asks anew and fills.
  const second = (first) => `(id, gives) => {
    const once = require("node:path").join(__dirname, "once");
    if (require("node:fs").existsSync(once)) return gives("222222", now() + 20);
    require("node:fs").writeFileSync(once, "");
    ${first}
  }`;
  const pulled = { code: "key-removed", message: "the key was removed", hint: "insert it and try again" };
  const timeout = { code: "touch-timeout", message: "the key was not touched in time", hint: "try again" };
  const fails = (failure) => `write(failed(id, ${JSON.stringify(failure)}))`;
  const late = 'write(gives("111111", now()))';
  for (const [what, name, then, message, hint] of [
    ["a key that is pulled", "key-removed", fails(pulled), /^The key was removed$/, /^Insert it/],
    ["a host that ends", "host-ended", "process.exit(1)", /ended unexpectedly/, /again/],
    ["no touch", "touch-timeout", fails(timeout), /not touched/, /again/],
    ["a code that runs out", "code-expired", late, /^That code ran out while you touched$/, /^Click to try again/],
  ]) {
    test(`${what} while the touch is waited for`, async () => {
      rmSync(path.join(home.path, "once"), { force: true });
      host.answers(ANSWER(second(`setTimeout(() => ${then}, 700); return touch(id);`)));
      await open();
      await says("idle", "idle", /^Use key$/, /alice · 123456789012/);
      await click();
      await says("touch", "touch", /^Touch your key$/, /alice · 123456789012/);
      await says(name, "trouble", message, hint);
      await notFilled();
      await click();
      await until("the code", value);
      assert.equal(await value(), "222222");
    });
  }

  const locks = (failure) => `(id) => (setTimeout(() => write(failed(id, ${JSON.stringify(failure)})), 300), touch(id))`;

  test("that is locked while the touch is waited for", async () => {
    host.answers(ANSWER(locks({ code: "cancelled", message: "the keys were locked meanwhile", hint: "ask again" })));
    await open();
    await says("idle", "idle", /^Use key$/);
    await click();
    await says("locked-meanwhile", "trouble", /^The keys were locked meanwhile$/, /^Click to try again/);
  });

  const USED = "this code of Amazon Web Services:alice@123456789012 was used already";

  test("whose code was used already: the next one is waited for, and noted as used once it is in the field", async () => {
    host.answers(ANSWER(`(id, gives) => {
      setTimeout(() => write(touch(id)), 1500);
      setTimeout(() => write(gives("222222", 1_000_000_000_030 + 20)), 2500);
      return waiting(id, ${JSON.stringify(USED)});
    }`));
    await open();
    await says("idle", "idle", /^Use key$/);
    await click();
    await says("waiting", "busy", /^Waiting…$/, /^This code of Amazon Web Services:alice@123456789012 was used already$/);
    await notFilled();
    assert.deepEqual(host.asked("submitted"), []);
    await says("touch", "touch", /^Touch your key$/, /alice · 123456789012/);
    await says("done", "done", /^Code filled$/);
    assert.equal(await value(), "222222");
    const [noted] = await until("the note", () => host.asked("submitted").length > 0 && host.asked("submitted"));
    assert.deepEqual(noted.op, {
      name: "submitted", account: "Amazon Web Services:alice@123456789012", valid_from: 1_000_000_000_020,
    });
    assert.equal(host.asked("code").length, 1);
    assert.equal(host.asked("code")[0].op.fresh, true);
    assert.deepEqual(host.asked("cancel"), []);
  });

  // Who takes a question back, and what the chip then says. The code comes all the same, too late.
  const leaves = {
    "presses Escape": [() => page.keyboard.press("Escape"), /^You pressed Escape/],
    "types a code": [async () => {
      await page.focus("#mfaCode");
      await page.keyboard.type("7");
    }, /^You typed meanwhile/],
    "goes to another field": [async () => {
      await page.evaluate(() => document.body.append(document.createElement("textarea")));
      await page.focus("textarea");
    }, /^The focus moved/],
    "goes to another tab": [async () => {
      const other = await browser.newPage();
      await other.bringToFront();
      await until("the end of the question", async () => host.asked("cancel").length > 0);
      await other.close();
    }, /^The page lost the focus/],
    "hides the chip": [async () => {
      const { right, top } = await box();
      await page.mouse.click(right - 12, top + 18);
    }],
    "goes to another page": [() => page.goto(SIGN_IN.replace("signin.html", "nothing.html"))],
  };
  for (const [what, [leave, hint]] of Object.entries(leaves)) {
    for (const [state, first] of [["touch", "touch(id)"], ["busy", `waiting(id, ${JSON.stringify(USED)})`]]) {
      test(`a person who ${what} takes the question back (${state})`, async () => {
        host.answers(ANSWER(`(id, gives) => (setTimeout(() => write(gives("111111", now() + 20)), 1500), ${first})`));
        await open();
        await says("idle", "idle", /^Use key$/);
        await click();
        await says(state, state, state === "touch" ? /^Touch your key$/ : /^Waiting…$/);
        const [{ id }] = host.asked("code");
        await leave();
        const [{ op }] = await until("the cancellation", () => host.asked("cancel").length > 0 && host.asked("cancel"));
        assert.equal(op.request, id);
        if (hint) await says("taken-back", "trouble", /^Not filled$/, hint);
        await new Promise((resolve) => setTimeout(resolve, 1600));
        if (hint) assert.match(await value(), /^7?$/);
        assert.equal((await chip())?.state, hint ? "trouble" : undefined);
        assert.deepEqual(host.asked("submitted"), []);
        assert.equal(host.asked("cancel").length, 1, "it was taken back once");
        if (what !== "presses Escape") return;
        // The account is still known: one click asks anew.
        await click();
        await until("the code", value);
        assert.equal(host.asked("accounts").length, 1);
      });
    }
  }

  test("a touch that is only perhaps waited for shows when no answer comes", async () => {
    host.answers(ANSWER(`(id, gives) => {
      globalThis.times = (globalThis.times ?? 0) + 1;
      setTimeout(() => write(times > 1 ? gives("222222", now() + 20) : failed(id, ${JSON.stringify(timeout)})),
        times > 1 ? 2000 : 300);
      return touch(id, { maybe: true });
    }`));
    await open();
    await says("idle", "idle", /^Use key$/);
    await click();
    const seen = new Set();
    await until("the failure", async () => {
      const { state } = await chip();
      seen.add(state);
      return state === "trouble";
    });
    assert(!seen.has("touch"), `${[...seen]}`);
    await new Promise((resolve) => setTimeout(resolve, 600));
    assert.equal((await chip()).state, "trouble", "nor does it show later");
    await click();
    await says("touch", "touch", /^Touch your key$/);
    await until("the code", value);
  });

  test("that has two accounts for this page", async () => {
    const bob = 'account("Amazon Web Services:bob@210987654321", { aws: { account: "210987654321", device: "bob", flow: "iam" } })';
    host.answers(ANSWER("() => null", `account("Amazon Web Services:alice@123456789012"), ${bob}`));
    await open();
    await says("two-accounts", "idle", /^Fill code$/, /^2 accounts fit$/);
    await click();
    await says("choose", "choose", /^Which account\?$/);
  });
});
