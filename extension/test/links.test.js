// Links: the wasm as the extension calls it (every function of src/keyfob_links.d.ts, on the file that is shipped), and the
// panel in real Chromium with hosts that fail.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { pathToFileURL } from "node:url";

import { Home, launch, Pages, picture, until } from "../../tests/browser/harness.js";
import { accessible } from "../../tests/browser/axe.js";
import { FakeHost } from "./fake-host.js";

const folder = process.env.KEYFOB_EXTENSION;
assert(folder, "KEYFOB_EXTENSION is not set: please run `cargo xtask test`");

describe("the wasm for links", () => {
  /** @type {typeof import("../src/keyfob_links.js")} */
  let wasm;
  const good = {
    method: "GET",
    bucket: "b-1",
    key: "a b/ü+%~.txt",
    region: "eu-west-1",
    accessKeyId: "AKIAIOSFODNN7EXAMPLE",
    expires: 3600,
    at: 1_369_353_600,
  };

  before(async () => {
    wasm = await import(pathToFileURL(path.join(folder, "keyfob_links.js")).href);
    await wasm.default({ module_or_path: readFileSync(path.join(folder, "keyfob_links_bg.wasm")) });
  });

  test("what will be signed is what is shown", () => {
    const { canonicalRequest, ...shown } = wasm.presign_preview(good);
    assert.deepEqual(shown, {
      scheme: "https",
      method: "GET",
      host: "b-1.s3.eu-west-1.amazonaws.com",
      bucket: "b-1",
      key: "a b/ü+%~.txt",
      region: "eu-west-1",
      accessKeyId: "AKIAIOSFODNN7EXAMPLE",
      expiresAt: 1_369_357_200,
      dotSegments: false,
    });
    assert.match(canonicalRequest, /^GET\n\/a%20b\/%C3%BC%2B%25~\.txt\nX-Amz-Algorithm=AWS4-HMAC-SHA256&/);
    assert.match(canonicalRequest, /&X-Amz-Date=20130524T000000Z&X-Amz-Expires=3600&/);
    const local = wasm.presign_preview({ ...good, endpoint: "http://127.0.0.1:9000", versionId: "v 1" });
    assert.equal(`${local.scheme}://${local.host}`, "http://127.0.0.1:9000");
    assert.equal(local.versionId, "v 1");
    assert.match(local.canonicalRequest, /\nhost:127\.0\.0\.1:9000\n/);
    assert.match(local.canonicalRequest, /&versionId=v%201\n/);
    assert.equal(wasm.presign_preview({ ...good, key: "a/../b" }).dotSegments, true);
  });

  test("names and types: asked of the answer, or signed with the upload", () => {
    const named = wasm.presign_preview({ ...good, downloadName: 'ü "1".txt', contentType: "text/plain; charset=utf-8" });
    assert.deepEqual([named.downloadName, named.contentType], ['ü "1".txt', "text/plain; charset=utf-8"]);
    assert.match(
      named.canonicalRequest,
      /&response-content-disposition=attachment%3B%20filename%3D%22_%20_1_.txt%22%3B%20filename%2A%3DUTF-8%27%27%25C3%25BC%2520%25221%2522.txt&response-content-type=text%2Fplain%3B%20charset%3Dutf-8\n/,
    );
    const upload = wasm.presign_preview({ ...good, method: "PUT", contentType: "text/plain" });
    assert.equal(upload.contentType, "text/plain");
    assert.match(upload.canonicalRequest, /\ncontent-type:text\/plain\nhost:/);
    assert.doesNotMatch(upload.canonicalRequest, /response-/);
  });

  test("what cannot be signed", () => {
    const check = (change, code, message) =>
      assert.throws(() => wasm.presign_preview({ ...good, ...change }), { code, message }, JSON.stringify(change));
    check({ key: "" }, "invalid-input", /empty/);
    check({ key: "x".repeat(1025) }, "invalid-input", /1025 bytes/);
    check({ bucket: "A" }, "invalid-input", /bucket/);
    check({ bucket: "b--usw2-az1--x-s3" }, "invalid-input", /directory bucket/);
    check({ expires: wasm.max_expires() + 1 }, "invalid-input", /7 days/);
    check({ expires: 0 }, "invalid-input", /7 days/);
    check({ region: "" }, "invalid-input", /region/);
    check({ endpoint: "https://s3.amazonaws.com" }, "invalid-input", /AWS itself/);
    check({ accessKeyId: "ASIAIOSFODNN7EXAMPLE" }, "invalid-input", /temporary/);
    check({ downloadName: "a/b" }, "invalid-input", /path/);
    check({ downloadName: "a\u202eb" }, "invalid-input", /cannot be seen/);
    check({ contentType: "text" }, "invalid-input", /content type/);
    check({ contentType: "text/plain\r\nx: y" }, "invalid-input", /content type/);
    check({ expires: "3600" }, "bad-request", /expires/);
    check({ at: 1.5 }, "bad-request", /at /);
    check({ at: -1 }, "bad-request", /at /);
    check({ bucket: undefined }, "bad-request", /bucket/);
    check({ downloadName: 1 }, "bad-request", /downloadName/);
  });

  test("lists", () => {
    const { key, ...rest } = good;
    const list = wasm.presign_list({ ...rest, bucket: "" }, `s3://b-1/${key}\nb.txt\n`);
    assert.deepEqual([list.bucket, list.keys, list.count, list.faults], ["b-1", [key, "b.txt"], 2, []]);
    assert.equal(list.canonicalRequests[0], wasm.presign_preview(good).canonicalRequest);
    assert.equal(list.canonicalRequests[1], wasm.presign_preview({ ...good, key: "b.txt" }).canonicalRequest);
    assert.deepEqual(list.first, wasm.presign_preview(good));
    const bad = wasm.presign_list(rest, "a\n\ns3://b-2/b");
    assert.deepEqual(bad.faults, [{ line: 3, message: 'it is in the bucket "b-2": all have to be in one' }]);
    assert.deepEqual([bad.canonicalRequests, bad.first], [[], undefined]);
    assert.deepEqual(wasm.presign_list({ ...rest, bucket: "" }, "a").first, undefined);
    const long = wasm.presign_list(rest, Array.from({ length: 200_000 }, (_, i) => i).join("\n"));
    assert.deepEqual([long.count, long.most, long.canonicalRequests.length], [200_000, 100, 0]);
    assert.throws(() => wasm.presign_list({ ...rest, bucket: "A" }, "a"), { code: "invalid-input", message: /bucket/ });
  });

  test("commands for uploads", () => {
    const line = (...args) => wasm.curl_upload(...args).split(" --config")[0].replace("curl --fail-with-body --path-as-is --globoff ", "");
    assert.equal(line("https://h/x?y", undefined, "in/a.txt"), "--upload-file ./a.txt");
    assert.equal(line("https://h/x?y", undefined, "in/it's"), "--upload-file './it'\\''s'");
    // What would do something to a terminal does not come into one.
    for (const key of ["in/", "a\nb", "a\u001b[2J", "\u202eb"]) assert.equal(line("https://h/x?y", undefined, key), "--upload-file ./FILE", key);
    assert.match(wasm.curl_upload("https://h/x?y", "a/b", "k"), /\nheader = "Content-Type: a\/b"\nEND\n$/);
  });
});

describe("the panel with other hosts", { timeout: 240_000 }, () => {
  const OBJECT = "https://eu-west-1.console.aws.amazon.com/s3/object/b-1?region=eu-west-1&bucketType=general&prefix=a.txt";
  /** Answers all that the popup asks by itself; `more` are functions by the names of operations. */
  const answers = (more) => `(request) => {
    const { id, op } = request;
    const done = (answer) => frame({ type: "done", id, answer });
    const table = {
      keys: () => done({ name: "keys", keys: [key] }),
      accounts: () => done({ name: "accounts", key, accounts: [] }),
      identities: () => done({ name: "identities", key, identities: [
        { access_key_id: "AKIAIOSFODNN7EXAMPLE", signature: "HmacV1" }, { access_key_id: "AKIAI44QH8DHBEXAMPLE", signature: "SigV4" },
        { access_key_id: "AKIAIOSFODNN7EXAMPLE", signature: "SigV4" }] }),
      ...${more},
    };
    return table[op.name]?.() ?? null;
  }`;
  const SIGNED = "presign: () => done({ name: 'presigned', url: 'https://b-1.s3.eu-west-1.amazonaws.com/a.txt?X-Amz-Signature=0', expires_at: Math.floor(now()) + 900 })";
  let home, pages, browser, host, page;

  before(async () => {
    home = new Home();
    pages = await Pages.start(home);
    browser = await launch("chromium", home, pages);
    host = new FakeHost(home);
  });
  after(async () => {
    await browser?.close();
    pages?.stop();
    home?.remove();
  });
  beforeEach(async () => {
    page = await browser.newPage();
    await page.setViewport({ width: 360, height: 640 });
  });
  afterEach(async () => {
    await page.close();
    host.end();
  });

  async function open(more, url = OBJECT) {
    host.answers(answers(more));
    await page.goto(`chrome-extension://${browser.extensionId}/popup.html?tab=${encodeURIComponent(url)}`);
    await page.waitForSelector("body[data-ready]");
    await until("the identities", () => page.$eval("#identity", ({ options }) => options.length > 0));
  }
  const text = (id) => page.$eval(`#${id}`, (element) => element.textContent);
  async function sign() {
    await page.waitForSelector("#sign:not([disabled])");
    await page.click("#sign");
  }
  /** A picture by day and by night, and what axe says. */
  async function pictures(name) {
    for (const theme of ["light", "dark"]) {
      await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }, { name: "prefers-reduced-motion", value: "reduce" }]);
      await picture(page, `links-${name}-${theme}`);
      await accessible(page);
    }
  }

  test("what others have named shows as it is, and turns nothing round", async () => {
    await open(`{ ${SIGNED} }`, OBJECT.replace("a.txt", "report%E2%80%AEfdp.exe"));
    await page.waitForSelector("#sign:not([disabled])");
    assert.equal(await page.$eval("#preview-sentence b", (name) => name.textContent), "b-1/report\ufffdfdp.exe");
    assert.equal(await page.$eval("#object-key", (input) => input.value), "report\u202efdp.exe", "what is signed is what it is");
  });

  test("identities that sign by SigV4 alone are offered; the one that was used last is chosen", async () => {
    await open(`{ ${SIGNED} }`);
    assert.deepEqual(await page.$$eval("#identity option", (all) => all.map(({ value }) => value)), ["AKIAI44QH8DHBEXAMPLE", "AKIAIOSFODNN7EXAMPLE"]);
    await page.select("#identity", "AKIAIOSFODNN7EXAMPLE");
    await sign();
    await page.waitForSelector("#signed:not([hidden])");
    await page.reload();
    await page.waitForSelector("#sign:not([disabled])");
    assert.equal(await page.$eval("#identity", ({ value }) => value), "AKIAIOSFODNN7EXAMPLE");
  });

  test("no identity on the key", async () => {
    await open('{ identities: () => done({ name: "identities", key, identities: [] }) }');
    assert.match(await text("preview-trouble"), /keyfob aws add/);
    await pictures("no-identity");
  });

  test("a touch that is waited for, and is not wanted any more", async () => {
    await open('{ presign: () => touch(id, { prompt: "Touch your key: Chromium asks to sign GET s3://b-1/a.txt" }) }');
    await sign();
    await page.waitForSelector("#sign[data-state=touch]");
    assert.equal(await page.$eval("#object-key", (field) => field.matches(":disabled")), true, "what is signed stays what is shown");
    await pictures("touch");
    await page.click("#sign-stop");
    await page.waitForSelector("#sign:not([data-state])");
    await until("the cancellation", () => host.asked("cancel").length === 1);
    assert.equal(await page.$eval("#trouble", ({ hidden }) => hidden), true);
    assert.equal(await page.$eval("#object-key", (field) => field.matches(":disabled")), false);
  });

  test("failures say what is to be done, and lose nothing that was typed", async () => {
    await open('{ presign: () => failed(id, { code: "touch-timeout", message: "nobody touched the key" }) }');
    await sign();
    await page.waitForSelector('#trouble[data-code="touch-timeout"]:not([hidden])');
    assert.deepEqual(
      await page.$$eval("#bucket, #object-key", (fields) => fields.map(({ value }) => value)), ["b-1", "a.txt"]);
    assert.equal(await page.$eval("#signed", ({ hidden }) => hidden), true);
  });

  test("links that are not as many as were asked for are no answer", async () => {
    await open('{ "presign-many": () => done({ name: "presigned-many", urls: ["https://x/"], expires_at: Math.floor(now()) + 900 }) }');
    await page.click("#several");
    await page.type("#object-keys", "b.txt");
    await sign();
    await page.waitForSelector('#trouble[data-code="bad-answer"]:not([hidden])');
    assert.equal(await page.$eval("#signed", ({ hidden }) => hidden), true);
  });

  test("what the server says of a link is shown as text", async () => {
    await open(`{ ${SIGNED}, "check-link": () => failed(id, { code: "aws-refused", message: "AccessDenied: <img src=x onerror=alert(1)>", hint: "see the policy" }) }`);
    await sign();
    await page.waitForSelector("#signed:not([hidden])");
    await page.click("#test-url");
    await page.waitForSelector("#tested[data-state=bad]");
    assert.match(await text("tested"), /AccessDenied: <img src=x onerror=alert\(1\)>.*See the policy/);
    await page.$eval("#tested", (line) => line.scrollIntoView({ block: "nearest" }));
    await pictures("refused");
  });

  test("an object without a length or a type works all the same", async () => {
    await open(`{ ${SIGNED}, "check-link": () => done({ name: "link-checked", status: 200 }) }`);
    await sign();
    await page.waitForSelector("#signed:not([hidden])");
    await page.click("#test-url");
    await page.waitForSelector("#tested[data-state=good]");
    assert.match(await text("tested"), /It works: of unknown length\./);
  });

  test("the wasm for links is not loaded before there is one to be made", async () => {
    const loaded = [];
    page.on("request", (request) => /keyfob_\w+_bg\.wasm$/.test(request.url()) && loaded.push(path.basename(request.url())));
    await open("{}", "about:blank");
    assert.deepEqual(loaded, ["keyfob_core_bg.wasm"]);
    await open("{}");
    await page.waitForSelector("#sign:not([disabled])");
    assert.deepEqual(loaded.slice(1), ["keyfob_core_bg.wasm", "keyfob_links_bg.wasm"]);
  });
});
