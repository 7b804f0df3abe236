// The popup's accounts and their codes: listed, searched, gone through by keyboard, asked for, copied.

import { openAccount } from "./account.js";
import { ask } from "./ask.js";
import { clearTrouble, keyIsRead, report } from "./cards.js";
import { isBusy, next, type Flow, type Happening } from "./flow.js";
import type { Account } from "./generated/message.js";
import { unixNow } from "./step.js";
import { t, tCount, type TextKey } from "./text.js";
import { troubleOf } from "./trouble.js";
import { byId, copy, part, say } from "./ui.js";

/** With less left than this, in seconds, a code is shown to be about to end. */
const ENDING = 5;

interface Row {
  account: Account;
  item: HTMLLIElement;
  /** What a search looks in. */
  words: string;
  flow: Flow;
  /** Takes the question for its code back. */
  asking?: AbortController;
}

/** The key that was read last, and its rows by account: a reload takes no touched code and no waiting touch away. */
let known = { key: "", rows: new Map<string, Row>() };
/** What is listed: all of them, or none where the last reading failed. */
let rows: Row[] = [];
let refresh: ReturnType<typeof setTimeout>;
/** To read the key again, for codes that have run out. */
let reload: () => void;

const list = byId("codes", "ul");
const tools = byId("tools", "div");
const search = byId("search", "input");
const found = byId("found", "p");

const buttonOf = ({ item }: Row) => part(item, "row") as HTMLButtonElement;

// ---- the list

/** Shows the accounts of a key. */
export function showAccounts(key: string, accounts: Account[]): void {
  const before = known.key === key ? known.rows : new Map<string, Row>();
  known = { key, rows: new Map(accounts.map((each) => [each.name, rowOf(each, before.get(each.name))])) };
  tools.hidden = false;
  showRows([...known.rows.values()]);
  byId("no-codes", "div").hidden = rows.length > 0;
  // The key has come back under somebody's eyes.
  if (document.activeElement === document.body) search.focus();
}

/** Shows no account, for the key could not be read. What was known of it is kept for when it is. */
export function hideAccounts(): void {
  tools.hidden = true;
  showRows([]);
  byId("no-codes", "div").hidden = true;
}

/** Whether the accounts of the key that was read last wait for it to be unlocked, or for a touch. */
export const anyBusy = () => rows.some(({ flow }) => isBusy(flow));

function showRows(shown: Row[]): void {
  const focused = document.activeElement;
  const had = focused !== null && list.contains(focused);
  rows = shown;
  // Those that are there already stay, with the focus.
  const items = rows.map(({ item }) => item);
  if (list.children.length !== items.length || items.some((item, i) => list.children[i] !== item)) {
    list.replaceChildren(...items);
    if (had && focused instanceof HTMLElement) (focused.isConnected ? focused : search).focus();
  }
  filter();
  tick();
}

/** The row of an account: the one it had, with what is new. */
function rowOf(account: Account, row = newRow(account)): Row {
  row.account = account;
  if (account.code) become(row, { what: "listed", code: account.code });
  showRow(row);
  return row;
}

/** What to call an account: in short, and what else tells it from others. */
export function titles({ name, issuer, aws }: Account): { title: string; detail: string } {
  if (aws) {
    const flow = aws.flow === "identity-center" ? "IAM Identity Center" : "";
    return { title: aws.device, detail: [aws.account, flow].filter(Boolean).join(" · ") };
  }
  return issuer ? { title: name.slice(issuer.length + 1), detail: issuer } : { title: name, detail: "" };
}

function newRow(account: Account): Row {
  const template = byId("account", "template");
  const item = (template.content.cloneNode(true) as DocumentFragment).firstElementChild as HTMLLIElement;
  item.dataset["account"] = account.name;
  const { title, detail } = titles(account);
  part(item, "name").textContent = title;
  part(item, "detail").textContent = detail;
  const mark = part(item, "mark");
  mark.textContent = account.aws ? "AWS" : ([...(account.issuer ?? account.name)][0] ?? "?").toUpperCase();
  mark.toggleAttribute("data-aws", account.aws !== undefined);
  // Accounts of one AWS account, or of one issuer, have one colour.
  mark.style.setProperty("--hue", String(hue(account.aws?.account ?? account.issuer ?? account.name)));
  const row: Row = { account, item, words: plain([account.name, detail, account.aws ? "AWS" : ""].join(" ")), flow: { state: "idle" } };
  const button = buttonOf(row);
  button.title = account.name;
  button.addEventListener("click", () => void press(row));
  label(part(item, "manage"), t("codes_manage", title)).addEventListener("click", () => manage(row));
  label(part(item, "cancel"), t("codes_cancel", title)).addEventListener("click", () => cancel(row));
  return row;
}

function label(button: HTMLElement, text: string): HTMLElement {
  button.ariaLabel = text;
  button.title = text;
  return button;
}

/** A colour for a text: always the same for the same, in degrees. */
function hue(text: string): number {
  let hash = 0;
  for (const character of text) hash = (hash * 31 + (character.codePointAt(0) ?? 0)) % 65_521;
  // The golden angle sets even neighbours apart.
  return Math.round((hash * 137.508) % 360);
}

const manage = ({ account }: Row) => openAccount(account, titles(account).title, known.key, reload);

// ---- one code

function become(row: Row, happening: Happening): void {
  row.flow = next(row.flow, happening, unixNow());
}

/** What the button of a row says, where there is no code to show. */
const CALLS: Record<Exclude<Flow["state"], "idle" | "done">, TextKey> = {
  waiting: "codes_waiting",
  unlock: "codes_locked",
  touch: "codes_touch_now",
  "timed-out": "codes_again",
  cancelled: "codes_again",
  expired: "codes_again",
  failed: "codes_again",
};

/** What is said below an account. */
const NOTES: Partial<Record<Flow["state"], TextKey>> = {
  "timed-out": "codes_timed_out",
  cancelled: "codes_cancelled",
  expired: "codes_expired",
};

function showRow(row: Row): void {
  const { item, flow, account } = row;
  const code = part(item, "code");
  const done = flow.state === "done" ? flow.code : undefined;
  item.dataset["state"] = flow.state;
  item.toggleAttribute("data-used", done?.submitted === true);
  if (done) {
    const half = Math.ceil(done.value.length / 2);
    code.textContent = `${done.value.slice(0, half)} ${done.value.slice(half)}`;
    code.dataset["value"] = done.value;
  } else {
    code.textContent = t(
      flow.state === "idle" || flow.state === "done" ? (account.touch ? "codes_touch" : "codes_show") : CALLS[flow.state],
    );
    delete code.dataset["value"];
  }
  const busy = isBusy(flow);
  buttonOf(row).ariaBusy = String(busy);
  const [managing, cancelling] = [part(item, "manage"), part(item, "cancel")];
  const focused = document.activeElement === managing || document.activeElement === cancelling;
  managing.hidden = busy;
  cancelling.hidden = !busy;
  if (focused) (busy ? cancelling : managing).focus();
  showTime(row, unixNow());
}

/** Moves the ring, and says how long a used code still lasts. */
function showTime({ item, flow, account }: Row, now: number): void {
  const note = NOTES[flow.state];
  let text = note ? t(note) : "";
  if (flow.state === "done" && flow.code.valid_until !== undefined) {
    const left = flow.code.valid_until - now;
    item.style.setProperty("--left", String(Math.max(0, left / (account.period || 30))));
    item.toggleAttribute("data-ending", left < ENDING);
    if (flow.code.submitted) text = t("codes_used", Math.ceil(left));
  } else {
    item.removeAttribute("data-ending");
  }
  const shown = part(item, "note");
  if (shown.textContent !== text) shown.textContent = text;
}

/** A code that is there is copied; one that is not, or was used already, is asked for, and then copied. */
async function press(row: Row): Promise<void> {
  const { flow } = row;
  if (isBusy(flow)) return;
  if (flow.state === "done" && !flow.code.submitted) {
    await copy(flow.code.value, t("codes_copied"));
    return;
  }
  await bring(row);
}

/** Asks for the code of an account. */
async function bring(row: Row, by: Happening = { what: "asked" }): Promise<void> {
  const { account } = row;
  // Another key may be chosen meanwhile: then nobody waits for this one's code.
  const wanted = () => known.rows.get(account.name) === row;
  const happen = (happening: Happening) => {
    become(row, happening);
    showRow(row);
  };
  const asking = new AbortController();
  row.asking = asking;
  happen(by);
  try {
    const { code } = await ask({ name: "code", account: account.name, fresh: true }, "code", {
      key: known.key || undefined,
      signal: asking.signal,
      onEvent: (event) => happen({ what: "event", event }),
    });
    if (asking.signal.aborted) return;
    happen({ what: "code", code });
    announce(row);
    if (row.flow.state === "done" && wanted()) {
      clearTrouble();
      await copy(code.value, t("codes_copied"), t("codes_copy_by_hand"));
    }
  } catch (error) {
    if (asking.signal.aborted) return;
    happen({ what: "trouble", trouble: troubleOf(error) });
    if (wanted() && (row.flow.state === "failed" || row.flow.state === "unlock")) report(error, "account");
    announce(row);
  } finally {
    tick();
  }
}

/** Says why there is no code, to those who do not see the note. */
function announce({ flow }: Row): void {
  const note = NOTES[flow.state];
  if (note) say(t(note));
}

function cancel(row: Row): void {
  if (!isBusy(row.flow)) return;
  row.asking?.abort();
  const locked = row.flow.state === "unlock";
  become(row, { what: "cancelled" });
  showRow(row);
  if (locked) clearTrouble();
}

/** Goes on with what had to wait until the key was unlocked. */
export function unlocked(): void {
  for (const row of known.rows.values()) {
    if (row.flow.state === "unlock") void bring(row, { what: "unlocked" });
  }
}

/** Moves the rings, and fetches new codes when old ones end. */
function tick(): void {
  const now = unixNow();
  let ended = false;
  for (const row of rows) {
    const before = row.flow;
    become(row, { what: "clock" });
    if (row.flow === before) {
      if (row.flow.state === "done") showTime(row, now);
      continue;
    }
    if (row.account.touch !== true) ended = true;
    showRow(row);
  }
  if (ended && keyIsRead()) reload();
  clearTimeout(refresh);
  if (rows.some(({ flow }) => flow.state === "done" && flow.code.valid_until !== undefined)) refresh = setTimeout(tick, 250);
}

// ---- search and keyboard

/** As it is compared: without case, accents and widths. */
const plain = (text: string) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

const visible = () => rows.filter(({ item }) => !item.hidden);

/** Hides what does not have every word of the search. */
function filter(): void {
  const words = plain(search.value).split(/\s+/).filter(Boolean);
  for (const { item, words: own } of rows) item.hidden = !words.every((word) => own.includes(word));
  const [first, ...others] = visible();
  for (const { item } of rows) item.toggleAttribute("data-first", words.length > 0 && item === first?.item);
  const text =
    words.length === 0 || rows.length === 0 ? ""
    : first ? tCount("codes_found", others.length + 1)
    : t("codes_not_found", search.value.trim());
  if (found.textContent !== text) found.textContent = text;
  found.classList.toggle("unseen", first !== undefined);
}

function clearSearch(): void {
  search.value = "";
  filter();
}

/** Where the keys lead, of so many rows, from the one at `at`: -1 is the search. */
function moved(key: string, at: number, count: number): number | undefined {
  switch (key) {
    case "ArrowDown":
      return Math.min(at + 1, count - 1);
    case "ArrowUp":
      return at - 1 < -1 ? count - 1 : at - 1;
    case "Home":
      return at < 0 ? undefined : 0;
    case "End":
      return at < 0 ? undefined : count - 1;
    default:
      return undefined;
  }
}

function onKey(event: KeyboardEvent): void {
  if (event.isComposing || event.defaultPrevented) return;
  const shown = visible();
  const at = shown.findIndex(({ item }) => item.contains(document.activeElement));
  const row = shown[at];
  const { key } = event;
  const to = event.ctrlKey || event.metaKey || event.altKey ? undefined : moved(key, at, shown.length);
  if (to !== undefined) {
    const target = shown[to];
    if (target) buttonOf(target).focus();
    else search.focus();
  } else if (key === "Escape") {
    const busy = row && isBusy(row.flow) ? row : rows.find(({ flow }) => isBusy(flow));
    // With nothing to take back, the browser closes the popup.
    if (!busy && search.value === "" && !row) return;
    if (busy) cancel(busy);
    else if (search.value !== "") clearSearch();
    if (!busy) search.focus();
  } else if (key === "Enter" && document.activeElement === search) {
    if (shown[0]) void press(shown[0]);
  } else if (row && key === "F2") {
    manage(row);
  } else if (row && (key === "Backspace" || (key.length === 1 && key !== " ")) && !event.ctrlKey && !event.metaKey && !event.altKey) {
    // Goes on with the search: the key is typed into it.
    search.focus();
    return;
  } else {
    return;
  }
  event.preventDefault();
}

/** Makes the list work. */
export function startCodes(hooks: { reload(): void }): void {
  ({ reload } = hooks);
  byId("codes-panel", "section").addEventListener("keydown", onKey);
  search.addEventListener("input", filter);
}
