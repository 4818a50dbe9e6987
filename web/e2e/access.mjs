// Who cannot see the page, or has no mouse: axe-core's rules over what is
// shown now, light and dark, and a walk through it by the keyboard.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { check, until } from "./checks.mjs";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
/** What axe calls these fails the run; the rest is a matter of taste. */
const GRAVE = ["critical", "serious"];
/** A page with more stops than this is walked in part. */
const STOPS = 60;

/** Holds the page as it is now against axe-core's rules, in both themes. */
export async function accessible(page, name) {
  const faults = [];
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    // Evaluated from outside, so that the page's strict policy stays as it is.
    if (!(await page.evaluate("typeof axe === 'object'"))) await page.evaluate(AXE);
    // Colours that fade from one theme to the other are of neither; what never ends is not waited for.
    await page.evaluate(() => Promise.race([
      Promise.allSettled(document.getAnimations().map((animation) => animation.finished)),
      new Promise((done) => setTimeout(done, 1000)),
    ]).then(() => undefined));
    const found = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
    for (const { id, impact, help, nodes } of found.violations.filter((violation) => GRAVE.includes(violation.impact))) {
      faults.push(`${colorScheme}: ${id} (${impact}): ${help}\n    ${nodes.slice(0, 3).map((node) => `${node.html.slice(0, 160)}: ${node.failureSummary.split("\n").slice(1, 3).join(" ").trim()}`).join("\n    ")}`);
    }
  }
  await page.emulateMedia({ colorScheme: null, reducedMotion: null });
  check(faults.length === 0, `${name} is not for everybody:\n  ${faults.join("\n  ")}`);
}

/** The focused element: what it is, whether one sees that it has the focus, and whether it is in sight. */
function focused() {
  const element = document.activeElement;
  if (!element || element === document.body) return null;
  const style = getComputedStyle(element);
  const box = element.getBoundingClientRect();
  return {
    what: [element.tagName.toLowerCase(), element.type, element.getAttribute("aria-label") ?? element.labels?.[0]?.textContent ?? element.textContent].filter(Boolean).join(" ").trim().slice(0, 60),
    marked: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1,
    inSight: box.bottom > 0 && box.top < innerHeight && box.width > 0,
  };
}

/** Goes through the page by Tab: each stop can be seen, and is marked as the one that has the focus. */
export async function walk(page, name) {
  await page.evaluate(() => {
    document.activeElement?.blur();
    scrollTo(0, 0);
  });
  let stops = 0;
  for (; stops < STOPS; stops += 1) {
    await page.keyboard.press("Tab");
    const stop = await page.evaluate(focused);
    if (!stop) break;
    check(stop.marked, `${name}: one does not see that “${stop.what}” has the focus`);
    check(stop.inSight, `${name}: “${stop.what}” has the focus out of sight`);
  }
  check(stops > 3, `${name}: Tab stops ${stops} times`);
  return stops;
}

/** Opens a dialog by the keyboard alone: the focus goes into it, Escape closes it, and the focus comes back. */
export async function dialogByKeys(page, opener) {
  await opener.focus();
  const what = await opener.innerText();
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await until(`the focus in the dialog of “${what}”`, () => page.evaluate(() => document.activeElement?.closest("dialog") !== null));
  const inside = await walkDialog(page);
  await page.keyboard.press("Escape");
  await until(`the dialog of “${what}” closes`, async () => (await page.getByRole("dialog").count()) === 0);
  await until(`the focus back on “${what}”`, () => opener.evaluate((element) => element === document.activeElement));
  return inside;
}

async function walkDialog(page) {
  const all = await page.locator("dialog :is(button, input, select, textarea, a[href], summary):not(:disabled)").count();
  for (let stop = 0; stop < all; stop += 1) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(focused);
    if (!at) break;
    check(at.marked && at.inSight, `“${at.what}” in a dialog has the focus, and one does not see it`);
  }
  return all;
}
