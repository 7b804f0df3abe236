// Where AWS sets up an authenticator app: watches for the page that does, and has Keyfob's part in it put there once it is
// open. A classic script. It knows words and shapes; all rules about hosts are the background's.

const KEYFOB_ENROL = (() => {
  type Enrolment = import("./internal.js").Enrolment;

  // A sandboxed frame has the origin "null"; it has no place here, whatever its address.
  if (self.origin === "null" || location.protocol !== "https:") return undefined;

  const patterns: Record<string, RegExp> = {};
  /** Whether a text has one of the words. They are compiled when there is something to read: most pages have nothing. */
  const has = (words: string, text: string) => (patterns[words] ??= RegExp(words, "i")).test(text);
  const { code, reveal, device } = KEYFOB_ENROLMENT;

  /** Of a page only so many inputs are looked at (dialogs come last), and so many buttons or pictures before a field and behind it. */
  const MAX_READ = 200;
  /** Smallest side of a field, and of a picture that may be a QR code, in CSS pixels. */
  const MIN_SIDE = 8;
  const MIN_PICTURE = 72;
  /** Least time between two looks, in ms, and so many times what a look costs. */
  const SCAN_EVERY = 100;
  const SCAN_SHARE = 20;

  /** Whether it has a place and is not hidden. Whether a person can see it is looked at when it matters. */
  function isShown(element: Element, side = MIN_SIDE): boolean {
    const { width, height } = element.getBoundingClientRect();
    return width >= side && height >= side && element.checkVisibility({ visibilityProperty: true });
  }

  const isPicture = (element: Element) => {
    const { width, height } = element.getBoundingClientRect();
    return width < height * 1.2 && height < width * 1.2 && isShown(element, MIN_PICTURE);
  };

  /** All that names a field. */
  function named(field: HTMLInputElement): string {
    const labelledBy = (field.getAttribute("aria-labelledby") ?? "").split(/\s+/).filter(Boolean);
    const labels = [...(field.labels ?? []), ...labelledBy.map((id) => document.getElementById(id))];
    const texts = labels.map((label) => label?.textContent);
    return [field.getAttribute("aria-label"), field.placeholder, field.name, field.id, ...texts].join(" ");
  }

  /** The visible fields for codes, and the one for the device's name. */
  function fields(): { codes: HTMLInputElement[]; device: HTMLInputElement | undefined } {
    const found: ReturnType<typeof fields> = { codes: [], device: undefined };
    const inputs = [...document.querySelectorAll("input")].filter(({ type }) => /^(text|tel|number|password)$/.test(type));
    for (const field of inputs.slice(-MAX_READ)) {
      const name = named(field);
      // Fields of one digit each are no field for a code.
      const takes = !field.disabled && !field.readOnly && (field.maxLength < 0 || field.maxLength >= 6);
      if (has(device, name)) found.device ??= field;
      else if (takes && has(code, name) && isShown(field)) found.codes.push(field);
    }
    return found;
  }

  /**
   * The enrolment that the page is showing: fields for codes, and something of a set-up. A page that only asks for a code, or
   * for two to get a device back into step, is none.
   */
  function find(): Enrolment | undefined {
    const { codes, device } = fields();
    const [one, two] = codes;
    if (!one) return undefined;
    const first = (selector: string, fits: (each: Element) => boolean) => {
      const all = [...document.querySelectorAll(selector)];
      const at = all.filter((each) => one.compareDocumentPosition(each) & Node.DOCUMENT_POSITION_PRECEDING).length;
      // What is set up stands before the codes for it.
      return [...all.slice(0, at).reverse().slice(0, MAX_READ), ...all.slice(at, at + MAX_READ)].find(fits);
    };
    const text = first(KEYFOB_ENROLMENT.secret, (each) => isShown(each));
    const button = first('button, a, summary, [role="button"]', (each) => has(reveal, each.textContent) && isShown(each));
    const said = has(reveal, document.body.innerText);
    const picture = text || said ? first('img, canvas, svg, [style*="background"]:not(form)', isPicture) : undefined;
    // Two fields and the words do, wherever the page keeps its picture.
    if (!text && !button && !picture && !(two && said)) return undefined;
    return { codes: two ? [one, two] : [one], device, anchor: picture ?? text ?? button ?? one };
  }

  /** Has `scan` look at the page soon: as often as `every` says, in ms, and on pages that are huge less. */
  function paced(scan: () => void, every: number): () => void {
    let waiting = false;
    let next = 0;
    return () => {
      if (waiting) return;
      waiting = true;
      setTimeout(() => {
        requestAnimationFrame(() => {
          waiting = false;
          const begin = performance.now();
          scan();
          const end = performance.now();
          next = end + Math.max(every, (end - begin) * SCAN_SHARE);
        });
      }, Math.max(0, next - performance.now()));
    };
  }
  const soon = paced(scan, SCAN_EVERY);

  const watch = {
    has,
    isHere: () => find() !== undefined,
    isPicture,
    isShown,
    paced,
    scan,
    soon,
    /** Told of every look at the page, once enrol.ts is here. */
    look: undefined as ((found: Enrolment | undefined) => void) | undefined,
  };

  let asked = false;
  function scan(): void {
    const found = find();
    if (watch.look) watch.look(found);
    else if (found && !asked) {
      asked = true;
      chrome.runtime.sendMessage({ ask: "enrol" } satisfies import("./internal.js").ChipAsk).catch(() => (asked = false));
    }
  }

  new MutationObserver(soon).observe(document, {
    subtree: true,
    childList: true,
    attributes: true,
    attributeFilter: ["class", "style", "hidden", "disabled", "type", "src"],
  });
  scan();
  return watch;
})();
