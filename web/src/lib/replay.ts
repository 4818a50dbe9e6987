// What a preview says, for people: counts in words, the periods of firing, and
// the shape of the little chart under the threshold. Pure.

export interface ReplaySeries {
  agent: string;
  metric: string;
  labels: Record<string, string>;
  incidents: { fired_at: number; resolved_at: number | null; peak: number | null }[];
  notices: { kind: string; at: number }[];
}

export interface Preview {
  totals: { agents: number; incidents: number; notices: number; notices_at_night: number };
  series: ReplaySeries[];
  stats: { p50: number | null; p95: number | null; p99: number | null; max: number | null };
  suggested_threshold: number | null;
  resolution: { tiers: string[]; step_seconds: number | null; hides: string | null };
}

const times = (count: number, word: string) => (count === 1 ? `1 ${word}` : `${count} ${word}s`);

/** "would have fired 9 times on 2 hosts". A rule without channels has no pages of its own to count. */
export function verdict({ totals }: Preview): string {
  if (totals.incidents === 0) return "It would not have fired.";
  const fired = `It would have fired ${totals.incidents === 1 ? "once" : `${totals.incidents} times`} on ${times(totals.agents, "host")}`;
  if (totals.notices === 0) return `${fired}.`;
  const night = totals.notices_at_night === 0 ? "none at night" : `${totals.notices_at_night} at night`;
  return `${fired} and sent ${times(totals.notices, "page")}, ${night}.`;
}

/** The series to look at first: where most happened. */
export function busiest(series: readonly ReplaySeries[]): ReplaySeries[] {
  return series.toSorted((a, b) => b.incidents.length - a.incidents.length);
}

export interface Frame {
  start: number;
  end: number;
  low: number;
  high: number;
}

/** The frame of a chart: all values and the threshold, with a little air. */
export function frameOf(start: number, end: number, values: readonly (number | null)[], threshold: number | null): Frame {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of threshold === null ? values : [...values, threshold]) {
    if (value === null) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) [low, high] = [0, 1];
  if (low > 0 && low < high / 2) low = 0;
  const air = (high - low || Math.abs(high) || 1) * 0.08;
  return { start, end, low: low === 0 ? 0 : low - air, high: high + air };
}

/** A line through points, broken at gaps, in a box of that size. */
export function linePath(times: readonly number[], values: readonly (number | null)[], frame: Frame, width: number, height: number): string {
  let path = "";
  let pen = "M";
  times.forEach((time, at) => {
    const value = values[at];
    if (value === null || value === undefined) {
      pen = "M";
      return;
    }
    path += `${pen}${xOf(time, frame, width).toFixed(1)} ${yOf(value, frame, height).toFixed(1)}`;
    pen = "L";
  });
  return path;
}

export function xOf(time: number, { start, end }: Frame, width: number): number {
  return (Math.min(Math.max(time, start), end) - start) / (end - start || 1) * width;
}

export function yOf(value: number, { low, high }: Frame, height: number): number {
  return height - ((value - low) / (high - low || 1)) * height;
}

/** The value at a height of the chart, with no more digits than a hand can mean. */
export function valueAt(y: number, { low, high }: Frame, height: number): number {
  const raw = low + (1 - Math.min(Math.max(y / height, 0), 1)) * (high - low);
  return tidy(raw, (high - low) / 200);
}

/** Rounds to a decimal step that is not finer than `least`. */
export function tidy(value: number, least: number): number {
  const digits = Math.min(12, Math.max(0, Math.ceil(-Math.log10(least || 1))));
  const unit = least > 1 ? 10 ** Math.floor(Math.log10(least)) : 1;
  return digits > 0 ? Number(value.toFixed(digits)) : Math.round(value / unit) * unit;
}
