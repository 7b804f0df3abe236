// Opens pages with forms in a real browser, and submits them as a person does: chooses a file, fills in what is asked for, and
// clicks. Standard input: `{ browser, executable, folder, forms: [{ page, file, fill, tamper }] }`; the page and the file are
// paths, `fill` and `tamper` values by the fields' names. Standard output: `[{ status, location }]`, what the server answered.

import path from "node:path";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";
import puppeteer from "puppeteer-core";

const { browser: name, executable, folder, forms } = JSON.parse(await text(process.stdin));
const root = process.getuid() === 0;
const browser = await puppeteer.launch({
  browser: name === "chromium" ? "chrome" : "firefox",
  executablePath: executable,
  userDataDir: path.join(folder, name),
  headless: true,
  args:
    name === "chromium"
      ? [
          // Chromium's sandbox does not work for root.
          ...(root ? ["--no-sandbox"] : []),
          ...["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
          ...["--disable-component-update", "--disable-sync", "--password-store=basic"],
        ]
      : [],
});
try {
  const answers = [];
  for (const { page: file, file: chosen, fill = {}, tamper = {} } of forms) {
    const page = await browser.newPage();
    await page.goto(pathToFileURL(file).href);
    const input = await page.$("input[type=file]");
    await input.uploadFile(chosen);
    for (const [field, value] of Object.entries(fill)) {
      await page.focus(`input[name="${field}"]`);
      // Behind what stands there.
      await page.keyboard.press("End");
      await page.keyboard.type(value);
    }
    // What no person sees, but whoever wants to can change.
    for (const [field, value] of Object.entries(tamper)) {
      await page.$eval(`input[name="${field}"]`, (element, value) => (element.value = value), value);
    }
    const [response] = await Promise.all([
      page.waitForResponse((response) => response.request().method() === "POST"),
      page.click("button"),
    ]);
    answers.push({ status: response.status(), location: response.headers().location ?? "" });
    await page.close();
  }
  process.stdout.write(JSON.stringify(answers));
} finally {
  await browser.close();
}
