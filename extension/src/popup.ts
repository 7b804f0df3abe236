// The popup: codes and presigned links. It asks the host through the background and holds nothing but what it shows.

import {
  is_lookalike,
  match_pattern,
  parse_console_url,
  presign_preview,
  ready,
  type CoreError,
  type PresignPreview,
} from "./core.js";
import type { Account, Answer, Code, Event, Key, Wants } from "./generated/message.js";
import type { PopupAsk, PopupOp, PopupTell, Trouble } from "./internal.js";
import { hasRunOut, ranOut, unixNow } from "./step.js";

function byId<K extends keyof HTMLElementTagNameMap>(id: string, tag: K): HTMLElementTagNameMap[K] {
  const found = document.getElementById(id);
  if (found?.localName !== tag) throw new Error(`no <${tag} id=${id}>`);
  return found as HTMLElementTagNameMap[K];
}

// ---- asking

interface Waiting {
  resolve(answer: Answer): void;
  reject(error: TroubleError): void;
  onEvent(event: Event): void;
}

class TroubleError extends Error {
  constructor(readonly trouble: Trouble) {
    super(trouble.message);
  }
}

const waiting = new Map<number, Waiting>();
let port: chrome.runtime.Port | undefined;
let lastNumber = 0;
/** The key that was chosen here; undefined for the host's choice. */
let chosen: string | undefined;

function connect(): chrome.runtime.Port {
  const made = chrome.runtime.connect({ name: "popup" });
  made.onMessage.addListener((tell: PopupTell) => {
    const asker = waiting.get(tell.n);
    if (tell.tell === "event") {
      asker?.onEvent(tell.event);
      return;
    }
    waiting.delete(tell.n);
    if (tell.tell === "answer") asker?.resolve(tell.answer);
    else asker?.reject(new TroubleError(tell.trouble));
  });
  made.onDisconnect.addListener(() => {
    port = undefined;
    const trouble: Trouble = { code: "host-crashed", message: "Keyfob was interrupted", hint: "Try again." };
    for (const asker of waiting.values()) asker.reject(new TroubleError(trouble));
    waiting.clear();
  });
  return made;
}

/** What a question waits for: a row's or a button's state, and what it says. */
type Pending = { state: "wait" | "touch"; text: string };

/**
 * Asks the host: the key that was chosen, or `key`. What a touch will do, or what else is waited for, is shown as long as it
 * lasts; `waits` is told of it in short. Throws `TroubleError`.
 */
function ask<N extends Answer["name"]>(
  op: PopupOp,
  expected: N,
  { key = chosen, waits = () => undefined }: { key?: string | undefined; waits?: (pending: Pending) => void } = {},
): Promise<Extract<Answer, { name: N }>> {
  const n = ++lastNumber;
  return new Promise<Answer>((resolve, reject) => {
    const onEvent = (event: Event) => {
      const touch = event.name === "touch-required";
      prompts.set(n, touch ? event.prompt : `Waiting: ${event.why}`);
      showStatus();
      waits(touch ? { state: "touch", text: "Touch your key" } : { state: "wait", text: "Waiting…" });
    };
    waiting.set(n, { resolve, reject, onEvent });
    port ??= connect();
    // `keys` is answered by every card and the software key that is configured: the choice is between them.
    port.postMessage({ n, op, ...(op.name === "keys" || key === undefined ? {} : { key }) } satisfies PopupAsk);
  }).then((answer) => {
    if (answer.name !== expected) {
      throw new TroubleError({ code: "bad-answer", message: "The Keyfob program answered something else than was asked" });
    }
    return answer as Extract<Answer, { name: N }>;
  }).finally(() => {
    prompts.delete(n);
    showStatus();
  });
}

// ---- what goes wrong

const trouble = byId("trouble", "section");
const unlock = byId("unlock", "form");
/** The key that is locked: it need not be the one that was chosen. */
let wants: Wants | undefined;

/** Whether choosing a key may help. */
const wantsChoice = (code?: string) => code === "ambiguous" || code === "no-key" || code === "not-found";

/**
 * Shows a failure in the one place for it; a locked key gets the form that unlocks it, and keeps it where that may be tried
 * again. What is wrong with one account does not keep the others from being refreshed.
 */
function report(error: unknown, about: "key" | "account" | "unlock" = "key"): void {
  const { code, message, hint, candidates, wants: opens }: Trouble =
    error instanceof TroubleError
      ? error.trouble
      : { code: "internal", message: "Something in the extension broke", hint: "Close this window and open it again." };
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
    prose(byId("unlock-what", "label"), wants?.what ?? "its password or passphrase");
  }
  if (code === "wrong-password") byId("password", "input").value = "";
  if (locked) byId("password", "input").focus();
  if (wantsChoice(code)) void listKeys();
}

/** Writes a sentence of the host's or the wasm's: they begin small, and have commands in backticks. */
function prose(element: HTMLElement, text: string): void {
  const sentence = text.charAt(0).toUpperCase() + text.slice(1);
  element.replaceChildren(
    ...sentence.split("`").map((part, i) => {
      if (i % 2 === 0) return part;
      const code = document.createElement("code");
      code.textContent = part;
      return code;
    }),
  );
}

function clearTrouble(): void {
  trouble.hidden = true;
  unlock.hidden = true;
  delete trouble.dataset["code"];
}

/** What the key waits for, in the host's words, by the number of the question. It waits for one after the other. */
const prompts = new Map<number, string>();
let said = "";
let saidTimer: ReturnType<typeof setTimeout>;

/** Says something in passing. */
function say(text: string): void {
  said = text;
  showStatus();
  clearTimeout(saidTimer);
  saidTimer = setTimeout(() => {
    said = "";
    showStatus();
  }, 1800);
}

function showStatus(): void {
  byId("status", "div").textContent = said || ([...prompts.values()].at(-1) ?? "");
}

async function copy(text: string, what: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    say(`${what} copied`);
  } catch {
    say(`The browser did not let Keyfob copy the ${what.toLowerCase()}`);
  }
}

unlock.addEventListener("submit", (event) => {
  event.preventDefault();
  const field = byId("password", "input");
  const submit = byId("unlock-submit", "button");
  submit.disabled = true;
  ask({ name: "unlock", password: field.value }, "unlocked", { key: wants?.key ?? chosen })
    .then(
      () => {
        field.value = "";
        return load();
      },
      (error: unknown) => report(error, "unlock"),
    )
    .finally(() => (submit.disabled = false));
});
byId("retry", "button").addEventListener("click", () => void load());
byId("lock", "button").addEventListener("click", () => {
  ask({ name: "lock" }, "locked").then(() => load(), report);
});

// ---- the key

/** What a key is called, by the user if they named it. That it is a software key is to be said beside it. */
const nameOf = ({ name, kind, id, label }: Key) => name ?? (kind === "software" ? id.replace(/^soft:/, "") : label);

function showKey(key: Key): void {
  const label = byId("key-label", "span");
  label.textContent = nameOf(key);
  label.title = [key.label, key.version].filter(Boolean).join(" ");
  byId("software-badge", "span").hidden = key.kind !== "software";
}

/** The keys that are there. Nothing is unlocked for the list: in it a key with a password is locked. */
let keys: Key[] = [];

/** Offers to lock what was unlocked. */
function showLock(): void {
  const protects = ({ kind, locked }: Key) => kind === "software" || locked;
  byId("lock", "button").hidden = !keyIsRead() || !keys.some((key) => key.id === known.key && protects(key));
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
  const option = (value: string, text: string) => new Option(text, value, false, value === (chosen ?? ""));
  const text = (key: Key) => nameOf(key) + (key.kind === "software" ? " (software key)" : "");
  select.replaceChildren(option("", "Choose a key…"), ...keys.map((key) => option(key.id, text(key))));
  const missing = chosen !== undefined && !keys.some(({ id }) => id === chosen);
  if (missing) select.append(new Option(`${chosen} (not here)`, chosen, false, true));
  select.hidden = keys.length < 2 && !missing && !(keys.length === 1 && wantsChoice(trouble.dataset["code"]));
  byId("key-label", "span").hidden = !select.hidden;
  showLock();
}

byId("key", "select").addEventListener("change", ({ currentTarget }) => {
  chosen = (currentTarget as HTMLSelectElement).value || undefined;
  void (chosen === undefined ? chrome.storage.local.remove("key") : chrome.storage.local.set({ key: chosen }));
  void load();
});

// ---- codes

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
/** Counts the loads: what a former one still wants to show is dropped. */
let generation = 0;
let refresh: ReturnType<typeof setTimeout>;

async function load(refreshing = false): Promise<void> {
  const mine = ++generation;
  clearTimeout(refresh);
  const list = byId("codes", "ul");
  list.setAttribute("aria-busy", "true");
  try {
    const { key, accounts } = await ask({ name: "accounts", codes: true }, "accounts");
    if (mine !== generation) return;
    if (!refreshing || trouble.dataset["about"] !== "account") clearTrouble();
    showKey(key);
    const before = known.key === key.id ? known.rows : new Map<string, Row>();
    known = { key: key.id, rows: new Map(accounts.map((each) => [each.name, rowOf(each, before.get(each.name))])) };
    showRows([...known.rows.values()]);
    byId("no-codes", "p").hidden = rows.length > 0;
  } catch (error) {
    if (mine !== generation) return;
    showRows([]);
    byId("no-codes", "p").hidden = true;
    report(error);
  } finally {
    list.removeAttribute("aria-busy");
    showLock();
  }
  if (keyIsRead()) await loadIdentities().catch((error: unknown) => report(error));
}

/** Whether nothing is wrong with the key. */
const keyIsRead = () => unlock.hidden && (trouble.hidden || trouble.dataset["about"] === "account");

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

function part(button: HTMLElement, name: string): HTMLElement {
  return button.querySelector(`.${name}`) as HTMLElement;
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
    shown.textContent = pending?.text ?? (account.touch ? "Touch" : "Show");
    delete shown.dataset["value"];
  }
}

/** A code that is there is copied; one that is not, or was used already, is asked for. */
async function press(row: Row): Promise<void> {
  if (row.pending) return;
  if (row.code && !row.code.submitted) return copy(row.code.value, "Code");
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
    part(row.button, "used").textContent = row.code?.submitted ? `Used; the next in ${Math.ceil(left)} s` : "";
    if (left > 0) continue;
    row.code = undefined;
    if (row.account.touch !== true) ended = true;
    showCode(row);
  }
  if (ended && keyIsRead()) void load(true);
  clearTimeout(refresh);
  if (rows.some(({ code }) => code?.valid_until !== undefined)) refresh = setTimeout(tick, 250);
}

// ---- presigned links

const form = byId("presign", "form");
const sign = byId("sign", "button");
const input = (id: string) => byId(id, "input").value;

async function loadIdentities(): Promise<void> {
  const select = byId("identity", "select");
  const before = select.value;
  const { identities } = await ask({ name: "identities" }, "identities");
  // Links are signed by SigV4 alone.
  const usable = identities.filter(({ signature }) => signature === "SigV4");
  select.replaceChildren(...usable.map(({ access_key_id: id }) => new Option(id, id, false, id === before)));
  if (usable.length === 0) {
    select.append(new Option("No AWS access key on this key", ""));
  }
  preview();
}

/** What would be signed now. Throws the wasm's error, which says what is missing or wrong. */
function current(): PresignPreview {
  const endpoint = input("endpoint").trim();
  const versionId = input("version-id").trim();
  return presign_preview({
    method: byId("method", "select").value,
    bucket: input("bucket").trim(),
    // Spaces at the end of a key are a part of it.
    key: input("object-key"),
    region: input("region").trim() || (endpoint ? "us-east-1" : ""),
    accessKeyId: byId("identity", "select").value,
    expires: Number(byId("expires", "select").value),
    at: Math.floor(Date.now() / 1000),
    ...(versionId ? { versionId } : {}),
    ...(endpoint ? { endpoint } : {}),
  });
}

/** Why the console's page that this was opened from gives no bucket and key, if it should. */
let pageProblem: string | undefined;

/** Shows what is going to be signed, or why nothing can be. */
function preview(): void {
  const card = byId("preview", "div");
  const plain = (id: string, text: string) => {
    const line = document.getElementById(id);
    if (line) line.textContent = text;
  };
  let shown: PresignPreview | undefined;
  let problem = "";
  const untouched = input("bucket") === "" && input("object-key") === "";
  const unread = untouched && pageProblem !== undefined;
  const needed = [
    input("bucket") === "" && "a bucket",
    input("object-key") === "" && "an object key",
    input("region") === "" && input("endpoint") === "" && "a region",
  ].filter((each) => each !== false);
  if (unread) {
    problem = pageProblem ?? "";
  } else if (byId("identity", "select").value === "") {
    problem = "Put an AWS access key on this key first, with `keyfob aws add`.";
  } else if (untouched) {
    problem = "Open an object in the S3 console, or fill this in.";
  } else if (needed.length > 0) {
    problem = `Still needed: ${needed.join(", ")}.`;
  } else {
    try {
      shown = current();
    } catch (error) {
      problem = (error as CoreError).message;
    }
  }
  card.toggleAttribute("data-bad", unread || (!shown && needed.length === 0));
  plain("preview-verb", shown?.method ?? "");
  plain("preview-object", shown ? `${shown.bucket}/${shown.key}` : "");
  plain("preview-host", shown ? `${shown.scheme}://${shown.host}` : "");
  plain("preview-until", shown ? `Stops working ${moment(shown.expiresAt)}` : "");
  prose(byId("preview-trouble", "p"), problem);
  sign.disabled = !shown || sign.dataset["state"] !== undefined;
}

function moment(unix: number): string {
  return new Date(unix * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

form.addEventListener("input", () => {
  // A link belongs to what was signed, not to what is being typed.
  byId("signed", "div").hidden = true;
  preview();
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!sign.disabled) void presign();
});

async function presign(): Promise<void> {
  sign.dataset["state"] = "wait";
  sign.disabled = true;
  sign.textContent = "Asking the key…";
  try {
    const { canonicalRequest: canonical_request, scheme } = current();
    const waits = ({ state, text }: Pending) => {
      sign.dataset["state"] = state;
      sign.textContent = text;
    };
    const { url, expires_at } = await ask({ name: "presign", canonical_request, scheme }, "presigned", { waits });
    clearTrouble();
    byId("url", "textarea").value = url;
    byId("url-until", "span").textContent = moment(expires_at);
    byId("signed", "div").hidden = false;
    byId("copy-url", "button").focus();
  } catch (error) {
    report(error);
  }
  delete sign.dataset["state"];
  sign.textContent = "Sign with the key";
  preview();
}

byId("copy-url", "button").addEventListener("click", () => void copy(byId("url", "textarea").value, "Link"));

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

byId("codes", "ul").addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step === undefined) return;
  event.preventDefault();
  const at = rows.findIndex(({ button }) => button === document.activeElement);
  rows[(at + step + rows.length) % rows.length]?.button.focus();
});

// ---- the page this was opened from

/** Its address. Only where the popup is shown in a tab of its own does it come from `?tab=`. */
async function pageUrl(): Promise<string | undefined> {
  if (await chrome.tabs.getCurrent()) return new URLSearchParams(location.search).get("tab") ?? undefined;
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
      say("Reload the page to have codes filled");
    });
  });
}

function usePage(url: string): void {
  void offerHost(url);
  const warning = byId("warning", "div");
  warning.hidden = !is_lookalike(url);
  warning.textContent = "This page looks like AWS’s sign-in, but it is another site. Type no password or code there.";
  try {
    const { kind, bucket, key, region, versionId } = parse_console_url(url);
    byId("bucket", "input").value = bucket;
    byId("object-key", "input").value = kind === "object" ? (key ?? "") : "";
    byId("region", "input").value = region ?? "";
    byId("version-id", "input").value = versionId ?? "";
    selectTab("presign");
  } catch (error) {
    const { message } = error as CoreError;
    // On any page that is not S3's the form stays empty, whatever its address is like.
    if (SHOWS_NO_BUCKET.test(message) || !isConsole(url)) return;
    pageProblem = message;
    selectTab("presign");
  }
}

/** What the wasm says of a page of the console without a bucket; the error's code is one for all. */
const SHOWS_NO_BUCKET = /shows no bucket/;

/** Whether the page is one of the console, by its host alone. */
function isConsole(url: string): boolean {
  try {
    parse_console_url(new URL(url).origin);
    return true;
  } catch (error) {
    return SHOWS_NO_BUCKET.test((error as Error).message);
  }
}

void (async () => {
  const [url, stored] = await Promise.all([pageUrl(), chrome.storage.local.get("key"), ready()]);
  const { key } = stored;
  if (typeof key === "string") chosen = key;
  if (url !== undefined) usePage(url);
  preview();
  await load();
  await listKeys();
  document.body.dataset["ready"] = "";
})();
