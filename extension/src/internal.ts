// What the extension's own parts say to each other, over ports of `chrome.runtime`. Types only.

import type { Answer, ErrorCode, Event, Failure, Op } from "./generated/message.js";

/** Failures that the host cannot report: it is the one that is missing, or they are only seen here. */
export type LocalCode =
  | "no-host"
  | "host-forbidden"
  | "host-stale"
  | "host-crashed"
  | "host-timeout"
  | "host-old"
  | "extension-old"
  | "bad-page"
  | "code-expired";

/** A failure as people see it: from the host, or about it. */
export type Trouble = Omit<Failure, "code"> & { code: ErrorCode | LocalCode };

/** Names of the ports. */
export type PortName = "field" | "popup";

/** An account that may belong into the page's field. */
export interface Candidate {
  /** Its full name on the key. */
  name: string;
  /** What to show: the device or user. */
  label: string;
  /** What to show beside it: the AWS account. */
  detail: string;
  /** Whether its code is known to want a touch. */
  touch: boolean;
}

/** A field that may be for an MFA code. */
export interface Found {
  field: HTMLInputElement;
  /** Whether it is certainly for an MFA code, not for any one-time code. */
  certain: boolean;
}

/** What a look at the page gave. */
export interface Look {
  /** The visible field with the best evidence. */
  found: Found | undefined;
}

/** How the chip looks. */
export type ChipState = "idle" | "choose" | "busy" | "touch" | "done" | "trouble";

/** What the chip shows. Commands stand in backticks. */
export interface ChipView {
  state: ChipState;
  text: string;
  detail?: string | undefined;
  /** What the person's click on it does. Without, it only tells something. */
  act?: ((event: MouseEvent) => void) | undefined;
  /** What stands below: a list, inputs, more buttons (`Chip.button`). */
  body?: HTMLElement[] | undefined;
}

export interface ChipOptions {
  /** The person has closed it. Whoever made the chip removes it. */
  dismissed(): void;
  /** A click did not count, for this reason (in the person's language): the chip was covered. */
  refused?: (because: string) => void;
}

/** The chip in a page (chip.ts). */
export interface Chip {
  readonly host: HTMLElement;
  show(view: ChipView): void;
  /** Beside the anchor, where it fits; again and again, for pages move. Without one, beside the last. */
  place(anchor?: Element): void;
  remove(): void;
  /** Whether the person sees it, there (in the window's CSS pixels) or in its middle, and has for a while. */
  isSeen(at?: { x: number; y: number }): boolean;
  /** Calls `act` on the person's click on a chip that is seen, and on no other. The focus stays where it is. */
  button(name: string, text: string, act: (event: MouseEvent) => void): HTMLButtonElement;
  /** Gives its first button the keyboard's focus. */
  focus(): void;
}

/** What chip.ts has for the scripts that use it. */
export interface ChipKit {
  create(options: ChipOptions): Chip;
  element<K extends keyof HTMLElementTagNameMap>(tag: K, text?: string, name?: string): HTMLElementTagNameMap[K];
  prose(tag: "b" | "small", text: string): HTMLElement;
  /** A text of `_locales`. */
  t(key: string, ...args: (string | number)[]): string;
  /** Least opacity of what a person can be said to see. */
  readonly MIN_OPACITY: number;
}

/** From a content script that has found a field: the chip's script is wanted in its frame. */
export interface ChipAsk {
  ask: "chip";
}

/**
 * From a content script. `n` is the asker's own number, repeated in every answer. Whatever it says takes an earlier
 * question back.
 */
export type FieldAsk =
  | { n: number; ask: "candidates"; ancestors: string[] }
  /** `waited`: a former answer was `next-step`; the next one is not. */
  | { n: number; ask: "code"; account: string; waited: boolean; ancestors: string[] }
  /** The code that answered question `n` is in the field: AWS will take it once. */
  | { n: number; ask: "filled" }
  /** The answer is not wanted any more. */
  | { n: number; ask: "stop" };

/** To a content script. */
export type FieldTell =
  | { n: number; tell: "candidates"; candidates: Candidate[]; software: boolean }
  | { n: number; tell: "touch" }
  /** Something else has to come first; for what, in the host's words. */
  | { n: number; tell: "waiting"; why: string }
  /** Little is left of this step: to be asked again in so many seconds, if it is still wanted. */
  | { n: number; tell: "next-step"; seconds: number }
  | { n: number; tell: "code"; value: string }
  | { n: number; tell: "trouble"; trouble: Trouble };

/** To the content scripts of a tab, by `tabs.sendMessage`: the person pressed the shortcut. */
export interface FillCommand {
  command: "fill";
}

/** What the popup may ask the host. */
export type PopupOp = Extract<
  Op,
  { name: "hello" | "keys" | "accounts" | "code" | "identities" | "presign" | "unlock" | "lock" }
>;

/** From the popup. */
export interface PopupAsk {
  n: number;
  op: PopupOp;
  key?: string;
}

/** To the popup. */
export type PopupTell =
  | { n: number; tell: "event"; event: Event }
  | { n: number; tell: "answer"; answer: Answer }
  | { n: number; tell: "trouble"; trouble: Trouble };
