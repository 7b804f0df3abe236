// Programs put in the native host's place: hosts that fail in chosen ways, and one that lets a test overhear the real one.

import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";

/** What the program below knows, for the `answer`s to use. */
const PRELUDE = `
  const frame = (message) => {
    const body = Buffer.from(typeof message === "string" ? message : JSON.stringify(message));
    const head = Buffer.alloc(4);
    head.writeUInt32LE(body.length);
    return Buffer.concat([head, body]);
  };
  const now = () => Date.now() / 1000;
  const hello = (id) => ({ type: "done", id, answer: { name: "hello", version: "9.9.9", protocol: 1 } });
  const failed = (id, error) => frame({ type: "failed", id, error });
  const event = (id, event) => frame({ type: "event", id, event });
  const touch = (id, more) => event(id, { name: "touch-required", prompt: "Touch for this", ...more });
  const waiting = (id, why) => event(id, { name: "waiting", why });
  const key = { id: "1", kind: "smart-card", label: "Reader 1", version: "5.7.1", locked: false };
  const account = (name, more) => ({ name, issuer: name.split(":")[0], kind: "totp", period: 30, touch: true,
    aws: { account: "123456789012", device: "alice", flow: "iam" }, ...more });
  const code = (value, from, until) => ({ value, valid_from: Math.floor(from), valid_until: Math.floor(until) });
`;

/** Where each browser looks for the host, below the home folder. */
const MANIFESTS = {
  chromium: ".config/chromium/NativeMessagingHosts/dev.keyfob.host.json",
  firefox: ".mozilla/native-messaging-hosts/dev.keyfob.host.json",
};

/** The host of the browser that was launched in `home`. */
export class FakeHost {
  constructor(home, browser = "chromium") {
    this.home = home;
    this.manifest = path.join(home.path, MANIFESTS[browser]);
    this.original = readFileSync(this.manifest, "utf8");
  }

  /** Has the browser start this program. */
  replace(program) {
    this.writeManifest({ path: program });
  }

  /** Writes the browser's manifest anew, with these of its parts changed. */
  writeManifest(changed) {
    writeFileSync(this.manifest, JSON.stringify({ ...JSON.parse(this.original), ...changed }));
  }

  /** Takes the host away: the browser knows of none. */
  remove() {
    writeFileSync(this.manifest, "{}");
  }

  /**
   * Has the browser start a program that gives each request to `answer`, the source of a function: it returns the bytes
   * to write, or null. Greetings are answered for it, but where `greets` is true; and so are `cancel` and `submitted`.
   */
  answers(answer, { greets = false } = {}) {
    const program = this.home.write(
      "fake-host.cjs",
      `#!${process.execPath}
      require("node:fs").writeFileSync(${JSON.stringify(this.pidFile)}, String(process.pid));
      ${PRELUDE}
      const write = (bytes) => bytes && process.stdout.write(bytes);
      const asked = ${JSON.stringify(this.home.write("asked", ""))};
      const standard = ({ id, op }) => {
        if (op.name === "hello" && !${greets}) return frame(hello(id));
        if (op.name === "submitted") return frame({ type: "done", id, answer: { name: "noted" } });
        if (op.name !== "cancel") return undefined;
        return Buffer.concat([failed(op.request, { code: "cancelled", message: "the request was cancelled" }),
          frame({ type: "done", id, answer: { name: "withdrawn" } })]);
      };
      const answer = ${answer};
      let got = Buffer.alloc(0);
      process.stdin.on("data", (more) => {
        got = Buffer.concat([got, more]);
        while (got.length >= 4 && got.length >= 4 + got.readUInt32LE(0)) {
          const request = JSON.parse(got.subarray(4, 4 + got.readUInt32LE(0)));
          got = got.subarray(4 + got.readUInt32LE(0));
          require("node:fs").appendFileSync(asked, JSON.stringify(request) + "\\n");
          write(standard(request) ?? answer(request));
        }
      });`,
    );
    chmodSync(program, 0o700);
    this.replace(program);
  }

  /** What the program was asked, in its order; only requests for the operation `name`, if one is given. */
  asked(name) {
    const lines = readFileSync(path.join(this.home.path, "asked"), "utf8").split("\n").filter(Boolean);
    return lines.map((line) => JSON.parse(line)).filter(({ op }) => name === undefined || op.name === name);
  }

  /** Has the browser start the host that it had, through a program that also keeps what it writes. */
  overhear() {
    const log = this.home.write("overheard", "");
    const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
    const { path: real } = JSON.parse(this.original);
    const program = this.home.write("overhear", `#!/bin/sh\n${quoted(real)} "$@" | tee -a ${quoted(log)}\n`);
    chmodSync(program, 0o700);
    this.replace(program);
    const count = (what) => readFileSync(log, "latin1").split(what).length - 1;
    return {
      /** How often it has listed accounts, asked for a touch or to wait, given a code, noted one, cancelled a request. */
      lists: () => count('"name":"accounts"'),
      touches: () => count('"name":"touch-required"'),
      waits: () => count('"name":"waiting"'),
      codes: () => count('"name":"code"'),
      notes: () => count('"name":"noted"'),
      cancelled: () => count('"code":"cancelled"'),
    };
  }

  get pidFile() {
    return path.join(this.home.path, "fake-host.pid");
  }

  /** Ends the program that runs: the extension keeps its port, and the next test is to start its own. */
  end() {
    if (!existsSync(this.pidFile)) return;
    try {
      process.kill(Number(readFileSync(this.pidFile, "utf8")));
    } catch {
      // It has ended.
    }
    rmSync(this.pidFile);
  }
}
