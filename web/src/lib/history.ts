// What the charts do with a history answer: name its series, add a live
// sample, sum it up in words. Pure. Thinning out and rolling up is the hub's.

import type { History, HistorySeries, Values } from "../types";
import { formatKey } from "./serieskey";

/** A hole this many usual spacings wide is drawn as a gap; ALERTING's rule for holes. */
const GAP_SPACINGS = 3;
const LEAST_GAP_MS = 60_000;

export function seriesKeyOf(series: HistorySeries): string {
  return formatKey(series.metric, series.labels);
}

/** Whether the points are samples as they were measured, without a band. */
export function isRaw(history: Pick<History, "tier">): boolean {
  return history.tier === "raw";
}

/**
 * A raw history with one more sample, and what lies before `start` dropped.
 * The same object when the sample is not newer or the history is rolled up.
 */
export function appendSample(history: History, time: number, values: Values, start: number): History {
  const last = history.t.at(-1);
  if (!isRaw(history) || (last !== undefined && time <= last)) return history;
  const gap = last !== undefined && time - last > gapWidth(history.t);
  const drop = firstIndexFrom(history.t, start);
  const grow = <T>(column: readonly T[], filler: T, value: T): T[] =>
    gap ? [...column.slice(drop), filler, value] : [...column.slice(drop), value];
  return {
    ...history,
    t: grow(history.t, (last ?? time) + 1, time),
    series: history.series.map((series) => {
      const value = values[seriesKeyOf(series)] ?? null;
      const { min: _min, max: _max, ...rest } = series;
      return { ...rest, v: grow<number | null>(series.v, null, value) };
    }),
  };
}

/** How long a silence must be to count as a hole, from the latest spacings. */
export function gapWidth(times: readonly number[]): number {
  const recent = times.slice(-11);
  const spacings = recent.slice(1).map((time, index) => time - (recent[index] ?? time));
  spacings.sort((a, b) => a - b);
  const median = spacings[spacings.length >> 1] ?? 0;
  return Math.max(LEAST_GAP_MS, GAP_SPACINGS * median);
}

function firstIndexFrom(times: readonly number[], start: number): number {
  const index = times.findIndex((time) => time >= start);
  return index < 0 ? times.length : index;
}

export interface Summary {
  last: number | null;
  min: number | null;
  mean: number | null;
  max: number | null;
}

/** Last, least, mean and greatest of a series; the extremes of rolled-up buckets count. */
export function summarise(series: HistorySeries): Summary {
  const summary: Summary = { last: null, min: null, mean: null, max: null };
  let sum = 0;
  let count = 0;
  series.v.forEach((value, index) => {
    if (value === null) return;
    const low = series.min?.[index] ?? value;
    const high = series.max?.[index] ?? value;
    summary.last = value;
    summary.min = summary.min === null ? low : Math.min(summary.min, low);
    summary.max = summary.max === null ? high : Math.max(summary.max, high);
    sum += value;
    count += 1;
  });
  if (count > 0) summary.mean = sum / count;
  return summary;
}

const TIER_WORDS: Record<string, string> = {
  raw: "every sample",
  "5m": "5-minute buckets",
  hourly: "hourly buckets",
  daily: "daily buckets",
  mixed: "mixed buckets",
};

/** The resolution of an answer, for people. */
export function tierText(tier: string): string {
  return TIER_WORDS[tier] ?? tier;
}
