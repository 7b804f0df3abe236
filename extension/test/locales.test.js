// Texts: every language has all of them, every one is used, and nothing that people read stands elsewhere.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";

const extension = path.join(import.meta.dirname, "..");
const read = (...parts) => readFileSync(path.join(extension, ...parts), "utf8");
const LOCALES = readdirSync(path.join(extension, "static/_locales")).sort();
const texts = Object.fromEntries(LOCALES.map((name) => [name, JSON.parse(read("static/_locales", name, "messages.json"))]));
const { en } = texts;

/** Sources and pages, by name. */
const files = (folder, ending) =>
  readdirSync(path.join(extension, folder)).filter((name) => name.endsWith(ending)).map((name) => [name, read(folder, name)]);
const sources = files("src", ".ts").map(([name, text]) => [name, text.replace(/\/\*[^]*?\*\/|(^|\s)\/\/.*$/gm, "$1")]);
const pages = files("static", ".html").map(([name, text]) => [name, text.replace(/<!--[^]*?-->/g, "")]);
const manifest = read("static/manifest.json");

const placeholders = ({ message }) => [...message.matchAll(/\$(\w+)\$/g)].map(([, name]) => name.toLowerCase()).sort();
const commands = ({ message }) => [...message.matchAll(/`[^`]*`/g)].map(String).sort();

test("the languages that there are", () => {
  assert.deepEqual(LOCALES, ["de", "en", "ja", "pt_BR"]);
  for (const name of LOCALES) assert.equal(texts[name].text_language.message, name.replace("_", "-"));
});

describe("every language", () => {
  for (const name of LOCALES) {
    test(`${name} has all texts, with the same placeholders and commands`, () => {
      assert.deepEqual(Object.keys(texts[name]).sort(), Object.keys(en).sort());
      for (const [key, text] of Object.entries(texts[name])) {
        assert.deepEqual(placeholders(text), placeholders(en[key]), key);
        assert.deepEqual(commands(text), commands(en[key]), key);
        assert.match(text.message, /^\S(?:[^]*\S)?$/, key);
        const declared = Object.entries(text.placeholders ?? {});
        const content = (of) => Object.fromEntries(Object.entries(of.placeholders ?? {}).map(([name, { content }]) => [name, content]));
        assert.deepEqual(content(text), content(en[key]), key);
        // A plural form may say the number in another way.
        for (const each of placeholders(text)) assert.ok(declared.some(([name]) => name.toLowerCase() === each), `${key}: ${each}`);
      }
    });

    test(`${name} is short enough for the stores and for the browser's lists`, () => {
      const length = (key) => [...texts[name][key].message].length;
      assert.ok(length("app_name") <= 45 && length("app_description") <= 132, `${length("app_description")}`);
      assert.ok(length("app_command_fill") <= 60);
    });
  }

  test("is a translation: hardly a text of it is the English one", () => {
    // Names, and words that are the same.
    const same = (name) => Object.keys(en).filter((key) => texts[name][key].message === en[key].message);
    for (const name of LOCALES.filter((each) => each !== "en")) {
      const long = same(name).filter((key) => / \p{L}+ /u.test(en[key].message.replaceAll(/\$\w+\$/g, "")) && !/^options_sites|^chip_center$/.test(key));
      assert.deepEqual(long, [], name);
    }
  });
});

/** What stands in quotes in the sources. */
const literals = sources.flatMap(([, text]) => [...text.matchAll(/"((?:[^"\\\n]|\\.)*)"/g)].map(([, each]) => each));
/** Templates in the sources, as expressions for what they can become. */
const templates = sources.flatMap(([, text]) =>
  [...text.matchAll(/`([a-z_]*(?:\$\{(?:[^{}`]|\{[^}]*\})*\}[a-z_]*)+)`/g)].map(([, each]) => each),
).map((each) => each.split(/\$\{(?:[^{}]|\{[^}]*\})*\}/))
  .filter((parts) => /^(?:popup|codes|account|links|scan|enrol|chip|setup|options|error|text)_/.test(parts[0]))
  .map((parts) => new RegExp(`^${parts.join("\\w+")}$`));
const inPages = pages.flatMap(([, text]) => [...text.matchAll(/data-i18n(?:-[a-z-]+)?="([^"]*)"/g)].map(([, key]) => key));
const inManifest = [...manifest.matchAll(/__MSG_(\w+)__/g)].map(([, key]) => key);
const named = new Set([...literals, ...inPages, ...inManifest]);
const PLURAL = /_(?:zero|one|two|few|many|other)$/;

test("every text that is named is there", () => {
  const areas = new Set(Object.keys(en).map((key) => key.split("_", 1)[0]));
  const isKey = (each) => /^[a-z]+(?:_[a-z0-9]+)+$/.test(each) && areas.has(each.split("_", 1)[0]);
  const missing = [...named].filter((each) => isKey(each) && !(each in en) && !(`${each}_other` in en));
  // Words of the protocol and of browsers that look like keys.
  const others = missing.filter((each) => !["text_html", "content_type"].includes(each) && !templates.some((template) => template.test(each)));
  // What a template continues: `links_many` + `_get`.
  assert.deepEqual(others.filter((each) => !Object.keys(en).some((key) => key.startsWith(`${each}_`))), []);
  for (const key of inPages) assert.ok(key in en, key);
});

test("every text is used", () => {
  const isUsed = (key) =>
    named.has(key) || named.has(key.replace(PLURAL, "")) ||
    templates.some((template) => template.test(key) || template.test(key.replace(PLURAL, "")));
  assert.deepEqual(Object.keys(en).filter((key) => !isUsed(key)), []);
});

test("every failure has a title and what to do", () => {
  const [, table] = /const CODES[^=]*= \{([^]*?)\n\};/.exec(read("src/trouble.ts"));
  const codes = [...table.matchAll(/^ {2}"?([a-z-]+)"?:/gm)].map(([, code]) => code.replaceAll("-", "_"));
  assert.ok(codes.length > 25);
  const wanted = codes.flatMap((code) => [`error_${code}_title`, `error_${code}_fix`]);
  assert.deepEqual(Object.keys(en).filter((key) => key.startsWith("error_")).sort(), wanted.sort());
});

/** Names, which are the same in every language. */
const NAMES = /^(?:Keyfob|Linux|macOS|Windows|rustup\.rs|github\.com\/keyfob\/keyfob|AWS|…|·|×|✓|←|MIT|Apache-2\.0)$/;

describe("nothing that people read stands elsewhere", () => {
  for (const [name, text] of pages) {
    test(name, () => {
      const body = text.replace(/<(script|style)[^]*?<\/\1>/g, "");
      const written = [...body.matchAll(/>([^<]+)</g)].map(([, each]) => each.trim()).filter((each) => /\p{L}/u.test(each));
      assert.deepEqual(written.filter((each) => !NAMES.test(each)), []);
      const attributes = [...body.matchAll(/\s(?:title|aria-label|alt|placeholder)="([^"]+)"/g)].map(([, each]) => each);
      // Examples of addresses and names of regions.
      assert.deepEqual(attributes.filter((each) => !NAMES.test(each) && /[A-Z]|\s/.test(each)), []);
    });
  }

  // Sentences begin with a capital letter and have a space. Not shown are: what is thrown, which is for the console; why there is a
  // document that nobody sees; fonts. What save.ts says of a failure is in English, as the host's words are: `explain` puts it in
  // the person's.
  for (const [name, text] of sources.filter(([name]) => name !== "save.ts")) {
    test(name, () => {
      const shown = text.replace(/new Error\([^;]*\);|justification: ".*"|font[^;]*;/g, "");
      const sentences = [...shown.matchAll(/(["`])([A-Z][a-z]+ [^"`\n]*)\1/g)].map(([, , each]) => each);
      assert.deepEqual(sentences, []);
    });
  }
});
