// Where AWS sets up an authenticator app: watches for the page that does, and has Keyfob's part in it put there once it is
// open. A classic script. It knows words and shapes; all rules about hosts are the background's.

const KEYFOB_ENROL = (() => {
  type Enrolment = import("./internal.js").Enrolment;

  // A sandboxed frame has the origin "null"; it has no place here, whatever its address.
  if (self.origin === "null" || location.protocol !== "https:") return undefined;

  const { code, reveal, device, secret } = KEYFOB_ENROLMENT;
  /** Of a page only so many inputs, buttons and pictures are looked at. */
  const MAX_READ = 100;
  /** Smallest side of a field, and of a picture that may be a QR code, in CSS pixels. */
  const MIN_SIDE = 8;
  const MIN_PICTURE = 72;
  /** Least time between two looks, in ms, and so many times what a look costs. */
  const SCAN_EVERY = 100;
  const SCAN_SHARE = 20;

  const has = (text: string | null | undefined, words: readonly string[]) => {
    const lower = (text ?? "").toLowerCase();
    return words.some((word) => lower.includes(word));
  };

  /** Whether it has a place and is not hidden. Whether a person can see it is looked at when it matters. */
  function isShown(element: Element, side = MIN_SIDE): boolean {
    const { width, height } = element.getBoundingClientRect();
    return width >= side && height >= side && element.checkVisibility({ visibilityProperty: true });
  }

  const isPicture = (element: Element) => {
    if (!isShown(element, MIN_PICTURE)) return false;
    const { width, height } = element.getBoundingClientRect();
    return width < height * 1.2 && height < width * 1.2;
  };

  /** All that names a field. */
  function named(field: HTMLInputElement): string {
    const labelledBy = (field.getAttribute("aria-labelledby") ?? "").split(/\s+/).filter(Boolean);
    const labels = [...(field.labels ?? []), ...labelledBy.map((id) => document.getElementById(id))];
    const texts = labels.map((label) => label?.textContent);
    return [field.getAttribute("aria-label"), field.placeholder, field.name, field.id, ...texts].join(" ");
  }

  function* first<E extends Element>(list: ArrayLike<E>, count = MAX_READ): Generator<E> {
    for (let i = 0; i < Math.min(list.length, count); i++) yield list[i] as E;
  }

  /** The visible fields for codes, and the one for the device's name. */
  function fields(): { codes: HTMLInputElement[]; device: HTMLInputElement | undefined } {
    const found: ReturnType<typeof fields> = { codes: [], device: undefined };
    for (const field of first(document.getElementsByTagName("input"))) {
      if (!/^(text|tel|number|password)$/.test(field.type)) continue;
      const name = named(field);
      if (has(name, device)) found.device ??= field;
      else if (!has(name, code) || field.disabled || field.readOnly || !isShown(field)) continue;
      // Fields of one digit each are no field for a code.
      else if (field.maxLength < 0 || field.maxLength >= 6) found.codes.push(field);
    }
    return found;
  }

  /** What is shown of the set-up. */
  const secrets = () => [...first(document.querySelectorAll(secret))].find((each) => isShown(each));
  const pictures = () => [...first(document.querySelectorAll('img, canvas, svg, [style*="background"]'))].find(isPicture);
  const reveals = () =>
    [...first(document.querySelectorAll('button, a, summary, [role="button"]'), 2 * MAX_READ)]
      .find((each) => has(each.textContent, reveal) && isShown(each));

  /**
   * The enrolment that the page is showing: fields for codes, and something of a set-up. A page that only asks for a code, or
   * for two to get a device back into step, is none.
   */
  function find(): Enrolment | undefined {
    if (!document.querySelector("input")) return undefined;
    const { codes, device } = fields();
    const [one, two] = codes;
    if (!one) return undefined;
    const text = secrets();
    const button = reveals();
    const said = () => has(document.body.innerText, reveal);
    const picture = text || button || said() ? pictures() : undefined;
    // Two fields and the words do, wherever the page keeps its picture.
    if (!text && !button && !picture && !(two && said())) return undefined;
    return { codes: two ? [one, two] : [one], device, anchor: picture ?? text ?? button ?? one };
  }

  const watch = {
    find,
    isHere: () => find() !== undefined,
    isPicture,
    isShown,
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

  let scanning = false;
  let nextScan = 0;
  function soon(): void {
    if (scanning) return;
    scanning = true;
    setTimeout(() => {
      requestAnimationFrame(() => {
        scanning = false;
        const begin = performance.now();
        scan();
        const end = performance.now();
        nextScan = end + Math.max(SCAN_EVERY, (end - begin) * SCAN_SHARE);
      });
    }, Math.max(0, nextScan - performance.now()));
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
