// The background's side of the extension's own pages: they ask the host through it.

import type { Op } from "./generated/message.js";
import type { Host } from "./host.js";
import type { PopupAsk, PopupTell } from "./internal.js";
import { troubleOf } from "./trouble.js";

const PAGES = ["popup.html", "options.html", "welcome.html"];

/** What they may ask. */
export const PAGE_OPS = [
  "hello",
  "keys",
  "accounts",
  "code",
  "identities",
  "presign",
  "presign-many",
  "check-link",
  "add-account",
  "confirm-account",
  "rename-account",
  "delete-account",
  "unlock",
  "lock",
] as const satisfies readonly Op["name"][];

const OPS: ReadonlySet<string> = new Set(PAGE_OPS);

/** Serves a page of the extension's until it goes. */
export function servePage(port: chrome.runtime.Port, host: Host): void {
  const page = port.sender?.url?.split(/[?#]/, 1)[0];
  if (!PAGES.some((name) => page === chrome.runtime.getURL(name))) return port.disconnect();
  let gone = false;
  // What takes each open question back.
  const open = new Map<number, AbortController>();
  port.onDisconnect.addListener(() => {
    void chrome.runtime.lastError;
    gone = true;
    for (const asking of open.values()) asking.abort();
  });
  const tell = (message: PopupTell) => {
    if (!gone) port.postMessage(message);
  };
  port.onMessage.addListener((message: PopupAsk) => {
    const { n } = message;
    if ("stop" in message) return open.get(n)?.abort();
    const { op, key } = message;
    if (!OPS.has(op.name)) return;
    const asking = new AbortController();
    open.set(n, asking);
    host
      .ask(op, {
        key,
        signal: asking.signal,
        onEvent: (event) => tell({ n, tell: "event", event }),
      })
      .then(
        (answer) => tell({ n, tell: "answer", answer }),
        (error: unknown) => tell({ n, tell: "trouble", trouble: troubleOf(error) }),
      )
      .finally(() => open.delete(n));
  });
}
