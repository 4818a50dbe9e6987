// A chart's numbers as a table, newest first: the same answer without the
// picture. Everything, not only the newest, is in the CSV.

import { For, type JSX, Show } from "solid-js";
import { fullTime } from "../lib/times";
import { formatValue } from "../lib/units";
import type { PlotModel } from "./model";

const MAX_ROWS = 200;
const MAX_LINES = 12;

export function DataTable(props: { model: PlotModel; title: string }): JSX.Element {
  const lines = () => props.model.lines.slice(0, MAX_LINES);
  const newest = () => props.model.times.map((_, index) => index).slice(-MAX_ROWS).reverse();
  const cell = (line: number, index: number) => {
    const series = props.model.lines[line]?.series;
    const value = series?.v[index] ?? null;
    if (value === null) return "gap";
    const text = formatValue(value, props.model.unit);
    if (!props.model.rolledUp || !series?.min || !series.max) return text;
    return `${text} (${formatValue(series.min[index], props.model.unit)} to ${formatValue(series.max[index], props.model.unit)})`;
  };
  return (
    <div class="data-table" tabindex="0" role="region" aria-label={`${props.title}, numbers`}>
      <table>
        <caption class="sr-only">
          {props.title}
          {props.model.rolledUp ? ", mean with least and greatest" : ""}
        </caption>
        <thead>
          <tr>
            <th scope="col">Time</th>
            <For each={lines()}>{(line) => <th scope="col">{line.label}</th>}</For>
          </tr>
        </thead>
        <tbody>
          <For each={newest()}>
            {(index) => (
              <tr>
                <th scope="row" class="num">
                  {fullTime(props.model.times[index] ?? 0)}
                </th>
                <For each={lines()}>{(_line, column) => <td class="num">{cell(column(), index)}</td>}</For>
              </tr>
            )}
          </For>
        </tbody>
      </table>
      <Show when={props.model.times.length > MAX_ROWS || props.model.lines.length > MAX_LINES}>
        <p class="hint">The newest {MAX_ROWS} rows and first {MAX_LINES} columns; the CSV has them all.</p>
      </Show>
    </div>
  );
}
