// On AWS's sign-in pages: watches for a field for the MFA code, and has the chip put there once there is one. A classic
// script, and all that most pages ever see of Keyfob. It knows fields; all rules about hosts are the background's.

const KEYFOB_WATCH = (() => {
  type Found = import("./internal.js").Found;
  type Look = import("./internal.js").Look;

  // A sandboxed frame has the origin "null"; it has no place here, whatever its address.
  if (self.origin === "null" || location.protocol !== "https:") return undefined;

  /** Smallest side, in CSS pixels, and least opacity of a field that a person can be said to see. */
  const MIN_SIDE = 8;
  const MIN_OPACITY = 0.7;
  /** Least time between two looks at the page, in ms; and so many times what a look costs, on pages that are huge. */
  const SCAN_EVERY = 30;
  const SCAN_SHARE = 20;
  /** How often a field that is not visible yet is looked at, in ms. */
  const POLL_HIDDEN = 200;
  /** Of a page's inputs and labels only so many are read. */
  const MAX_READ = 100;

  const EXACT = KEYFOB_MFA_FIELDS.selectors.join(",");
  const ONE_TIME = 'input[autocomplete~="one-time-code" i]';

  const takesText = (element: Element, types: string[]): element is HTMLInputElement =>
    element instanceof HTMLInputElement && types.includes(element.type) && !element.disabled && !element.readOnly;

  const isMfa = (texts: (string | null | undefined)[]) => {
    const text = texts.join(" ").toLowerCase();
    return KEYFOB_MFA_FIELDS.wording.some((word) => text.includes(word));
  };

  /** Whether the markup of the field itself calls it one for MFA. */
  function namesMfa(field: HTMLInputElement): boolean {
    const labelledBy = (field.getAttribute("aria-labelledby") ?? "").split(/\s+/).filter(Boolean);
    const texts = labelledBy.map((id) => document.getElementById(id)?.textContent);
    return isMfa([field.getAttribute("aria-label"), field.placeholder, field.name, field.id, ...texts]);
  }

  /** The best evidence first: an exact selector, the autocomplete token, a name or label. Visible or not. */
  function* fields(): Generator<Found> {
    if (!document.querySelector("input")) return;
    for (const field of document.querySelectorAll(EXACT)) {
      if (takesText(field, ["text", "tel", "number", "password"])) yield { field, certain: true };
    }
    for (const field of document.querySelectorAll(ONE_TIME)) {
      if (!takesText(field, ["text", "tel", "number", "password"])) continue;
      yield { field, certain: namesMfa(field) || isMfa([...(field.labels ?? [])].map((label) => label.textContent)) };
    }
    const short = (field: Element | null): field is HTMLInputElement =>
      field !== null &&
      takesText(field, ["text", "tel", "number"]) &&
      (field.maxLength < 0 || (field.maxLength >= 6 && field.maxLength <= 10));
    const inputs = document.getElementsByTagName("input");
    for (let i = 0; i < Math.min(inputs.length, MAX_READ); i++) {
      const field = inputs.item(i);
      if (short(field) && namesMfa(field)) yield { field, certain: true };
    }
    const labels = document.getElementsByTagName("label");
    for (let i = 0; i < Math.min(labels.length, MAX_READ); i++) {
      const label = labels.item(i);
      if (label && isMfa([label.textContent]) && short(label.control)) yield { field: label.control, certain: true };
    }
  }

  /** Why a person cannot see the field, if so. */
  function hiddenBecause(field: HTMLInputElement): string | undefined {
    const { width, height } = field.getBoundingClientRect();
    if (width < MIN_SIDE || height < MIN_SIDE) return "the field is too small to be seen";
    if (!field.checkVisibility({ visibilityProperty: true, contentVisibilityAuto: true })) return "the field is hidden";
    let opacity = 1;
    for (let at: Element | null = field; at; at = at.parentElement ?? hostOf(at)) {
      const style = getComputedStyle(at);
      opacity *= Number(style.opacity);
      if (style.filter.includes("opacity(")) opacity = 0;
    }
    return opacity < MIN_OPACITY ? "the field is transparent" : undefined;
  }

  function hostOf(element: Element): Element | null {
    const root = element.getRootNode();
    return root instanceof ShadowRoot ? root.host : null;
  }

  const watch = {
    MIN_OPACITY,
    hiddenBecause,
    scan,
    soon,
    /** Fields whose chip the person has closed. */
    dismissed: new WeakSet<HTMLInputElement>(),
    /** Told of every look at the page, once the chip's script is here. */
    look: undefined as ((look: Look) => void) | undefined,
  };

  let asked = false;
  function scan(): void {
    let hidden = false;
    let found: Found | undefined;
    for (const each of fields()) {
      if (watch.dismissed.has(each.field)) continue;
      if (hiddenBecause(each.field) === undefined) {
        found = each;
        break;
      }
      hidden = true;
    }
    if (watch.look) {
      watch.look({ found });
    } else if (found && !asked) {
      asked = true;
      chrome.runtime.sendMessage({ ask: "chip" } satisfies import("./internal.js").ChipAsk).catch(() => (asked = false));
    }
    if (hidden && !found) setTimeout(soon, POLL_HIDDEN);
  }

  let scanning = false;
  let nextScan = 0;
  function soon(): void {
    if (scanning) return;
    scanning = true;
    const wait = Math.max(0, nextScan - performance.now());
    setTimeout(() => {
      requestAnimationFrame(() => {
        scanning = false;
        const begin = performance.now();
        scan();
        const end = performance.now();
        nextScan = end + Math.max(SCAN_EVERY, (end - begin) * SCAN_SHARE);
      });
    }, wait);
  }

  new MutationObserver(soon).observe(document, {
    subtree: true,
    childList: true,
    attributes: true,
    attributeFilter: ["class", "style", "hidden", "disabled", "type"],
  });
  scan();
  return watch;
})();
