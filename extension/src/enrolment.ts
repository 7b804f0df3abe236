// The background's side of enrolments: what a page shows of a set-up is read here, and saved by way of the host. It keeps nothing
// between two questions; the page's script holds what was read, and asks again when the background was ended.

import { account_in, enrolment_names, enrolment_page, is_enrolment_origin } from "./core.js";
import { checkPage, checkSender, type Frame } from "./fields.js";
import type { AskOptions, Host } from "./host.js";
import type { EnrolAsk, EnrolRefusal, EnrolTell, Picture, Shown, Trouble } from "./internal.js";
import type { Setup, SetupError } from "./keyfob_qr.js";
import { names_for, read_setup, ready as qrReady } from "./qr.js";
import { keyChoices, save, takenOn, type Part, type SaveAsk } from "./save.js";
import { readQr } from "./scan.js";
import { settings } from "./settings.js";
import { t } from "./text.js";
import { explain, local, TroubleError, troubleOf, type Explained } from "./trouble.js";

/** Of what a page shows, so much is read at most. */
const MAX_PICTURES = 6;
const MAX_SECRETS = 4;
/** Nobody has so many keys in one computer, nor so many devices of one name. */
const MAX_PARTS = 16;
const MAX_NAMES = 64;

/** A failure in words. What is done in the popup is not done in a page. */
const explained = (trouble: Trouble): Explained => ({
  ...explain(trouble),
  ...(trouble.code === "locked" ? { fix: t("enrol_locked_fix") } : {}),
});

const isEnrolment = (url: unknown): boolean =>
  typeof url === "string" && URL.canParse(url) && is_enrolment_origin(new URL(url).origin);

/** The frame behind a message, if authenticators are set up on pages of its origin. */
export const checkEnroller = (sender: chrome.runtime.MessageSender): Promise<Frame | undefined> =>
  checkSender(sender, isEnrolment);

class Refused extends Error {
  constructor(
    readonly because: EnrolRefusal,
    readonly issuer?: string,
  ) {
    super(because);
  }
}

/** Serves a content script until it goes. */
export function serveEnrolment(port: chrome.runtime.Port, host: Host): void {
  // The question that is open: one at a time.
  let asking = new AbortController();
  port.onDisconnect.addListener(() => {
    void chrome.runtime.lastError;
    asking.abort();
  });
  port.onMessage.addListener((ask: EnrolAsk) => {
    if (ask.ask === "filled") {
      const op = { name: "submitted", account: ask.account, valid_from: ask.validFrom } as const;
      // The code is in the page all the same, if the host cannot note it.
      host.ask(op, { key: ask.key }).catch(() => undefined);
      return;
    }
    asking.abort();
    asking = new AbortController();
    const { signal } = asking;
    const tell = (message: EnrolTell) => {
      if (!signal.aborted) port.postMessage(message);
    };
    if (ask.ask === "stop") return;
    answer(port, host, ask, tell, signal).catch((error: unknown) => {
      if (error instanceof Refused) {
        const { because, issuer } = error;
        tell({ n: ask.n, tell: "refused", because, ...(issuer === undefined ? {} : { issuer }) });
      } else {
        tell({ n: ask.n, tell: "trouble", why: explained(troubleOf(error)) });
      }
    });
  });
}

async function answer(
  port: chrome.runtime.Port,
  host: Host,
  ask: Extract<EnrolAsk, { ask: "read" | "save" }>,
  tell: (message: EnrolTell) => void,
  signal: AbortSignal,
): Promise<void> {
  const { n } = ask;
  const url = await checkPage(port, ask.ancestors, isEnrolment);
  await qrReady();
  const askHost: SaveAsk = (op, options) => host.ask(op, options as AskOptions);

  if (ask.ask === "save") {
    const { parts, taken, touch } = ask;
    // The same reading as when it was shown.
    const setup = read_setup(ask.setup.uri);
    if (!setup.aws || !areOurs(parts, setup)) throw new TroubleError(local("internal"));
    const onChange = (part: Part) => tell({ n, tell: "part", part });
    const saved = await save(setup, parts, { ask: askHost, freeName: names_for, touch, taken, onChange, signal });
    tell({ n, tell: "saved", parts: saved, why: saved.map(({ trouble }) => (trouble ? explained(trouble) : null)) });
    return;
  }

  const { shown } = ask;
  // The route, which the browser does not say, is good for a guess that the person sees.
  const address = URL.canParse(shown.page) && new URL(shown.page).origin === new URL(url).origin ? shown.page : url;
  const page = enrolment_page(address);
  if (!page) throw new TroubleError(local("bad-page"));
  let setup = await setupIn(shown.pictures);
  // Nobody would find its codes by this name.
  if (setup?.aws && setup.aws.flow !== page.flow) throw new Refused("flow");
  if (!setup) {
    const [secret, ...others] = new Set(shown.secrets.slice(0, MAX_SECRETS));
    if (secret === undefined) throw new Refused("none");
    if (others.length > 0) throw new Refused("several");
    if (!ask.names) {
      const account = page.account ?? account_in(shown.accounts.join("\n")) ?? "";
      const device = shown.device || page.user || "";
      tell({ n, tell: "names", names: { device, account }, wants: { account: page.flow === "iam" } });
      return;
    }
    const names = enrolment_names(address, ask.names.device.trim(), ask.names.account.trim());
    if (!names) throw new Refused("names");
    setup = read_setup(secret, { issuer: names[0], account: names[1] });
  }
  const { key } = await settings();
  const choices = await keyChoices(askHost, key, signal);
  const taken = takenOn(choices);
  const shownChoices = choices.map(({ trouble, ...choice }) => ({ ...choice, ...(trouble ? { why: explained(trouble) } : {}) }));
  tell({ n, tell: "setup", setup, name: names_for(setup.name, taken), choices: shownChoices, taken });
}

/**
 * Whether the page's script may have been told such parts: the account that is set up, under its own name or one that is counted
 * on from it, and each key once.
 */
export function areOurs(parts: Part[], { name }: Setup): boolean {
  if (!Array.isArray(parts) || new Set(parts.map(({ key }) => key)).size !== parts.length || parts.length > MAX_PARTS) return false;
  const names = [name];
  const isOurs = (part: Part) => {
    for (let i = 0; i < MAX_NAMES; i++) {
      if (names[i] === part.name) return true;
      if (i + 1 === names.length) names.push(names_for(name, names));
    }
    return false;
  };
  return parts.every(isOurs);
}

/** What is refused of a set-up, by the reader's word for it. */
const REFUSALS: Record<SetupError["code"], EnrolRefusal> = {
  "not-otpauth": "none",
  "no-account": "none",
  migration: "migration",
  hotp: "hotp",
  invalid: "odd",
};

/** The one AWS account that the pictures set up; none if they have no QR code. Throws `Refused` if they have another. */
async function setupIn(pictures: Shown["pictures"]): Promise<Setup | undefined> {
  const found = new Map<string, Setup>();
  let refused: Refused | undefined;
  for (const text of await textsIn(pictures.slice(0, MAX_PICTURES))) {
    try {
      const setup = read_setup(text);
      if (setup.aws) found.set(setup.uri, setup);
      else refused ??= new Refused("not_aws", (setup.issuer ?? setup.account).slice(0, 64));
    } catch (error) {
      const because = REFUSALS[(error as SetupError).code] ?? "odd";
      if (because !== "none") refused ??= new Refused(because);
    }
  }
  const [setup, ...others] = found.values();
  if (others.length > 0) throw new Refused("several");
  if (!setup && refused) throw refused;
  return setup;
}

async function textsIn(pictures: Picture[]): Promise<string[]> {
  const texts: string[] = [];
  for (const picture of pictures) {
    // A picture that keeps the reader busy for too long is none that can be read.
    texts.push(...(await readQr(picture).catch(() => [])));
  }
  return texts;
}
