// Failures in the person's own language: the title and what to do by the failure's code, the host's words below.

import type { ErrorCode } from "./generated/message.js";
import type { LocalCode, Trouble } from "./internal.js";
import { language, t, type TextKey } from "./text.js";

/** A failure on its way to the person. */
export class TroubleError extends Error {
  constructor(readonly trouble: Trouble) {
    super(trouble.message);
  }
}

/** Whatever was thrown, as something to show. */
export const troubleOf = (error: unknown): Trouble => (error instanceof TroubleError ? error.trouble : local("internal"));

/** A failure as it is shown. Commands stand in backticks. */
export interface Explained {
  title: string;
  /** What else is known of it, perhaps in English; often empty. */
  detail: string;
  /** What to do next. */
  fix: string;
}

/**
 * What of a failure's own words is shown in place of ours. The host's are English: people who read English get them where
 * they say more (which program holds the key, how to start pcscd), but not where they tell what to do on the command line.
 */
type Better = "nothing" | "message" | "both" | "local";

/** Every code. Failures that are found here are in the person's language from the beginning. */
const CODES: Record<ErrorCode | LocalCode, Better> = {
  "no-key": "nothing",
  ambiguous: "nothing",
  locked: "message",
  "wrong-password": "message",
  "touch-timeout": "nothing",
  // The host says why: people who cancel something themselves see nothing of it.
  cancelled: "message",
  "not-found": "message",
  exists: "message",
  "no-space": "both",
  unsupported: "both",
  "key-removed": "nothing",
  busy: "both",
  "no-pcsc": "both",
  "bad-answer": "both",
  "bad-request": "message",
  "unsupported-version": "nothing",
  forbidden: "both",
  "invalid-input": "both",
  io: "both",
  "aws-refused": "both",
  internal: "both",
  "no-host": "local",
  "host-forbidden": "local",
  "host-stale": "local",
  "host-crashed": "local",
  "host-timeout": "local",
  "host-old": "local",
  "extension-old": "local",
  "bad-page": "local",
  "code-expired": "local",
  "login-over": "local",
  "login-odd": "local",
  "no-containers": "local",
};

/** A newer host may know codes that are not in the table. */
const better = (code: string): Better => (Object.hasOwn(CODES, code) ? CODES[code as keyof typeof CODES] : "both");

const key = (code: string, part: "title" | "fix"): TextKey =>
  `error_${(Object.hasOwn(CODES, code) ? code : "internal").replaceAll("-", "_")}_${part}`;

/** The host's sentences begin small. */
const sentence = (text = "") => text.charAt(0).toUpperCase() + text.slice(1);

/** The command that tells browsers where the program is. An extension that was not built for a store has its id by its key. */
export const REGISTER = `keyfob browser install${chrome.runtime.getManifest().key === undefined ? "" : " --dev"}`;

/** What to do, by our own table. */
const fixOf = (code: string) => t(key(code, "fix"), REGISTER);

/** A failure that is found here; `args` are for its title. */
export function local(code: LocalCode | "bad-answer" | "internal", ...args: string[]): Trouble {
  return { code, message: t(key(code, "title"), ...args), hint: fixOf(code) };
}

/** What to show of a failure. */
export function explain({ code, message, hint, candidates, wants }: Trouble): Explained {
  const words = better(code);
  const own = words === "local" || language().startsWith("en") ? words : "nothing";
  const title = own === "nothing" ? t(key(code, "title")) : sentence(message);
  const fix = (own === "both" || own === "local") && hint ? sentence(hint) : fixOf(code);
  const rest = [message, words === "both" ? hint : "", wants?.what, candidates?.join(", ")].map(sentence);
  return { title, detail: rest.filter((each) => each && each !== title && each !== fix).join(". "), fix };
}
