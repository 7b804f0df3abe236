// "Scan this page" in real Chromium, opened by the toolbar's button on pages that show QR codes in every way; with the real host
// and a software key, and with hosts that fail.

import assert from "node:assert/strict";
import { appendFileSync, cpSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, afterEach, before, describe, test } from "node:test";

import { accessible } from "../../tests/browser/axe.js";
import { Home, launch, Pages, picture, tool, until } from "../../tests/browser/harness.js";
import { FakeHost } from "./fake-host.js";
import { page as html, png, SHOWN } from "./qr-pages.js";

/** RFC 6238's secret, "12345678901234567890". */
const RFC_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const uriOf = (label, more = "") => `otpauth://totp/${encodeURIComponent(label)}?secret=${RFC_SECRET}${more}`;
const ALICE = "Amazon Web Services:alice@123456789012";

let home, pages, browser, site, popup;

/** Opens the popup on a page with that body, as a click on the toolbar's button does, and has it scan. */
async function scan(body, { scheme = "light", host = "example.org" } = {}) {
  pages.files.set("/setup", html(body));
  await site.goto(`https://${host}/setup`);
  await open(scheme);
}

async function open(scheme = "light") {
  await site.bringToFront();
  const [extension] = (await browser.extensions()).values();
  await extension.triggerAction(site);
  const target = await browser.waitForTarget((target) => target.url().endsWith("/popup.html"), { timeout: 10_000 });
  popup = await target.asPage();
  await popup.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await popup.waitForSelector("body[data-ready]");
  await popup.click("#scan-open");
}

const text = (selector) => popup.$eval(selector, (element) => element.textContent.trim());
const there = (selector) => popup.waitForSelector(selector, { timeout: 15_000 });
const save = async () => {
  await there(".scan button.wide:not([disabled])");
  await popup.click(".scan button.wide");
};

/** A state that people look at, and that screen readers read. */
async function shown(name) {
  await picture(popup, name);
  await accessible(popup);
}

async function start(environment) {
  home = new Home();
  const own = home.environment.bind(home);
  home.environment = () => ({ ...own(), KEYFOB_SOFT_TOUCH: "300", ...environment });
  pages = await Pages.start(home);
}

async function stop() {
  await browser?.close();
  pages?.stop();
  home?.remove();
}

describe("scanning a page, with a software key", { timeout: 300_000 }, () => {
  before(async () => {
    await start({ KEYFOB_KEY: "soft:test" });
    await home.keyfob(["soft", "create", "test"]);
    browser = await launch("chromium", home, pages);
    site = await browser.newPage();
  });
  after(stop);
  afterEach(() => popup?.close().catch(() => undefined));

  test("a code is shown for what it is, saved with touch required, checked, and is there on the command line", async () => {
    await scan(SHOWN.img(uriOf(ALICE, "&issuer=Amazon%20Web%20Services")));
    await there(".found-account");
    assert.equal(await text(".found-account b"), "alice");
    assert.match(await text(".found-account small"), /Amazon Web Services.*123456789012/);
    await there(".tick:not([data-key]) input:checked");
    await shown("scan-found-light");
    await save();
    await there(".progress li[data-state=touch]");
    assert.match(await text("#status"), /confirm Amazon Web Services:alice@123456789012/);
    await picture(popup, "scan-touch-light");
    await there(".progress li[data-state=done]");
    await shown("scan-done-light");
    const codes = await popup.$$eval(".enrol-codes .code", (all) => all.map((each) => each.textContent));
    const [now] = [Math.floor(Date.now() / 1000)];
    assert((await home.keyfob(["oath", "list"])).includes(ALICE));
    const printed = await home.keyfob(["code", "alice", "--at", "1970-01-01T00:00:59Z"]);
    assert.match(printed, /287082/, "the RFC's code");
    const both = await Promise.all([now - 30, now].map((at) =>
      home.keyfob(["code", "alice", "--at", new Date(at * 1000).toISOString().replace(/\.\d+/, "")])));
    codes.forEach((code, i) => assert(both[i].includes(code) || both.join().includes(code), `${both} ${code}`));
    await popup.click(".scan button.wide");
    await there("#codes [data-account]");
  });

  test("every way to show a code; a name that is taken becomes another, and nothing is overwritten", async () => {
    for (const [way, shows] of Object.entries(SHOWN)) {
      await scan(shows(uriOf(ALICE)));
      await there(".found-account");
      assert.equal(await text(".found-account b"), "alice", way);
      await popup.close();
    }
    await scan(SHOWN.svg(uriOf(ALICE)), { scheme: "dark" });
    await there(".scan .remark");
    assert.match(await text(".scan .remark"), /alice-2@123456789012/);
    await shown("scan-renamed-dark");
    await save();
    await there(".progress li[data-state=done]");
    await picture(popup, "scan-done-dark");
    const names = await home.keyfob(["oath", "list"]);
    assert(names.includes(ALICE) && names.includes("Amazon Web Services:alice-2@123456789012"), names);
  });

  test("a picture of another site is read off the screen; so is one in another site's frame", async () => {
    pages.files.set("/qr.png", { type: "image/png", body: png(uriOf("AWS SSO:bob")) });
    await scan('<img src="https://other.test/qr.png">');
    await there(".found-account");
    assert.equal(await text(".found-account b"), "bob");
    await popup.close();
    pages.files.set("/framed", html('<img src="/qr.png">'));
    await scan('<iframe src="https://other.test/framed" width="400" height="400"></iframe>');
    await there(".found-account");
    assert.equal(await text(".found-account b"), "bob");
  });

  test("links and text, and several accounts to choose from", async () => {
    await scan(`<a href="${uriOf("GitHub:carol")}">Open in app</a><pre>${uriOf("AWS SSO:dave")}</pre>${SHOWN.img(uriOf("AWS SSO:erin"))}`);
    await there(".found-accounts");
    assert.deepEqual(await popup.$$eval(".found-accounts b", (all) => all.map((each) => each.textContent)), ["carol", "dave", "erin"]);
    await shown("scan-several-light");
    await popup.click(".found-accounts li:first-child button");
    await there(".scan .remark");
    assert.match(await text(".scan .remark"), /not for AWS/);
    await shown("scan-not-aws-light");
    await save();
    await there(".progress li[data-state=done]");
    assert.match(await text(".progress small"), /^Saved$/, "browsers are told nothing of it");
    const printed = await home.keyfob(["code", "carol", "--at", "1970-01-01T00:00:59Z"]);
    assert.match(printed, /287082/);
    await popup.click(".scan button.wide");
    assert(!(await popup.content()).includes("carol"));
  });

  test("what nobody sees is not scanned; a frame that loads for ever keeps nothing from being found; frames say whose they are", async () => {
    const hidden = (style) => `<a style="${style}" href="${uriOf("GitHub:mallory")}">x</a>`;
    await scan(`${hidden("display:none")}${hidden("opacity:0")}<div style="visibility:hidden">${hidden("")}</div>
      <input type="hidden" value="${uriOf("GitHub:mallory")}">${SHOWN.img(uriOf("AWS SSO:dave"))}`);
    await there(".found-account");
    assert.equal(await text(".found-account b"), "dave");
    await there(".scan button.wide");
    await popup.close();
    // A page that is still being loaded, in a frame of its own site and one of another.
    pages.files.set("/slow", { ...html(""), waits: true });
    pages.files.set("/setup", html(SHOWN.img(uriOf("AWS SSO:erin"))));
    await site.goto("https://example.org/setup");
    await site.evaluate(() => {
      for (const src of ["/slow", "https://other.test/slow"]) document.body.append(Object.assign(document.createElement("iframe"), { src }));
    });
    await open();
    await there(".found-account");
    assert.equal(await text(".found-account b"), "erin");
    await popup.close();
    // Another site of ours, in a frame: found, and not taken for the page's.
    pages.files.set("/framed", html(SHOWN.img(uriOf("AWS SSO:eve"))));
    await scan('<iframe src="https://us-east-1.signin.aws.amazon.com/framed" width="500" height="500"></iframe>');
    await there(".found-accounts");
    assert.match(await text(".found-accounts .hint"), /^From us-east-1\.signin\.aws\.amazon\.com/);
    await popup.click(".found-accounts button");
    await there(".scan button.wide");
  });

  test("what sets up nothing says what it is", async () => {
    const check = async (body, found) => {
      await scan(body);
      await there(`.scan [data-found="${found}"]`);
      await popup.close();
    };
    await check("<p>Nothing here</p>", "none");
    await check(SHOWN.img("https://example.org/"), "other");
    await check(SHOWN.canvas("otpauth-migration://offline?data=CjEKCkhlbGxvId6tvu8SGEV4YW1wbGU"), "migration");
    await check(SHOWN.img(uriOf("x").replace("totp", "hotp") + "&counter=0"), "hotp");
    await check(SHOWN.img("otpauth://totp/x?secret=not-base32!"), "invalid");
    await check(SHOWN.img(`otpauth://totp/Amazon%20Web%20Services:a%E2%80%AEb?secret=${RFC_SECRET}`), "invalid");
    // Nothing but finder patterns: the reader would take hours, and is ended. What is beside it is found.
    await scan(`<canvas id="finders" width="900" height="900"></canvas><script>
      const context = document.getElementById("finders").getContext("2d");
      context.fillStyle = "#fff"; context.fillRect(0, 0, 900, 900);
      for (let x = 5; x < 890; x += 9) for (let y = 5; y < 890; y += 9) {
        for (const [side, colour] of [[7, "#000"], [5, "#fff"], [3, "#000"]]) {
          context.fillStyle = colour; context.fillRect(x + (7 - side) / 2, y + (7 - side) / 2, side, side);
        }
      }
    </script>${SHOWN.img(uriOf("AWS SSO:frank"))}`);
    await there(".found-account");
    assert.equal(await text(".found-account b"), "frank");
    await popup.close();
    await site.goto("chrome://version");
    await open("dark");
    await there('.scan [data-found="blocked"]');
    await picture(popup, "scan-blocked-dark");
  });
});

describe("saving to several keys", { timeout: 180_000 }, () => {
  let host;

  before(async () => {
    await start({});
    browser = await launch("chromium", home, pages);
    host = new FakeHost(home);
    site = await browser.newPage();
  });
  after(stop);
  afterEach(async () => {
    await popup?.close().catch(() => undefined);
    host.end();
  });

  /** Two keys, the second locked until it is unlocked; on the second no touch comes the first time. */
  const TWO_KEYS = `(request) => {
    const { id, op } = request;
    const keys = [key, { ...key, id: "2", label: "Reader 2", name: "Backup" }];
    const mine = keys.find((each) => each.id === (request.key ?? "1"));
    const done = (answer) => frame({ type: "done", id, answer });
    switch (op.name) {
      case "keys": return done({ name: "keys", keys });
      case "identities": return done({ name: "identities", key: mine, identities: [] });
      case "unlock":
        if (op.password !== "secret") return failed(id, { code: "wrong-password", message: "that password is wrong" });
        globalThis.open = true;
        return done({ name: "unlocked" });
      case "accounts":
        if (mine.id === "2" && !globalThis.open) return failed(id, { code: "locked", message: "the key wants its password",
          wants: { key: "2", what: "the password of the key in Reader 2" } });
        return done({ name: "accounts", key: mine, accounts: [] });
      // As a key keeps a name that is too long for it.
      case "add-account": return done({ name: "written", written: op.account.slice(0, 30), replaced: false });
      case "confirm-account": {
        const codes = [0, 30, 60].map((from, i) => code(String(i + 1).repeat(6), now() - 30 + from, now() + from));
        const answer = done({ name: "confirmed", codes });
        if (mine.id === "2" && !globalThis.missed) {
          globalThis.missed = true;
          setTimeout(() => write(failed(id, { code: "touch-timeout", message: "no touch came" })), 400);
        } else setTimeout(() => write(answer), 300);
        return touch(id);
      }
    }
  }`;

  test("a backup is suggested; a locked key is unlocked here; one that was not touched is asked again, alone", async () => {
    host.answers(TWO_KEYS);
    await scan(SHOWN.img(uriOf(ALICE)), { scheme: "dark" });
    await there('.tick[data-key="1"] input:checked');
    assert.match(await text(".keys > .hint"), /second key/);
    await shown("scan-locked-dark");
    const password = ".keys .unlock input";
    await popup.type(password, "wrong");
    await popup.keyboard.press("Enter");
    await popup.waitForFunction(() => /wrong/i.test(document.querySelector(".keys .unlock .hint").textContent));
    await popup.type(password, "secret");
    await popup.keyboard.press("Enter");
    await there('.tick[data-key="2"] input:checked');
    await save();
    await there('.progress li[data-key="1"][data-state=done]');
    await there('.progress li[data-key="2"][data-state=touch]');
    await picture(popup, "scan-second-touch-dark");
    await there('.progress li[data-key="2"][data-state=failed][data-code="touch-timeout"]');
    await shown("scan-not-touched-dark");
    await popup.click(".scan button.primary");
    await there('.progress li[data-key="2"][data-state=done]');
    assert.deepEqual(host.asked("add-account").map(({ key, op }) => [key, op.touch, op.overwrite]), [["1", true, false], ["2", true, false]]);
    assert.deepEqual(host.asked("confirm-account").map(({ key }) => key), ["1", "2", "2"]);
    assert.deepEqual(await popup.$$eval(".enrol-codes .code", (all) => all.map((each) => each.textContent)), ["111111", "222222"]);
    await shown("scan-both-done-dark");
  });

  test("without a touch, to one of them; leaving takes nothing back and keeps nothing", async () => {
    host.answers(TWO_KEYS);
    await scan(SHOWN.img(uriOf(ALICE)));
    await there(".tick:not([data-key])");
    await popup.click(".tick:not([data-key]) input");
    await save();
    await there('.progress li[data-state=done]');
    assert.deepEqual(host.asked("add-account").map(({ key, op }) => [key, op.touch]), [["1", false]]);
    assert.equal(await popup.$(".scan .remark"), null, "no old account is spoken of, for there is none");
    await popup.click("#scan-panel .back");
    assert.equal(await popup.$eval(".scan", (place) => place.childElementCount), 0);
    const stored = await popup.evaluate(async () => JSON.stringify([await chrome.storage.local.get(), await chrome.storage.session.get(), { ...localStorage }]));
    assert(!stored.includes("alice") && !stored.includes("GEZD"), stored);
  });

  test("a key that was taken out, and another host that has one", async () => {
    // It is there when the popup opens, and gone when it comes to saving.
    host.answers(`({ id, op }) => op.name === "keys" ? frame({ type: "done", id, answer: { name: "keys", keys: [] } })
      : op.codes ? frame({ type: "done", id, answer: { name: "accounts", key, accounts: [] } })
      : failed(id, { code: "no-key", message: "no key is plugged in" })`);
    await scan(SHOWN.img(uriOf(ALICE)));
    await there('.scan .card.bad[data-code="no-key"]');
    await shown("scan-no-key-light");
    host.answers(TWO_KEYS);
    host.end();
    await until("another host", async () => {
      await popup.click(".scan .card.bad button").catch(() => undefined);
      return popup.$(".keys");
    });
  });
});

// Firefox's automation opens no popup: there its background does what the popup's scan does.
describe("what a page shows, in Firefox", { timeout: 120_000 }, () => {
  let extension;

  before(async () => {
    await start({});
    extension = path.join(home.path, "extension");
    cpSync(tool("KEYFOB_EXTENSION"), extension, { recursive: true });
    appendFileSync(path.join(extension, "background.js"), `
      import { readQr as readQrForTest } from "./scan.js";
      chrome.runtime.onMessage.addListener((message, { tab }) => message.ask === "test" && (async () => {
        const target = { tabId: tab.id, allFrames: true };
        await chrome.scripting.executeScript({ target, files: ["page.js", "pictures.js"] });
        const results = await chrome.scripting.executeScript({ target, files: ["collect.js"] });
        const { pictures, addresses } = results[0].result;
        return [...addresses, ...(await Promise.all(pictures.map(readQrForTest))).flat()];
      })());`);
    writeFileSync(path.join(extension, "test.js"), `
      chrome.runtime.sendMessage({ ask: "test" }).then(
        (texts) => (document.title = JSON.stringify(texts)),
        (error) => (document.title = String(error)),
      );`);
    const manifest = JSON.parse(readFileSync(path.join(extension, "manifest.json"), "utf8"));
    manifest.content_scripts.push({ matches: ["https://*.signin.aws.amazon.com/setup"], js: ["test.js"], run_at: "document_idle" });
    writeFileSync(path.join(extension, "manifest.json"), JSON.stringify(manifest));
    browser = await launch("firefox", home, pages, { extension });
    site = await browser.newPage();
  });
  after(stop);

  test("every way to show a code", async () => {
    // What only the screen shows is the popup's.
    const { table: _table, frame: _frame, ...ways } = SHOWN;
    const body = Object.entries(ways).map(([way, shows]) => shows(uriOf(`AWS SSO:${way}`))).join("\n");
    pages.files.set("/setup", html(`${body}<a href="${uriOf("AWS SSO:link")}">Open in app</a>`));
    await site.goto("https://eu-west-1.signin.aws.amazon.com/setup");
    const title = await until("the codes", async () => (await site.title()).startsWith("[") && site.title());
    const names = JSON.parse(title).map((uri) => decodeURIComponent(new URL(uri).pathname).replace(/^.*:/, "")).sort();
    assert.deepEqual(names, [...Object.keys(ways), "link"].sort());
  });
});
