// Code → page, in real browsers, through the real native host: and where no code may go.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { BROWSERS, Home, Pages, launch, picture, until } from "./harness.js";

const TOUCH = "Amazon Web Services:alice@123456789012";
const SIGN_IN = "https://signin.aws.amazon.com/signin.html";
// RFC 6238's.
const SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

for (const name of BROWSERS) {
  describe(`sign-in page in ${name}`, { timeout: 240_000 }, () => {
    let home, pages, browser;

    before(async () => {
      home = new Home();
      home.write(".config/keyfob/config.toml", 'key = "soft:touch"\n');
      for (const [key, options] of [["touch", ["--touch"]], ["plain", []]]) {
        await home.keyfob(["soft", "create", key]);
        await home.keyfob(["--key", `soft:${key}`, "oath", "add", TOUCH, ...options], SECRET);
      }
      pages = await Pages.start(home);
      browser = await launch(name, home, pages);
    });

    after(async () => {
      await browser?.close();
      pages?.stop();
      home?.remove();
    });

    /** Opens a page in the front, and closes it afterwards. */
    async function visit(url, use) {
      // A code that one page was filled with is not given to the next.
      home.endAgent();
      const page = await browser.newPage();
      pages.report = undefined;
      try {
        await page.goto(url);
        await page.bringToFront();
        await use(page);
      } finally {
        await page.close();
      }
    }

    /** What the page's framework believes the code to be: it must have noticed the filling. */
    const state = (page) => page.$eval("#state", (shown) => shown.textContent);

    const codes = async () => {
      const now = Math.floor(Date.now() / 1000);
      // The step may have changed since.
      return Promise.all([now, now - 30].map((at) => home.keyfob(["code", TOUCH, "--at", `${at}`])));
    };

    async function assertFilled(page) {
      const value = await until("the code in the page", () => state(page));
      const expected = (await codes()).map((text) => text.trim().split(/\s+/).at(-1));
      assert.ok(expected.includes(value), `${value} is none of ${expected}`);
      assert.equal(await page.$eval("#mfaCode", (field) => field.value), value);
    }

    /** The extension's chip lies beside `head` and `body`; the page sees that there is one and no more. */
    const chips = (frame) => frame.evaluate(() => document.documentElement.querySelectorAll(":scope > [popover]").length);

    /** Gives the extension time to do what it must not, and the page everything else that makes it fill. */
    async function assertNotFilled(page, frame = page) {
      await new Promise((resolve) => setTimeout(resolve, 1500));
      assert.equal(await frame.$eval("#mfaCode", (field) => field.value), "");
      assert.equal(await frame.$eval("#state", (shown) => shown.textContent), "");
    }

    test("the code of the touch account comes after the person's click, and is not submitted", () =>
      visit(SIGN_IN, async (page) => {
        await page.click("#next");
        await page.waitForSelector("#mfaCode");
        await assertFilled(page);
        await picture(page, `signin-${name}`);
        assert.doesNotMatch(await state(page), /submitted/);
      }));

    test("and on a region's and an account's host", async () => {
      for (const host of ["us-east-1.signin.aws.amazon.com", "123456789012.signin.aws.amazon.com"]) {
        await visit(`https://${host}/signin.html`, async (page) => {
          await page.click("#next");
          await page.waitForSelector("#mfaCode");
          await assertFilled(page);
        });
      }
    });

    test("a page that was only loaded gets a chip and no code; the click on the chip brings it", () =>
      visit(`${SIGN_IN}?mfa&nofocus&report`, async (page) => {
        await until("the chip", () => pages.report?.chips);
        await new Promise((resolve) => setTimeout(resolve, 1500));
        const { field, state, active } = pages.report;
        assert.deepEqual({ active, state, value: field.value }, { active: false, state: "", value: "" });
        // The chip has been there for a while, so the click counts.
        await page.mouse.click(field.right + 10 + 40, field.top + field.height / 2);
        await assertFilled(page);
      }));

    test("scripts of the page cannot click the chip", () =>
      visit(`${SIGN_IN}?mfa&nofocus&report&attack`, async () => {
        await until("the chip", () => pages.report?.chips);
        await new Promise((resolve) => setTimeout(resolve, 1500));
        const { field, state, active } = pages.report;
        assert.deepEqual({ active, state, value: field.value }, { active: false, state: "", value: "" });
      }));

    test("a hidden field gets nothing", () =>
      visit(`${SIGN_IN}?hidden`, async (page) => {
        await page.click("#next");
        await page.waitForSelector("#mfaCode");
        await assertNotFilled(page);
        assert.equal(await chips(page), 0);
      }));

    for (const url of [
      "https://signin.aws.amazon.com.evil.test/signin.html",
      "https://evil-signin.aws.amazon.com.test/signin.html",
      "https://xsignin.aws.amazon.com/signin.html",
      "https://signin.aws.evil.test/signin.html",
      "http://signin.aws.amazon.com/signin.html",
    ]) {
      test(`nothing goes to ${new URL(url).origin}`, () =>
        visit(url, async (page) => {
          await page.click("#next");
          await page.waitForSelector("#mfaCode");
          await assertNotFilled(page);
          assert.equal(await chips(page), 0);
          assert.equal(page.url(), url);
        }));
    }

    test("nothing goes into the sign-in page inside another site's frame", () =>
      visit("https://evil.test/framed.html", async (page) => {
        const frame = await until("the frame", async () => {
          const found = page.frames().find((each) => each.url().startsWith(SIGN_IN));
          return found && (await found.$("#next")) ? found : undefined;
        });
        await frame.click("#next");
        await frame.waitForSelector("#mfaCode");
        await assertNotFilled(page, frame);
        // Nor by asking for it.
        const { x, y, width, height } = await (await frame.$("#mfaCode")).boundingBox();
        await page.mouse.click(x + width + 50, y + height / 2);
        await page.mouse.click(x + width / 2, y + height + 20);
        await assertNotFilled(page, frame);
      }));

    test("a late code is dropped when the person has typed meanwhile", () =>
      visit(`${SIGN_IN}?mfa&report`, async (page) => {
        // The field has the focus: the first key makes the page one that the person has used.
        await until("the chip", () => pages.report?.chips);
        await page.keyboard.press("1");
        await new Promise((resolve) => setTimeout(resolve, 1500));
        assert.equal(await page.$eval("#mfaCode", (field) => field.value), "1");
      }));
  });
}
