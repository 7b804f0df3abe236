// The wasm as the extension calls it: every function of src/keyfob_core.d.ts, on the file that is shipped.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { before, test } from "node:test";
import { pathToFileURL } from "node:url";

const folder = process.env.KEYFOB_EXTENSION;
assert(folder, "KEYFOB_EXTENSION is not set: please run `cargo xtask test`");

/** @type {typeof import("../src/keyfob_core.js")} */
let core;

before(async () => {
  core = await import(pathToFileURL(path.join(folder, "keyfob_core.js")).href);
  await core.default({ module_or_path: readFileSync(path.join(folder, "keyfob_core_bg.wasm")) });
});

test("sign-in origins", () => {
  const check = (origin, expected) => assert.equal(core.signin_flow(origin), expected, origin);
  check("https://us-east-1.signin.aws.amazon.com", "iam");
  check("https://us-east-1.signin.aws", "identity-center");
  check("https://signin.aws.amazon.com.evil.test", undefined);
  check("http://signin.aws.amazon.com", undefined);
  check("null", undefined);
});

test("look-alikes", () => {
  const check = (url, expected) => assert.equal(core.is_lookalike(url), expected, url);
  check("https://signin.aws.amazon.com.evil.test/", true);
  check("https://signin.aws.amazon.com/", false);
  check("https://example.org/", false);
});

test("logins to the console", () => {
  const check = (url, expected) => assert.equal(core.is_console_login(url), expected, url);
  check("https://us-east-1.signin.aws.amazon.com/federation?Action=login&SigninToken=a", true);
  check("https://signin.aws.amazon.com.evil.test/federation?Action=login&SigninToken=a", false);
  check("https://signin.aws.amazon.com/oauth?Action=login&SigninToken=a", false);
  check("javascript:alert(1)", false);
});

test("match patterns", () => {
  assert.equal(core.match_pattern("https://us-east-1.signin.aws/platform/d-1/login"), "https://*.signin.aws/*");
  assert.equal(core.match_pattern("https://signin.aws.amazon.com.evil.test/"), undefined);
});

test("accounts of a page", () => {
  const totp = (name) => ({ name, kind: "totp", period: 30, digits: 6, touch: true });
  const accounts = [
    totp("Amazon Web Services:alice@123456789012"),
    totp("AWS SSO:alice"),
    totp("GitHub:alice"),
    { ...totp("Amazon Web Services:counter@123456789012"), kind: "hotp" },
    { ...totp("Amazon Web Services:eight@123456789012"), digits: 8 },
    totp("Amazon Web Services:bob@210987654321"),
  ];
  const check = (url, expected, login = {}, likely = expected.length, key = undefined) =>
    assert.deepEqual(
      core.choose_accounts(accounts, url, login),
      { accounts: expected.map((i) => accounts[i]), likely, ...(key === undefined ? {} : { login: key }) },
      url,
    );
  const oauth = "https://us-east-1.signin.aws.amazon.com/oauth";
  check(oauth, [0, 5]);
  check(oauth, [5, 0], { account: "210987654321" }, 1, "aws:210987654321:");
  check(oauth, [5, 0], { account: "2109-8765-4321", user: "bob" }, 1, "aws:210987654321:bob");
  check(oauth, [5, 0], { user: "bob" }, 1, "aws::bob");
  check(oauth, [0, 5], { account: "333333333333" }, 0, "aws:333333333333:");
  // One more device of the user's, and the newest of them first.
  accounts.push(totp("Amazon Web Services:bob-2@210987654321"));
  check(oauth, [6, 5, 0], { account: "210987654321", user: "bob" }, 2, "aws:210987654321:bob (2)");
  check("https://us-east-1.signin.aws/platform/d-1/login", [1]);
  check("https://evil.test/", []);
  const url = "https://signin.aws.amazon.com/";
  assert.throws(() => core.choose_accounts([{ kind: "totp" }], url, {}), { code: "bad-request" });
  assert.throws(() => core.choose_accounts([null], url, {}), { code: "bad-request" });
  assert.throws(() => core.choose_accounts([], url, { user: 1 }), { code: "bad-request" });
});

test("console addresses", () => {
  const url = "https://eu-west-1.console.aws.amazon.com/s3/object/b-1?region=eu-west-1&prefix=a%20b/%C3%BC%2B%25~.txt";
  assert.deepEqual(core.parse_console_url(url), {
    kind: "object",
    bucket: "b-1",
    key: "a b/ü+%~.txt",
    region: "eu-west-1",
    partition: "aws",
  });
  for (const bad of ["https://evil.test/s3/object/b-1?prefix=x", "about:blank", ""]) {
    assert.throws(() => core.parse_console_url(bad), { name: "Error", code: "invalid-input" }, bad);
  }
});

test("match patterns of the S3 console", () => {
  assert(core.console_patterns().includes("https://*.console.aws.amazon.com/s3/*"));
  assert(core.console_patterns().includes("https://*.console.amazonaws.cn/s3/*"));
});
