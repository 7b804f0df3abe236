// Accessibility, held against axe-core's rules. The browser's automation puts it into the page's own world.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

/** axe-core, as a script. */
export const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** What is done in a page that has axe-core: each violation in it, or below `selector`, in a line. */
export const run = async (selector) => {
  const { violations } = await axe.run(selector ?? document, {
    resultTypes: ["violations"],
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
  });
  return violations.flatMap(({ id, help, nodes }) =>
    nodes.map(({ target, any, all, none }) =>
      `${id}: ${help}: ${target.join(" ")} ${[...any, ...all, ...none].map(({ message }) => message).join("; ")}`));
};

/** The violations on a page of puppeteer's. */
export async function violations(page, selector) {
  if ((await page.evaluate("typeof axe")) !== "object") await page.evaluate(axeSource);
  return page.evaluate(run, selector);
}

/** Fails if there are any. */
export async function accessible(page, selector) {
  assert.deepEqual(await violations(page, selector), []);
}
