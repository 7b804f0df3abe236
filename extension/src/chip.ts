// The chip beside the field for the MFA code, and the filling. A classic script, which the background puts into a frame
// of a sign-in page once watch.ts has found a field there.
//
// The page is hostile: the chip is in a closed shadow root, only trusted events count, and what is filled is looked at
// again in the moment of filling. All rules about hosts are the background's (in the wasm); this knows fields only.

(() => {
  type Candidate = import("./internal.js").Candidate;
  type FieldAsk = import("./internal.js").FieldAsk;
  type FieldTell = import("./internal.js").FieldTell;
  type FillCommand = import("./internal.js").FillCommand;
  type Trouble = import("./internal.js").Trouble;
  type State = "idle" | "choose" | "busy" | "touch" | "done" | "trouble";

  // Without the watcher there is nothing to do, and a second time there is nothing more.
  if (!KEYFOB_WATCH || KEYFOB_WATCH.look) return;
  const watch = KEYFOB_WATCH;

  // ---- the field

  /** Why the field cannot be reached by a person's pointer right now, if so. */
  function coveredBecause(field: HTMLInputElement): string | undefined {
    const { left, top, width, height } = field.getBoundingClientRect();
    for (const [x, y] of [[0.5, 0.5], [0.2, 0.5], [0.8, 0.5]] as const) {
      const at = [left + width * x, top + height * y] as const;
      if (at[0] < 0 || at[1] < 0 || at[0] >= innerWidth || at[1] >= innerHeight) return "the field is out of view";
      const hit = document.elementsFromPoint(...at).find((element) => element !== chip?.host);
      const own = hit === field || (hit instanceof HTMLLabelElement && hit.control === field);
      if (!own) return "something covers the field";
    }
    return undefined;
  }

  // ---- what is going on

  let field: HTMLInputElement | undefined;
  let certain = false;
  /** What fits the page; undefined until the key was asked. */
  let candidates: Candidate[] | undefined;
  /** When the person last did something here, and when the key was last asked by itself: once for each. */
  let lastAct = 0;
  let lastArmed = -1;
  /** The shortcut was pressed before it was known what fits. */
  let fillWhenKnown = false;
  /** The question that is open; answers to others are late. */
  let asked: { n: number; ask: FieldAsk["ask"] } | undefined;
  let lastNumber = 0;
  /** How the page was when the code was asked for. */
  let before: { field: HTMLInputElement; value: string; page: string } | undefined;

  /** The page is what the person looks at and types into. */
  const attended = () => document.visibilityState === "visible" && document.hasFocus();
  const page = () => location.origin + location.pathname + location.search;

  /** Origins of the frames around this one; "null", which nobody accepts, where the browser will not say. */
  function ancestors(): string[] {
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
  }

  // ---- talking to the background

  let port: chrome.runtime.Port | undefined;

  /** Says something that gets no answer. */
  function say(message: FieldAsk): void {
    try {
      port?.postMessage(message);
    } catch {
      // The extension was updated: nobody is there.
    }
  }

  function ask(message: { ask: "candidates" } | { ask: "code"; account: string; waited: boolean }): void {
    asked = { n: ++lastNumber, ask: message.ask };
    try {
      if (!port) {
        port = chrome.runtime.connect({ name: "field" });
        port.onMessage.addListener(receive);
        port.onDisconnect.addListener(() => {
          void chrome.runtime.lastError;
          port = undefined;
          // The background was restarted: what fits is no longer known there.
          candidates = undefined;
          if (asked) failed({ code: "host-crashed", message: "Keyfob was interrupted", hint: "Click to try again." });
        });
      }
      port.postMessage({ n: asked.n, ancestors: ancestors(), ...message } satisfies FieldAsk);
    } catch {
      failed({ code: "host-crashed", message: "Keyfob was updated", hint: "Reload this page." });
    }
  }

  function receive(tell: FieldTell): void {
    if (!field || tell.n !== asked?.n) return;
    switch (tell.tell) {
      case "candidates":
        asked = undefined;
        candidates = tell.candidates;
        software = tell.software;
        if (fillWhenKnown) fillByPerson();
        else offer();
        break;
      case "touch":
      case "waiting":
        if (!stillWanted()) break;
        if (tell.tell === "touch") show("touch", "Touch your key", choice);
        else show("busy", "Waiting…", sentence(tell.why));
        break;
      case "next-step":
        show("busy", "Waiting for the next code…", choice);
        setTimeout(() => askAgain(tell.n), tell.seconds * 1000);
        break;
      case "code":
        asked = undefined;
        if (fill(tell.value)) say({ n: tell.n, ask: "filled" });
        break;
      case "trouble":
        failed(tell.trouble);
        break;
    }
  }

  // ---- a person's intent

  /** Looks whether the key may be asked: first what fits, which makes nothing blink, then perhaps the code. */
  function consider(): void {
    if (!field || asked || !attended()) return;
    if (!candidates) {
      if (state !== "trouble") ask({ ask: "candidates" });
      return;
    }
    const [only, ...others] = candidates;
    // The key blinks by itself only for the one account there is, in a page that the person has already used.
    const intended = only?.touch && others.length === 0 && certain && field.value === "";
    if (state === "idle" && intended && lastAct > lastArmed && navigator.userActivation?.hasBeenActive) {
      lastArmed = performance.now();
      request(only);
    }
  }

  /** Shows what could be filled, and asks for it where no click is needed. */
  function offer(): void {
    const [first, ...others] = candidates ?? [];
    fillWhenKnown = false;
    if (!first) {
      show("trouble", "No code for this page on the key", "Add the account with `keyfob oath uri`.");
    } else if (others.length > 0) {
      show("idle", "Fill code", joined([`${others.length + 1} accounts fit`, keyKind()]));
    } else {
      show("idle", first.touch ? "Use key" : "Fill code", named(first));
      consider();
    }
  }

  /** The person clicked, or pressed the shortcut. */
  function fillByPerson(): void {
    if (!field || asked?.ask === "code") return;
    const [first, ...others] = candidates ?? [];
    if (!first) {
      // Nothing is known, or nothing fitted: the key may be another by now.
      fillWhenKnown = candidates === undefined;
      candidates = undefined;
      show("busy", "Asking the key…");
      ask({ ask: "candidates" });
    } else if (others.length > 0) {
      fillWhenKnown = false;
      show("choose", "Which account?", keyKind());
    } else {
      request(first);
    }
  }

  /** The account that was asked for last, by its full name, and what is shown of it. */
  let account = "";
  let choice = "";
  let software = false;
  const keyKind = () => (software ? "software key" : "");
  const joined = (parts: string[]) => parts.filter(Boolean).join(" · ");
  const named = ({ label, detail }: Candidate) => joined([label, detail, keyKind()]);

  function request(candidate: Candidate): void {
    if (!field) return;
    fillWhenKnown = false;
    before = { field, value: field.value, page: page() };
    choice = named(candidate);
    account = candidate.name;
    show("busy", "Asking the key…", choice);
    ask({ ask: "code", account, waited: false });
  }

  /** The step that question `n` had to wait for has begun. The key blinks only if the code is still wanted. */
  function askAgain(n: number): void {
    if (n !== asked?.n) return;
    if (!stillWanted()) return;
    show("busy", "Asking the key…", choice);
    ask({ ask: "code", account, waited: true });
  }

  /** Whether the code that was asked for may still be filled; if not, the question is taken back. */
  function stillWanted(): boolean {
    const because = changedBecause();
    if (because !== undefined) notFilled(because);
    return because === undefined;
  }

  /** What to do, for a person who sees the chip: the host's hints are for a terminal, or longer than there is room for. */
  const HINTS: Partial<Record<Trouble["code"], string>> = {
    "no-key": "Plug it in, then click to try again.",
    "no-pcsc": "Open Keyfob from the toolbar to see what to do.",
    locked: "Open Keyfob from the toolbar and enter the password.",
    ambiguous: "Open Keyfob from the toolbar and choose one.",
    cancelled: "Click to try again.",
  };

  /** The host's sentences begin small. */
  const sentence = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

  function failed({ code, message, hint }: Trouble): void {
    asked = undefined;
    fillWhenKnown = false;
    show("trouble", sentence(message), sentence(HINTS[code] ?? hint ?? "Click to try again."));
  }

  // ---- filling

  /** Why the page is not any more what it was when the code was asked for. */
  function changedBecause(): string | undefined {
    if (!field || before?.field !== field || !field.isConnected) return "the field was replaced";
    if (before.page !== page()) return "the page changed";
    if (before.value !== field.value) return "you typed meanwhile";
    if (!attended()) return "the page lost the focus";
    const active = document.activeElement;
    const types = active !== field && active instanceof HTMLElement;
    if (types && (active.isContentEditable || active.matches("input, textarea, select, iframe"))) {
      return "the focus moved";
    }
    return undefined;
  }

  function notFilled(because: string): void {
    if (asked) say({ n: asked.n, ask: "stop" });
    asked = undefined;
    show("trouble", "Not filled", `${sentence(because)}. Click to try again.`);
  }

  /** Whether the code is in the field now. */
  function fill(code: string): boolean {
    const because = changedBecause() ?? (field && (watch.hiddenBecause(field) ?? coveredBecause(field)));
    if (because !== undefined || !field) {
      notFilled(because ?? "the field is gone");
      return false;
    }
    // React tracks `value` on the element itself: only the prototype's setter makes it notice.
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value")?.set?.call(field, code);
    field.dispatchEvent(new Event("input", { bubbles: true }));
    field.dispatchEvent(new Event("change", { bubbles: true }));
    show("done", "Code filled");
    return true;
  }

  // ---- the chip

  interface Chip {
    host: HTMLElement;
    root: ShadowRoot;
  }

  let chip: Chip | undefined;
  let state: State = "idle";

  const STYLE = `
    :host { all: initial !important; display: block !important; position: fixed !important;
      inset: auto !important; margin: 0 !important; border: 0 !important; padding: 0 !important;
      width: max-content !important; /* whatever the window's edge: where it fits is looked for */
      left: var(--x) !important; top: var(--y) !important; z-index: 2147483647 !important;
      background: none !important; overflow: visible !important; color-scheme: light dark !important; }
    :host(:not(:popover-open)) { display: none !important; }
    .chip { --ink: #14231f; --soft: #55655f; --paper: #fff; --line: #d5dedb; --accent: #0b7a65; --bad: #b3261e;
      display: grid; grid-template-columns: 1fr auto; box-sizing: border-box; max-width: var(--room); overflow: hidden;
      font: 500 13px/1.35 system-ui, sans-serif; color: var(--ink); background: var(--paper);
      border: 1px solid var(--line); border-radius: 12px; box-shadow: 0 1px 2px #0002, 0 6px 20px #0003; }
    button { all: unset; cursor: pointer; box-sizing: border-box; }
    button:focus-visible { outline: 2px solid var(--accent); outline-offset: -2px; border-radius: 11px; }
    button:hover { background: color-mix(in srgb, var(--accent) 9%, transparent); }
    .main { display: flex; gap: 9px; align-items: center; min-height: 38px; padding: 5px 6px 5px 11px; }
    .close { padding: 0 11px; color: var(--soft); font-size: 16px; }
    svg { flex: none; width: 18px; height: 18px; color: var(--accent); }
    b, small { display: block; font-weight: inherit; overflow-wrap: anywhere; }
    code { font: 500 .95em ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", monospace; }
    small { color: var(--soft); font-size: 11.5px; font-weight: 400; }
    ul { grid-column: 1 / -1; margin: 0; padding: 4px; list-style: none; border-top: 1px solid var(--line);
      max-height: 220px; overflow: auto; }
    ul button { display: block; width: 100%; padding: 6px 8px; border-radius: 8px; }
    .trouble svg { color: var(--bad); }
    .busy .main, .touch .main, .done .main { cursor: default; background: none; }
    .busy svg { opacity: .5; }
    .touch { border-color: var(--accent); }
    .touch svg { border-radius: 50%; animation: pulse 1.4s ease-out infinite; }
    @keyframes pulse { from { box-shadow: 0 0 0 0 color-mix(in srgb, var(--accent) 55%, transparent); }
      to { box-shadow: 0 0 0 10px transparent; } }
    @media (prefers-reduced-motion: reduce) { .touch svg { animation: none; } }
    @media (prefers-color-scheme: dark) { .chip { --ink: #eef4f2; --soft: #a3b3ad; --paper: #1b2522;
      --line: #33423d; --accent: #4fd1b3; --bad: #ff8a80; } }`;

  const KEY_ICON = "M14.5 2a7.5 7.5 0 0 0-7.2 9.6L2 16.9V22h5.1v-2.6h2.6v-2.6h1.6l1.1-1.1A7.5 7.5 0 1 0 14.5 2Zm2 7.5a2 2 0 1 1 0-4 2 2 0 0 1 0 4Z";

  function element<K extends keyof HTMLElementTagNameMap>(tag: K, text = "", name = ""): HTMLElementTagNameMap[K] {
    const made = document.createElement(tag);
    made.textContent = text;
    made.className = name;
    return made;
  }

  /** A line in which commands stand in backticks. */
  function prose(tag: "b" | "small", text: string): HTMLElement {
    const made = element(tag);
    made.append(...text.split("`").map((part, i) => (i % 2 === 0 ? part : element("code", part))));
    return made;
  }

  /** Calls `act` on a person's click, and on no other. */
  function button(name: string, act: () => void): HTMLButtonElement {
    const made = element("button", "", name);
    made.type = "button";
    // The focus stays in the field.
    made.addEventListener("mousedown", (event) => event.preventDefault());
    made.addEventListener("click", (event) => {
      event.stopPropagation();
      if (event.isTrusted && chipIsSeen()) act();
    });
    return made;
  }

  /** The chip's own styles cannot be overruled by the page, but what is around it can be made transparent. */
  function chipIsSeen(): boolean {
    const around = chip?.host.parentElement;
    return chip?.host.isConnected === true && (!around || Number(getComputedStyle(around).opacity) >= watch.MIN_OPACITY);
  }

  function makeChip(): Chip {
    const host = document.createElement("div");
    host.popover = "manual";
    const root = host.attachShadow({ mode: "closed" });
    try {
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(STYLE);
      root.adoptedStyleSheets = [sheet];
    } catch {
      // Firefox does not let content scripts adopt sheets.
      root.append(element("style", STYLE));
    }
    root.append(element("div"));
    return { host, root };
  }

  function show(next: State, text: string, detail = ""): void {
    state = next;
    chip ??= makeChip();
    const main = button("main", () => {
      if (state === "idle" || state === "trouble") fillByPerson();
    });
    main.append(icon(), element("span"));
    main.lastElementChild?.append(prose("b", text), ...(detail ? [prose("small", detail)] : []));
    main.setAttribute("aria-live", "polite");
    const close = button("close", dismiss);
    close.textContent = "×";
    close.setAttribute("aria-label", "Hide Keyfob");
    const body = element("div", "", `chip ${next}`);
    body.setAttribute("role", "group");
    body.setAttribute("aria-label", "Keyfob");
    body.append(main, close);
    if (next === "choose") {
      const list = element("ul");
      for (const candidate of candidates ?? []) {
        const item = button("", () => request(candidate));
        item.append(element("b", candidate.label), element("small", candidate.detail));
        list.append(element("li"));
        list.lastElementChild?.append(item);
      }
      body.append(list);
    }
    chip.root.lastElementChild?.replaceWith(body);
    place();
  }

  function icon(): SVGElement {
    const space = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(space, "svg");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("aria-hidden", "true");
    const path = document.createElementNS(space, "path");
    path.setAttribute("d", KEY_ICON);
    path.setAttribute("fill", "currentColor");
    svg.append(path);
    return svg;
  }

  /** In CSS pixels: what is left free along the window's edges and beside the field, and the chip's greatest width. */
  const EDGE = 8;
  const GAP = 10;
  const MAX_WIDTH = 300;
  /** With as much room as this beside the field, the chip rather becomes narrower than that it covers something else. */
  const MIN_WIDTH = 220;

  /** Beside the field, below it or above it: where it fits, and covers nothing that can be pressed. */
  function place(): void {
    if (!chip || !field) return;
    const { host } = chip;
    if (!host.isConnected) document.documentElement.append(host);
    if (!host.matches(":popover-open")) host.showPopover();
    const box = field.getBoundingClientRect();
    const beside = innerWidth - EDGE - (box.right + GAP);
    const room = beside < MIN_WIDTH ? innerWidth - 2 * EDGE : beside;
    host.style.setProperty("--room", `${Math.floor(Math.min(room, MAX_WIDTH))}px`);
    const { width, height } = host.getBoundingClientRect();
    const left = Math.max(EDGE, Math.min(box.left, innerWidth - width - EDGE));
    const places = [
      [box.right + GAP, box.top + Math.min(0, (box.height - height) / 2)],
      [left, box.bottom + 6],
      [left, box.top - height - 6],
    ] as const;
    const fits = places.filter(
      ([x, y]) => x + width <= innerWidth - EDGE && y >= EDGE && y + height <= innerHeight - EDGE,
    );
    const free = ([x, y]: readonly [number, number]) =>
      [0.05, 0.5, 0.95].every((part) =>
        [0.1, 0.5, 0.9].every((down) => {
          const under = document.elementsFromPoint(x + width * part, y + height * down).find((e) => e !== host);
          return !under?.closest("a, button, input, select, textarea, [role=button]");
        }),
      );
    const [x, y] = fits.find(free) ?? fits[0] ?? places[1];
    host.style.setProperty("--x", `${Math.round(x)}px`);
    host.style.setProperty("--y", `${Math.round(Math.max(EDGE, y))}px`);
  }

  function dismiss(): void {
    if (field) watch.dismissed.add(field);
    leave();
  }

  // ---- watching the page

  function leave(): void {
    field = undefined;
    candidates = undefined;
    asked = undefined;
    before = undefined;
    fillWhenKnown = false;
    state = "idle";
    chip?.host.remove();
    chip = undefined;
    // Nobody waits for an answer any more.
    port?.disconnect();
    port = undefined;
  }

  function look({ found }: import("./internal.js").Look): void {
    if (found?.field !== field) {
      leave();
      if (found) {
        ({ field, certain } = found);
        show("idle", "Fill code");
        consider();
      }
    } else if (field && state === "done" && field.value === "") {
      // The page wants another code, for the last one was refused: that is for a click.
      lastArmed = Infinity;
      offer();
    } else {
      place();
    }
  }

  /** The person came back: a key may have been inserted or unlocked. What failed at a touch waits for a click. */
  function returned(): void {
    if (state === "trouble" && candidates === undefined && !asked && attended()) state = "idle";
    consider();
  }

  /**
   * The person left the field, or wrote into it: nobody waits for a touch. While it blinks, a window that only is no longer in
   * front may be so again in time; but the key never begins to blink for one.
   */
  function left({ type }: Event): void {
    if (asked?.ask === "code" && (type !== "blur" || state === "busy")) stillWanted();
  }
  for (const type of ["focusin", "input", "visibilitychange"]) document.addEventListener(type, left, { capture: true });
  addEventListener("blur", (event) => setTimeout(left, 0, event));
  addEventListener("keydown", (event) => {
    if (event.isTrusted && event.key === "Escape" && asked?.ask === "code") notFilled("you pressed Escape");
  }, { capture: true, passive: true });

  addEventListener("scroll", () => field && watch.soon(), { capture: true, passive: true });
  addEventListener("resize", () => field && watch.soon(), { passive: true });
  addEventListener("focus", returned);
  document.addEventListener("visibilitychange", returned);
  for (const type of ["keydown", "pointerdown", "pointerup"] as const) {
    const acted = (event: Event) => {
      if (!event.isTrusted) return;
      // Letting go belongs to the same act; by touch screen it is what activates the page.
      if (type !== "pointerup") lastAct = event.timeStamp;
      if (field) setTimeout(consider);
    };
    addEventListener(type, acted, { capture: true, passive: true });
  }
  chrome.runtime.onMessage.addListener((message: FillCommand, sender) => {
    if (sender.id === chrome.runtime.id && message.command === "fill" && attended()) fillByPerson();
  });
  watch.look = look;
  watch.scan();
})();
