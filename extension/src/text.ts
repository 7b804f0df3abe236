// Texts in the person's language: `_locales/LANGUAGE/messages.json`, as the browser chooses among them.

/** The name of a text begins with its area. That each one that is used is there, in every language, is tested. */
export type TextKey = `${"popup" | "codes" | "account" | "links" | "scan" | "enrol" | "chip" | "setup" | "options" | "login" | "error" | "text"}_${string}`;

/** The text of that name, with `args` in its placeholders. */
export function t(key: TextKey, ...args: (string | number)[]): string {
  return chrome.i18n.getMessage(key, args.map(String)) || key;
}

/** Which of `KEY_one`, `KEY_few`, … , `KEY_other` goes with the number, which is the first placeholder. */
export function tCount(key: TextKey, count: number, ...args: (string | number)[]): string {
  const form = new Intl.PluralRules(language()).select(count);
  const number = count.toLocaleString(language());
  return chrome.i18n.getMessage(`${key}_${form}`, [number, ...args.map(String)]) || t(`${key}_other`, number, ...args);
}

/** The language of the texts (BCP 47), which need not be the browser's own: it is for dates, numbers and screen readers. */
export const language = () => t("text_language");

/** Writes a text; what stands in backticks is a command. */
export function write(element: Element, text: string): void {
  element.replaceChildren(
    ...text.split("`").map((part, i) => {
      if (i % 2 === 0) return part;
      const code = document.createElement("code");
      code.textContent = part;
      return code;
    }),
  );
}

const ATTRIBUTES = ["title", "aria-label", "placeholder"] as const;

/**
 * Writes the texts that elements name: `data-i18n` for what is in them, `data-i18n-title`, `data-i18n-aria-label` and
 * `data-i18n-placeholder` for attributes. Looks into templates too. A whole document is given its language and direction.
 */
export function localise(root: Document | DocumentFragment | Element): void {
  if (root instanceof Document) {
    root.documentElement.lang = language();
    root.documentElement.dir = t("text_direction");
  }
  for (const element of root.querySelectorAll("[data-i18n]")) {
    write(element, t(element.getAttribute("data-i18n") as TextKey));
  }
  for (const name of ATTRIBUTES) {
    for (const element of root.querySelectorAll(`[data-i18n-${name}]`)) {
      element.setAttribute(name, t(element.getAttribute(`data-i18n-${name}`) as TextKey));
    }
  }
  for (const { content } of root.querySelectorAll("template")) localise(content);
}
