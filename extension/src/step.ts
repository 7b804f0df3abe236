// The steps of TOTP (RFC 6238, section 4), as far as people meet them: a touch takes its time, and codes run out.

import type { Account, Code } from "./generated/message.js";
import type { Trouble } from "./internal.js";

/** With less left of its step than this, in seconds, a code would often have run out by the touch. */
const TOUCH_NEEDS = 5;

/** With less left than this, in seconds, a code that costs nothing is not used: the next one is. */
const FILLING_NEEDS = 3;

/** What is waited beyond the end of a step, in seconds, for the next one to have begun for certain. */
const MARGIN = 0.1;

/** How long to wait before a code is asked for, in seconds: not at all where nobody has to touch. */
export function delayBeforeTouch({ touch, period }: Pick<Account, "touch" | "period">, now: number): number {
  const left = period - (now % period);
  return touch && left < TOUCH_NEEDS ? left + MARGIN : 0;
}

/** How long to wait, in seconds, for a better code than this: not at all where that would cost a second touch. */
export function delayForNext({ touch }: Pick<Account, "touch">, { valid_until }: Code, now: number): number {
  const left = (valid_until ?? Infinity) - now;
  return !touch && left < FILLING_NEEDS ? Math.max(0, left) + MARGIN : 0;
}

/** Whether the code is right no more. One of HOTP does not run out by time. */
export function hasRunOut({ valid_until }: Code, now: number): boolean {
  return valid_until !== undefined && valid_until <= now;
}

/** Unix time in seconds. */
export const unixNow = () => Date.now() / 1000;

/** The key calculates for the time before the touch: what comes after it may be past. */
export function ranOut(hint: string): Trouble {
  return { code: "code-expired", message: "That code ran out while you touched", hint };
}
