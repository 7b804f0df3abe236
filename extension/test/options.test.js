// The options in real Chromium: what is set is kept, what is stored is looked at, sites are allowed and withdrawn.

import assert from "node:assert/strict";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import { accessible } from "../../tests/browser/axe.js";
import { Home, launch, Pages, picture, tool, until } from "../../tests/browser/harness.js";
import { FakeHost } from "./fake-host.js";

describe("options", { timeout: 240_000 }, () => {
  let home, pages, browser, host, page, extension;

  before(async () => {
    home = new Home();
    pages = await Pages.start(home);
    extension = path.join(home.path, "extension");
    cpSync(tool("KEYFOB_EXTENSION"), extension, { recursive: true });
    browser = await launch("chromium", home, pages, { extension });
    host = new FakeHost(home);
    host.answers("() => null");
  });
  after(async () => {
    await browser?.close();
    host?.end();
    pages?.stop();
    home?.remove();
  });
  beforeEach(async () => {
    page = await browser.newPage();
    await page.setViewport({ width: 900, height: 1000 });
  });
  afterEach(async () => {
    await page.evaluate(() => chrome.storage?.local.clear()).catch(() => undefined);
    await page.close();
  });

  const open = async (stored = {}) => {
    await page.goto(`chrome-extension://${browser.extensionId}/options.html`);
    await page.evaluate((stored) => chrome.storage.local.set(stored), stored);
    await page.reload();
    await page.waitForSelector("body[data-ready]");
  };
  const stored = () => page.evaluate(() => chrome.storage.local.get());
  const text = (selector) => page.$eval(selector, (element) => element.textContent.trim());
  /** What the modules of the extension say, in its own page. */
  const settings = () => page.evaluate(async () => (await import("./settings.js")).settings());

  test("what is off at first is switched on, kept, and shown when it is changed elsewhere", async () => {
    await open();
    for (const name of ["fillWithoutClick", "submit"]) {
      assert.equal(await page.$eval(`#${name}`, (box) => box.checked), false);
      await page.click(`#${name}`);
      await until("it to be kept", async () => (await stored())[name] === true);
      assert.equal((await settings())[name], true);
      await page.evaluate((name) => chrome.storage.local.set({ [name]: false }), name);
      await until("it to show", () => page.$eval(`#${name}`, (box) => !box.checked));
    }
    assert.equal(await text("#extension-version"), await page.evaluate(() => chrome.runtime.getManifest().version));
    assert.equal(await text("#program-version"), "9.9.9");
    assert.equal(await text('[data-command="fill"]'), "Alt+Shift+K");
  });

  test("remembered accounts: the newest first, forgotten one by one and all at once", async () => {
    await open();
    await page.evaluate(async () => {
      const { remember } = await import("./settings.js");
      await Promise.all([remember("a", "1"), remember("b", "2"), remember("c", "3")]);
      await remember("a", "4");
    });
    const shown = () => page.$$eval("#remembered .setting", (rows) => rows.map((row) => [...row.firstChild.children].map((each) => each.textContent).join("=")));
    await until("all of them", async () => (await shown()).length === 3);
    await until("their order", async () => (await shown())[0] === "a=4");
    assert.deepEqual(await shown(), ["a=4", "c=3", "b=2"]);
    await page.click("#remembered button");
    await until("one less", async () => (await shown()).length === 2);
    assert.deepEqual((await settings()).choices, { b: "2", c: "3" });
    await page.click("#forget-all");
    await until("none", () => page.$eval("#no-choices", (line) => line.checkVisibility()));
    assert.deepEqual((await settings()).choices, {});
  });

  test("no more than 50 are remembered: the oldest go", async () => {
    await open();
    const choices = await page.evaluate(async () => {
      const { remember, settings } = await import("./settings.js");
      for (let i = 0; i < 52; i++) await remember(`login ${i}`, `${i}`);
      await remember("x".repeat(513), "long");
      await remember("", "empty");
      return (await settings()).choices;
    });
    assert.equal(Object.keys(choices).length, 50);
    assert.deepEqual([choices["login 1"], choices["login 2"], choices["login 51"]], [undefined, "2", "51"]);
  });

  test("what is stored is looked at before it is believed", async () => {
    const defaults = { fillWithoutClick: false, submit: false, choices: {}, link: { method: "GET", expires: 3600 } };
    for (const nonsense of [null, 7, "x".repeat(600), [], {}, [["a"], 3, ["a", ""]], { method: "DELETE", expires: 1e9, identity: 3 }]) {
      await open(Object.fromEntries(["key", "fillWithoutClick", "submit", "choices", "link"].map((name) => [name, nonsense])));
      assert.deepEqual(await settings(), defaults, JSON.stringify(nonsense));
    }
    await open({ choices: [["a", "1"], ["__proto__", "2"]], link: { method: "PUT", expires: 60, identity: "AKIA" } });
    assert.equal(JSON.stringify((await settings()).choices), '{"a":"1","__proto__":"2"}');
    assert.deepEqual((await settings()).link, { method: "PUT", expires: 60, identity: "AKIA" });
  });

  test("links begin with what is chosen here", async () => {
    await open({ link: { method: "PUT", expires: 5400, identity: "AKIAIOSFODNN7EXAMPLE" } });
    assert.equal(await page.$eval("#method", ({ value }) => value), "PUT");
    assert.equal(await page.$eval("#expires", ({ selectedOptions }) => selectedOptions[0].textContent), "90 minutes");
    await page.select("#expires", "86400");
    await until("it to be kept", async () => (await settings()).link.expires === 86400);
    await page.click("#forget-identity");
    await until("it to be forgotten", async () => (await settings()).link.identity === undefined);
    assert.deepEqual((await settings()).link, { method: "PUT", expires: 86400 });
  });

  test("the key that was chosen is shown, and forgotten", async () => {
    await open({ key: "12345678" });
    assert.match(await text("#key-chosen"), /12345678/);
    await page.click("#forget-key");
    await until("it to be forgotten", async () => (await settings()).key === undefined);
    await until("it to show", async () => /plugged in/.test(await text("#key-chosen")));
  });

  test("in light and dark, without a fault of accessibility", async () => {
    await open({
      submit: true,
      key: "12345678",
      choices: [["root of 123456789012", "Amazon Web Services:root-account-mfa-device@123456789012"], ["alice in 210987654321", "Amazon Web Services:alice@210987654321"]],
      link: { method: "GET", expires: 3600, identity: "AKIAIOSFODNN7EXAMPLE" },
    });
    const height = await page.evaluate(() => document.documentElement.scrollHeight);
    await page.setViewport({ width: 900, height });
    for (const scheme of ["light", "dark"]) {
      await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
      await picture(page, `options-${scheme}`);
      await accessible(page);
    }
    await page.evaluate(() => (document.documentElement.dir = "rtl"));
    await picture(page, "options-rtl");
    await page.setViewport({ width: 360, height });
    await picture(page, "options-narrow");
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= 360), "nothing is wider than the window");
  });

  // No automation can press the browser's own "Allow". But an extension keeps what it was granted: so it has the hosts of the manifest
  // first, and is then loaded anew as it is shipped.
  test("sites are withdrawn, and asked for", async () => {
    const file = path.join(extension, "manifest.json");
    const shipped = readFileSync(file, "utf8");
    const manifest = JSON.parse(shipped);
    manifest.host_permissions.push(...manifest.optional_host_permissions);
    writeFileSync(file, JSON.stringify(manifest));
    await browser.installExtension(extension);
    writeFileSync(file, shipped);
    await browser.installExtension(extension);
    await open();
    const box = "#options_sites_china";
    const origins = manifest.optional_host_permissions.filter((pattern) => pattern.includes("amazonaws.cn/"));
    const granted = (origins) => page.evaluate((origins) => chrome.permissions.contains({ origins }), origins);
    const shown = await page.$$eval("#groups input", (boxes) => boxes.map(({ id, checked }) => `${id} ${checked}`));
    assert.deepEqual(shown, ["china", "govcloud", "eusc", "portals"].map((name) => `options_sites_${name} true`));
    assert.ok(origins.length > 1 && (await granted(origins)));
    await page.click(box);
    await until("it to be withdrawn", async () => !(await granted([origins[0]])) && !(await granted([origins[1]])));
    await until("it to show", () => page.$eval(box, ({ checked }) => !checked));
    assert.ok(await granted(manifest.optional_host_permissions.filter((pattern) => pattern.includes("us-gov"))), "the others stay");

    // The person says no.
    await page.evaluate(() => {
      chrome.permissions.request = async ({ origins }) => {
        globalThis.requested = [origins, navigator.userActivation.isActive];
        return false;
      };
    });
    await page.click(box);
    await until("a word of it", async () => /not allow/.test(await text("#status")));
    await until("it to show", () => page.$eval(box, ({ checked }) => !checked));
    assert.deepEqual(await page.evaluate(() => globalThis.requested), [origins, true]);
  });
});
