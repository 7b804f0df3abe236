// Setting up an authenticator app: what the page shows of it is read on the person's click, shown, saved to the key, and only
// then are the codes filled. A classic script, which the background puts into a frame, behind chip.ts and pictures.ts, once
// watch_enrol.ts has found the page that does it.
//
// The page is hostile: what is saved is what the chip showed, and the fields are looked at again in the moment of filling. Nothing
// is submitted. The secret stays here, and with the background while it saves, and goes with the chip.

(() => {
  type Chip = import("./internal.js").Chip;
  type ChipView = import("./internal.js").ChipView;
  type EnrolAsk = import("./internal.js").EnrolAsk;
  type EnrolNames = import("./internal.js").EnrolNames;
  type EnrolTell = import("./internal.js").EnrolTell;
  type Enrolment = import("./internal.js").Enrolment;
  type Code = import("./generated/message.js").Code;
  type Part = import("./save.js").Part;
  type Picture = import("./internal.js").Picture;
  type Shown = import("./internal.js").Shown;
  type Told<T extends EnrolTell["tell"]> = Extract<EnrolTell, { tell: T }>;
  type Question = EnrolAsk extends infer Each ? (Each extends unknown ? Omit<Each, "n" | "ancestors"> : never) : never;

  // Without the watcher there is nothing to do, and a second time there is nothing more.
  if (!KEYFOB_ENROL || KEYFOB_ENROL.look) return;
  const watch = KEYFOB_ENROL;
  const { element, elementAt, MIN_OPACITY, paintedOver, t } = KEYFOB_CHIP;
  const { ancestors, attended, inTransition, parentOf, pure, shadowOf, write } = KEYFOB_PAGE;
  const { draw } = KEYFOB_PICTURES;
  const doc = pure(document);

  // ---- what the page shows

  /** Of a page so many elements are looked at, of so many their shadow trees, and so many pictures are read. */
  const MAX_READ = 5_000;
  const MAX_TREE = 20_000;
  const MAX_PICTURES = 6;

  const contains = (outer: Element, inner: Element) => Node.prototype.contains.call(outer, inner);

  const isInWindow = (it: Element) => {
    const { left, top, right, bottom } = it.getBoundingClientRect();
    return left >= 0 && top >= 0 && right <= innerWidth && bottom <= innerHeight;
  };

  /** Whether a person can be said to see it, as far as it is in the window. */
  function isSeen(it: Element): boolean {
    const { checkVisibility, getBoundingClientRect } = pure(it);
    if (!watch.isShown(it) || !checkVisibility({ visibilityProperty: true, contentVisibilityAuto: true })) return false;
    if (inTransition()) return false;
    const { left, top, right, bottom, width, height } = getBoundingClientRect();
    if (right + scrollX <= 0 || bottom + scrollY <= 0) return false;
    let opacity = 1;
    for (let at: Element | null = it; at; at = parentOf(at)) {
      const { opacity: own, filter } = getComputedStyle(at);
      opacity *= Number(own);
      if (/opacity\(|blur\(/.test(filter)) return false;
    }
    if (opacity < MIN_OPACITY) return false;
    const [x, y] = [left + width / 2, top + height / 2];
    if (x < 0 || y < 0 || x >= innerWidth || y >= innerHeight) return true;
    const hit = elementAt(x, y, chip?.host);
    return hit !== undefined && (contains(it, hit) || contains(hit, it));
  }

  /** A page's elements, those around the fields first (a dialog comes last in its page), then those in shadow trees; so many. */
  function* around(selector: string, max: number): Generator<Element> {
    const seen = new Set<Element>();
    function* within(all: Iterable<Element>) {
      for (const each of all) {
        if (seen.size >= max) return;
        // Forms, whose fields hide their properties, show nothing of their own.
        if (!seen.has(each) && seen.add(each) && !(each instanceof HTMLFormElement)) yield each;
      }
    }
    const from = enrolment?.codes[0] ?? doc.body;
    for (let at: Element | null = from; at; at = parentOf(at)) yield* within(pure(at).querySelectorAll(selector));
    let left = MAX_TREE;
    const roots: ParentNode[] = [doc];
    for (const root of roots) {
      for (const each of root.querySelectorAll("*")) {
        const inner = --left > 0 && shadowOf(each);
        if (!inner) continue;
        roots.push(inner);
        yield* within(inner.querySelectorAll(selector));
      }
    }
  }

  /** What may be a QR code: the nearest to the fields first. */
  function candidates(): Element[] {
    const found: Element[] = [];
    for (const each of around("*", MAX_READ)) {
      if (each instanceof SVGElement ? !(each instanceof SVGSVGElement) : !(each instanceof HTMLElement)) continue;
      if (!watch.isPicture(each)) continue;
      const drawn = /^(img|canvas|svg)$/i.test(pure(each).tagName) || getComputedStyle(each).backgroundImage.includes("url(");
      if (drawn && isSeen(each) && found.push(each) === MAX_PICTURES) break;
    }
    const middle = (it: Element) => {
      const { left, top, width, height } = pure(it).getBoundingClientRect();
      return { x: left + width / 2, y: top + height / 2 };
    };
    const home = middle(enrolment?.codes[0] ?? doc.body);
    const far = (it: Element) => Math.hypot(middle(it).x - home.x, middle(it).y - home.y);
    return found.sort((one, other) => far(one) - far(other));
  }

  /** Texts on the page that have the shape of a secret. */
  function secrets(): string[] {
    const shape = new RegExp(KEYFOB_ENROLMENT.base32);
    const found = new Set<string>();
    const take = (text: string, of: Element | null) => {
      const plain = text.length < 200 ? text.replace(/[\s=-]/g, "").toUpperCase() : "";
      if (shape.test(plain) && of && isSeen(of)) found.add(plain);
    };
    for (const each of around(`${KEYFOB_ENROLMENT.secret},input[readonly]`, MAX_READ)) {
      take(each instanceof HTMLInputElement ? each.value : pure(each).textContent ?? "", each);
    }
    for (const each of around("*", 4 * MAX_READ)) {
      for (const child of pure(each).childNodes) if (child instanceof Text) take(child.data, each);
    }
    return [...found];
  }

  /** Everything that says what is set up here. `tainted`: there was more, which cannot be read from here. */
  async function collect(): Promise<{ shown: Shown; tainted: boolean }> {
    const pictures: Picture[] = [];
    let tainted = false;
    for (const each of candidates()) {
      const picture = await draw(each);
      if (picture === "tainted") tainted = true;
      else if (picture) pictures.push(picture);
    }
    const accounts = [...doc.querySelectorAll(KEYFOB_ENROLMENT.account)].slice(0, 4);
    return {
      tainted,
      shown: {
        pictures,
        secrets: secrets(),
        device: enrolment?.device?.value ?? "",
        accounts: accounts.map((each) => each.textContent.slice(0, 200)),
        page: location.href,
      },
    };
  }

  // ---- what is going on

  let enrolment: Enrolment | undefined;
  let chip: Chip | undefined;
  let stage: "offer" | "reading" | "form" | "saving" | "saved" | "told" = "offer";
  let dismissed = false;
  /** What was read. What is saved is this, whatever the page shows by then. */
  let read: Told<"setup"> | undefined;
  /** How the page was when it was read: if that has not changed, it is not read again. */
  let readFrom: Shown | undefined;
  let names: EnrolNames | undefined;
  /** Which keys are ticked, and whether each code wants a touch. */
  let ticked = new Set<string>();
  let touch = true;
  let parts: Part[] = [];
  /** The URI that the person said yes to, while it is looked whether the page still shows it. */
  let confirming: string | undefined;
  /** Which codes are filled: 0 for the previous and the current one, 1 for the current and the next. */
  let shift: 0 | 1 = 0;
  let filled = false;
  /** How the page was when the person clicked last. */
  let before: { page: string; fields: HTMLInputElement[]; values: string[] } | undefined;
  /** The question that is open, and whether the background was already lost once on it. */
  let asked: { n: number; question: Question; again: boolean } | undefined;
  let lastNumber = 0;
  /** In ms: so long an enrolment may be away before it has ended. */
  const GRACE = 500;
  let gone: ReturnType<typeof setTimeout> | undefined;
  /** Since when it is away, and whether it was for longer: what is there by then is another. */
  let absent: number | undefined;
  let another = false;
  /** What is to be said of the enrolment before this one. */
  let note: string | undefined;
  let ticking: ReturnType<typeof setInterval> | undefined;

  const now = () => Date.now() / 1000;
  const keyLabel = (id: string) => read?.choices.find(({ key }) => key.id === id)?.key.label ?? id;

  // ---- talking to the background

  let port: chrome.runtime.Port | undefined;

  function connected(): chrome.runtime.Port {
    if (port) return port;
    port = chrome.runtime.connect({ name: "enrol" });
    port.onMessage.addListener(receive);
    port.onDisconnect.addListener(() => {
      void chrome.runtime.lastError;
      port = undefined;
      if (asked) lost(asked);
    });
    return port;
  }

  function ask(question: Question, again = false): void {
    asked = { n: ++lastNumber, question, again };
    try {
      connected().postMessage({ ...question, n: asked.n, ancestors: ancestors() } as EnrolAsk);
    } catch {
      asked = undefined;
      trouble(t("chip_updated"), t("chip_reload"));
    }
  }

  /** The background was ended. Nothing is lost: all that there is stands here. */
  function lost({ question, again }: NonNullable<typeof asked>): void {
    asked = undefined;
    if (question.ask === "save") question = { ...question, parts };
    if (!again) ask(question, true);
    else trouble(t("chip_interrupted"), t("enrol_try_again"));
  }

  function say(message: EnrolAsk): void {
    try {
      port?.postMessage(message);
    } catch {
      // The extension was updated: nobody is there.
    }
  }

  function stop(): void {
    if (asked) say({ n: asked.n, ask: "stop" });
    asked = undefined;
  }

  function receive(tell: EnrolTell): void {
    if (tell.n !== asked?.n) return;
    switch (tell.tell) {
      case "part":
        parts = parts.map((part) => (part.key === tell.part.key ? tell.part : part));
        progress(tell.part);
        return;
      case "names":
        asked = undefined;
        return askNames(tell);
      case "setup":
        asked = undefined;
        return found(tell);
      case "refused":
        asked = undefined;
        if (tell.because === "names" && names) return askNames({ names, wants: wantsAccount }, t("enrol_refused_names"));
        // It may have hidden what it showed before.
        if (tell.because === "none") return isSaved() ? refused() : nothing();
        return trouble(t(`enrol_refused_${tell.because}`, tell.issuer ?? ""), t(`enrol_refused_${tell.because}_detail`));
      case "saved":
        asked = undefined;
        parts = tell.parts;
        return saved(tell.why);
      case "trouble":
        asked = undefined;
        return trouble(tell.why.title, tell.why.fix);
    }
  }

  // ---- the chip

  const make = (): Chip => (chip ??= KEYFOB_CHIP.create({ dismissed: dismiss, refused: tellRefused }));

  function show(view: ChipView): void {
    clearInterval(ticking);
    const chip = make();
    chip.show(view);
    chip.place(enrolment?.anchor);
  }

  /** A click tries again: from the beginning, or what is left to do once something was begun. */
  function trouble(text: string, detail: string): void {
    const saving = stage === "saving" && parts.length > 0;
    if (!saving) stage = "offer";
    confirming = undefined;
    show({ state: "trouble", text, detail, act: saving ? again : begin });
  }

  function offer(): void {
    stage = "offer";
    const body = note === undefined ? undefined : form(hint(note));
    show({ state: "idle", text: t("enrol_offer"), detail: t("enrol_offer_detail"), act: begin, body });
  }

  let lastForm: HTMLElement | undefined;

  function form(...content: (HTMLElement | undefined)[]): HTMLElement[] {
    lastForm = element("div", "", "form");
    lastForm.append(...content.filter((each) => each !== undefined));
    return [lastForm];
  }

  /** A click did not count: whatever is typed and ticked stays. */
  function tellRefused(because: string): void {
    lastForm?.querySelector(".refused")?.remove();
    lastForm?.prepend(element("small", because, "refused"));
  }

  function input(label: string, value: string): { row: HTMLElement; field: HTMLInputElement } {
    const row = element("label", label);
    const field = element("input");
    Object.assign(field, { value, type: "text", spellcheck: false, autocomplete: "off", maxLength: 128 });
    row.append(field);
    return { row, field };
  }

  function tick(label: string, checked: boolean, change: (checked: boolean) => void, disabled = false): HTMLElement {
    const row = element("label", "", "tick");
    const box = element("input");
    Object.assign(box, { type: "checkbox", checked, disabled });
    box.addEventListener("change", (event) => {
      // Where the person does not see it, it stays as it was.
      if (event.isTrusted && chip?.isSeen()) change(box.checked);
      else box.checked = !box.checked;
    });
    row.append(box, element("span", label));
    return row;
  }

  const hint = (text: string) => element("small", text);

  // ---- reading

  /** The person clicked: what is here? */
  function begin(): void {
    if (asked || !enrolment) return;
    // A click on the chip leaves the focus where it is, which in a frame may be nowhere.
    window.focus();
    note = undefined;
    stage = "reading";
    show({ state: "busy", text: t("enrol_reading") });
    void readPage("reading");
  }

  /** While the chip is as it is, the page is read; and the keys are. */
  async function readPage(during: typeof stage): Promise<void> {
    const { shown, tainted } = await collect();
    if (stage !== during || !enrolment || asked) return;
    onlyTainted = tainted;
    if (shown.pictures.length === 0 && shown.secrets.length === 0) {
      if (during === "reading") (isSaved() ? refused : nothing)();
      return;
    }
    readFrom = shown;
    ask({ ask: "read", shown, ...(names ? { names } : {}) });
  }

  let onlyTainted = false;

  const keptFromUs = () => trouble(t("enrol_tainted"), t("enrol_tainted_detail"));

  function nothing(): void {
    if (onlyTainted) keptFromUs();
    else trouble(t("enrol_refused_none"), t("enrol_refused_none_detail"));
  }

  let wantsAccount = { account: true };

  /** A secret without a name: the person says whose it is. */
  function askNames({ names: known, wants }: Pick<Told<"names">, "names" | "wants">, wrong?: string): void {
    stage = "form";
    wantsAccount = wants;
    const device = input(t(wants.account ? "enrol_device" : "enrol_user"), known.device);
    const account = wants.account ? input(t("enrol_account"), known.account) : undefined;
    const go = () => {
      names = { device: device.field.value, account: account?.field.value ?? "" };
      begin();
    };
    for (const each of [device, account]) {
      each?.field.addEventListener("keydown", (event) => {
        if (!event.isTrusted || event.key !== "Enter") return;
        // It would press the button that has the focus next.
        event.preventDefault();
        if (chip?.isSeen()) go();
      });
    }
    const chip = make();
    show({
      state: wrong ? "trouble" : "choose",
      text: wrong ?? t("enrol_whose"),
      detail: t(wrong ? "enrol_refused_names_detail" : "enrol_whose_detail"),
      body: form(device.row, account?.row, chip.button("primary", t("enrol_go_on"), go)),
    });
  }

  /** What was read, for the person to say yes to. */
  function found(told: Told<"setup">): void {
    const [choice] = told.choices;
    // Several may be locked; of one that can be had, the form speaks.
    if (choice?.why && told.choices.every(({ why }) => why)) return trouble(choice.why.title, choice.why.fix);
    const wanted = confirming;
    confirming = undefined;
    if (wanted !== undefined && wanted === told.setup.uri) return start();
    if (isSaved()) {
      // The page only shows what is saved in another way.
      if (told.setup.uri === read?.setup.uri) return refused();
      const { readFrom: from, names: given } = { readFrom, names };
      forget();
      [readFrom, names] = [from, given];
    }
    stage = "form";
    const isNew = read === undefined;
    const swapped = read !== undefined && read.setup.uri !== told.setup.uri;
    read = told;
    const usable = told.choices.filter(({ why }) => !why);
    if (isNew) ticked = new Set(usable.filter(({ proposed }) => proposed || usable.length === 1).map(({ key }) => key.id));
    showForm(swapped ? t("enrol_swapped") : undefined);
  }

  function showForm(note?: string): void {
    if (!read) return;
    const { setup, name, choices } = read;
    const chip = make();
    const go = chip.button("primary", t("enrol_save"), confirmPage);
    const enable = () => (go.disabled = ticked.size === 0);
    enable();
    const keys = choices.map(({ key, why }) => {
      if (choices.length === 1 && !why) return hint(t("enrol_on_key", key.label));
      const row = tick(key.label, ticked.has(key.id), (checked) => {
        if (checked) ticked.add(key.id);
        else ticked.delete(key.id);
        enable();
      }, why !== undefined);
      if (why) row.lastElementChild?.append(hint(`${why.title}. ${why.fix}`));
      return row;
    });
    const { device, account } = setup.aws ?? { device: setup.account, account: undefined };
    show({
      state: "choose",
      text: account ? t("enrol_found", device, account) : device,
      detail: note ?? setup.issuer,
      body: form(
        name === setup.name ? undefined : hint(t("enrol_renamed", name)),
        ...keys,
        choices.length > 1 ? hint(t("enrol_backup")) : chip.button("link", t("enrol_backup_absent"), begin),
        choices.length > 1 && choices.some(({ why }) => why) ? chip.button("link", t("enrol_look_again"), begin) : undefined,
        tick(t("enrol_touch"), touch, (checked) => (touch = checked)),
        go,
      ),
    });
  }

  // ---- saving

  /** The page at a person's click. */
  const snapshot = () => {
    window.focus();
    const fields = enrolment?.codes ?? [];
    for (const field of fields) if (!isInWindow(field)) field.scrollIntoView({ block: "nearest", behavior: "instant" });
    return { page: location.href, fields, values: fields.map(({ value }) => value) };
  };

  /** The person said yes to what the chip shows. If the page shows something else by now, they are shown that first. */
  function confirmPage(): void {
    if (!read || asked || ticked.size === 0) return;
    window.focus();
    const wanted = read;
    stage = "saving";
    show({ state: "busy", text: t("enrol_reading") });
    void (async () => {
      const { shown } = await collect();
      if (stage !== "saving" || read !== wanted) return;
      if (JSON.stringify(shown) === JSON.stringify(readFrom)) return start();
      readFrom = shown;
      confirming = wanted.setup.uri;
      ask({ ask: "read", shown, ...(names ? { names } : {}) });
    })();
  }

  function start(): void {
    if (!read) return;
    const { name } = read;
    parts = [...ticked].map((key): Part => ({ key, name, state: "ready", added: "no" }));
    again();
  }

  /** Goes on with what is not done yet. */
  function again(): void {
    if (!read || asked) return;
    const { setup, taken } = read;
    stage = "saving";
    before = snapshot();
    show({ state: "busy", text: t("chip_asking") });
    ask({ ask: "save", setup, parts, taken, touch });
    // From now on each may have been begun, whatever is heard of it.
    parts = parts.map((part): Part => (part.state === "ready" ? { ...part, state: "adding" } : part));
  }

  function progress({ key, state, waits }: Part): void {
    const label = keyLabel(key);
    if (waits?.touch) show({ state: "touch", text: t("enrol_touch_now", label), detail: t("enrol_touch_now_detail") });
    else if (waits) show({ state: "busy", text: t("chip_waiting"), detail: waits.text });
    else if (state === "adding") show({ state: "busy", text: t("enrol_saving", label) });
    else if (state === "confirming") show({ state: "busy", text: t("enrol_confirming", label) });
  }

  function saved(why: Told<"saved">["why"]): void {
    const [failed] = why.filter((each) => each !== null);
    if (!failed) return another ? ended(t("enrol_page_gone")) : fill(shift);
    if (parts.every(({ state }) => state !== "done")) return trouble(failed.title, failed.fix);
    // One of several: the others do.
    const chip = make();
    const lines = parts.map(({ key, state }, i) =>
      hint(state === "done" ? t("enrol_key_done", keyLabel(key)) : t("enrol_key_failed", keyLabel(key), why[i]?.title ?? "")));
    const without = () => {
      before = snapshot();
      parts = parts.filter(({ state }) => state === "done");
      fill(shift);
    };
    show({
      state: "trouble",
      text: failed.title,
      detail: failed.fix,
      body: form(...lines, chip.button("primary", t("enrol_retry"), again), chip.button("link", t("enrol_without"), without)),
    });
  }

  // ---- filling

  /** The codes that the host gave last, and which of them is right now. */
  function latest(): { part: Part; codes: Code[]; at: number } | undefined {
    const done = parts.flatMap((part) => (part.state === "done" && part.codes ? [{ part, codes: part.codes }] : []));
    const last = done.sort((one, other) => (one.codes[1]?.valid_from ?? 0) - (other.codes[1]?.valid_from ?? 0)).at(-1);
    if (!last) return undefined;
    const at = last.codes.findIndex(({ valid_from, valid_until }) => now() >= (valid_from ?? 0) && now() < (valid_until ?? Infinity));
    return { ...last, at };
  }

  /** Why nothing may be filled now, if so. */
  function notFilledBecause(): string | undefined {
    const fields = enrolment?.codes;
    if (!fields || !before || before.page !== location.href) return t("enrol_page_changed");
    if (fields.length !== before.fields.length) return t("enrol_page_changed");
    // A framework may have made new ones; what is in them has to be what was in the old.
    if (fields.some(({ value }, i) => value !== before?.values[i])) return t("enrol_typed");
    if (!attended()) return t("enrol_unattended");
    return fields.every((field) => isInWindow(field) && isSeen(field) && !paintedOver(field, chip?.host)) ? undefined : t("enrol_hidden");
  }

  /**
   * Fills the codes: the previous and the current one, or, `by` one step later, the current and the next. One field gets the current
   * one.
   */
  function fill(by: 0 | 1): void {
    stage = "saved";
    shift = by;
    const because = notFilledBecause();
    const last = latest();
    const fields = enrolment?.codes ?? [];
    const first = (last?.at ?? -1) + (fields.length > 1 ? by - 1 : 0);
    const codes = last && last.at >= 0 && first >= 0 ? last.codes.slice(first, first + fields.length) : [];
    if (because !== undefined) return notFilled(t("enrol_not_filled"), because, refill);
    if (!last || codes.length < fields.length) return notFilled(t("enrol_ran_out"), t("enrol_ran_out_detail"), renew);
    fields.forEach((field, i) => write(field, codes[i]?.value ?? ""));
    const { key, name, written = name } = last.part;
    // AWS takes each once. Which is the current one the host knows by itself, not that the next will have been one.
    for (const { valid_from: from } of last.codes.slice(last.at, first + fields.length)) {
      if (from !== undefined) setTimeout(() => submitted(key, written, from), Math.max(0, from - now()) * 1000);
    }
    const { valid_from: validFrom } = codes.at(-1) ?? {};
    filled = true;
    done(last.part, by === 1 ? validFrom : undefined);
  }

  /** Notes it even if the enrolment is over by then: nothing of it is secret. */
  function submitted(key: string, account: string, validFrom: number): void {
    try {
      connected().postMessage({ n: ++lastNumber, ask: "filled", key, account, validFrom } satisfies EnrolAsk);
    } catch {
      // The extension was updated: nobody is there.
    }
  }

  function notFilled(text: string, detail: string, act: () => void): void {
    filled = false;
    show({ state: "trouble", text, detail, act });
  }

  const isSaved = () => parts.some(({ state }) => state === "done");

  /** Whether the page shows something that it did not show when it was read. */
  function isOther(shown: Shown): boolean {
    const were = new Set([...(readFrom?.pictures ?? []).map(({ luma }) => luma), ...(readFrom?.secrets ?? [])]);
    return [...shown.pictures.map(({ luma }) => luma), ...shown.secrets].some((each) => !were.has(each));
  }

  /** By a click: codes of what was saved, if the page does not set up something else by now. */
  async function unlessOther(then: () => void): Promise<void> {
    const { shown } = await collect();
    if (stage !== "saved" || asked) return;
    if (!isOther(shown)) return then();
    names = undefined;
    begin();
  }

  /** By a click: whatever is in the fields by then gives way. */
  const refill = () => void unlessOther(() => {
    before = snapshot();
    const { at = -1 } = latest() ?? {};
    if (at < 0) renew();
    else fill(shift);
  });

  /** Has the key calculate again. */
  function renew(): void {
    const { part } = latest() ?? {};
    parts = parts.map((each): Part => (each === part ? { ...each, state: "failed", added: "yes" } : each));
    again();
  }

  /** The page refused: the other pair, for which a new touch is needed where it is not known. */
  const next = () => void unlessOther(() => {
    before = snapshot();
    const { at = -1, codes = [] } = latest() ?? {};
    const { fields: [field], values: [value] } = before;
    shift = (enrolment?.codes.length ?? 0) > 1 ? 1 : 0;
    const { value: current, valid_until: until } = codes[at] ?? {};
    if (shift === 0 && field && value === current && until !== undefined && at + 1 < codes.length) {
      // The one field has the code of now already: the next one comes in its time.
      show({ state: "busy", text: t("enrol_new_code", Math.ceil(until - now())) });
      setTimeout(() => stage === "saved" && fill(0), (until - now()) * 1000 + 100);
      return;
    }
    if (at >= 0 && at + shift < codes.length) fill(shift);
    else renew();
  });

  /** The page has emptied its fields. */
  async function emptied(): Promise<void> {
    filled = false;
    const { shown } = await collect();
    if (stage !== "saved" || filled) return;
    // Another set-up is offered as such. What was saved is kept in mind, in case that it only looks another.
    if (!isOther(shown)) return refused();
    names = undefined;
    offer();
  }

  function refused(): void {
    stage = "saved";
    filled = false;
    show({ state: "idle", text: t("enrol_refused_by_page"), detail: t("enrol_refused_by_page_detail"), act: next });
  }

  /** What a former account is called that the new one stands beside. */
  const former = () => (read && parts.some(({ name, state }) => state === "done" && name !== read?.setup.name) ? read.setup.name : undefined);

  function done(part: Part, from?: number): void {
    const chip = make();
    const two = (enrolment?.codes.length ?? 0) > 1;
    const wait = from === undefined ? undefined : hint("");
    const old = former();
    show({
      state: "done",
      text: t(two ? "enrol_done" : "enrol_done_one"),
      detail: wait ? undefined : t("enrol_done_detail"),
      body: form(
        wait,
        hint(t("enrol_saved_as", part.written ?? part.name)),
        old === undefined ? undefined : hint(t("enrol_former", old)),
        chip.button("link", t(two ? "enrol_use_next" : "enrol_use_new"), next),
      ),
    });
    if (!wait || from === undefined) return;
    const count = () => {
      const left = Math.ceil(from - now());
      wait.textContent = left > 0 ? t("enrol_wait", left) : t("enrol_press_now");
      if (left <= 0) clearInterval(ticking);
    };
    count();
    ticking = setInterval(count, 250);
  }

  // ---- watching the page

  function dismiss(): void {
    dismissed = true;
    leave();
  }

  /** Nothing of the secret stays, nor of anything else that was shown and said. */
  function forget(): void {
    stop();
    clearInterval(ticking);
    stage = "offer";
    read = names = before = confirming = readFrom = undefined;
    parts = [];
    ticked = new Set();
    touch = true;
    shift = 0;
    filled = another = false;
  }

  function leave(): void {
    forget();
    note = undefined;
    chip?.remove();
    chip = undefined;
    port?.disconnect();
    port = undefined;
  }

  function look(found: Enrolment | undefined): void {
    enrolment = found;
    if (!found) {
      dismissed = false;
      absent ??= performance.now();
      // Frameworks take things away for a moment while they draw them anew.
      gone ??= setTimeout(() => {
        gone = undefined;
        if (enrolment) return;
        another = true;
        if (stage !== "saving" && stage !== "told") ended();
      }, GRACE);
      return;
    }
    if (absent !== undefined && performance.now() - absent > GRACE) another = true;
    absent = undefined;
    if (dismissed) return;
    if (!chip || stage === "told") {
      another = false;
      offer();
    } else if (another && stage !== "saving") ended();
    else if (stage === "saved" && filled && found.codes.every(({ value }) => value === "")) void emptied();
    else chip.place(found.anchor);
  }

  /** The page shows no enrolment any more, or another. What the person still has to know is said; the rest is forgotten. */
  function ended(last?: string): void {
    const old = former();
    if (stage === "saved" && !filled) last = t("enrol_page_gone");
    else if (isSaved() && old !== undefined) last = t("enrol_former", old);
    forget();
    note = last;
    if (enrolment) return offer();
    if (last === undefined) return leave();
    stage = "told";
    show({ state: "done", text: t("enrol_saved"), detail: last });
    // It may have been in a dialog that is gone.
    if (!chip?.host.isConnected) chip?.place(doc.querySelector("h1, h2, main") ?? doc.body);
  }

  addEventListener("keydown", (event) => {
    if (!event.isTrusted || event.key !== "Escape" || stage !== "saving" || !asked) return;
    stop();
    trouble(t("enrol_cancelled"), t("enrol_cancelled_detail"));
  }, { capture: true, passive: true });
  addEventListener("scroll", () => chip && watch.soon(), { capture: true, passive: true });
  addEventListener("resize", () => chip && watch.soon(), { passive: true });
  addEventListener("hashchange", () => watch.soon());
  // A page that is left may be come back to as it is, but browsers close its ports.
  addEventListener("pagehide", leave);
  addEventListener("pageshow", ({ persisted }) => persisted && watch.scan());
  // The person comes back from unlocking a key, perhaps.
  addEventListener("focus", () => {
    if (stage === "form" && !asked && read?.choices.some(({ why }) => why)) void readPage("form");
  });
  // The shortcut is as good as a click on the offer; the rest is for the keyboard's focus.
  chrome.runtime.onMessage.addListener((message: import("./internal.js").FillCommand, sender) => {
    if (sender.id !== chrome.runtime.id || message.command !== "fill" || !attended()) return;
    if (!chip && dismissed) {
      // Whoever closed the chip may want it after all.
      dismissed = false;
      watch.scan();
    } else if (stage === "offer") begin();
    chip?.focus();
  });
  watch.look = look;
  watch.scan();
})();
