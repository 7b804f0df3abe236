// Accessibility, held against axe-core's rules. The browser's automation puts it into the page's own world.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const source = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Each violation on the page, or below `selector`, in a line: the rule, what it says, and the elements. */
export async function violations(page, selector) {
  if (!(await page.evaluate("typeof axe"))?.startsWith("object")) await page.evaluate(source);
  return page.evaluate(async (selector) => {
    const { violations } = await axe.run(selector ?? document, {
      resultTypes: ["violations"],
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    });
    return violations.flatMap(({ id, help, nodes }) =>
      nodes.map(({ target, any, all, none }) =>
        `${id}: ${help}: ${target.join(" ")} ${[...any, ...all, ...none].map(({ message }) => message).join("; ")}`));
  }, selector);
}

/** Fails if there are any. */
export async function accessible(page, selector) {
  assert.deepEqual(await violations(page, selector), []);
}
