// The popup's panel for presigned links.

import { ask, type Pending } from "./ask.js";
import { clearTrouble, report } from "./cards.js";
import { parse_console_url, presign_preview, type CoreError, type PresignPreview } from "./core.js";
import { t } from "./text.js";
import { byId, copy, moment, prose } from "./ui.js";

const form = byId("presign", "form");
const sign = byId("sign", "button");
const input = (id: string) => byId(id, "input").value;

/** Shows which identities the key has. */
export async function loadIdentities(): Promise<void> {
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
export function preview(): void {
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

byId("copy-url", "button").addEventListener("click", () => void copy(byId("url", "textarea").value, t("links_copied")));

/**
 * Takes what there is from the address of a page of the console. Whether this panel is what the person wants there: also
 * where the page is one of S3's and cannot be read, which the panel says.
 */
export function usePage(url: string): boolean {
  try {
    const { kind, bucket, key, region, versionId } = parse_console_url(url);
    byId("bucket", "input").value = bucket;
    byId("object-key", "input").value = kind === "object" ? (key ?? "") : "";
    byId("region", "input").value = region ?? "";
    byId("version-id", "input").value = versionId ?? "";
    return true;
  } catch (error) {
    const { message } = error as CoreError;
    // On any page that is not S3's the form stays empty, whatever its address is like.
    if (SHOWS_NO_BUCKET.test(message) || !isConsole(url)) return false;
    pageProblem = message;
    return true;
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
