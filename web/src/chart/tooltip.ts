// The box beside the crosshair: the exact time with seconds and zone, each
// line's value, and its least and greatest where the point is a bucket.

import { fullTime } from "../lib/times";
import { formatExact, formatValue } from "../lib/units";
import { type ChartColors, lineColor } from "./colors";
import type { PlotModel } from "./model";

const MAX_ROWS = 10;
const GAP_PX = 14;

function element(tag: string, className: string, text = ""): HTMLElement {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

export class Tooltip {
  private readonly box = element("div", "tooltip");

  constructor(private readonly over: HTMLElement) {
    this.box.hidden = true;
    this.box.setAttribute("role", "status");
    over.append(this.box);
  }

  hide(): void {
    this.box.hidden = true;
  }

  /** Shows the point at `index`, beside `left` pixels into the plot. */
  show(model: PlotModel, colors: ChartColors, index: number, left: number, top: number): void {
    const time = model.times[index];
    if (time === undefined) return this.hide();
    const rows = this.rows(model, colors, index);
    this.box.replaceChildren(element("div", "tooltip-time num", fullTime(time)), ...rows);
    this.box.hidden = false;
    const { clientWidth, clientHeight } = this.over;
    const { offsetWidth, offsetHeight } = this.box;
    const fitsRight = left + GAP_PX + offsetWidth <= clientWidth;
    const x = fitsRight ? left + GAP_PX : Math.max(0, left - GAP_PX - offsetWidth);
    const y = Math.min(Math.max(0, top - offsetHeight / 2), Math.max(0, clientHeight - offsetHeight));
    this.box.style.transform = `translate(${Math.round(x)}px, ${Math.round(y)}px)`;
  }

  private rows(model: PlotModel, colors: ChartColors, index: number): HTMLElement[] {
    const lines = model.lines.map((line, order) => ({ line, order, value: line.series.v[index] ?? null }));
    if (lines.length > MAX_ROWS) lines.sort((a, b) => (b.value ?? -1) - (a.value ?? -1));
    const rows = lines.slice(0, MAX_ROWS).map(({ line, order, value }) => {
      const row = element("div", "tooltip-row");
      const swatch = element("span", "swatch");
      swatch.style.background = lineColor(colors, order);
      row.append(swatch, element("span", "tooltip-label", line.label));
      row.append(element("span", "num tooltip-value", value === null ? "no data" : formatValue(value, model.unit)));
      const more = value === null ? "" : detail(model, line.series, index, value);
      if (more) row.append(element("span", "num tooltip-more", more));
      return row;
    });
    if (lines.length > MAX_ROWS) rows.push(element("div", "tooltip-more", `and ${lines.length - MAX_ROWS} more`));
    return rows;
  }
}

/** For a bucket its extremes, for a sample its every digit where the short form left some out. */
function detail(model: PlotModel, series: { min?: (number | null)[]; max?: (number | null)[] }, index: number, value: number): string {
  const min = series.min?.[index];
  const max = series.max?.[index];
  if (model.rolledUp && min !== null && min !== undefined && max !== null && max !== undefined) {
    return `mean; min ${formatValue(min, model.unit)}, max ${formatValue(max, model.unit)}`;
  }
  const exact = formatExact(value, model.unit);
  return exact === formatValue(value, model.unit) ? "" : exact;
}
