// The popup's screen for an account that is typed in: its names and its secret, or a whole otpauth address. Saving it is saver.ts's.

import { ready, read_setup, type Setup, type SetupError } from "./qr.js";
import { startSaver } from "./saver.js";
import { closeScreen, openScreen } from "./screens.js";
import { t, type TextKey } from "./text.js";
import { byId, part, prose } from "./ui.js";

const form = byId("add", "form");
const secret = byId("add-secret", "input");
const show = byId("add-show", "button");
const trouble = byId("add-trouble", "div");

/** Has the list of accounts read again. */
let reload = () => {};
let stopSaver = () => {};

/** Shows the screen; `reload` is called when there is something new on a key. */
export function openAdd(hooks: { reload: () => void }): void {
  ({ reload } = hooks);
  form.hidden = false;
  openScreen("add-panel", () => {
    stopSaver();
    forget();
  });
}

show.addEventListener("click", () => reveal(secret.type === "password"));
form.addEventListener("input", () => (trouble.hidden = true));
form.addEventListener("submit", (event) => {
  event.preventDefault();
  void read().then((setup) => {
    // The person has gone back meanwhile, or something is wrong.
    if (!setup || byId("add-panel", "section").hidden) return;
    forget();
    form.hidden = true;
    stopSaver = startSaver(byId("add-saver", "div"), setup, { saved: reload, close: closeScreen });
  });
});

/** Forgets what was typed: it has gone on its way, or is not wanted. */
function forget(): void {
  form.reset();
  reveal(false);
  trouble.hidden = true;
}

function reveal(shown: boolean): void {
  secret.type = shown ? "text" : "password";
  show.textContent = t(shown ? "account_hide" : "account_show");
  show.ariaPressed = String(shown);
}

/** What was typed, if it sets an account up; what is wrong is shown if not. */
async function read(): Promise<Setup | undefined> {
  const text = secret.value;
  try {
    await ready();
    try {
      // A whole address has its own names.
      return read_setup(text);
    } catch (error) {
      if ((error as SetupError).code !== "no-account") throw error;
      return read_setup(text, { issuer: byId("add-issuer", "input").value, account: byId("add-account", "input").value });
    }
  } catch (error) {
    refuse((error as SetupError).code);
    return undefined;
  }
}

/** What is said of each, and where it is to be set right. */
const REFUSALS: Record<SetupError["code"], { title: TextKey; fix: TextKey; field: string }> = {
  "not-otpauth": { title: "account_no_secret_title", fix: "account_no_secret_fix", field: "add-secret" },
  "no-account": { title: "account_no_name_title", fix: "account_no_name_fix", field: "add-account" },
  migration: { title: "scan_migration_title", fix: "scan_migration_fix", field: "add-secret" },
  hotp: { title: "scan_hotp_title", fix: "scan_hotp_fix", field: "add-secret" },
  invalid: { title: "account_invalid_title", fix: "account_invalid_fix", field: "add-secret" },
};

function refuse(code: SetupError["code"]): void {
  const { title, fix, field } = REFUSALS[code] ?? REFUSALS.invalid;
  prose(part(trouble, "title"), t(title));
  prose(part(trouble, "fix"), t(fix));
  trouble.dataset["code"] = code;
  trouble.hidden = false;
  byId(field, "input").focus();
}
