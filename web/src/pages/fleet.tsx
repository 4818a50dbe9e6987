// The fleet: every host with its state and headline values, worst first.

import { createMemo, createSignal, For, type JSX, lazy, onCleanup, onMount, Show, Suspense } from "solid-js";
import { parseFilter } from "../lib/filter";
import { type AgentState, HEADLINES, stateRank, worstCell } from "../lib/levels";
import { visibleRows } from "../lib/window";
import { STATE_WORD } from "../parts/badges";
import { ChannelBanner } from "../parts/banner";
import { FleetRow } from "../parts/fleetrow";
import { ProblemNote } from "../parts/forms";
import { Icon } from "../parts/icons";
import { allAgents, cachedState, fleetLoaded, fleetProblem } from "../state/fleet";
import { forecastsOf } from "../state/forecasts";
import { search, setQuery } from "../state/router";
import { mayEdit } from "../state/session";
import type { Agent } from "../types";

const AddHost = lazy(() => import("../parts/addhost"));

const STATES: readonly AgentState[] = ["offline", "crit", "warn", "nodata", "ok", "paused"];
/** Row heights in pixels; the style sheet fixes the same. */
const ROW = { wide: 46, narrow: 104 };

type Order = (a: Agent, b: Agent) => number;

const byName: Order = (a, b) => a.name.localeCompare(b.name, "en", { numeric: true });
const byValue = (metric: string): Order => (a, b) => (worstCell(b, metric).value ?? -1) - (worstCell(a, metric).value ?? -1);
/** Disks that are full first come first, those that are heading nowhere last. */
const fullAt = (agent: Agent) => {
  const soonest = forecastsOf(agent.id)[0];
  return soonest ? Date.parse(soonest.full_at) : Number.MAX_SAFE_INTEGER;
};
const ORDERS: Record<string, Order> = {
  state: (a, b) => stateRank(cachedState(a)) - stateRank(cachedState(b)),
  name: byName,
  cpu: byValue(HEADLINES[0]),
  mem: byValue(HEADLINES[1]),
  disk: byValue(HEADLINES[2]),
  full: (a, b) => fullAt(a) - fullAt(b),
  load: byValue("load.avg_1m"),
  seen: (a, b) => (b.last_seen ?? "").localeCompare(a.last_seen ?? ""),
};

export function FleetPage(): JSX.Element {
  const [adding, setAdding] = createSignal(false);
  const query = createMemo(() => new URLSearchParams(search()));
  const text = () => query().get("q") ?? "";
  const filter = createMemo(() => parseFilter(text()));
  const sort = () => query().get("sort") ?? "state";
  const rows = createMemo(() => {
    const backwards = sort().startsWith("-");
    const order = ORDERS[sort().replace("-", "")] ?? (ORDERS.state as Order);
    const found = allAgents().filter((agent) => filter().matches(agent, cachedState(agent)));
    found.sort((a, b) => (backwards ? order(b, a) : order(a, b)) || byName(a, b));
    return found.map((agent) => agent.id);
  });
  return (
    <>
      <ChannelBanner />
      <div class="page-head">
        <h1>Fleet</h1>
        <Counts active={text()} />
        <div class="page-head-end">
          <Show when={mayEdit()}>
            <button type="button" class="button is-primary" onClick={() => setAdding(true)}>
              <Icon name="plus" /> Add host
            </button>
          </Show>
        </div>
      </div>
      <SearchBox text={text()} errors={filter().errors} />
      <ProblemNote problem={fleetProblem()} />
      <Show when={rows().length > 0} fallback={<Nothing filtered={text() !== ""} onAdd={() => setAdding(true)} />}>
        <FleetTable ids={rows()} sort={sort()} />
      </Show>
      <Show when={adding()}>
        {/* A boundary of its own: the page's would take the page away while the code comes, and the focus with it. */}
        <Suspense>
          <AddHost onClose={() => setAdding(false)} />
        </Suspense>
      </Show>
    </>
  );
}

/** How many hosts are in which state; each is a filter. */
function Counts(props: { active: string }): JSX.Element {
  const counts = createMemo(() => {
    const counts = new Map<AgentState, number>();
    for (const agent of allAgents()) counts.set(cachedState(agent), (counts.get(cachedState(agent)) ?? 0) + 1);
    return counts;
  });
  const present = () => STATES.filter((state) => counts().has(state));
  return (
    <div class="counts" role="group" aria-label="Hosts by state">
      <span class="counts-total">
        <strong class="num">{allAgents().length}</strong> {allAgents().length === 1 ? "host" : "hosts"}
      </span>
      <For each={present()}>
        {(state) => {
          const term = `state:${state}`;
          const on = () => props.active === term;
          return (
            <button type="button" class={`chip is-${state}`} aria-pressed={on()} onClick={() => setQuery("q", on() ? "" : term)}>
              <Icon name={state} />
              <span class="num">{counts().get(state)}</span> {STATE_WORD[state]}
            </button>
          );
        }}
      </For>
    </div>
  );
}

function SearchBox(props: { text: string; errors: readonly string[] }): JSX.Element {
  let input!: HTMLInputElement;
  const onKey = (event: KeyboardEvent) => {
    const typing = event.target instanceof HTMLElement && event.target.matches("input, textarea, select");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    input.focus();
  };
  onMount(() => document.addEventListener("keydown", onKey));
  onCleanup(() => document.removeEventListener("keydown", onKey));
  return (
    <div class="search">
      <Icon name="search" />
      <input
        ref={input}
        type="search"
        aria-label="Filter hosts"
        aria-describedby="search-note"
        placeholder="Filter: name, tag:db, state:crit, cpu>80"
        value={props.text}
        onInput={(event) => setQuery("q", event.currentTarget.value)}
        spellcheck={false}
      />
      <kbd aria-hidden="true">/</kbd>
      <div id="search-note" class="search-note" role="status">
        {props.errors.join(" · ")}
      </div>
    </div>
  );
}

function Nothing(props: { filtered: boolean; onAdd: () => void }): JSX.Element {
  return (
    <Show when={fleetLoaded()} fallback={<p class="empty">Reading the fleet…</p>}>
      <div class="empty">
        <Show
          when={props.filtered}
          fallback={
            <>
              <p>No host yet. An agent on a host shows up here with its first heartbeat.</p>
              <Show when={mayEdit()}>
                <button type="button" class="button is-primary" onClick={() => props.onAdd()}>
                  <Icon name="plus" /> Add host
                </button>
              </Show>
            </>
          }
        >
          <p>No host matches this filter.</p>
          <button type="button" class="button" onClick={() => setQuery("q", "")}>
            Clear filter
          </button>
        </Show>
      </div>
    </Show>
  );
}

const COLUMNS: readonly [string, string, string][] = [
  ["state", "State", ""],
  ["name", "Host", ""],
  ["cpu", "CPU", ""],
  ["mem", "Memory", ""],
  ["disk", "Disk", ""],
  ["full", "Full in", ""],
  ["load", "Load", "is-number"],
  ["", "CPU, 1 h", ""],
  ["seen", "Last seen", "is-number"],
];

function FleetTable(props: { ids: readonly string[]; sort: string }): JSX.Element {
  let body!: HTMLTableSectionElement;
  const narrow = matchMedia("(max-width: 760px)");
  const [rowHeight, setRowHeight] = createSignal(narrow.matches ? ROW.narrow : ROW.wide);
  const [view, setView] = createSignal({ top: 0, height: innerHeight });
  const measure = () => setView({ top: -body.getBoundingClientRect().top, height: innerHeight });
  const resize = () => {
    setRowHeight(narrow.matches ? ROW.narrow : ROW.wide);
    measure();
  };
  onMount(() => {
    measure();
    addEventListener("scroll", measure, { passive: true });
    addEventListener("resize", resize);
  });
  onCleanup(() => {
    removeEventListener("scroll", measure);
    removeEventListener("resize", resize);
  });
  const slice = createMemo(() => visibleRows(props.ids.length, rowHeight(), view().top, view().height));
  const shown = createMemo(() => props.ids.slice(slice().from, slice().to));
  return (
    <table class="fleet" role="table" aria-label="Hosts" aria-rowcount={props.ids.length + 1}>
      <thead role="rowgroup">
        <tr role="row" aria-rowindex="1">
          <For each={COLUMNS}>{([key, word, kind]) => <HeadCell key={key} word={word} kind={kind} sort={props.sort} />}</For>
        </tr>
      </thead>
      <tbody ref={body} role="rowgroup">
        <tr class="spacer" role="presentation" style={{ height: `${slice().above}px` }} />
        <For each={shown()}>{(id, index) => <FleetRow id={id} index={slice().from + index() + 2} />}</For>
        <tr class="spacer" role="presentation" style={{ height: `${slice().below}px` }} />
      </tbody>
    </table>
  );
}

function HeadCell(props: { key: string; word: string; kind: string; sort: string }): JSX.Element {
  const direction = () => (props.sort === props.key ? "descending" : props.sort === `-${props.key}` ? "ascending" : undefined);
  const next = () => (props.sort === props.key ? `-${props.key}` : props.key);
  return (
    <th role="columnheader" scope="col" class={props.kind} aria-sort={direction()}>
      <Show when={props.key} fallback={props.word}>
        <button type="button" onClick={() => setQuery("sort", next() === "state" ? "" : next())}>
          {props.word}
          <span class="sort-mark" aria-hidden="true">
            {direction() === "ascending" ? "▴" : direction() ? "▾" : ""}
          </span>
        </button>
      </Show>
    </th>
  );
}
