// A native host that fails in chosen ways: a program put in keyfob's place, for the popup and for the chip.

import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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
  const touch = (id) => frame({ type: "event", id, event: { name: "touch-required", prompt: "Touch for this" } });
  const key = { id: "1", kind: "smart-card", label: "Reader 1", version: "5.7.1", locked: false };
  const account = (name, more) => ({ name, issuer: name.split(":")[0], kind: "totp", period: 30, touch: true,
    aws: { account: "123456789012", device: "alice", flow: "iam" }, ...more });
  const code = (value, from, until) => ({ value, valid_from: Math.floor(from), valid_until: Math.floor(until) });
`;

/** The host of the browser that was launched in `home`. */
export class FakeHost {
  constructor(home) {
    this.home = home;
    const manifests = readdirSync(home.path, { recursive: true });
    const found = manifests.find((file) => file.endsWith("chromium/NativeMessagingHosts/dev.keyfob.host.json"));
    this.manifest = path.join(home.path, found);
    this.original = readFileSync(this.manifest, "utf8");
  }

  /** Has the browser start this program. */
  replace(program) {
    writeFileSync(this.manifest, JSON.stringify({ ...JSON.parse(this.original), path: program }));
  }

  /** Takes the host away: the browser knows of none. */
  remove() {
    writeFileSync(this.manifest, "{}");
  }

  /**
   * Has the browser start a program that gives each request to `answer`, the source of a function: it returns the bytes
   * to write, or null. Greetings are answered for it, but where `greets` is true.
   */
  answers(answer, { greets = false } = {}) {
    const program = this.home.write(
      "fake-host.cjs",
      `#!${process.execPath}
      require("node:fs").writeFileSync(${JSON.stringify(this.pidFile)}, String(process.pid));
      ${PRELUDE}
      const write = (bytes) => bytes && process.stdout.write(bytes);
      const answer = ${answer};
      let got = Buffer.alloc(0);
      process.stdin.on("data", (more) => {
        got = Buffer.concat([got, more]);
        while (got.length >= 4 && got.length >= 4 + got.readUInt32LE(0)) {
          const request = JSON.parse(got.subarray(4, 4 + got.readUInt32LE(0)));
          got = got.subarray(4 + got.readUInt32LE(0));
          write(request.op.name === "hello" && !${greets} ? frame(hello(request.id)) : answer(request));
        }
      });`,
    );
    chmodSync(program, 0o700);
    this.replace(program);
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
