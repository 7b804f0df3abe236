// The popup in real Chromium, through the real native host: codes, and what a page of the console fills in. (Links, and that a real
// S3 server accepts them: links.test.js. Firefox: extension/test/firefox.test.js.)

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Home, Pages, launch, picture, until } from "./harness.js";

const ACCESS_KEY_ID = "AKIAIOSFODNN7EXAMPLE";
const SECRET_ACCESS_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const PLAIN = "Amazon Web Services:alice@123456789012";
const TOUCH = "Amazon Web Services:root-account-mfa-device@210987654321";
const OBJECT = "a b/ü+%~.txt";

describe("popup in chromium", { timeout: 240_000 }, () => {
  let home, pages, browser;

  before(async () => {
    home = new Home();
    await home.keyfob(["soft", "create", "demo"]);
    for (const args of [["oath", "add", PLAIN], ["oath", "add", TOUCH, "--touch"], ["oath", "add", "GitHub:alice"]]) {
      await home.keyfob(["--key", "soft:demo", ...args], SECRET);
    }
    await home.keyfob(["--key", "soft:demo", "aws", "add", ACCESS_KEY_ID], SECRET_ACCESS_KEY);
    home.write(".config/keyfob/config.toml", 'key = "soft:demo"\n');
    pages = await Pages.start(home);
    browser = await launch("chromium", home, pages);
  });

  after(async () => {
    await browser?.close();
    pages?.stop();
    home?.remove();
  });

  /** Opens the popup as a page, as if `tab` were the active tab's address. */
  async function popup(tab, use) {
    const page = await browser.newPage();
    const errors = [];
    page.on("pageerror", (error) => errors.push(error));
    try {
      await page.setViewport({ width: 360, height: 620 });
      await page.goto(`chrome-extension://${browser.extensionId}/popup.html?tab=${encodeURIComponent(tab)}`);
      await use(page);
      assert.deepEqual(errors, []);
    } finally {
      await page.close();
    }
  }

  /** What the row of an account shows. */
  const rows = (page) =>
    page.$$eval("#codes .row", (found) =>
      found.map((row) => ({ text: row.textContent.replace(/\s+/g, " "), code: row.querySelector(".code").textContent })),
    );
  const digits = (text) => text.replace(/\D/g, "");

  test("shows the AWS accounts' codes, and a touch account's on demand", () =>
    popup("about:blank", async (page) => {
      const listed = await until("the accounts", async () => {
        const found = await rows(page);
        return found.length > 0 && found;
      });
      assert.equal(listed.length, 2, "the account that is none of AWS's does not show");
      const now = Math.floor(Date.now() / 1000);
      const expected = await Promise.all(
        [now, now - 30].map(async (at) => (await home.keyfob(["code", PLAIN, "--at", `${at}`])).trim().split(/\s+/).at(-1)),
      );
      assert.ok(listed.some(({ code }) => expected.includes(digits(code))), `none of ${expected} in ${JSON.stringify(listed)}`);
      assert.equal(await page.$eval("#software-badge", (badge) => badge.hidden), false);
      await picture(page, "popup-codes");

      const touch = listed.findIndex(({ code }) => !/\d{3}/.test(code));
      await (await page.$$("#codes .row"))[touch].click();
      await until("the touch account's code", async () => /\d{3}.*\d{3}/.test((await rows(page))[touch].code));
    }));

  const CONSOLE = "https://eu-west-1.console.aws.amazon.com/s3/object/bucket?region=eu-west-1&bucketType=general&prefix=";

  test("takes bucket, key and region from the console's tab, and signs for AWS", () =>
    popup(CONSOLE + encodeURIComponent(OBJECT), async (page) => {
      await page.click("#tab-presign");
      const value = (id) => page.$eval(id, (field) => field.value);
      await until("the fields", async () => (await value("#bucket")) === "bucket");
      assert.deepEqual([await value("#object-key"), await value("#region")], [OBJECT, "eu-west-1"]);
      const url = new URL(await sign(page));
      assert.equal(url.hostname, "bucket.s3.eu-west-1.amazonaws.com");
      assert.equal(url.pathname, "/a%20b/%C3%BC%2B%25~.txt");
      await picture(page, "popup-presign");
    }));

  test("a server that was not allowed gets no link", () =>
    popup(CONSOLE + "a.txt", async (page) => {
      await page.click("#tab-presign");
      await until("the fields", () => page.$eval("#bucket", (field) => field.value === "bucket"));
      await page.click("#presign summary");
      await page.type("#endpoint", "https://s3.evil.test");
      await ready(page);
      await page.click("#sign");
      await until("the refusal", () => page.$eval("#trouble", (box) => !box.hidden && box.dataset.code === "forbidden"));
      assert.equal(await page.$eval("#signed", (box) => box.hidden), true);
    }));

  const ready = (page) => until("the preview", () => page.$eval("#sign", (button) => !button.disabled));

  async function sign(page) {
    await ready(page);
    await page.click("#sign");
    return until("the link", () => page.$eval("#url", (area) => !area.closest("#signed").hidden && area.value));
  }
});
