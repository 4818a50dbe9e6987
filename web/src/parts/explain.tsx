// Why there is a page now, and why there is none: the hub's reasons in its words.

import { createEffect, createResource, createSignal, For, type JSX, Show } from "solid-js";
import { formatKey } from "../lib/serieskey";
import { fullTime, shortTime } from "../lib/times";
import { formatSpan, formatValue, unitOf } from "../lib/units";
import { explainRule } from "../state/alerting";
import { asProblem } from "../state/api";
import { now } from "../state/clock";
import { allAgents } from "../state/fleet";
import type { Explained, Reason } from "../types";
import { ProblemNote, SelectField } from "./forms";

const TONES: Record<string, string> = { firing: "crit", pending: "warn", nodata: "none", ok: "ok" };

export function Explain(props: { rule: string }): JSX.Element {
  const [agent, setAgent] = createSignal("");
  const agents = () => allAgents().toSorted((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
  createEffect(() => {
    if (!agent()) setAgent(agents()[0]?.id ?? "");
  });
  const [told, { refetch }] = createResource(
    () => (agent() ? [props.rule, agent()] as const : null),
    ([rule, id]) => explainRule(rule, id),
  );
  return (
    <section class="card" aria-labelledby="explain-head">
      <div class="card-head">
        <h2 id="explain-head">Why is there a page now, or none?</h2>
        <button type="button" class="button is-quiet" onClick={() => void refetch()}>
          Ask again
        </button>
      </div>
      <SelectField label="Host" value={agent()} options={agents().map((one) => [one.id, one.name] as const)} onValue={setAgent} />
      <ProblemNote problem={told.error ? asProblem(told.error) : null} />
      <Show when={!told.error && told.latest}>
        <ul class="list">
          <For each={told.latest}>{(one) => <ExplainedItem explained={one} />}</For>
        </ul>
      </Show>
    </section>
  );
}

function ExplainedItem(props: { explained: Explained }): JSX.Element {
  const unit = () => unitOf(props.explained.metric);
  return (
    <li class="list-item">
      <span class={`badge is-${TONES[props.explained.state] ?? "none"}`}>{props.explained.state}</span>
      <div class="list-text">
        <div>
          <code>{formatKey(props.explained.metric, props.explained.labels)}</code>{" "}
          <Show when={props.explained.value !== null}>
            <span class="num">
              {formatValue(props.explained.value, unit())}
              {props.explained.threshold === null ? "" : `, threshold ${formatValue(props.explained.threshold, unit())}`}
            </span>
          </Show>
        </div>
        <Reasons reasons={props.explained.reasons} />
      </div>
    </li>
  );
}

/** Reasons as lines, each with its end where it has one. */
export function Reasons(props: { reasons: readonly Reason[] }): JSX.Element {
  return (
    <ul class="reasons">
      <For each={props.reasons}>
        {(reason) => (
          <li>
            {reason.text.replace(/^user:/, "")}
            <Show when={reason.channel}>{(channel) => ` for ${channel().name}`}</Show>
            <Show when={reason.until}>
              {(until) => (
                <time class="muted" datetime={until()} title={fullTime(Date.parse(until()))}>
                  {" "}
                  until {shortTime(Date.parse(until()))} ({formatSpan((Date.parse(until()) - now()) / 1000)})
                </time>
              )}
            </Show>
          </li>
        )}
      </For>
    </ul>
  );
}
