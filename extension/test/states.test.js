// Each state of the popup, put on screen with a host made for it: held against axe-core's rules, in light and in dark, and
// kept as pictures for people to look at.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import { accessible } from "../../tests/browser/axe.js";
import { Home, launch, Pages, picture, until } from "../../tests/browser/harness.js";
import { FakeHost } from "./fake-host.js";

/** What the hosts of these states answer, but for `more`: a table of functions by the operation's name. */
const HOST = (more = "{}") => `(request) => {
  const { id, op, key: chosen } = request;
  const done = (answer) => frame({ type: "done", id, answer });
  const until = Math.ceil(now() / 30) * 30;
  const aws = (device, account, flow = "iam") => ({ account, device, flow });
  const all = [
    account("Amazon Web Services:alice@123456789012", { aws: aws("alice", "123456789012") }),
    account("Amazon Web Services:root-account-mfa-device@210987654321", { touch: false, digits: 6,
      aws: aws("root-account-mfa-device", "210987654321"), code: code("271828", now() - 8, now() + 22) }),
    account("AWS SSO:bob", { aws: aws("bob", undefined, "identity-center") }),
    account("Example:carol", { touch: false, aws: undefined, code: code("314159", now() - 27, now() + 3) }),
  ];
  const table = {
    keys: () => done({ name: "keys", keys: [{ ...key, locked: true }] }),
    accounts: () => done({ name: "accounts", key, accounts: all }),
    identities: () => done({ name: "identities", key, identities: [{ access_key_id: "AKIAIOSFODNN7EXAMPLE", signature: "SigV4" }] }),
    lock: () => done({ name: "locked" }),
    ...(${more}),
  };
  return table[op.name]?.() ?? null;
}`;

const ALICE = '[data-account="Amazon Web Services:alice@123456789012"]';
const CONSOLE = "https://eu-west-1.console.aws.amazon.com/s3/object/photos?region=eu-west-1&bucketType=general&prefix=2026/summer.jpg";
const failing = (code, message, more = "{}") => HOST(`{ accounts: () => failed(id, { code: "${code}", message: "${message}", ...${more} }) }`);
const state = (name) => (page) => page.waitForSelector(`${ALICE}[data-state=${name}]`);
const press = (expected) => async (page) => {
  await page.click(`${ALICE} .row`);
  await state(expected)(page);
};
const TOUCH = "{ code: () => touch(id, { prompt: 'Touch your key: code of Amazon Web Services:alice@123456789012' }) }";
const account = async (page) => {
  await page.click(`${ALICE} .manage`);
  await page.waitForSelector("#account-panel:not([hidden])");
};
const add = async (page) => {
  await page.click("#add-open");
  await page.waitForSelector("#add-panel:not([hidden])");
};
const MANY = `{ accounts: () => done({ name: "accounts", key: { ...key, name: "The key with the long name that hangs on the wall" },
  accounts: Array.from({ length: 64 }, (_, i) => account("Amazon Web Services:a-device-with-quite-a-long-name-" + i + "@the-production-of-everything",
    { touch: i % 3 === 0, aws: aws("a-device-with-quite-a-long-name-" + i, "the-production-of-everything"),
      ...(i % 3 ? { code: code(String(100000 + i * 7919), now() - 10, now() + 20) } : {}) })) }) }`;

/** Name of the state; the host; what a person does; the address of the page it was opened on. */
const STATES = [
  ["codes", HOST()],
  ["search", HOST(), async (page) => {
    await page.keyboard.type("210");
    await page.waitForSelector("#codes li[data-first]");
  }],
  ["search-none", HOST(), async (page) => {
    await page.keyboard.type("staging");
    await page.waitForSelector("#found:not(.unseen):not(:empty)");
  }],
  ["reading", HOST("{ accounts: () => null }"), undefined, "about:blank", { busy: true }],
  ["empty", HOST('{ accounts: () => done({ name: "accounts", key, accounts: [] }) }'), (page) => page.waitForSelector("#no-codes:not([hidden])")],
  ["waiting", HOST("{ code: () => waiting(id, 'this code of alice is about to run out') }"), press("waiting")],
  ["touch", HOST(TOUCH), press("touch")],
  ["done", HOST('{ code: () => done({ name: "code", account: op.account, code: code("161803", now(), now() + 28) }) }'), press("done")],
  ["timed-out", HOST('{ code: () => failed(id, { code: "touch-timeout", message: "nobody touched the key" }) }'), press("timed-out")],
  ["cancelled", HOST(TOUCH), async (page) => {
    await press("touch")(page);
    await page.click(`${ALICE} .cancel`);
    await state("cancelled")(page);
  }],
  ["expired", HOST('{ code: () => done({ name: "code", account: op.account, code: code("161803", now() - 30, now()) }) }'), press("expired")],
  ["used", HOST(`{ accounts: () => done({ name: "accounts", key, accounts: [
    account("Amazon Web Services:alice@123456789012", { touch: false, code: { ...code("161803", now() - 10, now() + 20), submitted: true } })] }) }`),
    (page) => page.waitForSelector("#codes li[data-used]")],
  ["unlock", HOST(`{ code: () => failed(id, { code: "locked", message: "the key wants its password",
    wants: { key: "1", what: "the password of the key in Reader 1" } }) }`), press("unlock")],
  ["locked", failing("locked", "the key wants its password", "{ wants: { key: '1', what: 'the password of the key in Reader 1' } }"),
    (page) => page.waitForSelector("#unlock:not([hidden])")],
  ["no-key", failing("no-key", "no key was found"), (page) => page.waitForSelector("#trouble:not([hidden])")],
  ["no-pcsc", failing("no-pcsc", "the smart card service does not run", "{ hint: 'run `systemctl start pcscd`' }"),
    (page) => page.waitForSelector("#trouble:not([hidden])")],
  ["busy", HOST("{ code: () => failed(id, { code: 'busy', message: 'another program has the key', hint: 'close it: gpg-agent (pid 12)' }) }"),
    async (page) => {
      await press("failed")(page);
      await page.waitForSelector("#trouble:not([hidden])");
    }],
  ["several", HOST(`{ keys: () => done({ name: "keys", keys: [key, { ...key, id: "2", name: "The one at home" }, { ...key, id: "soft:demo", kind: "software" }] }),
    accounts: () => failed(id, { code: "ambiguous", message: "there are several keys", candidates: ["1", "2"] }) }`),
    (page) => page.waitForSelector("#key:not([hidden])")],
  ["software", HOST('{ accounts: () => done({ name: "accounts", key: { ...key, id: "soft:demo", kind: "software" }, accounts: all }) }'),
    (page) => page.waitForSelector("#software-badge:not([hidden])")],
  ["lookalike", HOST(), (page) => page.waitForSelector("#warning:not([hidden])"), "https://signin.aws.amazon.com.evil.test/oauth"],
  ["allow", HOST(), (page) => page.waitForSelector("#allow:not([hidden])"), "https://us-gov-west-1.signin.amazonaws-us-gov.com/oauth"],
  ["account", HOST(), account],
  ["delete", HOST(), async (page) => {
    await account(page);
    await page.click("#delete");
    await page.waitForSelector("#delete-sure:not([hidden])");
  }],
  ["delete-touch", HOST("{ 'delete-account': () => touch(id) }"), async (page) => {
    await account(page);
    await page.click("#delete");
    await page.click("#delete-yes");
    await page.waitForSelector("#delete-yes[data-state=touch]");
  }],
  ["rename-refused", HOST("{ 'rename-account': () => failed(id, { code: 'exists', message: 'Amazon Web Services:bob@123456789012 is on this key already', hint: 'choose another name' }) }"),
    async (page) => {
      await account(page);
      await page.$eval("#rename-to", (input) => (input.value = "Amazon Web Services:"));
      await page.type("#rename-to", "bob@123456789012");
      await page.click("#rename-submit");
      await page.waitForSelector("#account-trouble:not([hidden])");
    }],
  ["add", HOST(), add],
  ["add-refused", HOST(), async (page) => {
    await add(page);
    await page.click("#add-show");
    await page.type("#add-secret", "0O1l");
    await page.keyboard.press("Enter");
    await page.waitForSelector("#add-trouble:not([hidden])");
  }],
  ["add-keys", HOST(), async (page) => {
    await add(page);
    await page.type("#add-account", "dave@123456789012");
    await page.type("#add-secret", "JBSW Y3DP EHPK 3PXP");
    await page.click("#add-submit");
    await page.waitForSelector("#add-saver .keys");
  }],
  ["many", HOST(MANY), (page) => page.waitForSelector("#codes li:nth-child(64)")],
  ["many-narrow", HOST(MANY), async (page) => {
    await page.waitForSelector("#codes li:nth-child(64)");
    // As wide as the popup is at 200 %, in a small window.
    await page.setViewport({ width: 320, height: 300 });
  }],
  ["right-to-left", HOST(), async (page) => {
    await page.evaluate(() => (document.documentElement.dir = "rtl"));
    await page.evaluate(() => document.querySelector("#codes .name").textContent = "أليس");
  }],
];

describe("states of the popup", { timeout: 360_000 }, () => {
  let home, pages, browser, page, host;

  before(async () => {
    home = new Home();
    pages = await Pages.start(home);
    browser = await launch("chromium", home, pages);
    host = new FakeHost(home);
  });
  after(async () => {
    await browser?.close();
    pages?.stop();
    home?.remove();
  });
  beforeEach(async () => {
    page = await browser.newPage();
    await page.setViewport({ width: 380, height: 600 });
  });
  afterEach(async () => {
    await page.close();
    host.end();
  });

  /** Nothing is cut off at the sides. */
  const fits = async () => {
    const [inner, outer] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert(inner <= outer, `${inner} px in ${outer}`);
  };

  for (const [name, answers, act, url = "about:blank", { busy = false } = {}] of STATES) {
    test(name, async () => {
      const errors = [];
      page.on("pageerror", (error) => errors.push(error.message));
      host.answers(answers);
      await page.goto(`chrome-extension://${browser.extensionId}/popup.html?tab=${encodeURIComponent(url)}`);
      await page.waitForSelector(busy ? "#codes[aria-busy=true]" : "body[data-ready]");
      await act?.(page);
      for (const scheme of ["light", "dark"]) {
        await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme },
          // A picture of an animation is never the same.
          { name: "prefers-reduced-motion", value: "reduce" }]);
        await picture(page, `popup-${name}-${scheme}`);
        await accessible(page);
      }
      await fits();
      assert.deepEqual(errors, []);
    });
  }

  test("contrast", async () => {
    host.answers(HOST(TOUCH));
    await page.goto(`chrome-extension://${browser.extensionId}/popup.html`);
    await page.waitForSelector("body[data-ready]");
    await press("touch")(page);
    // puppeteer knows only some of them.
    const session = await page.createCDPSession();
    const media = (features) =>
      session.send("Emulation.setEmulatedMedia", { features: Object.entries(features).map(([name, value]) => ({ name, value })) });
    for (const scheme of ["light", "dark"]) {
      await media({ "prefers-color-scheme": scheme, "prefers-contrast": "more" });
      await picture(page, `popup-contrast-${scheme}`);
      await accessible(page);
    }
    await media({ "forced-colors": "active" });
    await picture(page, "popup-forced-colors");
  });
});
