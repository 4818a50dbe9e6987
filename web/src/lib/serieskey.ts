// Series keys: `name` or `name{label=value,…}`. Labels are sorted; a value
// holding any of `{ } , = + " \`, white space or a control character stands
// in double quotes with `\"`, `\\` and `\n`. Pure.

export interface SeriesKey {
  metric: string;
  labels: Record<string, string>;
}

// The characters that force a value into quotes.
const NEEDS_QUOTES = /[{},=+"\\\s\p{Cc}]/u;
const METRIC = /^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$/;
const LABEL = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Reads one series key; `null` when it is not one. */
export function parseKey(text: string): SeriesKey | null {
  const brace = text.indexOf("{");
  const metric = brace < 0 ? text : text.slice(0, brace);
  if (!METRIC.test(metric)) return null;
  if (brace < 0) return { metric, labels: {} };
  const labels = parseLabels(text.slice(brace));
  return labels && { metric, labels };
}

function parseLabels(text: string): Record<string, string> | null {
  const labels: Record<string, string> = {};
  let at = 1;
  if (text === "{}") return labels;
  while (at < text.length) {
    const eq = text.indexOf("=", at);
    if (eq < 0) return null;
    const name = text.slice(at, eq);
    if (!LABEL.test(name) || name in labels) return null;
    const value = text[eq + 1] === '"' ? quoted(text, eq + 1) : bare(text, eq + 1);
    if (!value) return null;
    labels[name] = value.value;
    at = value.end + 1;
    if (text[value.end] === "}") return at === text.length ? labels : null;
    if (text[value.end] !== ",") return null;
  }
  return null;
}

interface Token {
  value: string;
  /** Index of the character after the value. */
  end: number;
}

function bare(text: string, start: number): Token | null {
  let end = start;
  while (end < text.length && text[end] !== "," && text[end] !== "}") end += 1;
  const value = text.slice(start, end);
  return NEEDS_QUOTES.test(value) ? null : { value, end };
}

function quoted(text: string, start: number): Token | null {
  let value = "";
  for (let at = start + 1; at < text.length; at += 1) {
    const char = text[at];
    if (char === '"') return { value, end: at + 1 };
    if (char !== "\\") {
      value += char;
      continue;
    }
    at += 1;
    const escaped = text[at];
    if (escaped === "n") value += "\n";
    else if (escaped === '"' || escaped === "\\") value += escaped;
    else return null;
  }
  return null;
}

/** Writes a series key in its one canonical form. */
export function formatKey(metric: string, labels: Record<string, string> = {}): string {
  const names = Object.keys(labels).sort();
  if (names.length === 0) return metric;
  const parts = names.map((name) => `${name}=${formatValue(labels[name] ?? "")}`);
  return `${metric}{${parts.join(",")}}`;
}

function formatValue(value: string): string {
  if (!NEEDS_QUOTES.test(value)) return value;
  const escaped = value.replace(/["\\]/g, "\\$&").replace(/\n/g, "\\n");
  return `"${escaped}"`;
}

/** The metric's name of a key, cheaply; for keys that came from the hub. */
export function metricOf(key: string): string {
  const brace = key.indexOf("{");
  return brace < 0 ? key : key.slice(0, brace);
}

/** The label values of a key, joined for a legend; empty without labels. */
export function labelText(labels: Record<string, string>): string {
  return Object.keys(labels)
    .sort()
    .map((name) => labels[name])
    .join(", ");
}
