// The stores' pictures: 1280 × 800, of the shipped extension with a host made for them.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { FakeHost } from "../../extension/test/fake-host.js";
import { Home, Pages, launch, picture, until } from "./harness.js";

const SIZE = { width: 1280, height: 800 };
const SIGN_IN = "https://123456789012.signin.aws.amazon.com/signin.html?mfa&report";
const CONSOLE = "https://eu-west-1.console.aws.amazon.com/s3/object/photos?region=eu-west-1&bucketType=general&prefix=2026/summer.jpg";

const HOST = `({ id, op }) => {
  const done = (answer) => frame({ type: "done", id, answer });
  const own = { ...key, id: "12345678", name: "Work key", label: "Yubico YubiKey OTP+FIDO+CCID 00 00", serial: 12345678 };
  const aws = (device, account, flow = "iam") => ({ account, device, flow });
  const table = {
    keys: () => done({ name: "keys", keys: [own] }),
    accounts: () => done({ name: "accounts", key: own, accounts: [
      account("Amazon Web Services:alice@123456789012", { digits: 6, aws: aws("alice", "123456789012") }),
      account("Amazon Web Services:root-account-mfa-device@210987654321", { digits: 6, aws: aws("root-account-mfa-device", "210987654321") }),
      account("Amazon Web Services:ci@acme-staging", { touch: false, digits: 6, aws: aws("ci", "acme-staging"),
        code: code("271828", now() - 8, now() + 22) }),
      account("AWS SSO:alice", { digits: 6, aws: aws("alice", undefined, "identity-center") }),
    ] }),
    identities: () => done({ name: "identities", key: own, identities: [{ access_key_id: "AKIAIOSFODNN7EXAMPLE", signature: "SigV4", touch: true }] }),
    code: () => { setTimeout(() => write(done({ name: "code", account: op.account, code: code("314159", now() - 2, now() + 28) })), 300); return touch(id); },
  };
  return table[op.name]?.() ?? null;
}`;

describe("pictures for the stores", { timeout: 240_000 }, () => {
  let home, pages, browser, host;

  before(async () => {
    home = new Home();
    pages = await Pages.start(home);
    browser = await launch("chromium", home, pages);
    host = new FakeHost(home);
    host.answers(HOST);
  });
  after(async () => {
    await browser?.close();
    host?.end();
    pages?.stop();
    home?.remove();
  });

  async function keep(page, name) {
    const png = Buffer.from(await page.screenshot());
    assert.deepEqual([png.readUInt32BE(16), png.readUInt32BE(20)], [SIZE.width, SIZE.height]);
    await picture(page, `store-${name}`);
  }

  test("the code on the sign-in page", async () => {
    const page = await browser.newPage();
    await page.setViewport(SIZE);
    await page.goto(SIGN_IN);
    await page.bringToFront();
    await until("the chip", () => pages.report?.chips);
    await page.click("#mfaCode");
    await until("the code", () => page.$eval("#mfaCode", (field) => field.value === "314159"));
    await keep(page, "1-sign-in");
    await page.close();
  });

  for (const [name, tab, title, text] of [
    ["2-codes", "about:blank", "Your codes, on the key in your hand", "Search, touch, copied. The secrets stay on the key."],
    ["3-links", CONSOLE, "Share an S3 object", "What the link allows, and until when, in one sentence. Signed by the key, with a touch."],
  ]) {
    test(title, async () => {
      const popup = await browser.newPage();
      await popup.setViewport({ width: 360, height: 640, deviceScaleFactor: 1 });
      await popup.goto(`chrome-extension://${browser.extensionId}/popup.html?tab=${encodeURIComponent(tab)}`);
      await popup.waitForSelector("body[data-ready]");
      if (tab === CONSOLE) await until("the preview", () => popup.$eval("#sign", (button) => !button.disabled));
      else await popup.waitForSelector("#codes li:nth-child(4)");
      const shot = Buffer.from(await popup.screenshot()).toString("base64");
      await popup.close();

      const page = await browser.newPage();
      await page.setViewport(SIZE);
      await page.setContent(`<style>
        body { display: grid; grid-template-columns: 1fr auto; align-items: center; gap: 90px; height: 800px; margin: 0; padding: 0 130px;
          box-sizing: border-box; font-family: system-ui, sans-serif; color: #eef4f2; background: linear-gradient(135deg, #0b7a65, #06231c); }
        h1 { margin: 0 0 16px; font-size: 46px; line-height: 1.15; letter-spacing: -.02em; } p { font-size: 22px; line-height: 1.45; opacity: .85; }
        img { border-radius: 16px; box-shadow: 0 20px 60px #0008; }</style>
        <div><h1>${title}</h1><p>${text}</p></div><img width=360 height=640 src="data:image/png;base64,${shot}">`);
      await keep(page, name);
      await page.close();
    });
  }
});
