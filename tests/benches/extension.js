// The extension's speed in real Chromium: what a person waits for. Everything in one run, beside the least that could do the
// same: an extension that injects a script once there is a field, which puts an empty element beside it.

import { cpSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";

import { Home, Pages, endBackground, launch, tool, until } from "../browser/harness.js";
import { FakeHost } from "../../extension/test/fake-host.js";

const ROUNDS = Number(process.env.KEYFOB_ROUNDS ?? 25);
const SIGN_IN = "https://us-east-1.signin.aws.amazon.com/signin.html";

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const line = (what, value, note = "") => console.log(`  ${what.padEnd(58)}${value.padStart(12)}  ${note}`);
const ms = (values) => `${median(values).toFixed(2)} ms`;

/** An extension that does nothing but inject a script that puts an element there, as soon as it sees a field. */
function floor(home) {
  const folder = path.join(home.path, "floor");
  mkdirSync(folder);
  const matches = ["https://*.signin.aws.amazon.com/*"];
  writeFileSync(path.join(folder, "manifest.json"), JSON.stringify({
    manifest_version: 3, name: "floor", version: "1", permissions: ["scripting"], host_permissions: matches,
    content_scripts: [{ matches, js: ["watch.js"] }], background: { service_worker: "background.js" },
  }));
  writeFileSync(path.join(folder, "watch.js"), `
    new MutationObserver((_, observer) => {
      if (!document.getElementById("mfaCode")) return;
      observer.disconnect();
      chrome.runtime.sendMessage("field");
    }).observe(document, { subtree: true, childList: true });`);
  writeFileSync(path.join(folder, "chip.js"), `
    const chip = document.createElement("div");
    chip.popover = "manual";
    document.documentElement.append(chip);
    chip.showPopover();`);
  // The harness waits for a first page.
  writeFileSync(path.join(folder, "background.js"), `
    chrome.runtime.onInstalled.addListener(() => chrome.tabs.create({}));
    chrome.runtime.onMessage.addListener((_, { tab, frameId }) => {
      chrome.scripting.executeScript({ target: { tabId: tab.id, frameIds: [frameId] }, files: ["chip.js"] });
    });`);
  return folder;
}

/** Time from the field's insertion to the chip's, in ms, as the page sees both. */
async function fieldToChip(browser) {
  const times = [];
  for (let round = 0; round < ROUNDS; round++) {
    const page = await browser.newPage();
    await page.goto(SIGN_IN);
    await page.bringToFront();
    times.push(await page.evaluate(() => new Promise((resolve) => {
      let begin;
      new MutationObserver(() => {
        if (begin === undefined && document.getElementById("mfaCode")) begin = performance.now();
        if (begin !== undefined && document.querySelector("html > [popover]")) resolve(performance.now() - begin);
      }).observe(document, { subtree: true, childList: true });
      document.getElementById("next").click();
    })));
    await page.close();
  }
  return times.slice(1);
}

/** Puts a host there that writes down when it answers, which is what `touchToValue` counts from. */
function quickHost(home) {
  const answered = path.join(home.path, "answered");
  const host = new FakeHost(home);
  host.answers(`({ id, op }) => {
    const done = (answer) => frame({ type: "done", id, answer });
    const name = "Amazon Web Services:alice@123456789012";
    if (op.name === "accounts") return done({ name: "accounts", key, accounts: [account(name)] });
    if (op.name !== "code") return null;
    setTimeout(() => {
      require("node:fs").writeFileSync(${JSON.stringify(answered)}, String(Date.now()));
      write(done({ name: "code", account: name, code: code("123456", now() - 1, now() + 29) }));
    }, 300);
    return touch(id);
  }`);
  return { host, answered };
}

/** Time from the key's answer to the value in the field, in ms. */
async function touchToValue(browser, answered) {
  const times = [];
  for (let round = 0; round < ROUNDS; round++) {
    const page = await browser.newPage();
    await page.goto(`${SIGN_IN}?mfa`);
    await page.bringToFront();
    await page.evaluate(() => {
      window.filledAt = new Promise((resolve) => {
        document.addEventListener("input", () => resolve(Date.now()), { capture: true, once: true });
      });
    });
    await page.waitForSelector("#mfaCode");
    await page.mouse.click(500, 80);
    await page.click("#mfaCode");
    const filled = await page.evaluate(() => window.filledAt);
    times.push(filled - Number(readFileSync(answered, "utf8")));
    await page.close();
  }
  return times.slice(1);
}

/** A copy of an extension, with a script before and one behind those that it puts into every page of a sign-in host: they tell how long those took. */
function timed(extension) {
  const folder = `${extension}-timed`;
  cpSync(extension, folder, { recursive: true });
  const file = path.join(folder, "manifest.json");
  const manifest = JSON.parse(readFileSync(file, "utf8"));
  const [scripts] = manifest.content_scripts;
  scripts.js = ["begin.js", ...scripts.js, "end.js"];
  writeFileSync(file, JSON.stringify(manifest));
  writeFileSync(path.join(folder, "begin.js"), "const BEGAN = performance.now();");
  writeFileSync(path.join(folder, "end.js"), "document.documentElement.dataset.took = performance.now() - BEGAN;");
  return folder;
}

/** What the extension's scripts take to be compiled and to run on a page of a sign-in host that has no field, in ms. */
async function contentScript(browser) {
  const times = [];
  for (let round = 0; round < ROUNDS; round++) {
    const page = await browser.newPage();
    await page.goto("https://us-east-1.signin.aws.amazon.com/console.html");
    times.push(Number(await page.evaluate(() => document.documentElement.dataset.took)));
    await page.close();
  }
  return times.slice(1);
}

async function firstPaint(browser, pageName) {
  const times = [];
  for (let round = 0; round < ROUNDS; round++) {
    const page = await browser.newPage();
    await page.goto(`chrome-extension://${browser.extensionId}/${pageName}`);
    times.push(await until("the paint", () =>
      page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime)));
    await page.close();
  }
  return times.slice(1);
}

const home = new Home();
let pages, browser;
try {
  await home.keyfob(["soft", "create", "test"]);
  home.write(".config/keyfob/config.toml", 'key = "soft:test"\n');
  await home.keyfob(["oath", "uri", "--touch"], "otpauth://totp/Amazon%20Web%20Services:alice@123456789012?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP\n");
  pages = await Pages.start(home);

  browser = await launch("chromium", home, pages, { extension: floor(home) });
  const least = await fieldToChip(browser);
  await browser.close();

  browser = await launch("chromium", home, pages);
  const chip = await fieldToChip(browser);
  const { host, answered } = quickHost(home);
  // With it goes the port to the program that answered until now.
  await endBackground(browser);
  line("field visible → chip", ms(chip), `${(median(chip) / median(least)).toFixed(1)} × the least (${ms(least)}); wanted: under 50 ms`);
  line("answer of the key → value in the field", ms(await touchToValue(browser, answered)), "wanted: under 50 ms");
  host.end();
  const extension = tool("KEYFOB_EXTENSION");
  const { content_scripts } = JSON.parse(readFileSync(path.join(extension, "manifest.json"), "utf8"));
  line("popup, first paint", ms(await firstPaint(browser, "popup.html")), "wanted: under 100 ms");

  await browser.close();

  const own = path.join(home.path, "extension");
  cpSync(extension, own, { recursive: true });
  const took = [];
  const floorPath = path.join(home.path, "floor");
  // The measuring's own share: the same with a script that does nothing.
  const empty = path.join(home.path, "empty");
  cpSync(floorPath, empty, { recursive: true });
  writeFileSync(path.join(empty, "watch.js"), "");
  for (const each of [floorPath, own, empty]) {
    browser = await launch("chromium", home, pages, { extension: timed(each) });
    took.push(await contentScript(browser));
    await browser.close();
  }
  const [floorTook, ownTook, emptyTook] = took;
  const times = (median(ownTook) / median(floorTook)).toFixed(1);
  line("scripts on a page without a field", ms(ownTook), `${times} × the least (${ms(floorTook)}); an empty script: ${ms(emptyTook)}; wanted: under 1 ms`);

  for (const { matches, js } of content_scripts) {
    const bytes = js.reduce((sum, name) => sum + statSync(path.join(extension, name)).size, 0);
    line(`scripts of ${matches[0]}`, `${bytes} bytes`, "wanted: under 15,000");
  }
  const watchers = ["wake.js", "generated/sign_in.js", "generated/enrolment.js", "watch_enrol.js", "watch.js"];
  line("where there is a field, the watchers with them", `${watchers.reduce((sum, name) => sum + statSync(path.join(extension, name)).size, 0)} bytes`);
} finally {
  await browser?.close();
  pages?.stop();
  home.remove();
}
