// The pages' side of the port to the background, and through it to the host.

import type { Answer, Event } from "./generated/message.js";
import type { PopupAsk, PopupOp, PopupTell } from "./internal.js";
import { t } from "./text.js";
import { local, TroubleError } from "./trouble.js";
import { prompt } from "./ui.js";

interface Waiting {
  resolve(answer: Answer): void;
  reject(error: TroubleError): void;
  onEvent(event: Event): void;
}

const waiting = new Map<number, Waiting>();
let port: chrome.runtime.Port | undefined;
let lastNumber = 0;
/** The key that was chosen here; undefined for the host's choice. */
let chosen: string | undefined;

/** The key that is asked where no other is named. */
export const chosenKey = () => chosen;

/** From now on this key is asked; undefined for the host's choice. */
export function chooseKey(key: string | undefined): void {
  chosen = key;
}

function connect(): chrome.runtime.Port {
  const made = chrome.runtime.connect({ name: "popup" });
  made.onMessage.addListener((tell: PopupTell) => {
    const asker = waiting.get(tell.n);
    if (tell.tell === "event") {
      asker?.onEvent(tell.event);
      return;
    }
    waiting.delete(tell.n);
    if (tell.tell === "answer") asker?.resolve(tell.answer);
    else asker?.reject(new TroubleError(tell.trouble));
  });
  made.onDisconnect.addListener(() => {
    port = undefined;
    for (const asker of waiting.values()) asker.reject(new TroubleError(local("host-crashed")));
    waiting.clear();
  });
  return made;
}

/** What a question waits for: a row's or a button's state, and what it says. */
export type Pending = { state: "wait" | "touch"; text: string };

/** How to ask. */
export interface AskOptions {
  /** Which key, if not the one that was chosen. */
  key?: string | undefined;
  /** Is told, in short, what the question waits for. */
  waits?: (pending: Pending) => void;
  /** Is told what the host says while it waits. */
  onEvent?: (event: Event) => void;
  /** Aborted when nobody waits for the answer any more. The failure is `cancelled` then. */
  signal?: AbortSignal | undefined;
}

/**
 * Asks the host. What a touch will do, or what else is waited for, is shown as long as it lasts. Throws `TroubleError`.
 */
export async function ask<N extends Answer["name"]>(
  op: PopupOp,
  expected: N,
  { key = chosen, waits = () => undefined, onEvent = () => undefined, signal }: AskOptions = {},
): Promise<Extract<Answer, { name: N }>> {
  const n = ++lastNumber;
  const stop = () => port?.postMessage({ n, stop: true } satisfies PopupAsk);
  try {
    if (signal?.aborted) throw new TroubleError({ code: "cancelled", message: t("error_cancelled_title") });
    signal?.addEventListener("abort", stop, { once: true });
    const answer = await new Promise<Answer>((resolve, reject) => {
      const told = (event: Event) => {
        const touch = event.name === "touch-required";
        prompt(n, touch ? event.prompt : t("codes_waiting_for", event.why));
        waits(touch ? { state: "touch", text: t("codes_touch_now") } : { state: "wait", text: t("codes_waiting") });
        onEvent(event);
      };
      waiting.set(n, { resolve, reject, onEvent: told });
      port ??= connect();
      // `keys` is answered by every card and the software key that is configured: the choice is between them.
      port.postMessage({ n, op, ...(op.name === "keys" || key === undefined ? {} : { key }) } satisfies PopupAsk);
    });
    if (answer.name !== expected) throw new TroubleError(local("bad-answer"));
    return answer as Extract<Answer, { name: N }>;
  } finally {
    signal?.removeEventListener("abort", stop);
    prompt(n, undefined);
  }
}
