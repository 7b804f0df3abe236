// The popup's screen of one account: what it is, renaming it, deleting it.

import { ask, type AskOptions } from "./ask.js";
import type { Account } from "./generated/message.js";
import { closeScreen, openScreen } from "./screens.js";
import { t, tCount } from "./text.js";
import { explain, troubleOf } from "./trouble.js";
import { byId, part, prose, say } from "./ui.js";

/** What is open. */
let open: { account: Account; key: string; changed: () => void; asking: AbortController } | undefined;

const to = byId("rename-to", "input");
const rename = byId("rename-submit", "button");
const yes = byId("delete-yes", "button");
const trouble = byId("account-trouble", "div");

/** Shows an account of a key, which people know as `title`; `changed` is called when it has another name, or is gone. */
export function openAccount(account: Account, title: string, key: string, changed: () => void): void {
  const { name, aws, digits, period, kind, touch } = account;
  open = { account, key, changed, asking: new AbortController() };
  byId("account-title", "h2").textContent = title;
  const facts: [string, string | undefined][] = [
    [t("account_aws"), aws?.account],
    [
      t("account_codes"),
      [
        digits === undefined ? "" : tCount("account_digits", digits),
        kind === "totp" ? t("account_every", period) : t("account_counter"),
      ].filter(Boolean).join(" · "),
    ],
    [t("account_touch"), touch === undefined ? undefined : t(touch ? "account_touch_yes" : "account_touch_no")],
  ];
  byId("account-facts", "dl").replaceChildren(
    ...facts.flatMap(([what, value]) => {
      if (!value) return [];
      const [dt, dd] = [document.createElement("dt"), document.createElement("dd")];
      dt.textContent = what;
      dd.textContent = value;
      return [dt, dd];
    }),
  );
  to.value = name;
  rename.disabled = true;
  byId("delete-lost", "p").textContent = t(aws ? "account_lost_aws" : "account_lost");
  byId("delete-question", "p").textContent = t("account_delete_question", title);
  askWhether(false);
  trouble.hidden = true;
  openScreen("account-panel", () => {
    open?.asking.abort();
    open = undefined;
  });
}

/** Asks whether it is really to be deleted, or not any more. */
function askWhether(asking: boolean): void {
  byId("delete", "button").hidden = asking;
  byId("delete-sure", "div").hidden = !asking;
}

/** Asks the host for a change by `button`, which says what is waited for. */
async function change(
  button: HTMLButtonElement,
  how: (options: AskOptions) => Promise<unknown>,
  done: string,
): Promise<void> {
  const now = open;
  if (!now) return;
  const text = button.textContent;
  button.disabled = true;
  trouble.hidden = true;
  try {
    await how({
      key: now.key,
      signal: now.asking.signal,
      waits: ({ state, text }) => {
        button.dataset["state"] = state;
        button.textContent = text;
      },
    });
    if (open === now) closeScreen();
    say(done);
    now.changed();
  } catch (error) {
    if (open !== now) return;
    const { title, fix } = explain(troubleOf(error));
    prose(part(trouble, "title"), title);
    prose(part(trouble, "fix"), fix);
    trouble.hidden = false;
    trouble.dataset["code"] = troubleOf(error).code;
  } finally {
    delete button.dataset["state"];
    button.textContent = text;
    button.disabled = false;
  }
}

to.addEventListener("input", () => {
  rename.disabled = to.value.trim() === "" || to.value.trim() === open?.account.name;
});
byId("rename", "form").addEventListener("submit", (event) => {
  event.preventDefault();
  const account = open?.account.name;
  const name = to.value.trim();
  if (account === undefined || rename.disabled) return;
  void change(
    rename,
    (options) => ask({ name: "rename-account", account, to: name }, "written", options),
    t("account_renamed"),
  );
});
byId("delete", "button").addEventListener("click", () => {
  askWhether(true);
  byId("delete-no", "button").focus();
});
byId("delete-no", "button").addEventListener("click", () => {
  askWhether(false);
  byId("delete", "button").focus();
});
yes.addEventListener("click", () => {
  const account = open?.account.name;
  if (account === undefined) return;
  void change(yes, (options) => ask({ name: "delete-account", account }, "deleted", options), t("account_deleted"));
});
