// Page → key → page: a set-up as AWS shows it, saved by the real native host to a software key, and its codes filled in; and
// what is not to be saved or filled.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";

import { FakeHost } from "../../extension/test/fake-host.js";
import { accessible } from "./axe.js";
import { BROWSERS, Home, Pages, launch, picture, tool, until, endBackground } from "./harness.js";

const qr = await import(pathToFileURL(path.join(tool("KEYFOB_EXTENSION"), "keyfob_qr.js")).href);
qr.initSync({ module: readFileSync(path.join(tool("KEYFOB_EXTENSION"), "keyfob_qr_bg.wasm")) });

const SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const OTHER = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
const ALICE = "Amazon Web Services:alice@123456789012";
const uri = (name, secret = SECRET, issuer = name.split(":")[0], kind = "totp") =>
  `otpauth://${kind}/${encodeURIComponent(name)}?secret=${secret}&issuer=${encodeURIComponent(issuer)}${kind === "hotp" ? "&counter=0" : ""}`;

const CONSOLE = "https://us-east-1.console.aws.amazon.com/iam/enrol.html";
const CENTER = "https://us-east-1.signin.aws/platform/d-1234567890/enrol.html";

/** The code of a time (RFC 6238), in seconds. */
function totp(secret, at) {
  const bits = [...secret].map((each) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(each).toString(2).padStart(5, "0")).join("");
  const bytes = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(at / 30)));
  const mac = createHmac("sha1", bytes).update(step).digest();
  return String((mac.readUInt32BE(mac[19] & 15) & 0x7fffffff) % 1e6).padStart(6, "0");
}

/** A QR code as the page takes it: its size, and its modules as hexadecimal digits. */
function packed(text) {
  const { size, modules } = qr.draw_qr(text);
  let hex = "";
  for (let i = 0; i < modules.length; i += 4) {
    hex += [0, 1, 2, 3].reduce((sum, j) => 2 * sum + (modules[i + j] ?? 0), 0).toString(16);
  }
  return `${size}:${hex}`;
}

test("the words of a set-up are told from those beside them", () => {
  const table = new Function(`${readFileSync(path.join(tool("KEYFOB_EXTENSION"), "generated/enrolment.js"), "utf8")}; return KEYFOB_ENROLMENT;`)();
  const check = (kind, expected, texts) => {
    for (const text of texts) assert.equal(new RegExp(table[kind], "i").test(text), expected, `${kind}: ${text}`);
  };
  check("reveal", true, ["Show QR code", "QR-Code anzeigen", "Show secret key", "Geheimen Schlüssel anzeigen", "Mostrar código QR",
    "Mostrar chave secreta", "Mostrar clave secreta", "QR コードを表示", "シークレットキーを表示", "显示 QR 码", "显示密钥", "QR 代码",
    "二维码", "Afficher le code QR", "Afficher la clé secrète", "Mostra codice QR", "QR 코드 표시", "Tampilkan kode QR", "QR kodunu göster"]);
  check("reveal", false, ["Secret access key", "Create access key", "创建访问密钥", "Security key", "보안 키", "シークレットアクセスキー",
    "Sicherheitsschlüssel", "Resync"]);
  check("device", true, ["Device name", "MFA device-name", "Gerätename", "Nombre del dispositivo", "Nom de l'appareil",
    "Nom du dispositif", "Nome do dispositivo", "Nome dispositivo", "デバイス名", "设备名称"]);
  const codes = ["MFA code 1", "Código de MFA 1", "MFA コード 1", "Authenticator code", "MFA-Code 1", "MFA 代码 1"];
  check("device", false, codes);
  check("code", true, codes);
});

/** Long enough for whatever would come without a person. */
const SETTLED = 500;
/** As long as the chip has to have been where it is clicked. */
const SEEN = 350;

for (const name of BROWSERS) {
  describe(`enrolment in ${name}`, { timeout: 480_000 }, () => {
    let home, pages, browser, page;
    /** Whether a test may have left something on the key. */
    let used = false;

    before(async () => {
      home = new Home();
      home.settings = { KEYFOB_KEY: "soft:test", KEYFOB_SOFT_TOUCH: "400" };
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
    afterEach(async () => {
      await page.close();
      if (!used) return;
      used = false;
      for (const account of (await listed()).split("\n").filter(Boolean)) {
        await home.keyfob(["oath", "delete", "--force", account]);
      }
      // A browser saves ten in a minute, and no more.
      home.endAgent();
    });

    async function open(parameters, url = CONSOLE, route = "#/security_credentials/mfa") {
      await page.goto(`${url}?${new URLSearchParams(parameters)}${route}`);
    }

    /** Puts an account on the key beforehand. */
    function put(text, ...options) {
      used = true;
      return home.keyfob(["oath", "uri", ...options], `${text}\n`);
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
          for (const child of [...(node.shadowRoots ?? []), ...(node.children ?? []), node.contentDocument].filter(Boolean)) text += ` ${read(child, own, inner)}`;
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
    async function says(words) {
      let text = "";
      const said = async () => words.test(({ text } = await inside()).text);
      await until(`the chip to say ${words}`, said).catch((error) => {
        throw new Error(`${error.message}, which says: ${text}`);
      });
    }
    async function press(which) {
      used ||= `${which}`.includes("Save$");
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
      used = true;
      const { x, y, width, height } = await chipIs("the form", (box) => box.height > LOW);
      await sleep(SEEN);
      await page.mouse.click(x + width / 2, y + height - 26);
    }

    const listed = async () => {
      const { accounts } = JSON.parse(await home.keyfob(["oath", "list", "--json"]));
      return accounts.map((account) => account.name).join("\n");
    };
    async function assertCodes(account, expected, secret = SECRET) {
      const now = Math.floor(Date.now() / 1000);
      const codes = [-60, -30, 0].map((ago) => totp(secret, now + ago));
      const fits = [codes.slice(0, 2), codes.slice(1)].map((pair) => pair.slice(-expected.length).join());
      assert.ok(fits.includes(expected.join()), `${expected} is none of ${fits.join(" ")}`);
      const last = (await home.keyfob(["code", account, "--at", `${now}`])).trim().split(/\s+/).at(-1);
      assert.equal(last, codes[2], "what is on the key gives them");
    }
    async function enrols(parameters, account, url, route, secret) {
      await open(parameters, url, route);
      await clickOffer();
      await clickLast();
      const filled = await until("the codes", async () => (await state()) || undefined);
      const fields = await values();
      assert.equal(filled, fields.join(","), "the page's framework has them, and nothing was submitted");
      await assertCodes(account, fields, secret);
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
    });

    test("a drawing in a page that takes pictures from nowhere", () =>
      enrols({ qr: packed(uri(ALICE)), revealed: "", shape: "svg", strict: "" }, ALICE));

    test("a background in a form whose fields have the names of a form's properties", () =>
      enrols({ qr: packed(uri(ALICE)), revealed: "", shape: "background", form: "" }, ALICE));

    test("Identity Center: one field", async () => {
      const account = "AWS SSO:alice@example.com";
      const fields = await enrols({ locale: "center", qr: packed(uri(account, SECRET.slice(0, 32))) }, account, CENTER, "", SECRET.slice(0, 32));
      assert.equal(fields.length, 1);
    });

    test("scripts of the page cannot click the chip", async () => {
      await open({ qr: packed(uri(ALICE)), revealed: "", attack: "" });
      await chipIs("the chip", () => true);
      await sleep(2 * SETTLED);
      assert.equal(await state(), "");
      assert.equal(await listed(), "");
      assert.ok((await chip()).height < LOW, "no form was opened");
    });

    test("nothing is offered on other pages than AWS's", async () => {
      const elsewhere = [
        CONSOLE.replace("https:", "http:"),
        CONSOLE.replace("amazon.com", "amazon.com.evil.test"),
        CONSOLE.replace("console.aws", "console-aws"),
        CONSOLE.replace("us-east-1.", "evil."),
        CONSOLE.replace("/iam/", "/s3/"),
      ];
      for (const url of elsewhere) {
        await open({ qr: packed(uri(ALICE)), revealed: "" }, url);
        await page.waitForSelector("#awsui-input-1");
        await sleep(SETTLED / 2);
        assert.equal(await chip(), null, url);
      }
    });

    test("nothing is read in another site's frame", async () => {
      await page.goto("https://evil.test/console.html");
      await framed(`${CONSOLE}?${new URLSearchParams({ qr: packed(uri(ALICE)), revealed: "" })}`);
      const frame = await until("the frame", () => page.frames().find((each) => each.url().startsWith(CONSOLE)));
      await until("the field", () => frame.evaluate(() => document.getElementById("awsui-input-1") !== null));
      await sleep(SETTLED);
      const { x, y, there } = await frame.evaluate(() => {
        const host = document.querySelector("html > [popover]");
        return { x: 0, y: 0, there: host !== null, ...host?.getBoundingClientRect().toJSON() };
      });
      if (!there) return;
      await sleep(SEEN);
      await page.mouse.click(x + 60, y + 18);
      await sleep(2 * SETTLED);
      assert.equal(await listed(), "");
      assert.equal(await frame.$eval("#state", (shown) => shown.textContent), "");
    });

    const framed = (source) =>
      page.evaluate((src) => {
        const frame = document.createElement("iframe");
        frame.style.cssText = "position:fixed;inset:0;width:980px;height:700px;border:0;background:#fff";
        frame.src = src;
        document.body.append(frame);
      }, source);

    // What follows looks into the chip, or is the same code in both browsers.
    if (name !== "chromium") return;

    test("a frame of the same site's", async () => {
      await page.goto("https://us-east-1.console.aws.amazon.com/iam/console.html");
      await framed(`${CONSOLE}?${new URLSearchParams({ qr: packed(uri(ALICE)), revealed: "" })}`);
      const frame = await until("the frame", () => page.frames().find((each) => each.url().startsWith(CONSOLE)));
      await says(/Save to key/);
      await press(/Save to key/);
      await says(/Each code/);
      await press(/^Save$/);
      await until("the codes", async () => /^\d{6},\d{6}$/.test(await frame.$eval("#state", (shown) => shown.textContent)));
    });

    test("the page in German, Japanese, Portuguese, Chinese", async () => {
      for (const locale of ["de", "ja", "pt", "zh"]) {
        await open({ locale, device: "alice", qr: packed(uri(ALICE)) });
        await says(/Save to key/);
      }
    });

    const shapes = {
      "a canvas": { shape: "canvas" },
      "a background": { shape: "background" },
      "light on dark": { shape: "dark" },
      "in a shadow tree": { shadow: "" },
      "behind thousands of buttons, fields and icons": { rows: "" },
    };
    test(`a QR code: ${Object.keys(shapes).join("; ")}`, async () => {
      for (const [what, parameters] of Object.entries(shapes)) {
        await open({ qr: packed(uri(ALICE)), revealed: "", ...parameters });
        await says(/Save to key/);
        await press(/Save to key/);
        await says(/alice · 123456789012/).catch((error) => assert.fail(`${what}: ${error.message}`));
      }
    });

    test("nothing is offered where a device is brought back into step, or a code is only asked for", async () => {
      await open({ locale: "resync" });
      await page.waitForSelector("#awsui-input-1");
      await sleep(SETTLED);
      assert.equal(await chip(), null);
      await page.goto("https://signin.aws.amazon.com/signin.html?mfa");
      await chipIs("the chip", () => true);
      await sleep(SETTLED);
      assert.doesNotMatch((await inside()).text, /Save to key/);
    });

    test("the secret alone: the host, the route and the page say whose it is", async () => {
      const bob = "Amazon Web Services:bob@123456789012";
      await open({ secret: SECRET, told: "" }, CONSOLE.replace("us-east-1", "123456789012-abc1x.us-east-1"), "#/users/details/bob?section=x");
      await says(/Save to key/);
      await press(/Save to key/);
      await says(/Whose key/);
      await picture(page, "enrol-names");
      await press(/Continue/);
      await says(/bob · 123456789012/);
      await press(/^Save$/);
      await until("the codes", state);
      await assertCodes(bob, await values());
    });

    test("the secret alone, in groups and without any mark: the person says whose it is", async () => {
      const dev = "Amazon Web Services:dev@acme-dev";
      const grouped = SECRET.toLowerCase().replace(/(.{4})/g, "$1 ").trim();
      await open({ secret: grouped, told: "", class: "plain", account: "1234-5678-9012" });
      await says(/Save to key/);
      await press(/Save to key/);
      await says(/Whose key/);
      await press(/Continue/);
      await says(/no such names/);
      await press(0);
      await page.keyboard.type("dev");
      await page.keyboard.press("Tab");
      await page.keyboard.type("acme-dev");
      await page.keyboard.press("Enter");
      await says(/dev · acme-dev/);
      await press(/^Save$/);
      await until("the codes", state);
      await assertCodes(dev, await values());
    });

    test("an account of that name is never replaced: the new one gets another", async () => {
      await put(uri(ALICE, OTHER), "--touch");
      const old = await home.keyfob(["code", ALICE, "--at", "1000000000"]);
      await open({ qr: packed(uri(ALICE)), revealed: "" });
      await says(/Save to key/);
      await press(/Save to key/);
      await says(/That name is taken, so it becomes: Amazon Web Services:alice-2@123456789012/);
      await press(/^Save$/);
      await until("the codes", state);
      await says(/former one is still there: Amazon Web Services:alice@123456789012/);
      await picture(page, "enrol-former");
      await assertCodes("Amazon Web Services:alice-2@123456789012", await values());
      assert.equal(await home.keyfob(["code", ALICE, "--at", "1000000000"]), old);
    });

    test("the page refuses: the current and the next code, without another touch", async () => {
      // Not at the end of a step.
      const left = 30_000 - (Date.now() % 30_000);
      if (left < 10_000) await sleep(left);
      await open({ qr: packed(uri(ALICE)), revealed: "" });
      await says(/Save to key/);
      await press(/Save to key/);
      await says(/Each code/);
      await press(/^Save$/);
      await until("the codes", state);
      const [, current] = await values();
      await press(/Refused/);
      await says(/Press the page’s button in \d+ s/);
      await picture(page, "enrol-next");
      const [first, second] = await values();
      assert.equal(first, current);
      const next = await home.keyfob(["code", ALICE, "--at", `${Math.floor(Date.now() / 1000) + 30}`]);
      assert.equal(second, next.trim().split(/\s+/).at(-1));
      assert.equal(await state(), `${first},${second}`);
    });

    const BOB = "Amazon Web Services:bob@123456789012";

    test("the next set-up in the same page is another one, and nothing of the last is filled there", async () => {
      await put(uri(ALICE, OTHER));
      await open({ qr: packed(uri(ALICE)), revealed: "" });
      await says(/Save to key/);
      await press(/Save to key/);
      await says(/becomes.*alice-2/);
      await press(/^Save$/);
      await until("the codes", state);
      await page.evaluate((packed) => another(packed, 1500), packed(uri(BOB, OTHER)));
      await says(/Saved on the key.*former one is still there: Amazon Web Services:alice@123456789012/);
      await picture(page, "enrol-told");
      await says(/Save to key.*former one is still there/);
      await picture(page, "enrol-next-one");
      assert.equal(await state(), "");
      await press(/Save to key/);
      await says(/bob · 123456789012/);
      await press(/^Save$/);
      await until("the codes", state);
      await assertCodes(BOB, await values(), OTHER);
      // Within what a framework takes to draw it anew: only what it shows is another.
      await page.evaluate((packed) => another(packed, 0), packed(uri(ALICE.replace("alice", "carol"))));
      await says(/Save to key/);
      await sleep(SETTLED);
      assert.doesNotMatch((await inside()).text, /Did AWS refuse/);
      assert.equal(await state(), "");
      // The same again is what was saved; its codes were refused.
      await page.evaluate((packed) => another(packed, 0), packed(uri(BOB, OTHER)));
      await press(/Save to key/);
      await says(/Did AWS refuse/);
      await press(/Did AWS refuse/);
      await until("the codes", state);
      await assertCodes(BOB, (await values()).slice(0, 1), OTHER);
    });

    test("fields that come into the window by the person's click only", async () => {
      await untilTouch();
      await page.evaluate(() => {
        document.body.style.paddingBottom = "3000px";
        scrollTo(0, 2500);
      });
      await says(/cannot be seen/);
      assert.equal(await state(), "");
      await page.evaluate(() => scrollTo(0, 0));
      await page.evaluate(() => scrollTo(0, 380));
      await says(/not filled in/);
      await until("the codes", async () => {
        if (await state()) return true;
        // A click does not count while the chip still moves with the page: a person clicks again.
        await press(/not filled in/).catch(() => undefined);
        return false;
      });
      assert.ok(await page.$eval("#awsui-input-0", (field) => field.getBoundingClientRect().top >= 0), "where it is seen");
    });

    test("a page that is left and come back to begins anew", async () => {
      await untilTouch();
      await page.goto(CONSOLE.replace("enrol", "console"));
      await page.goBack();
      await says(/Save to key/);
      await press(/Save to key/);
      await says(/Each code/);
    });

    /** What is in the chip, in a page in which it is open: axe does not look into closed shadow roots. */
    async function openCopy() {
      const session = await page.createCDPSession();
      const { root } = await session.send("DOM.getDocument", { depth: -1, pierce: true });
      const all = (node) => [node, ...(node.children ?? []).flatMap(all)];
      const { shadowRoots } = all(root).find(({ attributes, shadowRoots }) => shadowRoots && attributes.includes("popover"));
      const parts = shadowRoots[0].children.filter(({ nodeName }) => nodeName !== "STYLE");
      const html = await Promise.all(parts.map(({ backendNodeId }) => session.send("DOM.getOuterHTML", { backendNodeId })));
      await session.detach();
      const [, style] = /const STYLE = `([^`]*)`/.exec(readFileSync(path.join(tool("KEYFOB_EXTENSION"), "chip.js"), "utf8"));
      const copy = await browser.newPage();
      await copy.setContent('<!doctype html><html lang="en"><title>Chip</title><main><h1>Chip</h1><div id="chip" popover="manual"></div></main>');
      await copy.$eval("#chip", (host, inner) => {
        host.attachShadow({ mode: "open" }).innerHTML = inner;
        host.showPopover();
      }, `<style>${style}</style>${html.map(({ outerHTML }) => outerHTML).join("")}`);
      return copy;
    }

    test("the form: dark, from right to left, and held against axe's rules", async () => {
      await put(uri(ALICE, OTHER));
      for (const scheme of ["light", "dark"]) {
        await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
        await open({ qr: packed(uri(ALICE)), revealed: "", scheme });
        if (scheme === "dark") await page.evaluate(() => (document.documentElement.dir = "rtl"));
        await says(/Save to key/);
        await press(/Save to key/);
        await says(/becomes.*alice-2/);
        await picture(page, `enrol-form-${scheme}`);
        const copy = await openCopy();
        await copy.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
        await accessible(copy, "#chip");
        await copy.close();
        await page.bringToFront();
      }
    });

    test("without touch, where the person wants none", async () => {
      await open({ qr: packed(uri(ALICE)), revealed: "" });
      await says(/Save to key/);
      await press(/Save to key/);
      await says(/Each code/);
      await press(0);
      await press(/^Save$/);
      await until("the codes", state);
      assert.doesNotMatch(await home.keyfob(["oath", "list", "--json"]), /"touch": ?true/);
    });

    const refusals = {
      "nothing that is shown yet": [{ qr: packed(uri(ALICE)) }, /No QR code or secret key is shown yet/],
      "a hidden QR code": [{ qr: packed(uri(ALICE)), revealed: "", hidden: "" }, /No QR code/],
      "a covered QR code": [{ qr: packed(uri(ALICE)), revealed: "", covered: "" }, /No QR code/],
      "an IAM user's on a page of Identity Center": [{ locale: "center", qr: packed(uri(ALICE)) }, /another kind of AWS login/, CENTER, ""],
      "two set-ups": [{ qr: packed(uri(ALICE)), qr2: packed(uri(ALICE, OTHER)), revealed: "" }, /more than one set-up/],
      "another issuer": [{ qr: packed(uri("GitHub:alice")), revealed: "" }, /not AWS’s: GitHub/],
      "another name in AWS's clothes": [{ qr: packed(uri("Evil Amazon Web Services:alice@123456789012")), revealed: "" }, /not AWS’s/],
      "a counter": [{ qr: packed(uri(ALICE, SECRET, "Amazon Web Services", "hotp")), revealed: "" }, /codes that count/],
      "an export": [{ qr: packed("otpauth-migration://offline?data=CjEKCkhlbGxvId6tvu8SGEV4YW1wbGU6YWxpY2VAZ29vZ2xlLmNvbQ%3D%3D"), revealed: "" }, /another app/],
      "a name that orders its letters anew": [{ qr: packed(uri("AWS SSO:ali\u202ece")), revealed: "" }, /not as AWS makes them/],
      "a name that speaks to terminals": [{ qr: packed(uri("AWS SSO:ali\u001b[2Jce")), revealed: "" }, /not as AWS makes them|not AWS’s/],
      "a name without an end": [{ qr: packed(uri(`AWS SSO:${"a".repeat(900)}`)), revealed: "" }, /not as AWS makes them/],
    };
    test(`refused: ${Object.keys(refusals).join("; ")}`, async () => {
      for (const [what, [parameters, words, ...where]] of Object.entries(refusals)) {
        await open(parameters, ...where);
        await says(/Save to key/);
        await press(/Save to key/);
        await says(words).catch((error) => assert.fail(`${what}: ${error.message}`));
      }
      assert.equal(await listed(), "");
    });

    test("a picture of another site's is left to the popup", async () => {
      await open({ qr: "x", shape: "foreign", revealed: "" });
      await page.waitForFunction(() => document.querySelector("img")?.complete && document.querySelector("img").naturalWidth > 0);
      await says(/Save to key/);
      await press(/Save to key/);
      await says(/Scan this page/);
    });

    test("what is saved is what was shown, and a page that swaps it is looked at again", async () => {
      await open({ qr: packed(uri(ALICE)), revealed: "" });
      await says(/Save to key/);
      await press(/Save to key/);
      await says(/alice · 123456789012/);
      await page.evaluate((other) => document.querySelector(".qr").replaceWith(drawn(other)), packed(uri("Amazon Web Services:mallory@666666666666", OTHER)));
      await press(/^Save$/);
      await says(/mallory · 666666666666.*shows something else/);
      assert.equal(await listed(), "");
      await page.evaluate((first) => document.querySelector(".qr").replaceWith(drawn(first, "canvas")), packed(uri(ALICE)));
      await press(/^Save$/);
      await says(/alice · 123456789012.*shows something else/);
      await page.evaluate(() => document.querySelector(".qr").style.setProperty("width", "190px"));
      await press(/^Save$/);
      await until("the codes", state);
      await assertCodes(ALICE, await values());
    });

    /** Opens the page and says yes, as far as the touch. */
    async function untilTouch() {
      await open({ qr: packed(uri(ALICE)), revealed: "" });
      await says(/Save to key/);
      await press(/Save to key/);
      await says(/Each code/);
      await press(/^Save$/);
      await says(/Touch software key/);
    }

    test("what somebody types meanwhile stays until the person clicks", async () => {
      await untilTouch();
      await page.evaluate(() => {
        const [field] = document.querySelectorAll("input.code");
        Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(field, "999999");
      });
      await says(/Saved on the key, but not filled in.*typed/);
      await picture(page, "enrol-not-filled");
      assert.deepEqual(await values(), ["999999", ""]);
      await press(/not filled in/);
      await until("the codes", state);
      await assertCodes(ALICE, await values());
    });

    test("the page goes on while the key waits: it is saved, and nothing is filled", async () => {
      await untilTouch();
      await page.evaluate(() => (location.hash = "#/users"));
      await says(/Saved on the key, but not filled in.*changed/);
      assert.equal(await state(), "");
      assert.equal(await listed(), ALICE);
    });

    test("a field that is covered meanwhile is not filled", async () => {
      await untilTouch();
      await page.evaluate(() => {
        const cover = document.createElement("div");
        cover.style.cssText = "position:absolute;left:0;top:400px;width:700px;height:300px;background:#fff";
        document.body.append(cover);
      });
      await says(/cannot be seen/);
      assert.equal(await state(), "");
    });

    test("stopped by Escape while the key waits; a click goes on, and it is there once", async () => {
      await untilTouch();
      await page.keyboard.press("Escape");
      await says(/Stopped/);
      await sleep(SETTLED);
      assert.equal(await state(), "");
      await press(/Stopped/);
      await until("the codes", state);
      assert.equal(await listed(), ALICE);
      await assertCodes(ALICE, await values());
    });

    test("the background is ended while the key waits: it goes on by itself, and nothing is lost", async () => {
      await untilTouch();
      await endBackground(browser);
      await until("the codes", state);
      assert.equal(await listed(), ALICE);
      await assertCodes(ALICE, await values());
    });

    test("a set-up that was hidden by the person stays away, until there is another", async () => {
      await open({ qr: packed(uri(ALICE)), revealed: "" });
      await says(/Save to key/);
      await press(/×/);
      await page.evaluate(() => document.body.append("x"));
      await sleep(SETTLED);
      assert.equal(await chip(), null);
      // No automation presses the browser's shortcut: what it says to the page is said.
      const worker = await (await browser.waitForTarget((each) => each.type() === "service_worker")).worker();
      await worker.evaluate(async () => {
        const [{ id }] = await globalThis.chrome.tabs.query({ active: true, lastFocusedWindow: true });
        await globalThis.chrome.tabs.sendMessage(id, { command: "fill" }).catch(() => {});
      });
      await says(/Save to key/);
    });

    test("several keys: a backup, one that fails and is tried again, one that is locked", async () => {
      const host = new FakeHost(home);
      host.answers(`({ id, key: asked, op }) => {
        const key = (id, label, locked) => ({ id, label, kind: "smart-card", version: "5.7.1", locked });
        const done = (answer) => frame({ type: "done", id, answer });
        globalThis.failed_once ??= false;
        if (op.name === "keys") return done({ name: "keys", keys: [key("1", "YubiKey one", false), key("2", "YubiKey two", false), key("3", "YubiKey three", true)] });
        if (op.name === "accounts") {
          globalThis.looks = (globalThis.looks ?? 0) + (asked === "3");
          if (asked === "3" && globalThis.looks < 2) return failed(id, { code: "locked", message: "the key is locked", hint: "unlock it" });
          return done({ name: "accounts", key: key(asked ?? "1", "YubiKey " + (["one", "two", "three"][asked - 1] ?? "one"), false), accounts: [] });
        }
        if (op.name === "add-account") {
          if (asked === "2" && !globalThis.failed_once) {
            globalThis.failed_once = true;
            return failed(id, { code: "no-space", message: "the key is full", hint: "delete one" });
          }
          return done({ name: "written", written: op.account, replaced: false });
        }
        const step = Math.floor(now() / 6) * 6;
        const codes = ["111111", "222222", "333333"].map((value, i) => code(value, step + (i - 1) * 6, step + i * 6));
        return done({ name: "confirmed", codes });
      }`);
      // The port that is open leads to the real host.
      await endBackground(browser);
      try {
        await open({ qr: packed(uri(ALICE)), revealed: "" });
        await says(/Save to key/);
        await press(/Save to key/);
        await says(/YubiKey one.*YubiKey two.*YubiKey three.*locked.*toolbar.*second key/i);
        await picture(page, "enrol-keys");
        await press(/Look again/);
        await until("the third key", async () => {
          const { text } = await inside();
          return /YubiKey three/.test(text) && !/locked/.test(text);
        });
        await press(1);
        await press(/^Save$/);
        await says(/YubiKey one: saved.*YubiKey two: The key is full/);
        await picture(page, "enrol-failed");
        assert.equal(await state(), "", "nothing is filled before the person says how to go on");
        await press(/Try again/);
        await until("the codes", async () => /^(111111,222222|222222,333333)$/.test(await state()));
        const noted = () => host.asked("submitted").map(({ op }) => op.valid_from);
        await until("the note", () => noted().length > 0);
        await press(/Refused/);
        await until("the other codes", async () => (await state()) === "222222,333333");
        await until("the notes of both", () => noted().some((at) => noted().includes(at + 6)));
        const asked = (name) => host.asked(name).map(({ key }) => key);
        assert.deepEqual(asked("add-account"), ["1", "2", "2"], "nothing is written twice");
        assert.deepEqual(asked("confirm-account").slice(0, 2), ["1", "2"]);
        assert.ok(host.asked("add-account").every(({ op }) => op.touch === true && op.overwrite !== true && op.account === ALICE));
      } finally {
        writeFileSync(host.manifest, host.original);
        await endBackground(browser);
      }
    });
  });
}

// No automation can press the browser's own "Allow"; a copy of the extension has one of its optional hosts from the start.
describe("a console that the person allowed later", { timeout: 120_000 }, () => {
  let home, pages, browser;
  before(async () => {
    home = new Home();
    pages = await Pages.start(home);
    const extension = path.join(home.path, "extension");
    cpSync(tool("KEYFOB_EXTENSION"), extension, { recursive: true });
    const file = path.join(extension, "manifest.json");
    const manifest = JSON.parse(readFileSync(file, "utf8"));
    manifest.host_permissions.push("https://*.console.amazonaws.cn/*");
    writeFileSync(file, JSON.stringify(manifest));
    browser = await launch("chromium", home, pages, { extension });
  });
  after(async () => {
    await browser?.close();
    pages?.stop();
    home?.remove();
  });

  for (const [where, expected] of [["cn-north-1.console.amazonaws.cn/iam", true], ["cn-north-1.console.amazonaws.cn/s3", false],
    ["console.amazonaws-us-gov.com/iam", false]]) {
    test(`${expected ? "a" : "no"} chip at ${where}`, async () => {
      const ours = (each) => each.type() === "service_worker" && each.url().includes(browser.extensionId);
      const worker = await (await browser.waitForTarget(ours)).worker();
      await until("the registration", async () =>
        (await worker.evaluate(() => globalThis.chrome?.scripting?.getRegisteredContentScripts() ?? [])).length > 0);
      const page = await browser.newPage();
      const chip = () => page.evaluate(() => document.querySelector("html > [popover]") !== null);
      await page.goto(`https://${where}/enrol.html?revealed&qr=${packed(uri(ALICE))}`);
      await page.waitForSelector("#awsui-input-1");
      if (expected) await until("the chip", chip);
      else await sleep(SETTLED);
      assert.equal(await chip(), expected);
      await page.close();
    });
  }
});
