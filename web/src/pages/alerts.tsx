// What is wrong now, what happened lately, and who is told.

import { createEffect, createSignal, For, type JSX, onMount, Show } from "solid-js";
import { reasonText } from "../lib/events";
import { formatKey } from "../lib/serieskey";
import { fullTime, shortTime } from "../lib/times";
import { formatValue, unitOf } from "../lib/units";
import { AlertBanner, AlertNav } from "../parts/alertnav";
import { ChannelBanner } from "../parts/banner";
import ChannelDialog, { ChannelTest } from "../parts/channelform";
import { ProblemNote, useAction } from "../parts/forms";
import { Icon, type IconName } from "../parts/icons";
import { FallbackField, QuietDialog } from "../parts/quiet";
import { IncidentList } from "../parts/incidents";
import { api, asProblem, type Problem } from "../state/api";
import { channels, deleteChannel, loadChannels } from "../state/channels";
import { openIncidents } from "../state/incidents";
import { latestEvent } from "../state/live";
import { mayEdit } from "../state/session";
import type { Channel, LogEvent, Page } from "../types";
import "../styles/alerting.css";

export default function AlertsPage(): JSX.Element {
  return (
    <>
      <ChannelBanner />
      <AlertBanner />
      <div class="page-head">
        <h1>Alerts</h1>
        <AlertNav />
      </div>
      <section aria-labelledby="open-head" class="card">
        <h2 id="open-head">
          Open incidents <span class="muted num">{openIncidents().length}</span>
        </h2>
        <IncidentList incidents={openIncidents()} showAgent label="Open incidents" empty="All quiet: no incident is open." />
      </section>
      <div class="split">
        <Events />
        <Channels />
      </div>
    </>
  );
}

const EVENT_TONE: Record<string, [IconName, string]> = {
  fired: ["crit", "crit"],
  nodata_start: ["nodata", "warn"],
  nodata_end: ["ok", "ok"],
  resolved: ["ok", "ok"],
  pending: ["warn", "warn"],
  suppressed: ["paused", "none"],
  agent_offline: ["offline", "offline"],
  agent_online: ["ok", "ok"],
  agent_registered: ["plus", "info"],
  ack: ["ok", "info"],
  channel_broken: ["crit", "crit"],
  oom_kill: ["warn", "warn"],
  reboot: ["warn", "info"],
};

const SHOWN_EVENTS = 200;

function Events(): JSX.Element {
  const [events, setEvents] = createSignal<LogEvent[]>([]);
  const [problem, setProblem] = createSignal<Problem | null>(null);
  onMount(async () => {
    try {
      setEvents((await api<Page<LogEvent>>("GET", "/events")).items.toSorted(newestFirst));
    } catch (error) {
      setProblem(asProblem(error));
    }
  });
  createEffect(() => {
    const event = latestEvent();
    if (event) setEvents((before) => [event, ...before.filter((known) => known.id !== event.id)].slice(0, SHOWN_EVENTS));
  });
  return (
    <section aria-labelledby="events-head" class="card">
      <h2 id="events-head">Recent events</h2>
      <ProblemNote problem={problem()} />
      <Show when={events().length > 0} fallback={<p class="empty">Nothing has happened yet.</p>}>
        <ol class="events">
          <For each={events()}>{(event) => <EventItem event={event} />}</For>
        </ol>
      </Show>
    </section>
  );
}

function newestFirst(a: LogEvent, b: LogEvent): number {
  return Date.parse(b.ts) - Date.parse(a.ts);
}

function EventItem(props: { event: LogEvent }): JSX.Element {
  const tone = () => EVENT_TONE[props.event.type] ?? (["bell", "none"] as [IconName, string]);
  const series = () => (props.event.metric ? formatKey(props.event.metric, props.event.labels ?? {}) : "");
  const value = () => (props.event.metric && props.event.value !== null ? formatValue(props.event.value, unitOf(props.event.metric)) : "");
  return (
    <li class={`event is-${tone()[1]}`}>
      <Icon name={tone()[0]} />
      <div class="event-text">
        <span class="event-type">{props.event.type.replaceAll("_", " ")}</span>
        <Show when={props.event.agent}>
          {(agent) => <a href={`/h/${agent().id}`}>{agent().name}</a>}
        </Show>
        <Show when={props.event.rule}>{(rule) => <span>{rule().name}</span>}</Show>
        <Show when={value()}>
          <span class="num">{value()}</span>
        </Show>
        <Show when={series()}>
          <code class="muted">{series()}</code>
        </Show>
        <Show when={reasonText(props.event)}>
          {(reason) => <span class="muted">{reason()}</span>}
        </Show>
      </div>
      <time class="num muted" datetime={props.event.ts} title={fullTime(Date.parse(props.event.ts))}>
        {shortTime(Date.parse(props.event.ts))}
      </time>
    </li>
  );
}

function Channels(): JSX.Element {
  const [adding, setAdding] = createSignal(false);
  onMount(() => {
    void loadChannels().catch(() => {});
  });
  return (
    <section aria-labelledby="channels-head" class="card">
      <div class="card-head">
        <h2 id="channels-head">Channels</h2>
        <Show when={mayEdit()}>
          <button type="button" class="button" onClick={() => setAdding(true)}>
            <Icon name="plus" /> Add
          </button>
        </Show>
      </div>
      <Show when={channels()?.length} fallback={<p class="empty">No channel yet.</p>}>
        <ul class="channels">
          <For each={channels()}>{(channel) => <ChannelItem channel={channel} />}</For>
        </ul>
      </Show>
      <Show when={mayEdit() && channels()?.length}>
        <FallbackField />
      </Show>
      <Show when={adding()}>
        <ChannelDialog onClose={() => setAdding(false)} />
      </Show>
    </section>
  );
}

function ChannelItem(props: { channel: Channel }): JSX.Element {
  const [sure, setSure] = createSignal(false);
  const [quiet, setQuiet] = createSignal(false);
  const [changing, setChanging] = createSignal(false);
  const { busy, problem, run } = useAction(() => deleteChannel(props.channel.id));
  return (
    <li class="channel">
      <div class="channel-head">
        <strong>{props.channel.name}</strong>
        <span class="tag">{props.channel.kind === "smtp" ? "e-mail" : props.channel.kind}</span>
        <Show when={props.channel.broken}>
          <span class="badge is-crit">
            <Icon name="crit" /> Broken
          </span>
        </Show>
        <Show when={props.channel.quiet_until}>
          {(until) => <span class="tag">quiet until {shortTime(Date.parse(until()))}</span>}
        </Show>
        <Show when={props.channel.managed_by}>
          <span class="tag">by {props.channel.managed_by}</span>
        </Show>
        <Show when={props.channel.enabled === false}>
          <span class="tag">off</span>
        </Show>
        <Show when={mayEdit() && !props.channel.managed_by}>
          <button type="button" class="button is-quiet" aria-label={`Edit ${props.channel.name}`} onClick={() => setChanging(true)}>
            Edit
          </button>
          <button type="button" class="button is-quiet" onClick={() => setQuiet(true)}>
            Quiet hours
          </button>
          <button type="button" class="button is-quiet channel-delete" disabled={busy()} onClick={(event) => (sure() ? run(event) : setSure(true))}>
            {sure() ? "Really delete?" : "Delete"}
          </button>
        </Show>
      </div>
      <Show when={mayEdit()}>
        <ChannelTest channel={props.channel} />
      </Show>
      <Show when={props.channel.broken_reason}>
        <p class="form-error">{props.channel.broken_reason}</p>
      </Show>
      <ProblemNote problem={problem()} />
      <Show when={changing()}>
        <ChannelDialog channel={props.channel} onClose={() => setChanging(false)} />
      </Show>
      <Show when={quiet()}>
        <QuietDialog channel={props.channel} onClose={() => setQuiet(false)} />
      </Show>
    </li>
  );
}
