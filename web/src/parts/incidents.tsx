// Incidents as a list: what, where, since when, how bad, and the button that
// says "I am on it".

import { createSignal, For, type JSX, Show } from "solid-js";
import { fullHint, fullIn, fullText, fullTone } from "../lib/forecast";
import { formatKey } from "../lib/serieskey";
import { fullTime, shortTime } from "../lib/times";
import { formatSpan, formatTick, formatValue, unitOf } from "../lib/units";
import { now } from "../state/clock";
import { agentOf } from "../state/fleet";
import { forecastsOf } from "../state/forecasts";
import { acknowledge } from "../state/incidents";
import { mayEdit } from "../state/session";
import type { Incident } from "../types";
import { SeverityBadge } from "./badges";
import { ProblemNote, useAction } from "./forms";
import { Icon } from "./icons";

/** How long it lasts or lasted. */
function duration(incident: Incident): string {
  const end = incident.resolved_at ? Date.parse(incident.resolved_at) : now();
  return formatSpan((end - Date.parse(incident.fired_at)) / 1000);
}

function measure(incident: Incident): string {
  if (!incident.metric) return "";
  const unit = unitOf(incident.metric);
  const value = incident.resolved_at ? incident.peak : (incident.value ?? incident.peak);
  const limit = incident.threshold ?? null;
  const shown = value === null || value === undefined ? "" : formatValue(value, unit);
  return limit === null ? shown : `${shown} ${incident.op ?? "limit"} ${formatTick(limit, unit)}`.trim();
}

/** What the series of an open incident says at this moment, of a host that is there to say it. */
function newest(incident: Incident): string {
  const agent = incident.agent && agentOf(incident.agent.id);
  if (!agent || incident.resolved_at || !incident.metric || agent.status !== "online" || incident.threshold === null) return "";
  const value = agent.metrics[formatKey(incident.metric, incident.labels ?? {})];
  return value === null || value === undefined ? "" : formatValue(value, unitOf(incident.metric));
}

function AckButton(props: { incident: Incident }): JSX.Element {
  const [note, setNote] = createSignal("");
  const [asking, setAsking] = createSignal(false);
  const { busy, problem, run } = useAction(() => acknowledge(props.incident.id, note().trim()));
  return (
    <div class="ack">
      <Show
        when={asking()}
        fallback={
          <button type="button" class="button is-primary" onClick={() => setAsking(true)}>
            Acknowledge
          </button>
        }
      >
        <form class="ack-form" onSubmit={run}>
          <input
            aria-label="Note, optional"
            placeholder="Note (optional)"
            value={note()}
            ref={(input) => queueMicrotask(() => input.focus())}
            onInput={(event) => setNote(event.currentTarget.value)}
            onKeyDown={(event) => event.key === "Escape" && setAsking(false)}
          />
          <button class="button is-primary" disabled={busy()}>
            {busy() ? "…" : "Acknowledge"}
          </button>
        </form>
      </Show>
      <ProblemNote problem={problem()} />
    </div>
  );
}

function IncidentItem(props: { incident: Incident; showAgent: boolean; plain: boolean }): JSX.Element {
  const series = () => (props.incident.metric ? formatKey(props.incident.metric, props.incident.labels ?? {}) : "");
  const severity = () => props.incident.rule?.severity ?? props.incident.severity;
  const forecast = () => {
    if (props.incident.resolved_at || props.incident.metric !== "disk.used_percent" || !props.incident.agent) return undefined;
    return forecastsOf(props.incident.agent.id).find((one) => formatKey(one.metric, one.labels) === series());
  };
  const acked = () => Boolean(props.incident.ack) && !props.incident.resolved_at;
  return (
    <li class="incident" classList={{ "is-open": !props.incident.resolved_at, "is-acked": acked() }}>
      <div class="incident-main">
        <SeverityBadge severity={severity()} resolved={Boolean(props.incident.resolved_at)} />
        <div class="incident-text">
          <div class="incident-title">
            <Show when={props.showAgent && props.incident.agent}>
              {(agent) => (
                <>
                  <a href={`/h/${agent().id}`}>{agent().name}</a>
                  <span class="muted"> · </span>
                </>
              )}
            </Show>
            <Show when={!props.plain} fallback={<strong>{props.incident.rule?.name ?? "Rule deleted"}</strong>}>
              <a class="incident-link" href={`/incidents/${props.incident.id}`}>
                <strong>{props.incident.rule?.name ?? "Rule deleted"}</strong>
              </a>
            </Show>
            <span class="num incident-value">{measure(props.incident)}</span>
            <Show when={newest(props.incident)}>{(value) => <span class="num incident-now">now {value()}</span>}</Show>
          </div>
          <div class="incident-more">
            <Show when={series()}>
              <code>{series()}</code>
            </Show>
            <time datetime={props.incident.fired_at} title={fullTime(Date.parse(props.incident.fired_at))}>
              {props.incident.resolved_at ? "" : "since "}
              {shortTime(Date.parse(props.incident.fired_at))}
            </time>
            <span>{props.incident.resolved_at ? `lasted ${duration(props.incident)}` : `for ${duration(props.incident)}`}</span>
            <Show when={acked()}>
              <span class="acked">
                <Icon name="ok" /> acknowledged by {props.incident.ack?.by.replace(/^user:/, "")}
                {props.incident.ack?.until ? ` until ${shortTime(Date.parse(props.incident.ack.until))}` : ""}
                {props.incident.ack?.note ? `: ${props.incident.ack.note}` : ""}
              </span>
            </Show>
          </div>
          <Show when={forecast()}>
            {(forecast) => (
              <div class="incident-why" title={fullHint(forecast(), now())}>
                Full in <strong class={`full-in num is-${fullTone(fullIn(forecast(), now()))}`}>{fullText(fullIn(forecast(), now()))}</strong>, going on like this.
              </div>
            )}
          </Show>
          <Show when={props.incident.why && !props.incident.resolved_at}>
            <div class="muted incident-why">{props.incident.why}</div>
          </Show>
        </div>
      </div>
      <Show when={!props.incident.resolved_at && !props.incident.ack && !props.plain && mayEdit()}>
        <AckButton incident={props.incident} />
      </Show>
    </li>
  );
}

/** `plain` leaves the button out, where the page around has its own. */
export function IncidentList(props: { incidents: readonly Incident[]; showAgent: boolean; empty: string; label: string; plain?: boolean }): JSX.Element {
  return (
    <Show when={props.incidents.length > 0} fallback={<p class="empty">{props.empty}</p>}>
      <ul class="incidents" aria-label={props.label}>
        <For each={props.incidents}>{(incident) => <IncidentItem incident={incident} showAgent={props.showAgent} plain={props.plain ?? false} />}</For>
      </ul>
    </Show>
  );
}
