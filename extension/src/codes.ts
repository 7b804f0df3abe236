// The popup's accounts and their codes.

import { ask, TroubleError, type Pending } from "./ask.js";
import { clearTrouble, keyIsRead, report } from "./cards.js";
import type { Account, Code } from "./generated/message.js";
import { hasRunOut, ranOut, unixNow } from "./step.js";
import { t } from "./text.js";
import { byId, copy, part } from "./ui.js";

interface Row {
  account: Account;
  button: HTMLButtonElement;
  code?: Code | undefined;
  /** What the row says while its code is asked for. */
  pending?: Pending | undefined;
}

/** The key that was read last, and its rows by account: a reload takes no touched code and no waiting touch away. */
let known = { key: "", rows: new Map<string, Row>() };
/** What is shown: all of them, or none where the last reading failed. */
let rows: Row[] = [];
let refresh: ReturnType<typeof setTimeout>;
/** To read the key again, for codes that have run out. */
let reload: () => void;

/** Shows the accounts of a key; none if it could not be read. */
export function showAccounts(key: string, accounts: Account[]): void {
  const before = known.key === key ? known.rows : new Map<string, Row>();
  known = { key, rows: new Map(accounts.map((each) => [each.name, rowOf(each, before.get(each.name))])) };
  showRows([...known.rows.values()]);
  byId("no-codes", "p").hidden = rows.length > 0;
}

/** Shows no account, for the key could not be read. What was known of it is kept for when it is. */
export function hideAccounts(): void {
  showRows([]);
  byId("no-codes", "p").hidden = true;
}

function showRows(shown: Row[]): void {
  const focused = document.activeElement?.closest("li")?.dataset["account"];
  rows = shown;
  byId("codes", "ul").replaceChildren(...rows.map(({ button }) => button.parentElement as HTMLElement));
  rows.find(({ account }) => account.name === focused)?.button.focus();
  tick();
}

/** The row of an account: the one it had, with what is new. */
function rowOf(account: Account, row = newRow(account)): Row {
  row.account = account;
  row.code = account.code ?? row.code;
  showCode(row);
  return row;
}

function newRow(account: Account): Row {
  const template = byId("account", "template");
  const item = (template.content.cloneNode(true) as DocumentFragment).firstElementChild as HTMLLIElement;
  const button = item.firstElementChild as HTMLButtonElement;
  item.dataset["account"] = account.name;
  const [issuer, name] =
    account.aws ? ["AWS", account.aws.device]
    : account.issuer ? [account.issuer, account.name.slice(account.issuer.length + 1)]
    : ["", account.name];
  const detail = [issuer, account.aws?.account, account.aws?.flow === "identity-center" && "Identity Center"];
  part(button, "mark").textContent = ([...(issuer || name)][0] ?? "?").toUpperCase();
  part(button, "name").textContent = name;
  part(button, "detail").textContent = detail.filter(Boolean).join(" · ");
  button.title = account.name;
  const row: Row = { account, button };
  button.addEventListener("click", () => void press(row));
  return row;
}

function showCode({ button, code, pending, account }: Row): void {
  const shown = part(button, "code");
  button.dataset["state"] = pending?.state ?? (code ? "code" : "ask");
  button.toggleAttribute("data-used", code?.submitted === true && !pending);
  if (code && !pending) {
    const half = Math.ceil(code.value.length / 2);
    shown.textContent = `${code.value.slice(0, half)} ${code.value.slice(half)}`;
    shown.dataset["value"] = code.value;
  } else {
    shown.textContent = pending?.text ?? t(account.touch ? "codes_touch" : "codes_show");
    delete shown.dataset["value"];
  }
}

/** A code that is there is copied; one that is not, or was used already, is asked for. */
async function press(row: Row): Promise<void> {
  if (row.pending) return;
  if (row.code && !row.code.submitted) return copy(row.code.value, t("codes_copied"));
  const waits = (pending: Pending) => {
    row.pending = pending;
    showCode(row);
  };
  const { account } = row;
  // Another key may be chosen meanwhile: then nobody waits for this one's code.
  const wanted = () => known.rows.get(account.name) === row;
  try {
    waits({ state: "wait", text: "…" });
    const { code } = await ask({ name: "code", account: account.name, fresh: true }, "code", { waits });
    if (hasRunOut(code, unixNow())) throw new TroubleError(ranOut("Click the account again."));
    row.code = code;
    if (wanted()) clearTrouble();
  } catch (error) {
    if (wanted()) report(error, "account");
  } finally {
    row.pending = undefined;
    showCode(row);
    tick();
  }
}

/** Moves the rings, and fetches new codes when old ones end. */
function tick(): void {
  const now = unixNow();
  let ended = false;
  for (const row of rows) {
    const until = row.code?.valid_until;
    if (until === undefined) continue;
    const left = until - now;
    row.button.style.setProperty("--left", String(Math.max(0, left / (row.account.period || 30))));
    row.button.toggleAttribute("data-ending", left < 5);
    part(row.button, "used").textContent = row.code?.submitted ? t("codes_used", Math.ceil(left)) : "";
    if (left > 0) continue;
    row.code = undefined;
    if (row.account.touch !== true) ended = true;
    showCode(row);
  }
  if (ended && keyIsRead()) reload();
  clearTimeout(refresh);
  if (rows.some(({ code }) => code?.valid_until !== undefined)) refresh = setTimeout(tick, 250);
}

/** Makes the list work. */
export function startCodes(hooks: { reload(): void }): void {
  ({ reload } = hooks);
  byId("codes", "ul").addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const at = rows.findIndex(({ button }) => button === document.activeElement);
    rows[(at + step + rows.length) % rows.length]?.button.focus();
  });
}
