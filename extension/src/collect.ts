// All that a frame shows which may set up an account: QR codes of whatever kind, and otpauth addresses. A classic script, which
// the popup puts into the frames of the page that the person has it scan; what it ends with goes to the popup.

(async () => {
  type Collected = import("./internal.js").Collected;
  type Picture = import("./internal.js").Picture;
  const { pure, shadowOf } = KEYFOB_PAGE;
  const doc = pure(document);

  /** Of a page so many elements are looked at, so many pictures taken, so many addresses. */
  const [MAX_ELEMENTS, MAX_PICTURES, MAX_ADDRESSES] = [20_000, 24, 20];
  /** Smaller, in CSS pixels, no code can be read. */
  const MIN_SIDE = 40;
  /** An address is longest so many characters, and a page's text is looked through so far. */
  const [MAX_ADDRESS, MAX_TEXT] = [4096, 1_000_000];

  /** Every element, those in shadow trees too. */
  function* elements(root: Document | ShadowRoot): Generator<Element> {
    for (const each of root.querySelectorAll("*")) {
      yield each;
      const inner = shadowOf(each);
      if (inner) yield* elements(inner);
    }
  }

  const found: { it: Element; square: number }[] = [];
  const addresses = new Set<string>();
  const isAddress = (text: string) => /^otpauth(-migration)?:/i.test(text) && text.length <= MAX_ADDRESS;
  const isVisible = (it: Element) => pure(it).checkVisibility({ opacityProperty: true, visibilityProperty: true });
  let left = MAX_ELEMENTS;
  for (const it of elements(doc)) {
    if (--left < 0) break;
    const text = it instanceof HTMLAnchorElement ? it.href : it instanceof HTMLInputElement ? it.value.trim() : "";
    // What nobody sees, nobody means.
    if (isAddress(text) && isVisible(it)) addresses.add(text);
    const drawn =
      it instanceof HTMLImageElement || it instanceof HTMLCanvasElement || it instanceof HTMLVideoElement ||
      it instanceof SVGSVGElement || (it instanceof HTMLElement && getComputedStyle(it).backgroundImage.includes("url("));
    if (!drawn) continue;
    const { width, height } = pure(it).getBoundingClientRect();
    if (Math.min(width, height) < MIN_SIDE || !isVisible(it)) continue;
    found.push({ it, square: Math.min(width, height) / Math.max(width, height) });
  }
  for (const [address] of (doc.body?.innerText ?? "").slice(0, MAX_TEXT).matchAll(/otpauth(?:-migration)?:\/\/[^\s"'<>]+/gi)) {
    if (isAddress(address)) addresses.add(address);
  }

  // Codes are square.
  found.sort((one, other) => other.square - one.square);
  const pictures: Picture[] = [];
  for (const { it } of found.slice(0, MAX_PICTURES)) {
    const picture = await KEYFOB_PICTURES.draw(it);
    // What the browser keeps from us, the popup takes from the screen.
    if (picture && picture !== "tainted") pictures.push(picture);
  }
  return { site: location.host, pictures, addresses: [...addresses].slice(0, MAX_ADDRESSES) } satisfies Collected;
})();
