// Holds the bundle to its budgets, in gzip as the hub serves it: what the
// first page loads, and what a host's page loads beyond that.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const DIST = process.argv[2] ?? "dist";
const BUDGET_KB = { "first load": 60, "host page, beyond it": 40 };

const sizeOf = (name) => gzipSync(readFileSync(join(DIST, name)), { level: 9 }).length;
const textOf = (name) => readFileSync(join(DIST, name), "utf8");

/** Script and style of an entry with everything it imports statically. */
function closure(names) {
  const seen = new Set();
  const visit = (name) => {
    if (seen.has(name)) return;
    seen.add(name);
    if (!name.endsWith(".js")) return;
    for (const [, imported] of textOf(name).matchAll(/(?:from|import)\s*"\.\/([\w.-]+\.js)"/g)) visit(`assets/${imported}`);
  };
  names.forEach(visit);
  return seen;
}

const html = textOf("index.html");
const first = closure([...html.matchAll(/(?:src|href)="\/([\w./-]+\.(?:js|css))"/g)].map(([, name]) => name));
const entry = [...first].find((name) => /assets\/index-.*\.js$/.test(name));
const lazy = [...textOf(entry).matchAll(/assets\/host-[\w-]+\.(?:js|css)/g)].map(([name]) => name);
if (lazy.length < 2) throw new Error(`the host page's chunks were not found in ${entry}`);
const host = [...closure(lazy)].filter((name) => !first.has(name));

let over = false;
for (const [what, names] of [["first load", ["index.html", ...first]], ["host page, beyond it", host]]) {
  const kb = [...names].reduce((sum, name) => sum + sizeOf(name), 0) / 1024;
  over ||= kb > BUDGET_KB[what];
  console.log(`${what}: ${kb.toFixed(1)} KB gzip of ${BUDGET_KB[what]} (${[...names].join(", ")})`);
}
if (over) {
  console.error("over budget");
  process.exit(1);
}
