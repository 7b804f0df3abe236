// The main job on a software key, shown: `node demo.js FOLDER [--headless]` puts pictures into FOLDER.
// `cargo xtask demo` installs and builds what it takes, and starts it.

import { mkdirSync } from "node:fs";
import path from "node:path";
import { Home, Pages, S3, launch, until } from "./harness.js";

const [folder, ...options] = process.argv.slice(2);
const headless = options.includes("--headless");

const ACCOUNT = "Amazon Web Services:alice@123456789012";
const OTHER = "GitHub:alice";
// Secrets out of public documents, on a key that is thrown away: RFC 6238's, and the one in AWS's own examples.
const SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const ACCESS_KEY_ID = "AKIAIOSFODNN7EXAMPLE";
const SECRET_ACCESS_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const BUCKET = "demo-bucket";
const CONSOLE = "https://eu-west-1.console.aws.amazon.com/s3/object/";
const OBJECT = "reports/a b+ü.txt";

const say = (text) => console.log(`\n• ${text}`);
const show = (text) => console.log(text.trimEnd().replace(/^/gm, "    "));

mkdirSync(folder, { recursive: true });
const home = new Home();
// The software key has no button: its touch comes by itself, after a moment in which it can be seen to be waited for.
home.settings.KEYFOB_SOFT_TOUCH = "1000";
const started = [() => home.remove()];
let interrupted = false;
let ending;
process.on("SIGINT", () => {
  interrupted = true;
  void end();
});

/** Ends what was started, once: also what Ctrl-C has ended already, in which case there is nothing to be said. */
function end() {
  return (ending ??= (async () => {
    for (const stop of started.splice(0).reverse()) await Promise.resolve().then(stop).catch(() => undefined);
  })());
}

async function keyfob(args, input) {
  show(`$ keyfob ${args.map((arg) => (/^[\w:/.=-]+$/.test(arg) ? arg : `'${arg}'`)).join(" ")}`);
  const { stdout, stderr } = await home.talk(args, input);
  show(stderr + stdout);
  return stdout.trim();
}

try {
  say("A temporary software key, a file in place of a card, with two accounts and one AWS access key:");
  home.write(".config/keyfob/config.toml", 'key = "soft:demo"\n');
  await keyfob(["soft", "create", "demo"]);
  await keyfob(["oath", "add", ACCOUNT, "--touch"], SECRET);
  await keyfob(["oath", "add", OTHER], SECRET);
  await keyfob(["aws", "add", ACCESS_KEY_ID], SECRET_ACCESS_KEY);

  say("A code on the command line:");
  await keyfob(["code", OTHER]);

  say("A presigned link, fetched from a local S3 server that verifies signatures:");
  const s3 = await S3.start(home, ACCESS_KEY_ID, SECRET_ACCESS_KEY, BUCKET);
  started.push(() => s3.stop());
  const allowed = `[browser]\nallow_accounts = ["${OTHER}"]\nallow_endpoints = ["${s3.endpoint}"]\n`;
  home.write(".config/keyfob/config.toml", `key = "soft:demo"\n${allowed}`);
  const presign = ["presign", `s3://${BUCKET}/${OBJECT}`, "--region", "eu-west-1", "--endpoint", s3.endpoint];
  const upload = await home.keyfob([...presign, "--method", "PUT"]);
  await check(fetch(upload.trim(), { method: "PUT", body: "Fetched with a presigned link." }), 200);
  const link = await keyfob(presign);
  show(`→ ${await (await check(fetch(link), 200)).text()}`);
  await check(fetch(link.replace("reports", "secrets")), 403);
  show("→ with another path in it: 403, refused");

  say("Chromium, with the extension, on a sign-in page under the host name signin.aws.amazon.com:");
  const pages = await Pages.start(home);
  started.push(() => pages.stop());
  const browser = await launch("chromium", home, pages, { headless });
  started.push(() => browser.close());
  const closed = new Promise((resolve) => browser.once("disconnected", resolve));
  const page = (await browser.pages())[0] ?? (await browser.newPage());
  await page.goto("https://signin.aws.amazon.com/signin.html");
  await page.bringToFront();
  await page.click("#next");
  await page.waitForSelector("#mfaCode");
  // Between the field's appearance and the touch.
  await new Promise((resolve) => setTimeout(resolve, 500));
  await page.screenshot({ path: path.join(folder, "1-touch.png") });
  const code = await until("the code in the page", () => page.$eval("#state", (shown) => shown.textContent));
  show(`The key was “touched”, and the page has the code ${code}.`);
  await page.screenshot({ path: path.join(folder, "2-filled.png") });

  const tab = `${CONSOLE}${BUCKET}?region=eu-west-1&bucketType=general&prefix=${encodeURIComponent(OBJECT)}`;
  const popup = await browser.newPage();
  await popup.setViewport({ width: 360, height: 640, deviceScaleFactor: 2 });
  const shot = (name) => popup.screenshot({ path: path.join(folder, name) });
  await popup.goto(`chrome-extension://${browser.extensionId}/popup.html?tab=${encodeURIComponent(tab)}`);
  await popup.waitForSelector("body[data-ready]");
  await popup.click("#tab-codes");
  await popup.waitForSelector("#codes .row");
  await shot("3-popup-codes.png");
  await popup.click("#tab-presign");
  await popup.waitForSelector("#sign:not([disabled])");
  await shot("4-popup-link.png");
  // As a person does who has a server of their own.
  await popup.$eval("#link-more", (more) => (more.open = true));
  await popup.type("#endpoint", s3.endpoint);
  await popup.$eval("#link-more", (more) => (more.open = false));
  await popup.waitForSelector("#sign:not([disabled])");
  await popup.click("#sign");
  await popup.waitForSelector("#signed:not([hidden])");
  await popup.click("#test-url");
  await popup.waitForSelector("#tested[data-state=good]");
  await popup.$eval("#signed", (box) => box.scrollIntoView());
  await shot("5-popup-signed.png");
  const signed = await popup.$eval("#url", (area) => area.value);
  await check(fetch(signed), 200);
  await popup.close();
  show("The popup signed a link for the object that the S3 console's tab shows, and tried it.");

  say(`Pictures of the page and the popup: ${folder}`);
  if (!headless) {
    say("The window is yours: reload the page for another code, click on Keyfob's icon for the popup. Close it to end.");
    await closed;
  }
} catch (error) {
  if (!interrupted) {
    console.error(error.stderr || error);
    process.exitCode = 1;
  }
} finally {
  await end();
}

async function check(answer, status) {
  const response = await answer;
  if (response.status !== status) throw new Error(`the S3 server said ${response.status}: ${await response.text()}`);
  return response;
}
