// The popup's panel for presigned links. What is shown is read back from what will be signed, by the wasm; no link is stored.

import { ask, type Pending } from "./ask.js";
import { clearTrouble, report } from "./cards.js";
import { parse_console_url, type CoreError } from "./core.js";
import type { PresignPreview } from "./keyfob_links.js";
import { HANDED_OVER, type HandedOver } from "./handover.js";
import { set, settings, type LinkDefaults } from "./settings.js";
import { language, t, tCount, write, type TextKey } from "./text.js";
import { explain, local, TroubleError, troubleOf } from "./trouble.js";
import { byId, copy, part, prose } from "./ui.js";

const form = byId("presign", "form");
const sign = byId("sign", "button");
const method = byId("method", "select");
const expires = byId("expires", "select");
const identity = byId("identity", "select");
const keys = byId("object-keys", "textarea");
const input = (id: string) => byId(id, "input").value;
const now = () => Math.floor(Date.now() / 1000);

/** What makes links, once there is one to be made. */
let wasm: typeof import("./presign.js") | undefined;

async function load(): Promise<void> {
  const presign = await import("./presign.js");
  await presign.ready();
  wasm = presign;
}

/** A time, in seconds of Unix, with the zone that it is in: links are for people elsewhere. */
const when = (unix: number) =>
  new Date(unix * 1000).toLocaleString(language(), {
    year: "numeric", month: "short", day: "numeric", hour: "numeric", minute: "2-digit", timeZoneName: "short",
  });

/** A text in whose placeholders are elements: what others have named is set apart, and never read as anything but text. */
function compose(element: Element, text: (...marks: string[]) => string, ...parts: (string | Node)[]): void {
  // Characters that are nobody's stand in for them.
  const mark = (i: number) => String.fromCodePoint(0xf0000 + i);
  const pieces = text(...parts.map((_, i) => mark(i))).split(/([\u{f0000}-\u{f00ff}])/u);
  const part = (piece: string) => parts[(piece.codePointAt(0) ?? 0) - 0xf0000];
  element.replaceChildren(...pieces.map((piece, i) => (i % 2 === 1 ? (part(piece) ?? "") : piece)));
}

/** What does not show, or turns what follows it round: as in the host. */
const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/gu;

function bold(text: string): HTMLElement {
  const element = document.createElement("b");
  // As the host's prompt shows it; what is signed is what it is.
  element.textContent = text.replace(UNPRINTABLE, "\ufffd");
  // Whatever its letters, it does not turn the sentence round.
  element.dir = "auto";
  return element;
}

// ---- what is chosen

/** What was chosen last, to begin with. */
let chosen: LinkDefaults;
const begun = settings().then(({ link }) => {
  chosen = link;
  method.value = link.method;
  expires.value = String(link.expires);
  if (expires.selectedIndex < 0) expires.value = "3600";
  arrange();
});

/** Shows which identities the key has. */
export async function loadIdentities(): Promise<void> {
  const { identities } = await ask({ name: "identities" }, "identities");
  await begun;
  const before = identity.value || chosen.identity;
  // Links are signed by SigV4 alone.
  const usable = identities.filter(({ signature }) => signature === "SigV4");
  identity.replaceChildren(...usable.map(({ access_key_id: id }) => new Option(id, id, false, id === before)));
  if (usable.length === 0) identity.append(new Option(t("links_no_identity_option"), ""));
  preview();
}

/** Whether there is a list in place of one object. */
const isList = () => !keys.hidden;

/** Shows the fields that have a meaning for what is chosen. */
function arrange(): void {
  const list = isList();
  byId("object-key", "input").hidden = list;
  byId("object-label", "label").hidden = list;
  byId("objects-label", "label").hidden = !list;
  byId("several", "button").textContent = t(list ? "links_one" : "links_several");
  byId("several", "button").setAttribute("aria-expanded", String(list));
  byId("until-row", "p").hidden = expires.value !== "";
  byId("download-name-row", "p").hidden = list || method.value !== "GET";
  byId("content-type-row", "p").hidden = method.value === "HEAD";
  // An upload makes a new one.
  byId("version-row", "p").hidden = list || method.value === "PUT";
}

byId("several", "button").addEventListener("click", () => {
  const one = byId("object-key", "input");
  keys.hidden = !keys.hidden;
  if (isList()) {
    if (keys.value === "" && one.value !== "" && one.value !== folder) keys.value = `${one.value}\n`;
  } else if (one.value === "") {
    one.value = keys.value.split("\n")[0] ?? "";
  }
  changed();
  (isList() ? keys : one).focus();
});

expires.addEventListener("change", () => {
  const until = byId("until", "input");
  if (expires.value !== "") return;
  const spelled = (unix: number) =>
    new Date(unix * 1000 - new Date(unix * 1000).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
  until.min = spelled(now() + 60);
  if (wasm) until.max = spelled(now() + wasm.max_expires());
  if (!(Date.parse(until.value) / 1000 > now())) until.value = spelled(now() + 86_400);
  changed();
});

// ---- what would be signed

/** Why nothing can be signed: as yet, or because something is wrong. */
class Problem extends Error {
  constructor(message: string, readonly wrong = false, readonly faults: string[] = []) {
    super(message);
  }
}

/** What would be signed now. */
interface Wanted {
  /** What it says; of several links the first. */
  says: PresignPreview;
  /** The objects, of a list. */
  keys: string[] | undefined;
  requests: string[];
  dotSegments: boolean;
}

/** Why the console's page that this was opened from gives no bucket and key, if it should. */
let pageProblem: string | undefined;
/** The folder that it shows. */
let folder: string | undefined;

/** How long the link is to work, in seconds. */
function life(at: number, most: number): number {
  if (expires.value !== "") return Number(expires.value);
  // Without a zone it is local time.
  const until = Math.floor(Date.parse(input("until")) / 1000);
  if (Number.isNaN(until)) throw new Problem(t("links_no_time"));
  if (until <= at) throw new Problem(t("links_past"), true);
  if (until - at > most) throw new Problem(t("links_too_late", most / 86_400, when(at + most)), true);
  return until - at;
}

/** Throws a `Problem`, or the wasm's error. */
function current(): Wanted {
  const list = isList() ? keys.value : undefined;
  const key = input("object-key");
  const bucket = input("bucket").trim();
  const region = input("region").trim();
  const endpoint = input("endpoint").trim();
  const empty = list === undefined ? key === "" : list.trim() === "";
  if (pageProblem !== undefined && bucket === "" && empty) throw new Problem(pageProblem, true);
  if (identity.value === "") throw new Problem(t("links_no_identity"));
  if (bucket === "" && empty) throw new Problem(t("links_open_object"));
  const needed = (...what: string[]) =>
    new Problem(t("links_needed", new Intl.ListFormat(language()).format(what)));
  const missing = [
    bucket === "" && list === undefined && t("links_bucket"),
    empty && t(list === undefined ? "links_key" : "links_keys"),
    region === "" && endpoint === "" && t("links_region"),
  ].filter((each) => each !== false);
  if (missing.length > 0) throw needed(...missing);
  if (list === undefined && key === folder) throw new Problem(t("links_folder"));

  if (!wasm) {
    void load().then(preview);
    throw new Problem("");
  }
  const { max_expires, presign_list, presign_preview } = wasm;
  const at = now();
  const given = (row: string, id: string) => (byId(row, "p").hidden ? "" : input(id).trim());
  const versionId = given("version-row", "version-id");
  const downloadName = given("download-name-row", "download-name");
  const contentType = given("content-type-row", "content-type");
  const params = {
    method: method.value,
    bucket,
    region: region || "us-east-1",
    accessKeyId: identity.value,
    expires: life(at, max_expires()),
    at,
    ...(versionId ? { versionId } : {}),
    ...(downloadName ? { downloadName } : {}),
    ...(contentType ? { contentType } : {}),
    ...(endpoint ? { endpoint } : {}),
  };
  if (list === undefined) {
    // Spaces at the end of a key are a part of it.
    const says = presign_preview({ ...params, key });
    return { says, keys: undefined, requests: [says.canonicalRequest], dotSegments: says.dotSegments };
  }
  const read = presign_list(params, list);
  if (read.count > read.most) throw new Problem(t("links_too_many", read.count, read.most), true);
  if (read.faults.length > 0) {
    const faults = read.faults.map(({ line, message }) => t("links_line", line, message));
    throw new Problem(t("links_bad_lines"), true, faults);
  }
  if (!read.first) throw needed(t("links_bucket"));
  return { says: read.first, keys: read.keys, requests: read.canonicalRequests, dotSegments: read.dotSegments };
}

const SENTENCES = { GET: "links_sentence_get", HEAD: "links_sentence_head", PUT: "links_sentence_put" } as const;
const SENTENCES_OF_MANY = { GET: "links_many_get", HEAD: "links_many_head", PUT: "links_many_put" } as const;

/** Shows what is going to be signed, or why nothing can be. */
export function preview(): void {
  const card = byId("preview", "div");
  const sentence = byId("preview-sentence", "p");
  const facts = byId("preview-facts", "ul");
  let wanted: Wanted | undefined;
  let problem = new Problem("");
  try {
    wanted = current();
  } catch (error) {
    problem = error instanceof Problem ? error : wrong(error as CoreError);
  }
  card.toggleAttribute("data-bad", problem.wrong);
  prose(byId("preview-trouble", "p"), problem.message);
  byId("preview-faults", "ul").replaceChildren(...problem.faults.map((fault) => {
    const line = document.createElement("li");
    line.textContent = fault;
    return line;
  }));
  sign.disabled = !wanted || sign.dataset["state"] !== undefined;
  if (!wanted) {
    sentence.replaceChildren();
    facts.replaceChildren();
    return;
  }
  const { says, keys: many, dotSegments } = wanted;
  const verb = says.method as keyof typeof SENTENCES;
  const until = when(says.expiresAt);
  if (many) compose(sentence, (...marks) => tCount(SENTENCES_OF_MANY[verb], many.length, ...marks), bold(says.bucket), until);
  else compose(sentence, (...marks) => t(SENTENCES[verb], ...marks), bold(`${says.bucket}/${says.key}`), until);
  const { versionId, downloadName, contentType } = says;
  const type = verb === "PUT" ? "links_fact_type_put" : "links_fact_type";
  facts.replaceChildren(
    fact("links_fact_host", `${says.scheme}://${says.host}`, says.accessKeyId),
    ...(versionId === undefined ? [] : [fact("links_fact_version", versionId)]),
    ...(downloadName === undefined ? [] : [fact("links_fact_name", downloadName)]),
    ...(contentType === undefined ? [] : [fact(type, contentType)]),
    ...(dotSegments ? [warning("links_fact_dots")] : []),
    ...(says.scheme === "http" ? [warning("links_fact_http")] : []),
    fact("links_fact_limits"),
  );
}

/** A line of a list: a text with what others have named in it. */
function fact(key: TextKey, ...named: string[]): HTMLElement {
  const line = document.createElement("li");
  compose(line, (...marks) => t(key, ...marks), ...named.map(bold));
  return line;
}

function warning(key: TextKey): HTMLElement {
  const line = document.createElement("li");
  write(line, t(key));
  line.dataset["warns"] = "";
  return line;
}

/** What the wasm finds wrong, in the person's language as far as that goes. */
function wrong({ code, message }: CoreError): Problem {
  const { title, detail } = explain({ code, message });
  return new Problem([title, detail].filter(Boolean).join(": "), true);
}

/** A link belongs to what was signed, not to what is being typed. */
function changed(): void {
  clearSigned();
  arrange();
  preview();
}

form.addEventListener("input", changed);
// The time goes on, and with it the end of a link that is not made yet.
setInterval(() => {
  if (!byId("presign-panel", "section").hidden && sign.dataset["state"] === undefined) preview();
}, 15_000);

// ---- signing

/** Aborted when the person waits for the key no more. */
let stopping: AbortController | undefined;

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!sign.disabled) void presign();
});
byId("sign-stop", "button").addEventListener("click", () => stopping?.abort());

async function presign(): Promise<void> {
  const waits = ({ state, text }: Pending) => {
    sign.dataset["state"] = state;
    sign.textContent = text;
  };
  waits({ state: "wait", text: t("links_asking") });
  sign.disabled = true;
  byId("link-fields", "fieldset").disabled = true;
  byId("sign-stop", "button").hidden = false;
  byId("sign-stop", "button").scrollIntoView({ block: "nearest" });
  clearSigned();
  stopping = new AbortController();
  const options = { waits, signal: stopping.signal };
  let finish = () => {};
  try {
    const wanted = current();
    const { says: { scheme }, requests } = wanted;
    if (wanted.keys) {
      const op = { name: "presign-many", canonical_requests: requests, scheme } as const;
      const { urls, expires_at } = await ask(op, "presigned-many", options);
      const { keys } = wanted;
      if (urls.length !== keys.length) throw new TroubleError(local("bad-answer"));
      finish = () => showMany(keys, urls, expires_at);
    } else {
      const op = { name: "presign", canonical_request: wanted.says.canonicalRequest, scheme } as const;
      const { url, expires_at } = await ask(op, "presigned", options);
      finish = () => showOne(wanted.says, url, expires_at);
    }
    clearTrouble();
    await remember();
  } catch (error) {
    // What the person has stopped is nothing to tell them.
    if (!options.signal.aborted) report(error instanceof Problem ? new TroubleError(ranOut(error)) : error);
  }
  delete sign.dataset["state"];
  sign.textContent = t("links_sign");
  byId("link-fields", "fieldset").disabled = false;
  byId("sign-stop", "button").hidden = true;
  preview();
  finish();
}

/** The chosen time was over when the button was pressed. */
const ranOut = ({ message }: Problem) => ({ code: "invalid-input", message }) as const;

/** What was chosen is what the next link begins with; an exact time is for one link. */
async function remember(): Promise<void> {
  chosen = {
    method: method.value as LinkDefaults["method"],
    expires: expires.value === "" ? chosen.expires : Number(expires.value),
    identity: identity.value,
  };
  await set({ link: chosen });
}

// ---- what was signed

const signed = byId("signed", "section");
const url = byId("url", "textarea");
const tested = byId("tested", "p");
let over: ReturnType<typeof setTimeout>;

function clearSigned(): void {
  clearTimeout(over);
  signed.hidden = true;
  signed.removeAttribute("data-over");
  url.value = "";
  byId("curl", "textarea").value = "";
  byId("urls", "ol").replaceChildren();
  hideQr();
  say("", "");
}

function show(title: string, count: number, expiresAt: number): void {
  byId("signed-title", "h2").textContent = title;
  byId("signed-until", "p").textContent = tCount("links_signed_until", count, when(expiresAt));
  over = setTimeout(() => {
    signed.dataset["over"] = "";
    byId("signed-title", "h2").textContent = tCount("links_over_title", count);
    byId("signed-until", "p").textContent = tCount("links_over", count, when(expiresAt));
    say("", "");
  }, expiresAt * 1000 - Date.now());
  signed.hidden = false;
  signed.scrollIntoView({ block: "nearest" });
}

function showOne({ method, key, contentType }: PresignPreview, link: string, expiresAt: number): void {
  byId("signed-one", "div").hidden = false;
  byId("signed-many", "div").hidden = true;
  url.value = link;
  // To try an upload would be to upload.
  byId("test-url", "button").hidden = method === "PUT";
  byId("upload", "div").hidden = method !== "PUT";
  if (method === "PUT") byId("curl", "textarea").value = wasm?.curl_upload(link, contentType, key) ?? "";
  show(t("links_ready"), 1, expiresAt);
  byId("copy-url", "button").focus();
}

function showMany(objects: string[], links: string[], expiresAt: number): void {
  byId("signed-one", "div").hidden = true;
  byId("signed-many", "div").hidden = false;
  byId("urls", "ol").replaceChildren(...objects.map((key, i) => row(key, links[i] ?? "")));
  show(tCount("links_ready_many", links.length), links.length, expiresAt);
  const all = byId("copy-all", "button");
  all.onclick = () => void copy(links.join("\n"), t("links_all_copied"));
  all.focus();
}

function row(key: string, link: string): HTMLElement {
  const item = (byId("link-row", "template").content.cloneNode(true) as DocumentFragment).firstElementChild as HTMLLIElement;
  const name = part(item, "link-name");
  name.textContent = name.title = key;
  const button = part(item, "link-copy");
  button.setAttribute("aria-label", t("links_copy_of", key));
  button.dataset["url"] = link;
  button.addEventListener("click", () => void copy(link, t("links_copied")));
  return item;
}

byId("copy-url", "button").addEventListener("click", () => void copy(url.value, t("links_copied")));
byId("copy-curl", "button").addEventListener("click", () => void copy(byId("curl", "textarea").value, t("links_curl_copied")));

// ---- whether it works

function say(state: "" | "wait" | "good" | "bad", text: string): void {
  tested.dataset["state"] = state;
  prose(tested, text);
}

byId("test-url", "button").addEventListener("click", () => {
  const link = url.value;
  // The answer is about the link that was tried.
  const tell: typeof say = (state, text) => {
    if (url.value === link) say(state, text);
  };
  if (signed.dataset["over"] !== undefined) return tell("bad", t("links_expired"));
  tell("wait", t("links_testing"));
  ask({ name: "check-link", url: link }, "link-checked").then(
    ({ bytes, content_type: type }) => {
      const length = bytes === undefined ? t("links_no_length") : tCount("links_bytes", bytes);
      tell("good", t("links_works", [length, type].filter(Boolean).join(", ")));
    },
    (error: unknown) => {
      const { title, detail, fix } = explain(troubleOf(error));
      tell("bad", [title, detail, fix].filter(Boolean).join(". "));
    },
  );
});

// ---- as a QR code

const figure = byId("qr", "figure");

function hideQr(): void {
  figure.hidden = true;
  figure.replaceChildren();
  byId("qr-url", "button").setAttribute("aria-expanded", "false");
}

byId("qr-url", "button").addEventListener("click", () => {
  if (!figure.hidden) return hideQr();
  void drawQr(url.value);
});

async function drawQr(link: string): Promise<void> {
  const caption = document.createElement("figcaption");
  let drawing: SVGElement | undefined;
  try {
    const qr = await import("./qr.js");
    await qr.ready();
    drawing = svg(qr.draw_qr(link));
    caption.textContent = t("links_qr_note");
  } catch {
    caption.textContent = t("links_qr_long");
  }
  if (url.value !== link) return;
  figure.replaceChildren(...(drawing ? [drawing] : []), caption);
  figure.hidden = false;
  byId("qr-url", "button").setAttribute("aria-expanded", "true");
  figure.scrollIntoView({ block: "nearest" });
}

/** A margin of four modules is a part of the code (ISO/IEC 18004). */
const MARGIN = 4;

function svg({ size, modules }: { size: number; modules: Uint8Array }): SVGElement {
  const make = (name: "svg" | "path") => document.createElementNS("http://www.w3.org/2000/svg", name);
  const drawing = make("svg");
  drawing.setAttribute("viewBox", [-MARGIN, -MARGIN, size + 2 * MARGIN, size + 2 * MARGIN].join(" "));
  drawing.setAttribute("shape-rendering", "crispEdges");
  drawing.setAttribute("role", "img");
  drawing.setAttribute("aria-label", t("links_qr_of"));
  const path = make("path");
  let shape = "";
  modules.forEach((dark, at) => {
    if (dark) shape += `M${at % size} ${Math.floor(at / size)}h1v1h-1z`;
  });
  path.setAttribute("d", shape);
  drawing.append(path);
  return drawing;
}

// ---- where it was opened

/**
 * Takes what there is from the address of a page of the console. Whether this panel is what the person wants there: also
 * where the page is one of S3's and cannot be read, which the panel says.
 */
export function usePage(address: string): boolean {
  try {
    const { kind, bucket, key, region, versionId } = parse_console_url(address);
    pageProblem = kind === "directory" ? t("links_directory") : undefined;
    folder = kind === "prefix" ? key : undefined;
    const known = kind !== "directory";
    byId("bucket", "input").value = known ? bucket : "";
    byId("object-key", "input").value = known ? (key ?? "") : "";
    byId("region", "input").value = region ?? "";
    byId("version-id", "input").value = versionId ?? "";
    byId("link-more", "details").open = versionId !== undefined;
    changed();
    return true;
  } catch (error) {
    const { message } = error as CoreError;
    // On any page that is not S3's the form stays empty, whatever its address is like.
    if (SHOWS_NO_BUCKET.test(message) || !isConsole(address)) return false;
    pageProblem = message;
    return true;
  }
}

/** What the wasm says of a page of the console without a bucket; the error's code is one for all. */
const SHOWS_NO_BUCKET = /shows no bucket/;

/** Whether the page is one of the console, by its host alone. */
function isConsole(address: string): boolean {
  try {
    parse_console_url(new URL(address).origin);
    return true;
  } catch (error) {
    return SHOWS_NO_BUCKET.test((error as Error).message);
  }
}

/** The address that the context menu was opened on (menu.ts): once, and not if that is long ago. */
async function handedOver(): Promise<string | undefined> {
  const { [HANDED_OVER]: found } = (await chrome.storage.session.get(HANDED_OVER)) as { [HANDED_OVER]?: HandedOver };
  if (found === undefined) return undefined;
  await chrome.storage.session.remove(HANDED_OVER);
  return Date.now() - found.at < 60_000 ? found.url : undefined;
}

/** Has `use` told what the context menu was opened on, also where that comes later. Resolves when it was looked for first. */
export async function watchMenu(use: (url: string) => void): Promise<void> {
  const look = async () => {
    const address = await handedOver();
    if (address !== undefined) use(address);
  };
  chrome.storage.session.onChanged.addListener((changes) => {
    if (changes[HANDED_OVER]?.newValue !== undefined) void look();
  });
  await look();
}
