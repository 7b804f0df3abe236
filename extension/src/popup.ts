// The popup: its tabs, which key is asked, and the page it was opened from. It asks the host through the background and holds
// nothing but what it shows.

import { ask, chooseKey, chosenKey } from "./ask.js";
import { clearTrouble, isAboutAccount, keyIsRead, report, startCards, wantsChoice } from "./cards.js";
import { anyBusy, hideAccounts, showAccounts, startCodes, unlocked } from "./codes.js";
import { is_lookalike, match_pattern, ready } from "./core.js";
import type { Key } from "./generated/message.js";
import { fullNameOf, nameOf } from "./keys.js";
import { loadIdentities, preview, usePage as useForLinks, watchMenu } from "./links.js";
import { isHome } from "./screens.js";
import { set, settings } from "./settings.js";
import { localise, t } from "./text.js";
import { byId, say } from "./ui.js";

// ---- the key

function showKey(key: Key): void {
  const label = byId("key-label", "span");
  label.textContent = nameOf(key);
  label.title = [key.label, key.version].filter(Boolean).join(" ");
  byId("software-badge", "span").hidden = key.kind !== "software";
}

/** The keys that are there. Nothing is unlocked for the list: in it a key with a password is locked. */
let keys: Key[] = [];
/** The key that was read last. */
let shown = "";

/** Offers to lock what was unlocked. */
function showLock(): void {
  const protects = ({ kind, locked }: Key) => kind === "software" || locked;
  byId("lock", "button").hidden = !keyIsRead() || !keys.some((key) => key.id === shown && protects(key));
}

/** Fills the menu of keys, which shows where there is a choice. */
async function listKeys(): Promise<void> {
  const select = byId("key", "select");
  try {
    ({ keys } = await ask({ name: "keys" }, "keys"));
  } catch {
    // Whatever it is, the question that led here has reported it.
    return;
  }
  const chosen = chosenKey();
  const option = (value: string, text: string) => new Option(text, value, false, value === (chosen ?? ""));
  select.replaceChildren(option("", t("popup_choose_key")), ...keys.map((key) => option(key.id, fullNameOf(key))));
  const missing = chosen !== undefined && !keys.some(({ id }) => id === chosen);
  if (missing) select.append(new Option(t("popup_key_missing", chosen), chosen, false, true));
  select.hidden = keys.length < 2 && !missing && !(keys.length === 1 && wantsChoice());
  byId("key-label", "span").hidden = !select.hidden;
  showLock();
}

/** When the key was last read, in ms: it is not read again at every change of the focus. */
let lastRead = 0;
const OFTEN = 1_000;

/** Counts the loads: what a former one still wants to show is dropped. */
let generation = 0;

/** Reads the key. */
async function load(refreshing = false): Promise<void> {
  const mine = ++generation;
  let another = false;
  const list = byId("codes", "ul");
  list.ariaBusy = "true";
  lastRead = Date.now();
  try {
    const { key, accounts } = await ask({ name: "accounts", codes: true }, "accounts");
    if (mine !== generation) return;
    if (!refreshing || !isAboutAccount()) clearTrouble();
    showKey(key);
    another = key.id !== shown;
    shown = key.id;
    showAccounts(key.id, accounts);
  } catch (error) {
    if (mine !== generation) return;
    hideAccounts();
    report(error);
  } finally {
    if (mine === generation) list.ariaBusy = "false";
    showLock();
  }
  // Codes change, identities do not.
  if (keyIsRead() && (another || !refreshing)) await loadIdentities().catch((error: unknown) => report(error));
}

startCards({
  reload: load,
  listKeys,
  unlocked: () => {
    unlocked();
    byId("search", "input").focus();
  },
});
startCodes({ reload: () => void load(true) });
byId("lock", "button").addEventListener("click", () => {
  ask({ name: "lock" }, "locked").then(() => load(), report);
});
byId("key", "select").addEventListener("change", ({ currentTarget }) => {
  const key = (currentTarget as HTMLSelectElement).value || undefined;
  chooseKey(key);
  void set({ key });
  void load();
});

// Keys are plugged in and removed while nobody looks here.
const look = () => {
  if (document.visibilityState !== "visible" || Date.now() - lastRead < OFTEN || anyBusy() || !isHome()) return;
  void load(true).then(listKeys);
};
window.addEventListener("focus", look);
document.addEventListener("visibilitychange", look);

// ---- tabs

const tabs = ["codes", "presign"] as const;

function selectTab(name: (typeof tabs)[number]): void {
  for (const each of tabs) {
    const tab = byId(`tab-${each}`, "button");
    tab.setAttribute("aria-selected", String(each === name));
    tab.tabIndex = each === name ? 0 : -1;
    byId(`${each}-panel`, "section").hidden = each !== name;
  }
}

for (const name of tabs) {
  const tab = byId(`tab-${name}`, "button");
  tab.addEventListener("click", () => selectTab(name));
  tab.addEventListener("keydown", ({ key }) => {
    if (key !== "ArrowLeft" && key !== "ArrowRight") return;
    const other = tabs.find((each) => each !== name) ?? name;
    selectTab(other);
    byId(`tab-${other}`, "button").focus();
  });
}

// Screens that few need are loaded when somebody does.
const reload = () => void load(true);
byId("add-open", "button").addEventListener("click", () => void import("./add.js").then(({ openAdd }) => openAdd({ reload })));
byId("scan-open", "button").addEventListener("click", () => void import("./scan_panel.js").then(({ openScan }) => openScan({ reload })));
for (const button of document.querySelectorAll<HTMLElement>("[data-opens]")) {
  button.addEventListener("click", () => document.getElementById(button.dataset["opens"] ?? "")?.click());
}

// ---- the page this was opened from

/** Its address. Only where the popup is shown in a tab of its own does it come from `?tab=`. */
async function pageUrl(): Promise<string | undefined> {
  if (await chrome.tabs.getCurrent()) {
    document.documentElement.dataset["tab"] = "";
    return new URLSearchParams(location.search).get("tab") ?? undefined;
  }
  const [tab] = await chrome.tabs.query({ active: true, currentWindow: true });
  return tab?.url;
}

/** A sign-in page on which Keyfob may not do anything yet, or no longer: in Firefox people can take that back. */
async function offerHost(url: string): Promise<void> {
  const pattern = match_pattern(url);
  if (pattern === undefined) return;
  const origins = { origins: [pattern] };
  byId("allow", "section").hidden = await chrome.permissions.contains(origins);
  byId("allow-host", "b").textContent = new URL(url).hostname;
  byId("allow-submit", "button").addEventListener("click", () => {
    void chrome.permissions.request(origins).then((granted) => {
      if (!granted) return;
      byId("allow", "section").hidden = true;
      say(t("popup_allowed"));
    });
  });
}

function usePage(url: string): void {
  void offerHost(url);
  byId("warning", "div").hidden = !is_lookalike(url);
  if (!useForLinks(url)) return;
  const focused = document.activeElement?.id === "search";
  selectTab("presign");
  if (focused) byId("tab-presign", "button").focus();
}

localise(document);
byId("search", "input").focus();
void (async () => {
  // The key is asked at once; the wasm is only for the page.
  const page = Promise.all([pageUrl(), ready()]).then(async ([url]) => {
    if (url !== undefined) usePage(url);
    await watchMenu(usePage);
    preview();
  });
  chooseKey((await settings()).key);
  await Promise.all([page, load()]);
  await listKeys();
  document.body.dataset["ready"] = "";
})();
