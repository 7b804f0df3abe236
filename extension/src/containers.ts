// The background's side of login.html: takes a login to the AWS console from the host, and opens it in one of Firefox's containers.
// No page of the extension's sees its address.

import { is_console_login, ready } from "./core.js";
import { TroubleError, explain, local, troubleOf } from "./trouble.js";
import type { Host } from "./host.js";
import type { LoginAsk, LoginTell } from "./internal.js";

/** A container, as Firefox has it (WebExtensions, `contextualIdentities`). */
interface Container {
  cookieStoreId: string;
}

interface Containers {
  query(which: { name?: string }): Promise<Container[]>;
  create(made: { name: string; color: string; icon: string }): Promise<Container>;
}

/** What Firefox has of each, but for what is no colour of its own. */
const COLOURS = ["blue", "turquoise", "green", "yellow", "orange", "red", "pink", "purple"] as const;
const ICONS = ["fingerprint", "briefcase", "dollar", "cart", "circle", "gift", "vacation", "food", "fruit", "pet", "tree", "chill", "fence"] as const;

/** The same name always looks the same. */
function look(name: string): { color: string; icon: string } {
  const hash = [...name].reduce((hash, each) => (hash * 31 + (each.codePointAt(0) ?? 0)) % 1_000_003, 7);
  return { color: COLOURS[hash % COLOURS.length] ?? "blue", icon: ICONS[hash % ICONS.length] ?? "briefcase" };
}

/** Serves the page until it goes. */
export function serveLogin(port: chrome.runtime.Port, host: Host): void {
  const page = port.sender?.url?.split(/[?#]/, 1)[0];
  const tab = port.sender?.tab;
  if (page !== chrome.runtime.getURL("login.html") || tab?.id === undefined) return port.disconnect();
  const gone = new AbortController();
  port.onDisconnect.addListener(() => {
    void chrome.runtime.lastError;
    gone.abort();
  });
  port.onMessage.addListener(({ ticket }: LoginAsk) => {
    open(ticket, tab, host, gone.signal).catch((error: unknown) => {
      if (gone.signal.aborted) return;
      const told: LoginTell = { why: explain(troubleOf(error)) };
      port.postMessage(told);
    });
  });
}

/** Opens the login of a ticket where the page stands that has brought it. */
async function open(ticket: string, page: chrome.tabs.Tab, host: Host, signal: AbortSignal): Promise<void> {
  const all = (chrome as { contextualIdentities?: Containers }).contextualIdentities;
  await ready();
  // A login is given once: what can be known to be wrong is, before it is asked for.
  await inContainers(all?.query({}));
  const { url, container } = await host.ask({ name: "take-login", ticket }, { signal }).catch((error: unknown) => {
    throw troubleOf(error).code === "not-found" ? new TroubleError(local("login-over")) : error;
  });
  if (!is_console_login(url)) throw new TroubleError(local("login-odd"));
  const [first] = await inContainers(all?.query({ name: container }));
  const { cookieStoreId } = first ?? (await inContainers(all?.create({ name: container, ...look(container) })));
  const made = { url, cookieStoreId, windowId: page.windowId, index: page.index + 1, active: true };
  await inContainers(chrome.tabs.create(made));
  if (page.id !== undefined) await chrome.tabs.remove(page.id);
}

/** What the browser does with containers, where it has them and does not refuse. */
async function inContainers<T>(done: Promise<T> | undefined): Promise<T> {
  const result = await done?.catch(() => undefined);
  if (result === undefined) throw new TroubleError(local("no-containers"));
  return result;
}
