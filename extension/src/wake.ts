// All that most pages ever see of Keyfob: has the watchers put into a frame once it has a field, or a shadow root that may hide
// one. A classic script, alone and small, for it runs on every page of AWS's sign-in; it touches neither the extension's
// interfaces nor the page before there is a reason.

const KEYFOB_WAKE = (() => {
  // A sandboxed frame has the origin "null"; it has no place here, whatever its address.
  if (self.origin === "null") return undefined;

  /** Least time between two looks at the page, in ms. */
  const EVERY = 30;
  /** When a page is looked at in any case, in ms: shadow roots come without a word. */
  const AGAIN = [500, 2500];
  /** Of a page's elements only so many are read. */
  const MAX_ELEMENTS = 10_000;
  /** What pages have many of, and what can have no shadow root (DOM, `attachShadow`): to look at each costs most of a look. */
  const NO_HOSTS = "a,b,i,li,ul,td,tr,svg,svg *,option,script,style,link,meta,label,input,button,img";

  // Elements with names hide properties of the document: those of the prototypes are meant.
  const all = (selector: string): NodeListOf<Element> => Document.prototype.querySelectorAll.call(document, selector);
  const hasField = () => Document.prototype.querySelector.call(document, "input") !== null;
  const shadowOf = (element: Element): ShadowRoot | null => Reflect.get(Element.prototype, "shadowRoot", element) as ShadowRoot | null;
  const hasShadow = () => {
    let read = 0;
    for (const element of all(`:not(${NO_HOSTS})`)) {
      if (++read > MAX_ELEMENTS || shadowOf(element)) return true;
    }
    return false;
  };

  let woken = false;
  let next = 0;
  let waiting: ReturnType<typeof setTimeout> | undefined;
  const soon = () => {
    if (!woken) waiting ??= setTimeout(() => {
      waiting = undefined;
      next = performance.now() + EVERY;
      if (hasField() || hasShadow()) wake();
    }, Math.max(0, next - performance.now()));
  };
  const observer = new MutationObserver(soon);
  const watch = () => observer.observe(document, { subtree: true, childList: true });

  function wake(): void {
    woken = true;
    observer.disconnect();
    // What was put there before an update of the extension reaches it no more; what is new of it is here as well.
    if (!chrome.runtime?.id) return;
    chrome.runtime.sendMessage({ ask: "watch" } satisfies import("./internal.js").ChipAsk).catch(() => {
      woken = false;
      watch();
    });
  }

  if (hasField()) wake();
  // The page goes first.
  else setTimeout(() => {
    watch();
    for (const type of ["focusin", "pointerdown"]) addEventListener(type, soon, { capture: true, passive: true });
    for (const delay of AGAIN) setTimeout(soon, delay);
    soon();
  });
  return { shadowOf, NO_HOSTS };
})();
