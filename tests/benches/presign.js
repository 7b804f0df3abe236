// What a presigned S3 GET costs in JavaScript: the core as wasm against aws4fetch, in Node and in Chromium, and in
// Node against the AWS SDK. All keep their signing key, and take turns in short batches; medians of many rounds,
// ratios taken round by round.
//
// Prints a table, and last one line of JSON for programs.

import { existsSync, readFileSync } from "node:fs";
import http from "node:http";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import puppeteer from "puppeteer-core";

const folder = process.env.KEYFOB_WASM;
if (!folder) throw new Error("KEYFOB_WASM is not set: please run `cargo xtask bench`");

/** Runs in Node and, as text, in the browser: takes its modules, gives nanoseconds by name, round by round. */
async function measure(core, aws4fetch, sdk, rounds) {
  const request = {
    accessKeyId: "AKIAIOSFODNN7EXAMPLE",
    secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    region: "us-east-1",
    bucket: "examplebucket",
    key: "photos/2006/February/sample.jpg",
    time: 1369353600,
    datetime: "20130524T000000Z",
    expires: 86400,
  };
  const { accessKeyId, secretAccessKey, region, bucket, key, time, datetime, expires } = request;

  const presigner = new core.Presigner(accessKeyId, secretAccessKey, region);
  const cache = new Map();
  const url = `https://${bucket}.s3.${region}.amazonaws.com/${key}?X-Amz-Expires=${expires}`;
  // Without the Request that AwsClient would make of it, which costs more than the signature.
  const signer = (cache) =>
    new aws4fetch.AwsV4Signer({
      url,
      accessKeyId,
      secretAccessKey,
      region,
      datetime,
      cache,
      service: "s3",
      method: "GET",
      signQuery: true,
    });
  const cases = {
    "keyfob, wasm": { batch: 500, run: () => presigner.presign("GET", bucket, key, time, expires) },
    aws4fetch: { batch: 20, run: async () => (await signer(cache).sign()).url.toString() },
    // Another day each time, or another cache: the key is derived anew.
    "keyfob, wasm, key derived anew": {
      batch: 300,
      day: 0,
      run() {
        return presigner.presign("GET", bucket, key, time + (this.day ^= 86400), expires);
      },
    },
    "aws4fetch, key derived anew": { batch: 20, run: async () => (await signer(new Map()).sign()).url.toString() },
  };
  if (sdk) {
    const client = new sdk.S3Client({ region, credentials: { accessKeyId, secretAccessKey } });
    const command = new sdk.GetObjectCommand({ Bucket: bucket, Key: key });
    const options = { expiresIn: expires, signingDate: new Date(time * 1000) };
    cases["@aws-sdk/s3-request-presigner"] = { batch: 10, run: () => sdk.getSignedUrl(client, command, options) };
  }

  // Nobody is fast at something else.
  const signature = (link) => new URL(link).searchParams.get("X-Amz-Signature");
  const [ours, theirs] = [cases["keyfob, wasm"].run(), await cases.aws4fetch.run()];
  if (signature(ours) !== signature(theirs)) throw new Error(`aws4fetch signs something else: ${theirs} ${ours}`);

  const times = Object.fromEntries(Object.keys(cases).map((name) => [name, []]));
  for (let round = 0; round < rounds + 20; round++) {
    for (const [name, one] of Object.entries(cases)) {
      const start = performance.now();
      // What is not asynchronous is not made so.
      if (name.startsWith("keyfob")) for (let i = 0; i < one.batch; i++) one.run();
      else for (let i = 0; i < one.batch; i++) await one.run();
      // The first rounds are for the compilers.
      if (round >= 20) times[name].push(((performance.now() - start) / one.batch) * 1e6);
    }
  }
  return times;
}

async function inNode() {
  const core = await import(pathToFileURL(join(folder, "keyfob_core.js")).href);
  core.initSync({ module: readFileSync(join(folder, "keyfob_core_bg.wasm")) });
  const { GetObjectCommand, S3Client } = await import("@aws-sdk/client-s3");
  const { getSignedUrl } = await import("@aws-sdk/s3-request-presigner");
  return measure(core, await import("aws4fetch"), { GetObjectCommand, S3Client, getSignedUrl }, 200);
}

async function inChromium() {
  const files = {
    "/": ["text/html", () => "<!doctype html><title>Benchmark</title>"],
    "/keyfob_core.js": ["text/javascript", () => readFileSync(join(folder, "keyfob_core.js"))],
    "/keyfob_core_bg.wasm": ["application/wasm", () => readFileSync(join(folder, "keyfob_core_bg.wasm"))],
    "/aws4fetch.js": [
      "text/javascript",
      () => readFileSync(new URL("node_modules/aws4fetch/dist/aws4fetch.esm.js", import.meta.url)),
    ],
  };
  const server = http.createServer((request, response) => {
    const [type, read] = files[request.url] ?? [];
    if (!type) return response.writeHead(404).end();
    // Isolated pages have the finer clock.
    const isolated = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };
    response.writeHead(200, { "Content-Type": type, ...isolated }).end(read());
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  const browser = await puppeteer.launch({
    browser: "chrome",
    executablePath: process.env.KEYFOB_CHROMIUM,
    args: [
      // Chromium's sandbox does not work for root.
      ...(process.getuid() === 0 ? ["--no-sandbox"] : []),
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
  try {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${server.address().port}/`);
    return await page.evaluate(`(async () => {
      const core = await import("/keyfob_core.js");
      await core.default({ module_or_path: "/keyfob_core_bg.wasm" });
      return (${measure})(core, await import("/aws4fetch.js"), null, 200);
    })()`);
  } finally {
    await browser.close();
    server.close();
  }
}

function median(values) {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

function ratio(times, slower, faster) {
  return median(times[slower].map((time, round) => time / times[faster][round]));
}

const results = { node: await inNode() };
if (process.env.KEYFOB_CHROMIUM && existsSync(process.env.KEYFOB_CHROMIUM)) results.chromium = await inChromium();

const report = { bench: "presign-wasm", us: {}, ratios: {} };
for (const [place, times] of Object.entries(results)) {
  console.log(`\nPresigning an S3 GET in ${place}, medians of 200 rounds`);
  report.us[place] = {};
  for (const [name, values] of Object.entries(times)) {
    const us = median(values) / 1000;
    report.us[place][name] = Number(us.toFixed(2));
    console.log(`${name.padEnd(40)} ${us.toFixed(2).padStart(9)} µs`);
  }
  const cached = ratio(times, "aws4fetch", "keyfob, wasm");
  const anew = ratio(times, "aws4fetch, key derived anew", "keyfob, wasm, key derived anew");
  report.ratios[place] = { cached: Number(cached.toFixed(1)), derived: Number(anew.toFixed(1)) };
  const aim = place === "chromium" ? "   at least 12" : "";
  console.log(`${"aws4fetch / keyfob, keys cached".padEnd(40)} ${cached.toFixed(1).padStart(9)}${aim}`);
  console.log(`${"aws4fetch / keyfob, keys derived anew".padEnd(40)} ${anew.toFixed(1).padStart(9)}`);
}
if (!results.chromium) console.log("\nChromium: not measured, for KEYFOB_CHROMIUM names none: cargo xtask bench");
console.log(JSON.stringify(report));
