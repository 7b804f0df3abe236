// The stores' packages, as the browsers take them: without a word of complaint, and without what is not for them.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { BROWSERS, Home, Pages, launch, tool, until } from "./harness.js";

const package_ = (name) => path.join(tool("KEYFOB_PACKAGES"), name);
const manifest = (name) => JSON.parse(readFileSync(path.join(package_(name), "manifest.json"), "utf8"));

for (const name of BROWSERS) {
  describe(`the package for ${name}`, { timeout: 120_000 }, () => {
    test("has no development key, and only its own background", () => {
      const { key, background } = manifest(name);
      assert.equal(key, undefined);
      assert.deepEqual(Object.keys(background).sort(), [name === "chromium" ? "service_worker" : "scripts", "type"].sort());
    });

    test("is installed, and puts its chip on a sign-in page", async () => {
      const home = new Home();
      let pages, browser;
      try {
        pages = await Pages.start(home);
        browser = await launch(name, home, pages, { extension: package_(name) });
        const page = await browser.newPage();
        await page.goto("https://signin.aws.amazon.com/signin.html?mfa&report");
        await page.bringToFront();
        // The id is another than the development's, so the host's manifest does not allow it: the chip says so.
        await until("the chip", () => pages.report?.chips);
        if (name === "chromium") assert.deepEqual(await complaints(browser), []);
      } finally {
        await browser?.close();
        pages?.stop();
        home.remove();
      }
    });
  });
}

/** What Chromium's own page of extensions would show as errors: of the manifest, and of the scripts. */
async function complaints(browser) {
  const page = await browser.newPage();
  await page.goto("chrome://extensions");
  const info = await page.evaluate((id) => chrome.developerPrivate.getExtensionInfo(id), browser.extensionId);
  return [...info.manifestErrors, ...info.runtimeErrors, ...info.installWarnings ?? []].map((error) => error.message ?? error);
}
