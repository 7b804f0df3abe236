// The popup's cards for what goes wrong: one for a failure, one to unlock a key with.

import { ask, chosenKey, troubleOf } from "./ask.js";
import type { Wants } from "./generated/message.js";
import { t } from "./text.js";
import { byId, prose } from "./ui.js";

const trouble = byId("trouble", "section");
const unlock = byId("unlock", "form");
/** The key that is locked: it need not be the one that was chosen. */
let wants: Wants | undefined;

/** What the cards have others do. */
interface Hooks {
  /** To read the key again. */
  reload(): Promise<void>;
  /** To show which keys there are. */
  listKeys(): Promise<void>;
}

let hooks: Hooks;

/** Whether choosing a key may help. */
export const wantsChoice = (code = trouble.dataset["code"]) => code === "ambiguous" || code === "no-key" || code === "not-found";

/** Whether nothing is wrong with the key. */
export const keyIsRead = () => unlock.hidden && (trouble.hidden || trouble.dataset["about"] === "account");

/** Whether the failure that shows is about one account. */
export const isAboutAccount = () => trouble.dataset["about"] === "account";

/**
 * Shows a failure in the one place for it; a locked key gets the form that unlocks it, and keeps it where that may be tried
 * again. What is wrong with one account does not keep the others from being refreshed.
 */
export function report(error: unknown, about: "key" | "account" | "unlock" = "key"): void {
  const { code, message, hint, candidates, wants: opens } = troubleOf(error);
  const locked = code === "locked" || code === "wrong-password" || (about === "unlock" && code === "busy");
  unlock.hidden = !locked;
  trouble.hidden = code === "locked";
  trouble.dataset["code"] = code;
  trouble.dataset["about"] = about;
  prose(byId("trouble-message", "h2"), message);
  prose(byId("trouble-hint", "p"), [hint, candidates?.join(", ")].filter(Boolean).join(": "));
  byId("trouble-code", "code").textContent = code;
  // To read the key again brings no code that ran out.
  byId("retry", "button").hidden = locked || code === "code-expired";
  if (code === "locked") {
    wants = opens;
    prose(byId("unlock-message", "h2"), message);
    prose(byId("unlock-what", "label"), wants?.what ?? t("popup_unlock_what"));
  }
  if (code === "wrong-password") byId("password", "input").value = "";
  if (locked) byId("password", "input").focus();
  if (wantsChoice(code)) void hooks.listKeys();
}

export function clearTrouble(): void {
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
        () => {
          field.value = "";
          return hooks.reload();
        },
        (error: unknown) => report(error, "unlock"),
      )
      .finally(() => (submit.disabled = false));
  });
  byId("retry", "button").addEventListener("click", () => void hooks.reload());
}
