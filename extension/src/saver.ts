// An account on its way to the person's keys, as a page of the extension shows it: what it is, to which keys, touches, done. What
// happens is in save.ts. The secret is in here as long as this is shown.

import { ask, chosenKey } from "./ask.js";
import type { Answer, Code, Key } from "./generated/message.js";
import type { Trouble } from "./internal.js";
import { fullNameOf } from "./keys.js";
import { names_for, type Setup } from "./keyfob_qr.js";
import { keyChoices, part as newPart, save, takenOn, type KeyChoice, type Part, type SaveAsk, type SaveOp } from "./save.js";
import { unixNow } from "./step.js";
import { t, type TextKey, write } from "./text.js";
import { explain } from "./trouble.js";
import { copy } from "./ui.js";

const ANSWERS: Record<SaveOp["name"], Answer["name"]> = {
  keys: "keys",
  accounts: "accounts",
  "add-account": "written",
  "confirm-account": "confirmed",
};

const askHost: SaveAsk = (op, options) => ask(op, ANSWERS[op.name], options);

/** An element with a class and what is in it. Texts are texts; those of `said` may have commands in backticks. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className = "",
  ...content: (Node | string | undefined)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...content.filter((each) => each !== undefined));
  return made;
}

/** An element with one of our texts. */
export function said<K extends keyof HTMLElementTagNameMap>(tag: K, className: string, text: string): HTMLElementTagNameMap[K] {
  const made = element(tag, className);
  write(made, text);
  return made;
}

export function button(className: string, key: TextKey, act: () => void): HTMLButtonElement {
  const made = said("button", className, t(key));
  made.type = "button";
  made.addEventListener("click", act);
  return made;
}

/** A failure as a card, with a way to go on. */
export function troubleCard(trouble: Trouble, ...actions: HTMLElement[]): HTMLElement {
  const { title, detail, fix } = explain(trouble);
  const card = element("div", "card bad", said("h2", "", title), said("p", "", fix), said("p", "soft", detail));
  card.setAttribute("role", "alert");
  card.dataset["code"] = trouble.code;
  if (actions.length > 0) card.append(element("footer", "", element("span"), element("span", "buttons", ...actions)));
  return card;
}

/** What is being set up. */
export function accountCard(setup: Setup, tag: "div" | "button" = "div"): HTMLElement {
  const [issuer, name, detail] =
    setup.aws ? ["AWS", setup.aws.device, [setup.issuer, setup.aws.account]] : [setup.issuer ?? "", setup.account, [setup.issuer]];
  const mark = element("span", "mark", setup.aws ? "AWS" : ([...(issuer || name)][0] ?? "?").toUpperCase());
  mark.ariaHidden = "true";
  mark.toggleAttribute("data-aws", setup.aws !== undefined);
  const names = element("span", "names", element("b", "", name), element("small", "", detail.filter(Boolean).join(" · ")));
  for (const each of names.children) each.setAttribute("dir", "auto");
  return element(tag, "found-account", mark, names);
}

export interface SaverOptions {
  /** Something was put on a key: what is listed of it is old. */
  saved: () => void;
  /** The person has seen that all is done, or wants no more of it. */
  close: () => void;
}

/** Shows it in `place`, from the choice of keys to the end. Returns how to stop it: nothing that was saved is taken back. */
export function startSaver(place: HTMLElement, setup: Setup, { saved, close }: SaverOptions): () => void {
  const gone = new AbortController();
  const { signal } = gone;
  let choices: KeyChoice[] = [];
  let chosen = new Set<string>();
  let touch = true;
  let parts: Part[] = [];
  let running = false;
  let codesEnd: ReturnType<typeof setTimeout> | undefined;
  place.classList.add("saver");

  const show = (...content: (HTMLElement | undefined)[]) => {
    if (!signal.aborted) place.replaceChildren(accountCard(setup), ...content.filter((each) => each !== undefined));
  };
  const nameOfKey = (id: string) => {
    const choice = choices.find(({ key }) => key.id === id);
    return choice ? fullNameOf(choice.key) : id;
  };

  // ---- which keys

  async function readKeys(): Promise<void> {
    show(waiting(t("scan_keys")));
    try {
      choices = await keyChoices(askHost, chosenKey(), signal);
    } catch (error) {
      const { trouble } = error as { trouble?: Trouble };
      if (trouble) show(troubleCard(trouble, button("primary", "popup_retry", () => void readKeys())));
      return;
    }
    // What the person had ticked stays ticked, where it is still there.
    const usable = choices.filter(({ trouble }) => !trouble);
    chosen = new Set(usable.map(({ key }) => key.id).filter((id) => chosen.has(id)));
    if (chosen.size === 0) usable.filter(({ proposed }) => proposed).forEach(({ key }) => chosen.add(key.id));
    showForm();
  }

  function showForm(): void {
    const name = names_for(setup.name, takenOn(choices));
    const submit = button("primary wide", "scan_save", () => {
      parts = choices.map(({ key }) => key.id).filter((id) => chosen.has(id)).map((id) => newPart(id, name));
      void run();
    });
    submit.disabled = chosen.size === 0;
    submit.dataset["focus"] = "";
    const tick = tickBox(t("scan_touch"), t("scan_touch_why"), touch, (checked) => (touch = checked));
    const keys = element("fieldset", "keys", said("legend", "", t(choices.length > 1 ? "scan_to_keys" : "scan_to_key")));
    for (const choice of choices) keys.append(...keyRow(choice, () => (submit.disabled = chosen.size === 0)));
    if (choices.length > 1) keys.append(said("p", "hint", t("scan_backup")));
    show(
      setup.aws ? undefined : note("scan_not_aws"),
      name === setup.name ? undefined : note("scan_renamed", setup.name, name),
      keys,
      tick,
      submit,
    );
    submit.focus();
  }

  function keyRow({ key, trouble }: KeyChoice, changed: () => void): HTMLElement[] {
    const row = tickBox(fullNameOf(key), trouble && explain(trouble).title, chosen.has(key.id), (checked) => {
      if (checked) chosen.add(key.id);
      else chosen.delete(key.id);
      changed();
    });
    const box = row.querySelector("input") as HTMLInputElement;
    box.disabled = trouble !== undefined;
    // Where there is only one, there is nothing to choose.
    const shown = choices.length > 1 ? row : element("div", "tick", ...[...row.children].slice(1));
    shown.dataset["key"] = key.id;
    return trouble?.code === "locked" ? [shown, unlockForm(trouble, key)] : [shown];
  }

  function unlockForm({ wants }: Trouble, key: Key): HTMLElement {
    const input = element("input");
    Object.assign(input, { type: "password", autocomplete: "off", required: true, ariaLabel: wants?.what ?? t("popup_unlock_what") });
    input.placeholder = t("popup_unlock_what");
    const submit = said("button", "quiet", t("popup_unlock"));
    const wrong = element("p", "hint");
    wrong.setAttribute("role", "alert");
    const form = element("form", "unlock", element("div", "join", input, submit), wrong);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      submit.disabled = true;
      ask({ name: "unlock", password: input.value }, "unlocked", { key: wants?.key ?? key.id, signal }).then(
        () => {
          chosen.add(key.id);
          return readKeys();
        },
        (error: unknown) => {
          submit.disabled = false;
          const { trouble } = error as { trouble?: Trouble };
          if (trouble?.code === "wrong-password") input.value = "";
          wrong.textContent = trouble ? explain(trouble).title : "";
          input.focus();
        },
      );
    });
    return form;
  }

  // ---- saving

  async function run(): Promise<void> {
    if (running) return;
    running = true;
    showProgress();
    parts = await save(setup, parts, {
      ask: askHost,
      freeName: names_for,
      touch,
      taken: takenOn(choices),
      signal,
      onChange: (changed) => {
        parts = parts.map((each) => (each.key === changed.key ? changed : each));
        showProgress();
      },
    });
    running = false;
    if (parts.some(({ added }) => added === "yes")) saved();
    showProgress();
  }

  function showProgress(): void {
    const list = element("ul", "progress", ...parts.map(progressRow));
    const failed = parts.filter(({ state }) => state === "failed");
    if (running) return show(list);
    if (failed.length > 0) {
      const again = button("primary", "popup_retry", () => void run());
      show(list, element("div", "buttons end", button("quiet", "scan_leave", end), again));
      again.focus();
      return;
    }
    const done = button("primary wide", "scan_done", end);
    const [part] = parts;
    // By the name that was wanted: what the key keeps of it may be shorter.
    const isSecond = part !== undefined && part.name !== setup.name;
    show(
      list,
      isSecond ? note("scan_old_one", setup.name, part.written ?? part.name) : undefined,
      part?.codes && codesCard(part.codes),
      done,
    );
    done.focus();
  }

  function progressRow(part: Part): HTMLElement {
    const { state, waits, trouble, added } = part;
    const item = element("li", "", element("i", "sign"), element("span", "names", element("b", "", nameOfKey(part.key))));
    item.dataset["key"] = part.key;
    item.dataset["state"] = state === "failed" ? "failed" : waits?.touch ? "touch" : state;
    const tell = (text: string, className = "") => item.lastElementChild?.append(said("small", className, text));
    switch (state) {
      case "ready":
        tell(t("scan_waits_for_turn"));
        break;
      case "adding":
      case "confirming":
        tell(waits?.touch ? t("codes_touch_now") : waits ? t("codes_waiting_for", waits.text)
          : t(state === "adding" ? "scan_saving" : "scan_checking"));
        break;
      case "done":
        tell(t(part.codes ? "scan_saved_right" : "scan_saved"));
        break;
      case "failed": {
        const { title, fix } = trouble ? explain(trouble) : { title: "", fix: "" };
        tell(title, "wrong");
        tell(added === "yes" ? t("scan_saved_unchecked") : added === "perhaps" ? t("scan_perhaps_saved") : fix);
        if (trouble) item.dataset["code"] = trouble.code;
      }
    }
    return item;
  }

  /** The codes that a site asks for to see that it worked: AWS for two in a row. */
  function codesCard(codes: Code[]): HTMLElement | undefined {
    const two = setup.aws?.flow === "iam";
    const offered = two ? codes.slice(0, 2) : codes.slice(1, 2);
    const ends = codes[1]?.valid_until;
    if (offered.length === 0 || ends === undefined || ends <= unixNow()) return undefined;
    const card = element("div", "card good", said("p", "", t(two ? "scan_two_codes" : "scan_one_code")));
    card.append(element("div", "enrol-codes", ...offered.map(({ value }) => {
      const shown = element("button", "code", value);
      shown.title = t("scan_copy_code");
      shown.addEventListener("click", () => void copy(value, t("codes_copied")));
      return shown;
    })));
    // A code that ran out is worth nothing to anybody.
    codesEnd = setTimeout(() => card.replaceWith(note("scan_codes_ended")), (ends - unixNow()) * 1000);
    return card;
  }

  function end(): void {
    stop();
    close();
  }

  function stop(): void {
    gone.abort();
    clearTimeout(codesEnd);
    parts = [];
    place.replaceChildren();
  }

  void readKeys();
  return stop;
}

/** Something that takes a moment. */
export function waiting(text: string): HTMLElement {
  const made = element("p", "looking", element("i", "sign"), element("span", "", text));
  made.setAttribute("role", "status");
  return made;
}

const note = (key: TextKey, ...args: string[]) => said("p", "hint remark", t(key, ...args));

function tickBox(text: string, detail: string | undefined, checked: boolean, change: (checked: boolean) => void): HTMLLabelElement {
  const box = element("input");
  Object.assign(box, { type: "checkbox", checked });
  box.addEventListener("change", () => change(box.checked));
  return element("label", "tick", box, element("span", "names", element("b", "", text), said("small", "", detail ?? "")));
}
