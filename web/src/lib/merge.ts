// Live frames over the last known fleet: only what a frame names changes, a
// `null` value is kept as "no value now", and an older frame never undoes a
// newer one. Pure; an agent that changed becomes a new object.

import type { Agent, AgentDelta } from "../types";

/** An agent with a delta laid over it; the same object when nothing changed. */
export function mergeAgent(agent: Agent, delta: AgentDelta): Agent {
  if (isOlder(delta.last_seen, agent.last_seen)) return agent;
  const next: Agent = { ...agent };
  let changed = false;
  if (delta.status !== undefined && delta.status !== agent.status) {
    next.status = delta.status;
    changed = true;
  }
  if (delta.last_seen && delta.last_seen !== agent.last_seen) {
    next.last_seen = delta.last_seen;
    changed = true;
  }
  if (delta.metrics && Object.keys(delta.metrics).length > 0) {
    next.metrics = { ...agent.metrics, ...delta.metrics };
    next.older = olderAfter(agent.older, Object.keys(delta.metrics), delta.older);
    changed = true;
  }
  return changed ? next : agent;
}

/** What is older than the last heartbeat once a frame has said `keys`: those it names, and what it says nothing of. */
function olderAfter(known: Agent["older"] = {}, keys: readonly string[], said: AgentDelta["older"] = {}): Record<string, string> {
  const unsaid = Object.entries(known).filter(([key]) => !keys.includes(key));
  return { ...Object.fromEntries(unsaid), ...said };
}

function isOlder(a: string | null | undefined, b: string | null): boolean {
  return Boolean(a && b && Date.parse(a) < Date.parse(b));
}

export interface Merged {
  /** Agents that changed, new objects. */
  changed: Agent[];
  /** Ids a frame named that are not known yet: the list must be read again. */
  unknown: string[];
}

/** Lays a frame's deltas over the fleet. */
export function mergeFleet(fleet: ReadonlyMap<string, Agent>, deltas: readonly AgentDelta[]): Merged {
  const merged: Merged = { changed: [], unknown: [] };
  for (const delta of deltas) {
    const agent = fleet.get(delta.id);
    if (!agent) {
      merged.unknown.push(delta.id);
      continue;
    }
    const next = mergeAgent(agent, delta);
    if (next !== agent) merged.changed.push(next);
  }
  return merged;
}
