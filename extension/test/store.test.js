// What the stores are told is what is in the package.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";

const extension = path.join(import.meta.dirname, "..");
const read = (name) => readFileSync(path.join(extension, name), "utf8");
const manifest = JSON.parse(read("static/manifest.json"));

test("every permission is explained, and none that is not asked for", () => {
  const explained = [...read("store/permissions.md").matchAll(/^\| `([^`]+)` \|/gm)].map(([, name]) => name);
  const { permissions, host_permissions, optional_host_permissions, optional_permissions } = manifest;
  const asked = [permissions, host_permissions, optional_host_permissions, optional_permissions].flatMap((list) => list ?? []);
  assert.deepEqual(explained.sort(), asked.sort());
});

test("content scripts run where the manifest asks for the host anyway, and nowhere else", () => {
  const host = (pattern) => pattern.replace(/^(https:\/\/[^/]+)\/.*$/, "$1/*");
  for (const { matches } of manifest.content_scripts) {
    for (const pattern of matches) assert.ok(manifest.host_permissions.includes(host(pattern)), pattern);
  }
});

test("what is forbidden here is not asked for", () => {
  const text = JSON.stringify(manifest);
  for (const word of ["<all_urls>", "tabs", "webRequest", "unsafe-eval'", "unsafe-inline", "externally_connectable"]) {
    assert.ok(!text.replaceAll("'wasm-unsafe-eval'", "").includes(word), word);
  }
  assert.equal(manifest.web_accessible_resources, undefined);
  // For tabs in containers, when the person first opens one; no script so much as names the browser's cookies.
  assert.deepEqual(manifest.optional_permissions, ["cookies"]);
  assert.ok(!manifest.permissions.includes("cookies"));
  for (const name of readdirSync(path.join(extension, "src")).filter((name) => name.endsWith(".ts"))) {
    assert.doesNotMatch(read(`src/${name}`), /\.cookies?\b/, name);
  }
});
