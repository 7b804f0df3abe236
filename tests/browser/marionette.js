// Firefox by Marionette, its own protocol of automation: the only one that opens pages of extensions there. Frames are
// `LENGTH:JSON` on a socket of this machine; a command is `[0, id, name, parameters]`, its answer `[1, id, error, result]`
// (Firefox Source Docs, remote/marionette/Protocol).

import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";

import { leash, tool, until } from "./harness.js";

const PREFERENCES = {
  // Any free port; the browser writes which into its profile.
  "marionette.port": 0,
  "browser.shell.checkDefaultBrowser": false,
  "browser.startup.homepage_override.mstone": "ignore",
  "browser.startup.page": 0,
  "datareporting.policy.dataSubmissionEnabled": false,
  "app.update.disabledForTesting": true,
  // Nothing of ours reaches another machine.
  "network.proxy.type": 1,
  "network.proxy.http": "127.0.0.1",
  "network.proxy.http_port": 9,
  "network.proxy.ssl": "127.0.0.1",
  "network.proxy.ssl_port": 9,
  "xpinstall.signatures.required": false,
};

/** Starts Firefox in `home` with the extension, and the native host registered. */
export async function launchMarionette(home, { extension = tool("KEYFOB_EXTENSION"), preferences = {}, capabilities = {} } = {}) {
  const profile = path.join(home.path, ".mozilla/firefox/marionette");
  mkdirSync(profile, { recursive: true });
  const prefs = Object.entries({ ...PREFERENCES, ...preferences });
  writeFileSync(path.join(profile, "user.js"), prefs.map(([name, value]) => `user_pref("${name}", ${JSON.stringify(value)});\n`).join(""));
  await home.keyfob(["browser", "install", "--dev"]);
  const firefox = spawn(
    tool("KEYFOB_FIREFOX"),
    ["--headless", "--no-remote", "--marionette", "--remote-allow-system-access", "--profile", profile],
    { env: home.environment(), stdio: "ignore" },
  );
  // Also where it cannot be spoken to.
  const unleash = leash(home, () => firefox.kill("SIGKILL"));
  firefox.once("exit", unleash);
  const file = path.join(profile, "MarionetteActivePort");
  const port = await until("Firefox's port", () => existsSync(file) && readFileSync(file, "utf8").trim());
  const browser = new Marionette(firefox, await connect(Number(port)));
  await browser.command("WebDriver:NewSession", capabilities);
  await browser.command("Addon:Install", { path: extension, temporary: true });
  return browser;
}

/** How long a command may take, in ms. */
const PATIENCE = 60_000;

/** A promise, and what decides it. */
function answered() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
}

/** Ends a program, by force where it does not go. */
async function end(program) {
  if (program.exitCode !== null || program.signalCode !== null) return;
  const ended = new Promise((resolve) => program.once("exit", resolve));
  program.kill();
  const timer = setTimeout(() => program.kill("SIGKILL"), 10_000);
  await ended;
  clearTimeout(timer);
}

const connect = (port) =>
  new Promise((resolve, reject) => {
    const socket = net.connect(port, "127.0.0.1", () => resolve(socket));
    socket.once("error", reject);
  });

class Marionette {
  #waiting = new Map();
  #last = 0;
  #got = Buffer.alloc(0);

  constructor(firefox, socket) {
    this.firefox = firefox;
    this.socket = socket;
    socket.on("data", (more) => this.#receive(more));
    socket.on("error", () => {});
    // What was asked is not answered any more.
    socket.on("close", () => {
      for (const { reject } of this.#waiting.values()) reject(new Error("Firefox is gone"));
      this.#waiting.clear();
    });
  }

  #receive(more) {
    this.#got = Buffer.concat([this.#got, more]);
    for (;;) {
      const colon = this.#got.indexOf(":");
      const length = Number(this.#got.subarray(0, colon));
      if (colon < 0 || this.#got.length < colon + 1 + length) return;
      const message = JSON.parse(this.#got.subarray(colon + 1, colon + 1 + length));
      this.#got = this.#got.subarray(colon + 1 + length);
      // The browser greets with an object.
      if (!Array.isArray(message)) continue;
      const [, id, error, result] = message;
      const { resolve, reject } = this.#waiting.get(id) ?? {};
      if (!this.#waiting.delete(id)) continue;
      if (error) reject(new Error(`${error.error}: ${error.message}`));
      else resolve(result);
    }
  }

  command(name, parameters = {}) {
    const id = ++this.#last;
    const body = Buffer.from(JSON.stringify([0, id, name, parameters]));
    this.socket.write(`${body.length}:`);
    this.socket.write(body);
    const { promise, resolve, reject } = answered();
    const timer = setTimeout(() => this.#waiting.delete(id) && reject(new Error(`no answer to ${name}`)), PATIENCE);
    this.#waiting.set(id, { resolve, reject });
    return promise.finally(() => clearTimeout(timer));
  }

  /** What a function gives in the page; it gets `args`. */
  async evaluate(source, ...args) {
    const script = typeof source === "function" ? `return (${source})(...arguments)` : source;
    return (await this.command("WebDriver:ExecuteScript", { script, args, sandbox: null, newSandbox: false })).value;
  }

  /** Opens a page of the extension in a tab, and looks at that from now on. */
  async openExtensionPage(name, id = "keyfob@keyfob.dev") {
    await this.command("Marionette:SetContext", { value: "chrome" });
    await this.command("WebDriver:ExecuteScript", {
      script: `const { mozExtensionHostname } = WebExtensionPolicy.getByID(arguments[0]);
        gBrowser.selectedTab = gBrowser.addTab("moz-extension://" + mozExtensionHostname + "/" + arguments[1],
          { triggeringPrincipal: Services.scriptSecurityManager.getSystemPrincipal() });`,
      args: [id, name],
    });
    await this.command("Marionette:SetContext", { value: "content" });
    await until("the page", async () => {
      for (const handle of await this.command("WebDriver:GetWindowHandles")) {
        await this.command("WebDriver:SwitchToWindow", { handle, focus: true });
        const [loaded, url] = await this.evaluate(() => [document.readyState === "complete", location.href]);
        if (loaded && url.startsWith("moz-extension:") && url.endsWith(`/${name}`)) return true;
      }
      return false;
    });
  }

  /** Closes the tab that is looked at. */
  async closePage() {
    const [handle] = await this.command("WebDriver:CloseWindow");
    await this.command("WebDriver:SwitchToWindow", { handle });
  }

  /** What the page shows: a PNG. */
  async screenshot() {
    return Buffer.from((await this.command("WebDriver:TakeScreenshot", { full: false })).value, "base64");
  }

  async close() {
    this.socket.end();
    await end(this.firefox);
  }
}
