// The popup in real Chromium with the real host, and with hosts that fail in every way. (In Firefox: firefox.test.js.)

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import { Home, launch, Pages, picture, until } from "../../tests/browser/harness.js";
import { FakeHost } from "./fake-host.js";

const ACCOUNTS = [
  [["--touch"], "otpauth://totp/Amazon%20Web%20Services:alice@123456789012?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"],
  [[], "otpauth://totp/AWS%20SSO:bob?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"],
  [[], "otpauth://totp/GitHub:carol?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"],
];
const ALICE = "Amazon Web Services:alice@123456789012";
const BOB = "AWS SSO:bob";
const row = (name) => `[data-account="${name}"]`;
const OBJECT =
  "https://eu-west-1.console.aws.amazon.com/s3/object/b-1?region=eu-west-1&bucketType=general&prefix=a%20b/%C3%BC%2B%25~.txt";

let home, pages, browser, page;

/** Opens the popup as if from a page with that address, and waits until it has asked all it asks by itself. */
async function open(url = "about:blank") {
  await page.goto(`chrome-extension://${browser.extensionId}/popup.html?tab=${encodeURIComponent(url)}`);
  await page.waitForSelector("body[data-ready]");
}
const text = (selector) => page.$eval(selector, (element) => element.textContent.trim());
const type = async (selector, value) => {
  await page.$eval(selector, (element) => {
    element.closest("details")?.setAttribute("open", "");
    element.value = "";
  });
  await page.type(selector, value);
};
const trouble = async (code, message, hint = /./) => {
  await page.waitForSelector(`#trouble[data-code="${code}"]:not([hidden])`, { timeout: 10_000 });
  assert.match(await text("#trouble-message"), message);
  assert.match(await text("#trouble-hint"), hint);
};

async function start(environment) {
  home = new Home();
  const own = home.environment.bind(home);
  home.environment = () => ({ ...own(), KEYFOB_SOFT_TOUCH: "400", ...environment(own()) });
  pages = await Pages.start(home);
}

async function stop() {
  await browser?.close();
  pages?.stop();
  home?.remove();
}

async function newPage() {
  page = await browser.newPage();
  await page.setViewport({ width: 360, height: 620 });
}

describe("popup on a software key", { timeout: 240_000 }, () => {
  before(async () => {
    await start(() => ({ KEYFOB_KEY: "soft:test" }));
    await home.keyfob(["soft", "create", "test"]);
    for (const [options, uri] of ACCOUNTS) await home.keyfob(["oath", "uri", ...options], `${uri}\n`);
    await home.keyfob(["aws", "add", "AKIAIOSFODNN7EXAMPLE"], "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n");
    browser = await launch("chromium", home, pages);
    // Headless browsers ask nobody.
    await browser.defaultBrowserContext().overridePermissions(`chrome-extension://${browser.extensionId}`, ["clipboard-read", "clipboard-sanitized-write"]);
  });
  after(stop);
  beforeEach(newPage);
  afterEach(() => page.close());

  const listed = () => page.$$eval("#codes li:not([hidden])", (items) => items.map((item) => item.dataset.account));
  const focused = () =>
    page.evaluate(() => document.activeElement.closest("li")?.dataset.account ?? document.activeElement.id);
  const clipboard = () => page.evaluate(() => navigator.clipboard.readText());
  const inList = (name) => home.keyfob(["oath", "list"]).then((printed) => printed.includes(name));

  test("AWS accounts and no others, with their codes; a touch account after its touch, and copied", async () => {
    await open();
    assert.deepEqual(await listed(), [ALICE, BOB]);
    assert(!(await page.content()).includes("carol"));
    const bob = await page.$eval(`${row(BOB)} .code`, (element) => element.dataset.value);
    assert(await home.isCodeOf("bob", bob));
    assert.equal(await text(`${row(ALICE)} .code`), "Touch");
    await page.click(`${row(ALICE)} .row`);
    await page.waitForSelector(`${row(ALICE)}[data-state=touch]`);
    assert.match(await text("#status"), /code of Amazon Web Services:alice@123456789012/);
    await page.waitForSelector(`${row(ALICE)}[data-state=done]`);
    const code = await page.$eval(`${row(ALICE)} .code`, (element) => element.dataset.value);
    assert.match(code, /^\d{6}$/);
    await until("the copy", async () => (await clipboard()) === code);
    assert.equal(await page.$eval("#software-badge", (badge) => badge.hidden), false, "it is said to be a software key");
  });

  test("from the first key to the copied code without the mouse", async () => {
    await open();
    assert.equal(await focused(), "search");
    await page.evaluate(() => navigator.clipboard.writeText(""));
    // Any word of it, in any case.
    await page.keyboard.type("SSO bo");
    assert.deepEqual(await listed(), [BOB]);
    assert.equal(await text("#found"), "1 account");
    await page.keyboard.press("Enter");
    await until("the copy", async () => /^\d{6}$/.test(await clipboard()));
    assert.equal(await clipboard(), await page.$eval(`${row(BOB)} .code`, (element) => element.dataset.value));
    assert.equal(await text("#status"), "Code copied");
    await page.keyboard.type("x");
    assert.deepEqual(await listed(), []);
    assert.equal(await text("#found"), "No account fits “SSO box”");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Escape");
    assert.equal(await page.$eval("#search", (input) => input.value), "");
    assert.deepEqual(await listed(), [ALICE, BOB]);
    // A touch account: asked for, touched, copied.
    await page.keyboard.type("123456789012");
    await page.keyboard.press("Enter");
    await page.waitForSelector(`${row(ALICE)}[data-state=touch]`);
    await page.waitForSelector(`${row(ALICE)}[data-state=done]`);
    const code = await page.$eval(`${row(ALICE)} .code`, (element) => element.dataset.value);
    await until("the copy", async () => (await clipboard()) === code);
  });

  test("the list goes by keyboard", async () => {
    await open();
    for (const [key, at] of [
      ["ArrowDown", ALICE], ["ArrowDown", BOB], ["ArrowDown", BOB], ["Home", ALICE], ["End", BOB], ["ArrowUp", ALICE],
      ["ArrowUp", "search"], ["ArrowUp", BOB], ["Home", ALICE], ["Tab", ALICE], ["ArrowDown", BOB],
    ]) {
      await page.keyboard.press(key);
      assert.equal(await focused(), at, key);
    }
    // Whoever types goes on with the search.
    await page.keyboard.type("al");
    assert.equal(await focused(), "search");
    assert.deepEqual(await listed(), [ALICE]);
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Escape");
    assert.equal(await focused(), "search");
    assert.deepEqual(await listed(), [ALICE, BOB]);
  });

  test("an account is renamed and deleted, after a touch where its codes want one", async () => {
    await home.keyfob(["oath", "uri", "--touch"], "otpauth://totp/Amazon%20Web%20Services:dave@123456789012?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP\n");
    const [dave, erin] = ["dave", "erin"].map((name) => `Amazon Web Services:${name}@123456789012`);
    await open();
    await page.click(`${row(dave)} .manage`);
    assert.equal(await page.$eval("#rename-submit", (button) => button.disabled), true);
    await type("#rename-to", erin);
    await page.click("#rename-submit");
    await page.waitForSelector("#rename-submit[data-state=touch]");
    await page.waitForSelector(row(erin));
    assert.deepEqual([await inList("dave@"), await inList("erin@")], [false, true]);
    // A name that is there is not taken, nor one that this browser would not see.
    await page.click(`${row(erin)} .manage`);
    for (const [name, code] of [[ALICE, "exists"], ["Elsewhere:erin", "forbidden"]]) {
      await type("#rename-to", name);
      await page.click("#rename-submit");
      await page.waitForSelector(`#account-trouble[data-code=${code}]:not([hidden])`);
    }
    await page.click("#delete");
    assert.equal(await focused(), "delete-no");
    await page.click("#delete-no");
    await page.click("#delete");
    await page.click("#delete-yes");
    await page.waitForSelector("#delete-yes[data-state=touch]");
    assert.match(await text("#status"), /erin/);
    await page.waitForFunction((gone) => !document.querySelector(gone), {}, row(erin));
    assert.equal(await inList("erin@"), false);
    assert.equal(await focused(), "search");
  });

  test("an account is typed in, and its secret is nowhere afterwards", async () => {
    const frank = "Amazon Web Services:frank@123456789012";
    const secret = "JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXQ";
    await open();
    await page.click("#add-open");
    await page.waitForSelector("#add-panel:not([hidden])");
    assert.equal(await focused(), "add-account");
    await page.type("#add-account", "frank@123456789012");
    for (const wrong of ["", "0189", "otpauth-migration://offline?data=x", "otpauth://hotp/x?secret=JBSWY3DPEHPK3PXP"]) {
      await type("#add-secret", wrong);
      await page.click("#add-submit");
      await page.waitForSelector("#add-trouble:not([hidden])");
      assert.equal(await page.$eval("#add-secret", (input) => input.value), wrong);
    }
    await type("#add-secret", secret);
    assert.equal(await page.$eval("#add-secret", (input) => input.type), "password");
    await page.click("#add-show");
    assert.equal(await page.$eval("#add-secret", (input) => input.type), "text");
    await page.click("#add-submit");
    await page.waitForSelector("#add-saver .primary:not(:disabled)");
    await page.click("#add-saver .primary");
    await page.waitForSelector("#add-saver li[data-state=touch]");
    await page.waitForSelector("#add-saver li[data-state=done]");
    assert(!(await page.content()).replaceAll(" ", "").includes(secret.replaceAll(" ", "")));
    assert.equal(await page.$eval("#add-secret", (input) => input.value), "");
    await page.click("#add-saver .primary");
    await page.waitForSelector(row(frank));
    assert.equal(await text(`${row(frank)} .code`), "Touch");
    assert.equal(await inList("frank@"), true);
    await home.keyfob(["oath", "delete", frank, "--force"]);
  });

  test("a page that looks like the sign-in is warned of", async () => {
    await open("https://signin.aws.amazon.com.evil.test/oauth");
    assert.match(await text("#warning:not([hidden])"), /another site/);
    await open("https://us-east-1.signin.aws.amazon.com/oauth");
    assert.equal(await page.$eval("#warning", (card) => card.hidden), true);
  });

  test("a host that needs the person's permission is offered, others are not", async () => {
    const offered = async (url, expected) => {
      await open(url);
      assert.equal(await page.$eval("#allow", (card) => !card.hidden), expected, url);
    };
    await offered("https://us-gov-west-1.signin.amazonaws-us-gov.com/oauth", true);
    assert.equal(await text("#allow-host"), "us-gov-west-1.signin.amazonaws-us-gov.com");
    await offered("https://d-1234567890.awsapps.com/start", true);
    await offered("https://us-east-1.signin.aws.amazon.com/oauth", false);
    await offered("https://signin.amazonaws-us-gov.com.evil.test/oauth", false);
  });

  test("a page of an object opens the links, and the tabs go by keyboard", async () => {
    await open(OBJECT);
    assert.equal(await page.$eval("#object-key", (input) => input.value), "a b/ü+%~.txt");
    assert.equal(await focused(), "tab-presign");
    assert.equal(await page.$eval("#codes-panel", (panel) => panel.hidden), true);
    await page.keyboard.press("ArrowLeft");
    assert.equal(await focused(), "tab-codes");
    assert.equal(await page.$eval("#presign-panel", (panel) => panel.hidden), true);
  });

  test("Escape leads back, and takes what is waited for back", async () => {
    await open();
    await page.click(`${row(ALICE)} .manage`);
    await page.waitForSelector("#account-panel:not([hidden])");
    await page.keyboard.press("Escape");
    assert.equal(await page.$eval("#home", (part) => part.hidden), false);
    assert.equal(await focused(), ALICE);
    await page.focus(`${row(ALICE)} .row`);
    await page.keyboard.press("Enter");
    await page.waitForSelector(`${row(ALICE)}[data-state=touch]`);
    await page.keyboard.press("Escape");
    await page.waitForSelector(`${row(ALICE)}[data-state=cancelled]`);
    assert.equal(await text("#status"), "");
  });
});

describe("popup on a locked key", { timeout: 240_000 }, () => {
  before(async () => {
    await start((own) => ({ KEYFOB_KEY: "soft:test", KEYFOB_PASSPHRASE_FILE: own.KEYFOB_PASSPHRASE_FILE }));
    await home.keyfob(["soft", "create", "test"]);
    await home.keyfob(["oath", "uri"], `${ACCOUNTS[1][1]}\n`);
    // What the command line unlocked is unlocked for the browser as well.
    await home.keyfob(["lock"]);
    // From here on nobody but the person knows the passphrase.
    const { KEYFOB_PASSPHRASE_FILE: file, ...own } = home.environment();
    home.passphrase = readFileSync(file, "utf8").trim();
    home.environment = () => own;
    browser = await launch("chromium", home, pages);
  });
  after(stop);
  beforeEach(newPage);
  afterEach(() => page.close());

  test("a wrong password is refused, the right one opens it", async () => {
    await open();
    await page.waitForSelector("#unlock:not([hidden])");
    await page.type("#password", "wrong");
    await page.click("#unlock-submit");
    await trouble("wrong-password", /wrong/i, /^/);
    await page.type("#password", home.passphrase);
    await page.click("#unlock-submit");
    await page.waitForSelector('[data-account="AWS SSO:bob"][data-state=done]');
    assert.equal(await page.$eval("#unlock", (form) => form.hidden), true);
    assert.equal(await page.$eval("#password", (input) => input.value), "");
  });

  test("it is locked again by the button, for the command line as well", async () => {
    await open();
    await page.waitForSelector('[data-account="AWS SSO:bob"][data-state=done]');
    assert.match(await home.keyfob(["code", "bob"]), /^\S*.*\d{6}/);
    await page.waitForSelector("#lock:not([hidden])");
    await picture(page, "popup-lock");
    await page.click("#lock");
    await page.waitForSelector("#unlock:not([hidden])");
    assert.equal(await page.$eval("#lock", (button) => button.hidden), true);
    assert.equal((await page.$$("#codes li")).length, 0);
    await picture(page, "popup-locked");
    await assert.rejects(home.keyfob(["code", "bob"]), ({ code }) => code !== 0);
  });
});

describe("popup without a key", { timeout: 240_000 }, () => {
  before(async () => {
    await start(() => ({}));
    await home.keyfob(["soft", "create", "test"]);
    await home.keyfob(["--key", "soft:test", "oath", "uri"], `${ACCOUNTS[1][1]}\n`);
    browser = await launch("chromium", home, pages);
  });
  after(stop);
  beforeEach(newPage);
  afterEach(() => page.close());

  test("a software key that nobody chose is not used", async () => {
    await open();
    await page.waitForSelector("#trouble:not([hidden])");
    assert.match(await text("#trouble-code"), /^no-(key|pcsc)$/);
    assert.equal((await page.$$("#codes li")).length, 0);
  });
});

describe("popup on another host", { timeout: 240_000 }, () => {
  let host;
  before(async () => {
    await start(() => ({}));
    browser = await launch("chromium", home, pages);
    host = new FakeHost(home);
  });
  after(stop);
  beforeEach(newPage);
  afterEach(async () => {
    await page.close();
    host.end();
  });

  const button = (name) => `${row(name)} .row`;
  const shown = (name) => text(`[data-account="${name}"] .code`);

  test("that ends at once", async () => {
    host.replace("/bin/false");
    await open();
    await trouble("host-crashed", /ended/, /again/);
  });

  test("that ends in the middle of a question", async () => {
    host.answers("() => process.exit(1)");
    await open();
    await trouble("host-crashed", /ended/);
  });

  test("that speaks another version", async () => {
    host.answers(
      "({ id }) => frame({ type: 'done', id, answer: { name: 'hello', version: '9.9.9', protocol: 2 } })",
      { greets: true },
    );
    await open();
    await trouble("extension-old", /9\.9\.9/, /Update/);
  });

  test("that never answers", async () => {
    host.answers("() => null", { greets: true });
    await open();
    await trouble("host-timeout", /in time/, /keyfob browser status/);
  });

  test("that answers another question", async () => {
    host.answers("({ id }) => frame({ type: 'done', id, answer: { name: 'reset' } })");
    await open();
    await trouble("bad-answer", /something else/);
  });

  test("that answers with an answer of another shape", async () => {
    host.answers("({ id }) => frame({ type: 'done', id, answer: { name: 'accounts' } })");
    await open();
    await trouble("bad-answer", /something else/);
    for (const bad of ["1234", "123456789", "12345x"]) {
      host.end();
      host.answers(`({ id, op }) => frame({ type: "done", id, answer: op.name === "accounts"
        ? { name: "accounts", key, accounts: [account("AWS:bob", { touch: false, code: code("${bad}", now(), now() + 20) })] }
        : { name: "identities", key, identities: [] } })`);
      await open();
      await trouble("bad-answer", /something else/);
    }
  });

  test("that answers nobody's question, nonsense, and only then the right one", async () => {
    host.answers(`({ id, op }) => op.name === "hello"
      ? Buffer.concat([frame("null"), frame("[]"), frame('{"type":"done"}'), frame({ ...hello("other"), answer: {} }), frame(hello(id))])
      : frame({ type: "failed", id, error: { code: "busy", message: "<b>the key is busy</b>", hint: "wait" } })`, { greets: true });
    await open();
    await trouble("busy", /^<b>the key is busy<\/b>$/i, /wait/i);
  });

  test("that writes more than a browser takes, or no frame at all", async () => {
    host.answers("() => Buffer.from('this is not a frame, but a log line on stdout')", { greets: true });
    await open();
    await trouble("host-crashed", /ended/);
    host.answers("() => Buffer.from([0xff, 0xff, 0xff, 0x7f, 1, 2, 3])", { greets: true });
    await open();
    await trouble("host-crashed", /ended/);
  });

  test("that has two keys: the person chooses, and the choice is remembered", async () => {
    host.answers(`({ id, op, key }) => {
      const done = (answer) => frame({ type: "done", id, answer: { name: op.name, ...answer } });
      const keys = ["1", "2"].map((id) => ({ id, kind: "smart-card", label: "Reader " + id, version: "", locked: false }));
      if (op.name === "keys") return done({ keys });
      if (!key) return frame({ type: "failed", id, error: { code: "ambiguous", message: "two keys", candidates: ["1", "2"] } });
      if (op.name === "identities") return done({ key: keys[1], identities: [] });
      return done({ key: keys[1], accounts: [{ name: "AWS SSO:" + key, kind: "totp", period: 30, touch: true }] });
    }`);
    await open();
    await trouble("ambiguous", /several keys/i);
    assert.match(await text("#trouble-detail"), /^Two keys\. 1, 2$/);
    await page.waitForSelector("#key:not([hidden])");
    await page.select("#key", "2");
    await page.waitForSelector('[data-account="AWS SSO:2"]');
    await open();
    await page.waitForSelector('[data-account="AWS SSO:2"]');
    assert.equal(await page.$eval("#key", (select) => select.value), "2");
  });

  // What all of these answer to everything but a request for a code.
  const ANSWER = (accounts, toCode, listed = "key") => `({ id, op }) => {
    const done = (answer) => frame({ type: "done", id, answer });
    if (op.name === "keys") return done({ name: "keys", keys: [${listed}] });
    if (op.name === "lock") return done({ name: "locked" });
    if (op.name === "identities") return done({ name: "identities", key, identities: [] });
    const gives = (value, until) => done({ name: "code", account: op.account, code: code(value, until - 30, until) });
    if (op.name === "code") return (${toCode})(gives, id);
    return done({ name: "accounts", key, accounts: (${accounts})() });
  }`;

  test("whose code has run out by the touch: it is not shown, and the next click asks anew", async () => {
    host.answers(ANSWER(
      `() => [account("AWS:a"), account("AWS:b", { touch: false, code: code("000000", now(), now() + 30) })]`,
      `(gives, id) => {
        const late = !globalThis.once;
        globalThis.once = true;
        return Buffer.concat([touch(id), gives("111111", now() + (late ? 0 : 20))]);
      }`,
    ));
    await open();
    await page.click(button("AWS:a"));
    await picture(page, "popup-code-expired");
    await page.waitForSelector(`${row("AWS:a")}[data-state=expired]`);
    assert.equal(await text(`${row("AWS:a")} .note`), "That code ran out while you touched");
    assert.equal(await shown("AWS:a"), "Try again");
    await page.click(button("AWS:a"));
    await page.waitForSelector(`${row("AWS:a")}[data-state=done]`);
    assert.equal(await shown("AWS:a"), "111 111");
    assert.equal(await page.$eval("#trouble", (card) => card.hidden), true);
  });

  test("that waits for the next step, and then for the touch: both are shown", async () => {
    host.answers(ANSWER(`() => [account("AWS:a")]`, `(gives, id) => {
      setTimeout(() => write(touch(id)), 1500);
      setTimeout(() => write(gives("222222", now() + 20)), 3000);
      return waiting(id, "this code of AWS:a is about to run out");
    }`));
    await open();
    await page.click(button("AWS:a"));
    await page.waitForSelector(`${row("AWS:a")}[data-state=waiting]`);
    await until("the reason", async () => (await text("#status")) === "Waiting: this code of AWS:a is about to run out");
    assert.equal(await shown("AWS:a"), "Waiting…");
    await picture(page, "popup-waiting");
    await page.waitForSelector(`${row("AWS:a")}[data-state=touch]`);
    assert.equal(await text("#status"), "Touch for this");
    await page.waitForSelector(`${row("AWS:a")}[data-state=done]`);
    assert.equal(await shown("AWS:a"), "222 222");
    await until("the end of what was said", async () => (await text("#status")) === "");
  });

  test("whose key has no password: there is nothing to lock", async () => {
    const [accounts, code] = ['() => [account("AWS:a")]', "() => null"];
    for (const [listed, expected] of [["key", false], ["{ ...key, locked: true }", true]]) {
      host.answers(ANSWER(accounts, code, listed));
      await open();
      await page.waitForSelector(row("AWS:a"));
      assert.equal(await page.$eval("#lock", (button) => !button.hidden), expected, listed);
      if (!expected) host.end();
    }
    await page.click("#lock");
    await until("the lock", () => host.asked("lock").length === 1);
    await until("the next look at the key", () => host.asked("accounts").length === 2);
  });

  test("whose code was used already: it is said to be, and a click brings the next", async () => {
    host.answers(ANSWER(
      `() => [account("AWS:a", { touch: false, code: { ...code("111111", now() - 10, now() + 20), submitted: true } }),
        account("AWS:b", { touch: false, code: code("333333", now() - 10, now() + 20) })]`,
      `(gives, id) => (setTimeout(() => write(gives("222222", now() + 30)), 1000), waiting(id, "it was used"))`,
    ));
    await open();
    assert.equal(await page.$eval(row("AWS:a"), (item) => item.hasAttribute("data-used")), true);
    assert.match(await text('[data-account="AWS:a"] .note'), /^Used; the next in (19|20) s$/);
    assert.equal(await page.$eval(row("AWS:b"), (item) => item.hasAttribute("data-used")), false);
    await picture(page, "popup-used");
    await page.click(button("AWS:a"));
    await page.waitForFunction((selector) => document.querySelector(selector).textContent === "Waiting…", {},
      '[data-account="AWS:a"] .code');
    await page.waitForFunction((selector) => document.querySelector(selector).textContent === "222 222", {},
      '[data-account="AWS:a"] .code');
    assert.equal(await page.$eval(row("AWS:a"), (item) => item.hasAttribute("data-used")), false);
    assert.equal(host.asked("code")[0].op.fresh, true);
    // Copied, it is no more used than before: nobody gave it to AWS.
    await page.click(button("AWS:a"));
    await until("the copy", async () => /cop/.test(await text("#status")));
    assert.equal(host.asked("submitted").length, 0);
  });

  test("whose key is not touched: it says so, and asks again only when it is told to", async () => {
    host.answers(ANSWER('() => [account("AWS:a")]', `(gives, id) => {
      globalThis.asked = (globalThis.asked ?? 0) + 1;
      return globalThis.asked === 1 ? Buffer.concat([touch(id), failed(id, { code: "touch-timeout", message: "nobody touched the key" })])
        : Buffer.concat([touch(id), gives("333333", now() + 20)]);
    }`));
    await open();
    await page.click(button("AWS:a"));
    await page.waitForSelector(`${row("AWS:a")}[data-state=timed-out]`);
    assert.equal(await text(`${row("AWS:a")} .note`), "No touch came in time");
    assert.equal(host.asked("code").length, 1);
    await page.click(button("AWS:a"));
    await page.waitForSelector(`${row("AWS:a")}[data-state=done]`);
    assert.equal(await shown("AWS:a"), "333 333");
  });

  test("whose touch is wanted no more: it is taken back, and its late code is nobody's", async () => {
    host.answers(ANSWER('() => [account("AWS:a")]', `(gives, id) => (setTimeout(() => write(gives("444444", now() + 20)), 600), touch(id))`));
    await open();
    await page.click(button("AWS:a"));
    await page.waitForSelector(`${row("AWS:a")}[data-state=touch]`);
    await page.click(`${row("AWS:a")} .cancel`);
    await page.waitForSelector(`${row("AWS:a")}[data-state=cancelled]`);
    const [cancel] = await until("the cancellation", () => host.asked("cancel").length > 0 && host.asked("cancel"));
    assert.equal(cancel.op.request, host.asked("code")[0].id);
    await new Promise((resolve) => setTimeout(resolve, 800));
    assert.equal(await shown("AWS:a"), "Try again");
  });

  test("whose key is locked when a code is wanted: unlocked, it gives that code", async () => {
    host.answers(`(request) => {
      if (request.op.name === "unlock") {
        globalThis.opened = true;
        return frame({ type: "done", id: request.id, answer: { name: "unlocked" } });
      }
      return (${ANSWER('() => [account("AWS:a"), account("AWS:b")]', `(gives, id) => globalThis.opened ? gives("555555", now() + 20)
        : failed(id, { code: "locked", message: "the key wants its password", wants: { key: "1", what: "its password" } })`)})(request);
    }`);
    await open();
    await page.click(button("AWS:a"));
    await page.waitForSelector(`${row("AWS:a")}[data-state=unlock]`);
    await page.waitForSelector("#unlock:not([hidden])");
    assert.equal(await page.evaluate(() => document.activeElement.id), "password");
    await page.keyboard.type("secret");
    await page.keyboard.press("Enter");
    await page.waitForSelector(`${row("AWS:a")}[data-state=done]`);
    assert.deepEqual([await shown("AWS:a"), await shown("AWS:b")], ["555 555", "Touch"]);
    assert.equal(await page.$eval("#unlock", (form) => form.hidden), true);
  });

  test("whose key is plugged in and removed under one's eyes", async () => {
    const plugged = home.write("plugged", "");
    const GONE = `failed(request.id, { code: "no-key", message: "no key was found" })`;
    host.answers(`(request) => {
      const there = require("node:fs").readFileSync(${JSON.stringify(plugged)}, "utf8") !== "";
      if (there) return (${ANSWER('() => [account("AWS:a")]', `(gives, id) => failed(id, { code: "key-removed", message: "the key was removed" })`)})(request);
      if (request.op.name === "keys") return frame({ type: "done", id: request.id, answer: { name: "keys", keys: [] } });
      return request.op.name === "code" ? failed(request.id, { code: "key-removed", message: "the key was removed" }) : ${GONE};
    }`);
    await open();
    await trouble("no-key", /no key/i);
    assert.equal(await page.$eval("#tools", (tools) => tools.hidden), true);
    home.write("plugged", "yes");
    await page.waitForSelector(row("AWS:a"));
    assert.equal(await page.$eval("#trouble", (card) => card.hidden), true);
    assert.equal(await page.evaluate(() => document.activeElement.id), "search");
    home.write("plugged", "");
    await page.click(button("AWS:a"));
    await trouble("key-removed", /removed/i);
    await trouble("no-key", /no key/i);
    assert.equal((await page.$$("#codes li")).length, 0);
    // Whoever comes back to the window sees what there is now.
    home.write("plugged", "yes");
    await page.evaluate(() => window.dispatchEvent(new Event("focus")));
    await page.waitForSelector(row("AWS:a"));
  });

  test("with 64 accounts: all are there, and any is found", async () => {
    host.answers(ANSWER(
      `() => Array.from({ length: 64 }, (_, i) => account("AWS:device-" + i, { aws: { account: "prod", device: "device-" + i, flow: "iam" } }))`,
      "() => null",
    ));
    await open();
    await page.keyboard.type("device-63");
    assert.deepEqual(await page.$$eval("#codes li:not([hidden])", (items) => items.map((item) => item.dataset.account)), ["AWS:device-63"]);
  });

  for (const [what, op, press] of [
    ["a code", "code", () => page.click(button("AWS:a"))],
    ["a signature", "presign", async () => {
      await page.waitForFunction(() => !document.querySelector("#sign").disabled);
      await page.click("#sign");
    }],
  ]) {
    test(`that is asked for ${what}, which is taken back when the popup is closed`, async () => {
      host.answers(`(request) => request.op.name === "presign" ? touch(request.id)
        : request.op.name === "identities" ? frame({ type: "done", id: request.id, answer: { name: "identities", key,
          identities: [{ access_key_id: "AKIAIOSFODNN7EXAMPLE", signature: "SigV4" }] } })
        : (${ANSWER('() => [account("AWS:a")]', "(gives, id) => touch(id)")})(request)`);
      await open(op === "presign" ? OBJECT : undefined);
      await press();
      await until("the touch", async () => (await text("#status")) === "Touch for this");
      const [{ id }] = host.asked(op);
      assert.deepEqual(host.asked("cancel"), []);
      await page.close();
      const cancels = await until("the cancellation", () => host.asked("cancel").length > 0 && host.asked("cancel"));
      assert.deepEqual(cancels.map((request) => request.op.request), [id]);
      await newPage();
    });
  }

  test("one of whose keys is locked: it is that one that is unlocked, in the words for it", async () => {
    host.answers(`(request) => {
      if (request.op.name === "unlock") {
        globalThis.opened = request.key === "2";
        return frame({ type: "done", id: request.id, answer: { name: "unlocked" } });
      }
      if (request.op.name !== "accounts" || globalThis.opened) return (${ANSWER('() => [account("AWS:a")]', "() => null")})(request);
      return failed(request.id, { code: "locked", message: "the key wants its password",
        wants: { key: "2", what: "the password of the key in Reader 2" } });
    }`);
    await open();
    await page.waitForSelector("#unlock:not([hidden])");
    assert.equal(await text("#unlock-what"), "The password of the key in Reader 2");
    await picture(page, "popup-wants");
    await page.type("#password", "secret");
    await page.click("#unlock-submit");
    await page.waitForSelector(row("AWS:a"));
    assert.deepEqual(host.asked("unlock").map(({ key, op }) => [key, op.password]), [["2", "secret"]]);
    assert.equal(await page.$eval("#password", (input) => input.value), "");
  });

  test("that takes no password for a moment: it says so, and what was typed stays", async () => {
    host.answers(`(request) => {
      if (request.op.name === "unlock") {
        const first = !globalThis.second;
        globalThis.second = true;
        return first ? failed(request.id, { code: "busy", message: "the last passwords were wrong", hint: "try again in 4 s" })
          : frame({ type: "done", id: request.id, answer: { name: "unlocked" } });
      }
      if (request.op.name !== "accounts" || globalThis.second) return (${ANSWER('() => [account("AWS:a")]', "() => null")})(request);
      return failed(request.id, { code: "locked", message: "the key wants its password" });
    }`);
    await open();
    await page.waitForSelector("#unlock:not([hidden])");
    assert.equal(await text("#unlock-what"), "Its password or passphrase");
    await page.type("#password", "secret");
    await page.click("#unlock-submit");
    await trouble("busy", /^The last passwords were wrong$/, /try again in 4 s/i);
    assert.equal(await page.$eval("#unlock", (form) => form.hidden), false);
    assert.equal(await page.$eval("#password", (input) => input.value), "secret");
    await picture(page, "popup-wrong-passwords");
    await page.click("#unlock-submit");
    await page.waitForSelector(row("AWS:a"));
    assert.deepEqual(host.asked("unlock").map(({ op }) => op.password), ["secret", "secret"]);
  });

  test("that reads the key again: a touched code stays, and so does a touch and what it is for", async () => {
    host.answers(ANSWER(
      `() => [account("AWS:a"), account("AWS:b"), account("AWS:c", { touch: false,
        code: code(String(100000 + (globalThis.reads = (globalThis.reads ?? 0) + 1)), now(), now() + 2) })]`,
      `(gives, id) => {
        if (globalThis.first) { setTimeout(() => write(gives("222222", now() + 25)), 4500); return touch(id); }
        globalThis.first = true;
        return gives("111111", now() + 25);
      }`,
    ));
    await open();
    await page.click(button("AWS:a"));
    await page.waitForSelector(`${row("AWS:a")}[data-state=done]`);
    await page.click(button("AWS:b"));
    await page.waitForSelector(`${row("AWS:b")}[data-state=touch]`);
    const third = await page.$eval('[data-account="AWS:c"] .code', (element) => element.dataset.value);
    await page.waitForFunction(
      (third) => (document.querySelector('[data-account="AWS:c"] .code')?.dataset.value ?? third) > third,
      { polling: 50 },
      third,
    );
    assert.equal(await shown("AWS:a"), "111 111");
    assert.equal(await shown("AWS:b"), "Touch your key");
    // Longer than what is said in passing is shown.
    await new Promise((resolve) => setTimeout(resolve, 2000));
    assert.equal(await text("#status"), "Touch for this");
    await picture(page, "popup-touch");
    await page.waitForSelector(`${row("AWS:b")}[data-state=done]`);
    assert.equal(await shown("AWS:b"), "222 222");
    await until("the end of what was said", async () => (await text("#status")) === "");
  });

  test("that is not there", async () => {
    host.replace("/nowhere/keyfob");
    await open();
    await trouble("no-host", /not installed|cannot be started/, /browser install/);
    host.remove();
    await open();
    await trouble("no-host", /not installed/, /browser install/);
  });
});
