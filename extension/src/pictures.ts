// Pictures of a page in shades of grey, as the reader of QR codes wants them. A classic script, which is put into pages beside
// those that need it, and may be put there twice.

var KEYFOB_PICTURES: import("./internal.js").PicturesKit = (globalThis as { KEYFOB_PICTURES?: typeof KEYFOB_PICTURES }).KEYFOB_PICTURES ?? (() => {
  type Picture = import("./internal.js").Picture;
  const { parentOf } = KEYFOB_PAGE;
  type Drawn = HTMLImageElement | HTMLCanvasElement | HTMLVideoElement | ImageBitmap;

  /** Pictures are made so many pixels long, if they are longer; or longer than so many; and get so wide a margin. */
  const [MAX_SIDE, MIN_SIDE, MARGIN] = [1600, 200, 24];
  /** So many of an SVG's shapes are looked at. A code has up to 31,329. */
  const MAX_SHAPES = 40_000;
  /** In ms: longer no picture is waited for. */
  const LOADING = 2_000;

  /** The nearest colour behind an element that is not transparent. */
  function ground(it: Element): string {
    for (let at: Element | null = it; at; at = parentOf(at)) {
      const { backgroundColor } = getComputedStyle(at);
      if (!/^(transparent|rgba\(.*, 0\))$/.test(backgroundColor)) return backgroundColor;
    }
    return "#fff";
  }

  async function loaded(source: string): Promise<HTMLImageElement | undefined> {
    const image = new Image();
    image.src = source;
    const late = new Promise<void>((resolve) => setTimeout(resolve, LOADING));
    await Promise.race([image.decode(), late]).catch(() => undefined);
    return image.complete && image.naturalWidth > 0 ? image : undefined;
  }

  /** As the page's styles make it look, for they do not come along. */
  function drawingOf(svg: SVGSVGElement): string {
    const copy = svg.cloneNode(true) as SVGSVGElement;
    const { width, height } = svg.getBoundingClientRect();
    copy.setAttribute("width", `${width}`);
    copy.setAttribute("height", `${height}`);
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    const [shapes, copies] = [svg.querySelectorAll("*"), copy.querySelectorAll<SVGElement>("*")];
    for (let i = 0; i < Math.min(shapes.length, MAX_SHAPES); i++) {
      const { fill, stroke, strokeWidth } = getComputedStyle(shapes[i] as Element);
      Object.assign(copies[i]?.style ?? {}, { fill, stroke, strokeWidth });
    }
    return `data:image/svg+xml,${encodeURIComponent(new XMLSerializer().serializeToString(copy))}`;
  }

  /** The picture that an element is, or has behind it. */
  async function sourceOf(it: Element): Promise<Drawn | undefined> {
    if (it instanceof HTMLCanvasElement || it instanceof HTMLVideoElement) return it;
    if (it instanceof HTMLImageElement) return it.complete && it.naturalWidth > 0 ? it : undefined;
    if (it instanceof SVGSVGElement) return loaded(drawingOf(it));
    const [, url] = /url\("([^"]+)"\)/.exec(getComputedStyle(it).backgroundImage) ?? [];
    return url === undefined ? undefined : loaded(url);
  }

  function sizeOf(source: Drawn): [number, number] {
    if (source instanceof HTMLImageElement) return [source.naturalWidth, source.naturalHeight];
    if (source instanceof HTMLVideoElement) return [source.videoWidth, source.videoHeight];
    return [source.width, source.height];
  }

  function greys(source: Drawn, colour: string): Picture | "tainted" | undefined {
    const natural = sizeOf(source);
    const longer = Math.max(...natural);
    if (Math.min(...natural) < 1) return undefined;
    const scale = longer > MAX_SIDE ? MAX_SIDE / longer : longer < MIN_SIDE ? Math.ceil(MIN_SIDE / longer) : 1;
    const [width, height] =
      natural.map((side) => Math.max(1, Math.round(side * scale)) + 2 * MARGIN) as [number, number];
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    if (!context) return undefined;
    context.fillStyle = colour;
    context.fillRect(0, 0, width, height);
    // Squares stay squares when they are made larger.
    context.imageSmoothingEnabled = scale < 1;
    try {
      context.drawImage(source, MARGIN, MARGIN, width - 2 * MARGIN, height - 2 * MARGIN);
      const { data } = context.getImageData(0, 0, width, height);
      const luma = new Uint8Array(width * height);
      // Brightness as the eye has it (ITU-R BT.601).
      for (let i = 0, at = 0; i < luma.length; i++, at += 4) {
        luma[i] = (299 * data[at]! + 587 * data[at + 1]! + 114 * data[at + 2]!) / 1000;
      }
      // Byte by byte it would take far longer, all at once too many arguments.
      let bytes = "";
      for (let at = 0; at < luma.length; at += 0x8000) bytes += String.fromCharCode(...luma.subarray(at, at + 0x8000));
      return { width, height, luma: btoa(bytes) };
    } catch {
      return "tainted";
    }
  }

  return {
    greys,
    async draw(it) {
      const source = await sourceOf(it);
      return source && greys(source, ground(it));
    },
  };
})();
