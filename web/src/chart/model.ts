// From an answer of the hub to the columns a plot draws. Pure.

import { isRaw, seriesKeyOf } from "../lib/history";
import type { Panel } from "../lib/panels";
import { labelText } from "../lib/serieskey";
import { type Unit, unitOf } from "../lib/units";
import type { History, HistorySeries } from "../types";

export interface PlotLine {
  key: string;
  label: string;
  series: HistorySeries;
  /** Whether a band from least to greatest is drawn around the mean. */
  band: boolean;
}

export interface PlotModel {
  times: number[];
  lines: PlotLine[];
  unit: Unit;
  tier: string;
  rolledUp: boolean;
}

/** Bands of more lines than this would hide each other. */
const MAX_BANDS = 4;

/** The lines in the panel's order; series that appeared since come after them. */
export function modelOf(panel: Panel, history: History): PlotModel {
  const rolledUp = !isRaw(history);
  const byKey = new Map(history.series.map((series) => [seriesKeyOf(series), series]));
  const keys = [...panel.lines.map((line) => line.key).filter((key) => byKey.has(key))];
  for (const key of byKey.keys()) if (!keys.includes(key)) keys.push(key);
  const lines = keys.map((key) => {
    const series = byKey.get(key) as HistorySeries;
    const label = panel.lines.find((line) => line.key === key)?.label ?? (labelText(series.labels) || series.metric);
    return { key, label, series, band: rolledUp && keys.length <= MAX_BANDS && Boolean(series.min && series.max) };
  });
  const unit = unitOf(panel.query[0] ?? panel.id, history.series[0]?.unit);
  return { times: history.t, lines, unit, tier: history.tier, rolledUp };
}

type Column = (number | null)[];

/** uPlot's columns: time, then per line its value and, with a band, its max and min. */
export function columnsOf(model: PlotModel): [number[], ...Column[]] {
  const columns: Column[] = [];
  for (const line of model.lines) {
    columns.push(line.series.v);
    if (line.band) columns.push(line.series.max ?? [], line.series.min ?? []);
  }
  return [model.times, ...columns];
}

/** Samples with a gap on either side: a line of one point must be drawn as a point. */
export function isolated(values: ArrayLike<number | null | undefined>): number[] | null {
  const found: number[] = [];
  const absent = (index: number) => values[index] === null || values[index] === undefined;
  for (let index = 0; index < values.length; index += 1) {
    if (!absent(index) && absent(index - 1) && absent(index + 1)) found.push(index);
  }
  return found.length > 0 ? found : null;
}

/** The y range: percent from 0 to 100 whatever the data, other units from 0 where all is positive. */
export function yRange(unit: Unit, min: number | null, max: number | null): [number, number] {
  if (unit === "percent") return [Math.min(0, min ?? 0), Math.max(100, max ?? 100)];
  if (min === null || max === null || !Number.isFinite(min) || !Number.isFinite(max)) return [0, 1];
  if (unit === "celsius" && max - min < 60) return [Math.floor(min / 10) * 10, Math.ceil((max + 1) / 10) * 10];
  const low = Math.min(0, min);
  const high = max > low ? max * 1.08 : low + 1;
  return [low * 1.08, high];
}

const HOUR = 3_600_000;
const pad = (value: number) => String(value).padStart(2, "0");

/** Labels of the time axis, 24 h, with the day where it changes. */
export function timeLabels(splits: readonly number[], step: number): string[] {
  let day = -1;
  return splits.map((split) => {
    const date = new Date(split);
    const dayName = date.toLocaleDateString(undefined, { day: "numeric", month: "short" });
    if (step >= 24 * HOUR) return dayName;
    const clock = `${pad(date.getHours())}:${pad(date.getMinutes())}${step < 60_000 ? `:${pad(date.getSeconds())}` : ""}`;
    const changed = day !== -1 && day !== date.getDate();
    day = date.getDate();
    return changed ? dayName : clock;
  });
}

/** Steps for axes of bytes: powers of two, as GiB and MiB are. */
export const BYTE_STEPS = Array.from({ length: 50 }, (_, power) => 2 ** power);
