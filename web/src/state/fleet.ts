// The fleet as the pages see it: one signal per agent, so that a changed
// value renders one cell, and one for the order, so that a list is sorted at
// most twice a second.

import { type Accessor, createSignal, type Setter } from "solid-js";
import { DEFAULT_INTERVAL_MS, isStale, learnInterval } from "../lib/age";
import { type AgentState, stateOf } from "../lib/levels";
import { mergeFleet } from "../lib/merge";
import type { Agent, AgentDelta, Page } from "../types";
import { api, asProblem, Problem } from "./api";

const PAGE_SIZE = 200;
const ORDER_EVERY_MS = 500;

const fleet = new Map<string, Agent>();
const signals = new Map<string, [Accessor<Agent | undefined>, Setter<Agent | undefined>]>();
const [version, setVersion] = createSignal(0);
const [loaded, setLoaded] = createSignal(false);
const [problem, setProblem] = createSignal<Problem | null>(null);

/** Whether the list was read to its end at least once. */
export { loaded as fleetLoaded, problem as fleetProblem };

function signalOf(id: string) {
  let signal = signals.get(id);
  if (!signal) {
    signal = createSignal<Agent | undefined>(fleet.get(id));
    signals.set(id, signal);
  }
  return signal;
}

/** One agent, kept up to date; `undefined` while unknown. */
export function agentOf(id: string): Agent | undefined {
  return signalOf(id)[0]();
}

/** All agents; renewed when one changes, but not for every value at once. */
export function allAgents(): Agent[] {
  version();
  return [...fleet.values()];
}

const states = new WeakMap<Agent, AgentState>();

/** An agent's state, worked out once per change. */
export function cachedState(agent: Agent): AgentState {
  let state = states.get(agent);
  if (!state) {
    state = stateOf(agent);
    states.set(agent, state);
  }
  return state;
}

const intervals = new Map<string, number>();

/** Whether an agent's values are too old to look fresh. */
export function staleAt(agent: Agent, now: number): boolean {
  return isStale(agent.last_seen, now, intervals.get(agent.id));
}

function put(agent: Agent): void {
  const before = fleet.get(agent.id)?.last_seen;
  intervals.set(agent.id, learnInterval(intervals.get(agent.id) ?? DEFAULT_INTERVAL_MS, before, agent.last_seen));
  fleet.set(agent.id, agent);
  signalOf(agent.id)[1](() => agent);
}

function remove(id: string): void {
  fleet.delete(id);
  intervals.delete(id);
  signals.get(id)?.[1](undefined);
}

let orderTimer: ReturnType<typeof setTimeout> | undefined;

function reorderSoon(): void {
  orderTimer ??= setTimeout(() => {
    orderTimer = undefined;
    setVersion((count) => count + 1);
  }, ORDER_EVERY_MS);
}

let loading: Promise<void> | null = null;

/** Reads the whole list, page by page; the first page shows while the rest comes. */
export function loadFleet(): Promise<void> {
  loading ??= readPages().finally(() => {
    loading = null;
  });
  return loading;
}

async function readPages(): Promise<void> {
  const seen = new Set<string>();
  let cursor: string | null = null;
  try {
    do {
      const query: string = cursor ? `&cursor=${encodeURIComponent(cursor)}` : "";
      const page: Page<Agent> = await api("GET", `/agents?limit=${PAGE_SIZE}${query}`);
      for (const agent of page.items) {
        seen.add(agent.id);
        put(newer(agent));
      }
      setVersion((count) => count + 1);
      cursor = page.next_cursor;
    } while (cursor);
    for (const id of [...fleet.keys()]) if (!seen.has(id)) remove(id);
    setProblem(null);
    setLoaded(true);
    setVersion((count) => count + 1);
  } catch (error) {
    setProblem(asProblem(error));
  }
}

/** A list's entry, but with the live values where those are younger. */
function newer(listed: Agent): Agent {
  const known = fleet.get(listed.id);
  if (!known?.last_seen || !listed.last_seen || Date.parse(known.last_seen) <= Date.parse(listed.last_seen)) return listed;
  return { ...listed, status: known.status, last_seen: known.last_seen, metrics: known.metrics };
}

/** Lays a live frame over the fleet; an agent never heard of makes the list be read again. */
export function applyDeltas(deltas: readonly AgentDelta[]): void {
  const merged = mergeFleet(fleet, deltas);
  for (const agent of merged.changed) put(agent);
  if (merged.changed.length > 0) reorderSoon();
  if (merged.unknown.length > 0 && loaded()) void loadFleet();
}

/** Takes an agent as the hub gave it on its own. */
export function putAgent(agent: Agent): void {
  put(newer(agent));
  reorderSoon();
}

/** Forgets everything; for the moment a session ends. */
export function clearFleet(): void {
  for (const id of [...fleet.keys()]) remove(id);
  signals.clear();
  setLoaded(false);
  setProblem(null);
  setVersion((count) => count + 1);
}
