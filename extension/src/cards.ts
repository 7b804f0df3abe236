// The popup's cards for what goes wrong: one for a failure, one to unlock a key with.

import { ask, chosenKey } from "./ask.js";
import type { Wants } from "./generated/message.js";
import type { Trouble } from "./internal.js";
import { t } from "./text.js";
import { explain, troubleOf } from "./trouble.js";
import { byId, prose } from "./ui.js";

const trouble = byId("trouble", "section");
const unlock = byId("unlock", "form");
/** The key that is locked: it need not be the one that was chosen. */
let wants: Wants | undefined;

/** What the cards have others do. */
interface Hooks {
  /** To read the key again. */
  reload(refreshing?: boolean): Promise<void>;
  /** To show which keys there are. */
  listKeys(): Promise<void>;
  /** To go on with what the locked key kept waiting. */
  unlocked(): void;
}

let hooks: Hooks;

/** How often a key that is missing is looked for, in ms, as long as somebody looks. */
const LOOK_AGAIN = 2_000;

/** Failures that end when somebody plugs a key in. */
const PASSING: ReadonlySet<string> = new Set<Trouble["code"]>(["no-key", "key-removed", "no-pcsc"]);

/** Failures that the page for setting Keyfob up explains. */
const SETUP: ReadonlySet<string> = new Set<Trouble["code"]>([
  "no-host",
  "host-forbidden",
  "host-stale",
  "host-old",
  "extension-old",
  "no-pcsc",
]);

let looking: ReturnType<typeof setTimeout>;

/** Whether choosing a key may help. */
export const wantsChoice = (code = trouble.dataset["code"]) => code === "ambiguous" || code === "no-key" || code === "not-found";

/** Whether nothing is wrong with the key. */
export const keyIsRead = () => unlock.hidden && (trouble.hidden || trouble.dataset["about"] === "account");

/** Whether the failure that shows is about one account, and is not over once the key can be read. */
export const isAboutAccount = () => trouble.dataset["about"] === "account" && !PASSING.has(trouble.dataset["code"] ?? "");

/**
 * Shows a failure in the one place for it; a locked key gets the form that unlocks it, and keeps it where that may be tried
 * again. What is wrong with one account does not keep the others from being refreshed.
 */
export function report(error: unknown, about: "key" | "account" | "unlock" = "key"): void {
  const failure = troubleOf(error);
  const { code } = failure;
  const { title, detail, fix } = explain(failure);
  const locked = code === "locked" || code === "wrong-password" || (about === "unlock" && code === "busy");
  const fresh = unlock.hidden;
  unlock.hidden = !locked;
  trouble.hidden = code === "locked";
  trouble.dataset["code"] = code;
  trouble.dataset["about"] = about;
  write("trouble-message", "h2", title);
  write("trouble-hint", "p", fix);
  write("trouble-detail", "p", detail);
  byId("trouble-code", "code").textContent = code;
  byId("retry", "button").hidden = locked;
  byId("setup", "button").hidden = !SETUP.has(code);
  if (code === "locked") {
    wants = failure.wants;
    write("unlock-message", "h2", title);
    write("unlock-what", "label", wants?.what ?? t("popup_unlock_what"));
  }
  const password = byId("password", "input");
  if (code === "wrong-password") password.value = "";
  // What is being typed elsewhere goes on.
  if (locked && (fresh || about !== "key")) password.focus();
  if (wantsChoice(code)) void hooks.listKeys();
  clearTimeout(looking);
  if (PASSING.has(code)) looking = setTimeout(lookAgain, LOOK_AGAIN);
}

function lookAgain(): void {
  if (document.visibilityState === "visible") void hooks.reload(true);
}

/** Only what is new: screen readers read it out. */
function write(id: string, tag: "h2" | "p" | "label", text: string): void {
  const element = byId(id, tag);
  if (element.dataset["said"] === text) return;
  element.dataset["said"] = text;
  prose(element, text);
}

export function clearTrouble(): void {
  clearTimeout(looking);
  trouble.hidden = true;
  unlock.hidden = true;
  delete trouble.dataset["code"];
}

/** Makes the cards' buttons work. */
export function startCards(made: Hooks): void {
  hooks = made;
  unlock.addEventListener("submit", (event) => {
    event.preventDefault();
    const field = byId("password", "input");
    const submit = byId("unlock-submit", "button");
    submit.disabled = true;
    ask({ name: "unlock", password: field.value }, "unlocked", { key: wants?.key ?? chosenKey() })
      .then(
        async () => {
          field.value = "";
          clearTrouble();
          await hooks.reload();
          hooks.unlocked();
        },
        (error: unknown) => report(error, "unlock"),
      )
      .finally(() => (submit.disabled = false));
  });
  byId("retry", "button").addEventListener("click", () => void hooks.reload());
  byId("setup", "button").addEventListener("click", () => {
    void chrome.tabs.create({ url: chrome.runtime.getURL("welcome.html") }).then(() => window.close());
  });
}
