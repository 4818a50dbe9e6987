// When a disk will be full, in words and as a tone. Pure: the slope is the hub's.

import type { Forecast } from "../types";
import { labelText } from "./serieskey";
import { formatSpan } from "./units";

const MINUTE = 60;
const HOUR = 3_600;
const DAY = 86_400;
/** Below this many seconds it is a matter of today, or of this week. */
const SOON = { crit: DAY, warn: 3 * DAY };

/** Seconds until it is full. */
export function fullIn(forecast: Forecast, now: number): number {
  return (Date.parse(forecast.full_at) - now) / 1000;
}

/** `14 h`, `2 d 4 h`, `12 d`: the further ahead, the less it is worth to say it finely. */
export function fullText(seconds: number): string {
  if (seconds <= 0) return "now";
  if (seconds >= 7 * DAY) return `${Math.round(seconds / DAY)} d`;
  const step = seconds >= DAY / 4 ? HOUR : MINUTE;
  return formatSpan(Math.max(step, Math.round(seconds / step) * step));
}

/** How soon that is. */
export function fullTone(seconds: number): "crit" | "warn" | "none" {
  return seconds < SOON.crit ? "crit" : seconds < SOON.warn ? "warn" : "none";
}

/** A share from 0 to 1. What is nearly certain is not certain, and what is hardly likely not impossible. */
function shareText(share: number): string {
  const percent = Math.round(100 * share);
  if (percent >= 100 && share < 1) return "over 99 %";
  if (percent <= 0 && share > 0) return "under 1 %";
  return `${percent} %`;
}

/** Everything behind the figure, for the hover text. */
export function fullHint(forecast: Forecast, now: number): string {
  const mount = labelText(forecast.labels);
  const rate = `${Number(forecast.per_hour.toPrecision(2))} % an hour`;
  return `${mount || "The disk"} is full in ${fullText(fullIn(forecast, now))} at ${rate}, by the trend of the last ${formatSpan(forecast.window_seconds)} (confidence ${shareText(forecast.confidence)})`;
}

/** By agent, the one that is full first at the top. */
export function byAgent(forecasts: readonly Forecast[]): Map<string, Forecast[]> {
  const found = new Map<string, Forecast[]>();
  for (const forecast of forecasts.toSorted((a, b) => Date.parse(a.full_at) - Date.parse(b.full_at))) {
    const known = found.get(forecast.agent.id);
    if (known) known.push(forecast);
    else found.set(forecast.agent.id, [forecast]);
  }
  return found;
}
