// The background's side of a login that opens in a container, with a browser and a host made for it: what it refuses, and in which order
// it asks. What real Firefox makes of it is in tests/browser/containers.test.js.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { beforeEach, describe, test } from "node:test";
import { pathToFileURL } from "node:url";

import { tool, until } from "../../tests/browser/harness.js";

const BASE = "moz-extension://1/";
const URL_ = "https://signin.aws.amazon.com/federation?Action=login&Issuer=keyfob&Destination=a&SigninToken=secret";
const TICKET = "00112233445566778899aabbccddeeff";
const texts = JSON.parse(readFileSync(path.join(import.meta.dirname, "../static/_locales/en/messages.json"), "utf8"));

/** What was done, in order. */
let log;
/** The containers that there are; none where the browser has none, an error where they are off. */
let containers;
/** What the browser says to a new tab. */
let create;

globalThis.chrome = {
  runtime: { id: "1", getManifest: () => ({}), getURL: (name) => BASE + name },
  i18n: { getMessage: (name) => texts[name]?.message ?? "" },
  get contextualIdentities() {
    if (containers === undefined) return undefined;
    const all = () => (containers instanceof Error ? Promise.reject(containers) : Promise.resolve(containers));
    return {
      query: async ({ name }) => {
        log.push(name === undefined ? "query" : `query ${name}`);
        return (await all()).filter((each) => name === undefined || each.name === name);
      },
      create: async ({ name, color, icon }) => {
        log.push(`make ${name}`);
        const made = { name, color, icon, cookieStoreId: `store-${containers.length}` };
        containers.push(made);
        return made;
      },
    };
  },
  tabs: {
    create: async (made) => {
      log.push(`open ${made.cookieStoreId} ${made.url} ${made.windowId}:${made.index}`);
      return create();
    },
    remove: async (id) => void log.push(`close ${id}`),
  },
};
// The wasm, which is no server's here.
globalThis.fetch = async (url) =>
  new Response(readFileSync(path.join(tool("KEYFOB_EXTENSION"), url.slice(BASE.length))), { headers: { "content-type": "application/wasm" } });

const module = (name) => import(pathToFileURL(path.join(tool("KEYFOB_EXTENSION"), name)));
const { serveLogin } = await module("containers.js");
const { TroubleError } = await module("trouble.js");

beforeEach(() => {
  log = [];
  containers = [];
  create = () => ({});
});

/** A port of a page; `tell` is what the page says, `told` what it is told. */
class Port {
  told = [];
  #listeners = {};
  #event = (name) => ({ addListener: (each) => (this.#listeners[name] = each) });
  onMessage = this.#event("message");
  onDisconnect = this.#event("disconnect");
  constructor(url = `${BASE}login.html`) {
    this.sender = { url, tab: { id: 7, windowId: 3, index: 4 } };
  }
  postMessage(message) {
    this.told.push(message.why.title);
  }
  disconnect() {
    log.push("refused");
  }
  tell(message) {
    this.#listeners.message?.(message);
  }
  leave() {
    this.#listeners.disconnect?.();
  }
}

/** Has a ticket opened that the host answers so; until the tab is closed, or the page is told something. */
async function open(answer, port = new Port()) {
  const host = {
    ask: async (op) => {
      log.push(`ask ${op.name} ${op.ticket}`);
      return answer();
    },
  };
  serveLogin(port, host);
  port.tell({ ticket: TICKET });
  await until("an end", () => log.at(-1)?.startsWith("close") || port.told.length > 0);
  return port.told;
}

const login = (url, container = "ops") => () => ({ name: "login", url, container });
const fails = (code) => () => {
  throw new TroubleError({ code, message: "no" });
};
const ASK = `ask take-login ${TICKET}`;

test("it opens beside the page, which is closed, in the container of the name", async () => {
  containers = [{ name: "other", cookieStoreId: "a" }, { name: "ops", cookieStoreId: "b" }];
  assert.deepEqual(await open(login(URL_)), []);
  assert.deepEqual(log, ["query", ASK, "query ops", `open b ${URL_} 3:5`, "close 7"]);
});

test("a container that is not there is made, and looks the same every time", async () => {
  const looks = new Set();
  for (const name of ["ops", "prod", "ops", "Größe 🙂"]) {
    containers = [];
    log = [];
    await open(login(URL_, name));
    assert.deepEqual(log, ["query", ASK, `query ${name}`, `make ${name}`, `open store-0 ${URL_} 3:5`, "close 7"]);
    const [{ color, icon }] = containers;
    assert.match(`${color} ${icon}`, /^(blue|turquoise|green|yellow|orange|red|pink|purple) [a-z]+$/);
    looks.add(`${name} ${color} ${icon}`);
  }
  assert.equal(looks.size, 3);
});

describe("what is no login at AWS is not opened", () => {
  for (const url of [
    "https://signin.aws.amazon.com.evil.test/federation?Action=login&SigninToken=a",
    "http://signin.aws.amazon.com/federation?Action=login&SigninToken=a",
    "https://signin.aws.amazon.com/oauth?SigninToken=a",
    "javascript:alert(1)",
    `${BASE}options.html`,
    "about:config",
    "",
  ]) {
    test(url, async () => {
      assert.deepEqual(await open(login(url)), [texts.error_login_odd_title.message]);
      assert.deepEqual(log, ["query", ASK]);
    });
  }
});

test("without containers the login is left where it is", async () => {
  for (containers of [undefined, new Error("Contextual identities are currently disabled")]) {
    log = [];
    assert.deepEqual(await open(login(URL_)), [texts.error_no_containers_title.message]);
    assert.ok(!log.includes(ASK));
  }
});

test("a tab that the browser does not open is told, without its address", async () => {
  create = () => Promise.reject(new Error(`No permission for ${URL_}`));
  assert.deepEqual(await open(login(URL_)), [texts.error_no_containers_title.message]);
  assert.ok(!log.some((each) => each.startsWith("close")));
});

test("the host's refusals: one that is over is said to be, others are what they are", async () => {
  assert.deepEqual(await open(fails("not-found")), [texts.error_login_over_title.message]);
  assert.deepEqual(await open(fails("no-key")), [texts.error_no_key_title.message]);
  assert.ok(!log.some((each) => each.startsWith("open")));
});

test("no other page is served, and none that has gone is told anything", async () => {
  for (const url of [`${BASE}popup.html`, `${BASE}login.html.evil`, "https://evil.test/login.html", undefined]) {
    const port = new Port(url);
    port.sender.url = url;
    log = [];
    serveLogin(port, { ask: () => assert.fail("asked") });
    port.tell({ ticket: TICKET });
    assert.deepEqual(log, ["refused"]);
  }
  const port = new Port();
  let taken;
  const asked = new Promise((resolve) => {
    serveLogin(port, {
      ask: (_op, { signal }) => {
        taken = signal;
        resolve();
        return new Promise((_, reject) => signal.addEventListener("abort", () => reject(new TroubleError({ code: "cancelled", message: "" }))));
      },
    });
  });
  port.tell({ ticket: TICKET });
  await asked;
  port.leave();
  assert.ok(taken.aborted);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(port.told, []);
});
