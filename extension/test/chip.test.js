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

async function open(url = SIGN_IN) {
  page = await browser.newPage();
  await page.bringToFront();
  devtools = await page.createCDPSession();
  await page.goto(url);
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
  const { class: classes, lang, dir } = attributes(body);
  assert.deepEqual([lang, dir], ["en", "ltr"], "they are those of its texts");
  return {
    state: classes.replace("chip ", ""),
    text: lines.map((line) => all(line).map(({ nodeType, nodeValue }) => (nodeType === 3 ? nodeValue : "")).join("")),
  };
}

/** Where it is. By now the page may be looked at: a test does so only after it has clicked. */
const box = () =>
  page.evaluate(() => {
    const { left, top, right, bottom } = document.querySelector("html > [popover]").getBoundingClientRect();
    return { left, top, right, bottom };
  });

/** Once the person has seen the chip for a while, there: clicks before that do not count. */
const click = async () => {
  const { left, top } = await box();
  await new Promise((resolve) => setTimeout(resolve, 350));
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

describe("chip without a key", { timeout: 120_000 }, () => {
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

describe("chip on a locked key", { timeout: 120_000 }, () => {
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
    await popup.waitForSelector('[data-account="Amazon Web Services:alice@123456789012"]');
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

describe("chip on another host", { timeout: 240_000 }, () => {
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
    // In a file: after such a refusal the next question is another host's.
    const asked = JSON.stringify(path.join(home.path, "asked-once"));
    host.answers(`(request) => {
      const { id } = request;
      const { existsSync, writeFileSync } = require("node:fs");
      const first = !existsSync(${asked});
      writeFileSync(${asked}, "");
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
    ["a key that is pulled", "key-removed", fails(pulled), /^The key was removed$/, /^Plug it in again/],
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
      await new Promise((resolve) => setTimeout(resolve, 350));
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

// Who signs in, as the person told the page before, and what the person has set.
describe("chip and the step before", { timeout: 240_000 }, () => {
  let host;
  before(async () => {
    await start({});
    host = new FakeHost(home);
  });
  after(stop);
  afterEach(async () => {
    await page.close();
    host.end();
    await settings({ fillWithoutClick: false, submit: false, choices: [], key: null });
  });

  const STEPS = SIGN_IN.replace("?mfa&nofocus", "?steps");
  const account = (device, id, more = "") =>
    `account("Amazon Web Services:${device}@${id}", { aws: { account: "${id}", device: "${device}", flow: "iam" }, ${more} })`;
  /** Lists the accounts, and gives a code of its own for each: its place in the list, six times. */
  const lists = (...accounts) =>
    host.answers(`({ id, op }) => {
      const accounts = [${accounts}];
      if (op.name !== "code") return frame({ type: "done", id, answer: { name: "accounts", key, accounts } });
      const value = String(accounts.findIndex(({ name }) => name === op.account) + 1).repeat(6);
      const answer = { name: "code", account: op.account, code: code(value, now() - 10, now() + 20) };
      setTimeout(() => write(frame({ type: "done", id, answer })), 300);
      return touch(id);
    }`);
  /** What the options page would set. */
  const settings = async (changed) => {
    const target = await browser.waitForTarget((each) => each.type() === "service_worker" && each.url().includes(browser.extensionId));
    const worker = await target.worker();
    await until("the storage", () => worker.evaluate((values) => globalThis.chrome?.storage?.local.set(values).then(() => true), changed));
  };
  const signIn = async (id, user) => {
    await page.type("#account", id);
    await page.type("#username", user);
    await page.click("#next");
  };
  const framework = () => page.$eval("#state", (shown) => shown.textContent);
  /** Presses a line of the chip's list, from below. */
  const pressLine = async (fromBelow = 0) => {
    const { left, bottom } = await box();
    await new Promise((resolve) => setTimeout(resolve, 350));
    await page.mouse.click(left + 60, bottom - 24 - 46 * fromBelow);
  };

  const [alice, bob] = [account("alice", "123456789012"), account("bob", "210987654321")];
  const [phone, tablet] = [account("phone", "123456789012"), account("tablet", "123456789012")];

  for (const [how, url] of [["without a page load", STEPS], ["across a page load", `${STEPS}&load`]]) {
    test(`the account and the user that the person typed choose, ${how}`, async () => {
      lists(alice, bob, account("root-account-mfa-device", "210987654321"));
      await open(url);
      await signIn("2109-8765-4321", "bob");
      // Whether a page that was just loaded is one that the person has used is the browser's to say.
      await until("the code", async () => {
        if (url !== STEPS && (await chip())?.state === "idle") await click();
        return page.evaluate(() => document.getElementById("mfaCode")?.value);
      });
      assert.equal(await value(), "222222");
    });
  }

  /** One card is there, or more; the chosen one is not. */
  const absent = (...keys) =>
    host.answers(`({ id, op, key: asked }) => {
      const keys = ${JSON.stringify(keys)};
      const done = (answer) => frame({ type: "done", id, answer });
      if (op.name === "keys") return done({ name: "keys", keys });
      const key = keys.find(({ id }) => id === asked);
      if (!key) return failed(id, { code: "no-key", message: "there is no key " + asked });
      if (op.name !== "code") return done({ name: "accounts", key, accounts: [${account("alice", "123456789012")}] });
      return done({ name: "code", account: op.account, code: code("333333", now() - 10, now() + 20) });
    }`);
  const key = (id, kind = "smart-card") => ({ id, kind, name: `Key ${id}`, label: "A reader", version: "5.7.1", locked: false });

  test("the backup key alone is asked where the chosen one is not there, and the chip names it", async () => {
    await settings({ key: "77" });
    absent(key("88"), key("soft:x", "software"));
    await open();
    await says("backup", "idle", /^Use key$/, /^alice · 123456789012$/, /^Key 88$/);
    await click();
    await until("the code", value);
    await until("the note", () => host.asked("submitted").length > 0);
    assert.deepEqual([...host.asked("code"), ...host.asked("submitted")].map(({ key }) => key), ["88", "88"]);
  });

  for (const [what, chosen, ...keys] of [
    ["of two others", "77", key("88"), key("99")],
    ["a software key", "77", key("soft:x", "software")],
    ["a card in a software key's place", "soft:x", key("88")],
  ]) {
    test(`none is taken ${what}`, async () => {
      await settings({ key: chosen });
      absent(...keys);
      await open();
      await says("absent", "trouble", /^(No key is plugged in|There is no key)/);
      assert(host.asked("accounts").every(({ key }) => key === chosen));
    });
  }

  test("a device that was set up beside an old one is as likely: the person chooses, and that is remembered", async () => {
    await settings({ choices: [["aws:123456789012:alice", "Amazon Web Services:alice@123456789012"]] });
    lists(alice, account("alice-2", "123456789012"), bob);
    await open(STEPS);
    await signIn("123456789012", "alice");
    await says("second-device", "idle", /^Fill code$/, /^2 accounts fit$/);
    await notFilled();
    await click();
    await says("second-device-list", "choose", /^Which account\?$/);
    // The newest is the first.
    await pressLine(2);
    await until("the code", value);
    assert.equal(await value(), "222222");
    await page.close();
    await open(STEPS);
    await signIn("123456789012", "alice");
    await until("the code, after no other choice", () => page.evaluate(() => document.getElementById("mfaCode")?.value));
    assert.equal(await value(), "222222");
  });

  test("Identity Center's form is submitted only once its own script is ready", async () => {
    await settings({ submit: true });
    lists(account("alice", "123456789012"));
    pages.files.set("/center", { type: "text/html", body: `<!doctype html><title>Center</title><body style="margin:60px">
      <form><label>MFA code <input id="mfaCode"></label><button data-testid="test-primary-button">Sign in</button></form>
      <script>
        let filled;
        document.querySelector("input").addEventListener("input", () => (filled = performance.now()));
        document.querySelector("form").addEventListener("submit", (event) => {
          event.preventDefault();
          document.title = String(performance.now() - filled);
        });
      </script>` });
    await open(new URL("/center", SIGN_IN).href);
    await says("center", "idle", /^Use key$/);
    await click();
    await until("the code", value);
    const waited = Number(await until("the form's submission", async () => /^\d/.test(await page.title()) && page.title()));
    assert(waited >= 2000, `${waited} ms`);
  });

  test("what is stored is not for scripts in pages", async () => {
    lists(alice);
    const session = await browser.newPage().then((made) => ((page = made), made.createCDPSession()));
    const worlds = [];
    session.on("Runtime.executionContextCreated", ({ context }) => worlds.push(context));
    await session.send("Runtime.enable");
    await page.goto(SIGN_IN);
    const world = await until("the extension's world", () =>
      worlds.findLast(({ origin, auxData }) => origin.startsWith("chrome-extension:") && auxData.type === "isolated"));
    const expression = 'chrome.storage.local.get().then(() => "read", (error) => error.message)';
    const { result } = await session.send("Runtime.evaluate", { expression, contextId: world.id, awaitPromise: true });
    assert.match(result.value, /not allowed/);
  });

  test("a page cannot measure how long the names are", async () => {
    const sizes = [];
    for (const device of ["a", "a-device-with-a-name-that-is-long.enough@example.com"]) {
      lists(account(device, "123456789012"));
      await open();
      await says("idle", "idle", /^Use key$/, new RegExp(`^${device.slice(0, 8)}`));
      const { left, top, right, bottom } = await box();
      sizes.push([right - left, bottom - top]);
      if (sizes.length < 2) await page.close();
      host.end();
    }
    assert.deepEqual(sizes[0], sizes[1]);
  });

  test("another tab knows nothing of it", async () => {
    lists(alice, bob);
    await open(STEPS);
    await signIn("210987654321", "bob");
    await until("the code", () => page.evaluate(() => document.getElementById("mfaCode")?.value));
    const first = page;
    await open();
    await says("two-tabs", "idle", /^Fill code$/, /^2 accounts fit$/);
    await first.close();
  });

  test("a choice is asked for once a login, and there is a way to another", async () => {
    const plain = ["alice", "phone", "tablet"].map((device) => account(device, "123456789012", "touch: false"));
    lists(...plain);
    await open(STEPS);
    await signIn("123456789012", "carol");
    await says("several", "idle", /^Fill code$/, /^3 accounts fit$/);
    await click();
    await says("choose", "choose", /^Which account\?$/);
    await pressLine();
    await until("the code", value);
    assert.equal(await value(), "333333");
    await page.close();

    await open(STEPS);
    await signIn("123456789012", "carol");
    // Chosen before: one click is enough.
    await says("remembered", "idle", /^Fill code$/, /^tablet · 123456789012$/);
    await click();
    await until("the code", value);
    assert.equal(await value(), "333333");
    await page.close();

    await open(STEPS);
    await signIn("123456789012", "carol");
    await says("remembered", "idle", /^Fill code$/, /^tablet · 123456789012$/);
    await pressLine(-0.2);
    await says("choose-another", "choose", /^Which account\?$/);
    await page.close();

    // Another login is another choice.
    await open(STEPS);
    await signIn("123456789012", "dave");
    await says("several", "idle", /^Fill code$/, /^3 accounts fit$/);
  });

  test("the list is used by the keyboard alone", async () => {
    lists(alice, phone, tablet);
    await open(STEPS);
    await signIn("123456789012", "carol");
    await says("several", "idle", /^Fill code$/, /^3 accounts fit$/);
    await new Promise((resolve) => setTimeout(resolve, 350));
    await page.focus("#mfaCode");
    // The chip is last in the page's order.
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await says("choose", "choose", /^Which account\?$/);
    await new Promise((resolve) => setTimeout(resolve, 350));
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await until("the code", value);
    assert.equal(await value(), "222222");
  });

  const looks = {
    dark: [{ name: "prefers-color-scheme", value: "dark" }],
    contrast: [{ name: "forced-colors", value: "active" }, { name: "prefers-color-scheme", value: "dark" }],
    rtl: [],
  };
  for (const [name, features] of Object.entries(looks)) {
    test(`it is whole and readable: ${name}`, async () => {
      const long = account("a-very-long-device-name-indeed-it-is-longer-than-most", "123456789012");
      lists(alice, phone, long);
      await open();
      await devtools.send("Emulation.setEmulatedMedia", { features });
      if (name === "rtl") await page.evaluate(() => (document.documentElement.dir = "rtl"));
      await says(`several-${name}`, "idle", /^Fill code$/, /^3 accounts fit$/);
      if (name === "rtl") assert((await box()).right < (await page.$eval("#mfaCode", (field) => field.getBoundingClientRect().left)), "at the end of the line");
      await click();
      await says(`choose-${name}`, "choose", /^Which account\?$/);
      await pressLine(1);
      await says(`touch-${name}`, "touch", /^Touch your key$/, /phone/);
      await says(`done-${name}`, "done", /^Code filled$/);
    });
  }

  test("of several devices the authenticator app is chosen, and the chip goes on to the next step", async () => {
    lists(alice);
    await open(`${STEPS}&devices`);
    await signIn("123456789012", "alice");
    await says("devices", "idle", /^Use authenticator app$/, /alice · 123456789012/);
    await until("the choice", () => page.$eval("[value=SWHW]", (radio) => radio.checked));
    assert.equal(await framework(), "", "nothing was submitted");
    await click();
    await until("the code", () => page.evaluate(() => document.getElementById("mfaCode")?.value));
    assert.equal(await value(), "111111");
  });

  test("of several devices none is chosen without an account for the page, nor after the person has chosen", async () => {
    lists();
    await open(`${STEPS}&devices`);
    await signIn("123456789012", "alice");
    await page.waitForSelector("[value=SWHW]");
    await until("the question", () => host.asked("accounts").length > 0);
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal(await page.$eval("[value=SWHW]", (radio) => radio.checked), false);
    assert.equal(await chip(), undefined);
    await page.close();
    host.end();
    lists(alice);
    await open(SIGN_IN.replace("?mfa&nofocus", "?pick"));
    await says("devices", "idle", /^Use authenticator app$/);
    await page.click("label:has([value=U2F])");
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal(await page.$eval("[value=SWHW]", (radio) => radio.checked), false, "the person's choice stays");
  });

  const plain = account("alice", "123456789012", "touch: false");

  test("accounts without touch are filled without a click if the person wants that, in a page that they have used", async () => {
    host.answers(`({ id, op }) => frame({ type: "done", id, answer: op.name === "code"
      ? { name: "code", account: op.account, code: code("111111", now() - 10, now() + 20) }
      : { name: "accounts", key, accounts: [${plain}] } })`);
    await settings({ fillWithoutClick: true });
    await open();
    await says("idle", "idle", /^Fill code$/, /alice/);
    assert.deepEqual(host.asked("code"), [], "a page that merely loaded");
    await page.mouse.click(500, 80);
    await until("the code", value);
    assert.equal(await framework(), "111111", "it was not submitted");
  });

  test("the form is submitted if the person wants that, and does nothing else meanwhile", async () => {
    lists(alice);
    await settings({ submit: true });
    await open();
    await says("idle", "idle", /^Use key$/);
    await click();
    await until("the submission", async () => (await framework()) === "submitted 111111");
    await says("submitted", "done", /^Code filled$/, /^Signing in…$/);
    await page.close();
    await open();
    await says("idle", "idle", /^Use key$/);
    await click();
    await until("the code", value);
    await page.keyboard.press("Shift");
    await new Promise((resolve) => setTimeout(resolve, 500));
    assert.equal(await framework(), "111111");
  });
});
