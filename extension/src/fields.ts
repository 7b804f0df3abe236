// The background's side of sign-in pages: pages are hostile until shown to be AWS's; the accounts that fit them, and their
// codes.

import { choose_accounts, enrolment_pattern, ready, signin_flow } from "./core.js";
import type { Account, Key, Op } from "./generated/message.js";
import { nonsense, type Host } from "./host.js";
import type { Candidate, FieldAsk, FieldTell, FillCommand, LoginNote, Trouble } from "./internal.js";
import { remember, settings } from "./settings.js";
import { delayForNext, hasRunOut, unixNow } from "./step.js";
import { t, type TextKey } from "./text.js";
import { explain, local, TroubleError, troubleOf } from "./trouble.js";

/** A frame of a tab, to put scripts into. */
export interface Frame {
  tabId: number;
  frameIds: number[];
}

/** The frame behind a message, if its own origin is one of AWS's that is asked for. Its ancestors are not looked at. */
export async function checkSender(
  { url, origin, tab, frameId }: chrome.runtime.MessageSender,
  isOurs: (url: unknown) => boolean = isSignIn,
): Promise<Frame | undefined> {
  await ready();
  if (tab?.id === undefined || frameId === undefined || !isOurs(origin ?? url)) return undefined;
  return { tabId: tab.id, frameIds: [frameId] };
}

/** Puts scripts into a frame. Whether it may also be filled is looked at when it asks for something. */
export async function putScripts(target: Frame, files: string[]): Promise<void> {
  await chrome.scripting.executeScript({ target, files }).catch(() => undefined); // The frame has gone.
}

/** The person pressed the shortcut, in the tab if the browser says in which. */
export async function fillByShortcut(tab: chrome.tabs.Tab | undefined): Promise<void> {
  const id = tab?.id ?? (await chrome.tabs.query({ active: true, currentWindow: true }))[0]?.id;
  // Only sign-in pages listen; on others there is nobody, which is no error.
  if (id !== undefined) await chrome.tabs.sendMessage<FillCommand>(id, { command: "fill" }).catch(() => undefined);
}

// ---- the step before

/** Longer texts are nobody's account or user. */
const MAX_TYPED = 128;

const isTyped = (value: unknown) => value === undefined || (typeof value === "string" && value.length <= MAX_TYPED);

/** In the session's storage, which is memory: what the person told the pages of a tab of who signs in. */
const noteName = (tab: number) => `login:${tab}`;

/** Notes what the person has told a sign-in page of who signs in: an account begins a new login. */
export async function noteLogin({ tabId }: Frame, { account, user }: LoginNote): Promise<void> {
  if (!isTyped(account) || !isTyped(user)) return;
  const name = noteName(tabId);
  const before = account === undefined ? await toldBefore(tabId) : {};
  const told = { ...before, ...(account === undefined ? {} : { account }), ...(user === undefined ? {} : { user }) };
  await chrome.storage.session.set({ [name]: told });
}

/** The tab was closed. */
export const forgetLogin = (tab: number) => chrome.storage.session.remove(noteName(tab));

async function toldBefore(tab: number | undefined): Promise<{ account?: string; user?: string }> {
  if (tab === undefined) return {};
  const name = noteName(tab);
  return ((await chrome.storage.session.get(name))[name] as { account?: string; user?: string } | undefined) ?? {};
}

// ---- pages

/** Whether an address is on one of AWS's sign-in hosts. The wasm has to be there. */
function isSignIn(url: unknown): boolean {
  return typeof url === "string" && URL.canParse(url) && signin_flow(new URL(url).origin) !== undefined;
}

/** Throws unless the frame behind `port` may be filled: its own origin and that of every ancestor are AWS's. */
export async function checkPage(
  port: chrome.runtime.Port,
  ancestors: unknown,
  isOurs: (url: unknown) => boolean = isSignIn,
): Promise<string> {
  await ready();
  const { url, origin, tab, frameId, documentLifecycle } = port.sender ?? {};
  const frames: unknown[] = Array.isArray(ancestors) ? ancestors : [null];
  const fits =
    url !== undefined && isOurs(url) &&
    (origin === undefined || origin === new URL(url).origin) &&
    (documentLifecycle === undefined || documentLifecycle === "active") &&
    frames.every(isOurs) &&
    // What the browser says of the tab has to agree with what the frame says of its ancestors.
    isOurs(tab?.url) &&
    (frameId === 0) === (frames.length === 0);
  if (fits) return url;
  throw new TroubleError(local("bad-page"));
}

/** Serves a content script until it goes: what fits its page, and the code of what was chosen. */
export function serveField(port: chrome.runtime.Port, host: Host): void {
  // The question that is open: one at a time.
  let asking = new AbortController();
  port.onDisconnect.addListener(() => {
    void chrome.runtime.lastError;
    asking.abort();
  });
  // A page is given the codes of the accounts that were found to fit it, and of no others.
  let offered: Candidate[] = [];
  /** Whose login it is, as far as that is known: to remember what is chosen for it. */
  let login: string | undefined;
  // What to note of the code that was given last, once it is in the field.
  let given: { n: number; op: Extract<Op, { name: "submitted" }>; key: string | undefined } | undefined;
  /** The key that is asked, where the chosen one is not there. */
  let other: Key | undefined;

  const answer = async (
    ask: Extract<FieldAsk, { ask: "candidates" | "code" }>,
    tell: (message: FieldTell) => void,
    signal: AbortSignal,
  ) => {
    const url = await checkPage(port, ask.ancestors);
    const { key, choices, fillWithoutClick, submit } = await settings();
    if (ask.ask === "candidates") {
      const list = (key: string | undefined) => host.ask({ name: "accounts", codes: false }, { key, signal });
      let instead: Key | undefined;
      const answer = await list(key).catch(async (error: unknown) => {
        instead = await otherCard(host, key, error, signal);
        if (!instead) throw error;
        return list(instead.id);
      });
      other = instead;
      const chosen = choose_accounts(answer.accounts, url, await toldBefore(port.sender?.tab?.id));
      login = chosen.login;
      offered = chosen.accounts.map(candidate);
      let { likely } = chosen;
      const remembered = offered.find(({ name }) => name === choices[login ?? ""]);
      if (remembered) {
        // What a person chose for the same login before needs no choice again; there is a way to another.
        offered = [remembered, ...offered.filter((other) => other !== remembered)];
        likely = 1;
      }
      const software = answer.key.kind === "software";
      const named = other && { key: other.name ?? other.label };
      tell({ n: ask.n, tell: "candidates", candidates: offered, likely, software, ...named, fillWithoutClick, submit });
      return;
    }
    const account = offered.find(({ name }) => name === ask.account);
    if (!account) throw new TroubleError(nonsense());
    const asked = other?.id ?? key;
    if (ask.chosen && login !== undefined) await remember(login, account.name);
    const { code } = await host.ask(
      // AWS takes no code twice.
      { name: "code", account: account.name, purpose: new URL(url).hostname, fresh: true },
      {
        key: asked,
        signal,
        onEvent: (event) =>
          tell({ n: ask.n, ...(event.name === "waiting" ? { tell: "waiting", why: event.why } : { tell: "touch" }) }),
      },
    );
    const next = ask.waited ? 0 : delayForNext(account, code, unixNow());
    if (next > 0) return tell({ n: ask.n, tell: "next-step", seconds: next });
    if (hasRunOut(code, unixNow())) throw new TroubleError(local("code-expired"));
    const { valid_from } = code;
    given = valid_from === undefined ? undefined
      : { n: ask.n, op: { name: "submitted", account: account.name, valid_from }, key: asked };
    tell({ n: ask.n, tell: "code", value: code.value });
  };

  port.onMessage.addListener((ask: FieldAsk) => {
    asking.abort();
    asking = new AbortController();
    const { signal } = asking;
    const tell = (message: FieldTell) => {
      if (!signal.aborted) port.postMessage(message);
    };
    if (ask.ask === "stop") return;
    if (ask.ask === "filled") {
      // The code is in the page all the same, if the host cannot note it.
      if (given?.n === ask.n) host.ask(given.op, { key: given.key }).catch(() => undefined);
      given = undefined;
      return;
    }
    answer(ask, tell, signal).catch((error: unknown) => tell({ n: ask.n, tell: "trouble", ...shown(troubleOf(error)) }));
  });
}

/**
 * Whoever has chosen one card and has another with them, and only that, means the other: the only card that is there, if the chosen
 * one is not. A software key is never taken in a card's place, nor a card in a software key's.
 */
async function otherCard(host: Host, key: string | undefined, error: unknown, signal: AbortSignal): Promise<Key | undefined> {
  if (key === undefined || key.startsWith("soft:") || troubleOf(error).code !== "no-key") return undefined;
  const { keys } = await host.ask({ name: "keys" }, { signal });
  const [only, ...others] = keys.filter(({ kind }) => kind === "smart-card");
  return others.length === 0 && only?.id !== key ? only : undefined;
}

/** What to do, for a person who sees the chip: there is little room, and the rest is in the popup. */
const FIXES: Partial<Record<Trouble["code"], TextKey>> = {
  "no-key": "chip_fix_no_key",
  "no-pcsc": "chip_fix_no_pcsc",
  locked: "chip_fix_locked",
  ambiguous: "chip_fix_ambiguous",
  cancelled: "chip_again",
  "code-expired": "chip_again",
};

function shown(trouble: Trouble): Pick<Extract<FieldTell, { tell: "trouble" }>, "title" | "fix"> {
  const { title, fix } = explain(trouble);
  const own = FIXES[trouble.code];
  return { title, fix: own ? t(own) : fix };
}

function candidate(account: Account): Candidate {
  return {
    name: account.name,
    label: account.aws?.device ?? account.name,
    detail: account.aws?.account ?? (account.aws?.flow === "identity-center" ? t("chip_center") : ""),
    touch: account.touch === true,
  };
}

/** What watches the pages of `origins`, as in the manifest: first those of sign-in, then those that only set up authenticators. */
function watchersOf(origins: string[]): { id: string; matches: string[]; js: string[] }[] {
  const { content_scripts } = chrome.runtime.getManifest();
  // Firefox gives whole addresses, and takes paths alone.
  const files = (n: number) => (content_scripts?.[n]?.js ?? []).map((file) => new URL(file, chrome.runtime.getURL("")).pathname.slice(1));
  const enrolments = origins.map((pattern) => enrolment_pattern(pattern)).filter((pattern) => pattern !== undefined);
  return [
    { id: "allowed-hosts", matches: origins.filter((pattern) => !enrolment_pattern(pattern)), js: files(0) },
    { id: "allowed-enrolments", matches: enrolments, js: files(1) },
  ];
}

async function register(): Promise<void> {
  await ready();
  const { optional_host_permissions: optional } = chrome.runtime.getManifest();
  const { origins } = await chrome.permissions.getAll();
  const allowed = ((optional ?? []) as string[]).filter((pattern) => origins?.includes(pattern));
  for (const { id, matches, js } of watchersOf(allowed)) {
    await chrome.scripting.unregisterContentScripts({ ids: [id] }).catch(() => undefined); // There was none.
    if (matches.length === 0) continue;
    await chrome.scripting.registerContentScripts([{ id, matches, js, allFrames: true, runAt: "document_end" }]);
  }
}

/** One after another: two at once would both register, and the one that knows less could win. */
let registering = Promise.resolve();

/**
 * Sign-in hosts that the person allowed only when they were needed are watched as those of the manifest are. The browser
 * keeps the registration.
 */
export const watchAllowedHosts = () => (registering = registering.then(register).catch(() => undefined));

/**
 * Has the pages watched that are open already: whoever allows a host, or installs the extension, on the step that asks for the
 * code, would lose the login by loading it again. A page that is watched already bears it: the scripts' own names are taken
 * there, and nothing runs.
 */
export async function watchOpenTabs(origins?: string[]): Promise<void> {
  await ready();
  const allowed = origins ?? (await chrome.permissions.getAll()).origins ?? [];
  for (const { matches, js } of watchersOf(allowed)) {
    if (matches.length === 0) continue;
    for (const { id } of await chrome.tabs.query({ url: matches })) {
      if (id === undefined) continue;
      await chrome.scripting.executeScript({ target: { tabId: id, allFrames: true }, files: js }).catch(() => undefined);
    }
  }
}
