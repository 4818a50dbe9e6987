// One incident, where the link in a page leads: what it is, its picture, who
// was told, and the buttons to take it or to have an hour of peace.

import { createEffect, createSignal, For, type JSX, on, Show } from "solid-js";
import { stateOf } from "../lib/deliveries";
import { fullTime, shortTime } from "../lib/times";
import { formatValue } from "../lib/units";
import { Reasons } from "../parts/explain";
import { ProblemNote, useAction } from "../parts/forms";
import { IncidentList } from "../parts/incidents";
import { createSilence } from "../state/alerting";
import { api, asProblem, type Problem, segment } from "../state/api";
import { createIncidents, incidentEpoch, loadIncidents } from "../state/incidents";
import { mayEdit } from "../state/session";
import { isDark } from "../state/theme";
import type { IncidentDetail, TopProcess } from "../types";
import "../styles/alerting.css";
import { DeliveryFacts } from "./deliveries";

/** Narrower than this is a phone, in CSS pixels. */
const PHONE = 600;

/** A picture as wide as the screen shows it, so that its words stay as large as they were drawn. */
function pictureOf(id: string, dark: boolean): string {
  const size = innerWidth < PHONE ? { width: "360", height: "240", scale: "3" } : { width: "900", height: "320", scale: "2" };
  return `/api/v1/incidents/${segment(id)}/chart.png?${new URLSearchParams({ theme: dark ? "dark" : "light", ...size })}`;
}

export default function IncidentPage(props: { id: string }): JSX.Element {
  const [incidents, setIncidents] = createIncidents();
  const [detail, setDetail] = createSignal<IncidentDetail | null>(null);
  const [problem, setProblem] = createSignal<Problem | null>(null);
  const load = async () => {
    try {
      const read = await api<IncidentDetail>("GET", `/incidents/${segment(props.id)}`);
      setDetail(read);
      setIncidents([read]);
      setProblem(null);
    } catch (error) {
      setProblem(asProblem(error));
    }
  };
  createEffect(on(incidentEpoch, load));
  const incident = () => incidents()[0];
  return (
    <>
      <div class="page-head">
        <h1>Incident</h1>
      </div>
      <ProblemNote problem={problem()} />
      <Show when={incident()}>
        {(known) => (
          <section class="card" aria-label="Incident">
            <IncidentList incidents={incidents()} showAgent plain label="Incident" empty="" />
            <Show when={mayEdit() && detail()}>{(more) => <Acts incident={more()} onChange={() => void load()} />}</Show>
            <img
              class="incident-chart"
              src={pictureOf(props.id, isDark())}
              alt={`${known().metric ?? "The metric"} around the incident`}
              loading="lazy"
            />
            <p>
              <Show when={known().agent}>{(agent) => <a href={`/h/${agent().id}`}>All charts of {agent().name}</a>}</Show>
              {" · "}
              <Show when={known().rule}>{(rule) => <a href={`/rules/${rule().id}`}>The rule</a>}</Show>
            </p>
          </section>
        )}
      </Show>
      <Show when={detail()}>{(more) => <More incident={more()} />}</Show>
    </>
  );
}

const WHILES: readonly [string, string][] = [
  ["", "until it ends"],
  ["1h", "for 1 h"],
  ["8h", "for 8 h"],
];

/** What the hub says of a word that counts but could not be written down, for its disk is full. */
function unstored(answer: unknown): string | undefined {
  const { stored, detail } = (answer ?? {}) as { stored?: boolean; detail?: string };
  return stored === false ? `The hub has heard: ${detail ?? "it is not stored yet"}.` : undefined;
}

/** Acknowledge for a while, take that back, note something, silence the rule here for an hour. */
function Acts(props: { incident: IncidentDetail; onChange: () => void }): JSX.Element {
  const [text, setText] = createSignal("");
  const [span, setSpan] = createSignal("");
  const [said, setSaid] = createSignal("");
  const path = () => `/incidents/${segment(props.incident.id)}`;
  const act = (what: () => Promise<unknown>, done: string) =>
    useAction(async () => {
      const answer = await what();
      setText("");
      setSaid(unstored(answer) ?? done);
      await loadIncidents();
      props.onChange();
    });
  const lasting = act(() => api("POST", `${path()}/ack`, { body: { note: text().trim(), ...(span() ? { for: span() } : {}) } }), "You are on it.");
  const unack = act(() => api("POST", `${path()}/unack`, { body: {} }), "Nobody is on it.");
  const note = act(() => api("POST", `${path()}/note`, { body: { text: text().trim() } }), "Noted.");
  const hush = act(
    () => createSilence({ agent: props.incident.agent?.id, rule: props.incident.rule?.id, duration: "1h", comment: text().trim() || "From the incident" }),
    "Silenced on this host for an hour.",
  );
  const problem = () => [lasting, unack, note, hush].map((one) => one.problem()).find(Boolean);
  const open = () => !props.incident.resolved_at;
  return (
    <>
      <form class="incident-acts" onSubmit={(event) => event.preventDefault()}>
        <input aria-label="Note" placeholder="Note (optional)" value={text()} onInput={(event) => setText(event.currentTarget.value)} />
        <Show when={open()}>
          <select aria-label="How long you are on it" value={span()} onChange={(event) => setSpan(event.currentTarget.value)}>
            <For each={WHILES}>{([value, word]) => <option value={value}>{word}</option>}</For>
          </select>
        </Show>
        <div class="acts">
          <Show when={open()}>
            <button type="button" class="button is-primary" disabled={lasting.busy()} onClick={lasting.run}>
              {props.incident.ack ? "Acknowledge anew" : "Acknowledge"}
            </button>
            <Show when={props.incident.ack}>
              <button type="button" class="button" disabled={unack.busy()} onClick={unack.run}>
                Take back
              </button>
            </Show>
            <button type="button" class="button" disabled={hush.busy()} onClick={hush.run}>
              Silence 1 h
            </button>
          </Show>
          <button type="button" class="button" disabled={note.busy() || !text().trim()} onClick={note.run}>
            Add note
          </button>
        </div>
      </form>
      <p class="muted" role="status">
        {said()}
      </p>
      <ProblemNote problem={problem()} />
    </>
  );
}

function More(props: { incident: IncidentDetail }): JSX.Element {
  return (
    <div class="incident-grid">
      <Show when={props.incident.now}>
        {(now) => (
          <section class="card" aria-labelledby="now-head">
            <h2 id="now-head">How it stands</h2>
            <Reasons reasons={now().reasons} />
          </section>
        )}
      </Show>
      <section class="card" aria-labelledby="processes-head">
        <h2 id="processes-head">Top processes at the breach</h2>
        <Processes processes={props.incident.top_processes} />
      </section>
      <Timeline incident={props.incident} />
    </div>
  );
}

function Processes(props: { processes: readonly TopProcess[] }): JSX.Element {
  const knowsIo = () => props.processes.some((process) => process.io_bytes_per_second !== undefined);
  return (
    <Show when={props.processes.length > 0} fallback={<p class="muted">The host has not told.</p>}>
      <table class="processes num">
        <thead>
          <tr>
            <th scope="col">Process</th>
            <th scope="col">CPU</th>
            <th scope="col">Memory</th>
            <Show when={knowsIo()}>
              <th scope="col">Disk</th>
            </Show>
          </tr>
        </thead>
        <tbody>
          <For each={props.processes}>
            {(process) => (
              <tr>
                <td>
                  {process.name} <span class="muted">{process.pid}</span>
                </td>
                <td>{formatValue(process.cpu_percent, "percent")}</td>
                <td>{formatValue(process.rss_bytes, "bytes")}</td>
                <Show when={knowsIo()}>
                  <td>{formatValue(process.io_bytes_per_second, "bytes_per_second")}</td>
                </Show>
              </tr>
            )}
          </For>
        </tbody>
      </table>
    </Show>
  );
}

interface Line {
  at: string;
  word: string;
  text: string;
  tone: string;
  delivery?: IncidentDetail["deliveries"][number];
}

/** What happened, who was told and what people wrote, in one order. */
function linesOf(incident: IncidentDetail): Line[] {
  const events = incident.timeline.map((event) => ({ at: event.ts, word: event.type.replaceAll("_", " "), text: event.reason ?? "", tone: event.type === "fired" ? "crit" : event.type === "resolved" ? "ok" : "none" }));
  const told = incident.deliveries.map((row) => {
    const [word, tone] = stateOf(row);
    return { at: row.sent_at ?? row.created_at ?? "", word: `${(row.kind ?? "").replaceAll("_", " ")} → ${row.channel?.name ?? ""}`, text: `${word}${row.state !== "sent" && row.last_error ? `: ${row.last_error}` : ""}`, tone, delivery: row };
  });
  const notes = incident.notes.map((note) => ({ at: note.at, word: note.by, text: note.text, tone: "info" }));
  return [...events, ...told, ...notes].sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
}

function Timeline(props: { incident: IncidentDetail }): JSX.Element {
  return (
    <section class="card" aria-labelledby="timeline-head">
      <h2 id="timeline-head">Timeline</h2>
      <ol class="events">
        <For each={linesOf(props.incident)}>
          {(line) => (
            <li class={`event is-${line.tone}`}>
              <div class="event-text">
                <span class="event-type">{line.word}</span>
                <span class="muted">
                  {line.text}
                  <Show when={line.delivery}>{(delivery) => <DeliveryFacts delivery={delivery()} />}</Show>
                </span>
              </div>
              <time class="num muted" datetime={line.at} title={fullTime(Date.parse(line.at))}>
                {shortTime(Date.parse(line.at))}
              </time>
            </li>
          )}
        </For>
      </ol>
    </section>
  );
}
