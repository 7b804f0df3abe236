// The one port to the native host. Requests are matched to replies by a random id; whatever else arrives is dropped.

import { VERSION, type Answer, type Event, type Failure, type Op, type Reply } from "./generated/message.js";
import type { Trouble } from "./internal.js";
import { local, TroubleError } from "./trouble.js";

const HOST_NAME = "dev.keyfob.host";

/**
 * How long the host may take, in ms: longer than it gives itself, so that what it says comes first. It waits 3 s for a
 * key that another program holds and 20 s for it to be let go, and 30 s for each response. A touch may queue behind
 * another.
 */
const TIMEOUT = { hello: 5_000, default: 60_000, touch: 90_000 };

/** After so long without a request, in ms, the port is closed: a host that holds the key itself then forgets its password. */
const IDLE = 5 * 60_000;

/** Refusals that the host's configuration may be to blame for. */
const CONFIGURED = new Set<unknown>(["ambiguous", "forbidden", "invalid-input", "no-key", "no-pcsc"]);

/** So long, in ms, an answer may take before a touch that is only perhaps waited for is worth showing. */
const MAYBE = 700;

/** Longer texts, in characters, and longer lists are no answer: a link has a few thousand, a key has 64 accounts. */
const MAX_TEXT = 32_768;
const MAX_ITEMS = 1_000;

type Unknown = Record<string, unknown>;
type Fits = (value: unknown) => boolean;
const isObject = (value: unknown): value is Unknown => typeof value === "object" && value !== null;
const isText = (value: unknown): value is string => typeof value === "string" && value.length <= MAX_TEXT;
const isNumber = (value: unknown) => typeof value === "number" && Number.isFinite(value);
const isFlag = (value: unknown) => typeof value === "boolean";
const isList = (value: unknown, each: Fits) =>
  Array.isArray(value) && value.length <= MAX_ITEMS && value.every(each);
const maybe = (value: unknown, fits: Fits) => value === undefined || fits(value);
const isKey = (value: unknown) =>
  isObject(value) && isText(value["id"]) && isText(value["label"]) && isText(value["kind"]) && isFlag(value["locked"]);
/** Digits, or Steam's five characters: of accounts that the person has allowed. */
const CODE = /^[0-9]{6,8}$|^[2-9BCDFGHJKMNPQRTVWXY]{5}$/;
const isCode = (value: unknown) =>
  isObject(value) && isText(value["value"]) && CODE.test(value["value"]) &&
  maybe(value["valid_from"], isNumber) && maybe(value["valid_until"], isNumber) && maybe(value["submitted"], isFlag);
const isLogin = (value: unknown) => isObject(value) && isText(value["device"]) && maybe(value["account"], isText);
const isAccount = (value: unknown) =>
  isObject(value) && isText(value["name"]) && isNumber(value["period"]) && maybe(value["issuer"], isText) &&
  maybe(value["touch"], isFlag) && maybe(value["aws"], isLogin) && maybe(value["code"], isCode);
const isIdentity = (value: unknown) => isObject(value) && isText(value["access_key_id"]);

/**
 * The operations that the extension uses: the name of the answer, and whether it has what is going to be used; whether the
 * key may want a touch; whether it may be asked again when its answer was lost.
 */
const OPS = {
  hello: { answer: "hello", fits: ({ version, protocol }) => isText(version) && isNumber(protocol), again: true },
  keys: { answer: "keys", fits: ({ keys }) => isList(keys, isKey), again: true },
  accounts: { answer: "accounts", fits: ({ key, accounts }) => isKey(key) && isList(accounts, isAccount), again: true },
  code: { answer: "code", fits: ({ code }) => isCode(code), touch: true, again: true },
  identities: {
    answer: "identities",
    fits: ({ key, identities }) => isKey(key) && isList(identities, isIdentity),
    again: true,
  },
  presign: {
    answer: "presigned",
    fits: ({ url, expires_at }) => isText(url) && isNumber(expires_at),
    touch: true,
    again: true,
  },
  "presign-many": {
    answer: "presigned-many",
    fits: ({ urls, expires_at }) => isList(urls, isText) && isNumber(expires_at),
    touch: true,
    again: true,
  },
  "check-link": {
    answer: "link-checked",
    fits: ({ status, bytes, content_type: type }) => isNumber(status) && maybe(bytes, isNumber) && maybe(type, isText),
    again: true,
  },
  "add-account": { answer: "written", fits: ({ written, replaced }) => isText(written) && isFlag(replaced) },
  "confirm-account": { answer: "confirmed", fits: ({ codes }) => isList(codes, isCode), touch: true, again: true },
  "delete-account": { answer: "deleted", fits: ({ deleted }) => isText(deleted), touch: true },
  "rename-account": { answer: "written", fits: ({ written }) => isText(written), touch: true },
  unlock: { answer: "unlocked", fits: () => true, again: true },
  lock: { answer: "locked", fits: () => true, again: true },
  // It is given once.
  "take-login": { answer: "login", fits: ({ url, container }) => isText(url) && isText(container) },
  submitted: { answer: "noted", fits: () => true, again: true },
} as const satisfies Partial<Record<Op["name"], Rules>>;

interface Rules {
  answer: Answer["name"];
  fits: (answer: Unknown) => boolean;
  touch?: true;
  again?: true;
}

/** The operations that the extension uses. */
export type Asked = keyof typeof OPS;

type OpNamed<N extends Asked> = Extract<Op, { name: N }>;

/** The answer to an operation. */
export type AnswerTo<N extends Asked> = Extract<Answer, { name: (typeof OPS)[N]["answer"] }>;

interface Pending {
  name: Asked;
  resolve(answer: Answer): void;
  reject(error: TroubleError): void;
  onEvent(event: Event): void;
  restartTimer(): void;
  stopTimer(): void;
}

export interface AskOptions {
  key?: string | undefined;
  onEvent?: (event: Event) => void;
  /** Aborted when nobody waits for the answer any more: the host is told so, and what it still says is dropped. */
  signal?: AbortSignal;
}

export class Host {
  #port: chrome.runtime.Port | undefined;
  #greeting: Promise<unknown> | undefined;
  /** The host's, once it has said. */
  #version = "?";
  readonly #pending = new Map<string, Pending>();
  #idle: ReturnType<typeof setTimeout> | undefined;

  /**
   * Asks, starting the host where none runs, and once more where a running one has gone away and no harm can come of it.
   * Throws `TroubleError` and nothing else.
   */
  async ask<N extends Asked>(op: OpNamed<N>, options: AskOptions = {}): Promise<AnswerTo<N>> {
    const ran = this.#port !== undefined;
    let told = false;
    const onEvent = (event: Event) => {
      told = true;
      options.onEvent?.(event);
    };
    const rules: Rules = OPS[(op as OpNamed<Asked>).name];
    try {
      return await this.#askOnce(op, { ...options, onEvent });
    } catch (error) {
      const lost = error instanceof TroubleError && error.trouble.code === "host-crashed";
      // What the person has seen the key wait for does not begin anew by itself.
      if (!lost || !ran || told || !rules.again || options.signal?.aborted) throw error;
      return await this.#askOnce(op, options);
    }
  }

  async #askOnce<N extends Asked>(op: OpNamed<N>, options: AskOptions): Promise<AnswerTo<N>> {
    const port = this.#connect();
    await this.#greeting;
    if (options.signal?.aborted) throw new TroubleError(withdrawn());
    return (await this.#send(port, op, options)) as AnswerTo<N>;
  }

  #connect(): chrome.runtime.Port {
    clearTimeout(this.#idle);
    if (this.#port) return this.#port;
    const port = open();
    this.#port = port;
    this.#version = "?";
    port.onMessage.addListener((message: unknown) => this.#receive(message));
    port.onDisconnect.addListener(() => this.#lost(port));
    this.#greeting = this.#send(port, { name: "hello" }).then((answer) => {
      if (answer.name !== "hello") throw new TroubleError(nonsense());
      this.#version = answer.version.slice(0, 32);
      if (answer.protocol === VERSION) return;
      const trouble = local(answer.protocol < VERSION ? "host-old" : "extension-old", this.#version);
      this.#close(trouble);
      throw new TroubleError(trouble);
    });
    // Whoever asked sees the failure; nobody may have asked yet.
    this.#greeting.catch(() => undefined);
    return port;
  }

  /** Its answer has the name that belongs to the operation. */
  #send(port: chrome.runtime.Port, op: OpNamed<Asked>, options: AskOptions = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#port !== port) {
        reject(new TroubleError(crashed()));
        return;
      }
      const id = crypto.randomUUID();
      const limit =
        op.name === "hello" ? TIMEOUT.hello
        : "touch" in OPS[op.name] ? TIMEOUT.touch
        : TIMEOUT.default;
      let timer: ReturnType<typeof setTimeout>;
      const pending: Pending = {
        name: op.name,
        resolve,
        reject,
        onEvent: options.onEvent ?? (() => undefined),
        restartTimer: () => {
          clearTimeout(timer);
          timer = setTimeout(() => this.#timedOut(id, op.name), limit);
        },
        stopTimer: () => clearTimeout(timer),
      };
      clearTimeout(this.#idle);
      pending.restartTimer();
      this.#pending.set(id, pending);
      options.signal?.addEventListener("abort", () => this.#withdraw(id, withdrawn()), { once: true });
      try {
        port.postMessage({ v: VERSION, id, op, ...(options.key === undefined ? {} : { key: options.key }) });
      } catch {
        this.#take(id);
        reject(new TroubleError(crashed()));
      }
    });
  }

  /** Removes a request, so that whatever still comes for it is dropped. */
  #take(id: string): Pending | undefined {
    const pending = this.#pending.get(id);
    pending?.stopTimer();
    this.#pending.delete(id);
    if (this.#pending.size === 0) {
      clearTimeout(this.#idle);
      this.#idle = setTimeout(() => this.#close(crashed()), IDLE);
    }
    return pending;
  }

  /** Takes a request back that is still open. Its answer, and that to this, come for nobody. */
  #withdraw(id: string, trouble: Trouble): void {
    const pending = this.#take(id);
    if (!pending) return;
    try {
      const op: Op = { name: "cancel", request: id };
      this.#port?.postMessage({ v: VERSION, id: crypto.randomUUID(), op });
    } catch {
      // The host has gone, and the request with it.
    }
    pending.reject(new TroubleError(trouble));
  }

  #receive(message: unknown): void {
    if (!isReply(message)) return;
    const pending = this.#pending.get(message.id);
    if (!pending) {
      // A request that could not even be read has no id: it is the only one waiting, or the timeout tells.
      const [id, ...others] = this.#pending.keys();
      if (message.type === "failed" && message.id === "" && id !== undefined && others.length === 0) {
        this.#take(id)?.reject(new TroubleError(this.#failure(message.error)));
      }
      return;
    }
    switch (message.type) {
      case "event":
        pending.restartTimer();
        if (message.event.name === "touch-required" && message.event.maybe) {
          setTimeout(() => this.#pending.has(message.id) && pending.onEvent(message.event), MAYBE);
        } else {
          pending.onEvent(message.event);
        }
        break;
      case "done":
        this.#take(message.id);
        if (isAnswer(message.answer, pending.name)) pending.resolve(message.answer);
        else pending.reject(new TroubleError(nonsense()));
        break;
      case "failed":
        this.#take(message.id);
        pending.reject(new TroubleError(this.#failure(message.error)));
        // What the person then changes in the host's configuration is read by the next host alone.
        if (this.#pending.size === 0 && CONFIGURED.has(message.error.code)) this.#close(crashed());
        break;
    }
  }

  /** A failure of the host's, without what it must not have. What it does not understand, it is too old for. */
  #failure({ code, message, hint, candidates, wants }: Failure): Trouble {
    if (code === "bad-request") return local("host-old", this.#version);
    return {
      code,
      message,
      ...(isText(hint) ? { hint } : {}),
      ...(isList(candidates, isText) ? { candidates } : {}),
      ...(isObject(wants) && isText(wants.key) && isText(wants.what) ? { wants: { key: wants.key, what: wants.what } } : {}),
    };
  }

  #timedOut(id: string, name: Asked): void {
    this.#withdraw(id, local("host-timeout"));
    // A host that does not even greet is not one: the next request starts another.
    if (name === "hello") this.#close(crashed());
  }

  #lost(port: chrome.runtime.Port): void {
    const reason = chrome.runtime.lastError?.message ?? (port as { error?: Error }).error?.message ?? "";
    if (this.#port !== port) return;
    this.#forget(disconnected(reason));
  }

  #close(trouble: Trouble): void {
    this.#port?.disconnect();
    this.#forget(trouble);
  }

  #forget(trouble: Trouble): void {
    this.#port = undefined;
    this.#greeting = undefined;
    for (const id of [...this.#pending.keys()]) this.#take(id)?.reject(new TroubleError(trouble));
    clearTimeout(this.#idle);
  }
}

/** Starts the host. Where the extension may not, the browser throws. */
function open(): chrome.runtime.Port {
  try {
    return chrome.runtime.connectNative(HOST_NAME);
  } catch {
    throw new TroubleError(local("host-forbidden"));
  }
}

function isAnswer(answer: Answer, to: Asked): boolean {
  const { answer: name, fits }: Rules = OPS[to];
  return answer.name === name && fits(answer as unknown as Unknown);
}

function isReply(message: unknown): message is Reply {
  if (!isObject(message) || !isText(message["id"])) return false;
  const { type, event, answer, error } = message;
  switch (type) {
    case "event":
      return isObject(event) && (isText(event["prompt"]) || isText(event["why"]));
    case "done":
      return isObject(answer) && isText(answer["name"]);
    case "failed":
      return isObject(error) && isText(error["code"]) && isText(error["message"]);
    default:
      return false;
  }
}

/**
 * Browsers tell why a port closed in words of their own only, which they do not translate: Chromium's in
 * `native_message_process_host.cc`, Firefox's in `NativeMessaging.sys.mjs`. Both say that there is no host where the manifest
 * is there and its program is not.
 */
const DISCONNECTED = [
  [/not found|no such native application/i, "no-host"],
  [/forbidden|not allowed|permission/i, "host-forbidden"],
  [/failed to start|does not exist|not executable/i, "host-stale"],
] as const;

function disconnected(reason: string): Trouble {
  return local(DISCONNECTED.find(([words]) => words.test(reason))?.[1] ?? "host-crashed");
}

const crashed = () => local("host-crashed");

/** Nobody sees it: whoever asked has gone. */
const withdrawn = (): Trouble => ({ code: "cancelled", message: "nobody waits for that answer any more" });

/** An answer that is none to the question. */
export const nonsense = () => local("bad-answer");
