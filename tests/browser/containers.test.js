// `keyfob login --container`, whole: the command line, the agent, the native host, the extension in real Firefox, and a server in the
// place of AWS's sign-in, under its own name.

import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";

import { axeSource, run } from "./axe.js";
import { Home, Pages, until } from "./harness.js";
import { launchMarionette } from "./marionette.js";

const TOKEN = "a-token/that+signs=in";
/** Sessions of roles, as a file has them: no key is asked for these. */
const PROFILE = (name) => `[profile ${name}]
region = eu-west-1
aws_access_key_id = ASIAIOSFODNN7EXAMPLE
aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY
aws_session_token = FwoGZXIvYXdzEXAMPLE
`;

describe("a login in a container of Firefox", { timeout: 240_000 }, () => {
  let home, pages, browser, link;

  before(async () => {
    home = new Home();
    pages = await Pages.start(home);
    pages.files.set("/federation", { type: "application/json", body: JSON.stringify({ SigninToken: TOKEN }) });
    home.write(".aws/config", PROFILE("ops") + PROFILE("prod"));
    link = path.join(home.path, "link");
    const script = home.write("firefox", `#!/bin/sh\necho "$#" "$1" > "${link}.new" && mv "${link}.new" "${link}"\n`);
    chmodSync(script, 0o700);
    const proxy = `http://127.0.0.1:${pages.port}`;
    home.settings = { BROWSER: script, HTTPS_PROXY: proxy, NO_PROXY: "", AWS_CA_BUNDLE: pages.certificate };
    browser = await launchMarionette(home, {
      capabilities: { acceptInsecureCerts: true },
      preferences: {
        "network.proxy.http_port": pages.port,
        "network.proxy.ssl_port": pages.port,
      },
    });
  });
  after(async () => {
    await browser?.close();
    pages?.stop();
    home?.remove();
  });

  /** What a function gives in the browser's own window; it gets `args`. */
  async function chrome(source, ...args) {
    await browser.command("Marionette:SetContext", { value: "chrome" });
    try {
      return await browser.evaluate(source, ...args);
    } finally {
      await browser.command("Marionette:SetContext", { value: "content" });
    }
  }

  const tabs = () =>
    chrome(() => [...gBrowser.tabs].map(({ linkedBrowser, selected }) => ({
      url: linkedBrowser.currentURI.spec,
      container: ContextualIdentityService.getUserContextLabel(linkedBrowser.contentPrincipal.userContextId),
      selected,
      // What is shown, which may be an error instead.
      shown: linkedBrowser.webProgress.isLoadingDocument ? "" : linkedBrowser.documentURI.spec,
    })));

  /** Runs `keyfob login`; gives what becomes of it, and the one argument that Firefox was started with. */
  async function login(...args) {
    rmSync(link, { force: true });
    const done = home.talk(["login", ...args]).then(({ stdout, stderr }) => ({ stdout, stderr }), (error) => ({ error }));
    const early = done.then(({ error, stderr }) => assert.fail(`it ended before Firefox was started: ${error?.stderr ?? stderr}`));
    const [count, address] = (await Promise.race([until("the link", () => existsSync(link) && readFileSync(link, "utf8")), early])).trim().split(" ");
    assert.equal(count, "1");
    // No secret: nobody but this user's processes can do anything with it, once, and for a minute.
    assert.match(address, /^ext\+keyfob:[0-9a-f]{32}$/);
    return { address, done };
  }

  /** Opens a link as a Firefox that runs does when another one is started with it as its argument: without a display none can be. */
  const open = (address) =>
    chrome((address) => {
      const line = Cu.createCommandLine([address], null, Ci.nsICommandLine.STATE_REMOTE_AUTO);
      Cc["@mozilla.org/browser/final-clh;1"].getService(Ci.nsICommandLineHandler).handle(line);
    }, address);

  /** Looks at the extension's page, once it shows that. */
  async function page(state) {
    await until(`the page, ${state}`, async () => {
      for (const handle of await browser.command("WebDriver:GetWindowHandles")) {
        // A tab may be gone meanwhile, or be about to show another page.
        const looked = browser
          .command("WebDriver:SwitchToWindow", { handle, focus: true })
          .then(() => browser.evaluate(() => [location.href, document.body?.dataset.state]));
        const [address, shown] = await looked.catch(() => [""]);
        if (/^moz-extension:.*\/login\.html/.test(address) && shown === state) {
          // What stands in the address can be read over a shoulder, and is restored with the tab.
          assert.match(address, /\/login\.html$/);
          return true;
        }
      }
      return false;
    });
  }

  const titled = (text) => browser.evaluate(() => document.querySelector("#title").textContent).then((title) => assert.equal(title, text));

  /** Holds what the page shows against axe-core's rules, and keeps it for people to look at. */
  async function look(name) {
    assert.deepEqual(await browser.evaluate(`${axeSource}\n;return (${run})()`), []);
    const folder = process.env.KEYFOB_PICTURES;
    if (!folder) return;
    mkdirSync(folder, { recursive: true });
    writeFileSync(path.join(folder, `${name}.png`), await browser.screenshot());
  }

  /** Clicks as a person does. */
  async function click(selector) {
    const { value } = await browser.command("WebDriver:FindElement", { using: "css selector", value: selector });
    await browser.command("WebDriver:ElementClick", { id: Object.values(value)[0] });
  }

  /** The tab of the login, once the extension's page has made place for it. */
  async function opened(container) {
    const tab = await until(`the tab in ${container}`, async () => {
      const all = await tabs();
      return !all.some(({ url }) => url.includes("login.html")) && all.find(({ selected, url, shown }) => selected && shown && url.startsWith("https:"));
    });
    assert.equal(tab.container, container);
    assert.equal(tab.shown, tab.url);
    const url = new URL(tab.url);
    assert.equal(url.origin + url.pathname, "https://signin.aws.amazon.com/federation");
    assert.equal(url.searchParams.get("SigninToken"), TOKEN);
    assert.equal(url.searchParams.get("Destination"), "https://eu-west-1.console.aws.amazon.com/console/home?region=eu-west-1");
    await chrome(() => gBrowser.removeCurrentTab());
  }

  const identities = () => chrome(() => ContextualIdentityService.getPublicIdentities().map(({ name }) => name).filter(Boolean));

  test("the person allows it once, and the console opens in a container of the profile's name", async () => {
    const { address, done } = await login("ops", "--container");
    await open(address);
    await page("allow");
    await titled("Allow Keyfob to open tabs in containers");
    await look("login-allow");
    // Which is why it is asked for.
    const refused = await browser.evaluate(() =>
      chrome.tabs.create({ url: "about:blank", cookieStoreId: "firefox-container-1" }).then(() => "", ({ message }) => message),
    );
    assert.match(refused, /permission/i);
    await click("#allow");
    await opened("ops");
    const { error, stdout, stderr } = await done;
    assert.equal(error, undefined, error?.stderr);
    assert.equal(stdout, "");
    assert.match(stderr, /container ops/);
    assert.doesNotMatch(stderr, /Token|federation/);
  });

  test("from then on it opens by itself, in the container that is there, or in another", async () => {
    const before = await identities();
    for (const [args, container] of [[["ops", "--container"], "ops"], [["prod", "--container=Our production"], "Our production"]]) {
      const { address, done } = await login(...args, "--json");
      await open(address);
      await opened(container);
      assert.deepEqual(JSON.parse((await done).stdout), { profile: args[0], container });
      // Nobody gets it a second time.
      await open(address);
      await page("trouble");
      await titled("This login is over");
      await look("login-over");
      await browser.closePage();
    }
    assert.deepEqual((await identities()).filter((name) => !before.includes(name)), ["Our production"]);
  });

  test("nobody's ticket opens nothing", async () => {
    for (const ticket of ["0".repeat(32), "", "..%2Fpopup.html"]) {
      await open(`ext+keyfob:${ticket}`);
      await page("trouble");
      await titled("This login is over");
      await browser.closePage();
    }
    assert.deepEqual((await tabs()).filter(({ url }) => url.startsWith("https:")), []);
  });

  test("a page that links to it has Firefox ask the person", async () => {
    pages.files.set("/link.html", { type: "text/html", body: `<!doctype html><title>Link</title><a href="ext+keyfob:${"0".repeat(32)}">Link</a>` });
    const { handle } = await browser.command("WebDriver:NewWindow", { type: "tab" });
    await browser.command("WebDriver:SwitchToWindow", { handle, focus: true });
    await browser.command("WebDriver:Navigate", { url: "https://docs.aws.amazon.com/link.html" });
    await click("a");
    await until("Firefox's question", () =>
      chrome(() =>
        [...document.querySelectorAll(".dialogFrame")].some(({ contentDocument }) => /ext\+keyfob.*Keyfob/.test(contentDocument?.documentElement.textContent ?? "")),
      ),
    );
    assert.deepEqual((await tabs()).filter(({ url }) => url.includes("login.html")), []);
    await browser.closePage();
  });

  test("it goes with the command that offers it", async () => {
    const { address, done } = await login("ops", "--container", "--timeout", "5s");
    const { error } = await done;
    assert.notEqual(error?.code ?? 0, 0);
    assert.match(error.stderr, /--timeout/);
    await open(address);
    await page("trouble");
    await titled("This login is over");
    await browser.closePage();
  });

  test("a Firefox that does not start is told at once", async () => {
    const before = home.settings;
    for (const [browser, says] of [["/bin/false", /not opened/], [path.join(home.path, "nowhere"), /cannot open Firefox/]]) {
      home.settings = { ...before, BROWSER: browser };
      const { code, stderr } = await home.talk(["login", "ops", "--container"]).catch((error) => error);
      home.settings = before;
      assert.equal(code, 1, stderr);
      assert.match(stderr, says);
      assert.match(stderr, /--stdout/);
      assert.doesNotMatch(stderr, /Token|federation/);
    }
  });

  test("what cannot be is said before anything is asked for", async () => {
    rmSync(link, { force: true });
    for (const [args, settings, says] of [
      [["--no-agent", "login", "ops", "--container"], {}, /--no-agent/],
      [["login", "ops", "--container", "--stdout"], {}, /cannot be used with/],
      [["login", "ops", "--container"], { AWS_ENDPOINT_URL_SIGNIN: "http://127.0.0.1:1" }, /AWS_ENDPOINT_URL_SIGNIN/],
      [["login", "ops", "--container=a\nb"], {}, /container/],
    ]) {
      const before = home.settings;
      home.settings = { ...before, ...settings };
      const { code, stderr } = await home.talk(args).catch((error) => error);
      home.settings = before;
      assert.equal(code, 2, `${args}: ${stderr}`);
      assert.match(stderr, says);
      assert.doesNotMatch(stderr, /SigninToken/);
    }
    assert.ok(!existsSync(link), "Firefox was started for nothing");
  });
});
