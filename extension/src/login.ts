// The page that Firefox opens for `ext+keyfob:TICKET`, the link of `keyfob login --container`: hands the ticket to the background, which
// opens the login and closes this page. It stays where something is wrong, or where the person has to allow something first.

import type { LoginAsk, LoginTell } from "./internal.js";
import { localise, t } from "./text.js";
import { explain, local, type Explained } from "./trouble.js";
import { byId, prose } from "./ui.js";

/** What tabs in containers take: Firefox counts them as matters of cookies. */
const WANTED = { permissions: ["cookies"] } as const satisfies { permissions: chrome.runtime.ManifestOptionalPermission[] };

/** What the link says; none if it is not of `keyfob login`. Gone from the page's address from now on. */
function ticket(): string | undefined {
  const { hash } = location;
  history.replaceState(null, "", location.pathname);
  return /^#ext(?:\+|%2B)keyfob(?::|%3A)([0-9a-f]{32})$/i.exec(hash)?.[1];
}

function show(state: "opening" | "allow" | "trouble", { title, fix, detail }: Explained): void {
  document.body.dataset["state"] = state;
  prose(byId("title", "h2"), title);
  prose(byId("fix", "p"), fix);
  prose(byId("detail", "p"), detail);
  byId("allow", "button").hidden = state !== "allow";
}

const fail = (why: Explained) => show("trouble", why);

function open(ticket: string): void {
  show("opening", { title: t("login_opening"), fix: "", detail: "" });
  const port = chrome.runtime.connect({ name: "login" });
  let told = false;
  port.onMessage.addListener(({ why }: LoginTell) => {
    told = true;
    fail(why);
    port.disconnect();
  });
  port.onDisconnect.addListener(() => {
    void chrome.runtime.lastError;
    if (!told) fail(explain(local("internal")));
  });
  const asked: LoginAsk = { ticket };
  port.postMessage(asked);
}

async function start(): Promise<void> {
  localise(document);
  const given = ticket();
  if (given === undefined) return fail(explain(local("login-over")));
  if (await chrome.permissions.contains(WANTED)) return open(given);
  show("allow", { title: t("login_allow_title"), fix: t("login_allow_why"), detail: "" });
  const button = byId("allow", "button");
  button.addEventListener("click", () => {
    chrome.permissions.request(WANTED).then(
      (allowed) => (allowed ? open(given) : undefined),
      () => fail(explain(local("no-containers"))),
    );
  });
  button.focus();
}

void start();
