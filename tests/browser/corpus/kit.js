// The page's side of the corpus: puts a sign-in form on the page as its framework would, tells the test's server how the
// page is (to look into a page by automation would count as the person's interaction with it), and keeps what it
// needs of the browser before a hostile page replaces it. A classic script; `CASE` stands before it.
"use strict";

const KIT = (() => {
  const uncurried = (method) => Function.prototype.call.bind(method);
  const native = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value");
  const [get, set] = [uncurried(native.get), uncurried(native.set)];
  const html = Object.getOwnPropertyDescriptor(Document.prototype, "documentElement").get.bind(document);
  const all = uncurried(Element.prototype.querySelectorAll);
  const byId = Document.prototype.getElementById.bind(document);
  const create = Document.prototype.createElement.bind(document);
  const append = uncurried(Element.prototype.append);
  const rect = uncurried(Element.prototype.getBoundingClientRect);
  const listen = uncurried(EventTarget.prototype.addEventListener);
  const [send, every, later, stringify, now, frame] = [
    fetch.bind(window), setInterval.bind(window), setTimeout.bind(window), JSON.stringify,
    performance.now.bind(performance), requestAnimationFrame.bind(window),
  ];
  const activation = navigator.userActivation;

  /** The form that is on the page now: its fields, and what its framework believes. */
  let form = { fields: [], buttons: [], state: () => "", submitted: () => null };
  const notes = {};
  /** As `map`; nothing of arrays that a page can replace is used. */
  const mapped = (list, each) => {
    const made = [];
    for (let i = 0; i < list.length; i++) made[i] = each(list[i], i);
    return made;
  };
  const joined = (texts) => {
    let text = "";
    for (let i = 0; i < texts.length; i++) text += texts[i];
    return text;
  };
  const box = (element) => {
    const { x, y, width, height } = rect(element);
    return { x, y, width, height };
  };
  /** The extension's chip lies beside `head` and `body`; the page sees that there is one and no more. */
  const chip = () => all(html(), ":scope > [popover]")[0];

  // ---- what is told

  let [longest, last] = [0, now()];
  every(() => {
    const at = now();
    longest = Math.max(longest, at - last);
    last = at;
  }, 10);
  let fieldSince, chipSince;
  function report() {
    const host = chip();
    const seen = form.fields.length > 0;
    if (seen) fieldSince ??= now();
    if (host) chipSince ??= now();
    void send(`/report?case=${CASE.id}`, {
      method: "POST",
      body: stringify({
        fields: mapped(form.fields, box),
        value: joined(mapped(form.fields, get)),
        state: form.state(),
        submitted: form.submitted(),
        chip: host ? box(host) : null,
        open: host ? host.shadowRoot !== null : false,
        buttons: mapped(form.buttons, box),
        width: innerWidth,
        height: innerHeight,
        active: activation.hasBeenActive,
        chipAfter: chipSince - fieldSince,
        longest,
        notes,
      }),
    });
  }
  every(report, 40);
  // When the field came and when the chip, as exactly as the page can see it.
  new MutationObserver(() => {
    if (form.fields.length > 0) fieldSince ??= now();
    if (chip()) chipSince ??= now();
  }).observe(html(), { childList: true, subtree: true });

  // ---- frameworks: how each keeps the code, and what puts it back

  const frameworks = {
    /** A form without a framework: what is submitted is what is in the field. */
    plain: (field, changed) => listen(field, "input", () => changed(get(field))),

    /**
     * AngularJS's `ngModel`: an event makes a `$viewValue`, parsers a `$modelValue`, and what is in the field without an event is
     * overwritten when the digest renders.
     */
    angular(field, changed) {
      let view = "";
      const digest = () => {
        if (get(field) !== view) set(field, view);
      };
      const parse = () => {
        view = get(field).trim();
        changed(view);
        digest();
      };
      for (const type of ["input", "change"]) listen(field, type, parse);
      listen(field, "blur", digest);
      every(digest, 50);
    },

    /**
     * React's controlled input: it tracks what scripts assign to `element.value`; an `input` event whose value the tracker has
     * seen already is no change, and rendering puts the framework's own value back. Events are listened to at the root.
     */
    react(field, changed, root) {
      let [known, state] = [get(field), get(field)];
      Object.defineProperty(field, "value", {
        configurable: true,
        get: () => get(field),
        set(value) {
          known = String(value);
          set(field, value);
        },
      });
      const render = () => {
        if (get(field) !== state) field.value = state;
      };
      listen(root, "input", (event) => {
        if (event.composedPath()[0] !== field) return;
        if (get(field) !== known) {
          known = state = get(field);
          changed(state);
        }
        queueMicrotask(render);
      }, true);
      every(render, 50);
    },
  };

  /** Puts the form of the template into `root`, and has the case's framework keep it. */
  function mount(root = byId("root"), template = byId("first") ? "first" : "mfa") {
    const content = byId(template).content.cloneNode(true);
    const fields = mapped(content.querySelectorAll("[data-code]"), (field) => field);
    const parts = mapped(fields, () => "");
    let submitted = null;
    root.replaceChildren(content);
    const buttons = mapped(all(root, "[data-submit]"), (button) => button);
    const framework = frameworks[CASE.framework];
    mapped(fields, (field, i) => framework(field, (value) => {
      parts[i] = value;
      // Six fields of one digit: the next has the focus once one has its digit.
      if (fields.length > 1 && value && fields[i + 1]) fields[i + 1].focus();
    }, root));
    const submit = (event) => {
      event.preventDefault();
      submitted = joined(parts);
    };
    mapped(all(root, "form"), (each) => listen(each, "submit", submit));
    mapped(buttons, (each) => listen(each, "click", submit));
    form = { fields, buttons, state: () => joined(parts), submitted: () => submitted };
    if (CASE.focus) fields[0]?.focus();
    fieldSince ??= now();
  }

  /** A web component that keeps the form in its own tree. */
  function component(depth) {
    const host = create(`sign-in-${depth}`);
    const root = host.attachShadow({ mode: "open" });
    const style = create("style");
    style.textContent = byId("look").textContent;
    const inside = create("div");
    root.append(style, inside);
    if (depth > 1) {
      const inner = component(depth - 1);
      inside.append(inner.host);
      return { host, place: inner.place };
    }
    return { host, place: inside };
  }

  // ---- when

  const whens = {
    load: (act) => act(),
    field: (act) => soon(() => form.fields.length > 0, act),
    /** After a person could have seen the chip for a moment. */
    chip: (act) => soon(() => chip(), () => later(act, 100)),
    pointerdown: (act) => once("pointerdown", act),
    mousedown: (act) => once("mousedown", act),
    mouseup: (act) => once("mouseup", act),
    pointerover: (act) => once("pointerover", (event) => event.target === chip() && act()),
    /** The person has clicked, and the code is on its way. */
    click: (act) => once("click", act),
  };
  const once = (type, act) => {
    let done = false;
    listen(window, type, (event) => {
      if (!done && event.isTrusted && act(event) !== false) done = true;
    }, true);
  };
  const soon = (is, act) => {
    const look = () => (is() ? act() : later(look, 5));
    look();
  };
  const when = (name, act) => whens[name](act);

  function css(text) {
    const style = create("style");
    style.textContent = text;
    append(html(), style);
  }

  /** Begins: the form comes at once, or late, or into a tree of its own. */
  function begin() {
    const start = () => {
      if (CASE.root === undefined) return mount();
      const { host, place } = component(CASE.root === "nested shadow" ? 2 : 1);
      byId("root").append(host);
      mount(place);
    };
    // Several steps: a button with `data-goes` leads to the template of that name.
    listen(document, "click", (event) => {
      const to = event.target.closest?.("[data-goes]")?.dataset.goes;
      if (!to) return;
      event.preventDefault();
      const choice = all(html(), "[name=mfaType]:checked")[0]?.value ?? "SWHW";
      notes.choice = choice;
      if (choice !== "SWHW") return;
      byId("root").replaceChildren();
      later(() => mount(undefined, to), 60);
    });
    if (CASE.late === undefined) start();
    else later(start, CASE.late);
    if (CASE.replacedAfter) when("pointerdown", () => void later(() => mount(undefined, "mfa"), CASE.replacedAfter));
    when("field", () => {
      const { fields } = form;
      mapped(CASE.replacedAt ?? [], (at) =>
        later(() => mount(fields[0].getRootNode().host?.shadowRoot.lastElementChild, "mfa"), at));
    });
  }

  return { mount, begin, chip, css, when, every, later, frame, listen, notes, html, rect, create,
    get fields() { return form.fields; } };
})();

if (CASE.css) KIT.when(CASE.when ?? "load", () => KIT.css(CASE.css));
