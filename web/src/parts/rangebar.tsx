// The range of all charts of a page: presets, any two moments, and the four
// small steps for hands that do not drag.

import { createEffect, createSignal, For, type JSX, Show } from "solid-js";
import { clampRange, pan, PRESETS, type Range, rangeSearch, zoomIn, zoomOut } from "../lib/range";
import { fromLocalInput, fullTime, shortTime, toLocalInput } from "../lib/times";
import { hubNow } from "../state/clock";
import { Icon, type IconName } from "./icons";

export function RangeBar(props: { range: Range; path: string; onRange: (range: Range) => void }): JSX.Element {
  const [custom, setCustom] = createSignal(false);
  const span = () => `${fullTime(props.range.start)} to ${fullTime(props.range.end)}`;
  const steps: readonly (readonly [IconName, string, () => Range])[] = [
    ["left", "Earlier", () => pan(props.range, -0.5, hubNow())],
    ["right", "Later", () => pan(props.range, 0.5, hubNow())],
    ["plus", "Zoom in", () => zoomIn(props.range, hubNow())],
    ["minus", "Zoom out", () => zoomOut(props.range, hubNow())],
  ];
  return (
    <div class="range-bar" role="group" aria-label="Time range">
      <div class="tabs">
        <For each={PRESETS}>
          {([name, width]) => (
            <a
              href={props.path + rangeSearch({ start: 0, end: width, preset: name })}
              aria-current={props.range.preset === name ? "true" : undefined}
            >
              {name}
            </a>
          )}
        </For>
        <button type="button" aria-pressed={!props.range.preset} aria-expanded={custom()} onClick={() => setCustom(!custom())}>
          Custom
        </button>
      </div>
      <div class="range-steps">
        <For each={steps}>
          {([icon, word, next]) => (
            <button type="button" class="button is-quiet" aria-label={word} title={word} onClick={() => props.onRange(next())}>
              <Icon name={icon} />
            </button>
          )}
        </For>
      </div>
      <span class="range-text num" title={span()}>
        {shortTime(props.range.start)} – {props.range.preset ? "now" : shortTime(props.range.end)}
      </span>
      <span class="range-hint">Drag over a chart to zoom, double-click to zoom out</span>
      <Show when={custom()}>
        <CustomRange range={props.range} onRange={props.onRange} onClose={() => setCustom(false)} />
      </Show>
    </div>
  );
}

function CustomRange(props: { range: Range; onRange: (range: Range) => void; onClose: () => void }): JSX.Element {
  const [from, setFrom] = createSignal("");
  const [to, setTo] = createSignal("");
  const [error, setError] = createSignal("");
  createEffect(() => {
    setFrom(toLocalInput(props.range.start));
    setTo(toLocalInput(props.range.end));
  });
  const apply = (event: Event) => {
    event.preventDefault();
    const start = fromLocalInput(from());
    const end = fromLocalInput(to());
    if (start === null || end === null || end <= start) return setError("The end must come after the start.");
    if (start > hubNow()) return setError("The start lies in the future.");
    setError("");
    props.onRange(clampRange(start, end, Math.max(hubNow(), 0)));
    props.onClose();
  };
  return (
    <form class="range-custom" onSubmit={apply}>
      <label>
        From
        <input type="datetime-local" step="1" value={from()} onInput={(event) => setFrom(event.currentTarget.value)} required />
      </label>
      <label>
        To
        <input type="datetime-local" step="1" value={to()} onInput={(event) => setTo(event.currentTarget.value)} required />
      </label>
      <button class="button is-primary">Show</button>
      <span class="form-error" role="alert">
        {error()}
      </span>
    </form>
  );
}
