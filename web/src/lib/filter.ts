// The fleet's search box: words, `tag:db`, `state:crit`, `cpu>80`, a leading
// `-` for "not", quotes around blanks. All terms must hold. Pure.

import type { Agent } from "../types";
import type { AgentState } from "./levels";
import { worstCell } from "./levels";

export interface Filter {
  matches(agent: Agent, state: AgentState): boolean;
  /** What could not be understood, in words, one per bad term. */
  errors: string[];
}

type Test = (agent: Agent, state: AgentState) => boolean;

const STATES: Record<string, readonly AgentState[]> = {
  ok: ["ok"],
  warn: ["warn"],
  warning: ["warn"],
  crit: ["crit"],
  critical: ["crit"],
  down: ["offline"],
  offline: ["offline"],
  nodata: ["nodata"],
  "n/a": ["nodata"],
  paused: ["paused"],
  online: ["ok", "warn", "crit", "nodata"],
  bad: ["warn", "crit", "offline"],
};

const METRICS: Record<string, string> = {
  cpu: "cpu.usage_percent",
  mem: "mem.used_percent",
  memory: "mem.used_percent",
  disk: "disk.used_percent",
  load: "load.avg_1m",
};

const COMPARISON = /^([a-z_.0-9]+)(>=|<=|>|<)(-?\d+(?:\.\d+)?)%?$/;

/** Parses the box's text. An empty text matches everything. */
export function parseFilter(text: string): Filter {
  const errors: string[] = [];
  const tests: Test[] = [];
  for (const term of splitTerms(text)) {
    const negated = term.length > 1 && term.startsWith("-");
    const test = parseTerm(negated ? term.slice(1) : term);
    if (typeof test === "string") errors.push(test);
    else tests.push(negated ? (agent, state) => !test(agent, state) : test);
  }
  return { errors, matches: (agent, state) => tests.every((test) => test(agent, state)) };
}

/** Splits at blanks outside double quotes; the quotes are dropped. */
export function splitTerms(text: string): string[] {
  const terms: string[] = [];
  let term = "";
  let quoted = false;
  for (const char of text) {
    if (char === '"') quoted = !quoted;
    else if (/\s/.test(char) && !quoted) {
      if (term) terms.push(term);
      term = "";
    } else term += char;
  }
  if (term) terms.push(term);
  return terms;
}

function parseTerm(term: string): Test | string {
  const lower = term.toLowerCase();
  const comparison = COMPARISON.exec(lower);
  if (comparison) return parseComparison(comparison);
  const colon = lower.indexOf(":");
  if (colon < 0) return nameTest(lower);
  const value = lower.slice(colon + 1);
  switch (lower.slice(0, colon)) {
    case "tag":
      return value ? (agent) => agent.tags.some((tag) => tag.toLowerCase() === value) : "tag: needs a tag's name";
    case "state":
      return stateTest(value);
    case "name":
      return nameTest(value);
    case "os":
      return (agent) => (agent.facts.os ?? "").toLowerCase().includes(value);
    case "version":
      return (agent) => (agent.version ?? "").toLowerCase().startsWith(value);
    default:
      return `“${term}” is no filter; there are tag:, state:, name:, os:, version: and cpu>80`;
  }
}

function nameTest(word: string): Test {
  return (agent) => agent.name.toLowerCase().includes(word);
}

function stateTest(value: string): Test | string {
  const states = STATES[value];
  if (!states) return `“state:${value}” is none of ok, warn, crit, offline, nodata, paused`;
  return (_agent, state) => states.includes(state);
}

function parseComparison([, name = "", op = "", limit = ""]: RegExpExecArray): Test | string {
  const metric = METRICS[name] ?? (name.includes(".") ? name : undefined);
  if (!metric) return `“${name}” is none of cpu, mem, disk, load or a metric's name`;
  const bound = Number(limit);
  return (agent) => {
    const { value } = worstCell(agent, metric);
    if (value === null) return false;
    if (op === ">") return value > bound;
    if (op === ">=") return value >= bound;
    return op === "<" ? value < bound : value <= bound;
  };
}
