// One plot: uPlot with this product's axes, bands, marks, tooltip, drag zoom
// and keyboard. It is told what to draw; what to fetch is not its business.

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { formatTick } from "../lib/units";
import { type ChartColors, faded, lineColor } from "./colors";
import { drawFiring, drawLevels, type Marks } from "./marks";
import { BYTE_STEPS, columnsOf, isolated, type PlotModel, timeLabels, yRange } from "./model";
import { Tooltip } from "./tooltip";

const HEIGHT = 190;
const FONT = "11px system-ui, sans-serif";
const LEAST_DRAG_PX = 6;

export interface PlotEvents {
  onZoom(start: number, end: number): void;
  onZoomOut(): void;
  /** The point under the crosshair, here or on a synchronised plot; `null` without one. */
  onCursor(index: number | null): void;
}

export interface View {
  start: number;
  end: number;
}

export class Plot {
  private readonly plot: uPlot;
  private readonly tooltip: Tooltip;
  private dragging = false;
  private pointed = false;

  constructor(
    private readonly root: HTMLElement,
    private model: PlotModel,
    private view: View,
    private marks: Marks,
    private readonly colors: ChartColors,
    private readonly events: PlotEvents,
    syncKey: string,
  ) {
    this.plot = new uPlot(this.options(syncKey), columnsOf(model) as uPlot.AlignedData, root);
    this.tooltip = new Tooltip(this.plot.over);
    this.listen(this.plot.over);
  }

  /** Whether new data fits this plot's lines, so that it need not be made anew. */
  fits(model: PlotModel): boolean {
    const shape = (given: PlotModel) => given.lines.map((line) => `${line.key} ${line.band}`).join("\n") + given.unit;
    return shape(model) === shape(this.model);
  }

  update(model: PlotModel, view: View, marks: Marks): void {
    this.model = model;
    this.view = view;
    this.marks = marks;
    this.plot.setData(columnsOf(model) as uPlot.AlignedData, true);
  }

  resize(width: number): void {
    if (width > 0 && width !== this.plot.width) this.plot.setSize({ width, height: HEIGHT });
  }

  destroy(): void {
    this.plot.destroy();
  }

  /** Moves the crosshair by points; from the last point when there is none yet. */
  step(by: number): void {
    const last = this.model.times.length - 1;
    const at = this.plot.cursor.idx;
    const next = at === null || at === undefined ? last : Math.min(last, Math.max(0, at + by));
    const time = this.model.times[next];
    if (time === undefined) return;
    this.pointed = true;
    this.plot.setCursor({ left: this.plot.valToPos(time, "x"), top: HEIGHT / 3 });
  }

  /** Takes the crosshair away. */
  leave(): void {
    this.pointed = false;
    this.plot.setCursor({ left: -10, top: -10 });
  }

  private listen(over: HTMLElement): void {
    over.addEventListener("mousedown", () => {
      this.dragging = true;
    });
    over.addEventListener("mouseenter", () => {
      this.pointed = true;
    });
    over.addEventListener("mouseleave", () => {
      this.pointed = false;
      this.tooltip.hide();
    });
    // uPlot knows the mouse alone; a finger moves the crosshair, the page scrolls up and down.
    const touch = (event: TouchEvent) => {
      const finger = event.touches[0];
      if (!finger) return;
      const box = over.getBoundingClientRect();
      this.pointed = true;
      this.plot.setCursor({ left: finger.clientX - box.left, top: finger.clientY - box.top });
    };
    over.addEventListener("touchstart", touch, { passive: true });
    over.addEventListener("touchmove", touch, { passive: true });
  }

  private onCursor(): void {
    const { idx, left, top } = this.plot.cursor;
    const inside = idx !== null && idx !== undefined && left !== undefined && left >= 0;
    this.events.onCursor(inside ? idx : null);
    if (!inside || !this.pointed) return this.tooltip.hide();
    this.tooltip.show(this.model, this.colors, idx, left, top ?? 0);
  }

  private onSelect(): void {
    const { left, width } = this.plot.select;
    const mine = this.dragging;
    this.dragging = false;
    if (width <= 0) return;
    const start = this.plot.posToVal(left, "x");
    const end = this.plot.posToVal(left + width, "x");
    this.plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    // The selection is mirrored on every synchronised plot; only the one that was dragged tells.
    if (mine && width >= LEAST_DRAG_PX) this.events.onZoom(Math.round(start), Math.round(end));
  }

  private options(syncKey: string): uPlot.Options {
    return {
      ms: 1,
      width: Math.max(200, this.root.clientWidth),
      height: HEIGHT,
      padding: [10, 10, 0, 0],
      legend: { show: false },
      cursor: {
        sync: { key: syncKey, setSeries: false },
        drag: { x: true, y: false, setScale: false, dist: LEAST_DRAG_PX },
        points: { size: 7 },
        y: false,
        bind: {
          dblclick: () => () => {
            this.events.onZoomOut();
            return null;
          },
        },
      },
      scales: {
        x: { time: true, range: () => [this.view.start, this.view.end] },
        y: { range: (_plot, min, max) => yRange(this.model.unit, min, max) },
      },
      axes: this.axes(),
      ...this.series(),
      hooks: {
        drawClear: [(plot) => drawFiring(plot, this.marks, this.colors)],
        draw: [(plot) => drawLevels(plot, this.marks, this.colors)],
        setCursor: [() => this.tooltip && this.onCursor()],
        setSelect: [() => this.tooltip && this.onSelect()],
      },
    };
  }

  private axes(): uPlot.Axis[] {
    const look = {
      stroke: this.colors.muted,
      font: FONT,
      grid: { stroke: this.colors.grid, width: 1 },
      ticks: { show: false },
    };
    const unit = this.model.unit;
    return [
      { ...look, size: 26, gap: 6, space: 64, values: (_plot, splits, _axis, _space, step) => timeLabels(splits, step) },
      {
        ...look,
        gap: 6,
        space: 34,
        size: (_plot, values) => 14 + 6.3 * Math.max(3, ...(values ?? []).map((value) => value.length)),
        values: (_plot, splits) => splits.map((split) => formatTick(split, unit)),
        ...(unit === "bytes" ? { incrs: BYTE_STEPS } : {}),
        ...(unit === "percent" ? { incrs: [1, 2, 5, 10, 25, 50, 100] } : {}),
      },
    ];
  }

  private series(): { series: uPlot.Series[]; bands: uPlot.Band[] } {
    const series: uPlot.Series[] = [{}];
    const bands: uPlot.Band[] = [];
    const few = this.model.lines.length <= 2;
    this.model.lines.forEach((line, order) => {
      const color = lineColor(this.colors, order);
      const fill = !line.band && (few || order === 0) && this.model.lines.length <= 6 ? { fill: faded(color, few ? 0.14 : 0.1) } : {};
      series.push({
        stroke: color,
        width: this.model.lines.length > 6 ? 1 : 1.6,
        ...fill,
        points: { show: () => false, filter: (plot, index) => isolated(plot.data[index] ?? []), size: 4 },
      });
      if (!line.band) return;
      const edge: uPlot.Series = { stroke: "transparent", width: 0, points: { show: false } };
      series.push(edge, { ...edge });
      bands.push({ series: [series.length - 2, series.length - 1], fill: faded(color, 0.2) });
    });
    return { series, bands };
  }
}
