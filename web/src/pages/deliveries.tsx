// The outbox: every page and what became of it, with retry and cancel.

import { createEffect, createSignal, For, type JSX, on, Show } from "solid-js";
import { actsOf, type Message, messagesOf, stateOf } from "../lib/deliveries";
import { fullTime, shortTime } from "../lib/times";
import { formatSpan } from "../lib/units";
import { AlertBanner, AlertNav } from "../parts/alertnav";
import { ProblemNote, useAction } from "../parts/forms";
import { actOnDelivery, listDeliveries } from "../state/alerting";
import { asProblem, type Problem } from "../state/api";
import { now } from "../state/clock";
import { latestEvent } from "../state/live";
import { search, setQuery } from "../state/router";
import { mayEdit } from "../state/session";
import type { Delivery } from "../types";
import "../styles/alerting.css";

const STATES: readonly [string, string][] = [
  ["", "All"],
  ["queued", "Waiting"],
  ["held", "Held"],
  ["sent", "Delivered"],
  ["dead", "Given up"],
  ["cancelled", "Cancelled"],
];

export default function DeliveriesPage(): JSX.Element {
  const [rows, setRows] = createSignal<Delivery[]>([]);
  const [cursor, setCursor] = createSignal<string | null>(null);
  const [problem, setProblem] = createSignal<Problem | null>(null);
  const [loaded, setLoaded] = createSignal(false);
  const state = () => new URLSearchParams(search()).get("state") ?? "";
  const load = async (after: string | null) => {
    const asked = state();
    try {
      const page = await listDeliveries(asked, after);
      if (asked !== state()) return;
      setRows((before) => (after ? [...before, ...page.items] : page.items));
      setCursor(page.next_cursor);
      setProblem(null);
    } catch (error) {
      setProblem(asProblem(error));
    }
    setLoaded(true);
  };
  createEffect(on([state, latestEvent], () => void load(null)));
  return (
    <>
      <AlertBanner />
      <div class="page-head">
        <h1>Deliveries</h1>
        <AlertNav />
      </div>
      <section class="card" aria-label="Deliveries">
        <div class="tabs" role="group" aria-label="State">
          <For each={STATES}>
            {([value, word]) => (
              <button type="button" aria-pressed={state() === value} onClick={() => setQuery("state", value)}>
                {word}
              </button>
            )}
          </For>
        </div>
        <ProblemNote problem={problem()} />
        <Show when={rows().length > 0} fallback={<p class="empty">{loaded() ? "Nothing here." : "Loading…"}</p>}>
          <ul class="list">
            <For each={messagesOf(rows())}>{(message) => <MessageItem message={message} onChange={() => void load(null)} />}</For>
          </ul>
        </Show>
        <Show when={cursor()}>
          <button type="button" class="button" onClick={() => void load(cursor())}>
            Older
          </button>
        </Show>
      </section>
    </>
  );
}

function kindsOf(rows: readonly Delivery[]): string {
  const kinds = [...new Set(rows.map((row) => (row.kind ?? "").replaceAll("_", " ")))].join(", ");
  return rows.length === 1 ? kinds : `${kinds} of ${rows.length} in one message`;
}

function MessageItem(props: { message: Message; onChange: () => void }): JSX.Element {
  const row = () => props.message.first;
  return (
    <li class="list-item">
      <span class={`badge is-${stateOf(row())[1]}`}>{stateOf(row())[0]}</span>
      <div class="list-text">
        <div>
          <strong>{row().channel?.name}</strong> <span class="tag">{row().channel?.kind}</span> {kindsOf(props.message.rows)}
        </div>
        <div class="muted num">
          <time datetime={row().created_at} title={fullTime(Date.parse(row().created_at ?? ""))}>
            {shortTime(Date.parse(row().created_at ?? ""))}
          </time>
          <For each={props.message.rows.filter((one) => one.incident_id).slice(0, 5)}>
            {(one) => (
              <>
                {" · "}
                <a href={`/incidents/${one.incident_id}`}>incident</a>
              </>
            )}
          </For>
          <DeliveryFacts delivery={row()} />
        </div>
        <Show when={row().last_error && row().state !== "sent"}>
          <div class="form-error">{row().last_error}</div>
        </Show>
        <Show when={row().unreached}>
          <div class="form-error">Not reached: {row().unreached}</div>
        </Show>
      </div>
      <Show when={mayEdit()}>
        <Acts rows={props.message.rows} onChange={props.onChange} />
      </Show>
    </li>
  );
}

/** How long it took, how often it was tried, when it is tried again. */
export function DeliveryFacts(props: { delivery: Delivery }): JSX.Element {
  const next = () => (props.delivery.state === "queued" && props.delivery.next_attempt_at ? (Date.parse(props.delivery.next_attempt_at) - now()) / 1000 : 0);
  return (
    <>
      {props.delivery.latency_ms === null ? "" : ` · ${props.delivery.latency_ms} ms`}
      {props.delivery.attempts > 1 ? ` · ${props.delivery.attempts} attempts` : ""}
      {next() > 0 ? ` · again in ${formatSpan(next())}` : ""}
    </>
  );
}

function Acts(props: { rows: readonly Delivery[]; onChange: () => void }): JSX.Element {
  const act = (word: "retry" | "cancel") =>
    useAction(async () => {
      // One after the other: the hub keeps their order.
      for (const row of props.rows) await actOnDelivery(row.id, word);
      props.onChange();
    });
  const acts = { retry: act("retry"), cancel: act("cancel") };
  const problem = () => acts.retry.problem() ?? acts.cancel.problem();
  return (
    <div class="acts">
      <For each={actsOf(props.rows[0] as Delivery)}>
        {(word) => (
          <button type="button" class="button" disabled={acts[word].busy()} onClick={acts[word].run}>
            {word === "retry" ? "Retry" : "Cancel"}
          </button>
        )}
      </For>
      <ProblemNote problem={problem()} />
    </div>
  );
}
