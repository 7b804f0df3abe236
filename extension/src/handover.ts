// What the background hands to the popup that it opens, in `chrome.storage.session`.

/** Under which name. */
export const HANDED_OVER = "link";

/** An address that links are wanted for. */
export interface HandedOver {
  url: string;
  /** `Date.now()`. */
  at: number;
}
