// What the person sets. Every change counts at once, and what is changed elsewhere shows here.

import { ask } from "./ask.js";
import { forget, set, settings, watch, type LinkDefaults, type Settings } from "./settings.js";
import { language, localise, t, write, type TextKey } from "./text.js";
import { explain, troubleOf } from "./trouble.js";
import { byId, prose, say } from "./ui.js";

const saved = () => say(t("options_saved"));

// ---- switches

for (const name of ["fillWithoutClick", "submit"] as const) {
  const box = byId(name, "input");
  box.addEventListener("change", () => void set({ [name]: box.checked }).then(saved));
}

/** A line of a list: what it is about, more of it, and what can be done. */
function line(name: string, more: string, control: HTMLElement, id: string): HTMLElement {
  const row = document.createElement("div");
  row.className = "setting";
  const words = document.createElement("div");
  const title = document.createElement(control instanceof HTMLInputElement ? "label" : "span");
  title.className = "name";
  title.id = id;
  title.textContent = name;
  if (title instanceof HTMLLabelElement) title.htmlFor = control.id;
  const detail = document.createElement("p");
  detail.textContent = more;
  detail.dir = "auto";
  words.append(title, detail);
  row.append(words, control);
  return row;
}

// ---- what is remembered

function showChoices(choices: Settings["choices"]): void {
  const entries = Object.entries(choices).reverse();
  const list = byId("remembered", "div");
  const focused = list.contains(document.activeElement);
  list.replaceChildren(
    ...entries.map(([login, account], i) => {
      const button = document.createElement("button");
      button.className = "quiet";
      button.textContent = t("options_forget");
      button.setAttribute("aria-label", t("options_forget_one", login));
      button.addEventListener("click", () => void forget(login).then(saved));
      return line(login, account, button, `choice-${i}`);
    }),
  );
  byId("no-choices", "p").hidden = entries.length > 0;
  byId("all-choices", "footer").hidden = entries.length < 2;
  // The button that had the focus has gone.
  if (focused) (list.querySelector("button") ?? byId("forget-all", "button")).focus();
}

byId("forget-all", "button").addEventListener("click", () => void forget().then(saved));
byId("forget-key", "button").addEventListener("click", () => void set({ key: undefined }).then(saved));

// ---- links

/** What the links' form offers as well, in seconds. */
const EXPIRES = [900, 3_600, 43_200, 86_400, 604_800];

const UNITS = [
  [86_400, "day"],
  [3_600, "hour"],
  [60, "minute"],
  [1, "second"],
] as const;

/** A time as people say it: in the largest unit that gives a whole number. */
function duration(seconds: number): string {
  const [size, unit] = UNITS.find(([size]) => seconds % size === 0) ?? [1, "second"];
  return (seconds / size).toLocaleString(language(), { style: "unit", unit, unitDisplay: "long" });
}

let link: LinkDefaults | undefined;

function showLink(shown: LinkDefaults): void {
  link = shown;
  byId("method", "select").value = shown.method;
  const times = EXPIRES.includes(shown.expires) ? EXPIRES : [...EXPIRES, shown.expires].sort((a, b) => a - b);
  const expires = byId("expires", "select");
  expires.replaceChildren(...times.map((each) => new Option(duration(each), String(each))));
  expires.value = String(shown.expires);
  byId("identity", "b").textContent = shown.identity ?? t("options_links_no_identity");
  byId("forget-identity", "button").hidden = shown.identity === undefined;
}

function changeLink(changed: Partial<LinkDefaults>): void {
  if (link) void set({ link: { ...link, ...changed } }).then(saved);
}

byId("method", "select").addEventListener("change", ({ target }) =>
  changeLink({ method: (target as HTMLSelectElement).value as LinkDefaults["method"] }),
);
byId("expires", "select").addEventListener("change", ({ target }) =>
  changeLink({ expires: Number((target as HTMLSelectElement).value) }),
);
byId("forget-identity", "button").addEventListener("click", () => {
  if (!link) return;
  const { method, expires } = link;
  void set({ link: { method, expires } }).then(saved);
});

// ---- sites

/** Names of the groups of hosts, by what their patterns contain. What is in the manifest is all there is. */
const GROUPS: readonly [part: RegExp, name: TextKey][] = [
  [/amazonaws\.cn\//, "options_sites_china"],
  [/amazonaws-us-gov\.com\//, "options_sites_govcloud"],
  [/amazonaws-eusc\.eu\//, "options_sites_eusc"],
  [/./, "options_sites_portals"],
];

/** Which switches there are: for the hosts that can be allowed, and for those of the manifest where they were withdrawn. */
async function showSites(): Promise<void> {
  const { host_permissions: needed = [], optional_host_permissions: optional = [] } = chrome.runtime.getManifest();
  const groups = new Map<TextKey, string[]>();
  if (!(await chrome.permissions.contains({ origins: needed }))) groups.set("options_sites_aws", needed);
  for (const [, name] of GROUPS) groups.set(name, []);
  for (const pattern of optional as string[]) {
    const name = GROUPS.find(([part]) => part.test(pattern))?.[1];
    if (name) groups.get(name)?.push(pattern);
  }
  const list = byId("groups", "div");
  const focused = document.activeElement?.id;
  const rows = await Promise.all(
    [...groups].filter(([, origins]) => origins.length > 0).map(async ([name, origins]) => {
      const box = document.createElement("input");
      box.type = "checkbox";
      box.id = name;
      box.setAttribute("role", "switch");
      box.checked = await chrome.permissions.contains({ origins });
      box.addEventListener("change", () => {
        // Within the click: the browser asks the person.
        const done = box.checked ? chrome.permissions.request({ origins }) : chrome.permissions.remove({ origins });
        done.then(
          (changed) => (changed ? saved() : say(t("options_sites_declined"))),
          () => say(t("options_sites_declined")),
        ).finally(() => void showSites());
      });
      const hosts = [...new Set(origins.map((pattern) => pattern.replace(/^https:\/\/(\*\.)?|\/.*$/g, "")))];
      return line(t(name), hosts.join(", "), box, `${name}-name`);
    }),
  );
  list.replaceChildren(...rows);
  if (focused) document.getElementById(focused)?.focus();
}

chrome.permissions.onAdded.addListener(() => void showSites());
chrome.permissions.onRemoved.addListener(() => void showSites());

// ---- shortcuts

async function showShortcuts(): Promise<void> {
  const commands = await chrome.commands.getAll();
  for (const key of document.querySelectorAll<HTMLElement>("kbd[data-command]")) {
    const shortcut = commands.find(({ name }) => name === key.dataset["command"])?.shortcut;
    key.textContent = shortcut || t("options_shortcut_none");
  }
}

/** Firefox's own, from its version 137 on. */
const { openShortcutSettings } = chrome.commands as { openShortcutSettings?: () => Promise<void> };
const isFirefox = chrome.runtime.getURL("").startsWith("moz-");

byId("change-shortcuts", "button").addEventListener("click", () => {
  if (openShortcutSettings) void openShortcutSettings.call(chrome.commands);
  else void chrome.tabs.create({ url: "chrome://extensions/shortcuts" });
});

// They are changed elsewhere, and nothing tells.
addEventListener("focus", () => void showShortcuts());

// ---- all of it

function show({ fillWithoutClick, submit, choices, key, link }: Settings): void {
  byId("fillWithoutClick", "input").checked = fillWithoutClick;
  byId("submit", "input").checked = submit;
  showChoices(choices);
  write(byId("key-chosen", "p"), key === undefined ? t("options_key_any") : t("options_key_chosen", key));
  byId("forget-key", "button").hidden = key === undefined;
  showLink(link);
}

async function showProgram(): Promise<void> {
  const about = byId("program-version", "dd");
  try {
    about.textContent = (await ask({ name: "hello" }, "hello")).version;
  } catch (error) {
    const { title, fix } = explain(troubleOf(error));
    prose(about, `${title}. ${fix}`);
  }
}

void (async () => {
  localise(document);
  byId("extension-version", "dd").textContent = chrome.runtime.getManifest().version;
  byId("shortcut-where", "p").hidden = !isFirefox || openShortcutSettings !== undefined;
  byId("change-shortcuts", "button").hidden = isFirefox && openShortcutSettings === undefined;
  watch(show);
  show(await settings());
  await Promise.all([showSites(), showShortcuts(), showProgram()]);
  document.body.dataset["ready"] = "";
})();
