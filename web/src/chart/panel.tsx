// One chart of an agent's page: fetches its own history while it is on
// screen, follows live samples, and can turn into a table.

import { createEffect, createMemo, createSignal, For, type JSX, on, onCleanup, onMount, Show } from "solid-js";
import { freshValues, measuredAt } from "../lib/age";
import { appendSample, isRaw, type Summary, summarise, tierText } from "../lib/history";
import { levelOf, thresholdOf } from "../lib/levels";
import { exportHref, type Panel } from "../lib/panels";
import { type Range, rangeParams } from "../lib/range";
import { formatKey, metricOf } from "../lib/serieskey";
import { fullTime } from "../lib/times";
import { formatAge, formatValue } from "../lib/units";
import { ProblemNote } from "../parts/forms";
import { api, asProblem, type Problem, segment } from "../state/api";
import { now } from "../state/clock";
import { isDark } from "../state/theme";
import type { Agent, History, Incident } from "../types";
import { lineColor, readColors } from "./colors";
import type { Marks } from "./marks";
import { modelOf, type PlotModel } from "./model";
import { Plot, type View } from "./plot";
import { DataTable } from "./table";
import "../styles/chart.css";

const MIN_POINTS = 200;
const MAX_POINTS = 1_000;
/** Charts begin to load this far below the screen. */
const AHEAD = "300px";

export interface PanelProps {
  agent: Agent;
  panel: Panel;
  range: Range;
  /** Grows when a range that follows the present should be read again. */
  tick: number;
  incidents: readonly Incident[];
  onZoom: (start: number, end: number) => void;
  onZoomOut: () => void;
  onPan: (share: number) => void;
}

export function ChartPanel(props: PanelProps): JSX.Element {
  let figure!: HTMLElement;
  const [seen, setSeen] = createSignal(false);
  const [asTable, setAsTable] = createSignal(false);
  const [cursor, setCursor] = createSignal<number | null>(null);
  const { history, problem, loading } = useHistory(props, seen, () => figure.clientWidth);
  const model = createMemo(() => {
    const known = history();
    return known ? modelOf(props.panel, known) : null;
  });
  const measured = createMemo(() => measuredAt(props.panel.lines.map((line) => line.key), props.agent.older));
  /** The value of the only line, which may lie before what the chart shows. */
  const onlyValue = () => {
    const [line, another] = props.panel.lines;
    return line && !another ? `${formatValue(props.agent.metrics[line.key] ?? null, props.panel.unit)}, ` : "";
  };
  onMount(() => {
    const watcher = new IntersectionObserver((entries) => setSeen(entries.some((entry) => entry.isIntersecting)), { rootMargin: AHEAD });
    watcher.observe(figure);
    onCleanup(() => watcher.disconnect());
  });
  return (
    <figure class="chart" ref={figure} classList={{ "is-loading": loading() }}>
      <figcaption class="chart-head">
        <h3>{props.panel.title}</h3>
        <Show when={model()}>{(known) => <span class="chart-tier">{known().rolledUp ? tierText(known().tier) : ""}</span>}</Show>
        <Show when={measured()}>
          {(at) => (
            <time class="chart-tier chart-age" datetime={new Date(at()).toISOString()} title={fullTime(at())}>
              {onlyValue()}measured {formatAge((now() - at()) / 1000)} ago
            </time>
          )}
        </Show>
        <ChartTools {...props} asTable={asTable()} onTable={() => setAsTable(!asTable())} />
      </figcaption>
      <Show when={model()} fallback={<div class="plot-empty">{problem() ? "" : "…"}</div>}>
        {(known) => (
          <>
            <Legend model={known()} cursor={cursor()} agent={props.agent} />
            <Show when={!asTable()} fallback={<DataTable model={known()} title={props.panel.title} />}>
              <PlotArea {...props} model={known()} onCursor={setCursor} />
            </Show>
          </>
        )}
      </Show>
      <ProblemNote problem={problem()} />
    </figure>
  );
}

/** The panel's history: read when seen and when the range moves, grown by live samples. */
function useHistory(props: PanelProps, seen: () => boolean, width: () => number) {
  const [history, setHistory] = createSignal<History | null>(null);
  const [problem, setProblem] = createSignal<Problem | null>(null);
  const [loading, setLoading] = createSignal(false);
  const wanted = createMemo(() => `${props.panel.query.join(",")} ${props.range.preset ?? `${props.range.start} ${props.range.end}`} ${props.tick}`);
  let readFor = "";
  let abort: AbortController | undefined;

  const read = async (key: string) => {
    abort?.abort();
    const mine = new AbortController();
    abort = mine;
    setLoading(true);
    const points = Math.min(MAX_POINTS, Math.max(MIN_POINTS, Math.round(width())));
    const params = new URLSearchParams({ metrics: props.panel.query.join(","), ...rangeParams(props.range), max_points: String(points) });
    try {
      const path = `/agents/${segment(props.agent.id)}/metrics/history?${params}`;
      setHistory(await api<History>("GET", path, { signal: mine.signal }));
      setProblem(null);
      readFor = key;
    } catch (error) {
      if (!mine.signal.aborted) setProblem(asProblem(error));
    } finally {
      if (abort === mine) setLoading(false);
    }
  };
  createEffect(() => {
    if (seen() && wanted() !== readFor) void read(wanted());
  });
  createEffect(
    on(
      () => props.agent.last_seen,
      (lastSeen) => {
        const known = history();
        if (!lastSeen || !known || !props.range.preset || !isRaw(known)) return;
        // What was measured before is no sample of this moment.
        const { metrics, older } = props.agent;
        if (measuredAt(props.panel.lines.map((line) => line.key), older) !== null) return;
        const start = Date.parse(lastSeen) - (props.range.end - props.range.start);
        setHistory(appendSample(known, Date.parse(lastSeen), freshValues(metrics, older), start));
      },
      { defer: true },
    ),
  );
  onCleanup(() => abort?.abort());
  return { history, problem, loading };
}

/** What of the time axis is shown: a range that follows the present ends at its newest sample. */
function viewOf(range: Range, model: PlotModel): View {
  const last = model.times.at(-1) ?? range.end;
  const shift = range.preset ? Math.max(0, last - range.end) : 0;
  return { start: range.start + shift, end: range.end + shift };
}

/** Changes when a shaded stretch would. */
function firingKey(incidents: readonly Incident[]): string {
  return incidents.map((incident) => `${incident.id} ${incident.resolved_at}`).join();
}

function marksOf(props: PanelProps): Marks {
  const keys = new Set(props.panel.lines.map((line) => line.key));
  const firing = props.incidents
    .filter((incident) => incident.metric && keys.has(formatKey(incident.metric, incident.labels ?? {})))
    .map((incident) => ({
      start: Date.parse(incident.fired_at),
      end: incident.resolved_at ? Date.parse(incident.resolved_at) : null,
    }));
  const first = props.panel.lines[0]?.key ?? "";
  const threshold = thresholdOf(props.agent.thresholds, props.panel.lines.length > 1 ? metricOf(first) : first);
  return { firing, warn: threshold?.warn ?? null, crit: threshold?.crit ?? null };
}

function PlotArea(props: PanelProps & { model: PlotModel; onCursor: (index: number | null) => void }): JSX.Element {
  let box!: HTMLDivElement;
  let plot: Plot | null = null;
  const make = () => {
    plot?.destroy();
    plot = new Plot(box, props.model, viewOf(props.range, props.model), marksOf(props), readColors(), {
      onZoom: props.onZoom,
      onZoomOut: props.onZoomOut,
      onCursor: props.onCursor,
    }, `agent-${props.agent.id}`);
  };
  onMount(() => {
    make();
    createEffect(
      on(
        () => [props.model, props.range, firingKey(props.incidents), props.agent.thresholds] as const,
        ([model, range]) => {
          if (plot?.fits(model)) plot.update(model, viewOf(range, model), marksOf(props));
          else make();
        },
        { defer: true },
      ),
    );
    createEffect(on(isDark, make, { defer: true }));
    const watcher = new ResizeObserver(() => plot?.resize(box.clientWidth));
    watcher.observe(box);
    onCleanup(() => watcher.disconnect());
  });
  onCleanup(() => plot?.destroy());
  const onKey = (event: KeyboardEvent) => {
    const acts: Record<string, () => void> = {
      ArrowLeft: () => (event.shiftKey ? props.onPan(-0.5) : plot?.step(-1)),
      ArrowRight: () => (event.shiftKey ? props.onPan(0.5) : plot?.step(1)),
      PageUp: () => plot?.step(-10),
      PageDown: () => plot?.step(10),
      "-": () => props.onZoomOut(),
      Escape: () => plot?.leave(),
    };
    const act = acts[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  };
  return (
    <div
      class="plot"
      ref={box}
      tabindex="0"
      role="group"
      aria-roledescription="chart"
      aria-label={`${summaryText(props.panel.title, props.model)} Arrow keys move the crosshair.`}
      onKeyDown={onKey}
      onBlur={() => plot?.leave()}
    />
  );
}

/** The chart in one or a few sentences, for those who cannot see it. */
function summaryText(title: string, model: PlotModel): string {
  const words = (summary: Summary) =>
    (["last", "min", "mean", "max"] as const).map((name) => `${name} ${formatValue(summary[name], model.unit)}`).join(", ");
  const lines = model.lines.slice(0, 4).map((line) => `${line.label}: ${words(summarise(line.series))}.`);
  const more = model.lines.length > 4 ? ` And ${model.lines.length - 4} more lines.` : "";
  return `${title}. ${lines.join(" ")}${more}`;
}

const LEGEND_LINES = 12;

function Legend(props: { model: PlotModel; cursor: number | null; agent: Agent }): JSX.Element {
  const colors = createMemo(() => {
    isDark();
    return readColors();
  });
  const value = (index: number) => {
    const series = props.model.lines[index]?.series;
    return props.cursor === null ? (series?.v.findLast((known) => known !== null) ?? null) : (series?.v[props.cursor] ?? null);
  };
  const level = (key: string, index: number) => levelOf(value(index), thresholdOf(props.agent.thresholds, key));
  return (
    <ul class="legend" aria-hidden="true">
      <For each={props.model.lines.slice(0, LEGEND_LINES).map((line) => line.key)}>
        {(key, index) => (
          <li>
            <span class="swatch" style={{ background: lineColor(colors(), index()) }} />
            <span class="legend-label">{props.model.lines[index()]?.label}</span>
            <span class={`num legend-value is-${level(key, index())}`}>{formatValue(value(index()), props.model.unit)}</span>
          </li>
        )}
      </For>
      <Show when={props.model.lines.length > LEGEND_LINES}>
        <li class="muted">and {props.model.lines.length - LEGEND_LINES} more</li>
      </Show>
    </ul>
  );
}

function ChartTools(props: PanelProps & { asTable: boolean; onTable: () => void }): JSX.Element {
  const href = (kind: "png" | "svg" | "csv") =>
    exportHref(props.agent.id, props.panel, kind, {
      ...rangeParams(props.range),
      ...(kind === "csv" ? {} : { theme: isDark() ? "dark" : "light" }),
    });
  return (
    <div class="chart-tools">
      <button type="button" aria-pressed={props.asTable} onClick={() => props.onTable()}>
        {props.asTable ? "Chart" : "Table"}
      </button>
      <For each={["png", "svg", "csv"] as const}>
        {(kind) => (
          <a href={href(kind)} target="_blank" rel="noopener" aria-label={`${props.panel.title} as ${kind.toUpperCase()}`}>
            {kind.toUpperCase()}
          </a>
        )}
      </For>
    </div>
  );
}
