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

/** In ms, what frames show is waited for: one that hangs keeps nobody from what the others show. */
const FRAMES = 5_000;

/** A set-up, and which other site's frame of the page shows it, if one does and nothing else. */
interface Candidate {
  setup: Setup;
  site: string | undefined;
}

/** What a scan found, the page's own first. `others` are texts that set up nothing here, by why. */
interface Found {
  setups: Candidate[];
  others: Set<SetupError["code"] | "blocked">;
}

const place = element("div", "scan");
byId("scan-panel", "section").append(place);

/** Counts the scans: what a former one still finds is dropped. */
let scan = 0;
let stopSaver = () => {};
/** Has the list of accounts read again. */
let reload = () => {};

/** Shows the screen, and looks; `reload` is called when there is something new on a key. */
export function openScan(hooks: { reload: () => void }): void {
  ({ reload } = hooks);
  openScreen("scan-panel", leave);
  void look();
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
  // What a frame of another's shows, an advertisement's perhaps, nobody has chosen yet.
  if (first && more.length === 0 && first.site === undefined) return choose(first.setup);
  if (first) return showChoice(setups);
  const [because] = (["migration", "hotp", "invalid", "blocked", "not-otpauth"] as const).filter((each) => others.has(each));
  showNothing(because === "not-otpauth" ? "other" : (because ?? "none"));
}

function choose(setup: Setup): void {
  const close = () => closeScreen();
  stopSaver = startSaver(place, setup, { saved: reload, close });
}

function showChoice(setups: Candidate[]): void {
  const list = element("ul", "found-accounts");
  for (const { setup, site } of setups) {
    const card = accountCard(setup, "button");
    card.addEventListener("click", () => choose(setup));
    list.append(element("li", "", card, site === undefined ? undefined : said("p", "hint", t("scan_other_site", site))));
  }
  place.replaceChildren(...(setups.length > 1 ? [said("p", "hint", t("scan_several"))] : []), list);
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
  const found = new Map<string, Candidate>();
  const others: Found["others"] = new Set();
  const end = Date.now() + TIME;
  const take = (text: string, site?: string) => {
    try {
      const setup = read_setup(text);
      // Whoever shows it first: the page before its frames.
      if (!found.has(setup.uri)) found.set(setup.uri, { setup, site });
    } catch (error) {
      others.add((error as SetupError).code ?? "invalid");
    }
  };
  const read = async (pictures: Picture[], site?: string) => {
    for (const picture of pictures) {
      if (stopped() || Date.now() > end) return;
      for (const text of await readQr(picture)) take(text, site);
    }
  };

  const [tab] = await chrome.tabs.query({ active: true, currentWindow: true });
  const [frames] = await Promise.all([collect(tab?.id), ready()]);
  if (!frames) others.add("blocked");
  for (const { addresses, site } of frames ?? []) addresses.forEach((address) => take(address, site));
  for (const { pictures, site } of frames ?? []) await read(pictures, site);
  // What the page keeps from us is on the screen all the same: pictures of other sites, of frames of other sites.
  if (frames && ![...found.values()].some(({ site }) => site === undefined)) {
    const screen = await inTime(screenshot(tab?.windowId).catch(() => undefined));
    if (screen) await read([screen]);
  }
  return { setups: [...found.values()], others };
}

/** What comes of it within `FRAMES`, if anything does. */
const inTime = <T>(work: Promise<T>): Promise<T | undefined> =>
  Promise.race([work, new Promise<undefined>((resolve) => setTimeout(resolve, FRAMES))]);

/** What a frame shows; `site` is another's than the page's. */
type Shown = Omit<Collected, "site"> & { site: string | undefined };

/** What the page's frames show, as far as the browser lets us see; none if it lets us see nothing. The page itself comes first. */
async function collect(tabId: number | undefined): Promise<Shown[] | undefined> {
  if (tabId === undefined) return undefined;
  const from = async (frames: { allFrames: true } | { frameIds: number[] }) => {
    const target = { tabId, ...frames };
    // A frame that is being loaded, for ever perhaps, is taken as it is.
    await chrome.scripting.executeScript({ target, files: ["page.js", "pictures.js"], injectImmediately: true });
    const results = await chrome.scripting.executeScript({ target, files: ["collect.js"], injectImmediately: true });
    const told = results as { frameId: number; result?: Collected }[];
    const own = told.find(({ frameId }) => frameId === 0)?.result?.site;
    const shown = ({ result }: (typeof told)[number]) => result ? [{ ...result, site: result.site === own ? undefined : result.site }] : [];
    return told.sort((one, other) => one.frameId - other.frameId).flatMap(shown);
  };
  try {
    // The browser answers for all frames at once: where one hangs, the page is asked alone.
    return (await inTime(from({ allFrames: true }))) ?? (await inTime(from({ frameIds: [0] }))) ?? [];
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
