// What the scripts that are put into pages all need of one. A classic script, which is put there before them, and may be put there
// twice. It knows nothing of what they do.

var KEYFOB_PAGE: import("./internal.js").PageKit = (globalThis as { KEYFOB_PAGE?: typeof KEYFOB_PAGE }).KEYFOB_PAGE ?? (() => {
  const pure = <T extends Node>(node: T): T =>
    new Proxy(node, {
      get: (_, name) => {
        const value: unknown = Reflect.get(Object.getPrototypeOf(node) as object, name, node);
        return typeof value === "function" ? (value as (...args: unknown[]) => unknown).bind(node) : value;
      },
    });
  const doc = pure(document);

  return {
    pure,

    parentOf(element) {
      const { parentElement, getRootNode } = pure(element);
      const root = parentElement ? null : getRootNode();
      return root instanceof ShadowRoot ? root.host : parentElement;
    },

    shadowOf(element) {
      // Firefox's way, and Chromium's.
      const { openOrClosedShadowRoot, shadowRoot } = pure(element) as Element & { openOrClosedShadowRoot?: ShadowRoot | null };
      const { dom } = chrome;
      const inner = openOrClosedShadowRoot ?? shadowRoot;
      return inner ?? (element instanceof HTMLElement ? dom?.openOrClosedShadowRoot(element) : null) ?? null;
    },

    ancestors() {
      if (window.parent === window) return [];
      if (location.ancestorOrigins) return [...location.ancestorOrigins];
      const origins: string[] = [];
      try {
        for (let frame: Window = window; frame.parent !== frame; ) {
          frame = frame.parent;
          origins.push(frame.location.origin);
        }
      } catch {
        return ["null"];
      }
      return origins;
    },

    // Chromium before 125 does not know the selector.
    inTransition: () => CSS.supports("selector(:active-view-transition)") && doc.querySelector(":active-view-transition") !== null,

    attended: () => doc.visibilityState === "visible" && doc.hasFocus(),

    write(field, text) {
      // React tracks `value` on the element itself: only the prototype's setter makes it notice.
      Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value")?.set?.call(field, text);
      field.dispatchEvent(new InputEvent("input", { bubbles: true, composed: true, inputType: "insertText", data: text }));
      field.dispatchEvent(new Event("change", { bubbles: true }));
    },
  };
})();
