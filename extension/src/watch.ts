// On AWS's sign-in pages that have a field: watches for one for the MFA code, and has the chip put there once there is one; and
// notes who signs in, which chooses the code. A classic script. It knows fields; all rules about hosts are the background's.

const KEYFOB_WATCH = (() => {
  type Found = import("./internal.js").Found;
  type Look = import("./internal.js").Look;
  type PageAsk = import("./internal.js").ChipAsk | import("./internal.js").LoginNote;
  type Root = Document | ShadowRoot;

  // A sandboxed frame, whatever its address, has no place here.
  if (!KEYFOB_WAKE || !KEYFOB_ENROL) return undefined;
  const { shadowOf, NO_HOSTS } = KEYFOB_WAKE;
  const { has, isHere, paced } = KEYFOB_ENROL;

  const TABLE = KEYFOB_MFA_FIELDS;

  /** Smallest side, in CSS pixels, and least opacity of a field that a person can be said to see. */
  const MIN_SIDE = 8;
  const MIN_OPACITY = 0.7;
  /** Least time between two looks at the page, in ms. */
  const SCAN_EVERY = 30;
  /** How often a field that is not visible yet is looked at, in ms. */
  const POLL_HIDDEN = 200;
  /** When a page is looked at again in any case, in ms: shadow roots come without a word. */
  const AGAIN = [500, 2500];
  /** Of a page's inputs, labels and elements only so many are read, and so much of a text. */
  const MAX_READ = 100;
  const MAX_ELEMENTS = 10_000;
  const MAX_TEXT = 500;
  /** A code has so many digits. */
  const DIGITS = 6;

  const TEXT = ["text", "tel", "number"];
  const SECRET = [...TEXT, "password"];

  const takesText = (element: Element | null, types = TEXT): element is HTMLInputElement =>
    element instanceof HTMLInputElement && types.includes(element.type) && !element.disabled && !element.readOnly;

  // Elements with names hide properties of their form and of the document: those of the prototypes are meant.
  const getter = <T>(name: "parentElement" | "textContent" | "ariaLabel") => (owner: Node) =>
    Reflect.get(Element.prototype, name, owner) as T;
  const parentOf = getter<Element | null>("parentElement");
  const textOf = getter<string>("textContent");
  const labelOf = getter<string | null>("ariaLabel");
  const inRoot = (root: Root, selector: string): NodeListOf<Element> =>
    (root === document ? Document : DocumentFragment).prototype.querySelectorAll.call(root, selector);

  /** The document and the open shadow roots in it. */
  let roots = new Set<Root>([document]);

  function findRoots(): void {
    roots = new Set([...roots].filter((root) => root === document || (root as ShadowRoot).host.isConnected));
    let read = 0;
    for (const root of roots) {
      for (const element of inRoot(root, `:not(${NO_HOSTS})`)) {
        if (++read > MAX_ELEMENTS || roots.size > MAX_READ) return;
        const inner = shadowOf(element);
        if (!inner || roots.has(inner)) continue;
        roots.add(inner);
        observer.observe(inner, WATCHED);
      }
    }
  }

  function* all(selector: string, max = MAX_READ): Generator<Element> {
    for (const root of roots) {
      for (const element of inRoot(root, selector)) {
        if (--max < 0) return;
        yield element;
      }
    }
  }

  const textIn = (...texts: (string | null | undefined)[]) =>
    texts.map((each) => each?.slice(0, MAX_TEXT)).join(" ").toLowerCase();

  const isMfa = (text: string) => has(TABLE.wording, text) || (has(TABLE.authenticators, text) && has(TABLE.codes, text));

  /** What the field is called, by its markup and its labels. */
  const nameOf = (field: HTMLInputElement) => {
    const ids = field.getAttribute("aria-labelledby")?.match(/\S+/g) ?? [];
    const by = ids.map((id) => inRoot(field.getRootNode() as Root, `#${CSS.escape(id)}`)[0]);
    const labels = [...by, ...(field.labels ?? [])].map((label) => label && textOf(label));
    return textIn(field.ariaLabel, field.placeholder, field.name, field.id, ...labels);
  };
  const namesMfa = (field: HTMLInputElement) => isMfa(nameOf(field));

  /** The best evidence first: an exact selector, the autocomplete token, a name or label. Visible or not. */
  function* fields(): Generator<Found> {
    if (all("input").next().done) return;
    const code = (field: HTMLInputElement, certain: boolean): Found => ({ what: "code", field, certain, parts: [field] });
    for (const field of all(TABLE.exact)) {
      if (takesText(field, SECRET)) yield code(field, true);
    }
    // One field a digit.
    const single = [...all("input[maxlength='1']")].filter((field) => takesText(field, SECRET));
    const [first] = single;
    if (first && single.length === DIGITS) {
      let around: Element | null = first;
      while (around && !single.every((each) => Node.prototype.contains.call(around, each))) around = parentOf(around);
      const texts = [around, first.form].map((each) => each && `${labelOf(each)} ${textOf(each)}`);
      const certain = namesMfa(first) || isMfa(textIn(...texts));
      const once = first.autocomplete.includes("one-time-code");
      if (certain || once) yield { what: "code", field: first, certain, parts: single };
    }
    for (const field of all('input[autocomplete~="one-time-code" i]')) {
      if (takesText(field, SECRET) && field.maxLength !== 1) {
        yield code(field, namesMfa(field));
      }
    }
    for (const field of all("input")) {
      if (!takesText(field)) continue;
      const { maxLength, inputMode } = field;
      const sized = maxLength >= DIGITS && maxLength <= 10;
      if (maxLength >= 0 && !sized) continue;
      const name = nameOf(field);
      // A device's name, its serial number and a search speak of MFA too.
      if (isMfa(name) && (sized || inputMode === "numeric" || has(TABLE.codes, name)) && !has(KEYFOB_ENROLMENT.device, name)) yield code(field, true);
    }
    // Which of several devices: the button for the next step is there as well.
    for (const field of all(TABLE.radio)) {
      if (takesText(field, ["radio"])) yield { what: "devices", field, certain: true, parts: [field.labels?.[0] ?? field] };
    }
  }

  /** Why a person cannot see it, if so: a text of the chip's. */
  function hiddenBecause(field: HTMLElement): string | undefined {
    const { width, height } = field.getBoundingClientRect();
    if (width < MIN_SIDE || height < MIN_SIDE) return "chip_why_small";
    if (!field.checkVisibility({ visibilityProperty: true, contentVisibilityAuto: true })) return "chip_why_hidden";
    let opacity = 1;
    for (let at: Element | null = field; at; at = parentOf(at) ?? hostOf(at)) {
      const style = getComputedStyle(at);
      opacity *= Number(style.opacity);
      if (`${style.clipPath}${style.maskImage}${style.clip}` !== "nonenoneauto") return "chip_why_hidden";
      if (style.filter.includes("opacity(")) opacity = 0;
    }
    return opacity < MIN_OPACITY ? "chip_why_transparent" : undefined;
  }

  function hostOf(element: Element): Element | null {
    const root = Node.prototype.getRootNode.call(element);
    return root instanceof ShadowRoot ? root.host : null;
  }

  // ---- who signs in

  const send = (message: PageAsk) => chrome.runtime.sendMessage(message);

  let told = "";

  /** On what a person does: what browsers fill in by themselves can be read from then on. Never a password. */
  function tell(): void {
    const read = (part: "account" | "user") => {
      for (const field of all(TABLE[part])) {
        if (!(field instanceof HTMLInputElement && [...TEXT, "email"].includes(field.type) && field.checkVisibility())) continue;
        // A field with a made-up id may be the code's.
        if (!/^(\d{6})?$/.test(field.value)) return { [part]: field.value };
      }
      return {};
    };
    const note = { ...read("account"), ...read("user") };
    const text = JSON.stringify(note);
    if (text === told || text === "{}") return;
    told = text;
    send({ ask: "login", ...note }).catch(() => (told = ""));
  }

  for (const type of ["click", "change", "keydown"]) {
    const acted = (event: Event) => {
      if (event.isTrusted && (type !== "keydown" || (event as KeyboardEvent).key === "Enter")) tell();
    };
    addEventListener(type, acted, { capture: true, passive: true });
  }

  // ---- looking

  const soon = paced(scan, SCAN_EVERY);
  const watch = {
    hiddenBecause,
    scan,
    soon,
    /** Whether the person has closed the chip at a field; once the chip's script is here. */
    isDismissed: undefined as ((field: HTMLInputElement) => boolean) | undefined,
    /** Told of every look at the page, once the chip's script is here. */
    look: undefined as ((look: Look) => void) | undefined,
  };

  let asked = false;
  function scan(): void {
    if (!chrome.runtime?.id) {
      // The extension was updated, and what is new of it is here as well.
      observer.disconnect();
      return watch.look?.({ found: undefined });
    }
    findRoots();
    let hidden = false;
    let found: Found | undefined;
    for (const each of fields()) {
      if (watch.isDismissed?.(each.field)) continue;
      if (each.parts.every((part) => hiddenBecause(part) === undefined)) {
        found = each;
        break;
      }
      hidden = true;
    }
    // There a code is asked for that no account has yet.
    if (found && isHere()) found = undefined;
    if (watch.look) {
      watch.look({ found });
    } else if (found && !asked) {
      asked = true;
      send({ ask: "chip" }).catch(() => (asked = false));
    }
    if (hidden && !found) setTimeout(soon, POLL_HIDDEN);
  }

  const WATCHED: MutationObserverInit = {
    subtree: true,
    childList: true,
    attributes: true,
    attributeFilter: ["class", "style", "hidden", "disabled", "type"],
  };
  const observer = new MutationObserver(soon);
  observer.observe(document, WATCHED);
  for (const type of ["focusin", "pointerdown"]) addEventListener(type, soon, { capture: true, passive: true });
  for (const delay of AGAIN) setTimeout(soon, delay);
  scan();
  return watch;
})();
