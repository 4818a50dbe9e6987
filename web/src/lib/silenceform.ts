// Silences in words, the body that their form makes, and who a silence is
// for. Pure: the hub checks the values.

import type { Banner, Silence } from "../types";
import { formatSpan } from "./units";

export type SilenceFields = Record<string, string>;

/** An empty form: two hours from now. */
export function blankSilence(timezone: string): SilenceFields {
  return { kind: "silence", when: "once", duration: "2h", starts_at: "", days: "sun", time: "02:30", timezone, scope: "all", rule: "", metric: "", matchers: "", up_to: "", comment: "" };
}

/** `30 2 * * sun`: a time of day and the days of the week on which it comes. */
export function cronOf(time: string, days: string): string {
  const [hour = "0", minute = "0"] = time.split(":");
  return `${Number(minute)} ${Number(hour)} * * ${days || "*"}`;
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
    body.cron = cronOf(fields.time ?? "", fields.days ?? "");
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
