// What a draft would have done: the verdict in words, and a chart of one
// series with the periods of firing and a threshold that can be dragged.

import { createEffect, createMemo, createSignal, For, type JSX, on, onCleanup, Show } from "solid-js";
import { busiest, frameOf, linePath, type Preview, type ReplaySeries, valueAt, verdict, xOf, yOf } from "../lib/replay";
import { formatKey } from "../lib/serieskey";
import { shortTime } from "../lib/times";
import { formatTick, formatValue, unitOf } from "../lib/units";
import { previewRule, readSeries } from "../state/alerting";
import { asProblem, type Problem } from "../state/api";
import { agentOf } from "../state/fleet";
import type { History } from "../types";

const SPANS: readonly [string, string][] = [
  ["-24h", "24 hours"],
  ["-7d", "7 days"],
  ["-30d", "30 days"],
];
/** While a hand moves the threshold the hub is asked this often at most. */
const WAIT_MS = 200;
const [WIDTH, HEIGHT] = [640, 190];
const SHOWN_SERIES = 60;

export interface BacktestProps {
  body: Record<string, unknown>;
  /** The threshold, where it is a number that can be dragged. */
  threshold: number | null;
  onThreshold: ((value: number) => void) | null;
}

const idOf = (series: ReplaySeries) => `${series.agent} ${formatKey(series.metric, series.labels)}`;

/** Whether an error is only a question that was taken back. */
const isTakenBack = (error: unknown) => error instanceof DOMException && error.name === "AbortError";

export function Backtest(props: BacktestProps): JSX.Element {
  const [span, setSpan] = createSignal("-7d");
  const [preview, setPreview] = createSignal<Preview | null>(null);
  const [problem, setProblem] = createSignal<Problem | null>(null);
  const [busy, setBusy] = createSignal(false);
  const [chosen, setChosen] = createSignal("");
  const asked = createMemo(() => JSON.stringify([props.body, span()]));
  createEffect(
    on(asked, () => {
      const stop = new AbortController();
      const body = props.body;
      const timer = setTimeout(async () => {
        setBusy(true);
        try {
          setPreview(await previewRule({ ...body, name: body.name || "draft" }, span(), stop.signal));
          setProblem(null);
        } catch (error) {
          if (!isTakenBack(error)) setProblem(asProblem(error));
        }
        if (!stop.signal.aborted) setBusy(false);
      }, WAIT_MS);
      onCleanup(() => {
        clearTimeout(timer);
        stop.abort();
      });
    }),
  );
  const series = () => busiest(preview()?.series ?? []);
  // What is on screen stays there while a threshold moves, as long as there is something to see.
  const shown = createMemo<ReplaySeries | undefined>((before) => {
    const [first] = series();
    const same = before && series().find((one) => idOf(one) === idOf(before));
    const picked = series().find((one) => idOf(one) === chosen());
    return picked ?? (same && (same.incidents.length > 0 || !first?.incidents.length) ? same : first);
  });
  const suggested = () => (props.onThreshold ? (preview()?.suggested_threshold ?? null) : null);
  return (
    <section class="card backtest" aria-labelledby="backtest-head" aria-busy={busy()}>
      <div class="card-head">
        <h2 id="backtest-head">Over the last</h2>
        <div class="tabs" role="group" aria-label="Span of the past">
          <For each={SPANS}>
            {([value, word]) => (
              <button type="button" aria-pressed={span() === value} onClick={() => setSpan(value)}>
                {word}
              </button>
            )}
          </For>
        </div>
      </div>
      <p class="verdict" role="status">
        <Show when={!problem()} fallback={<span class="muted">{problem()?.fields.map((field) => field.detail).join("; ") || problem()?.detail}</span>}>
          {preview() ? verdict(preview() as Preview) : "Looking back…"}
        </Show>
      </p>
      <Show when={shown()}>
        {(one) => <SeriesChart series={one()} span={span()} threshold={props.threshold} onThreshold={props.onThreshold} />}
      </Show>
      <Show when={series().length > 1}>
        <select aria-label="Series that is shown" value={shown() ? idOf(shown() as ReplaySeries) : ""} onChange={(event) => setChosen(event.currentTarget.value)}>
          <For each={series().slice(0, SHOWN_SERIES)}>
            {(one) => (
              <option value={idOf(one)}>
                {agentOf(one.agent)?.name ?? one.agent} {formatKey(one.metric, one.labels)} — {one.incidents.length}×
              </option>
            )}
          </For>
        </select>
      </Show>
      <Show when={preview()}>{(known) => <Numbers preview={known()} metric={shown()?.metric ?? ""} />}</Show>
      <Show when={suggested() !== null && suggested() !== props.threshold}>
        <button type="button" class="button" onClick={() => props.onThreshold?.(suggested() as number)}>
          Use the suggested threshold, {suggested()}
        </button>
      </Show>
    </section>
  );
}

function Numbers(props: { preview: Preview; metric: string }): JSX.Element {
  const text = (value: number | null) => (value === null ? "–" : formatValue(value, unitOf(props.metric)));
  return (
    <>
      <p class="muted num">
        Half below {text(props.preview.stats.p50)}, 95 of 100 below {text(props.preview.stats.p95)}, 99 below {text(props.preview.stats.p99)}; largest{" "}
        {text(props.preview.stats.max)}.
      </p>
      <Show when={props.preview.resolution.hides}>
        <p class="muted">{props.preview.resolution.hides}</p>
      </Show>
    </>
  );
}

function SeriesChart(props: { series: ReplaySeries; span: string; threshold: number | null; onThreshold: BacktestProps["onThreshold"] }): JSX.Element {
  const [history, setHistory] = createSignal<History | null>(null);
  const key = createMemo(() => `${props.span} ${idOf(props.series)}`);
  createEffect(
    on(key, () => {
      const stop = new AbortController();
      onCleanup(() => stop.abort());
      readSeries(props.series.agent, formatKey(props.series.metric, props.series.labels), props.span, stop.signal)
        .then(setHistory)
        .catch(() => {
          // The verdict says what is wrong; a chart alone has nothing to add.
        });
    }),
  );
  // The frame stands still while a hand moves the threshold inside of it.
  const [base, setBase] = createSignal<number | null>(props.threshold);
  let byHand = false;
  const move = (value: number) => {
    byHand = true;
    props.onThreshold?.(value);
  };
  const values = () => history()?.series[0]?.v ?? [];
  const times = () => (history()?.t ?? []).map((time) => time / 1000);
  const around = (limit: number | null) => {
    const known = history();
    const start = times()[0] ?? Date.parse(known?.start ?? "") / 1000;
    return frameOf(start || 0, Date.parse(known?.end ?? "") / 1000 || 1, values(), limit);
  };
  const frame = createMemo(() => around(base()));
  createEffect(
    on([() => props.threshold, values], ([limit]) => {
      if (!byHand || (limit !== null && (limit > frame().high || limit < frame().low))) setBase(limit);
      byHand = false;
    }),
  );
  const unit = () => unitOf(props.series.metric);
  let svg!: SVGSVGElement;
  const drag = (event: PointerEvent) => {
    if (!props.onThreshold || (event.type === "pointermove" && event.buttons === 0)) return;
    if (event.type === "pointerdown") svg.setPointerCapture(event.pointerId);
    const box = svg.getBoundingClientRect();
    move(valueAt(((event.clientY - box.top) / box.height) * HEIGHT, frame(), HEIGHT));
  };
  return (
    <div class="replay" classList={{ "is-draggable": props.onThreshold !== null }}>
      <svg ref={svg} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={`${formatKey(props.series.metric, props.series.labels)} with ${props.series.incidents.length} periods of firing`} onPointerDown={drag} onPointerMove={drag}>
        <For each={props.series.incidents}>
          {(incident) => {
            const left = () => xOf(incident.fired_at, frame(), WIDTH);
            const right = () => xOf(incident.resolved_at ?? frame().end, frame(), WIDTH);
            return <rect class="replay-band" x={left()} width={Math.max(1.5, right() - left())} y="0" height={HEIGHT} />;
          }}
        </For>
        <path class="replay-line" d={linePath(times(), values(), frame(), WIDTH, HEIGHT)} />
        <Show when={props.threshold !== null}>
          <line class="replay-limit" x1="0" x2={WIDTH} y1={yOf(props.threshold ?? 0, frame(), HEIGHT)} y2={yOf(props.threshold ?? 0, frame(), HEIGHT)} />
        </Show>
      </svg>
      <div class="replay-axis num">
        <time datetime={new Date(frame().start * 1000).toISOString()}>{shortTime(frame().start * 1000)}</time>
        <span>
          {formatTick(frame().low, unit())} to {formatTick(frame().high, unit())}
        </span>
        <time datetime={new Date(frame().end * 1000).toISOString()}>{shortTime(frame().end * 1000)}</time>
      </div>
      <Show when={props.onThreshold}>
        <input
          type="range"
          aria-label="Threshold"
          min={frame().low}
          max={frame().high}
          step={(frame().high - frame().low) / 200}
          value={props.threshold ?? 0}
          onInput={(event) => {
            const share = (Number(event.currentTarget.value) - frame().low) / (frame().high - frame().low);
            move(valueAt((1 - share) * HEIGHT, frame(), HEIGHT));
          }}
        />
      </Show>
    </div>
  );
}
