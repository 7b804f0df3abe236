// "Share with Keyfob…" in the context menu of the S3 console's pages, and of links to them anywhere.

import { console_patterns, ready } from "./core.js";
import { HANDED_OVER, type HandedOver } from "./handover.js";
import { t } from "./text.js";

const PAGE = "share-page";
const LINK = "share-link";

/** Puts the entries there, in place of those of a former version. Browsers keep them. */
export async function makeMenu(): Promise<void> {
  await ready();
  const patterns = console_patterns();
  const title = t("links_menu");
  await chrome.contextMenus.removeAll();
  chrome.contextMenus.create({ id: PAGE, title, contexts: ["page", "selection"], documentUrlPatterns: patterns });
  chrome.contextMenus.create({ id: LINK, title, contexts: ["link"], targetUrlPatterns: patterns });
}

/**
 * Opens the popup with what the entry was chosen on. Nothing is waited for before it: Firefox opens one only while it handles
 * the person's click.
 */
export function useMenu({ menuItemId, linkUrl, pageUrl }: chrome.contextMenus.OnClickData, tab?: chrome.tabs.Tab): void {
  const url = menuItemId === LINK ? linkUrl : menuItemId === PAGE ? pageUrl : undefined;
  if (url === undefined) return;
  const handed: HandedOver = { url, at: Date.now() };
  void chrome.storage.session.set({ [HANDED_OVER]: handed });
  const window = tab?.windowId === undefined ? {} : { windowId: tab.windowId };
  // Chromium has it from 127 on, and refuses it where no window of its own has the focus.
  const opened = chrome.action.openPopup?.(window) ?? Promise.reject(new Error("no popup"));
  opened.catch(() =>
    chrome.windows.create({ type: "popup", url: chrome.runtime.getURL("popup.html"), width: 400, height: 720 }),
  );
}
