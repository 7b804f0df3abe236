// Every kind of sign-in page, and every kind of trap, in real browsers under the real host names: the table is in
// corpus/cases.js, what pages do in corpus/kit.js and corpus/attacks.js. Here is what a person does, and what is looked at.
//
// A page is never looked into by automation, which would count as the person's interaction: it tells the server how it is.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { FakeHost } from "../../extension/test/fake-host.js";
import { ACCOUNTS, CASES } from "./corpus/cases.js";
import { TEXTS } from "./corpus/texts.js";
import { BROWSERS, Home, Pages, launch, picture, tool, until } from "./harness.js";

const here = path.join(import.meta.dirname, "corpus");

/** Long enough, in ms, for whatever does not wait for a person: to find a field, to ask the host, to fill. */
const SETTLED = 400;
/** As long after a click, when everything else is there. */
const DONE = 300;
/** How long a chip must have been where it is for a click on it to count, and as much more as a busy page takes to tell that it moved. */
const SEEN = 500;
/**
 * Chromium drops clicks into another origin's frame that has only just come to its place, where the frame watches whether it can
 * be seen: for so long, in ms.
 */
const FRAME_RESTS = 600;
/** So many pages at a time, where nothing is filled. */
const LANES = 4;
/** In CSS pixels. */
const WINDOW = [1000, 720];

// ---- RFC 6238, for whose code it is

function totp(secret, at) {
  const bits = [...secret].map((letter) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(letter).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(at / 30)));
  const mac = createHmac("sha1", key).update(counter).digest();
  return `${(mac.readUInt32BE(mac[19] & 15) & 0x7fffffff) % 1_000_000}`.padStart(6, "0");
}

/** Whose code it is: the step may have changed since. */
function owner(value) {
  const now = Date.now() / 1000;
  const found = Object.entries(ACCOUNTS).find(([, { secret }]) => [now, now - 30].some((at) => totp(secret, at) === value));
  return found?.[0] ?? null;
}

// ---- the pages

const files = new Map();
const file = (name) => {
  if (!files.has(name)) files.set(name, readFileSync(path.join(here, name), "utf8"));
  return files.get(name);
};
const rowOf = (id) => Object.values(CASES).flat().find((row) => row.id === Number(id));
const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");

const LOOK = `body { margin: 0; font: 15px/1.5 "Open Sans", "DejaVu Sans", sans-serif; color: #16191f; background: #f2f3f3; }
  main { width: min(400px, 92vw); margin: 40px auto; padding: 24px; box-sizing: border-box; background: #fff; border: 1px solid #d5dbdb; border-radius: 8px; }
  input { box-sizing: border-box; padding: 7px 9px; font: inherit; } input:not([type=radio], [type=checkbox], [maxlength="1"]) { width: 100%; }
  [maxlength="1"] { width: 2.4em; text-align: center; }
  [data-submit], button { display: inline-block; margin-top: 14px; padding: 8px 14px; font: inherit; }`;

/** The page of a row: `inner` is what frames around it show. */
function documentOf(row) {
  const text = TEXTS[row.locale];
  const values = { ...text, label: text[row.label], n: `${row.id % 7}`, field: row.field };
  const templates = file(`pages/${row.page}.html`).replace(/\{\{(\w+)\}\}/g, (_, name) => values[name]);
  // "</script" must not stand in it.
  const data = JSON.stringify({ ...row, field: undefined }).replaceAll("<", "\\u003c");
  return `<!doctype html><html lang="${text.lang}" dir="${row.dir ?? "ltr"}"><head><meta charset="utf-8">
    <meta name="viewport" content="width=device-width"><title>${escaped(text.title)}</title><style id="look">${LOOK}</style>
    <script>const CASE = ${data};</script><script src="/kit.js"></script><script src="/attacks.js"></script></head>
    <body><main id="root"></main>${templates}<script>KIT.begin();</script></body></html>`;
}

/** The page around it at `level`, 0 the outermost. */
function frameOf(row, level) {
  const { kind = "iframe", sandbox } = row.around[level];
  const next = addressOf(row, level + 1);
  const style = "position:fixed;inset:0;width:100%;height:100%;border:0";
  const inner = JSON.stringify(documentOf(row)).replaceAll("<", "\\u003c");
  const made = {
    iframe: `<iframe style="${style}" ${sandbox === undefined ? "" : `sandbox="${sandbox}"`} src="${escaped(next)}"></iframe>`,
    object: `<object style="${style}" type="text/html" data="${escaped(next)}"></object>`,
    embed: `<embed style="${style}" type="text/html" src="${escaped(next)}">`,
    srcdoc: `<iframe style="${style}" srcdoc="${escaped(documentOf(row))}"></iframe>`,
    blob: `<iframe style="${style}"></iframe><script>document.querySelector("iframe").src = URL.createObjectURL(new Blob([${inner}], { type: "text/html" }))</script>`,
    data: `<iframe style="${style}"></iframe><script>document.querySelector("iframe").src = "data:text/html;charset=utf-8," + encodeURIComponent(${inner})</script>`,
  };
  return `<!doctype html><meta charset="utf-8"><title>A page around it</title><body>${made[kind]}</body>`;
}

/** Where the page around a row at `level` is; behind them all, the row's own page. */
function addressOf(row, level = 0) {
  const around = row.around?.[level];
  const url = new URL(around ? `${around.scheme ?? "https"}://${around.host}/around?level=${level}` : row.url);
  url.searchParams.set("case", row.id);
  return url.href;
}

/** Has the harness's server answer with the corpus; `reports` has what each page told of itself last. */
function serveCorpus(pages, reports) {
  const answer = (request, response) => {
    const url = new URL(request.url, "https://host.test");
    const row = rowOf(url.searchParams.get("case") ?? -1);
    const respond = (type, body) => {
      response.writeHead(body === undefined ? 404 : 200, { "content-type": `${type}; charset=utf-8`, "access-control-allow-origin": "*" });
      response.end(body ?? "");
    };
    if (url.pathname === "/report") {
      let text = "";
      request.on("data", (more) => (text += more));
      request.on("end", () => {
        reports.set(row.id, JSON.parse(text));
        respond("text/plain", "");
      });
    } else if (/^\/(kit|attacks)\.js$/.test(url.pathname)) {
      respond("text/javascript", file(url.pathname.slice(1)));
    } else if (row && url.searchParams.has("level")) {
      respond("text/html", frameOf(row, Number(url.searchParams.get("level"))));
    } else {
      respond("text/html", row ? documentOf(row) : "<!doctype html><title>Nothing here</title>");
    }
  };
  for (const server of [pages.https, pages.proxy]) server.removeAllListeners("request").on("request", answer);
}

// ---- the browsers

/** For those who write rows: only those whose name (browser, group, row) matches. */
const ONLY = new RegExp(process.env.KEYFOB_CORPUS ?? "");

for (const name of BROWSERS) {
  const some = Object.entries(CASES).some(([group, rows]) => rows.some((row) => ONLY.test(`${name}: ${group}: ${row.name}`)));
  if (some) describe(`corpus in ${name}`, { concurrency: 1, timeout: 600_000 }, () => inBrowser(name));
}

function inBrowser(name) {
  let home, pages, browser, host;
  const reports = new Map();

  before(async () => {
    home = new Home();
    home.settings = { KEYFOB_KEY: "soft:test", KEYFOB_SOFT_TOUCH: "250" };
    await home.keyfob(["soft", "create", "test"]);
    await addAccounts(false);
    pages = await Pages.start(home);
    serveCorpus(pages, reports);
    // No automation can press the browser's own "Allow": the optional hosts are allowed from the start, and watched as they are then.
    const extension = path.join(home.path, "extension");
    cpSync(tool("KEYFOB_EXTENSION"), extension, { recursive: true });
    const manifestFile = path.join(extension, "manifest.json");
    const manifest = JSON.parse(readFileSync(manifestFile, "utf8"));
    manifest.host_permissions.push(...manifest.optional_host_permissions);
    writeFileSync(manifestFile, JSON.stringify(manifest));
    browser = await launch(name, home, pages, { extension });
    host = new FakeHost(home, name).overhear();
  });
  after(async () => {
    await browser?.close();
    pages?.stop();
    home?.remove();
  });

  async function addAccounts(later) {
    for (const { name, secret, touch, ...account } of Object.values(ACCOUNTS)) {
      if ((account.later ?? false) !== later) continue;
      await home.keyfob(["oath", "add", name, ...(touch ? ["--touch"] : [])], secret);
    }
  }

  let more = false;
  for (const [group, all] of Object.entries(CASES)) {
    const rows = all.filter((row) => (name === BROWSERS[0] || !row.once) && ONLY.test(`${name}: ${group}: ${row.name}`));
    if (rows.length === 0) continue;
    // What waits to see that nothing happens does so side by side, where the browser can.
    const alone = name !== "chromium" || rows.some(({ fills, asked }) => fills || asked);
    describe(group, { concurrency: alone ? 1 : LANES }, () => {
      for (const row of rows) {
        test(row.name, async (t) => {
          if (row.later && !more) {
            more = true;
            await addAccounts(true);
          }
          // What one page was filled with is not given to the next.
          if (alone) home.endAgent();
          await visit(row, t);
        });
      }
    });
  }

  /** Tabs that are free, each in a window of its own. */
  const tabs = [];
  async function openTab() {
    if (name !== "chromium") return browser.newPage();
    const tab = await browser.newPage({ type: "window" });
    // Side by side: each believes that it is in front.
    await tab.emulateFocusedPage(true);
    return tab;
  }
  async function visit(row, t) {
    const tab = tabs.pop() ?? await openTab();
    const [width, height] = row.window ?? WINDOW;
    if (tab.viewport()?.width !== width) await tab.setViewport({ width, height });
    reports.delete(row.id);
    let fine = false;
    try {
      await tab.goto(addressOf(row), { waitUntil: "domcontentloaded", timeout: 15_000 });
      await use(row, tab, t);
      fine = true;
    } finally {
      if (fine && row.act === "back") {
        // Firefox's automation loses track of a tab whose page was kept: its next navigation would never end.
        await tab.close();
      } else if (fine) {
        tabs.push(tab);
      } else {
        // A page that hangs does not let itself be closed either.
        const ended = sleep(2_000);
        await Promise.race([picture(tab, `corpus-${name}-${row.id}`).catch(() => {}), ended]);
        await Promise.race([tab.close().catch(() => {}), ended]);
      }
    }
  }

  async function use(row, page, t) {
    const report = () => reports.get(row.id);
    const told = (what, is) =>
      until(what, () => report() && is(report())).catch((error) => {
        throw new Error(`${error.message}: ${JSON.stringify(report())}`);
      });
    /** Where the chip is once it has been there for a moment; or was, if it is taken away: a person may press there all the same. */
    const chipInPlace = async () => {
      let [box, since] = [null, 0];
      return told("the chip in its place", ({ chip }) => {
        if (chip?.width > 0 && JSON.stringify(chip) !== JSON.stringify(box)) [box, since] = [chip, Date.now()];
        return box && Date.now() - since >= SEEN + (row.around ? FRAME_RESTS : 0) && box;
      });
    };
    /** Where a person would press it: not on what closes it. */
    const middle = ({ x, y, height }) => [x + 60, y + height / 2];
    const codes = host.codes();
    const touches = host.touches();

    if (/steps/.test(row.act)) await takeSteps(row, page, told);
    // A frame without scripts, or one that is not shown at all, tells nothing.
    const tells = row.around === undefined || row.fills !== null;
    if (tells) await told("the field", ({ fields }) => fields.length > 0);
    if (row.chip === true) await told("the chip", ({ chip }) => chip?.width > 0);
    else await sleep(row.fills === null ? SETTLED : SETTLED + SEEN);

    if (!/steps/.test(row.act) && report()) assert(!report().active, "the person has done nothing yet");

    // What a person does.
    switch (row.act) {
      case "nothing":
        break;
      case "page":
        await page.mouse.click(5, 300);
        break;
      case "close": {
        const { x, y, width, height } = await chipInPlace();
        await page.mouse.click(x + width - 16, y + height / 2);
        break;
      }
      case "twice": {
        const { x, y } = await chipInPlace();
        // On nothing that is the chip's, twice, as quickly as people do it.
        const beside = [Math.max(70, x - 150), y + (y > WINDOW[1] - 200 ? -150 : 150)];
        await page.mouse.move(...beside);
        for (let i = 0; i < 2; i++) {
          await page.mouse.click(...beside);
          await sleep(80);
        }
        break;
      }
      case "back":
        await chipInPlace();
        await page.goto(new URL("/elsewhere", row.url).href, { waitUntil: "domcontentloaded" });
        reports.delete(row.id);
        // A page that was kept loads nothing, and Firefox's automation then waits in vain: the page's own report counts.
        page.goBack({ timeout: 3_000 }).catch(() => {});
        await page.mouse.click(...middle(await chipInPlace()));
        break;
      case "last":
      case "steps last": {
        const low = await chipInPlace();
        await page.mouse.click(...middle(low));
        const { x, y, height } = await told("the list", ({ chip }) => chip?.height > low.height + 40 && chip);
        await sleep(SEEN);
        await page.mouse.click(x + 60, y + height - 22);
        break;
      }
      default: {
        const { chip, fields } = row.chip === true ? { chip: await chipInPlace() } : (report() ?? {});
        const { x = 300, y = 150, width = 300, height = 30 } = fields?.[0] ?? {};
        // Where there is no chip: where it would be, beside the field.
        const place = chip ? middle(chip) : [x + width + 50, y + height / 2];
        // Nobody's pointer comes to a frame only when it presses.
        if (row.around) {
          // Where it is already, to move it is no movement.
          await page.mouse.move(place[0] - 30, place[1] + 30);
          await page.mouse.move(...place);
          await sleep(SEEN);
        }
        await page.mouse.click(...place);
      }
    }

    // What came of it.
    if (row.fills) {
      await told(`the code of ${row.fills}`, ({ value, state }) => value.length >= 6 && state === value);
    } else {
      await sleep(DONE);
    }
    // It may take a page that is not in front a while to tell.
    if (row.act === "close") await told("the chip gone", ({ chip }) => chip === null);
    const { value, state, submitted, chip, open, notes, longest, chipAfter, ...rest } = report() ?? { value: "", state: "", submitted: null, chip: null, notes: {} };
    t.diagnostic(`chip after ${Math.round(chipAfter)} ms, the page's longest pause ${Math.round(longest)} ms`);
    if (row.fills !== undefined) assert.equal(value && owner(value), row.fills ?? "", `whose code is in the field (${value})`);
    if (row.fills === null && !row.asked) {
      assert.equal(host.codes(), codes, "no code was given to the extension");
      assert.equal(host.touches(), touches, "the key did not blink");
    }
    assert.equal(state, value, "what the page's framework believes");
    if (!row.does?.includes("the form is submitted by the page")) assert.equal(submitted, null, "what was submitted");
    if (row.chip === false) assert.equal(chip, null, "the chip");
    assert(!open, "the page can look into the chip");
    assert.equal(notes.stolen, undefined, "what the page got hold of");
    assert.equal(notes.hooked, undefined, "how often a function of the page was called");
    if (row.fills && chip) assertInPlace(chip, rest);
  }

  /** The chip is in the window, and lies over nothing that a person needs. */
  function assertInPlace(chip, { fields, buttons, width, height }) {
    const lies = JSON.stringify({ chip, fields, buttons, width, height });
    assert(chip.x >= 0 && chip.y >= 0 && chip.x + chip.width <= width && chip.y + chip.height <= height, `out of the window: ${lies}`);
    for (const other of [...fields, ...buttons]) {
      const apart = chip.x >= other.x + other.width || other.x >= chip.x + chip.width || chip.y >= other.y + other.height || other.y >= chip.y + chip.height;
      assert(apart, `over something: ${lies}`);
    }
  }

  /** The steps before the code, as a person takes them. */
  async function takeSteps({ types = {} }, page, told) {
    await told("the first step", () => true);
    for (const [selector, text] of Object.entries(types)) {
      await page.waitForSelector(selector);
      await page.click(selector);
      if (text) await page.keyboard.type(text);
    }
  }
}
