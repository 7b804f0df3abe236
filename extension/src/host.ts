// The one port to the native host. Requests are matched to replies by a random id; whatever else arrives is dropped.

import { VERSION, type Answer, type Event, type Op, type Reply } from "./generated/message.js";
import type { Trouble } from "./internal.js";

const HOST_NAME = "dev.keyfob.host";

/**
 * How long the host may take, in ms: longer than it gives itself, so that what it says comes first. It waits 3 s for a
 * key that another program holds and 20 s for it to be let go, and 30 s for each response. A touch may queue behind
 * another.
 */
const TIMEOUT = { hello: 5_000, default: 60_000, touch: 90_000 };

/** After so long without a request, in ms, the port is closed: a host that holds the key itself then forgets its password. */
const IDLE = 5 * 60_000;

/** So long, in ms, an answer may take before a touch that is only perhaps waited for is worth showing. */
const MAYBE = 700;

type Unknown = Record<string, unknown>;
const isObject = (value: unknown): value is Unknown => typeof value === "object" && value !== null;
const isText = (value: unknown) => typeof value === "string";
const isList = (value: unknown, each: (item: unknown) => boolean) => Array.isArray(value) && value.every(each);
const isKey = (value: unknown) => isObject(value) && isText(value["id"]) && isText(value["label"]);
const isCode = (value: unknown) => isObject(value) && /^[0-9]{5,8}$/.test(String(value["value"]));
const isAccount = (value: unknown) =>
  isObject(value) && isText(value["name"]) && (value["code"] === undefined || isCode(value["code"]));
const isIdentity = (value: unknown) => isObject(value) && isText(value["access_key_id"]);

/** The answer to each operation: its name, and whether it has what is going to be used. */
const ANSWERS = {
  hello: { name: "hello", fits: ({ version, protocol }) => isText(version) && typeof protocol === "number" },
  keys: { name: "keys", fits: ({ keys }) => isList(keys, isKey) },
  accounts: { name: "accounts", fits: ({ key, accounts }) => isKey(key) && isList(accounts, isAccount) },
  code: { name: "code", fits: ({ code }) => isCode(code) },
  identities: { name: "identities", fits: ({ key, identities }) => isKey(key) && isList(identities, isIdentity) },
  presign: { name: "presigned", fits: ({ url, expires_at }) => isText(url) && typeof expires_at === "number" },
  unlock: { name: "unlocked", fits: () => true },
  lock: { name: "locked", fits: () => true },
  submitted: { name: "noted", fits: () => true },
} as const satisfies Partial<Record<Op["name"], { name: Answer["name"]; fits: (answer: Unknown) => boolean }>>;

/** The operations that the extension uses. */
export type Asked = keyof typeof ANSWERS;

type OpNamed<N extends Asked> = Extract<Op, { name: N }>;

/** The answer to an operation. */
export type AnswerTo<N extends Asked> = Extract<Answer, { name: (typeof ANSWERS)[N]["name"] }>;

/** A failure on its way to the person. */
export class TroubleError extends Error {
  constructor(readonly trouble: Trouble) {
    super(trouble.message);
  }
}

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
  readonly #pending = new Map<string, Pending>();
  #idle: ReturnType<typeof setTimeout> | undefined;

  /** Asks, starting the host where none runs. Throws `TroubleError` and nothing else. */
  async ask<N extends Asked>(op: OpNamed<N>, options: AskOptions = {}): Promise<AnswerTo<N>> {
    const port = this.#connect();
    await this.#greeting;
    if (options.signal?.aborted) throw new TroubleError(withdrawn());
    return (await this.#send(port, op, options)) as AnswerTo<N>;
  }

  #connect(): chrome.runtime.Port {
    clearTimeout(this.#idle);
    if (this.#port) return this.#port;
    const port = chrome.runtime.connectNative(HOST_NAME);
    this.#port = port;
    port.onMessage.addListener((message: unknown) => this.#receive(message));
    port.onDisconnect.addListener(() => this.#lost(port));
    this.#greeting = this.#send(port, { name: "hello" }).then((answer) => {
      if (answer.name !== "hello") throw new TroubleError(nonsense());
      if (answer.protocol === VERSION) return;
      const trouble: Trouble = {
        code: "host-version",
        message: `The Keyfob program (${answer.version}) and the extension do not speak the same version`,
        hint: "Update both, then reload the extension.",
      };
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
        : op.name === "code" || op.name === "presign" ? TIMEOUT.touch
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
        this.#take(id)?.reject(new TroubleError(message.error));
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
        pending.reject(new TroubleError(message.error));
        break;
    }
  }

  #timedOut(id: string, name: Asked): void {
    this.#withdraw(id, {
      code: "host-timeout",
      message: "The Keyfob program did not answer in time",
      hint: "Try again. If it goes on, run `keyfob browser status` in a terminal.",
    });
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

function isAnswer(answer: Answer, to: Asked): boolean {
  const { name, fits }: { name: string; fits: (answer: Unknown) => boolean } = ANSWERS[to];
  return answer.name === name && fits(answer as Unknown);
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

/** Browsers tell why a port closed in words of their own only. */
function disconnected(reason: string): Trouble {
  if (/not found|no such native application/i.test(reason)) {
    return {
      code: "no-host",
      message: "The Keyfob program is not installed for this browser",
      hint: "Install keyfob, run `keyfob browser install` in a terminal, and try again.",
    };
  }
  if (/forbidden|not allowed/i.test(reason)) {
    return {
      code: "no-host",
      message: "The Keyfob program is installed for another extension",
      hint: "Run `keyfob browser install` in a terminal (with `--dev` for a development build), and try again.",
    };
  }
  return crashed();
}

function crashed(): Trouble {
  return {
    code: "host-crashed",
    message: "The Keyfob program ended unexpectedly",
    hint: "Try again. If it goes on, run `keyfob browser status` in a terminal.",
  };
}

/** Nobody sees it: whoever asked has gone. */
function withdrawn(): Trouble {
  return { code: "cancelled", message: "Nobody waits for that answer any more" };
}

export function nonsense(): Trouble {
  return {
    code: "bad-answer",
    message: "The Keyfob program answered something else than was asked",
    hint: "Update keyfob and the extension to one version.",
  };
}
