// One agent: what it is, what is wrong with it, and its charts.

import { createEffect, createMemo, createSignal, For, type JSX, on, onCleanup, onMount, Show } from "solid-js";
import { ChartPanel } from "../chart/panel";
import { HEADLINES, worstCell } from "../lib/levels";
import { panelsOf } from "../lib/panels";
import { clampRange, pan, parseRange, type Range, rangeSearch, zoomOut } from "../lib/range";
import { formatSpan, formatValue } from "../lib/units";
import { MetricBadge, StateBadge } from "../parts/badges";
import { ChannelBanner } from "../parts/banner";
import { Seen } from "../parts/fleetrow";
import { ProblemNote } from "../parts/forms";
import { FullList } from "../parts/fullin";
import { IncidentList } from "../parts/incidents";
import { RangeBar } from "../parts/rangebar";
import { api, asProblem, type Problem, segment } from "../state/api";
import { hubNow, now } from "../state/clock";
import { agentOf, cachedState, putAgent, staleAt } from "../state/fleet";
import { createIncidents, incidentEpoch } from "../state/incidents";
import { followAgent } from "../state/live";
import { navigate, path, search } from "../state/router";
import type { Agent, Incident, Page } from "../types";

/** How often charts that follow the present are read again; between, raw ones grow by live samples. */
const REREAD_MS = 60_000;

export default function HostPage(props: { id: string }): JSX.Element {
  const [problem, setProblem] = createSignal<Problem | null>(null);
  onMount(async () => {
    try {
      putAgent(await api<Agent>("GET", `/agents/${segment(props.id)}`));
    } catch (error) {
      setProblem(asProblem(error));
    }
  });
  onCleanup(followAgent(props.id, () => {}));
  return (
    <>
      <ChannelBanner />
      <ProblemNote problem={problem()} />
      <Show
        when={agentOf(props.id)}
        fallback={
          <p class="empty">
            {problem() ? <a href="/">Back to the fleet</a> : "Loading…"}
          </p>
        }
      >
        {(agent) => <Host agent={agent()} />}
      </Show>
    </>
  );
}

function Host(props: { agent: Agent }): JSX.Element {
  const [tick, setTick] = createSignal(0);
  const range = createMemo(() => {
    tick();
    return parseRange(search(), hubNow());
  });
  const go = (next: Range) => navigate(path() + rangeSearch(next));
  onMount(() => {
    const timer = setInterval(() => {
      if (!document.hidden && range().preset) setTick((count) => count + 1);
    }, REREAD_MS);
    onCleanup(() => clearInterval(timer));
  });
  const incidents = useIncidents(() => props.agent.id);
  const open = createMemo(() => incidents().filter((incident) => !incident.resolved_at));
  const past = createMemo(() => incidents().filter((incident) => incident.resolved_at));
  return (
    <>
      <HostHead agent={props.agent} />
      <Show when={open().length > 0}>
        <section class="card is-alert" aria-labelledby="open-head">
          <h2 id="open-head">Open incidents</h2>
          <IncidentList incidents={open()} showAgent={false} label="Open incidents" empty="" />
        </section>
      </Show>
      <RangeBar range={range()} path={path()} onRange={go} />
      <Charts agent={props.agent} range={range()} tick={tick()} incidents={incidents()} onRange={go} />
      <section class="card" aria-labelledby="past-head">
        <h2 id="past-head">Recent incidents</h2>
        <IncidentList incidents={past()} showAgent={false} label="Resolved incidents" empty="No incident of this host has ended yet." />
      </section>
    </>
  );
}

function useIncidents(agentId: () => string): () => Incident[] {
  const [incidents, setIncidents] = createIncidents();
  createEffect(
    on([agentId, incidentEpoch], async ([id]) => {
      try {
        setIncidents((await api<Page<Incident>>("GET", `/incidents?state=all&agent=${segment(id)}`)).items);
      } catch {
        // The charts are of use without them; the next event reads again.
      }
    }),
  );
  return incidents;
}

const NAMES = ["CPU", "Memory", "Disk"] as const;

function HostHead(props: { agent: Agent }): JSX.Element {
  const state = createMemo(() => cachedState(props.agent));
  const stale = createMemo(() => staleAt(props.agent, now()));
  const facts = () => {
    const { os, kernel, cpu_model: cpu, cores, memory_bytes: memory } = props.agent.facts;
    const uptime = props.agent.metrics["sys.uptime_seconds"];
    return [
      os,
      kernel,
      cpu,
      cores ? `${cores} ${cores === 1 ? "core" : "cores"}` : undefined,
      memory ? formatValue(memory, "bytes") : undefined,
      uptime ? `up ${formatSpan(uptime)}` : undefined,
      props.agent.version ? `agent ${props.agent.version}` : undefined,
    ].filter((fact): fact is string => Boolean(fact));
  };
  return (
    <div class="host-head">
      <div class="host-title">
        <a class="back" href="/">
          Fleet
        </a>
        <h1>{props.agent.name}</h1>
        <StateBadge state={state()} />
        <span class="tags">
          <For each={props.agent.tags}>
            {(tag) => (
              <a class="tag" href={`/?q=${encodeURIComponent(`tag:${/\s/.test(tag) ? `"${tag}"` : tag}`)}`}>
                {tag}
              </a>
            )}
          </For>
        </span>
        <span class="host-seen muted">
          last seen <Seen lastSeen={props.agent.last_seen} stale={stale()} /> <Show when={props.agent.last_seen}>ago</Show>
        </span>
      </div>
      <ul class="facts" aria-label="Facts">
        <For each={facts()}>{(fact) => <li>{fact}</li>}</For>
      </ul>
      <div class="tiles">
        <For each={HEADLINES}>
          {(metric, index) => (
            <div class="tile">
              <span class="tile-name">{NAMES[index()]}</span>
              <MetricBadge cell={worstCell(props.agent, metric)} stale={stale()} offline={state() === "offline"} name={NAMES[index()] ?? ""} />
              <Show when={metric === "disk.used_percent" && state() !== "offline"}>
                <FullList agent={props.agent.id} />
              </Show>
            </div>
          )}
        </For>
      </div>
    </div>
  );
}

interface ChartsProps {
  agent: Agent;
  range: Range;
  tick: number;
  incidents: Incident[];
  onRange: (range: Range) => void;
}

function Charts(props: ChartsProps): JSX.Element {
  const [more, setMore] = createSignal(false);
  // Values change all the time, the set of series hardly ever: only that makes new charts.
  const keys = createMemo(() => Object.keys(props.agent.metrics).sort().join("\n"));
  const panels = createMemo(() => panelsOf(keys().split("\n").filter(Boolean)));
  const handlers = {
    onZoom: (start: number, end: number) => props.onRange(clampRange(start, end, hubNow())),
    onZoomOut: () => props.onRange(zoomOut(props.range, hubNow())),
    onPan: (share: number) => props.onRange(pan(props.range, share, hubNow())),
  };
  const grid = (list: () => ReturnType<typeof panelsOf>["main"]) => (
    <div class="charts">
      <For each={list()}>
        {(panel) => (
          <ChartPanel agent={props.agent} panel={panel} range={props.range} tick={props.tick} incidents={props.incidents} {...handlers} />
        )}
      </For>
    </div>
  );
  return (
    <section aria-label="Charts">
      <Show when={keys()} fallback={<p class="empty">No data yet. Charts appear with the first heartbeat.</p>}>
        {grid(() => panels().main)}
        <Show when={panels().more.length > 0}>
          <details class="more" onToggle={(event) => setMore(event.currentTarget.open)}>
            <summary>
              {panels().more.length} more {panels().more.length === 1 ? "metric" : "metrics"}
            </summary>
            <Show when={more()}>{grid(() => panels().more)}</Show>
          </details>
        </Show>
      </Show>
    </section>
  );
}
