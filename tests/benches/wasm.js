// Presigning an S3 GET in wasm, in Node and in Chromium, beside what JavaScript programs use for it.
// `cargo xtask bench` builds what it takes, and starts it.

import { readFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { GetObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { Home, Pages, launch, tool } from "../browser/harness.js";

const folder = tool("KEYFOB_WASM");
const files = {
  core: path.join(folder, "keyfob_core.js"),
  wasm: path.join(folder, "keyfob_core_bg.wasm"),
  aws4fetch: path.join(import.meta.dirname, "node_modules/aws4fetch/dist/aws4fetch.esm.mjs"),
};

/**
 * The cases that run everywhere, as functions that presign once. They go into the page as text, so they use nothing of this
 * file. "Cached" keeps the signing key of the day; without, every link is of another day than the one before.
 */
function cases({ Presigner, AwsV4Signer }) {
  const accessKeyId = "AKIAIOSFODNN7EXAMPLE";
  const secretAccessKey = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
  const time = 1_790_000_000;
  const presigner = new Presigner(accessKeyId, secretAccessKey, "us-east-1");
  let n = 0;
  const ours = (at) => presigner.presign("GET", "examplebucket", "photos/2026/holiday.jpg", at, 3600);
  const theirs = async (at, cache) => {
    const signer = new AwsV4Signer({
      url: "https://examplebucket.s3.us-east-1.amazonaws.com/photos/2026/holiday.jpg?X-Amz-Expires=3600",
      accessKeyId,
      secretAccessKey,
      region: "us-east-1",
      service: "s3",
      signQuery: true,
      datetime: new Date(at * 1000).toISOString().replace(/[:-]|\.\d{3}/g, ""),
      cache,
    });
    return (await signer.sign()).url.href;
  };
  const cache = new Map();
  return {
    "Keyfob, key cached": () => ours(time),
    "Keyfob, key derived": () => ours(time + (n++ % 2) * 86400),
    "aws4fetch, key cached": () => theirs(time, cache),
    "aws4fetch, key derived": () => theirs(time + (n++ % 2) * 86400, new Map()),
  };
}

/** Medians in µs: the cases take turns in batches of some 20 ms, longer than the clock is coarse. */
async function measure(all, rounds) {
  const batch = {};
  const times = {};
  for (const [name, run] of Object.entries(all)) {
    // Warm, and see how many a batch is.
    let count = 0;
    for (const end = performance.now() + 150; performance.now() < end; count++) await run();
    batch[name] = Math.max(1, Math.round((count * 20) / 150));
    times[name] = [];
  }
  for (let round = 0; round < rounds; round++) {
    for (const [name, run] of Object.entries(all)) {
      const start = performance.now();
      for (let i = 0; i < batch[name]; i++) {
        const answer = run();
        // What is synchronous must not pay for a promise.
        if (answer instanceof Promise) await answer;
      }
      times[name].push(((performance.now() - start) * 1000) / batch[name]);
    }
  }
  return Object.fromEntries(
    Object.entries(times).map(([name, list]) => [name, list.sort((a, b) => a - b)[Math.floor(list.length / 2)]]),
  );
}

const ROUNDS = 31;

async function inNode() {
  const core = await import(pathToFileURL(files.core).href);
  core.initSync({ module: readFileSync(files.wasm) });
  const { AwsV4Signer } = await import(pathToFileURL(files.aws4fetch).href);
  const client = new S3Client({
    region: "us-east-1",
    credentials: { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" },
  });
  const command = new GetObjectCommand({ Bucket: "examplebucket", Key: "photos/2026/holiday.jpg" });
  const all = {
    ...cases({ Presigner: core.Presigner, AwsV4Signer }),
    "AWS SDK, getSignedUrl": () => getSignedUrl(client, command, { expiresIn: 3600 }),
  };
  const paths = {};
  for (const [name, run] of Object.entries(all)) paths[name] = new URL(await run()).pathname;
  if (new Set(Object.values(paths)).size !== 1) throw new Error(`not the same work: ${JSON.stringify(paths)}`);
  return measure(all, ROUNDS);
}

async function inChromium() {
  const home = new Home();
  const pages = await Pages.start(home);
  const browser = await launch("chromium", home, pages);
  try {
    const page = await browser.newPage();
    // Any page that is a secure context: WebCrypto, which aws4fetch uses, is only there.
    await page.goto("https://console.aws.amazon.com/console.html");
    const texts = [readFileSync(files.core, "utf8"), readFileSync(files.aws4fetch, "utf8")];
    const wasm = readFileSync(files.wasm).toString("base64");
    return await page.evaluate(
      async (texts, wasm, cases, measure, rounds) => {
        const urls = texts.map((text) => URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
        const [core, { AwsV4Signer }] = await Promise.all(urls.map((url) => import(url)));
        core.initSync({ module: Uint8Array.from(atob(wasm), (c) => c.charCodeAt(0)) });
        const compiled = (source) => new Function(`return ${source}`)();
        return compiled(measure)(compiled(cases)({ Presigner: core.Presigner, AwsV4Signer }), rounds);
      },
      texts, wasm, cases.toString(), measure.toString(), ROUNDS,
    );
  } finally {
    await browser.close();
    pages.stop();
    home.remove();
  }
}

for (const [where, run] of [["Node", inNode], ["Chromium", inChromium]]) {
  const medians = await run();
  console.log(`\nPresign an S3 GET in ${where}          µs   times Keyfob's`);
  for (const [name, median] of Object.entries(medians)) {
    const kept = name.includes("derived") ? "Keyfob, key derived" : "Keyfob, key cached";
    console.log(`  ${name.padEnd(26)}${median.toFixed(2).padStart(10)}${(median / medians[kept]).toFixed(1).padStart(10)}`);
  }
  console.log(JSON.stringify({ bench: "presign-wasm", where, medians }));
}
