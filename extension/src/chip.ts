// The chip: what Keyfob shows in a page, beside a field. A classic script, put into a frame by the background behind page.ts and before the
// script that uses it (fill.ts, enrol.ts); it bears being put there twice.
//
// The page is hostile: the chip is in a closed shadow root in the top layer, only trusted events count, and a click counts
// only where the person has seen the chip for a while. Keyfob's own content scripts share no JavaScript with the page, so
// nothing that it does to prototypes is met here; what is shared is the document.

var KEYFOB_CHIP: import("./internal.js").ChipKit = (globalThis as { KEYFOB_CHIP?: typeof KEYFOB_CHIP }).KEYFOB_CHIP ?? (() => {
  type Chip = import("./internal.js").Chip;
  type ChipOptions = import("./internal.js").ChipOptions;
  type ChipView = import("./internal.js").ChipView;
  type Point = { x: number; y: number };
  const { parentOf, pure, shadowOf } = KEYFOB_PAGE;
  const doc = pure(document);

  /**
   * In CSS pixels: what is left free along the window's edges and beside the field, and the chip's width, where there is as much
   * room. It does not go by what is in it, for the page can measure it.
   */
  const EDGE = 8;
  const GAP = 10;
  const WIDTH = 300;
  /** With as much room as this beside the field, the chip rather becomes narrower than that it covers something else. */
  const MIN_WIDTH = 220;
  /** How long, in ms, the chip was where it is clicked before that click counts. */
  const SEEN_FOR = 300;
  /** A pointer that was still for so long, in ms, may have been in another window. */
  const AWAY = 1000;
  /** When the focus comes to a frame so soon after a press, or after it left the page around it, in ms, it comes from there. */
  const MOVES = 100;
  /** Least opacity of what a person can be said to see. */
  const MIN_OPACITY = 0.7;
  /** Of a page so many elements are looked at for what may lie over the chip or a field; of more, some may. */
  const MAX_READ = 50_000;

  const STYLE = `
    :host { all: initial !important; display: block !important; position: fixed !important;
      inset: auto !important; margin: 0 !important; border: 0 !important; padding: 0 !important;
      width: max-content !important; /* whatever the window's edge: where it fits is looked for */
      height: auto !important; min-width: 0 !important; max-width: none !important; min-height: 0 !important;
      max-height: none !important; transform: none !important; zoom: var(--zoom, 1) !important;
      left: var(--x) !important; top: var(--y) !important; z-index: 2147483647 !important;
      background: none !important; overflow: visible !important; color-scheme: light dark !important; }
    :host(:not(:popover-open)) { display: none !important; }
    :host::backdrop { display: none !important; }
    .chip { --ink: #14231f; --soft: #55655f; --paper: #fff; --line: #d5dedb; --accent: #0b7a65; --bad: #b3261e;
      display: grid; grid-template-columns: 1fr auto; box-sizing: border-box; width: var(--room); overflow: hidden;
      font: 500 13px/1.35 system-ui, sans-serif; color: var(--ink); background: var(--paper); cursor: default;
      border: 1px solid var(--line); border-radius: 12px; box-shadow: 0 1px 2px #0002, 0 6px 20px #0003; }
    button { all: unset; cursor: pointer; box-sizing: border-box; }
    button:focus-visible { outline: 2px solid var(--accent); outline-offset: -2px; border-radius: 11px; }
    button:hover { background: color-mix(in srgb, var(--accent) 9%, transparent); }
    .main { display: flex; gap: 9px; align-items: center; min-height: 38px; padding: 5px 6px; padding-inline-start: 11px; }
    .main > span { min-width: 0; }
    .close { padding: 0 11px; color: var(--soft); font-size: 16px; }
    svg { flex: none; width: 18px; height: 18px; color: var(--accent); }
    b, small { display: block; font-weight: inherit; overflow-wrap: anywhere; }
    .idle .main :is(b, small) { overflow: hidden; white-space: nowrap; text-overflow: ellipsis; }
    code { font: 500 .95em ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", monospace; }
    small { color: var(--soft); font-size: 11.5px; font-weight: 400; }
    .body { grid-column: 1 / -1; padding: 4px; border-top: 1px solid var(--line); max-height: min(340px, 60vh); overflow: auto; }
    ul { margin: 0; padding: 0; list-style: none; }
    ul button { display: block; width: 100%; padding: 6px 8px; border-radius: 8px; }
    .link { display: block; width: 100%; padding: 6px 8px; border-radius: 8px; color: var(--soft); font-size: 12px; }
    .form { display: grid; gap: 9px; padding: 7px 9px 8px; font-weight: 400; }
    .form label { display: grid; gap: 3px; font-size: 12px; }
    .form .tick { grid-template-columns: auto 1fr; gap: 7px; align-items: start; font-size: 12.5px; cursor: pointer; }
    .form input { accent-color: var(--accent); margin: 1px 0 0; }
    .form input[type=text] { box-sizing: border-box; width: 100%; min-width: 0; margin: 0; padding: 6px 8px;
      font: inherit; font-size: 13px; color: inherit; background: var(--paper); border: 1px solid var(--soft); border-radius: 7px; }
    .form input[type=text]:focus-visible { outline: 2px solid var(--accent); outline-offset: -1px; }
    .form .primary { padding: 8px 12px; text-align: center; font-weight: 600; color: var(--paper);
      background: var(--accent); border-radius: 8px; }
    .form .primary:hover { background: color-mix(in srgb, var(--accent) 86%, var(--ink)); }
    .form .primary:focus-visible { outline-offset: 2px; border-radius: 8px; }
    .form .primary:disabled { opacity: .45; cursor: default; }
    .form .link { width: auto; margin: -2px -8px -4px; color: var(--accent); }
    .status { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
    .trouble svg { color: var(--bad); }
    .busy svg { opacity: .5; }
    .touch { border-color: var(--accent); }
    .touch svg { border-radius: 50%; animation: pulse 1.4s ease-out infinite; }
    @keyframes pulse { from { box-shadow: 0 0 0 0 color-mix(in srgb, var(--accent) 55%, transparent); }
      to { box-shadow: 0 0 0 10px transparent; } }
    @media (prefers-reduced-motion: reduce) { .touch svg { animation: none; } }
    @media (prefers-contrast: more) { .chip { --soft: var(--ink); --line: var(--ink); } }
    @media (forced-colors: active) { .chip { --soft: CanvasText; --accent: Highlight; --bad: CanvasText; }
      button:hover { outline: 1px solid Highlight; outline-offset: -3px; } }
    @media (prefers-color-scheme: dark) { .chip { --ink: #eef4f2; --soft: #a3b3ad; --paper: #1b2522;
      --line: #33423d; --accent: #4fd1b3; --bad: #ff8a80; } }`;

  const KEY_ICON = "M14.5 2a7.5 7.5 0 0 0-7.2 9.6L2 16.9V22h5.1v-2.6h2.6v-2.6h1.6l1.1-1.1A7.5 7.5 0 1 0 14.5 2Zm2 7.5a2 2 0 1 1 0-4 2 2 0 0 1 0 4Z";

  /** A text of `_locales`, in the browser's language. */
  const t = (key: string, ...args: (string | number)[]): string => chrome.i18n.getMessage(key, args.map(String)) || key;

  function element<K extends keyof HTMLElementTagNameMap>(tag: K, text = "", name = ""): HTMLElementTagNameMap[K] {
    const made = doc.createElement(tag);
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

  function icon(): SVGElement {
    const space = "http://www.w3.org/2000/svg";
    const svg = doc.createElementNS(space, "svg");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("aria-hidden", "true");
    const path = doc.createElementNS(space, "path");
    path.setAttribute("d", KEY_ICON);
    path.setAttribute("fill", "currentColor");
    svg.append(path);
    return svg;
  }

  /** What lies in the top layer besides `chip`: nothing else can be above it. Of closed shadow roots too; undefined where there is no end of it. */
  function* topLayer(chip: HTMLElement): Generator<Element | undefined> {
    const ON_TOP = ":popover-open, :modal, :fullscreen";
    const roots: (Document | ShadowRoot)[] = [doc];
    let read = 0;
    for (let root = roots.pop(); root; root = roots.pop()) {
      for (const each of root.querySelectorAll(ON_TOP)) {
        if (!Node.prototype.contains.call(each, chip)) yield each;
      }
      for (const each of root.querySelectorAll("*")) {
        if (++read > MAX_READ) return yield undefined;
        const inner = each !== chip && shadowOf(each);
        if (inner) roots.push(inner);
      }
    }
  }

  /** Whether what is around makes an element something that a person does not see. */
  function isFaint(from: Element | null): boolean {
    let opacity = 1;
    for (let at = from; at; at = pure(at).parentElement) {
      const style = getComputedStyle(at);
      opacity *= Number(style.opacity);
      if (/opacity\(|blur\(|url\(/.test(style.filter)) return true;
      if (style.clipPath !== "none" || style.maskImage !== "none") return true;
    }
    return opacity < MIN_OPACITY;
  }

  /** By how much what is around an element, and itself, makes it larger. (`currentCSSZoom` is younger than what browsers we take.) */
  function zoomOf(from: Element | null): number {
    let zoom = 1;
    for (let at = from; at; at = pure(at).parentElement) zoom *= Number(getComputedStyle(at).zoom) || 1;
    return zoom;
  }

  /** Whether an element's backdrop, which is as large as the window, hides nothing. */
  function isClear(owner: Element): boolean {
    const { display, backgroundColor, backgroundImage, backdropFilter } = getComputedStyle(owner, "::backdrop");
    return display === "none" ||
      (backgroundColor === "rgba(0, 0, 0, 0)" && backgroundImage === "none" && /^(none)?$/.test(backdropFilter ?? ""));
  }

  /** What lies at a point, but for the chip, into open shadow roots. */
  function elementAt(x: number, y: number, chip: HTMLElement | undefined): Element | undefined {
    let hit = doc.elementsFromPoint(x, y).find((element) => element !== chip);
    for (;;) {
      const inner = hit && pure(hit).shadowRoot?.elementsFromPoint(x, y)[0];
      if (!inner || inner === hit) return hit;
      hit = inner;
    }
  }

  /** What is in front of a field for decoration lets it be seen through. */
  const isOpaque = ({ backgroundColor, backgroundImage, backdropFilter }: CSSStyleDeclaration) =>
    !/^rgba\(.*, 0(\.[0-4]\d*)?\)$/.test(backgroundColor) || backgroundImage !== "none" || !/^(none)?$/.test(backdropFilter ?? "");

  /**
   * Whether what an element has before or behind its content lies over the middle of a box, and lets clicks through. Such a thing has
   * no box to be asked for: where it is follows from its lengths, unless something turns or scales it; then it may be anywhere.
   */
  function paintsOver(each: Element, box: DOMRect, sunk: boolean): boolean {
    return ["::before", "::after"].some((name) => {
      const style = getComputedStyle(each, name);
      const { content, display, position, pointerEvents, opacity, zIndex } = style;
      if (/^(none|normal)$/.test(content) || display === "none" || position === "static" || pointerEvents !== "none") return false;
      if (!isOpaque(style) && !content.includes("url(")) return false;
      if (Number(opacity) < 0.3 || (!sunk && Number(zIndex) < 0)) return false;
      // Without a box it has no length either.
      if (!style.width.endsWith("px")) return false;
      const { left, top, width, height, marginLeft, marginTop } = style;
      const [x, y, w, h, dx, dy] = [left, top, width, height, marginLeft, marginTop].map(parseFloat) as [number, number, number, number, number, number];
      const origin = isPlain(style) ? originOf(each, position) : undefined;
      if (!origin || [x, y, w, h, dx, dy].some(Number.isNaN)) {
        // It may be anywhere, and turned: what tells is its size.
        let larger = growth(style);
        for (let at: Element | null = each; at; at = parentOf(at)) larger *= growth(getComputedStyle(at));
        const [long, short] = [Math.max(w, h), Math.min(w, h)].map((length) => length * larger + spread(style)) as [number, number];
        return !(long < box.width / 2 || short < box.height / 2);
      }
      const from = { x: box.left + box.width / 2 - origin.x - x - dx, y: box.top + box.height / 2 - origin.y - y - dy };
      return from.x > -NEAR && from.y > -NEAR && from.x < w + NEAR + padding(style, "Left", "Right") && from.y < h + NEAR + padding(style, "Top", "Bottom");
    });
  }

  /** What is so near, in CSS pixels, may be a border's. */
  const NEAR = 8;
  const padding = (style: CSSStyleDeclaration, one: "Left" | "Top", other: "Right" | "Bottom") =>
    parseFloat(style[`padding${one}`]) + parseFloat(style[`padding${other}` as "paddingRight"]);
  /** What moves or turns a box, or holds what is fixed, without a word in its lengths; and what paints beyond it. Initially none of it. */
  const MOVES_BOX = ["transform", "translate", "rotate", "scale", "offset-path", "position-area"];
  const HOLDS = ["filter", "backdrop-filter", "perspective"];
  const SPREADS = ["box-shadow", "outline-style", "border-image-source"];
  const hasNone = (style: CSSStyleDeclaration, names: string[]) => names.every((name) => /^(none)?$/.test(style.getPropertyValue(name)));
  const isUnzoomed = ({ zoom }: CSSStyleDeclaration) => /^(1|normal)?$/.test(zoom);
  /** Whether a box is where its lengths say, and no larger. */
  const isPlain = (style: CSSStyleDeclaration) =>
    /^(absolute|fixed)$/.test(style.position) && hasNone(style, [...MOVES_BOX, ...SPREADS]) && isUnzoomed(style) &&
    [style.justifySelf, style.alignSelf].every((each) => /^(auto|normal)?$/.test(each));

  /** All the numbers, or lengths in pixels, in what a style says. */
  const numbers = (text: string, unit = "") => Array.from(text.matchAll(RegExp(`-?[\\d.]+(?:e[-+]?\\d+)?${unit}`, "g")), ([each]) => Math.abs(parseFloat(each)));
  /** How many times as long a box is as its lengths say, at most. */
  function growth({ transform, scale, zoom }: CSSStyleDeclaration): number {
    // What is turned out of the plane is as large as it likes.
    if (transform.startsWith("matrix3d")) return Infinity;
    const factors = [numbers(transform).slice(0, 4).map((each) => each * Math.SQRT2), numbers(scale), numbers(zoom)];
    return factors.reduce((all, each) => all * Math.max(1, ...each), 1);
  }
  /** How far beyond its lengths a box is painted, at most. */
  const spread = (style: CSSStyleDeclaration) =>
    hasNone(style, ["border-image-source"]) ? 2 * sum(numbers(`${style.boxShadow} ${style.outline} ${style.outlineOffset}`, "px")) : Infinity;
  const sum = (all: number[]) => all.reduce((one, other) => one + other, 0);

  /** Where what has this position in an element is counted from, if that can be said: the window, or what holds it. */
  function originOf(from: Element, position: string): Point | undefined {
    let holder: Element | undefined;
    for (let at: Element | null = from; at; at = parentOf(at)) {
      const style = getComputedStyle(at);
      if (!hasNone(style, [...MOVES_BOX, ...HOLDS]) || !isUnzoomed(style)) return undefined;
      if (style.willChange !== "auto" || style.contain !== "none") return undefined;
      if (!/^(visible)?$/.test(style.contentVisibility) || !/^(normal)?$/.test(style.containerType)) return undefined;
      if (position === "fixed" || style.position === "static") continue;
      // What is in a line may be in several pieces.
      if (!holder && style.display === "inline") return undefined;
      holder ??= at;
    }
    if (position === "fixed") return { x: 0, y: 0 };
    if (!holder) return { x: -scrollX, y: -scrollY };
    const { left, top } = Element.prototype.getBoundingClientRect.call(holder);
    const { clientLeft, clientTop, scrollLeft, scrollTop } = pure(holder);
    return { x: left + clientLeft - scrollLeft, y: top + clientTop - scrollTop };
  }

  /**
   * Whether something that lets clicks through covers the element: such things are found at no point. What may do so is made to
   * take clicks for the moment of a look.
   */
  function paintedOver(target: Element, chip: HTMLElement | undefined): boolean {
    if (KEYFOB_PAGE.inTransition()) return true;
    const box = target.getBoundingClientRect();
    const over: HTMLElement[] = [];
    let sunk = false;
    const around = new Set<Element>();
    for (let at: Element | null = target; at; at = parentOf(at)) {
      around.add(at);
      sunk ||= Number(getComputedStyle(at).zIndex) < 0;
    }
    let read = 0;
    for (const each of doc.querySelectorAll<HTMLElement>("*")) {
      if (++read > MAX_READ || (each !== chip && !(each instanceof HTMLInputElement) && paintsOver(each, box, sunk))) return true;
      const other = Element.prototype.getBoundingClientRect.call(each);
      const middle = other.left < box.left + box.width / 2 && other.right > box.left + box.width / 2 &&
        other.top < box.top + box.height / 2 && other.bottom > box.top + box.height / 2;
      if (!middle || around.has(each)) continue;
      const style = getComputedStyle(each);
      // Icons and labels in a field let clicks through as well, but it is seen through them.
      const replaced = each.matches?.("img, canvas, video, iframe, object, embed");
      if (style.pointerEvents === "none" && (isOpaque(style) || replaced)) over.push(each);
    }
    for (const each of doc.querySelectorAll(":popover-open, :modal, :fullscreen")) {
      if (!around.has(each) && !isClear(each)) return true;
    }
    return over.some((each) => {
      const [before, how] = [each.style.getPropertyValue("pointer-events"), each.style.getPropertyPriority("pointer-events")];
      each.style.setProperty("pointer-events", "auto", "important");
      const hit = elementAt(box.left + box.width / 2, box.top + box.height / 2, chip);
      if (before) each.style.setProperty("pointer-events", before, how);
      else each.style.removeProperty("pointer-events");
      return hit === each;
    });
  }

  /**
   * Since when the person can see what is in this window, as far as is known: before, another may have been in front of it. In a frame
   * of another site's, which is told of no such thing: since the pointer came.
   */
  let inFront = 0;
  let foreign = false;
  /** When the focus left the page around this frame; and when the person pressed in here. */
  let leftTop = -Infinity;
  let pressed = -Infinity;
  const cameInFront = ({ isTrusted, target, type }: Event) => {
    // Elements get the focus too.
    if (!isTrusted || target instanceof Element) return;
    const now = performance.now();
    // From the page around this frame, by the very press: no window was in front.
    const within = type === "focus" && window !== top && now - (foreign ? pressed : leftTop) < MOVES;
    if (!within) inFront = now;
  };
  doc.addEventListener("visibilitychange", cameInFront);
  addEventListener("focus", cameInFront);
  try {
    if (top && top !== window) {
      top.addEventListener("focus", cameInFront);
      top.addEventListener("blur", ({ isTrusted }) => isTrusted && (leftTop = performance.now()));
    }
  } catch {
    foreign = true;
  }
  addEventListener("pointerdown", ({ isTrusted }) => isTrusted && (pressed = performance.now()), { capture: true, passive: true });
  let lastPointer = -Infinity;
  for (const type of ["pointermove", "pointerover", "pointerdown"]) {
    addEventListener(type, ({ isTrusted }) => {
      if (!isTrusted || !foreign) return;
      const now = performance.now();
      if (now - lastPointer > AWAY) inFront = now;
      lastPointer = now;
    }, { capture: true, passive: true });
  }

  function create({ dismissed, refused }: ChipOptions): Chip {
    const host = doc.createElement("div");
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
    const status = element("div", "", "status");
    status.setAttribute("role", "status");
    let body = element("div");
    root.append(status, body);

    let anchor: Element | undefined;
    /** Where it was put, and where it was found when: the later, the further behind. */
    let put: Point = { x: 0, y: 0 };
    let seen: { at: number; box: DOMRect }[] = [];
    /** What the browser itself says of whether a person can see it; only Chromium says anything. */
    let covered = false;
    const observer = new IntersectionObserver(
      (entries) => {
        const last = entries.at(-1) as (IntersectionObserverEntry & { isVisible?: boolean }) | undefined;
        covered = last?.isVisible === false && last.isIntersecting;
      },
      { threshold: [0, 0.5, 1], trackVisibility: true, delay: 100 } as IntersectionObserverInit,
    );
    observer.observe(host);

    function note(): void {
      const box = host.getBoundingClientRect();
      const last = seen.at(-1)?.box;
      const same = last && (["left", "top", "width", "height"] as const).every((side) => last[side] === box[side]);
      if (!same) seen = [...seen.slice(-20), { at: performance.now(), box }];
    }

    /** Why a click there does not count, if so. */
    function unseenBecause({ x, y }: Point): "chip_covered" | "chip_moved" | "chip_in_front" | undefined {
      note();
      const box = host.getBoundingClientRect();
      if (!host.isConnected || !host.matches(":popover-open") || doc.visibilityState !== "visible") return "chip_moved";
      if (Math.abs(box.left - put.x) > 1 || Math.abs(box.top - put.y) > 1) return "chip_moved";
      // A smudge can be read by nobody.
      if (Math.abs(zoomOf(host) - 1) > 0.01) return "chip_covered";
      if (performance.now() - inFront < SEEN_FOR) return "chip_in_front";
      // Everywhere where it was meanwhile, it was there too.
      const before = performance.now() - SEEN_FOR;
      const begun = seen.findLastIndex(({ at }) => at <= before);
      const inside = ({ left, top, right, bottom }: DOMRect) => x >= left && x <= right && y >= top && y <= bottom;
      if (begun < 0 || !seen.slice(begun).every(({ box }) => inside(box))) return "chip_moved";
      const around = pure(host.getRootNode() as Document | ShadowRoot);
      if (covered || around.elementFromPoint(x, y) !== host || isFaint(host.parentElement)) return "chip_covered";
      if (KEYFOB_PAGE.inTransition() || !isClear(host)) return "chip_covered";
      // What lets clicks through is not found at the point.
      for (const each of topLayer(host)) {
        if (!each) return "chip_covered";
        const other = Element.prototype.getBoundingClientRect.call(each);
        const apart =
          other.right <= box.left || other.left >= box.right || other.bottom <= box.top || other.top >= box.bottom;
        if (!apart || !isClear(each)) return "chip_covered";
      }
      return undefined;
    }

    function isSeen(at?: Point): boolean {
      const { left, top, width, height } = host.getBoundingClientRect();
      const because = unseenBecause(at ?? { x: left + width / 2, y: top + Math.min(19, height / 2) });
      if (because === undefined) return true;
      if (because === "chip_covered") {
        // Above whatever it was, for the next click.
        if (host.isConnected) host.hidePopover();
        refused?.(t(because));
        place();
      } else if (because === "chip_in_front") {
        refused?.(t(because));
      }
      return false;
    }

    function button(name: string, text: string, act: (event: MouseEvent) => void): HTMLButtonElement {
      const made = element("button", text, name);
      made.type = "button";
      // The focus stays in the field.
      made.addEventListener("mousedown", (event) => event.preventDefault());
      made.addEventListener("click", (event) => {
        event.stopPropagation();
        // A press of a key has no point of its own.
        const { left, top, width, height } = made.getBoundingClientRect();
        const at = event.detail > 0 ? { x: event.clientX, y: event.clientY } : { x: left + width / 2, y: top + height / 2 };
        if (event.isTrusted && isSeen(at)) act(event);
      });
      return made;
    }

    function show({ state, text, detail, act, body: below }: ChipView): void {
      const focused = root.activeElement;
      const main = act ? button("main", "", act) : element("div", "", "main");
      main.append(icon(), element("span"));
      main.lastElementChild?.append(prose("b", text), ...(detail ? detail.split("\n").map((line) => prose("small", line)) : []));
      const close = button("close", "×", () => dismissed());
      close.setAttribute("aria-label", t("chip_close"));
      const made = element("div", "", `chip ${state}`);
      made.setAttribute("role", "group");
      made.setAttribute("aria-label", "Keyfob");
      // Of the texts: the browser's own may be none of ours.
      made.lang = t("text_language");
      made.dir = t("text_direction");
      made.append(main, close);
      if (below?.length) {
        made.append(element("div", "", "body"));
        made.lastElementChild?.append(...below);
      }
      body.replaceWith(made);
      body = made;
      // Told once, and not for what only looks different.
      const said = [text, detail?.replaceAll("\n", ", ")].filter(Boolean).join(". ").replaceAll("`", "");
      if (status.textContent !== said) status.textContent = said;
      if (focused) (below?.[0]?.querySelector("button") ?? (act ? main : close)).focus();
      place();
    }

    const variable = (name: string, value: string) => {
      if (host.style.getPropertyValue(name) !== value) host.style.setProperty(name, value);
    };

    /** Beside the anchor, below it or above it: where it fits, and covers nothing that can be pressed. */
    function place(beside: Element | undefined = anchor): void {
      anchor = beside;
      if (!anchor?.isConnected) return;
      // What is outside a modal dialog cannot be clicked while that is open.
      const home = anchor.closest("dialog:modal") ?? doc.documentElement;
      if (host.parentElement !== home) home.append(host);
      if (!host.matches(":popover-open")) host.showPopover();
      const box = anchor.getBoundingClientRect();
      const toLeft = getComputedStyle(anchor).direction === "rtl";
      const space = (toLeft ? box.left : innerWidth - box.right) - EDGE - GAP;
      const room = space < MIN_WIDTH ? innerWidth - 2 * EDGE : space;
      // Whatever a page makes of its letters, the chip can be read.
      variable("--zoom", `${1 / zoomOf(host.parentElement)}`);
      variable("--room", `${Math.floor(Math.min(room, WIDTH))}px`);
      const { width, height } = host.getBoundingClientRect();
      const inline = toLeft ? box.right - width : box.left;
      const left = Math.max(EDGE, Math.min(inline, innerWidth - width - EDGE));
      const places = [
        [toLeft ? box.left - GAP - width : box.right + GAP, box.top + Math.min(0, (box.height - height) / 2)],
        [left, box.bottom + 6],
        [left, box.top - height - 6],
      ] as const;
      const fits = places.filter(
        ([x, y]) => x >= EDGE && x + width <= innerWidth - EDGE && y >= EDGE && y + height <= innerHeight - EDGE,
      );
      const free = ([x, y]: readonly [number, number]) =>
        [0.05, 0.5, 0.95].every((part) =>
          [0.1, 0.5, 0.9].every((down) => {
            const under = doc.elementsFromPoint(x + width * part, y + height * down).find((e) => e !== host);
            return !under || !pure(under).closest("a, button, input, select, textarea, [role=button]");
          }),
        );
      const [x, y] = fits.find(free) ?? fits[0] ?? places[1];
      put = { x: Math.round(x), y: Math.round(Math.max(EDGE, y)) };
      variable("--x", `${put.x}px`);
      variable("--y", `${put.y}px`);
      note();
    }

    function remove(): void {
      observer.disconnect();
      host.remove();
    }

    return { host, show, place, remove, isSeen, button, focus: () => body.querySelector("button")?.focus() };
  }

  return { create, element, elementAt, MIN_OPACITY, paintedOver, prose, t };
})();
