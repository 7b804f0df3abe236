// The popup's "Scan this page": QR codes of whatever kind and otpauth addresses that the page shows, by the permission that opening
// the popup gives for this one page. Nothing is kept.

import type { Collected, Picture } from "./internal.js";
import { read_setup, ready, type Setup, type SetupError } from "./qr.js";
import { accountCard, button, element, said, startSaver, waiting } from "./saver.js";
import { readQr } from "./scan.js";
import { closeScreen, openScreen } from "./screens.js";
import { t, type TextKey } from "./text.js";
import { byId } from "./ui.js";

/** How long, in ms, pictures are gone through. */
const TIME = 12_000;

/** What a scan found. `others` are texts that set up nothing here, by why. */
interface Found {
  setups: Setup[];
  others: Set<SetupError["code"] | "blocked">;
}

let place: HTMLElement;
/** Counts the scans: what a former one still finds is dropped. */
let scan = 0;
let stopSaver = () => {};
/** Has the list of accounts read again. */
let reload: () => void;

/** Makes the popup's button work. */
export function startScan(hooks: { reload: () => void }): void {
  ({ reload } = hooks);
  place = element("div", "scan");
  byId("scan-panel", "section").append(place);
  byId("scan-open", "button").addEventListener("click", () => {
    openScreen("scan-panel", leave);
    void look();
  });
}

function leave(): void {
  scan++;
  stopSaver();
  place.replaceChildren();
}

async function look(): Promise<void> {
  const mine = ++scan;
  stopSaver();
  place.replaceChildren(waiting(t("scan_looking")));
  const found = await scanPage(() => mine !== scan);
  if (mine !== scan) return;
  const { setups, others } = found;
  const [first, ...more] = setups;
  if (first && more.length === 0) return choose(first);
  if (first) return showChoice(setups);
  const [because] = (["migration", "hotp", "invalid", "blocked", "not-otpauth"] as const).filter((each) => others.has(each));
  showNothing(because === "not-otpauth" ? "other" : (because ?? "none"));
}

function choose(setup: Setup): void {
  const close = () => closeScreen();
  stopSaver = startSaver(place, setup, { saved: reload, close });
}

function showChoice(setups: Setup[]): void {
  const list = element("ul", "found-accounts");
  for (const setup of setups) {
    const card = accountCard(setup, "button");
    card.addEventListener("click", () => choose(setup));
    list.append(element("li", "", card));
  }
  place.replaceChildren(said("p", "hint", t("scan_several")), list);
  list.querySelector("button")?.focus();
}

function showNothing(why: "none" | "other" | "migration" | "hotp" | "invalid" | "blocked"): void {
  const key = (part: string) => `scan_${why}_${part}` as TextKey;
  const again = button("primary", "scan_again", () => void look());
  const card = element("div", "card", said("h2", "", t(key("title"))), said("p", "", t(key("fix"))));
  card.setAttribute("role", "alert");
  card.dataset["found"] = why;
  card.append(element("footer", "", element("span"), again));
  place.replaceChildren(card);
  again.focus();
}

// ---- looking

async function scanPage(stopped: () => boolean): Promise<Found> {
  const found = new Map<string, Setup>();
  const others: Found["others"] = new Set();
  const end = Date.now() + TIME;
  const take = (text: string) => {
    try {
      const setup = read_setup(text);
      found.set(setup.uri, setup);
    } catch (error) {
      others.add((error as SetupError).code ?? "invalid");
    }
  };
  const read = async (pictures: Picture[]) => {
    for (const picture of pictures) {
      if (stopped() || Date.now() > end) return;
      (await readQr(picture)).forEach(take);
    }
  };

  const [tab] = await chrome.tabs.query({ active: true, currentWindow: true });
  const [frames] = await Promise.all([collect(tab?.id), ready()]);
  if (!frames) others.add("blocked");
  for (const { addresses } of frames ?? []) addresses.forEach(take);
  await read((frames ?? []).flatMap(({ pictures }) => pictures));
  // What the page keeps from us is on the screen all the same: pictures of other sites, of frames of other sites.
  if (found.size === 0 && frames) {
    const screen = await screenshot(tab?.windowId).catch(() => undefined);
    if (screen) await read([screen]);
  }
  return { setups: [...found.values()], others };
}

/** What the page's frames show, as far as the browser lets us see; none if it lets us see nothing. */
async function collect(tabId: number | undefined): Promise<Collected[] | undefined> {
  if (tabId === undefined) return undefined;
  try {
    const target = { tabId, allFrames: true };
    await chrome.scripting.executeScript({ target, files: ["page.js", "pictures.js"] });
    const results = await chrome.scripting.executeScript({ target, files: ["collect.js"] });
    return (results as { result?: Collected }[]).flatMap(({ result }) => result ?? []);
  } catch {
    return undefined;
  }
}

/** What is seen of the page. */
async function screenshot(windowId: number | undefined): Promise<Picture | undefined> {
  const options = { format: "png" } as const;
  const url = await (windowId === undefined ? chrome.tabs.captureVisibleTab(options) : chrome.tabs.captureVisibleTab(windowId, options));
  const bytes = Uint8Array.from(atob(url.slice(url.indexOf(",") + 1)), (byte) => byte.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  await classicScript("page.js");
  await classicScript("pictures.js");
  const picture = KEYFOB_PICTURES.greys(bitmap, "#fff");
  bitmap.close();
  return picture === "tainted" ? undefined : picture;
}

/** Scripts that pages are given are no modules. */
function classicScript(src: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const script = element("script");
    Object.assign(script, { src, onload: () => resolve(), onerror: () => reject(new Error(`no ${src}`)) });
    document.head.append(script);
  });
}
