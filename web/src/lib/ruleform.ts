// What a rule's form asks for each kind of rule, and the body that it makes.
// Pure: the hub checks the values, this only knows their names and forms.

export type Fields = Record<string, string>;

export interface Kind {
  name: string;
  word: string;
  hint: string;
  /** Fields that this kind has beside those of all kinds. */
  fields: readonly string[];
}

const COMPARED = ["metric", "labels", "op", "threshold"] as const;

/** All kinds, the common ones first. */
export const KINDS: readonly Kind[] = [
  { name: "threshold", word: "Threshold", hint: "A value is beyond a limit.", fields: COMPARED },
  { name: "forecast", word: "Forecast", hint: "A value will reach a limit before long, as its trend goes.", fields: [...COMPARED, "horizon", "window"] },
  { name: "rate", word: "Rate of change", hint: "A value changes too fast.", fields: [...COMPARED, "window", "per"] },
  { name: "offline", word: "Host offline", hint: "An agent stopped sending.", fields: [] },
  { name: "unit_failed", word: "Unit failed", hint: "Any systemd unit has failed; with a label unit=nginx.service, that unit is not active.", fields: ["labels"] },
  { name: "container_down", word: "Container down", hint: "A container is not running, such as container=db.", fields: ["labels"] },
  { name: "container_unhealthy", word: "Container unhealthy", hint: "A container's health check fails.", fields: ["labels"] },
  { name: "process_missing", word: "Process missing", hint: "Fewer processes than wanted, such as process=cron.", fields: ["labels", "threshold"] },
  { name: "port_closed", word: "Port closed", hint: "Nothing answers on a port, such as port=25.", fields: ["labels"] },
  { name: "smart_failing", word: "SMART failing", hint: "A disk says of itself that it is failing.", fields: ["labels"] },
  { name: "reboot", word: "Reboot", hint: "A host has started anew; ends by itself.", fields: [] },
  { name: "clock_step", word: "Clock step", hint: "A host's clock jumped by more than two seconds.", fields: [] },
];

/** The kind of that name; an unknown one is treated as a threshold. */
export function kindOf(name: string): Kind {
  return KINDS.find((kind) => kind.name === name) ?? (KINDS[0] as Kind);
}

/** Texts that go to the hub as they stand; empty ones are left to its defaults. */
const TEXTS = ["for", "keep_firing", "cooldown", "repeat", "missing", "missing_after", "aggregate"] as const;

const START: Fields = {
  name: "", kind: "threshold", metric: "cpu.usage_percent", labels: "", op: ">", threshold: "90", clear: "", horizon: "3d", window: "", per: "1h",
  scope: "global", severity: "warning", for: "5m", keep_firing: "", cooldown: "30m", repeat: "", missing: "", missing_after: "", aggregate: "",
};

/** An empty form. */
export function blank(): Fields {
  return { ...START };
}

/** What a kind starts with where the form still shows another kind's start. */
export function withKind(fields: Fields, name: string): Fields {
  const next = { ...fields, kind: name };
  if (name === "forecast") return { ...next, metric: "disk.used_percent", op: ">=", threshold: "100", for: "" };
  if (name === "rate") return { ...next, metric: "disk.used_bytes", op: ">", threshold: "10000000000", window: "30m", for: "" };
  if (name === "threshold") return { ...next, metric: "cpu.usage_percent", op: ">", threshold: "90", for: "5m" };
  return { ...next, labels: "", threshold: name === "process_missing" ? "1" : "", clear: "", for: "" };
}

/** A threshold or clear level as a form writes it: `90`, `warn`, `crit`, `margin 5`. */
export function levelText(value: unknown): string {
  if (typeof value === "number") return String(value);
  const { level, margin } = (value ?? {}) as { level?: string; margin?: number };
  return level ?? (margin === undefined ? "" : `margin ${margin}`);
}

/** The same read back; what cannot be read goes to the hub as it is, which says why not. */
export function levelOf(text: string): unknown {
  const plain = text.trim();
  if (plain === "") return null;
  if (plain === "warn" || plain === "crit") return { level: plain };
  const margin = /^margin\s+(\S+)$/.exec(plain)?.[1];
  if (margin !== undefined && Number.isFinite(Number(margin))) return { margin: Number(margin) };
  const number = Number(plain);
  return Number.isFinite(number) ? number : plain;
}

/** `mount=/data, fstype=ext4` as labels. */
export function labelsOf(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const part of text.split(",")) {
    const at = part.indexOf("=");
    const name = (at < 0 ? part : part.slice(0, at)).trim();
    if (name) labels[name] = at < 0 ? "" : part.slice(at + 1).trim();
  }
  return labels;
}

function scopeText(scope: unknown): string {
  const { tag, agent } = (scope ?? {}) as { tag?: string; agent?: string };
  return tag === undefined ? (agent === undefined ? "global" : `agent:${agent}`) : `tag:${tag}`;
}

function scopeOf(text: string): unknown {
  if (text.startsWith("tag:")) return { tag: text.slice(4) };
  return text.startsWith("agent:") ? { agent: text.slice(6) } : "global";
}

type Body = Record<string, unknown>;

/** A rule as the hub shows it, in the form's texts. */
export function fieldsOf(rule: Body): Fields {
  const fields = blank();
  for (const name of ["name", "kind", "metric", "op", "severity", "horizon", "window", "per", ...TEXTS]) {
    fields[name] = typeof rule[name] === "string" ? (rule[name] as string) : "";
  }
  fields.threshold = levelText(rule.threshold);
  fields.clear = levelText(rule.clear);
  fields.labels = Object.entries((rule.labels ?? {}) as Record<string, string>).map(([name, value]) => `${name}=${value}`).join(", ");
  fields.scope = scopeText(rule.scope);
  return fields;
}

/** A step of escalation: who is told too if nobody is on it by then. */
export interface Step {
  after: string;
  channels: readonly string[];
}

/** The channels of a rule and the steps of its escalation. */
export interface Told {
  channels: readonly string[];
  escalation: readonly Step[];
}

/** The next step of a form: twice as late as the last, if that is a plain number of something. */
export function nextStep(steps: readonly Step[]): Step {
  const [, number, unit] = /^(\d+)([smhd])$/.exec(steps.at(-1)?.after ?? "") ?? [];
  return { after: number ? `${2 * Number(number)}${unit}` : "15m", channels: [] };
}

/** What the form says, laid over the rule that it changes: what the form does not show stays. */
export function bodyOf(fields: Fields, told: Told, before: Body = {}): Body {
  const kind = kindOf(fields.kind ?? "");
  const body: Body = { ...before };
  for (const name of ["metric", "op", "threshold", "clear", "window", "per", "horizon", ...(before.kind === kind.name ? [] : ["matchers"])]) delete body[name];
  for (const name of ["metric", "op", "window", "per", "horizon"]) {
    if (kind.fields.includes(name) && fields[name]) body[name] = fields[name];
  }
  if (kind.fields.includes("threshold")) body.threshold = levelOf(fields.threshold ?? "");
  if (fields.clear && kind.fields.includes("op")) body.clear = levelOf(fields.clear);
  for (const name of TEXTS) {
    if (fields[name]) body[name] = fields[name];
    else delete body[name];
  }
  body.name = (fields.name ?? "").trim();
  body.kind = kind.name;
  body.labels = kind.fields.includes("labels") ? labelsOf(fields.labels ?? "") : {};
  body.severity = fields.severity;
  body.scope = scopeOf(fields.scope ?? "global");
  body.channels = told.channels;
  body.escalation = told.escalation;
  return body;
}

/** What the hub says of one field or what lies below it, by its pointer. */
export function faultOf(faults: readonly { pointer: string; detail: string }[], field: string): string {
  const within = (pointer: string) => pointer === field || pointer.startsWith(`${field}/`);
  return faults.filter((fault) => within(fault.pointer.replace(/^#?\//, ""))).map((fault) => fault.detail).join("; ");
}

/** A rule's condition in one line. */
export function sentence(rule: Body): string {
  const fields = fieldsOf(rule);
  const kind = kindOf(fields.kind ?? "");
  const labels = fields.labels ? `{${fields.labels}}` : "";
  if (!kind.fields.includes("op")) return kind.word + (labels ? ` ${labels}` : "");
  const ahead = kind.name === "forecast" ? ` within ${fields.horizon}` : kind.name === "rate" ? ` per ${fields.per}` : "";
  const hold = fields.for && fields.for !== "0s" ? ` for ${fields.for}` : "";
  return `${fields.metric}${labels} ${fields.op} ${fields.threshold}${ahead}${hold}`;
}
