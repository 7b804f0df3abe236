// The panel for links in real Chromium, through the real native host: what it makes is used on a real S3 server, run by curl,
// and read by the reader of QR codes. (In Firefox: extension/test/firefox.test.js.)

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { promisify } from "node:util";

import { FakeHost } from "../../extension/test/fake-host.js";
import { accessible } from "./axe.js";
import { Home, Pages, S3, launch, picture, until } from "./harness.js";

const ACCESS_KEY_ID = "AKIAIOSFODNN7EXAMPLE";
const SECRET_ACCESS_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const CONSOLE = "https://eu-west-1.console.aws.amazon.com/s3";
const object = (key, more = "") =>
  `${CONSOLE}/object/bucket?region=eu-west-1&bucketType=general&prefix=${encodeURIComponent(key)}${more}`;

describe("links in chromium", { timeout: 360_000 }, () => {
  let home, pages, s3, browser, page, errors, overheard;

  before(async () => {
    home = new Home();
    const own = home.environment.bind(home);
    home.environment = () => ({ ...own(), KEYFOB_SOFT_TOUCH: "150" });
    await home.keyfob(["soft", "create", "demo"]);
    await home.keyfob(["--key", "soft:demo", "aws", "add", ACCESS_KEY_ID], SECRET_ACCESS_KEY);
    s3 = await S3.start(home, ACCESS_KEY_ID, SECRET_ACCESS_KEY, "bucket");
    home.write(".config/keyfob/config.toml", `key = "soft:demo"\n[browser]\nallow_endpoints = ["${s3.endpoint}"]\n`);
    pages = await Pages.start(home);
    browser = await launch("chromium", home, pages);
    overheard = new FakeHost(home).overhear();
  });

  after(async () => {
    await browser?.close();
    pages?.stop();
    await s3?.stop();
    home?.remove();
  });

  beforeEach(async () => {
    page = await browser.newPage();
    errors = [];
    page.on("pageerror", (error) => errors.push(error));
    await page.setViewport({ width: 360, height: 700, deviceScaleFactor: 2 });
  });

  afterEach(async () => {
    await page.close();
    assert.deepEqual(errors, []);
  });

  /** Opens the popup as if `tab` were the active tab's address. */
  async function open(tab) {
    await page.goto(`chrome-extension://${browser.extensionId}/popup.html?tab=${encodeURIComponent(tab)}`);
    await page.waitForSelector("body[data-ready]");
    await page.waitForSelector("#presign-panel:not([hidden])");
  }

  /** The same, for the server of this test. What was chosen by a former test is chosen anew. */
  async function openHere(key, choices = {}) {
    await open(object(key));
    await fill("endpoint", s3.endpoint);
    for (const [id, value] of Object.entries({ method: "GET", expires: "3600", ...choices })) await page.select(`#${id}`, value);
    await ready();
  }

  /** What can be signed shows. */
  const ready = () => page.waitForSelector("#sign:not([disabled])");

  /** What a person does in a field: their typing, in one stroke. */
  const fill = (id, value) =>
    page.$eval(`#${id}`, (field, value) => {
      field.closest("details")?.setAttribute("open", "");
      field.value = value;
      field.dispatchEvent(new Event("input", { bubbles: true }));
    }, value);
  const text = (id) => page.$eval(`#${id}`, (element) => element.textContent);
  const value = (id) => page.$eval(`#${id}`, (field) => field.value);
  const isDisabled = () => page.$eval("#sign", (button) => button.disabled);
  const store = (name, content) => {
    mkdirSync(path.dirname(path.join(s3.root, "bucket", name)), { recursive: true });
    writeFileSync(path.join(s3.root, "bucket", name), content);
  };

  async function sign() {
    await ready();
    await page.click("#sign");
    await page.waitForSelector("#signed:not([hidden])");
    return value("url");
  }

  async function problem(expected) {
    assert.match(await text("preview-problem"), expected);
    assert.equal(await isDisabled(), true);
  }

  /** A picture by day and by night, and what axe says of both. */
  async function pictures(name) {
    for (const theme of ["light", "dark"]) {
      await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }, { name: "prefers-reduced-motion", value: "reduce" }]);
      if (process.env.KEYFOB_PICTURES) {
        await page.setViewport({ width: 360, height: await page.evaluate(() => document.body.scrollHeight + 2), deviceScaleFactor: 2 });
      }
      await picture(page, `links-${name}-${theme}`);
      await accessible(page);
    }
  }

  test("an object to be downloaded: the sentence, the facts, the link, what it brings", async () => {
    store("reports/a b.txt", "content");
    await openHere("reports/a b.txt");
    await fill("download-name", "Übersicht.txt");
    await fill("content-type", "text/csv");
    assert.match(await text("preview-sentence"), /can download bucket\/reports\/a b\.txt until .+ \d.*(GMT|UTC)/);
    assert.match(await text("preview-facts"), /127\.0\.0\.1.*AKIAIOSFODNN7EXAMPLE.*Übersicht\.txt.*text\/csv.*TLS/);
    await pictures("get");
    const url = await sign();
    const query = new URL(url).searchParams;
    assert.equal(query.get("response-content-disposition"), "attachment; filename=\"_bersicht.txt\"; filename*=UTF-8''%C3%9Cbersicht.txt");
    assert.equal(query.get("response-content-type"), "text/csv");
    const response = await fetch(url);
    assert.deepEqual([response.status, await response.text()], [200, "content"]);
    // Not every server knows these parameters; that Ceph's does is tested elsewhere.
    const disposition = response.headers.get("content-disposition");
    if (disposition) assert.equal(disposition, query.get("response-content-disposition"));
    assert.equal((await fetch(url.replace("csv", "html"))).status, 403);
    await page.click("#test-url");
    await page.waitForSelector("#tested[data-state=good]");
    assert.match(await text("tested"), /^It works: 7 bytes/);
    await pictures("signed");
  });

  test("a link to nothing, and one whose time is over, say so when they are tried", async () => {
    await openHere("not-there.txt", { expires: "" });
    await page.waitForSelector("#until-row:not([hidden])");
    const local = (ms) => new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
    await fill("until", local(Date.now() + 3_500));
    await sign();
    await page.click("#test-url");
    await page.waitForSelector("#tested[data-state=bad]");
    assert.match(await text("tested"), /NoSuchKey|404|does not exist/i);
    await page.waitForSelector("#signed[data-over]");
    assert.match(await text("signed-until"), /It stopped working/);
    await page.click("#test-url");
    await page.waitForSelector("#tested[data-state=bad]");
    assert.match(await text("tested"), /time is over/);
    await pictures("over");
  });

  test("an exact time is the link's end; the past and more than seven days are refused", async () => {
    await openHere("a.txt", { expires: "" });
    const at = new Date(Date.now() + 2 * 86_400_000);
    at.setSeconds(0, 0);
    const local = (date) => new Date(date - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
    await fill("until", local(new Date(Date.now() - 60_000)));
    await problem(/time is over/);
    await fill("until", local(new Date(Date.now() + 7 * 86_400_000 + 120_000)));
    await problem(/7 days at most/);
    await fill("until", "");
    await problem(/until when/);
    await fill("until", local(at));
    await pictures("until");
    const query = new URL(await sign()).searchParams;
    const [, y, mo, d, h, mi, s] = /^(....)(..)(..)T(..)(..)(..)Z$/.exec(query.get("X-Amz-Date"));
    const made = Date.UTC(y, mo - 1, d, h, mi, s) / 1000;
    assert.equal(made + Number(query.get("X-Amz-Expires")), at / 1000);
  });

  test("a link for details alone", async () => {
    store("a.txt", "content");
    await openHere("a.txt", { method: "HEAD" });
    assert.match(await text("preview-sentence"), /not what is in it/);
    const url = await sign();
    const response = await fetch(url, { method: "HEAD" });
    assert.deepEqual([response.status, response.headers.get("content-length")], [200, "7"]);
    assert.equal((await fetch(url)).status, 403);
    await page.click("#test-url");
    await page.waitForSelector("#tested[data-state=good]");
  });

  test("an upload: its type is signed, and curl does it as it is told", async () => {
    await openHere("in/it's ü.txt", { method: "PUT" });
    await fill("content-type", "text/plain; charset=utf-8");
    assert.match(await text("preview-facts"), /content type text\/plain; charset=utf-8/);
    const url = await sign();
    assert.equal(await page.$eval("#test-url", (button) => button.hidden), true);
    assert.equal((await fetch(url, { method: "PUT", body: "x", headers: { "content-type": "text/html" } })).status, 403);
    const folder = path.join(home.path, "upload");
    mkdirSync(folder);
    writeFileSync(path.join(folder, "it's ü.txt"), "by curl");
    await promisify(execFile)("/bin/sh", ["-c", await value("curl")], { cwd: folder });
    assert.equal(readFileSync(path.join(s3.root, "bucket", "in/it's ü.txt"), "utf8"), "by curl");
    await pictures("put");
  });

  test("the QR code of a link is read back; a link too long for one says so", async () => {
    await openHere("a.txt");
    const url = await sign();
    await page.click("#qr-url");
    const code = await page.waitForSelector("#qr svg");
    await pictures("qr");
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]);
    const png = Buffer.from(await code.screenshot()).toString("base64");
    const read = await page.evaluate(async (png) => {
      const { read_qr, ready } = await import(chrome.runtime.getURL("qr.js"));
      await ready();
      const bytes = Uint8Array.from(atob(png), (c) => c.charCodeAt(0));
      const { width, height, ...bitmap } = await createImageBitmap(new Blob([bytes])).then((image) => {
        const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
        canvas.drawImage(image, 0, 0);
        return { width: image.width, height: image.height, pixels: canvas.getImageData(0, 0, image.width, image.height).data };
      });
      const luma = Uint8Array.from({ length: width * height }, (_, i) => bitmap.pixels[4 * i + 1]);
      return read_qr(luma, width);
    }, png);
    assert.deepEqual(read, [url]);
    await page.click("#qr-url");
    assert.equal(await page.$eval("#qr", (figure) => figure.hidden), true);

    await fill("object-key", "ü".repeat(500));
    await sign();
    await page.click("#qr-url");
    await until("the reason", async () => /too long/.test(await text("qr")));
  });

  test("thirty objects with one touch", async () => {
    const keys = Array.from({ length: 30 }, (_, i) => `many/${i} ü.txt`);
    for (const key of keys) store(key, `content of ${key}`);
    await openHere("many/0 ü.txt");
    await page.click("#several");
    assert.equal(await value("object-keys"), "many/0 ü.txt\n");
    await fill("object-keys", keys.map((key, i) => (i % 3 ? key : `s3://bucket/${key}`)).join("\r\n"));
    assert.match(await text("preview-sentence"), /30 objects of bucket/);
    await pictures("many");
    const touches = overheard.touches();
    await page.click("#sign");
    await page.waitForSelector("#sign[data-state=touch]");
    await page.waitForSelector("#signed:not([hidden])");
    assert.equal(overheard.touches(), touches + 1);
    assert.match(await text("signed-title"), /^30 links/);
    const links = await page.$$eval("#urls .link-copy", (buttons) => buttons.map(({ dataset }) => dataset.url));
    const found = await Promise.all(links.map(async (link) => (await fetch(link)).text()));
    assert.deepEqual(found, keys.map((key) => `content of ${key}`));
    await pictures("many-signed");
    // What is copied is what is there.
    await browser.defaultBrowserContext().overridePermissions(`chrome-extension://${browser.extensionId}`, ["clipboard-read", "clipboard-write"]);
    await page.bringToFront();
    await page.click("#copy-all");
    await until("the copy", async () => (await page.evaluate(() => navigator.clipboard.readText())) === links.join("\n"));
  });

  test("a list is signed whole or not at all", async () => {
    await openHere("a.txt");
    await page.click("#several");
    await fill("object-keys", `a.txt\n\ns3://other/b.txt\n${"k".repeat(1025)}\na.txt`);
    await problem(/Line 3: .*other.*Line 4: .*1025 bytes.*Line 5: .*line 1/);
    await pictures("many-bad");
    await fill("object-keys", Array.from({ length: 101 }, (_, i) => `k${i}`).join("\n"));
    await problem(/101.*100/);
    await fill("object-keys", "\n");
    await problem(/Still needed/);
    await fill("bucket", "");
    await fill("object-keys", "a.txt");
    await problem(/Still needed: Bucket/);
    await fill("object-keys", "s3://bucket/a.txt");
    assert.equal(await isDisabled(), false);
    await page.click("#several");
    assert.equal(await value("object-key"), "a.txt", "the one object is still there");
  });

  test("pages of versions, folders, buckets and directory buckets", async () => {
    await open(object("a.txt", "&versionId=3%2FL4kq"));
    assert.equal(await value("version-id"), "3/L4kq");
    await page.select("#method", "GET");
    await ready();
    assert.match(await text("preview-facts"), /Version 3\/L4kq/);
    const url = new URL(await sign());
    assert.deepEqual([url.host, url.searchParams.get("versionId")], ["bucket.s3.eu-west-1.amazonaws.com", "3/L4kq"]);
    await page.select("#method", "PUT");
    assert.doesNotMatch(await text("preview-facts"), /L4kq/);
    await page.select("#method", "GET");
    await pictures("version");

    await open(`${CONSOLE}/buckets/bucket?region=eu-west-1&prefix=in/&showversions=false`);
    assert.equal(await value("object-key"), "in/");
    await problem(/This is a folder/);
    await page.focus("#object-key");
    await page.keyboard.press("End");
    await page.keyboard.type("a");
    await ready();

    await open(`${CONSOLE}/buckets/bucket?region=eu-west-1&tab=objects`);
    await problem(/Still needed: Object key/);

    await open(`${CONSOLE}/buckets/b--usw2-az1--x-s3?region=us-west-2&bucketType=directory&prefix=a/`);
    await problem(/directory bucket/);
    await pictures("directory");
  });

  test("what cannot be is said before the key is asked", async () => {
    await openHere("a/../b.txt");
    assert.match(await text("preview-facts"), /Browsers cannot use it/);
    await fill("object-key", "a.txt");
    await fill("download-name", "../a.txt");
    await problem(/is a path/);
    await fill("download-name", "");
    await fill("content-type", "text");
    await problem(/no content type/);
    await page.select("#method", "HEAD");
    assert.equal(await isDisabled(), false, "a field that is not shown says nothing");
    // A key is shown as it is, whatever is in it.
    await fill("object-key", "<b>`$1 $OBJECT$");
    assert.match(await text("preview-sentence"), /bucket\/<b>`\$1 \$OBJECT\$ is/);
  });

  test("choices are remembered, links are not", async () => {
    await openHere("a.txt", { method: "HEAD", expires: "43200" });
    const url = await sign();
    const stored = await page.evaluate(async () =>
      JSON.stringify([await chrome.storage.local.get(null), await chrome.storage.session.get(null), { ...localStorage }]));
    assert(!stored.includes("Signature") && !stored.includes("a.txt"), stored);
    assert.deepEqual(JSON.parse(stored)[0].link, { method: "HEAD", expires: 43200, identity: ACCESS_KEY_ID });
    await open(object("b.txt"));
    assert.deepEqual([await value("method"), await value("expires")], ["HEAD", "43200"]);
    // A link belongs to what was signed.
    assert.notEqual(await value("url"), url);
    await sign();
    await fill("object-key", "c.txt");
    assert.deepEqual([await page.$eval("#signed", ({ hidden }) => hidden), await value("url")], [true, ""]);
  });

  test("waiting for the key can be stopped", async () => {
    await openHere("a.txt");
    // The software key waits for its touch no longer than a slow machine for a click: so it is stopped as soon as it can be.
    const isInReach = await page.evaluate(() => new Promise((done) => {
      const stop = document.querySelector("#sign-stop");
      const shown = new MutationObserver(() => {
        if (stop.hidden) return;
        shown.disconnect();
        const { left, top, width, height } = stop.getBoundingClientRect();
        done(document.elementFromPoint(left + width / 2, top + height / 2) === stop);
        stop.click();
      });
      shown.observe(stop, { attributeFilter: ["hidden"] });
      document.querySelector("#sign").click();
    }));
    assert.equal(isInReach, true);
    await page.waitForSelector("#sign:not([data-state])");
    assert.equal(await page.$eval("#trouble", ({ hidden }) => hidden), true);
    assert.equal(await isDisabled(), false);
    await sign();
  });

  test("the context menu brings a page's and a link's object", async () => {
    const target = await browser.waitForTarget((target) => target.type() === "service_worker");
    const worker = await target.worker();
    // Browsers list no entries; one that is not there cannot be changed.
    await worker.evaluate(async () => {
      await chrome.contextMenus.update("share-page", { enabled: true });
      await chrome.contextMenus.update("share-link", { enabled: true });
    });
    for (const click of [
      { menuItemId: "share-link", linkUrl: object("from/a link.txt"), pageUrl: "https://example.org/" },
      { menuItemId: "share-page", pageUrl: object("from/a page.txt") },
    ]) {
      const opened = new Promise((resolve) => browser.once("targetcreated", resolve));
      await worker.evaluate((click) => chrome.contextMenus.onClicked.dispatch(click, undefined), click);
      const popup = await (await opened).asPage();
      await popup.waitForSelector("#presign-panel:not([hidden])");
      const key = new URL(click.linkUrl ?? click.pageUrl).searchParams.get("prefix");
      await until("the object", () => popup.$eval("#object-key", (field, key) => field.value === key, key));
      assert.deepEqual(await popup.evaluate(() => chrome.storage.session.get("link")), {}, "once");
      await popup.close();
    }
  });
});
