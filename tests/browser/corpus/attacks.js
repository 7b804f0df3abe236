// What hostile pages do, by name: `CASE.does` names some. Each runs in the page's head, before there is a form, with what
// kit.js has kept of the browser. A classic script.
"use strict";

const ATTACKS = (() => {
  const { when, every, later, frame, listen, notes, html, rect, chip, create } = KIT;
  const make = (tag, style, more = {}) => {
    const made = create(tag);
    made.style.cssText = style;
    return Object.assign(made, more);
  };
  const body = (element) => {
    document.body.append(element);
    return element;
  };
  const COVER = "position:fixed;inset:0;width:100vw;height:100vh;max-width:none;max-height:none;margin:0;border:0;background:#fff;z-index:2147483647;";
  const THROUGH = `${COVER}pointer-events:none;`;
  const boom = () => {
    throw new Error("the page's own");
  };
  /** A method of the page's own in the place of the browser's; what it was called for is noted. */
  const hook = (owner, name, instead) => {
    const was = Object.getOwnPropertyDescriptor(owner, name);
    const noted = function (...args) {
      notes.hooked = (notes.hooked ?? 0) + 1;
      return instead.call(this, was.value ?? was.get, args);
    };
    Object.defineProperty(owner, name, { ...was, ...("value" in was ? { value: noted } : { get: noted }) });
  };
  const field = () => KIT.fields[0];

  return {
    // ---- the browser's own replaced

    "the setter of value is replaced": () => {
      const was = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value");
      Object.defineProperty(HTMLInputElement.prototype, "value", {
        ...was,
        get: () => "999999",
        set: (value) => (notes.stolen = value),
      });
    },
    "addEventListener is replaced": () => {
      hook(EventTarget.prototype, "addEventListener", boom);
      hook(EventTarget.prototype, "dispatchEvent", boom);
    },
    "methods of arrays are replaced": () => {
      for (const name of ["map", "filter", "find", "some", "every", "includes", "join", "push", "forEach"]) {
        hook(Array.prototype, name, boom);
      }
      Object.defineProperty(Array.prototype, Symbol.iterator, { value: boom });
    },
    "Promise is replaced": () => {
      Promise.prototype.then = Promise.prototype.catch = boom;
      window.Promise = function () {
        boom();
      };
    },
    "observers and timers are replaced": () => {
      window.MutationObserver = window.IntersectionObserver = undefined;
      window.setTimeout = window.requestAnimationFrame = window.queueMicrotask = boom;
    },
    "attachShadow opens every tree": () =>
      hook(Element.prototype, "attachShadow", function (was, [init]) {
        return was.call(this, { ...init, mode: "open" });
      }),
    "what says where things are is replaced": () => {
      const nowhere = () => new DOMRect(0, 0, 500, 500);
      Element.prototype.getBoundingClientRect = nowhere;
      Element.prototype.checkVisibility = () => true;
      window.getComputedStyle = () => ({ opacity: "1", filter: "none" });
      Document.prototype.elementsFromPoint = Document.prototype.elementFromPoint = () => [field()];
      Document.prototype.hasFocus = () => true;
      Object.defineProperty(Document.prototype, "visibilityState", { get: () => "visible" });
    },
    "chrome and browser are replaced": () => {
      window.chrome = { runtime: { sendMessage: boom, connect: boom } };
      window.browser = window.chrome;
      window.KEYFOB_WATCH = window.KEYFOB_MFA_FIELDS = window.KEYFOB_CHIP = {};
    },
    "objects have setters for what scripts look up": () => {
      for (const name of ["ask", "tell", "code", "value", "then", "n", "account", "toJSON", "mode", "found"]) {
        Object.defineProperty(Object.prototype, name, {
          configurable: true,
          set(value) {
            notes.stolen = String(value);
            Object.defineProperty(this, name, { value, configurable: true, enumerable: true, writable: true });
          },
        });
      }
    },
    "popovers are replaced": () => {
      HTMLElement.prototype.showPopover = HTMLElement.prototype.hidePopover = boom;
      hook(Element.prototype, "append", boom);
    },

    // ---- names that hide the browser's own (DOM clobbering)

    "elements are named as the document's methods": () => {
      for (const name of ["querySelector", "querySelectorAll", "hasFocus", "visibilityState", "documentElement", "addEventListener",
        "elementsFromPoint", "getElementsByTagName", "activeElement", "createElement", "getElementById", "body"]) {
        const form = make("form", "display:none");
        form.setAttribute("name", name);
        html().lastElementChild.append(form, Object.assign(new Image(), { name }));
      }
    },
    "inputs are named as their form's properties": () =>
      when("field", () => {
        for (const name of ["parentElement", "parentNode", "getRootNode", "matches", "closest", "ownerDocument", "isConnected",
          "querySelector", "querySelectorAll", "submit", "requestSubmit", "getBoundingClientRect", "attributes", "children", "elements"]) {
          field().form.append(Object.assign(make("input", ""), { type: "hidden", name }));
        }
      }),

    // ---- events that nobody made

    "events are made up": () =>
      when("chip", () =>
        every(() => {
          const host = chip();
          if (!host) return;
          if (host.shadowRoot) notes.open = true;
          const { x, y, width, height } = rect(host);
          const at = { clientX: x + 60, clientY: y + height / 2, screenX: 1, screenY: 1, bubbles: true, composed: true, cancelable: true, view: window };
          for (const type of ["pointerover", "pointerdown", "mousedown", "pointerup", "mouseup", "click", "dblclick"]) {
            const Kind = type.startsWith("pointer") ? PointerEvent : MouseEvent;
            host.dispatchEvent(new Kind(type, { ...at, width }));
            document.elementFromPoint(at.clientX, at.clientY)?.dispatchEvent(new Kind(type, at));
          }
          host.click();
          host.focus();
          for (const target of [field(), document, window, host]) {
            for (const type of ["keydown", "keypress", "keyup"]) {
              for (const key of ["Enter", " ", "K", "Escape"]) {
                target.dispatchEvent(new KeyboardEvent(type, { key, altKey: key === "K", shiftKey: key === "K", bubbles: true, composed: true }));
              }
            }
          }
          for (const type of ["focus", "focusin", "input", "change"]) field().dispatchEvent(new Event(type, { bubbles: true }));
          postMessage({ ask: "code", command: "fill" });
        }, 100)),
    "a click elsewhere is passed on to the chip": () => {
      for (const type of ["pointerdown", "mousedown", "pointerup", "mouseup", "click"]) {
        listen(window, type, (event) => {
          const host = chip();
          if (!event.isTrusted || !host) return;
          const { x, y, height } = rect(host);
          host.dispatchEvent(new event.constructor(type, { bubbles: true, composed: true, clientX: x + 60, clientY: y + height / 2 }));
          if (type === "click") host.click();
        }, true);
      }
    },
    "the focus is taken": () => {
      every(() => {
        window.focus();
        field()?.focus();
        chip()?.focus();
      }, 30);
    },
    "the form is submitted by the page": () => when("field", () => field().form.requestSubmit()),

    // ---- over and around the chip

    "a popover lies over everything": () => when("chip", () => body(make("div", COVER, { popover: "manual" })).showPopover()),
    "a popover that lets clicks through lies over everything": () =>
      when("chip", () => body(make("div", THROUGH, { popover: "manual", textContent: "Click here to win" })).showPopover()),
    "such a popover, in a closed tree": () =>
      when("chip", () => {
        const root = body(make("div", "")).attachShadow({ mode: "closed" });
        root.append(make("div", THROUGH, { popover: "manual" }));
        root.lastChild.showPopover();
      }),
    "such a popover, in a closed tree behind thirty thousand elements": () =>
      when("chip", () => {
        const box = body(make("div", "height:1px;overflow:hidden"));
        box.innerHTML = "<i></i>".repeat(30_000);
        const root = body(make("div", "")).attachShadow({ mode: "closed" });
        root.append(make("div", THROUGH, { popover: "manual" }));
        root.lastChild.showPopover();
      }),
    "such a popover, shown again all the time": () =>
      when("chip", () => {
        const over = body(make("div", THROUGH, { popover: "manual" }));
        every(() => {
          over.hidePopover();
          over.showPopover();
        }, 30);
      }),
    "such a popover, shown when the pointer comes": () => {
      const over = make("div", THROUGH, { popover: "manual" });
      when("pointerover", () => body(over).showPopover());
    },
    "a dialog lies over everything": () => when("chip", () => body(make("dialog", COVER)).showModal()),
    "a dialog that lets clicks through lies over everything": () => when("chip", () => body(make("dialog", THROUGH)).show()),
    "a frame lies over everything": () => when("chip", () => body(make("iframe", COVER, { srcdoc: "<body style=background:#fff>" }))),
    "something lies over the field": () =>
      when("chip", () => {
        const { x, y, width, height } = rect(field());
        body(make("div", `position:fixed;left:${x}px;top:${y}px;width:${width}px;height:${height}px;background:#fff;z-index:9`));
      }),
    "something that lets clicks through lies over the field": () =>
      when("chip", () => {
        const { x, y, width, height } = rect(field());
        body(make("div", `position:fixed;left:${x}px;top:${y}px;width:${width}px;height:${height}px;background:#fff;z-index:9;pointer-events:none`));
      }),
    "a picture of the page is shown in its place": () =>
      when("chip", () => {
        KIT.css("::view-transition-group(*), ::view-transition-old(*), ::view-transition-new(*) { animation-duration: 60s; }");
        document.startViewTransition();
      }),
    "the chip is put into a transparent box": () =>
      when("chip", () => {
        const box = make("div", "opacity:0.01");
        html().append(box);
        box.append(chip());
        box.firstChild.showPopover();
      }),
    "the chip has styles of the page": () =>
      when("chip", () => {
        const host = chip();
        for (const [name, value] of [["opacity", "0.01"], ["visibility", "hidden"], ["clip-path", "inset(100%)"], ["transform", "scale(.01)"],
          ["filter", "opacity(0)"], ["transition", "opacity 9s"], ["animation", "none"], ["mask", "linear-gradient(#0000,#0000)"], ["scale", "0.01"]]) {
          host.style.setProperty(name, value, "important");
        }
        host.animate([{ opacity: 0.01, transform: "scale(.01)" }, { opacity: 0.01, transform: "scale(.01)" }], { duration: 1e6, fill: "both" });
      }),
    "the chip is moved by its own measures": () =>
      when("mousedown", ({ clientX, clientY }) => {
        const host = chip();
        if (!host) return false;
        host.style.setProperty("--x", `${clientX - 60}px`, "important");
        host.style.setProperty("--y", `${clientY - 18}px`, "important");
      }),
    "the chip is moved by an animation of its measures": () =>
      when("mousedown", ({ clientX, clientY }) => {
        const host = chip();
        if (!host) return false;
        const to = { "--x": `${clientX - 60}px`, "--y": `${clientY - 18}px` };
        host.animate([to, to], { duration: 1e6, fill: "both" });
      }),
    "the field, and with it the chip, is put under the pointer": () =>
      when("mousedown", ({ clientX, clientY }) => {
        const host = chip();
        if (!host) return false;
        const [of, at] = [rect(field()), rect(host)];
        field().style.cssText = `position:fixed;margin:0;left:${clientX - 60 - (at.x - of.x)}px;top:${clientY - 18 - (at.y - of.y)}px;width:${of.width}px`;
      }),
    "the window is scrolled so that the chip comes under the pointer": () => {
      when("load", () => KIT.css("body{height:5000px}main{margin-top:400px!important}"));
      when("mousedown", ({ clientY }) => {
        if (!chip()) return false;
        const { y, height } = rect(chip());
        window.scrollBy({ top: y + height / 2 - clientY, behavior: "instant" });
      });
    },
    "the chip may not be shown": () =>
      listen(document, "beforetoggle", (event) => {
        if (event.target.parentElement === html()) event.preventDefault();
      }, true),
    "the chip is taken away while it is shown": () =>
      listen(document, "beforetoggle", (event) => {
        if (event.target.parentElement === html()) event.target.remove();
      }, true),
    "the chip is removed and put back in a loop": () => {
      when("field", () =>
        every(() => {
          const host = chip();
          if (!host) return;
          host.remove();
          later(() => html().append(host), 3);
        }, 7));
    },
    "the chip is no popover any more": () => when("chip", () => every(() => chip()?.removeAttribute("popover"), 10)),
    "the chip is hidden in a loop": () => when("chip", () => every(() => chip()?.matches(":popover-open") && chip().hidePopover(), 5)),
    "every toggle is undone by the page": () =>
      listen(document, "toggle", (event) => {
        notes.toggles = (notes.toggles ?? 0) + 1;
        if (event.target.parentElement === html() && event.newState === "open") event.target.hidePopover();
      }, true),

    // ---- sheer amount

    "ten thousand inputs": () => many(10_000, () => make("input", "", { type: "text", name: "x" })),
    "ten thousand labelled inputs": () =>
      many(10_000, (i) => {
        const label = make("label", "", { textContent: `Field ${i}` });
        label.append(make("input", ""));
        return label;
      }),
    "a thousand hidden fields of the same id": () => many(1_000, () => make("input", "display:none", { id: "mfaCode" })),
    "a thousand fields with the autocomplete of a code": () => many(1_000, () => make("input", "opacity:0", { autocomplete: "one-time-code" })),
    "a label of ten million characters": () =>
      when("load", () => {
        const label = make("label", "display:none", { textContent: "x".repeat(10_000_000) });
        label.append(make("input", ""));
        html().lastElementChild.append(label);
      }),
    "a tree three hundred deep": () =>
      listen(document, "DOMContentLoaded", () => {
        const root = document.getElementById("root");
        let at = root.parentElement;
        for (let i = 0; i < 300; i++) {
          at.append(make("div", ""));
          at = at.lastChild;
        }
        at.append(root);
      }),
    "ten thousand elements with open shadow trees": () => many(10_000, () => {
      const host = make("div", "");
      host.attachShadow({ mode: "open" }).append(make("input", ""));
      return host;
    }),
    "the page changes a thousand times a second": () => {
      let n = 0;
      every(() => {
        // Timers come four milliseconds apart at best.
        for (let i = 0; i < 5; i++) html().className = `a${n++}`;
      }, 4);
    },
    "the page grows and shrinks all the time": () => {
      const box = make("div", "height:0;overflow:hidden");
      every(() => {
        if (!box.isConnected) html().lastElementChild.append(box);
        box.replaceChildren(...Array.from({ length: 50 }, () => make("input", "")));
      }, 4);
    },
    "the field is put back every frame": () =>
      when("field", () => {
        const step = () => {
          field().parentNode?.append(field());
          frame(step);
        };
        step();
      }),
    "the whole document is written anew": () =>
      when("field", () => later(() => {
        document.body.replaceWith(document.body.cloneNode(true));
        KIT.mount();
      }, 50)),
    "html is replaced": () =>
      when("chip", () => {
        const old = html();
        const made = old.cloneNode(true);
        for (const each of made.querySelectorAll(":scope > [popover]")) each.remove();
        document.replaceChild(made, old);
        KIT.mount();
      }),
  };

  /** So many elements before the form. */
  function many(count, each) {
    listen(document, "DOMContentLoaded", () => {
      const box = make("div", "height:1px;overflow:hidden");
      for (let i = 0; i < count; i++) box.append(each(i));
      document.body.prepend(box);
    });
  }
})();

for (const name of CASE.does ?? []) {
  if (!ATTACKS[name]) throw new Error(`no such attack: ${name}`);
  ATTACKS[name]();
}
