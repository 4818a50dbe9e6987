// Silences in words, the body that their form makes, and who a silence is
// for. Pure: the hub checks the values.

import type { Banner, Silence } from "../types";
import { formatSpan } from "./units";

export type SilenceFields = Record<string, string>;

/** An empty form: two hours from now. */
export function blankSilence(timezone: string): SilenceFields {
  return { kind: "silence", when: "once", duration: "2h", starts_at: "", days: "sun", time: "02:30", timezone, scope: "all", rule: "", metric: "", matchers: "", up_to: "", comment: "", cron: "" };
}

/** `30 2 * * sun`: a time of day and the days of the week on which it comes. */
export function cronOf(time: string, days: string): string {
  const [hour = "0", minute = "0"] = time.split(":");
  return `${Number(minute)} ${Number(hour)} * * ${days || "*"}`;
}

/** The form's fields for a silence that there is. One that comes at times the form has no words for keeps its cron. */
export function silenceFields(silence: Silence, days: readonly string[], startText: (time: number) => string): SilenceFields {
  const start = Date.parse(silence.starts_at);
  const fields: SilenceFields = { ...blankSilence(silence.timezone ?? ""), kind: silence.kind, comment: silence.comment };
  fields.scope = silence.agent ? `agent:${silence.agent}` : silence.tag ? `tag:${silence.tag}` : "all";
  fields.rule = silence.rule ?? "";
  fields.metric = silence.metric ?? "";
  fields.matchers = silence.matchers.map(({ label, op, value }) => `${label}${op}${value}`).join(", ");
  fields.up_to = silence.severity_up_to === "critical" ? "" : (silence.severity_up_to ?? "");
  if (silence.cron === null) {
    fields.starts_at = startText(start);
    if (silence.ends_at) fields.duration = shortSpan(Date.parse(silence.ends_at) - start);
    return fields;
  }
  fields.when = "again";
  if (silence.duration) fields.duration = silence.duration;
  const [, minute = "", hour = "", on = ""] = /^(\d{1,2}) (\d{1,2}) \* \* (\S+)$/.exec(silence.cron) ?? [];
  const day = on === "*" ? "" : on;
  if (minute && days.includes(day)) Object.assign(fields, { time: `${hour.padStart(2, "0")}:${minute.padStart(2, "0")}`, days: day });
  else fields.cron = silence.cron;
  return fields;
}

/** `90m` or `2h`: a duration as the hub reads it, in its largest whole unit. */
function shortSpan(ms: number): string {
  const [size, unit] = ([[86_400_000, "d"], [3_600_000, "h"], [60_000, "m"]] as const).find(([size]) => ms % size === 0) ?? [1_000, "s"];
  return `${Math.round(ms / size)}${unit}`;
}

/** What has to be said to make a silence of `before` one of `after`, both as `silenceBody` has them; what is the same stays as it is. */
export function silenceChanges(before: Record<string, unknown>, after: Record<string, unknown>): Record<string, unknown> {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  const changed = names.filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]));
  // How long it lasts counts from when it begins.
  if (changed.some((name) => name === "starts_at" || name === "cron") && !changed.includes("duration")) changed.push("duration");
  return Object.fromEntries(changed.map((name) => [name, after[name] ?? (name === "matchers" ? [] : null)]));
}

/** `mount=~/data.*, fstype!=tmpfs` as conditions. */
export function matchersOf(text: string): { label: string; op: string; value: string }[] {
  return text.split(",").filter((part) => part.trim()).map((part) => {
    const [, label = part, op = "", value = ""] = /^\s*([^=!~\s]+)\s*(=~|!~|!=|=)\s*(.*?)\s*$/.exec(part) ?? [];
    return { label: label.trim(), op, value };
  });
}

/** What the form says, as the hub wants it; `start` is the chosen beginning in epoch milliseconds. */
export function silenceBody(fields: SilenceFields, start: number | null): Record<string, unknown> {
  const body: Record<string, unknown> = { kind: fields.kind, duration: fields.duration, comment: fields.comment };
  if (fields.when === "again") {
    body.cron = fields.cron?.trim() || cronOf(fields.time ?? "", fields.days ?? "");
    if (fields.timezone) body.timezone = fields.timezone;
  } else if (start !== null) body.starts_at = new Date(start).toISOString();
  const scope = fields.scope ?? "";
  if (scope.startsWith("tag:")) body.tag = scope.slice(4);
  if (scope.startsWith("agent:")) body.agent = scope.slice(6);
  if (fields.rule) body.rule = fields.rule;
  if (fields.metric) body.metric = fields.metric.trim();
  if (fields.matchers) body.matchers = matchersOf(fields.matchers);
  if (fields.up_to) body.severity_up_to = fields.up_to;
  return body;
}

/** Whom a silence is for; ids are turned into names by `nameOf`. */
export function whomText(silence: Silence, nameOf: (id: string) => string): string {
  const parts: string[] = [];
  if (silence.agent) parts.push(nameOf(silence.agent));
  if (silence.tag) parts.push(`tag ${silence.tag}`);
  if (silence.rule) parts.push(`rule ${nameOf(silence.rule)}`);
  if (silence.metric) parts.push(silence.metric);
  parts.push(...silence.matchers.map(({ label, op, value }) => `${label}${op}${value}`));
  if (silence.severity_up_to) parts.push(`up to ${silence.severity_up_to}`);
  return parts.join(", ") || "everything";
}

const count = (number: number, one: string, more: string) => `${number} ${number === 1 ? one : more}`;

/** "2 silences (first ends in 1 h 4 min)"; empty when nothing is withheld. */
export function withheldText(banner: Banner | null, now: number): string {
  if (!banner) return "";
  const kinds = [
    [banner.silences, "silence", "silences"],
    [banner.maintenance, "maintenance", "maintenances"],
    [banner.quiet_hours, "channel in quiet hours", "channels in quiet hours"],
  ] as const;
  return kinds
    .filter(([{ active }]) => active > 0)
    .map(([{ active, ends_at }, one, more]) => {
      const left = ends_at ? (Date.parse(ends_at) - now) / 1000 : null;
      const end = left === null ? "" : ` (${active > 1 ? "first " : ""}ends in ${formatSpan(left)})`;
      return count(active, one, more) + end;
    })
    .join(", ");
}
