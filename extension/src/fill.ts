// Filling the code into a sign-in page: the person's intent, what is shown in the chip, and the filling itself. A classic
// script, which the background puts into a frame, behind chip.ts, once watch.ts has found something to do there.
//
// The page is hostile: what is filled is looked at again in the moment of filling. All rules about hosts are the
// background's (in the wasm); this knows fields only.

(() => {
  type Candidate = import("./internal.js").Candidate;
  type FieldAsk = import("./internal.js").FieldAsk;
  type FieldTell = import("./internal.js").FieldTell;
  type FillCommand = import("./internal.js").FillCommand;
  type Trouble = import("./internal.js").Trouble;
  type Chip = import("./internal.js").Chip;
  type State = import("./internal.js").ChipState;

  // Without the watcher there is nothing to do, and a second time there is nothing more.
  if (!KEYFOB_WATCH || KEYFOB_WATCH.look) return;
  const watch = KEYFOB_WATCH;
  const { element } = KEYFOB_CHIP;

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

  let chip: Chip | undefined;
  let state: State = "idle";

  function show(next: State, text: string, detail = ""): void {
    if (!field) return;
    state = next;
    chip ??= KEYFOB_CHIP.create({ dismissed: dismiss });
    const act = next === "idle" || next === "trouble" ? fillByPerson : undefined;
    chip.show({ state, text, detail, act, body: next === "choose" ? [list(chip)] : undefined });
    chip.place(field);
  }

  function list(chip: Chip): HTMLElement {
    const made = element("ul");
    for (const candidate of candidates ?? []) {
      const item = chip.button("", "", () => request(candidate));
      item.append(element("b", candidate.label), element("small", candidate.detail));
      made.append(element("li"));
      made.lastElementChild?.append(item);
    }
    return made;
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
    chip?.remove();
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
      chip?.place();
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
