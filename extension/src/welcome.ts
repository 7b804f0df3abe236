// The first page: the program, the key, and then what to do. It looks again by itself while somebody looks at it.

import { ask, chooseKey, chosenKey } from "./ask.js";
import type { Account, Key, Wants } from "./generated/message.js";
import type { Trouble } from "./internal.js";
import { nameOf } from "./keys.js";
import { set, settings } from "./settings.js";
import { localise, t, tCount, write, type TextKey } from "./text.js";
import { explain, REGISTER, troubleOf } from "./trouble.js";
import { byId, copy, part, prose } from "./ui.js";

/** How long to wait before looking again, in ms: a look may start a program. */
const PAUSE = 2_000;

/** The oldest Rust that builds the program. */
const RUST = "1.89";

/** The release that is this extension's, with the dependencies that it was tested with. */
const BUILD = `cargo install --locked --git https://github.com/keyfob/keyfob --tag v${chrome.runtime.getManifest().version} keyfob`;

/** How to install the program. PowerShell before its version 7 has no `&&`. */
const SYSTEMS = {
  linux: {
    name: "Linux",
    install: `sudo apt-get install --yes build-essential pcscd libpcsclite-dev pkg-config && ${BUILD} && ${REGISTER}`,
    where: "setup_where_linux",
    pcsc: "setup_pcsc_linux",
    startPcsc: "sudo systemctl enable --now pcscd.socket",
  },
  mac: {
    name: "macOS",
    install: `${BUILD} && ${REGISTER}`,
    where: "setup_where_mac",
    pcsc: "setup_pcsc_mac",
    startPcsc: "keyfob doctor",
  },
  win: {
    name: "Windows",
    install: `${BUILD}; if ($?) { ${REGISTER} }`,
    where: "setup_where_win",
    pcsc: "setup_pcsc_win",
    startPcsc: "Start-Service SCardSvr",
  },
} as const satisfies Record<string, { name: string; install: string; where: TextKey; pcsc: TextKey; startPcsc: string }>;

type System = keyof typeof SYSTEMS;

const isSystem = (name: string): name is System => Object.hasOwn(SYSTEMS, name);

/** The system that this is. What is none of the three has a shell and packages. */
let own: System = "linux";

// ---- the page

type Stage = "program" | "key" | "done";
const STAGES: readonly Stage[] = ["program", "key", "done"];

/** Which step is being taken. */
let stage: Stage | undefined;

function show(at: Stage): void {
  if (stage === at) return;
  stage = at;
  STAGES.forEach((each, i) => {
    const step = byId(`step-${each}`, "li");
    const now = STAGES.indexOf(at);
    step.dataset["state"] = i < now ? "done" : i === now ? "now" : "later";
    if (i === now) step.setAttribute("aria-current", "step");
    else step.removeAttribute("aria-current");
  });
  byId("program-here", "p").hidden = at === "program";
  byId("key-here", "p").hidden = at !== "done";
}

/** A command with its button, which copies it. */
function showCommand(within: HTMLElement, command: string | undefined, label: string): void {
  within.hidden = command === undefined;
  within.dataset["command"] = command ?? "";
  (within.querySelector("code") as HTMLElement).textContent = command ?? "";
  within.querySelector("pre")?.setAttribute("aria-label", label);
}

for (const within of document.querySelectorAll<HTMLElement>(".command")) {
  within.querySelector("button")?.addEventListener("click", () => {
    void copy(within.dataset["command"] ?? "", t("setup_command_copied"));
  });
}

/** Shows a failure in a card, unless it is none that needs one. What has not changed is not announced again. */
function showTrouble(card: HTMLElement, trouble: Trouble | undefined): void {
  const said = JSON.stringify(trouble ?? null);
  if (card.dataset["said"] === said) return;
  card.dataset["said"] = said;
  card.dataset["code"] = trouble?.code ?? "";
  card.hidden = trouble === undefined;
  if (!trouble) return;
  const { title, detail, fix } = explain(trouble);
  prose(part(card, "title"), title);
  prose(part(card, "detail"), detail);
  prose(part(card, "fix"), fix);
}

function selectSystem(name: System): void {
  for (const each of Object.keys(SYSTEMS)) {
    const tab = byId(`tab-${each}`, "button");
    tab.setAttribute("aria-selected", String(each === name));
    tab.tabIndex = each === name ? 0 : -1;
  }
  const system = SYSTEMS[name];
  const panel = byId("install-command", "div");
  panel.setAttribute("aria-labelledby", `tab-${name}`);
  showCommand(part(panel, "command"), system.install, t("setup_command", system.name));
  write(byId("where", "p"), t(system.where));
  byId("sandboxed", "p").hidden = name !== "linux";
}

function startSystems(): void {
  const list = byId("systems", "div");
  // The own one comes first.
  list.prepend(byId(`tab-${own}`, "button"));
  const tabs = [...list.querySelectorAll("button")];
  const names = tabs.map(({ id }) => id.slice("tab-".length)).filter(isSystem);
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", () => selectSystem(names[i] ?? own));
    tab.addEventListener("keydown", ({ key }) => {
      const forward = document.documentElement.dir === "rtl" ? "ArrowLeft" : "ArrowRight";
      if (key !== "ArrowLeft" && key !== "ArrowRight") return;
      const to = (i + (key === forward ? 1 : tabs.length - 1)) % tabs.length;
      selectSystem(names[to] ?? own);
      tabs[to]?.focus();
    });
  });
  selectSystem(own);
}

// ---- the program

function showProgram(trouble: Trouble): void {
  show("program");
  const { code } = trouble;
  // That it is not there yet is what the step is about.
  showTrouble(byId("program-trouble", "section"), code === "no-host" ? undefined : trouble);
  byId("install", "div").hidden = code !== "no-host" && code !== "host-old";
  const command =
    code === "host-forbidden" || code === "host-stale" ? REGISTER
    : code === "host-crashed" || code === "host-timeout" ? "keyfob browser status"
    : undefined;
  showCommand(byId("program-command", "div"), command, t("setup_command", SYSTEMS[own].name));
}

// ---- the key

/** The key that is locked: it need not be the one that was chosen. */
let wants: Wants | undefined;

async function showKey(trouble: Trouble): Promise<void> {
  const { code } = trouble;
  const locked = code === "locked" || code === "wrong-password";
  // The one that was chosen may not be here, but another.
  const chooses = code === "ambiguous" || (code === "no-key" && chosenKey() !== undefined);
  const keys = chooses ? await ask({ name: "keys" }, "keys").then(({ keys }) => keys, () => []) : [];
  const several = keys.length > 0;
  show("key");
  // That none is there yet, or several, is what is asked below.
  showTrouble(byId("key-trouble", "section"), code === "no-key" || several || code === "locked" ? undefined : trouble);
  const noPcsc = code === "no-pcsc";
  const { name, pcsc, startPcsc } = SYSTEMS[own];
  showCommand(byId("key-command", "div"), noPcsc ? startPcsc : undefined, t("setup_command", name));
  if (noPcsc) write(part(byId("key-trouble", "section"), "fix"), t(pcsc));
  const fields = byId("several", "fieldset");
  fields.hidden = !several;
  if (several) offer(keys);
  const unlock = byId("unlock", "form");
  const appears = locked && unlock.hidden;
  unlock.hidden = !locked;
  if (appears) byId("password", "input").focus();
  if (code === "locked") wants = trouble.wants;
  prose(byId("unlock-what", "label"), wants?.what ?? t("popup_unlock_what"));
  byId("key-waiting", "p").hidden = locked || several;
  byId("key-waiting", "p").textContent = t(code === "no-key" ? "setup_key_waiting" : "setup_looking_again");
}

function offer(keys: Key[]): void {
  const list = byId("keys", "div");
  const before = [...list.querySelectorAll("button")].map((each) => each.dataset["key"]).join(" ");
  // Whoever is about to click one keeps it under the pointer.
  if (before === keys.map(({ id }) => id).join(" ")) return;
  list.replaceChildren(
    ...keys.map((key) => {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset["key"] = key.id;
      button.append(nameOf(key));
      if (key.kind === "software") button.append(softwareBadge());
      button.addEventListener("click", () => {
        chooseKey(key.id);
        void set({ key: key.id });
        void look();
      });
      return button;
    }),
  );
}

function softwareBadge(): HTMLElement {
  const badge = document.createElement("span");
  badge.className = "badge";
  badge.textContent = t("popup_software");
  return badge;
}

byId("unlock", "form").addEventListener("submit", (event) => {
  event.preventDefault();
  const field = byId("password", "input");
  const button = byId("unlock-submit", "button");
  const { value } = field;
  field.value = "";
  button.disabled = true;
  ask({ name: "unlock", password: value }, "unlocked", wants ? { key: wants.key } : {})
    .then(look, (error: unknown) => showKey(troubleOf(error)))
    .finally(() => {
      button.disabled = false;
      if (!byId("unlock", "form").hidden) field.focus();
    });
});

// ---- ready

async function showDone(key: Key, accounts: Account[]): Promise<void> {
  byId("key-name", "span").textContent = nameOf(key);
  byId("key-software", "span").hidden = key.kind !== "software";
  const mine = accounts.filter(({ aws }) => aws !== undefined).length;
  write(byId("accounts", "p"), mine === 0 ? t("setup_accounts_none") : tCount("setup_accounts", mine));
  const commands = await chrome.commands.getAll();
  for (const [id, name] of [["shortcut-fill", "fill"], ["shortcut-popup", "_execute_action"]] as const) {
    const keys = commands.find((each) => each.name === name)?.shortcut;
    byId(id, "li").hidden = !keys;
    (byId(id, "li").querySelector("kbd") as HTMLElement).textContent = keys ?? "";
  }
  show("done");
  await showPin();
}

async function showPin(): Promise<void> {
  // Not every browser has it, or tells.
  const pinned = (await chrome.action.getUserSettings?.().catch(() => undefined))?.isOnToolbar === true;
  write(byId("pin", "li"), t(pinned ? "setup_pinned" : "setup_pin"));
  byId("pin", "li").dataset["pinned"] = String(pinned);
}

// ---- looking

/** The look that is going on, if one is. */
let looking: Promise<void> | undefined;
let again: ReturnType<typeof setTimeout> | undefined;

/** Whether somebody types a password, or has to be told that it was wrong. */
const isTyping = () =>
  !byId("unlock", "form").hidden &&
  (byId("password", "input").value !== "" || byId("key-trouble", "section").dataset["code"] === "wrong-password");

/** Looks what is there, and again in a while if something is missing and the page is seen. Never twice at once. */
function look(): Promise<void> {
  clearTimeout(again);
  looking ??= lookOnce().finally(() => {
    looking = undefined;
    document.body.dataset["looked"] = String(Number(document.body.dataset["looked"] ?? 0) + 1);
    // A key that is there is left alone.
    if (stage !== "done" && !isTyping() && !document.hidden) again = setTimeout(() => void look(), PAUSE);
  });
  return looking;
}

async function lookOnce(): Promise<void> {
  try {
    const { version } = await ask({ name: "hello" }, "hello");
    showTrouble(byId("program-trouble", "section"), undefined);
    write(byId("program-here", "p"), t("setup_program_here", version.slice(0, 32)));
  } catch (error) {
    return showProgram(troubleOf(error));
  }
  try {
    const { key, accounts } = await ask({ name: "accounts", codes: false }, "accounts");
    await showDone(key, accounts);
  } catch (error) {
    const trouble = troubleOf(error);
    if (/^(host|extension)-|^no-host$/.test(trouble.code)) showProgram(trouble);
    else await showKey(trouble);
  }
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(again);
  if (document.hidden) return;
  if (stage === "done") void showPin();
  else if (!isTyping()) void look();
});

void (async () => {
  localise(document);
  write(byId("needs", "span"), t("setup_program_needs", RUST));
  const [{ os }, { key }] = await Promise.all([chrome.runtime.getPlatformInfo(), settings()]);
  if (isSystem(os)) own = os;
  chooseKey(key);
  startSystems();
  await look();
})();
