// Page → key → page: a set-up as AWS shows it, saved by the real native host to a software key, and its codes filled in; and
// what is not to be saved or filled.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";

import { BROWSERS, Home, Pages, launch, picture, tool, until } from "./harness.js";

const qr = await import(pathToFileURL(path.join(tool("KEYFOB_EXTENSION"), "keyfob_qr.js")).href);
qr.initSync({ module: readFileSync(path.join(tool("KEYFOB_EXTENSION"), "keyfob_qr_bg.wasm")) });

const SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const OTHER = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
const ALICE = "Amazon Web Services:alice@123456789012";
const uri = (name, secret = SECRET, issuer = name.split(":")[0], kind = "totp") =>
  `otpauth://${kind}/${encodeURIComponent(name)}?secret=${secret}&issuer=${encodeURIComponent(issuer)}${kind === "hotp" ? "&counter=0" : ""}`;

const CONSOLE = "https://us-east-1.console.aws.amazon.com/iam/enrol.html";
const CENTER = "https://us-east-1.signin.aws/platform/d-1234567890/enrol.html";

/** A QR code as the page takes it: its size, and its modules as hexadecimal digits. */
function packed(text) {
  const { size, modules } = qr.draw_qr(text);
  let hex = "";
  for (let i = 0; i < modules.length; i += 4) {
    hex += [0, 1, 2, 3].reduce((sum, j) => 2 * sum + (modules[i + j] ?? 0), 0).toString(16);
  }
  return `${size}:${hex}`;
}

/** Long enough for whatever would come without a person. */
const SETTLED = 500;
/** As long as the chip has to have been where it is clicked. */
const SEEN = 350;

for (const name of BROWSERS.filter((each) => !process.env.ONLY || each === process.env.ONLY)) {
  describe(`enrolment in ${name}`, { timeout: 240_000 }, () => {
    let home, pages, browser, page;

    before(async () => {
      home = new Home();
      home.settings = { KEYFOB_KEY: "soft:test", KEYFOB_SOFT_TOUCH: "250" };
      await home.keyfob(["soft", "create", "test"]);
      pages = await Pages.start(home);
      browser = await launch(name, home, pages);
    });
    after(async () => {
      await browser?.close();
      pages?.stop();
      home?.remove();
    });
    beforeEach(async () => {
      page = await browser.newPage();
      await page.bringToFront();
    });
    afterEach(() => page.close());

    async function open(parameters, url = CONSOLE, route = "#/security_credentials/mfa") {
      await page.goto(`${url}?${new URLSearchParams(parameters)}${route}`);
    }

    const state = () => page.$eval("#state", (shown) => shown.textContent);
    const values = () => page.$$eval("input.code", (fields) => fields.map((field) => field.value));
    const chip = () =>
      page.evaluate(() => {
        const host = document.querySelector("html > [popover]");
        if (!host) return null;
        const { x, y, width, height } = host.getBoundingClientRect();
        return { x, y, width, height };
      });
    const chipIs = (what, fits) => until(what, async () => {
      const box = await chip();
      return box && fits(box) && box;
    });

    /** What the chip says. Only Chromium lets its automation look into closed shadow roots. */
    async function inside() {
      const session = await page.createCDPSession();
      try {
        const { root } = await session.send("DOM.getDocument", { depth: -1, pierce: true });
        const buttons = [];
        const read = (node, within, button) => {
          const own = within || node.attributes?.includes("popover");
          const inner = node.nodeName === "BUTTON" || node.nodeName === "INPUT" ? node : button;
          let text = own && node.nodeType === 3 ? node.nodeValue : "";
          if (node.nodeName === "STYLE") return "";
          for (const child of [...(node.shadowRoots ?? []), ...(node.children ?? [])]) text += ` ${read(child, own, inner)}`;
          if (own && inner === node) buttons.push({ text: text.trim(), id: node.backendNodeId, input: node.nodeName === "INPUT", attributes: node.attributes });
          return text;
        };
        const text = read(root, false).replace(/\s+/g, " ").trim();
        return { text, buttons, box: async ({ id }) => (await session.send("DOM.getBoxModel", { backendNodeId: id })).model.content };
      } finally {
        // The boxes are asked for at once, if at all.
        setTimeout(() => session.detach().catch(() => {}), 3000).unref();
      }
    }
    const says = (words) => until(`the chip to say ${words}`, async () => {
      const { text } = await inside();
      return words.test(text) && text;
    });
    async function press(which) {
      await sleep(SEEN);
      const { buttons, box } = await inside();
      const found = typeof which === "number" ? buttons.filter(({ input }) => input)[which] : buttons.find(({ text }) => which.test(text));
      assert.ok(found, `no ${which} among ${buttons.map(({ text }) => text).join(" | ")}`);
      const [left, top, , , right, bottom] = await box(found);
      await page.mouse.click((left + right) / 2, (top + bottom) / 2);
    }

    /** The chip at first, and when it wants something: which is higher. */
    const LOW = 90;
    async function clickOffer() {
      const { x, y } = await chipIs("the chip", () => true);
      await sleep(SEEN);
      await page.mouse.click(x + 60, y + 18);
    }
    async function clickLast() {
      const { x, y, width, height } = await chipIs("the form", (box) => box.height > LOW);
      await sleep(SEEN);
      await page.mouse.click(x + width / 2, y + height - 26);
    }

    const listed = async () => (await home.keyfob(["oath", "list"])).trim();
    async function assertCodes(account, expected) {
      const now = Math.floor(Date.now() / 1000);
      const code = async (at) => (await home.keyfob(["code", account, "--at", `${at}`])).trim().split(/\s+/).at(-1);
      const codes = await Promise.all([-60, -30, 0].map((ago) => code(now + ago)));
      const fits = [codes.slice(0, 2), codes.slice(1)].map((pair) => pair.slice(-expected.length).join());
      assert.ok(fits.includes(expected.join()), `${expected} is none of ${fits.join(" ")}`);
    }
    async function forget(account) {
      await home.keyfob(["oath", "delete", "--force", account]);
    }

    async function enrols(parameters, account, url, route) {
      await open(parameters, url, route);
      await clickOffer();
      await clickLast();
      const filled = await until("the codes", async () => (await state()) || undefined);
      const fields = await values();
      assert.equal(filled, fields.join(","), "the page's framework has them, and nothing was submitted");
      await assertCodes(account, fields);
      await forget(account);
      return fields;
    }

    test("a QR code is saved to the key, and both codes are filled in", async () => {
      await open({ qr: packed(uri(ALICE)) });
      await chipIs("the chip", () => true);
      await page.click("#show-qr");
      await sleep(SETTLED);
      await picture(page, `enrol-offer-${name}`);
      assert.equal(await listed(), "", "nothing happens before the click");
      await clickOffer();
      await chipIs("the form", (box) => box.height > LOW);
      await picture(page, `enrol-form-${name}`);
      assert.equal(await listed(), "", "nothing is saved before the person says so");
      await clickLast();
      const filled = await until("the codes", async () => (await state()) || undefined);
      await picture(page, `enrol-done-${name}`);
      const fields = await values();
      assert.equal(fields.length, 2);
      assert.equal(filled, fields.join(","));
      await assertCodes(ALICE, fields);
      assert.match(await home.keyfob(["oath", "list", "--json"]), /"touch": ?true/);
      await forget(ALICE);
    });

    for (const shape of ["canvas", "svg", "background", "dark"]) {
      test(`a QR code as ${shape}`, () => enrols({ qr: packed(uri(ALICE)), revealed: "", shape }, ALICE));
    }

    test("Identity Center: one field", async () => {
      const account = "AWS SSO:alice@example.com";
      const fields = await enrols({ locale: "center", qr: packed(uri(account, SECRET.slice(0, 32))) }, account, CENTER, "");
      assert.equal(fields.length, 1);
    });
  });
}
