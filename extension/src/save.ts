// Saving an account to one or more keys: list, add, confirm. For the popup and for pages; nothing here is kept or shown.

import type { Answer, Code, Event, Key, Op } from "./generated/message.js";
import type { Trouble } from "./internal.js";
import type { Setup } from "./keyfob_qr.js";
import { local, TroubleError, troubleOf } from "./trouble.js";

/** What it asks the host. */
export type SaveOp = Extract<Op, { name: "keys" | "accounts" | "add-account" | "confirm-account" }>;

/** How the host is asked: as `Host.ask` does it. Throws `TroubleError`. */
export type SaveAsk = (
  op: SaveOp,
  options: { key?: string; onEvent?: (event: Event) => void; signal?: AbortSignal },
) => Promise<Answer>;

/** A key that the account may be saved to. */
export interface KeyChoice {
  key: Key;
  /** Full names of the accounts on it, as far as the browser may know them. */
  taken: string[];
  /** Why it cannot be read now: it may be locked. */
  trouble?: Trouble;
  /** Whether it is the one to propose. */
  proposed: boolean;
}

/**
 * One key's part of it. Plain data: a page can hold it for a background that has ended in the middle, and hand it to the
 * next one.
 */
export interface Part {
  /** `Key.id`. */
  key: string;
  /** Full name that the account is to have on this key; another than the set-up's where that was taken. */
  name: string;
  /** Once it is there: the name as the key keeps it, which may be shortened. */
  written?: string;
  /** Which step it is at. `done`: it is on the key, and the key's code is right, where there are `codes`. */
  state: "ready" | "adding" | "confirming" | "done" | "failed";
  /** Whether it is on the key; `perhaps` when the answer to that was lost. */
  added: "no" | "perhaps" | "yes";
  /** What is waited for, in the host's words. */
  waits?: { touch: boolean; text: string };
  /** Why it failed. Saving again goes on from there. */
  trouble?: Trouble;
  /** Once done: the previous code, the current one and the next. None of an account that browsers are told nothing of. */
  codes?: Code[];
}

export interface SaveOptions {
  ask: SaveAsk;
  /** A name like the first that is none of the others: `names_for` of the wasm. */
  freeName: (name: string, taken: string[]) => string;
  /** Whether every code wants a touch. */
  touch: boolean;
  /** Names that are taken on any of the keys. */
  taken: string[];
  /** Told of every step. */
  onChange?: (part: Part) => void;
  signal?: AbortSignal;
}

/** How many names are tried before the host's word, that each is there already, is passed on. */
const NAMES = 8;

/** Failures of the host after which an account may be on the key all the same: it was asked, and no answer came. */
const UNSURE: ReadonlySet<string> = new Set<Trouble["code"]>([
  "host-crashed",
  "host-timeout",
  "key-removed",
  "cancelled",
  "io",
  "internal",
  "bad-answer",
]);

/**
 * The keys that are there, each with what is on it. `chosen` is the one that the person uses otherwise. Throws the host's
 * failure where there is none.
 */
export async function keyChoices(ask: SaveAsk, chosen?: string, signal?: AbortSignal): Promise<KeyChoice[]> {
  const options = signal ? { signal } : {};
  const { keys } = expect(await ask({ name: "keys" }, options), "keys");
  // The host knows best how to say that there is none.
  if (keys.length === 0) expect(await ask({ name: "accounts", codes: false }, options), "accounts");
  const proposed =
    keys.find(({ id }) => id === chosen) ?? keys.find(({ kind }) => kind === "smart-card") ?? keys[0];
  const choices: KeyChoice[] = [];
  for (const key of keys) {
    const choice: KeyChoice = { key, taken: [], proposed: key === proposed };
    try {
      const answer = expect(await ask({ name: "accounts", codes: false }, { ...options, key: key.id }), "accounts");
      choice.key = answer.key;
      choice.taken = answer.accounts.map(({ name }) => name);
    } catch (error) {
      choice.trouble = troubleOf(error);
    }
    choices.push(choice);
  }
  return choices;
}

/** The names that are taken on some of `choices`: on every key the account is to have the same one. */
export function takenOn(choices: KeyChoice[]): string[] {
  return [...new Set(choices.flatMap(({ taken }) => taken))];
}

/** What there is to do on a key, before it has begun. `name` is a free one. */
export function part(key: string, name: string): Part {
  return { key, name, state: "ready", added: "no" };
}

/**
 * Saves `setup` to the keys of `parts`, one after the other, and goes on where an earlier try failed. Gives them as they are
 * then; whether all is well is `parts.every(({ state }) => state === "done")`. Throws nothing.
 */
export async function save(setup: Setup, parts: Part[], options: SaveOptions): Promise<Part[]> {
  const saved: Part[] = [];
  // A name that was found to be taken on one key is not tried on the next.
  const taken = new Set(options.taken);
  let renamed: { from: string; to: string } | undefined;
  for (const before of parts) {
    const start =
      renamed?.from === before.name && before.added === "no" ? { ...before, name: renamed.to } : before;
    const after = await saveToOne(setup, start, taken, options);
    if (after.name !== start.name) renamed = { from: start.name, to: after.name };
    saved.push(after);
  }
  return saved;
}

async function saveToOne(setup: Setup, before: Part, taken: Set<string>, options: SaveOptions): Promise<Part> {
  const { ask, freeName, touch, onChange, signal } = options;
  if (before.state === "done") return before;
  // Whoever stopped it while it was being added never heard what became of that.
  const added = before.state === "adding" && before.added === "no" ? "perhaps" : before.added;
  const { key, name, written } = before;
  let now: Part = { key, name, state: "ready", added, ...(written === undefined ? {} : { written }) };
  const become = (change: Partial<Part>) => {
    now = { ...now, ...change };
    onChange?.(now);
  };
  const step = (state: Part["state"], change: Partial<Part> = {}) => {
    now = { ...now };
    delete now.waits;
    become({ state, ...change });
  };
  const asking = {
    key: before.key,
    onEvent: (event: Event) =>
      become({
        waits:
          event.name === "touch-required" ? { touch: true, text: event.prompt } : { touch: false, text: event.why },
      }),
    ...(signal ? { signal } : {}),
  };
  const confirm = async () =>
    expect(await ask({ name: "confirm-account", account: now.written ?? now.name, uri: setup.uri }, asking), "confirmed")
      .codes;

  try {
    if (now.added === "perhaps") {
      // What is there under the name is this account if its codes are right, and must be left alone if not.
      step("confirming");
      try {
        // It is found by the name that the key keeps: one for which this one would be taken.
        const { accounts } = expect(await ask({ name: "accounts", codes: false }, asking), "accounts");
        const kept = accounts.find((each) => freeName(now.name, [each.name]) !== now.name);
        if (kept) now.written = kept.name;
        const codes = await confirm();
        step("done", { added: "yes", codes });
        return now;
      } catch (error) {
        const { code } = troubleOf(error);
        if (code !== "not-found" && code !== "bad-answer") throw error;
        now.added = "no";
        delete now.written;
      }
    }
    for (let left = NAMES; now.added === "no"; left--) {
      step("adding");
      try {
        const { written } = expect(
          await ask({ name: "add-account", uri: setup.uri, touch, overwrite: false, account: now.name }, asking),
          "written",
        );
        step("adding", { written, added: "yes" });
      } catch (error) {
        const { code } = troubleOf(error);
        if (code !== "exists" || left <= 1) {
          if (UNSURE.has(code)) now.added = "perhaps";
          throw error;
        }
        // An account that this browser is not told of.
        taken.add(now.name);
        now.name = freeName(setup.name, [...taken]);
      }
    }
    step("confirming");
    try {
      const codes = await confirm();
      step("done", { codes });
    } catch (error) {
      // Of accounts that are not AWS's a browser is told nothing, unless the person has allowed it.
      if (setup.aws || troubleOf(error).code !== "not-found") throw error;
      step("done");
    }
  } catch (error) {
    step("failed", { trouble: troubleOf(error) });
  }
  return now;
}

function expect<N extends Answer["name"]>(answer: Answer, name: N): Extract<Answer, { name: N }> {
  if (answer.name !== name) throw new TroubleError(local("bad-answer"));
  return answer as Extract<Answer, { name: N }>;
}
