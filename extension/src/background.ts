// The entry of the background: what arrives goes to the module that it is for.

import { serveLogin } from "./containers.js";
import { checkEnroller, serveEnrolment } from "./enrolment.js";
import { checkSender, fillByShortcut, forgetLogin, noteLogin, putScripts, serveField, watchAllowedHosts, watchOpenTabs } from "./fields.js";
import { Host } from "./host.js";
import type { ChipAsk, LoginNote } from "./internal.js";
import { makeMenu, useMenu } from "./menu.js";
import { servePage } from "./pages.js";

const host = new Host();

// Scripts in pages have no use for what is stored; whoever takes over a page's process has none either.
void chrome.storage.local.setAccessLevel?.({ accessLevel: "TRUSTED_CONTEXTS" });

chrome.runtime.onConnect.addListener((port) => {
  if (port.sender?.id !== chrome.runtime.id) return port.disconnect();
  if (port.name === "popup") servePage(port, host);
  else if (port.name === "field") serveField(port, host);
  else if (port.name === "enrol") serveEnrolment(port, host);
  else if (port.name === "login") serveLogin(port, host);
  else port.disconnect();
});

chrome.runtime.onMessage.addListener((message: ChipAsk | LoginNote, sender) => {
  if (sender.id !== chrome.runtime.id) return;
  if (message.ask === "watch") void putWatchers(sender);
  else if (message.ask === "chip") void checkSender(sender).then((frame) => frame && putScripts(frame, ["page.js", "chip.js", "fill.js"]));
  else if (message.ask === "enrol") void checkEnroller(sender).then((frame) => frame && putScripts(frame, ["page.js", "chip.js", "pictures.js", "enrol.js"]));
  else if (message.ask === "login") void checkSender(sender).then((frame) => frame && noteLogin(frame, message));
});

/** Sign-in pages are watched for both; others only for enrolments. */
async function putWatchers(sender: chrome.runtime.MessageSender): Promise<void> {
  const enrolment = ["generated/enrolment.js", "watch_enrol.js"];
  const frame = await checkSender(sender);
  if (frame) return putScripts(frame, ["generated/sign_in.js", ...enrolment, "watch.js"]);
  const enroller = await checkEnroller(sender);
  if (enroller) await putScripts(enroller, enrolment);
}

chrome.tabs.onRemoved.addListener((tab) => void forgetLogin(tab));

chrome.commands.onCommand.addListener((command, tab) => {
  if (command === "fill") void fillByShortcut(tab);
});

chrome.contextMenus.onClicked.addListener(useMenu);

chrome.runtime.onInstalled.addListener(({ reason }) => {
  void watchAllowedHosts();
  void watchOpenTabs();
  void makeMenu();
  if (reason === "install") void chrome.tabs.create({ url: chrome.runtime.getURL("welcome.html") });
});
chrome.permissions.onAdded.addListener(({ origins }) => {
  void watchAllowedHosts();
  void watchOpenTabs(origins);
});
chrome.permissions.onRemoved.addListener(() => void watchAllowedHosts());
