// Units and numbers for people. The unit of a metric is the last word of its
// name; the hub states it too, and what the hub states wins. Pure.

import { metricOf } from "./serieskey";

export type Unit =
  | "percent"
  | "bytes"
  | "bytes_per_second"
  | "per_second"
  | "seconds"
  | "milliseconds"
  | "celsius"
  | "watts"
  | "rpm"
  | "megahertz"
  | "hours"
  | "none";

const SUFFIXES: [string, Unit][] = [
  ["_percent", "percent"],
  ["_bytes_per_second", "bytes_per_second"],
  ["_bytes_total", "bytes"],
  ["_bytes", "bytes"],
  ["_per_second", "per_second"],
  ["_iops", "per_second"],
  ["_seconds", "seconds"],
  ["_ms", "milliseconds"],
  ["celsius", "celsius"],
  ["watts", "watts"],
  ["rpm", "rpm"],
  ["_mhz", "megahertz"],
  ["_hours", "hours"],
];

const KNOWN = new Set<string>(SUFFIXES.map(([, unit]) => unit));

/** The unit of a metric or series key: as the hub states it, else by the name's last word. */
export function unitOf(key: string, stated?: string | null): Unit {
  if (stated && KNOWN.has(stated)) return stated as Unit;
  const metric = metricOf(key);
  const last = metric.slice(metric.lastIndexOf(".") + 1);
  if (last === "percent") return "percent";
  return SUFFIXES.find(([suffix]) => last.endsWith(suffix))?.[1] ?? "none";
}

const PLAIN_SUFFIX: Partial<Record<Unit, string>> = {
  percent: " %",
  per_second: " /s",
  milliseconds: " ms",
  celsius: " °C",
  watts: " W",
  rpm: " rpm",
  megahertz: " MHz",
  hours: " h",
};

/** One value with its unit, short: `71.3 %`, `3.42 GiB`, `9.1 MB/s`, `41 d 3 h`. */
export function formatValue(value: number | null | undefined, unit: Unit): string {
  if (value === null || value === undefined || Number.isNaN(value)) return "N/A";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (unit === "bytes") return scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]);
  if (unit === "bytes_per_second") return scaled(value, 1000, ["B/s", "kB/s", "MB/s", "GB/s", "TB/s"]);
  if (unit === "seconds") return Math.abs(value) < 60 ? `${digits(value)} s` : formatSpan(value);
  if (unit === "percent") return `${percent(value)} %`;
  if (unit === "celsius" || unit === "watts") return `${value.toFixed(1)}${PLAIN_SUFFIX[unit]}`;
  return `${digits(value)}${PLAIN_SUFFIX[unit] ?? ""}`;
}

/** The value to the last stored digit, grouped: what a tooltip or a table shows beside the short form. */
export function formatExact(value: number, unit: Unit): string {
  const plain = value.toLocaleString("en-US", { maximumFractionDigits: 6 });
  if (unit === "bytes") return `${plain} B`;
  if (unit === "bytes_per_second") return `${plain} B/s`;
  if (unit === "seconds") return `${plain} s`;
  return `${plain}${PLAIN_SUFFIX[unit] ?? ""}`;
}

/** Numbers on an axis: whole steps, no more digits than the step needs. */
export function formatTick(value: number, unit: Unit): string {
  return formatValue(value, unit).replace(/\.0+(?=\D|$)/, "");
}

function percent(value: number): string {
  return Math.abs(value) >= 99.95 ? value.toFixed(0) : value.toFixed(1);
}

function scaled(value: number, base: number, names: readonly string[]): string {
  let size = value;
  let step = 0;
  while (Math.abs(size) >= base && step < names.length - 1) {
    size /= base;
    step += 1;
  }
  const text = step === 0 ? digits(size) : size.toFixed(Math.abs(size) >= 100 ? 0 : Math.abs(size) >= 10 ? 1 : 2);
  return `${text} ${names[step]}`;
}

function digits(value: number): string {
  const size = Math.abs(value);
  if (Number.isInteger(value)) return value.toLocaleString("en-US");
  if (size >= 1000) return Math.round(value).toLocaleString("en-US");
  if (size >= 100) return value.toFixed(1);
  return value.toFixed(2);
}

const SPAN_STEPS: [number, string][] = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "min"],
  [1, "s"],
];

/** A span of seconds in its two largest steps: `41 d 3 h`, `14 min 20 s`. */
export function formatSpan(seconds: number): string {
  let rest = Math.max(0, Math.round(seconds));
  const parts: string[] = [];
  for (const [size, name] of SPAN_STEPS) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0 || (parts.length === 0 && size === 1)) parts.push(`${count} ${name}`);
    if (parts.length === 2 || (parts.length === 1 && count === 0)) break;
  }
  return parts.join(" ");
}

/** An age in one step, for tables: `3 s`, `12 min`, `5 h`, `9 d`. */
export function formatAge(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const [size, name] = SPAN_STEPS.find(([step]) => whole >= step) ?? [1, "s"];
  return `${Math.floor(whole / size)} ${name}`;
}
