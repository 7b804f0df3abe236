// How a person gets one code: the states of it, and what leads from one to the next. Nothing here asks or shows anything.
//
//        ┌──────────────────────────── asked ───────────────────────────┐
//        ▼                                                              │
//     waiting ◄── event ──► touch ── code ──► done ── clock ──► idle ───┤
//      │   ▲                 │  │                                       │
//   locked └── unlocked ─┐   │  ├── no touch came ──► timed-out ────────┤
//      │                 │   │  ├── code of the past ──► expired ───────┤
//      └────► unlock ────┘   │  └── anything else ──► failed ───────────┤
//                └─ by the person ─► cancelled ─────────────────────────┘

import type { Code, Event } from "./generated/message.js";
import type { Trouble } from "./internal.js";
import { hasRunOut } from "./step.js";

export type Flow =
  | { state: "idle" }
  /** The key was asked. Perhaps something has to come first: `why`, in the host's words. */
  | { state: "waiting"; before?: Code | undefined; why?: string }
  /** The key wants its password; then it is asked again. */
  | { state: "unlock"; before?: Code | undefined }
  /** The key blinks; `prompt` is what the touch will do, in the host's words. */
  | { state: "touch"; before?: Code | undefined; prompt: string }
  | { state: "done"; code: Code }
  /** No touch came. It is not asked for again unless the person says so. */
  | { state: "timed-out" }
  | { state: "cancelled" }
  /** The touch came too late for its code. */
  | { state: "expired" }
  | { state: "failed"; trouble: Trouble };

export type Happening =
  /** The person wants the code. */
  | { what: "asked" }
  /** The key gave the code with its list: it wants no touch. */
  | { what: "listed"; code: Code }
  | { what: "event"; event: Event }
  | { what: "code"; code: Code }
  | { what: "trouble"; trouble: Trouble }
  | { what: "unlocked" }
  /** The person wants it no more. */
  | { what: "cancelled" }
  | { what: "clock" };

/** Whether an answer, or the person, is waited for. */
export const isBusy = ({ state }: Flow): boolean => state === "waiting" || state === "unlock" || state === "touch";

/** What follows at `now`, in Unix seconds. What does not fit the state, a late answer for one, changes nothing. */
export function next(flow: Flow, happening: Happening, now: number): Flow {
  switch (happening.what) {
    case "asked":
      return isBusy(flow) ? flow : { state: "waiting", before: flow.state === "done" ? flow.code : undefined };
    case "listed":
      return isBusy(flow) || hasRunOut(happening.code, now) ? flow : { state: "done", code: happening.code };
    case "clock":
      return flow.state === "done" && hasRunOut(flow.code, now) ? { state: "idle" } : flow;
    case "unlocked":
      return flow.state === "unlock" ? { state: "waiting", before: flow.before } : flow;
    case "cancelled":
      return flow.state === "waiting" || flow.state === "touch" || flow.state === "unlock"
        ? instead(flow.before, { state: "cancelled" }, now)
        : flow;
  }
  // The others are about a question that is open.
  if (flow.state !== "waiting" && flow.state !== "touch") return flow;
  switch (happening.what) {
    case "event":
      return happening.event.name === "touch-required"
        ? { state: "touch", before: flow.before, prompt: happening.event.prompt }
        : { state: "waiting", before: flow.before, why: happening.event.why };
    case "code":
      return hasRunOut(happening.code, now) ? { state: "expired" } : { state: "done", code: happening.code };
    case "trouble":
      switch (happening.trouble.code) {
        case "locked":
          return { state: "unlock", before: flow.before };
        case "touch-timeout":
          return { state: "timed-out" };
        case "cancelled":
          return instead(flow.before, { state: "cancelled" }, now);
        default:
          return { state: "failed", trouble: happening.trouble };
      }
  }
}

/** The code that was there before, if it is still right. */
const instead = (before: Code | undefined, otherwise: Flow, now: number): Flow =>
  before && !hasRunOut(before, now) ? { state: "done", code: before } : otherwise;
