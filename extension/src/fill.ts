// Filling the code into a sign-in page: the person's intent, what is shown in the chip, and the filling itself. A classic
// script, which the background puts into a frame, behind page.ts and chip.ts, once watch.ts has found something to do there.
//
// The page is hostile: what is filled is looked at again in the moment of filling. All rules about hosts are the
// background's (in the wasm); this knows fields only.

(() => {
  type Candidate = import("./internal.js").Candidate;
  type Chip = import("./internal.js").Chip;
  type FieldAsk = import("./internal.js").FieldAsk;
  type FieldTell = import("./internal.js").FieldTell;
  type FillCommand = import("./internal.js").FillCommand;
  type Found = import("./internal.js").Found;
  type State = import("./internal.js").ChipState;
  /** A question, without its number. */
  type Question = { ask: "candidates" } | { ask: "code"; account: string; chosen: boolean; waited: boolean };

  // Without the watcher there is nothing to do, and a second time there is nothing more.
  if (!KEYFOB_WATCH || KEYFOB_WATCH.look) return;
  const watch = KEYFOB_WATCH;
  const { element, elementAt, paintedOver, t } = KEYFOB_CHIP;
  const { ancestors, attended, pure, write } = KEYFOB_PAGE;
  const doc = pure(document);

  /** So long, in ms, a field that the page took away may take to come back; and so far, in CSS pixels, it may be from there. */
  const BACK_WITHIN = 400;
  const SAME_PLACE = 4;
  /** What a page's framework needs at least, in ms, for its button after a field was filled; and what is waited at most. */
  const SUBMIT_AFTER = 150;
  const SUBMIT_WITHIN = 1500;

  /** Longer names of devices, in characters, are cut where the page could measure them. */
  const MAX_LABEL = 22;

  // ---- the field

  /** What the chip stands at. */
  let found: Found | undefined;
  /** The fields of the code; none on the page of several devices. */
  const inputs = () => (found?.what === "code" ? (found.parts as HTMLInputElement[]) : []);
  const value = () => inputs().map((field) => field.value).join("");
  const anchor = () => found?.parts.at(-1);

  /** Why the element cannot be reached by a person's pointer right now, if so. */
  function coveredBecause(target: HTMLElement): string | undefined {
    const { left, top, width, height } = target.getBoundingClientRect();
    for (const [x, y] of [[0.5, 0.5], [0.2, 0.5], [0.8, 0.5]] as const) {
      const at = [left + width * x, top + height * y] as const;
      if (at[0] < 0 || at[1] < 0 || at[0] >= innerWidth || at[1] >= innerHeight) return "chip_why_view";
      const hit = elementAt(...at, chip?.host);
      const own = hit && (target.contains(hit) || (pure(hit).closest("label"))?.control === target);
      if (!own) return "chip_why_covered";
    }
    return undefined;
  }

  /** Why a person does not see what the chip stands at, if so. */
  function unseenBecause(): string | undefined {
    for (const part of found?.parts ?? []) {
      const because = watch.hiddenBecause(part) ?? coveredBecause(part);
      if (because !== undefined) return because;
    }
    const [first] = found?.parts ?? [];
    return first && paintedOver(first, chip?.host) ? "chip_why_covered" : undefined;
  }

  /** What stays of a field when a framework replaces it. */
  const nameOf = ({ type, id, name, ariaLabel }: HTMLInputElement) =>
    [location.pathname, type, id.replace(/\d+/g, ""), name, ariaLabel].join("|");
  /** The fields whose chip the person has closed. */
  const dismissed = new Set<string>();
  watch.isDismissed = (field) => dismissed.has(nameOf(field));

  // ---- what is going on

  /** What fits the page, the likeliest first; undefined until the key was asked. */
  let candidates: Candidate[] | undefined;
  let likely = 0;
  let software = false;
  /** The key's name, if it is not the one that the person has chosen. */
  let otherKey = "";
  let fillWithoutClick = false;
  let submit = false;
  /** When the person last did something here, and when the key was last asked by itself: once for each. */
  let lastAct = 0;
  let lastArmed = -1;
  /** The shortcut was pressed before it was known what fits. */
  let fillWhenKnown = false;
  /** The question that is open; answers to others are late. */
  let asked: ({ n: number } & Question) | undefined;
  let lastNumber = 0;
  /** A code is wanted: of which account, and how the page was when the person wanted it. */
  let wanted: { account: Candidate; chosen: boolean; parts: HTMLElement[]; value: string; page: string } | undefined;
  /** How what the chip stands at was when it was last looked at: frameworks put another in its place. */
  let last: { name: string; box: DOMRect; page: string } | undefined;
  /** The background was lost, and is asked anew, once. */
  let continuing = false;
  /** Since when the field is gone that a code is wanted for. */
  let goneSince: number | undefined;
  /** The code is in the field, and is submitted at this time if nothing happens. */
  let submitting: ReturnType<typeof setTimeout> | undefined;

  const page = () => location.origin + location.pathname + location.search;

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

  function ask(question: Question): void {
    asked = { n: ++lastNumber, ...question };
    try {
      if (!port) {
        port = chrome.runtime.connect({ name: "field" });
        port.onMessage.addListener(receive);
        port.onDisconnect.addListener(lost);
      }
      port.postMessage({ ancestors: ancestors(), ...asked } satisfies FieldAsk);
    } catch {
      failed(t("chip_updated"), t("chip_reload"));
    }
  }

  /** The background was ended, as browsers do; what was open is asked once more, if it is still wanted. */
  function lost(): void {
    void chrome.runtime.lastError;
    port = undefined;
    const open = asked;
    // What fits is no longer known there.
    candidates = undefined;
    if (!open) return;
    if (continuing) return failed(t("chip_interrupted"), t("chip_again"));
    if (wanted && !stillWanted()) return;
    continuing = true;
    if (found?.what === "code") show("busy", t("chip_continuing"), wanted && named(wanted.account));
    ask({ ask: "candidates" });
  }

  function receive(tell: FieldTell): void {
    if (!found || tell.n !== asked?.n) return;
    switch (tell.tell) {
      case "candidates":
        asked = undefined;
        ({ candidates, likely, software, key: otherKey = "", fillWithoutClick, submit } = tell);
        known();
        break;
      case "touch":
      case "waiting":
        if (!stillWanted()) break;
        if (tell.tell === "touch") show("touch", t("chip_touch"), wanted && named(wanted.account));
        else show("busy", t("chip_waiting"), sentence(tell.why));
        break;
      case "next-step":
        show("busy", t("chip_next"), wanted && named(wanted.account));
        setTimeout(() => tell.n === asked?.n && stillWanted() && request(true), tell.seconds * 1000);
        break;
      case "code":
        asked = undefined;
        continuing = false;
        if (fill(tell.value)) say({ n: tell.n, ask: "filled" });
        break;
      case "trouble":
        failed(tell.title, tell.fix);
        break;
    }
  }

  // ---- a person's intent

  /** Looks whether the key may be asked: first what fits, which makes nothing blink, then perhaps the code. */
  function consider(): void {
    if (!found || asked || !attended()) return;
    if (!candidates) {
      if (state !== "trouble") ask({ ask: "candidates" });
    } else if (found.what === "devices") {
      chooseDevice();
    } else if (state === "idle" && likely === 1 && candidates[0]) {
      const [only] = candidates;
      // The key blinks by itself only for the one account there is, in a page that the person has already used.
      const intended = (only.touch || fillWithoutClick) && found.certain && value() === "";
      if (!intended || lastAct <= lastArmed || !navigator.userActivation?.hasBeenActive) return;
      if (unseenBecause() !== undefined) return;
      lastArmed = performance.now();
      want(only, false);
    }
  }

  /** It is known what fits. */
  function known(): void {
    if (wanted) {
      const { account, chosen } = wanted;
      const again = candidates?.find(({ name }) => name === account.name);
      if (again && stillWanted()) {
        wanted.account = again;
        request(false, chosen);
        return;
      }
      if (!wanted) return;
      wanted = undefined;
    }
    continuing = false;
    if (fillWhenKnown) fillByPerson();
    else offer();
  }

  /** Shows what could be filled, and asks for it where no click is needed. */
  function offer(): void {
    const [first, ...others] = candidates ?? [];
    fillWhenKnown = false;
    if (found?.what === "devices") {
      // Without an account there is nothing to say: the person has other devices.
      if (!first) return chip?.remove(), (chip = undefined);
      show("idle", t("chip_continue"), others.length > 0 ? keyKind() : briefly(first), goOn);
      consider();
    } else if (!first) {
      show("trouble", t("chip_none"), t("chip_none_fix"));
    } else if (likely === 1) {
      show("idle", t(first.touch ? "chip_use_key" : "chip_fill"), briefly(first));
      consider();
    } else {
      const detail = likely === 0 ? t("chip_choose") : t("chip_fit", likely);
      show("idle", t("chip_fill"), joined([detail, keyKind()]));
    }
  }

  /** The person clicked, or pressed the shortcut. */
  function fillByPerson(): void {
    if (!found || wanted) return;
    if (found.what === "devices") return goOn();
    if (!candidates || candidates.length === 0) {
      // Nothing is known, or nothing fitted: the key may be another by now.
      fillWhenKnown = candidates === undefined;
      candidates = undefined;
      show("busy", t("chip_asking"));
      ask({ ask: "candidates" });
    } else if (likely === 1 && candidates[0]) {
      want(candidates[0], false);
    } else {
      choose();
    }
  }

  /** The person's click was in this frame, whichever had the focus. */
  function takeFocus(): void {
    if (!doc.hasFocus()) window.focus();
    if (!doc.hasFocus()) found?.field.focus({ preventScroll: true });
  }

  function choose(): void {
    fillWhenKnown = false;
    show("choose", t("chip_which"), keyKind());
  }

  const keyKind = () => (software ? t("chip_software") : otherKey);
  const joined = (parts: string[]) => parts.filter(Boolean).join(" · ");
  const named = ({ label, detail }: Candidate) => joined([label, detail, keyKind()]);
  /** In lines that are not longer than the chip is wide: an account's number is not what is cut. */
  const briefly = ({ label, detail }: Candidate) =>
    [joined([label.length > MAX_LABEL ? `${label.slice(0, MAX_LABEL - 1)}…` : label, detail]), keyKind()].filter(Boolean).join("\n");
  /** The host's sentences begin small. */
  const sentence = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

  /** A code is wanted now, for the page as it is now. */
  function want(account: Candidate, chosen: boolean): void {
    if (!found) return;
    fillWhenKnown = false;
    continuing = false;
    const { field, parts } = found;
    noteFound();
    wanted = { account, chosen, parts, value: value(), page: page() };
    if (unseenBecause() === "chip_why_view") field.scrollIntoView({ block: "center", behavior: "instant" });
    const because = unseenBecause();
    if (because !== undefined) return notFilled(because);
    request(false, chosen);
  }

  /** The key blinks only if the code is still wanted. `waited`: for the step that a former answer spoke of. */
  function request(waited: boolean, chosen = false): void {
    if (!wanted) return;
    const { account } = wanted;
    show("busy", t(continuing ? "chip_continuing" : "chip_asking"), named(account));
    ask({ ask: "code", account: account.name, chosen, waited });
  }

  /** Whether the code that was asked for may still be filled; if not, the question is taken back. */
  function stillWanted(): boolean {
    // A framework may have replaced the field just now.
    if (!found?.field.isConnected) watch.scan();
    if (wanted && goneSince !== undefined) return true;
    const because = changedBecause();
    if (because !== undefined && wanted) notFilled(because);
    return because === undefined;
  }

  function failed(title: string, fix: string): void {
    asked = undefined;
    wanted = undefined;
    continuing = false;
    fillWhenKnown = false;
    // Who chooses among devices may do without a key.
    if (found?.what === "devices") return chip?.remove(), (chip = undefined), void (state = "trouble");
    show("trouble", title, fix);
  }

  // ---- several devices

  /** The person has chosen a device, even that which was chosen: theirs counts. */
  let chose = false;
  for (const type of ["pointerdown", "click", "change"]) {
    addEventListener(type, ({ isTrusted, target }) => {
      if (!isTrusted || !(target instanceof Element)) return;
      const control = pure(target).closest("label")?.control ?? target;
      if (control instanceof HTMLInputElement && control.type === "radio") chose = true;
    }, { capture: true, passive: true });
  }

  /** Chooses the authenticator app, whose code the key has; that submits nothing. */
  function chooseDevice(): void {
    if (!found || chose || !candidates?.length || !navigator.userActivation?.hasBeenActive) return;
    if (found.field.checked || unseenBecause() !== undefined) return;
    chose = true;
    found.field.click();
  }

  /** On the person's click: goes on with the authenticator app, by the page's own button. */
  function goOn(): void {
    if (!found || found.what !== "devices") return;
    const because = unseenBecause();
    if (because !== undefined) return show("trouble", t("chip_not_filled"), t("chip_because", t(because)));
    chose = true;
    const { field } = found;
    if (!field.checked) field.click();
    // Frameworks let the button be pressed once they know of the choice.
    pressWhenReady([KEYFOB_MFA_FIELDS.goOn], field, () => field.isConnected && field.checked);
  }

  /** Presses the page's button, once it can be pressed, if all is `still` so by then. */
  function pressWhenReady(selectors: string[], field: HTMLInputElement, still: () => boolean, after = 0): void {
    const last = performance.now() + after + SUBMIT_WITHIN;
    const attempt = () => {
      if (!still() || !attended()) return;
      const button = selectors.flatMap((selector) => buttonOf(selector, field))[0];
      if (button) button.click();
      else if (performance.now() < last) submitting = setTimeout(attempt, 100);
    };
    submitting = setTimeout(attempt, after);
  }

  /** The field's form, or where there is none all that it is in. */
  const formOf = (field: HTMLInputElement): ParentNode => pure(field.form ?? field.getRootNode()) as Node & ParentNode;

  /** The button of the field's own form that can be seen and pressed, if there is one and no second. */
  function buttonOf(selector: string, field: HTMLInputElement): HTMLElement[] {
    const around = formOf(field);
    const usable = [...around.querySelectorAll<HTMLElement>(selector)].filter(
      (button) =>
        !(button as HTMLButtonElement).disabled && button.ariaDisabled !== "true" &&
        watch.hiddenBecause(button) === undefined && coveredBecause(button) === undefined,
    );
    return usable.length === 1 ? usable : [];
  }

  // ---- filling

  /** Why the page is not any more what it was when the code was asked for. */
  function changedBecause(): string | undefined {
    if (!found || !wanted || !found.parts.every((part) => part.isConnected)) return "chip_why_replaced";
    if (found.parts.some((part, i) => part !== wanted?.parts[i])) return "chip_why_replaced";
    if (wanted.page !== page()) return "chip_why_page";
    if (wanted.value !== value()) return "chip_why_typed";
    if (!attended()) return "chip_why_focus_lost";
    let active = doc.activeElement;
    for (let inner = active; inner; inner = pure(inner).shadowRoot?.activeElement ?? null) active = inner;
    if (!(active instanceof HTMLElement) || found.parts.includes(active)) return undefined;
    const types = active.isContentEditable || active.matches("input, textarea, select, iframe");
    return types ? "chip_why_focus_moved" : undefined;
  }

  function notFilled(because: string): void {
    if (asked) say({ n: asked.n, ask: "stop" });
    asked = undefined;
    wanted = undefined;
    goneSince = undefined;
    show("trouble", t("chip_not_filled"), t("chip_because", t(because)));
  }

  /** Whether the code is in the field now. */
  function fill(code: string): boolean {
    if (!found?.field.isConnected) watch.scan();
    const because = changedBecause() ?? unseenBecause();
    if (because !== undefined || !found) {
      notFilled(because ?? "chip_why_replaced");
      return false;
    }
    wanted = undefined;
    const { field, parts } = found;
    const fields = inputs();
    if (fields.length === 1) write(field, code);
    else fields.forEach((each, i) => write(each, code.charAt(i)));
    const complete = parts.every((part, i) => part === found?.parts[i]) && value().replace(/\D/g, "") === code;
    if (!complete) {
      show("trouble", t("chip_not_filled"), t("chip_because", t("chip_why_refused")));
      return field.value !== "";
    }
    show("done", t("chip_done"), submit ? t("chip_submitting") : "");
    if (submit) submitFilled(code, field);
    return true;
  }

  /** The person has it submitted (a setting): as they would, and only if they do nothing else meanwhile. */
  function submitFilled(code: string, field: HTMLInputElement): void {
    const [filledAt, where] = [performance.now(), page()];
    const still = () =>
      found?.field === field && field.isConnected && page() === where && value() === code && lastAct < filledAt &&
      unseenBecause() === undefined;
    const { submits } = KEYFOB_MFA_FIELDS;
    const here = submits.filter(([selector]) => formOf(field).querySelector(selector));
    const after = Math.max(SUBMIT_AFTER, ...here.map(([, ms]) => ms));
    pressWhenReady(here.map(([selector]) => selector), field, still, after);
  }

  // ---- the chip

  let chip: Chip | undefined;
  let state: State = "idle";
  /** Whether the chip offers other accounts than the likely one. */
  let others = false;
  /** What makes the chip higher tells the page how many accounts there are: nobody's business before the person uses the page. */
  const isUsed = () => lastAct > 0 || navigator.userActivation?.hasBeenActive;

  function show(next: State, text: string, detail = "", act = fillByPerson): void {
    if (!found) return;
    state = next;
    shown = [text, act];
    chip ??= KEYFOB_CHIP.create({ dismissed: dismiss, refused });
    const body: HTMLElement[] = [];
    others = false;
    if (next === "choose") body.push(list(chip, candidates ?? []));
    else if (next === "idle" && found.what === "code" && likely === 1 && (candidates?.length ?? 0) > 1 && isUsed()) {
      others = true;
      body.push(chip.button("link", t("chip_another"), choose));
    }
    chip.show({ state, text, detail, act: next === "idle" || next === "trouble" ? () => (takeFocus(), act()) : undefined, body });
    const beside = anchor();
    if (beside) chip.place(beside);
  }

  /** What the chip says and does now. */
  let shown: [text: string, act: () => void] = ["", fillByPerson];

  /** A click did not count. */
  function refused(because: string): void {
    const [text, act] = shown;
    show(state, text, because, act);
  }

  /** The accounts to choose from; arrow keys go through them. */
  function list(chip: Chip, candidates: Candidate[]): HTMLElement {
    const made = element("ul");
    for (const candidate of candidates) {
      const item = chip.button("", "", () => (takeFocus(), want(candidate, true)));
      item.append(element("b", candidate.label), element("small", candidate.detail));
      item.title = candidate.name;
      made.append(element("li"));
      made.lastElementChild?.append(item);
    }
    made.addEventListener("keydown", (event) => {
      const items = [...made.querySelectorAll("button")];
      const at = items.indexOf(event.target as HTMLButtonElement);
      const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
      if (next === undefined || at < 0) return;
      event.preventDefault();
      items.at(next % items.length)?.focus();
    });
    return made;
  }

  function dismiss(): void {
    if (found) dismissed.add(nameOf(found.field));
    leave();
  }

  // ---- watching the page

  function leave(): void {
    found = undefined;
    candidates = undefined;
    asked = undefined;
    wanted = undefined;
    continuing = false;
    goneSince = undefined;
    fillWhenKnown = false;
    clearTimeout(submitting);
    state = "idle";
    chip?.remove();
    chip = undefined;
    // Nobody waits for an answer any more.
    port?.disconnect();
    port = undefined;
  }

  function noteFound(): void {
    if (found) last = { name: nameOf(found.field), box: found.field.getBoundingClientRect(), page: page() };
  }

  /** Whether a framework put it where the field was that the chip stands at: of the same kind; and as empty, if a code is wanted for it. */
  function replaces(now: Found): boolean {
    if (!found || !last || found.field.isConnected || state === "done") return false;
    const { name, box: before, page: where } = last;
    const box = now.field.getBoundingClientRect();
    return (
      now.what === found.what && now.certain === found.certain && now.parts.length === found.parts.length &&
      nameOf(now.field) === name && where === page() &&
      (["left", "top", "right", "bottom"] as const).every((side) => Math.abs(box[side] - before[side]) <= SAME_PLACE) &&
      (!wanted || (now.parts as HTMLInputElement[]).map((part) => part.value).join("") === wanted.value)
    );
  }

  function look({ found: now }: import("./internal.js").Look): void {
    if (found && now?.field === found.field) {
      if (state === "done" && value() === "") {
        // The page wants another code, for the last one was refused: that is for a click.
        lastArmed = Infinity;
        clearTimeout(submitting);
        offer();
      } else {
        // The page may have moved it.
        if (found.field.isConnected) noteFound();
        chip?.place();
      }
      return;
    }
    if (now && replaces(now)) {
      found = now;
      if (wanted) wanted.parts = now.parts;
      goneSince = undefined;
      noteFound();
      chip?.place(anchor());
      return;
    }
    if (!now && wanted && found && !found.field.isConnected) {
      goneSince ??= performance.now();
      const left = BACK_WITHIN - (performance.now() - goneSince);
      if (left > 0) return void setTimeout(watch.scan, left);
    }
    leave();
    if (!now) return;
    found = now;
    noteFound();
    if (found.what === "code") show("idle", t("chip_fill"));
    consider();
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
    if (wanted && (type !== "blur" || state === "busy")) stillWanted();
  }
  for (const type of ["focusin", "input", "visibilitychange"]) doc.addEventListener(type, left, { capture: true });
  addEventListener("blur", (event) => setTimeout(left, 0, event));
  addEventListener("keydown", (event) => {
    if (!event.isTrusted || event.key !== "Escape") return;
    clearTimeout(submitting);
    if (wanted) notFilled("chip_why_escape");
    else if (state === "choose") offer();
  }, { capture: true, passive: true });

  // A page that is left may be come back to as it is, but browsers close its ports.
  addEventListener("pagehide", leave);
  addEventListener("pageshow", ({ persisted }) => persisted && watch.scan());

  addEventListener("scroll", () => found && watch.soon(), { capture: true, passive: true });
  addEventListener("resize", () => found && watch.soon(), { passive: true });
  addEventListener("focus", returned);
  doc.addEventListener("visibilitychange", returned);
  for (const type of ["keydown", "pointerdown", "pointerup"] as const) {
    const acted = (event: Event) => {
      if (!event.isTrusted) return;
      // Letting go belongs to the same act; by touch screen it is what activates the page.
      if (type !== "pointerup") lastAct = event.timeStamp;
      // Not under the pointer: what is pressed stays as it is.
      if (!others && likely === 1 && candidates?.[1] && event.target !== chip?.host) setTimeout(() => state === "idle" && candidates && offer());
      if (found) setTimeout(consider);
    };
    addEventListener(type, acted, { capture: true, passive: true });
  }
  chrome.runtime.onMessage.addListener((message: FillCommand, sender) => {
    if (sender.id !== chrome.runtime.id || message.command !== "fill" || !attended()) return;
    if (!found && dismissed.size > 0) {
      // Whoever closed the chip may want it after all.
      dismissed.clear();
      watch.scan();
    }
    fillByPerson();
    if (state === "choose") chip?.focus();
  });
  watch.look = look;
  watch.scan();
})();
