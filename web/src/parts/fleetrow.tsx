// One host in the fleet's table; on a phone the same cells become a card.

import { createMemo, For, type JSX, Show } from "solid-js";
import { HEADLINES, worstCell } from "../lib/levels";
import { fullTime } from "../lib/times";
import { formatAge, formatValue } from "../lib/units";
import { now } from "../state/clock";
import { agentOf, cachedState, staleAt } from "../state/fleet";
import { openByAgent } from "../state/incidents";
import { setQuery } from "../state/router";
import type { Agent } from "../types";
import { MetricBadge, StateBadge } from "./badges";
import { FullIn } from "./fullin";
import { Icon } from "./icons";
import { Sparkline } from "./sparkline";

const DISK = "disk.used_percent";
const NAMES = ["CPU", "Memory", "Disk"] as const;

export function FleetRow(props: { id: string; index: number }): JSX.Element {
  return <Show when={agentOf(props.id)}>{(agent) => <Row agent={agent()} index={props.index} />}</Show>;
}

function Row(props: { agent: Agent; index: number }): JSX.Element {
  const state = createMemo(() => cachedState(props.agent));
  const offline = () => state() === "offline";
  const stale = createMemo(() => staleAt(props.agent, now()));
  const incidents = () => openByAgent().get(props.agent.id) ?? 0;
  return (
    <tr class={`row is-${state()}`} role="row" aria-rowindex={props.index}>
      <td role="cell" class="cell-state">
        <StateBadge state={state()} />
      </td>
      <td role="cell" class="cell-host">
        <a class="host-link" href={`/h/${props.agent.id}`}>
          {props.agent.name}
        </a>
        <Show when={incidents() > 0}>
          <span class="incident-mark" title={`${incidents()} open ${incidents() === 1 ? "incident" : "incidents"}`}>
            <Icon name="bell" />
            <span class="num">{incidents()}</span>
            <span class="sr-only"> open incidents</span>
          </span>
        </Show>
        <span class="tags">
          <For each={props.agent.tags}>
            {(tag) => (
              <button type="button" class="tag" onClick={() => setQuery("q", `tag:${/\s/.test(tag) ? `"${tag}"` : tag}`)}>
                {tag}
              </button>
            )}
          </For>
        </span>
      </td>
      <For each={HEADLINES}>
        {(metric, index) => (
          <td role="cell" class="cell-metric">
            <span class="cell-name">
              {NAMES[index()]}
              <Show when={metric === DISK && !offline()}>
                {" "}
                <FullIn agent={props.agent.id} />
              </Show>
            </span>
            <MetricBadge cell={worstCell(props.agent, metric)} stale={stale()} offline={offline()} name={NAMES[index()] ?? ""} />
          </td>
        )}
      </For>
      <td role="cell" class="cell-full">
        <Show when={!offline()}>
          <FullIn agent={props.agent.id} />
        </Show>
      </td>
      <td role="cell" class="cell-load num is-number" classList={{ "is-old": stale() || offline() }}>
        {formatValue(props.agent.metrics["load.avg_1m"], "none")}
      </td>
      <td role="cell" class="cell-spark">
        <Sparkline agent={props.agent.id} metric="cpu.usage_percent" label={`CPU of ${props.agent.name} in the last hour`} />
      </td>
      <td role="cell" class="cell-seen num is-number">
        <Seen lastSeen={props.agent.last_seen} stale={stale()} />
      </td>
    </tr>
  );
}

/** The age of the last heartbeat, the moment itself on hover. */
export function Seen(props: { lastSeen: string | null; stale: boolean }): JSX.Element {
  return (
    <Show when={props.lastSeen} fallback={<span class="muted">never</span>}>
      {(seen) => (
        <time datetime={seen()} title={fullTime(Date.parse(seen()))} classList={{ "is-late": props.stale }}>
          {formatAge((now() - Date.parse(seen())) / 1000)}
        </time>
      )}
    </Show>
  );
}
