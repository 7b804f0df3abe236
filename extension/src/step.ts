// The steps of TOTP (RFC 6238, section 4), as far as people meet them: codes run out. (That a touch would come too late for
// its step is the host's to say: it waits for the next.)

import type { Account, Code } from "./generated/message.js";

/** With less left than this, in seconds, a code that costs nothing is not used: the next one is. */
const FILLING_NEEDS = 3;

/** What is waited beyond the end of a step, in seconds, for the next one to have begun for certain. */
const MARGIN = 0.1;

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
