// The first page in real Chromium: opened by the installation, and each thing that may be missing, with hosts that say so.

import assert from "node:assert/strict";
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import { accessible } from "../../tests/browser/axe.js";
import { Home, launch, Pages, picture, tool, until } from "../../tests/browser/harness.js";
import { FakeHost } from "./fake-host.js";

const { version } = JSON.parse(readFileSync(path.join(tool("KEYFOB_EXTENSION"), "manifest.json"), "utf8"));
// The release of the extension's own version, with the dependencies that it was tested with; the README says the same.
const BUILD = `cargo install --locked --git https://github.com/keyfob/keyfob --tag v${version} keyfob`;
const REGISTER = "keyfob browser install --dev";

describe("first page", { timeout: 360_000 }, () => {
  let home, pages, browser, host, page;

  before(async () => {
    home = new Home();
    pages = await Pages.start(home);
    browser = await launch("chromium", home, pages);
    host = new FakeHost(home);
  });
  after(async () => {
    await browser?.close();
    host?.end();
    pages?.stop();
    home?.remove();
  });
  beforeEach(async () => {
    page = await browser.newPage();
    await page.setViewport({ width: 900, height: 900 });
  });
  afterEach(async () => {
    await page.close();
    host.end();
  });

  const open = async () => {
    await page.goto(`chrome-extension://${browser.extensionId}/welcome.html`);
    await page.waitForSelector("body[data-looked]");
  };
  const text = (selector) => page.$eval(selector, (element) => element.textContent.trim());
  const seen = (selector) => page.$eval(selector, (element) => element.checkVisibility());
  const states = () => page.$$eval(".step", (steps) => steps.map(({ dataset }) => dataset.state));
  const command = (within) => page.$eval(`${within} .command code`, (code) => code.textContent);

  /** Keeps the page in light and dark, and holds it against axe's rules. */
  async function keep(name) {
    for (const scheme of ["light", "dark"]) {
      await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
      await picture(page, `setup-${name}-${scheme}`);
      await accessible(page);
    }
  }

  /** A host whose list of accounts is `accounts`, the source of a frame; and that has `keys`. */
  const lists = (accounts, keys = "[key]") =>
    host.answers(`({ id, op, key: asked }) => {
      const done = (answer) => frame({ type: "done", id, answer: { name: op.name, ...answer } });
      return op.name === "keys" ? done({ keys: ${keys} }) : op.name === "accounts" ? ${accounts} : null; }`);
  const fails = (code, message, more = {}) => `failed(id, ${JSON.stringify({ code, message, ...more })})`;

  test("is opened once, by the installation", async () => {
    // The one that was opened has been closed by the harness; the worker that did it does not do it again.
    assert.equal((await browser.pages()).filter((each) => each.url().includes("welcome")).length, 0);
  });

  test("without the program: one command for each system, which is copied; and it sees when the program is there", async () => {
    host.remove();
    await open();
    assert.deepEqual(await states(), ["now", "later", "later"]);
    assert.equal(await seen("#program-trouble"), false, "that it is missing is no failure here");
    assert.equal(await page.$eval("[role=tab][aria-selected=true]", (tab) => tab.textContent), "Linux");
    assert.equal(
      await command("#install-command"),
      `sudo apt-get install --yes build-essential pcscd libpcsclite-dev pkg-config && ${BUILD} && ${REGISTER}`,
    );
    assert.match(await text("#sandboxed"), /Flatpak/);
    await keep("program");

    await page.focus("#tab-linux");
    await page.keyboard.press("ArrowRight");
    assert.equal(await page.evaluate(() => document.activeElement.id), "tab-mac");
    assert.equal(await command("#install-command"), `${BUILD} && ${REGISTER}`);
    assert.equal(await seen("#sandboxed"), false);
    await page.click("#tab-win");
    assert.equal(await command("#install-command"), `${BUILD}; if ($?) { ${REGISTER} }`);
    // The automation's permissions do not extend to pages of extensions: what is copied is looked at on its way.
    await page.evaluate(() => (navigator.clipboard.writeText = async (text) => void (globalThis.copied = text)));
    await page.click("#install-command .command button");
    await until("the word of it", async () => /Copied/.test(await text("#status")));
    assert.equal(await page.evaluate(() => globalThis.copied), `${BUILD}; if ($?) { ${REGISTER} }`);

    lists(fails("no-key", "no key is plugged in"));
    await page.waitForSelector('#step-program[data-state="done"]');
    assert.equal(await text("#program-here"), "Keyfob 9.9.9 is installed");
    assert.deepEqual(await states(), ["done", "now", "later"]);
  });

  for (const [what, prepare, code, title, fix, shown] of [
    ["is no program", (file) => { writeFileSync(file, "", { mode: 0o600 }); host.replace(file); }, "host-crashed", /ended unexpectedly/, /browser status/, "keyfob browser status"],
    ["is another extension's", () => host.writeManifest({ allowed_origins: ["chrome-extension://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/"] }), "host-forbidden", /another extension/, /browser install --dev/, REGISTER],
    ["ends at once", () => host.replace("/bin/false"), "host-crashed", /ended unexpectedly/, /browser status/, "keyfob browser status"],
  ]) {
    test(`a program that ${what}`, async () => {
      prepare(path.join(home.path, "no-program"));
      await open();
      const card = "#program-trouble";
      assert.equal(await page.$eval(card, ({ dataset }) => dataset.code), code);
      assert.match(await text(`${card} .title`), title);
      assert.match(await text(`${card} .fix`), fix);
      assert.equal(await command(card), shown);
      assert.equal(await seen("#install"), false);
      await keep(code);
    });
  }

  for (const [what, protocol, code, installs] of [
    ["older", 0, "host-old", true],
    ["newer", 2, "extension-old", false],
  ]) {
    test(`a program that is ${what} than the extension`, async () => {
      host.answers(
        `({ id }) => frame({ type: "done", id, answer: { name: "hello", version: "9.9.9", protocol: ${protocol} } })`,
        { greets: true },
      );
      await open();
      assert.equal(await page.$eval("#program-trouble", ({ dataset }) => dataset.code), code);
      assert.match(await text("#program-trouble .title"), /too old.*9\.9\.9|9\.9\.9.*too old/);
      assert.equal(await seen("#install"), installs);
      if (installs) await keep(code);
    });
  }

  test("no key, then one: its name, its accounts, and what to do now", async () => {
    const there = path.join(home.path, "plugged-in");
    rmSync(there, { force: true });
    lists(`(require("node:fs").existsSync(${JSON.stringify(there)})
      ? done({ key: { ...key, name: "YubiKey 5C NFC 12345678" }, accounts: [account("AWS:a"), account("AWS:b"), { ...account("X:c"), aws: undefined }] })
      : ${fails("no-key", "no key is plugged in")})`);
    await open();
    assert.deepEqual(await states(), ["done", "now", "later"]);
    assert.equal(await text("#key-waiting"), "Waiting for a key…");
    assert.equal(await seen("#key-trouble"), false);
    await keep("no-key");
    writeFileSync(there, "");
    await page.waitForSelector('#step-done[data-state="now"]');
    assert.deepEqual(await states(), ["done", "done", "now"]);
    assert.equal(await text("#key-name"), "YubiKey 5C NFC 12345678");
    assert.match(await text("#accounts"), /^2 AWS accounts/);
    assert.equal(await text("#shortcut-fill kbd"), "Alt+Shift+K");
    await keep("done");
    // A key that is there is left alone.
    const asked = host.asked("accounts").length;
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    assert.equal(host.asked("accounts").length, asked);
  });

  test("a software key is said to be one, and a key without accounts how to get them", async () => {
    lists('done({ key: { ...key, kind: "software", label: "test" }, accounts: [] })');
    await open();
    assert.equal(await seen("#key-software"), true);
    assert.match(await text("#accounts"), /Security credentials/);
    await keep("software");
  });

  test("a locked key: a wrong password, the right one", async () => {
    lists(`globalThis.opened ? done({ key, accounts: [] }) : ${fails("locked", "the key is locked", { wants: { key: "7", what: "password of YubiKey 7" } })}`);
    // It also answers what unlocks.
    host.answers(`({ id, op, key: asked }) => {
      const done = (answer) => frame({ type: "done", id, answer: { name: op.name, ...answer } });
      if (op.name === "unlock" && (op.password !== "right" || asked !== "7")) return ${fails("wrong-password", "the password is wrong")};
      if (op.name === "unlock") { globalThis.opened = true; return frame({ type: "done", id, answer: { name: "unlocked" } }); }
      return globalThis.opened ? done({ key, accounts: [] })
        : ${fails("locked", "the key is locked", { wants: { key: "7", what: "password of YubiKey 7" } })}; }`);
    await open();
    assert.equal(await text("#unlock-what"), "Password of YubiKey 7");
    assert.equal(await page.evaluate(() => document.activeElement.id), "password");
    await keep("locked");
    await page.type("#password", "wrong");
    await page.keyboard.press("Enter");
    await page.waitForSelector('#key-trouble[data-code="wrong-password"]:not([hidden])');
    assert.match(await text("#key-trouble .title"), /wrong/);
    assert.equal(await page.$eval("#password", ({ value }) => value), "");
    await page.type("#password", "right");
    await page.keyboard.press("Enter");
    await page.waitForSelector('#step-done[data-state="now"]');
    assert.ok(!JSON.stringify(await page.evaluate(() => chrome.storage.local.get())).includes("right"));
  });

  test("the smart card service is not running", async () => {
    lists(fails("no-pcsc", "the PC/SC service is not running", { hint: "start it (`sudo systemctl start pcscd.socket`)" }));
    await open();
    assert.match(await text("#key-trouble .title"), /not running/);
    assert.equal(await command("#key-trouble"), "sudo systemctl enable --now pcscd.socket");
    assert.equal(await text("#key-waiting"), "Keyfob looks again by itself.");
    await keep("no-pcsc");
  });

  test("another program has the key", async () => {
    lists(fails("busy", "scdaemon holds the key", { hint: "run `gpgconf --kill scdaemon`" }));
    await open();
    assert.equal(await text("#key-trouble .title"), "Scdaemon holds the key");
    assert.equal(await text("#key-trouble .fix"), "Run gpgconf --kill scdaemon");
    assert.equal(await seen("#key-command"), false);
  });

  test("several keys: one is chosen, and the choice is kept", async () => {
    lists(
      `asked === "2" ? done({ key: { ...key, id: "2" }, accounts: [] }) : ${fails("ambiguous", "several keys", { candidates: ["1", "2"] })}`,
      '[{ ...key, name: "YubiKey 5 NFC 1" }, { ...key, id: "2", name: "test", kind: "software" }]',
    );
    await open();
    assert.equal(await seen("#key-trouble"), false);
    assert.equal((await page.$$("#keys button")).length, 2);
    await keep("several");
    await page.click('#keys button[data-key="2"]');
    await page.waitForSelector('#step-done[data-state="now"]');
    assert.equal(await page.evaluate(async () => (await chrome.storage.local.get("key")).key), "2");

    // The one that was chosen is not here, but another is.
    host.end();
    lists(`asked === "2" ? ${fails("no-key", "key 2 is not plugged in")} : done({ key, accounts: [] })`);
    await open();
    assert.equal((await page.$$("#keys button")).length, 1);
    await page.click('#keys button[data-key="1"]');
    await page.waitForSelector('#step-done[data-state="now"]');
    await page.evaluate(() => chrome.storage.local.clear());
  });

  test("asks at most once in two seconds, and not at all while nobody looks", async () => {
    lists(fails("no-key", "no key is plugged in"));
    await open();
    const looked = () => page.$eval("body", ({ dataset }) => Number(dataset.looked));
    await new Promise((resolve) => setTimeout(resolve, 2_600));
    assert.equal(await looked(), 2);
    const other = await browser.newPage();
    await other.bringToFront();
    await until("the page to be hidden", () => page.evaluate(() => document.hidden));
    const before = host.asked("accounts").length;
    await new Promise((resolve) => setTimeout(resolve, 2_600));
    assert.equal(host.asked("accounts").length, before);
    await other.close();
    await page.bringToFront();
    await until("another look", () => host.asked("accounts").length > before);
  });

  // The last one: the extension keeps its port to the real host.
  test("a key that is chosen in the configuration while the page waits", async () => {
    host.writeManifest({});
    await open();
    assert.deepEqual(await states(), ["done", "now", "later"]);
    await home.keyfob(["soft", "create", "late"]);
    home.write(".config/keyfob/config.toml", 'key = "soft:late"\n');
    await page.waitForSelector('#step-done[data-state="now"]');
    assert.equal(await seen("#key-software"), true);
    home.write(".config/keyfob/config.toml", "");
  });
});

// Browsers speak the languages that they were installed with. So each language's texts are put in the place of the English ones, which
// every browser falls back to.
for (const [language, locale] of [["de", "de"], ["ja", "ja"], ["pt-BR", "pt_BR"]]) {
  describe(`pages in ${language}`, { timeout: 120_000 }, () => {
    let home, pages, browser, host, page;
    const texts = JSON.parse(readFileSync(path.join(tool("KEYFOB_EXTENSION"), "_locales", locale, "messages.json"), "utf8"));

    before(async () => {
      home = new Home();
      pages = await Pages.start(home);
      const extension = path.join(home.path, "extension");
      cpSync(tool("KEYFOB_EXTENSION"), extension, { recursive: true });
      const messages = (name) => path.join(extension, "_locales", name, "messages.json");
      cpSync(messages(locale), messages("en"));
      browser = await launch("chromium", home, pages, { extension });
      host = new FakeHost(home);
      host.answers(`({ id, op }) => failed(id, { code: "busy", message: "scdaemon holds the key", hint: "run \`gpgconf\`" })`);
      page = await browser.newPage();
    });
    after(async () => {
      await browser?.close();
      host?.end();
      pages?.stop();
      home?.remove();
    });

    for (const [name, width, title] of [
      ["welcome", 900, "setup_title"],
      ["options", 900, "options_title"],
      ["popup", 360, "popup_codes"],
    ]) {
      test(`${name}.html`, async () => {
        await page.setViewport({ width, height: 900 });
        await page.goto(`chrome-extension://${browser.extensionId}/${name}.html`);
        await page.waitForSelector("body[data-ready], body[data-looked]");
        const { lang, words, wide } = await page.evaluate(() => ({
          lang: document.documentElement.lang,
          words: document.body.innerText,
          wide: document.documentElement.scrollWidth - innerWidth,
        }));
        assert.equal(lang, language);
        assert.ok(words.includes(texts[title].message), words);
        assert.doesNotMatch(words, /\b(?:setup|options|popup|codes|links|error)_[a-z]/, "each text has been found");
        assert.ok(wide <= 0, `${wide} px too wide`);
        if (name === "welcome") {
          assert.ok(words.includes(texts.error_busy_title.message), words);
          assert.match(words, /Scdaemon holds the key/, "the host's own words are there too");
        }
        await accessible(page);
        await picture(page, `${name}-${language}`);
      });
    }

    test("the browser's own lists", async () => {
      const { name, description, commands } = await page.evaluate(async () => ({
        name: chrome.runtime.getManifest().name,
        description: chrome.runtime.getManifest().description,
        commands: (await chrome.commands.getAll()).map(({ description }) => description),
      }));
      assert.equal(name, "Keyfob");
      assert.equal(description, texts.app_description.message);
      assert.ok(commands.includes(texts.app_command_fill.message));
    });
  });
}
