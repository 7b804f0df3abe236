// The popup in real Chromium with the real host, and with hosts that fail in every way. (Firefox's automation does not
// open pages of extensions; the page is the same.)

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

describe("popup on a software key", { timeout: 120_000 }, () => {
  before(async () => {
    await start(() => ({ KEYFOB_KEY: "soft:test" }));
    await home.keyfob(["soft", "create", "test"]);
    for (const [options, uri] of ACCOUNTS) await home.keyfob(["oath", "uri", ...options], `${uri}\n`);
    await home.keyfob(["aws", "add", "AKIAIOSFODNN7EXAMPLE"], "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n");
    browser = await launch("chromium", home, pages);
  });
  after(stop);
  beforeEach(newPage);
  afterEach(() => page.close());

  test("AWS accounts and no others, with their codes; a touch account after its touch", async () => {
    await open();
    const names = await page.$$eval("#codes li", (items) => items.map((item) => item.dataset.account));
    assert.deepEqual(names, [ALICE, "AWS SSO:bob"]);
    assert(!(await page.content()).includes("carol"));
    const bob = await page.$eval('[data-account="AWS SSO:bob"] .code', (element) => element.dataset.value);
    assert((await home.keyfob(["code", "bob", "--json"])).includes(bob));
    assert.equal(await text(`[data-account="${ALICE}"] .code`), "Touch");
    await page.click(`[data-account="${ALICE}"] button`);
    await page.waitForSelector(`[data-account="${ALICE}"] button[data-state=touch]`);
    assert.match(await text("#status"), /code of Amazon Web Services:alice@123456789012/);
    await page.waitForSelector(`[data-account="${ALICE}"] button[data-state=code]`);
    assert.match(await page.$eval(`[data-account="${ALICE}"] .code`, (element) => element.dataset.value), /^\d{6}$/);
    assert.equal(await page.$eval("#software-badge", (badge) => badge.hidden), false, "it is said to be a software key");
  });

  test("a console page fills the form, and the link is the one that was shown", async () => {
    await open(OBJECT);
    assert.equal(await page.$eval("#bucket", (input) => input.value), "b-1");
    assert.equal(await page.$eval("#object-key", (input) => input.value), "a b/ü+%~.txt");
    assert.equal(await page.$eval("#region", (input) => input.value), "eu-west-1");
    assert.equal(await text("#preview-verb"), "GET");
    assert.equal(await text("#preview-object"), "b-1/a b/ü+%~.txt");
    assert.equal(await text("#preview-host"), "https://b-1.s3.eu-west-1.amazonaws.com");
    await page.select("#method", "PUT");
    assert.equal(await text("#preview-verb"), "PUT");
    await page.select("#expires", "900");
    await page.click("#sign");
    await page.waitForSelector("#sign[data-state=touch]");
    assert.match(await text("#status"), /PUT/);
    await page.waitForSelector("#signed:not([hidden])");
    const url = new URL(await page.$eval("#url", (area) => area.value));
    assert.equal(url.origin + url.pathname, "https://b-1.s3.eu-west-1.amazonaws.com/a%20b/%C3%BC%2B%25~.txt");
    assert.equal(url.searchParams.get("X-Amz-Expires"), "900");
    // The command line makes the same link for the same second.
    const [, day, time] = /^(\d{8})T(\d{6})Z$/.exec(url.searchParams.get("X-Amz-Date"));
    const colons = (digits) => digits.replace(/(..)(..)(..)/, "$1:$2:$3");
    const at = `${day.replace(/(....)(..)(..)/, "$1-$2-$3")}T${colons(time)}Z`;
    const options = ["--method", "PUT", "--expires", "900", "--region", "eu-west-1", "--at", at];
    const printed = await home.keyfob(["presign", "s3://b-1/a b/ü+%~.txt", ...options]);
    assert.equal(printed.trim(), url.href);
    // Typing on takes the link away: it belongs to what was signed.
    await page.type("#object-key", "x");
    assert.equal(await page.$eval("#signed", (card) => card.hidden), true);
  });

  test("a console page whose address cannot be read says so; other pages with such addresses do not matter", async () => {
    const hint = () => text("#preview-trouble");
    const selected = () => page.$eval("#tab-presign", (tab) => tab.getAttribute("aria-selected"));
    await open(OBJECT.replace("%C3%BC", "%FF"));
    assert.match(await hint(), /not percent-encoded UTF-8/);
    assert.equal(await selected(), "true");
    await open(OBJECT.replace("b-1", "B_1"));
    assert.match(await hint(), /bucket/);
    assert.equal(await selected(), "true");
    const others = ["https://eu-west-1.console.aws.amazon.com/ec2/home", "https://example.org/?a=\\%FF", "about:blank"];
    for (const other of others) {
      await open(other);
      assert.match(await hint(), /^Open an object/, other);
      assert.equal(await selected(), "false", other);
    }
  });

  test("what cannot be signed says why before the key is asked", async () => {
    await open(OBJECT);
    const check = async (selector, value, message) => {
      await type(selector, value);
      assert.match(await text("#preview-trouble"), message);
      assert.equal(await page.$eval("#sign", (button) => button.disabled), true);
    };
    await page.$eval("#object-key", (input) => {
      input.value = "x".repeat(1024);
    });
    await page.type("#object-key", "y");
    assert.match(await text("#preview-trouble"), /1025 bytes/);
    await type("#object-key", "x");
    assert.equal(await page.$eval("#sign", (button) => button.disabled), false);
    await check("#bucket", "Not_A_Bucket", /bucket/i);
    await type("#bucket", "b-1");
    await check("#region", "nowhere", /region/);
    await type("#region", "eu-west-1");
    await check("#endpoint", "ftp://x", /endpoint/);
  });

  test("an endpoint that the user has not allowed is refused by the host", async () => {
    await open(OBJECT);
    await type("#endpoint", "http://127.0.0.1:9");
    await page.click("#sign");
    await trouble("forbidden", /127\.0\.0\.1:9/, /allow_endpoints/);
  });

  test("a page that looks like the sign-in is warned of", async () => {
    await open("https://signin.aws.amazon.com.evil.test/oauth");
    assert.match(await text("#warning:not([hidden])"), /another site/);
    await open("https://us-east-1.signin.aws.amazon.com/oauth");
    assert.equal(await page.$eval("#warning", (card) => card.hidden), true);
  });

  test("a sign-in host that needs the person's permission is offered, others are not", async () => {
    const offered = async (url, expected) => {
      await open(url);
      assert.equal(await page.$eval("#allow", (card) => !card.hidden), expected, url);
    };
    await offered("https://us-gov-west-1.signin.amazonaws-us-gov.com/oauth", true);
    assert.equal(await text("#allow-host"), "us-gov-west-1.signin.amazonaws-us-gov.com");
    await offered("https://us-east-1.signin.aws.amazon.com/oauth", false);
    await offered("https://signin.amazonaws-us-gov.com.evil.test/oauth", false);
  });

  test("the tabs go by keyboard", async () => {
    await open();
    await page.focus("#tab-codes");
    await page.keyboard.press("ArrowRight");
    assert.equal(await page.evaluate(() => document.activeElement.id), "tab-presign");
    assert.equal(await page.$eval("#codes-panel", (panel) => panel.hidden), true);
  });
});

describe("popup on a locked key", { timeout: 120_000 }, () => {
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
    await page.waitForSelector('[data-account="AWS SSO:bob"] button[data-state=code]');
    assert.equal(await page.$eval("#unlock", (form) => form.hidden), true);
    assert.equal(await page.$eval("#password", (input) => input.value), "");
  });

  test("it is locked again by the button, for the command line as well", async () => {
    await open();
    await page.waitForSelector('[data-account="AWS SSO:bob"] button[data-state=code]');
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

describe("popup without a key", { timeout: 120_000 }, () => {
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

describe("popup on another host", { timeout: 120_000 }, () => {
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

  const row = (name) => `[data-account="${name}"] button`;
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
    await trouble("ambiguous", /two keys/i, /1, 2/);
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
    await page.click(row("AWS:a"));
    await picture(page, "popup-code-expired");
    await trouble("code-expired", /^That code ran out while you touched$/, /click .*again/i);
    assert.equal(await shown("AWS:a"), "Touch");
    assert.equal(await page.$eval("#retry", (button) => button.hidden), true);
    await page.click(row("AWS:a"));
    await page.waitForSelector(`${row("AWS:a")}[data-state=code]`);
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
    await page.click(row("AWS:a"));
    await page.waitForSelector(`${row("AWS:a")}[data-state=wait]`);
    await until("the reason", async () => (await text("#status")) === "Waiting: this code of AWS:a is about to run out");
    assert.equal(await shown("AWS:a"), "Waiting…");
    await picture(page, "popup-waiting");
    await page.waitForSelector(`${row("AWS:a")}[data-state=touch]`);
    assert.equal(await text("#status"), "Touch for this");
    await page.waitForSelector(`${row("AWS:a")}[data-state=code]`);
    assert.equal(await shown("AWS:a"), "222 222");
    assert.equal(await text("#status"), "");
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
    assert.equal(await page.$eval(row("AWS:a"), (button) => button.hasAttribute("data-used")), true);
    assert.match(await text('[data-account="AWS:a"] .used'), /^Used; the next in (19|20) s$/);
    assert.equal(await page.$eval(row("AWS:b"), (button) => button.hasAttribute("data-used")), false);
    await picture(page, "popup-used");
    await page.click(row("AWS:a"));
    await page.waitForFunction((selector) => document.querySelector(selector).textContent === "Waiting…", {},
      '[data-account="AWS:a"] .code');
    await page.waitForFunction((selector) => document.querySelector(selector).textContent === "222 222", {},
      '[data-account="AWS:a"] .code');
    assert.equal(await page.$eval(row("AWS:a"), (button) => button.hasAttribute("data-used")), false);
    assert.equal(host.asked("code")[0].op.fresh, true);
    // Copied, it is no more used than before: nobody gave it to AWS.
    await page.click(row("AWS:a"));
    await until("the copy", async () => /cop/.test(await text("#status")));
    assert.equal(host.asked("submitted").length, 0);
  });

  for (const [what, op, press] of [
    ["a code", "code", () => page.click(row("AWS:a"))],
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
    await page.click(row("AWS:a"));
    await page.waitForSelector(`${row("AWS:a")}[data-state=code]`);
    await page.click(row("AWS:b"));
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
    await page.waitForSelector(`${row("AWS:b")}[data-state=code]`);
    assert.equal(await shown("AWS:b"), "222 222");
    assert.equal(await text("#status"), "");
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
