// What the person has set, in `chrome.storage.local`. Whatever stands there is looked at before it is believed.

/** What the links' form begins with: what was chosen last. */
export interface LinkDefaults {
  method: "GET" | "PUT" | "HEAD";
  /** Seconds. */
  expires: number;
  /** Access key id. */
  identity?: string;
}

export interface Settings {
  /** The key that was chosen, by its id; none for the host's choice. */
  key: string | undefined;
  /** Whether accounts that want no touch are filled in without a click. */
  fillWithoutClick: boolean;
  /** Whether the sign-in form is submitted once the code is in it. */
  submit: boolean;
  /** Which account was chosen for which login, the oldest first. A login is whatever the asker makes of it. */
  choices: Record<string, string>;
  link: LinkDefaults;
}

/** More logins than that are not remembered: the oldest go. */
export const MAX_CHOICES = 50;

/** Longer texts, in characters, are none of ours: a name on a key has 64 bytes, a login some more. */
const MAX_TEXT = 512;

/** A link works at most so long, in seconds: what SigV4 allows. */
const MAX_EXPIRES = 7 * 24 * 3600;

const isText = (value: unknown): value is string =>
  typeof value === "string" && value !== "" && value.length <= MAX_TEXT;

const isPair = (value: unknown): value is [string, string] =>
  Array.isArray(value) && value.length === 2 && value.every(isText);

/** Each setting as it is read from what is stored, or its default. */
const READ: { [K in keyof Settings]: (stored: unknown) => Settings[K] } = {
  key: (stored) => (isText(stored) ? stored : undefined),
  fillWithoutClick: (stored) => stored === true,
  submit: (stored) => stored === true,
  // Stored as pairs: browsers sort the names in an object, and which is the oldest would be lost.
  choices: (stored) => Object.fromEntries(Array.isArray(stored) ? stored.filter(isPair).slice(-MAX_CHOICES) : []),
  link: (stored) => {
    const { method, expires, identity } = (stored ?? {}) as Record<keyof LinkDefaults, unknown>;
    const fits = Number.isInteger(expires) && Number(expires) >= 1 && Number(expires) <= MAX_EXPIRES;
    return {
      method: method === "PUT" || method === "HEAD" ? method : "GET",
      expires: fits ? Number(expires) : 3600,
      ...(isText(identity) ? { identity } : {}),
    };
  },
};

const NAMES = Object.keys(READ) as (keyof Settings)[];

const read = (stored: Record<string, unknown>) =>
  Object.fromEntries(NAMES.map((name) => [name, READ[name](stored[name])])) as unknown as Settings;

/** All settings, as they are now. */
export async function settings(): Promise<Settings> {
  return read(await chrome.storage.local.get(NAMES));
}

/** Changes settings; `undefined` brings the default back. */
export async function set(changed: Partial<Settings>): Promise<void> {
  const entries = Object.entries(changed).map(([name, value]) =>
    name === "choices" && value !== undefined ? [name, Object.entries(value).slice(-MAX_CHOICES)] : [name, value],
  );
  const gone = entries.filter(([, value]) => value === undefined).map(([name]) => String(name));
  if (gone.length > 0) await chrome.storage.local.remove(gone);
  await chrome.storage.local.set(Object.fromEntries(entries.filter(([, value]) => value !== undefined)));
}

/** Tells of every change, from wherever it comes, with all settings as they are then. Returns how to end that. */
export function watch(changed: (settings: Settings) => void): () => void {
  const listener = (changes: Record<string, unknown>) => {
    if (NAMES.some((name) => name in changes)) void settings().then(changed);
  };
  chrome.storage.local.onChanged.addListener(listener);
  return () => chrome.storage.local.onChanged.removeListener(listener);
}

/** Changes the choices as they are now: background and pages may both be at it. */
async function choose(change: (choices: Map<string, string>) => void): Promise<void> {
  await navigator.locks.request("choices", async () => {
    const choices = new Map(Object.entries((await settings()).choices));
    change(choices);
    await chrome.storage.local.set({ choices: [...choices].slice(-MAX_CHOICES) });
  });
}

/** Remembers which account was chosen for a login. What is too long to be either is not. */
export async function remember(login: string, account: string): Promise<void> {
  if (!isPair([login, account])) return;
  await choose((choices) => {
    choices.delete(login);
    choices.set(login, account);
  });
}

/** Forgets what was chosen for a login, or for all. */
export const forget = (login?: string): Promise<void> =>
  choose((choices) => {
    if (login === undefined) choices.clear();
    else choices.delete(login);
  });
