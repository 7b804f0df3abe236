// Real browsers with the extension and the native host, on pages that come under their real host names.
// Everything is private: a temporary home, profiles in it, a server and a proxy on this machine alone.

import { execFile, execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import puppeteer from "puppeteer-core";

const here = import.meta.dirname;

/** A program or folder that `cargo xtask` built or installed, by the name of its environment variable. */
export function tool(variable) {
  const value = process.env[variable];
  if (!value) throw new Error(`${variable} is not set: please run \`cargo xtask test\``);
  return value;
}

/** A temporary home folder, in which `keyfob` and the browsers keep what they keep. */
export class Home {
  /** More of the environment, for `keyfob` in here. */
  settings = {};

  /** What ends the browsers that were started in here and have not been closed. */
  programs = new Set();

  constructor() {
    this.path = mkdtempSync(path.join(tmpdir(), "keyfob-home-"));
    mkdirSync(path.join(this.path, "runtime"), { mode: 0o700 });
    this.passphraseFile = this.write("passphrase", "a passphrase for a test\n");
  }

  write(name, text) {
    const file = path.join(this.path, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text, { mode: 0o600 });
    return file;
  }

  /** What a program may know: nothing of the user's settings, desktop, keychain or readers. */
  environment() {
    const inherited = Object.entries(process.env).filter(
      ([name]) => !/^(KEYFOB|XDG|AWS)_|^(DBUS_SESSION_BUS_ADDRESS|SSH_AUTH_SOCK)$/.test(name),
    );
    return {
      ...Object.fromEntries(inherited),
      HOME: this.path,
      XDG_RUNTIME_DIR: path.join(this.path, "runtime"),
      KEYFOB_PASSPHRASE_FILE: this.passphraseFile,
      PCSCLITE_CSOCK_NAME: path.join(this.path, "no-pcscd"),
      ...this.settings,
    };
  }

  /** Runs `keyfob`, with secrets on its standard input; gives what it prints. Throws with `code` and `stderr`. */
  async keyfob(args, input = "") {
    return (await this.talk(args, input)).stdout;
  }

  /** As `keyfob`, but gives what it says too: `{ stdout, stderr }`. */
  async talk(args, input = "") {
    const child = promisify(execFile)(tool("KEYFOB_BIN"), args, { env: this.environment(), cwd: this.path, timeout: 60_000 });
    // A program that wants no input may have ended before it is written.
    child.child.stdin.on("error", () => {}).end(input);
    return child;
  }

  /** Whether this is a code of the account, of now or of a step or two ago: a step may end between a code and the question. */
  async isCodeOf(account, code) {
    return this.keyfob(["oath", "verify", "--window", "2", account, code]).then(() => true, () => false);
  }

  /**
   * Ends the agent, if one was started; the next who asks starts another. With it goes what it has noted of codes that were
   * submitted, which would have a test wait for the next step.
   */
  endAgent() {
    execFileSync(tool("KEYFOB_BIN"), ["--quiet", "agent", "stop"], { env: this.environment(), stdio: "ignore", timeout: 20_000 });
  }

  /** Ends the agent too. */
  remove() {
    for (const kill of this.programs) kill();
    this.endAgent();
    rmSync(this.path, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

/** The test pages, under any host name, over http and https, by way of a proxy. */
export class Pages {
  static async start(home) {
    const pages = new Pages();
    const [key, cert] = ["key.pem", "cert.pem"].map((name) => path.join(home.path, name));
    execFileSync(
      "openssl",
      ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"].concat(
        ["-subj", "/CN=Keyfob test", "-addext", "subjectAltName=DNS:*.aws.amazon.com,DNS:*.signin.aws.amazon.com"],
        // Its own, and nobody else's: rustls takes no authority's certificate for a server's.
        ["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", cert],
      ),
      { stdio: "pipe" },
    );
    pages.certificate = cert;
    const answer = (scheme) => (request, response) => {
      // A proxied http request has the whole URL, an https one behind CONNECT its path.
      const url = new URL(request.url, `${scheme}://${request.headers.host}`);
      if (url.pathname === "/report") pages.report = JSON.parse(url.searchParams.get("what"));
      const made = pages.files.get(url.pathname);
      // One that is never answered is being loaded for ever.
      if (made?.waits) return;
      if (made) {
        response.writeHead(200, { "content-type": made.type });
        response.end(made.body);
        return;
      }
      const file = path.join(here, "pages", path.basename(url.pathname));
      const types = { ".html": "text/html; charset=utf-8", ".svg": "image/svg+xml" };
      const type = types[path.extname(file)];
      const found = existsSync(file) && type !== undefined;
      response.writeHead(found ? 200 : 404, { "content-type": type ?? types[".html"] });
      response.end(found ? readFileSync(file) : "<!doctype html><title>Nothing here</title>");
    };
    pages.https = https.createServer({ key: readFileSync(key), cert: readFileSync(cert) }, answer("https"));
    const { port } = await listen(pages.https);
    // Every host is the test server: no browser of ours reaches another machine.
    pages.proxy = http.createServer(answer("http"));
    pages.proxy.on("connect", (_request, client, head) => {
      const server = net.connect(port, "127.0.0.1", () => {
        client.write("HTTP/1.1 200 Connection established\r\n\r\n");
        server.write(head);
        client.pipe(server).pipe(client);
      });
      server.on("error", () => client.destroy());
      client.on("error", () => server.destroy());
    });
    pages.port = (await listen(pages.proxy)).port;
    return pages;
  }

  /** The file of the server's certificate, of `*.aws.amazon.com` and `*.signin.aws.amazon.com`. */
  certificate;

  /**
   * What the sign-in page opened with `?report` told about itself last. Looking into a page by the browser's automation
   * counts as the person's interaction with it, which is just what may be missing in a test.
   */
  report;

  /** What else is there, under every host name: by path, `{ type, body }`, or `{ waits: true }`. */
  files = new Map();

  stop() {
    for (const server of [this.https, this.proxy]) {
      server.closeAllConnections();
      server.close();
    }
  }
}

function listen(server) {
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server.address())));
}

/** A local S3 server that verifies signatures (s3s-fs), with one access key and one bucket. */
export class S3 {
  static async start(home, accessKeyId, secretAccessKey, bucket) {
    const s3 = new S3();
    s3.root = path.join(home.path, "s3");
    mkdirSync(path.join(s3.root, bucket), { recursive: true });
    const free = net.createServer();
    const { port } = await listen(free);
    await new Promise((resolve) => free.close(resolve));
    // The shell ends the server when its standard input ends: also when this process is killed.
    const leash = 'trap : INT TERM HUP; "$@" </dev/null & read -r _; kill "$!"; wait "$!"';
    s3.shell = spawn(
      "/bin/sh",
      ["-c", leash, "leash", tool("KEYFOB_S3S_FS"), "--host", "127.0.0.1", "--port", `${port}`]
        // It takes its key no other way; this one protects a temporary folder.
        .concat(["--access-key", accessKeyId, "--secret-key", secretAccessKey, s3.root]),
      { stdio: ["pipe", "ignore", "ignore"] },
    );
    s3.endpoint = `http://127.0.0.1:${port}`;
    await until("the S3 server", () => fetch(s3.endpoint).then(() => true, () => false));
    return s3;
  }

  stop() {
    this.shell.stdin.end();
    if (this.shell.exitCode !== null || this.shell.signalCode !== null) return undefined;
    return new Promise((resolve) => this.shell.once("exit", resolve));
  }
}

/** Asks every few milliseconds until there is an answer that counts, for at most twenty seconds. */
export async function until(what, answer) {
  for (const end = Date.now() + 20_000; Date.now() < end; ) {
    const value = await answer();
    if (value) return value;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`waited 20 s in vain for ${what}`);
}

/** The development id that the manifest's public key gives in Chromium. */
export function chromiumExtensionId() {
  const manifest = JSON.parse(readFileSync(path.join(tool("KEYFOB_EXTENSION"), "manifest.json"), "utf8"));
  const hash = createHash("sha256").update(Buffer.from(manifest.key, "base64")).digest("hex");
  return [...hash.slice(0, 32)].map((digit) => String.fromCharCode(97 + parseInt(digit, 16))).join("");
}

/** No browser is wanted for longer, in ms. */
const LIFE = 10 * 60_000;

/**
 * Has a program that was started in `home` ended with it, and in any case in the end: a test file waits for its children for ever,
 * and a hook that fails before it can say what it has started leaves nobody who would end that. `kill` ends it; gives how to say
 * that it has gone.
 */
export function leash(home, kill) {
  home.programs.add(kill);
  const timer = setTimeout(kill, LIFE).unref();
  return () => {
    clearTimeout(timer);
    home.programs.delete(kill);
  };
}

/** Closes a browser, or ends it, where it does not hear: what it waits for itself may never come. */
async function closeBrowser(browser, close) {
  const late = Symbol("late");
  let timer;
  const patience = new Promise((resolve) => (timer = setTimeout(resolve, 10_000, late)));
  const closed = close().catch(() => late);
  if ((await Promise.race([closed, patience])) === late) browser.process()?.kill("SIGKILL");
  clearTimeout(timer);
}

/** Names of the browsers that the tests run in. */
export const BROWSERS = ["chromium", "firefox"];

/**
 * Starts a browser in `home`, with the native host registered by `keyfob browser install` and the extension installed.
 * `browser.extensionId` is the extension's id. (In Firefox this automation opens no pages of extensions; marionette.js does.)
 */
export async function launch(name, home, pages, { headless = true, extension = tool("KEYFOB_EXTENSION") } = {}) {
  // Where Chromium keeps its profile unasked: `browser install` writes the host's manifest beside it.
  const profile = path.join(home.path, name === "chromium" ? ".config/chromium" : ".mozilla/firefox/test");
  mkdirSync(profile, { recursive: true });
  const common = { headless, handleSIGINT: false, protocolTimeout: 60_000, env: home.environment(), acceptInsecureCerts: true };
  const starting = (name === "chromium" ? launchChromium : launchFirefox)(common, profile, pages);
  let browser;
  const kill = () => browser?.process()?.kill("SIGKILL") ?? starting.then((late) => late.process()?.kill("SIGKILL"), () => undefined);
  const unleash = leash(home, kill);
  browser = await starting;
  const close = browser.close.bind(browser);
  browser.close = () => closeBrowser(browser, close).finally(unleash);
  try {
    const before = await browser.pages();
    browser.extensionId = await browser.installExtension(extension);
    // The extension's first page is in front, and asks for the host. In Firefox, automation does not see what it is.
    const welcome = await until("the first page", async () =>
      (await browser.pages()).find((page) => !before.includes(page)),
    );
    await welcome.close();
    // Only now: else one would be running, in the place of whichever a test wants.
    await home.keyfob(["browser", "install", "--dev"]);
  } catch (error) {
    // Nobody else could: the tests would never end.
    await browser.close();
    throw error;
  }
  return browser;
}

function launchChromium(common, profile, pages) {
  const root = process.getuid() === 0;
  return puppeteer.launch({
    ...common,
    browser: "chrome",
    executablePath: tool("KEYFOB_CHROMIUM"),
    userDataDir: profile,
    pipe: true,
    enableExtensions: true,
    defaultViewport: common.headless ? { width: 1000, height: 720 } : null,
    args: [
      // Chromium's sandbox does not work for root.
      ...(root ? ["--no-sandbox"] : []),
      `--proxy-server=http://127.0.0.1:${pages.port}`,
      // A page over http is tested as such.
      "--disable-features=HttpsUpgrades,HttpsFirstBalancedMode,HttpsFirstBalancedModeAutoEnable",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--password-store=basic",
    ],
  });
}

function launchFirefox(common, profile, pages) {
  return puppeteer.launch({
    ...common,
    browser: "firefox",
    executablePath: tool("KEYFOB_FIREFOX"),
    userDataDir: profile,
    extraPrefsFirefox: {
      "network.proxy.type": 1,
      "network.proxy.http": "127.0.0.1",
      "network.proxy.http_port": pages.port,
      "network.proxy.ssl": "127.0.0.1",
      "network.proxy.ssl_port": pages.port,
      "datareporting.policy.dataSubmissionEnabled": false,
    },
  });
}

/**
 * Ends the extension's background, as Chromium does when it likes; fails if there is none. Whoever attaches to it for that may
 * have the next one wait for a debugger.
 */
export async function endBackground(browser) {
  const session = await browser.target().createCDPSession();
  const { targetInfos } = await session.send("Target.getTargets");
  const ours = targetInfos.filter(({ type, url }) => type === "service_worker" && url.includes(browser.extensionId));
  for (const { targetId } of ours) await session.send("Target.closeTarget", { targetId });
  await session.detach();
  if (ours.length === 0) throw new Error("there is no background to end");
}

/** Keeps what the page shows, for people to look at, in the folder `KEYFOB_PICTURES` if there is one. */
export async function picture(page, name) {
  const folder = process.env.KEYFOB_PICTURES;
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: path.join(folder, `${name}.png`) });
}
