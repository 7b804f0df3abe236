// Small things that all pages of the extension need.

import { language, t, write } from "./text.js";

/** The element of that id, which has to be such a one. */
export function byId<K extends keyof HTMLElementTagNameMap>(id: string, tag: K): HTMLElementTagNameMap[K] {
  const found = document.getElementById(id);
  if (found?.localName !== tag) throw new Error(`no <${tag} id=${id}>`);
  return found as HTMLElementTagNameMap[K];
}

/** The element of that class in another, which has to have one. */
export function part(within: ParentNode, name: string): HTMLElement {
  const found = within.querySelector<HTMLElement>(`.${name}`);
  if (!found) throw new Error(`no .${name}`);
  return found;
}

/** Writes a sentence of the host's or the wasm's: they begin small, and have commands in backticks. */
export function prose(element: Element, text: string): void {
  write(element, text.charAt(0).toUpperCase() + text.slice(1));
}

/** A time, in seconds of Unix, as people write it. */
export function moment(unix: number): string {
  return new Date(unix * 1000).toLocaleString(language(), { dateStyle: "medium", timeStyle: "short" });
}

// ---- the line at the foot of the page: what the key waits for, and what is said in passing

/** How long something is said in passing, in ms. */
const PASSING = 1800;

/** What the key waits for, by the number of the question. It waits for one after the other. */
const prompts = new Map<number, string>();
let said = "";
let saidTimer: ReturnType<typeof setTimeout>;

/** Says something in passing. */
export function say(text: string): void {
  said = text;
  showStatus();
  clearTimeout(saidTimer);
  saidTimer = setTimeout(() => {
    said = "";
    showStatus();
  }, PASSING);
}

/** Shows what question `n` waits for, until it is told that it waits no more. */
export function prompt(n: number, text: string | undefined): void {
  if (text === undefined) prompts.delete(n);
  else {
    // What is wanted now goes before what was said in passing.
    said = "";
    prompts.set(n, text);
  }
  showStatus();
}

function showStatus(): void {
  byId("status", "div").textContent = said || ([...prompts.values()].at(-1) ?? "");
}

/** Copies, and says so; or says what else to do, where the browser does not allow it. */
export async function copy(text: string, copied: string, refused = t("popup_copy_refused")): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    say(copied);
  } catch {
    say(refused);
  }
}
