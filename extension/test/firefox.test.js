// The popup in real Firefox, as a page in a tab: that it is alive there, and accessible. What it does is tested in Chromium.

import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";

import { axeSource, run } from "../../tests/browser/axe.js";
import { Home, until } from "../../tests/browser/harness.js";
import { launchMarionette } from "../../tests/browser/marionette.js";

const ALICE = "Amazon Web Services:alice@123456789012";

describe("popup in firefox", { timeout: 240_000 }, () => {
  let home, browser;

  before(async () => {
    home = new Home();
    home.settings = { KEYFOB_KEY: "soft:test", KEYFOB_SOFT_TOUCH: "400" };
    await home.keyfob(["soft", "create", "test"]);
    await home.keyfob(["oath", "uri", "--touch"], "otpauth://totp/Amazon%20Web%20Services:alice@123456789012?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP\n");
    await home.keyfob(["oath", "uri"], "otpauth://totp/AWS%20SSO:bob?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n");
    await home.keyfob(["aws", "add", "AKIAIOSFODNN7EXAMPLE"], "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n");
    browser = await launchMarionette(home);
  });
  after(async () => {
    await browser?.close();
    home?.remove();
  });

  const has = (selector) => until(selector, () => browser.evaluate((selector) => document.querySelector(selector) !== null, selector));
  const text = (selector) => browser.evaluate((selector) => document.querySelector(selector).textContent, selector);
  const look = async (name) => {
    assert.deepEqual(await browser.evaluate(`${axeSource}\n;return (${run})()`), []);
    const folder = process.env.KEYFOB_PICTURES;
    if (!folder) return;
    mkdirSync(folder, { recursive: true });
    writeFileSync(path.join(folder, `${name}.png`), await browser.screenshot());
  };

  test("codes come from the host, one after a touch", async () => {
    await browser.openExtensionPage("popup.html");
    await has("body[data-ready]");
    await look("popup-firefox");
    // A step may end between the two.
    await until("the same code", async () => {
      const bob = (await text('[data-account="AWS SSO:bob"] .code')).replaceAll(/\D/g, "");
      return bob !== "" && (await home.keyfob(["code", "bob", "--json"])).includes(bob);
    });
    await browser.evaluate((selector) => document.querySelector(selector).click(), `[data-account="${ALICE}"] .row`);
    await has(`[data-account="${ALICE}"][data-state=touch]`);
    await has(`[data-account="${ALICE}"][data-state=done]`);
    assert.match(await text(`[data-account="${ALICE}"] .code`), /^\d{3} \d{3}$/);
    await browser.evaluate((selector) => document.querySelector(selector).click(), `[data-account="${ALICE}"] .manage`);
    await has("#account-panel:not([hidden])");
    await look("popup-firefox-account");
    await browser.closePage();
  });

  test("a link, for what the context menu was opened on", async () => {
    const object = (key) => `https://eu-west-1.console.aws.amazon.com/s3/object/b-1?region=eu-west-1&prefix=${key}`;
    await browser.openExtensionPage(`popup.html?tab=${encodeURIComponent(object("page.txt"))}`);
    await has("body[data-ready]");
    const value = (id) => browser.evaluate((id) => document.getElementById(id).value, id);
    assert.equal(await value("object-key"), "page.txt");
    // Browsers list no entries; one that is not there cannot be changed.
    await browser.evaluate(async () => {
      await browser.contextMenus.update("share-page", { enabled: true });
      await browser.contextMenus.update("share-link", { enabled: true });
    });
    await browser.evaluate((url) => chrome.storage.session.set({ link: { url, at: Date.now() } }), object("link.txt"));
    await until("the link's object", async () => (await value("object-key")) === "link.txt");
    assert.deepEqual(await browser.evaluate(() => chrome.storage.session.get(null)), {});
    await has("#sign:not([disabled])");
    await look("links-firefox");
    await browser.evaluate(() => document.getElementById("sign").click());
    await has("#sign[data-state=touch]");
    await has("#signed:not([hidden])");
    assert.match(await value("url"), /^https:\/\/b-1\.s3\.eu-west-1\.amazonaws\.com\/link\.txt\?.*&X-Amz-Signature=[0-9a-f]{64}$/);
    await browser.evaluate(() => document.getElementById("qr-url").click());
    await has("#qr svg path[d^=M]");
    await look("links-firefox-signed");
    await browser.closePage();
  });
});
