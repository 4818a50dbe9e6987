// What is drawn beside the lines: when an incident was firing, and where the
// warning and critical levels lie.

import type uPlot from "uplot";
import { type ChartColors, faded } from "./colors";

export interface Firing {
  start: number;
  /** `null` while it is still open. */
  end: number | null;
}

export interface Marks {
  firing: readonly Firing[];
  warn: number | null;
  crit: number | null;
}

/** Shades the times an incident was firing; below the lines. */
export function drawFiring(plot: uPlot, marks: Marks, colors: ChartColors): void {
  const { ctx, bbox } = plot;
  const scale = plot.scales.x;
  if (!scale || scale.min === undefined || scale.max === undefined || scale.min === null || scale.max === null) return;
  ctx.save();
  for (const firing of marks.firing) {
    const from = Math.max(firing.start, scale.min);
    const to = Math.min(firing.end ?? scale.max, scale.max);
    if (to <= from) continue;
    const left = plot.valToPos(from, "x", true);
    const right = Math.max(left + 2, plot.valToPos(to, "x", true));
    ctx.fillStyle = faded(colors.crit, 0.1);
    ctx.fillRect(left, bbox.top, right - left, bbox.height);
    ctx.fillStyle = faded(colors.crit, 0.7);
    ctx.fillRect(left, bbox.top, right - left, 2 * devicePixelRatio);
  }
  ctx.restore();
}

/** Dashed lines at the levels, where they lie inside the picture. */
export function drawLevels(plot: uPlot, marks: Marks, colors: ChartColors): void {
  level(plot, marks.warn, colors.warn);
  level(plot, marks.crit, colors.crit);
}

function level(plot: uPlot, value: number | null, color: string): void {
  const { min, max } = plot.scales.y ?? {};
  if (value === null || min === undefined || max === undefined || min === null || max === null || value < min || value > max) return;
  const { ctx, bbox } = plot;
  const y = Math.round(plot.valToPos(value, "y", true)) + 0.5;
  ctx.save();
  ctx.strokeStyle = faded(color, 0.75);
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.restore();
}
