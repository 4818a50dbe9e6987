// When a host's disks will be full.

import { For, type JSX, Show } from "solid-js";
import { fullHint, fullIn, fullText, fullTone } from "../lib/forecast";
import { labelText } from "../lib/serieskey";
import { now } from "../state/clock";
import { forecastsOf } from "../state/forecasts";
import type { Forecast } from "../types";

/** The first disk of a host to be full; nothing where none is heading there. */
export function FullIn(props: { agent: string }): JSX.Element {
  return <Show when={forecastsOf(props.agent)[0]}>{(forecast) => <Figure forecast={forecast()} />}</Show>;
}

function Figure(props: { forecast: Forecast }): JSX.Element {
  const seconds = () => fullIn(props.forecast, now());
  return (
    <span class={`full-in num is-${fullTone(seconds())}`} title={fullHint(props.forecast, now())}>
      {fullText(seconds())}
    </span>
  );
}

/** Every disk of a host that is heading there. */
export function FullList(props: { agent: string }): JSX.Element {
  return (
    <Show when={forecastsOf(props.agent).length > 0}>
      <ul class="full-list" aria-label="Disks that fill up">
        <For each={forecastsOf(props.agent)}>
          {(forecast) => (
            <li>
              {labelText(forecast.labels)} <span class="muted">full in</span> <Figure forecast={forecast} />
            </li>
          )}
        </For>
      </ul>
    </Show>
  );
}
