// What the extension's own parts say to each other, over ports of `chrome.runtime`. Types only.

import type { Answer, ErrorCode, Event, Failure, Op } from "./generated/message.js";
import type { Setup } from "./keyfob_qr.js";
import type { PAGE_OPS } from "./pages.js";
import type { KeyChoice, Part } from "./save.js";
import type { Explained } from "./trouble.js";

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
  | "code-expired"
  | "login-over"
  | "login-odd"
  | "no-containers";

/** A failure as people see it: from the host, or about it. */
export type Trouble = Omit<Failure, "code"> & { code: ErrorCode | LocalCode };

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

/** A field that may be for an MFA code, or the choice of a device. */
export interface Found {
  /** A field for a code, or the radio button of the authenticator app, of several devices. */
  what: "code" | "devices";
  field: HTMLInputElement;
  /** Whether it is certainly for an MFA code, not for any one-time code. */
  certain: boolean;
  /** What a person sees of it: the field itself, a field for each digit, a label. */
  parts: HTMLElement[];
}

/** What a look at the page gave. */
export interface Look {
  /** The visible field with the best evidence. */
  found: Found | undefined;
}

/** How the chip looks. */
export type ChipState = "idle" | "choose" | "busy" | "touch" | "done" | "trouble";

/** What the chip shows. Commands stand in backticks. Details may have several lines. */
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

/** What page.ts has for the scripts that are put into pages. */
export interface PageKit {
  /** The properties of a node, though elements with names hide those of their form and of the document. It is no node itself. */
  pure<T extends Node>(node: T): T;
  /** The element around one; of the outermost in a shadow root its host. */
  parentOf(element: Element): Element | null;
  /** The shadow root of an element, closed or not, as extensions may look into it. */
  shadowOf(element: Element): ShadowRoot | null;
  /** Origins of the frames around this one; "null", which nobody accepts, where the browser will not say. */
  ancestors(): string[];
  /** Whether pictures of the page may be what is seen of it: a view transition's lie above all, and are no elements. */
  inTransition(): boolean;
  /** Whether the page is what the person looks at and types into. */
  attended(): boolean;
  /** Writes a field's text so that a page's framework notices. */
  write(field: HTMLInputElement, text: string): void;
}

/** What chip.ts has for the scripts that use it. */
export interface ChipKit {
  create(options: ChipOptions): Chip;
  element<K extends keyof HTMLElementTagNameMap>(tag: K, text?: string, name?: string): HTMLElementTagNameMap[K];
  prose(tag: "b" | "small", text: string): HTMLElement;
  /** A text of `_locales`. */
  t(key: string, ...args: (string | number)[]): string;
  /** What lies at a point of the window, but for the chip, into open shadow roots. */
  elementAt(x: number, y: number, chip: HTMLElement | undefined): Element | undefined;
  /** Whether something that lets clicks through covers an element's middle. */
  paintedOver(target: Element, chip: HTMLElement | undefined): boolean;
  /** Least opacity of what a person can be said to see. */
  readonly MIN_OPACITY: number;
}

/** From a content script: what the person has told a sign-in page of who signs in, as it was typed. */
export interface LoginNote {
  ask: "login";
  account?: string;
  user?: string;
}

/** From login.ts: what stands in the link that it was opened by. */
export interface LoginAsk {
  ticket: string;
}

/** To login.ts, where it stays open: why. */
export interface LoginTell {
  why: Explained;
}

/** From a content script that has found any field, one for a code, or an enrolment: the scripts for that are wanted in its frame. */
export interface ChipAsk {
  ask: "watch" | "chip" | "enrol";
}

/** The set-up of an authenticator app, as a page shows it (watch_enrol.ts). */
export interface Enrolment {
  /** One field for a code, or two. */
  codes: HTMLInputElement[];
  /** The field for the device's name, if it is on the page. */
  device: HTMLInputElement | undefined;
  /** What the chip stands beside: the QR code, the secret, what shows them, or a field. */
  anchor: Element;
}

/** A picture in shades of grey. */
export interface Picture {
  width: number;
  height: number;
  /** One byte a pixel, row by row; base64. */
  luma: string;
}

/** What a page shows that may be a set-up, and that may name it. */
export interface Shown {
  pictures: Picture[];
  /** Texts that have the shape of a secret. */
  secrets: string[];
  /** What is in the field for the device's name. */
  device: string;
  /** Texts in which the console names the account. */
  accounts: string[];
  /** The page's address, with its route. */
  page: string;
}

/**
 * From enrol.ts. `n` is the asker's own number, repeated in every answer; a later question takes an earlier one back. The page holds
 * what it needs to go on: the background may have been ended between two questions.
 */
export type EnrolAsk =
  | { n: number; ask: "read"; shown: Shown; names?: EnrolNames; ancestors: string[] }
  | { n: number; ask: "save"; setup: Setup; parts: Part[]; taken: string[]; touch: boolean; ancestors: string[] }
  /** A code is in the field, and AWS will take it once: on which key it is whose, and from when it is right. */
  | { n: number; ask: "filled"; key: string; account: string; validFrom: number }
  | { n: number; ask: "stop" };

/** What an account is named by, where the page shows a secret without it. */
export interface EnrolNames {
  /** The device; of Identity Center the user. */
  device: string;
  /** The account's id or alias. Identity Center needs none. */
  account: string;
}

/** Why what a page shows cannot be saved. */
export type EnrolRefusal = "none" | "several" | "hotp" | "migration" | "not_aws" | "flow" | "odd" | "names";

/** To enrol.ts. */
export type EnrolTell =
  /** The names are wanted; these are as good as known. `wants` says whether an account is. */
  | { n: number; tell: "names"; names: EnrolNames; wants: { account: boolean } }
  /** What it is, the keys that are there, and a free name for it on all of them. */
  | { n: number; tell: "setup"; setup: Setup; name: string; choices: EnrolChoice[]; taken: string[] }
  | { n: number; tell: "refused"; because: EnrolRefusal; issuer?: string }
  | { n: number; tell: "part"; part: Part }
  /** What became of each key, and in the person's language why it failed. (What is undefined in a list does not pass a port.) */
  | { n: number; tell: "saved"; parts: Part[]; why: (Explained | null)[] }
  | { n: number; tell: "trouble"; why: Explained };

/** A key that the account may be saved to; `why` it cannot be read now, in the person's language. */
export type EnrolChoice = Omit<KeyChoice, "trouble"> & { why?: Explained };

/**
 * From a content script. `n` is the asker's own number, repeated in every answer. Whatever it says takes an earlier
 * question back.
 */
export type FieldAsk =
  | { n: number; ask: "candidates"; ancestors: string[] }
  /** `waited`: a former answer was `next-step`; the next one is not. */
  | {
      n: number;
      ask: "code";
      account: string;
      /** The person chose it from several: to be remembered for the login. */
      chosen: boolean;
      waited: boolean;
      ancestors: string[];
    }
  /** The code that answered question `n` is in the field: AWS will take it once. */
  | { n: number; ask: "filled" }
  /** The answer is not wanted any more. */
  | { n: number; ask: "stop" };

/** To a content script. */
export type FieldTell =
  | {
      n: number;
      tell: "candidates";
      /** The likeliest first. */
      candidates: Candidate[];
      /** So many of the first are equally likely. */
      likely: number;
      /** On a software key. */
      software: boolean;
      /** The key's name, where it is another than the person has chosen. */
      key?: string;
      /** The settings of these names. */
      fillWithoutClick: boolean;
      submit: boolean;
    }
  | { n: number; tell: "touch" }
  /** Something else has to come first; for what, in the host's words. */
  | { n: number; tell: "waiting"; why: string }
  /** Little is left of this step: to be asked again in so many seconds, if it is still wanted. */
  | { n: number; tell: "next-step"; seconds: number }
  | { n: number; tell: "code"; value: string }
  | { n: number; tell: "trouble"; title: string; fix: string };

/** To the content scripts of a tab, by `tabs.sendMessage`: the person pressed the shortcut. */
export interface FillCommand {
  command: "fill";
}

/** What the extension's pages may ask the host. */
export type PopupOp = Extract<Op, { name: (typeof PAGE_OPS)[number] }>;

/** From the popup and the other pages. */
export type PopupAsk =
  | { n: number; op: PopupOp; key?: string }
  /** Nobody waits for the answer to question `n` any more. */
  | { n: number; stop: true };

/** To the popup. */
export type PopupTell =
  | { n: number; tell: "event"; event: Event }
  | { n: number; tell: "answer"; answer: Answer }
  | { n: number; tell: "trouble"; trouble: Trouble };

/** From the background to the offscreen document: the texts of the picture's QR codes are wanted. */
export interface ReadAsk {
  ask: "read-qr";
  picture: Picture;
}

/** The answer to it. */
export interface ReadTell {
  texts: string[];
}

/** What a frame of a page shows that may set up an account. */
export interface Collected {
  /** The frame's host, and port. */
  site: string;
  pictures: Picture[];
  /** `otpauth` URIs, in links and in text. */
  addresses: string[];
}

/** What pictures.ts offers to the scripts beside it. */
export interface PicturesKit {
  /** A picture on a ground of that colour. "tainted" where the browser keeps it from us, for it is another site's. */
  greys(source: HTMLImageElement | HTMLCanvasElement | HTMLVideoElement | ImageBitmap, colour: string): Picture | "tainted" | undefined;
  /** The picture that an element is, or has behind it; none if there is none yet. */
  draw(it: Element): Promise<Picture | "tainted" | undefined>;
}
