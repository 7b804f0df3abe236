// The popup's screens: the one with the tabs, and others that lie over it and go by "Back" or Escape.

import { byId } from "./ui.js";

/** Sections of the page that are such screens. Each has a button of the class `back`. */
export type Screen = "scan-panel" | "account-panel" | "add-panel";

let current: { id: Screen; opener: Element | null; closed: () => void } | undefined;

/** Shows a screen; `closed` is called once the person has left it. Back where they came from, the focus is as it was. */
export function openScreen(id: Screen, closed: () => void = () => undefined): void {
  closeScreen();
  current = { id, opener: document.activeElement, closed };
  show();
  const section = byId(id, "section");
  const [first = section.querySelector<HTMLElement>(".back")] = section.querySelectorAll<HTMLElement>("[data-focus]");
  first?.focus();
  scrollTo(0, 0);
}

/** Goes back to the tabs, if a screen is open. */
export function closeScreen(): void {
  if (!current) return;
  const { opener, closed } = current;
  current = undefined;
  show();
  if (opener instanceof HTMLElement && opener.isConnected) opener.focus();
  closed();
}

/** Whether the tabs are what is seen. */
export const isHome = () => current === undefined;

function show(): void {
  for (const screen of document.querySelectorAll<HTMLElement>("main > .screen")) screen.hidden = screen.id !== current?.id;
  byId("home", "div").hidden = current !== undefined;
}

document.addEventListener("click", ({ target }) => {
  if (target instanceof Element && target.closest(".screen .back")) closeScreen();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented || !current) return;
  // Else the browser would close the whole popup.
  event.preventDefault();
  closeScreen();
});
