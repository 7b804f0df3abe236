// Between the pages, the popup and the host. Pages are hostile until shown to be AWS's, the host is fallible.

import { choose_accounts, ready, signin_flow } from "./core.js";
import type { Account, Op } from "./generated/message.js";
import { Host, nonsense, TroubleError } from "./host.js";
import type { Candidate, ChipAsk, FieldAsk, FieldTell, FillCommand, PopupAsk, PopupTell, Trouble } from "./internal.js";
import { delayForNext, hasRunOut, ranOut, unixNow } from "./step.js";

const host = new Host();

chrome.runtime.onConnect.addListener((port) => {
  if (port.sender?.id !== chrome.runtime.id) return port.disconnect();
  if (port.name === "popup") servePopup(port);
  else if (port.name === "field") serveField(port);
  else port.disconnect();
});

chrome.runtime.onMessage.addListener((message: ChipAsk, { id, url, origin, tab, frameId }) => {
  if (id !== chrome.runtime.id || message.ask !== "chip" || tab?.id === undefined || frameId === undefined) return;
  const target = { tabId: tab.id, frameIds: [frameId] };
  void (async () => {
    await ready();
    // Whether the frame may also be filled is looked at when it asks for something.
    if (isSignIn(origin ?? url)) await chrome.scripting.executeScript({ target, files: ["chip.js"] });
  })().catch(() => undefined); // The frame has gone.
});

chrome.commands.onCommand.addListener((command, tab) => {
  if (command !== "fill") return;
  void (async () => {
    const id = tab?.id ?? (await chrome.tabs.query({ active: true, currentWindow: true }))[0]?.id;
    // Only sign-in pages listen; on others there is nobody, which is no error.
    if (id !== undefined) await chrome.tabs.sendMessage<FillCommand>(id, { command: "fill" }).catch(() => undefined);
  })();
});

/** The key that the person chose in the popup, if there was a choice. */
async function chosenKey(): Promise<string | undefined> {
  const { key } = await chrome.storage.local.get("key");
  return typeof key === "string" ? key : undefined;
}

// ---- pages

/** Whether an address is on one of AWS's sign-in hosts. The wasm has to be there. */
function isSignIn(url: unknown): boolean {
  return typeof url === "string" && URL.canParse(url) && signin_flow(new URL(url).origin) !== undefined;
}

/** Throws unless the frame behind `port` may be filled: its own origin and that of every ancestor are AWS's. */
async function checkPage(port: chrome.runtime.Port, ancestors: unknown): Promise<string> {
  await ready();
  const { url, origin, tab, frameId, documentLifecycle } = port.sender ?? {};
  const frames: unknown[] = Array.isArray(ancestors) ? ancestors : [null];
  const fits =
    url !== undefined && isSignIn(url) &&
    (origin === undefined || origin === new URL(url).origin) &&
    (documentLifecycle === undefined || documentLifecycle === "active") &&
    frames.every(isSignIn) &&
    // What the browser says of the tab has to agree with what the frame says of its ancestors.
    isSignIn(tab?.url) &&
    (frameId === 0) === (frames.length === 0);
  if (fits) return url;
  throw new TroubleError({
    code: "bad-page",
    message: "This page is not AWS's sign-in, or is shown inside of one that is not",
    hint: "Open the AWS sign-in page in a tab of its own.",
  });
}

function serveField(port: chrome.runtime.Port): void {
  // The question that is open: one at a time.
  let asking = new AbortController();
  port.onDisconnect.addListener(() => {
    void chrome.runtime.lastError;
    asking.abort();
  });
  // A page is given the codes of the accounts that were found to fit it, and of no others.
  let offered: Candidate[] = [];
  // What to note of the code that was given last, once it is in the field.
  let given: { n: number; op: Extract<Op, { name: "submitted" }>; key: string | undefined } | undefined;

  const answer = async (
    ask: Extract<FieldAsk, { ask: "candidates" | "code" }>,
    tell: (message: FieldTell) => void,
    signal: AbortSignal,
  ) => {
    const url = await checkPage(port, ask.ancestors);
    const key = await chosenKey();
    if (ask.ask === "candidates") {
      const answer = await host.ask({ name: "accounts", codes: false }, { key, signal });
      offered = choose_accounts(answer.accounts, url).map(candidate);
      tell({ n: ask.n, tell: "candidates", candidates: offered, software: answer.key.kind === "software" });
      return;
    }
    const account = offered.find(({ name }) => name === ask.account);
    if (!account) throw new TroubleError(nonsense());
    const { code } = await host.ask(
      // AWS takes no code twice.
      { name: "code", account: account.name, purpose: new URL(url).hostname, fresh: true },
      {
        key,
        signal,
        onEvent: (event) =>
          tell({ n: ask.n, ...(event.name === "waiting" ? { tell: "waiting", why: event.why } : { tell: "touch" }) }),
      },
    );
    const next = ask.waited ? 0 : delayForNext(account, code, unixNow());
    if (next > 0) return tell({ n: ask.n, tell: "next-step", seconds: next });
    if (hasRunOut(code, unixNow())) throw new TroubleError(ranOut("Click to try again."));
    const { valid_from } = code;
    given = valid_from === undefined ? undefined
      : { n: ask.n, op: { name: "submitted", account: account.name, valid_from }, key };
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
    answer(ask, tell, signal).catch((error: unknown) => tell({ n: ask.n, tell: "trouble", trouble: troubleOf(error) }));
  });
}

function candidate(account: Account): Candidate {
  return {
    name: account.name,
    label: account.aws?.device ?? account.name,
    detail: account.aws?.account ?? "",
    touch: account.touch === true,
  };
}

/**
 * Sign-in hosts that the person allowed only when they were needed are watched as those of the manifest are. The browser
 * keeps the registration.
 */
async function watchAllowedHosts(): Promise<void> {
  const { content_scripts, optional_host_permissions: optional } = chrome.runtime.getManifest();
  const { origins } = await chrome.permissions.getAll();
  const matches = ((optional ?? []) as string[]).filter((pattern) => origins?.includes(pattern));
  const id = "allowed-hosts";
  const js = content_scripts?.[0]?.js ?? [];
  await chrome.scripting.unregisterContentScripts({ ids: [id] }).catch(() => undefined); // There was none.
  if (matches.length === 0) return;
  await chrome.scripting.registerContentScripts([{ id, matches, js, allFrames: true, runAt: "document_end" }]);
}

/** One after another: two at once would both register, and the one that knows less could win. */
let watching = Promise.resolve();
const watchAgain = () => (watching = watching.then(watchAllowedHosts).catch(() => undefined));

chrome.runtime.onInstalled.addListener(() => void watchAgain());
chrome.permissions.onAdded.addListener(() => void watchAgain());
chrome.permissions.onRemoved.addListener(() => void watchAgain());

// ---- popup

const POPUP_OPS: ReadonlySet<string> = new Set<PopupAsk["op"]["name"]>([
  "hello",
  "keys",
  "accounts",
  "code",
  "identities",
  "presign",
  "unlock",
  "lock",
]);

function servePopup(port: chrome.runtime.Port): void {
  const page = port.sender?.url?.split(/[?#]/, 1)[0];
  if (page !== chrome.runtime.getURL("popup.html")) return port.disconnect();
  const gone = new AbortController();
  port.onDisconnect.addListener(() => {
    void chrome.runtime.lastError;
    gone.abort();
  });
  const tell = (message: PopupTell) => {
    if (!gone.signal.aborted) port.postMessage(message);
  };
  port.onMessage.addListener(({ n, op, key }: PopupAsk) => {
    if (!POPUP_OPS.has(op.name)) return;
    host
      .ask(op, {
        key,
        signal: gone.signal,
        onEvent: (event) => tell({ n, tell: "event", event }),
      })
      .then(
        (answer) => tell({ n, tell: "answer", answer }),
        (error: unknown) => tell({ n, tell: "trouble", trouble: troubleOf(error) }),
      );
  });
}

/** Whatever was thrown, as something to show. */
function troubleOf(error: unknown): Trouble {
  if (error instanceof TroubleError) return error.trouble;
  return {
    code: "internal",
    message: "Something in the extension broke",
    hint: "Reload the extension, and report this if it goes on.",
  };
}
