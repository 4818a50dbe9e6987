// From a value and its thresholds to the badge: green below warn, yellow
// below crit, red from crit on, "N/A" without a value. Where crit lies below
// warn, low is bad and the comparison turns round. Pure.

import type { Agent, Threshold, Values } from "../types";
import { metricOf } from "./serieskey";

export type Level = "ok" | "warn" | "crit" | "none";
/** What a whole agent shows: the worst of its levels, or why there is none. */
export type AgentState = "offline" | "crit" | "warn" | "ok" | "nodata" | "paused";

/** The hub's defaults, used only while an answer carries none for these three. */
const FALLBACK: Threshold = { warn: 70, crit: 85, custom: false };
export const HEADLINES = ["cpu.usage_percent", "mem.used_percent", "disk.used_percent"] as const;

const LEVEL_RANK: Record<Level, number> = { crit: 3, warn: 2, ok: 1, none: 0 };
const STATE_RANK: Record<AgentState, number> = { offline: 0, crit: 1, warn: 2, nodata: 3, ok: 4, paused: 5 };

/** The level of one value against its thresholds. */
export function levelOf(value: number | null | undefined, threshold: Threshold | undefined): Level {
  if (value === null || value === undefined || Number.isNaN(value)) return "none";
  const warn = threshold?.warn ?? null;
  const crit = threshold?.crit ?? null;
  const lowIsBad = warn !== null && crit !== null && crit < warn;
  const reaches = (limit: number | null) => limit !== null && (lowIsBad ? value <= limit : value >= limit);
  if (reaches(crit)) return "crit";
  if (reaches(warn)) return "warn";
  return "ok";
}

/** The threshold that governs a series: its full key first, then its metric, then the default. */
export function thresholdOf(thresholds: Record<string, Threshold>, key: string): Threshold | undefined {
  const metric = metricOf(key);
  const known = thresholds[key] ?? thresholds[metric];
  if (known) return known;
  return (HEADLINES as readonly string[]).includes(metric) ? FALLBACK : undefined;
}

/** The worse of two levels; "none" is never worse than anything known. */
export function worse(a: Level, b: Level): Level {
  return LEVEL_RANK[a] >= LEVEL_RANK[b] ? a : b;
}

/** One headline cell: the series that matters most, its value and level. */
export interface Cell {
  key: string;
  value: number | null;
  level: Level;
  threshold: Threshold | undefined;
  /** How many series of this metric the agent has (mounts, mostly). */
  count: number;
}

/** The worst series of a metric: highest level first, then the value nearest the bad end. */
export function worstCell(agent: Pick<Agent, "metrics" | "thresholds">, metric: string): Cell {
  let best: Cell | null = null;
  let count = 0;
  for (const key in agent.metrics) {
    if (metricOf(key) !== metric) continue;
    count += 1;
    const cell = cellOf(agent, key);
    if (!best || outranks(cell, best)) best = cell;
  }
  return best ? { ...best, count } : { ...cellOf({ metrics: {}, thresholds: agent.thresholds }, metric), count };
}

function cellOf(agent: { metrics: Values; thresholds: Record<string, Threshold> }, key: string): Cell {
  const value = agent.metrics[key] ?? null;
  const threshold = thresholdOf(agent.thresholds, key);
  return { key, value, level: levelOf(value, threshold), threshold, count: 1 };
}

function outranks(a: Cell, b: Cell): boolean {
  if (a.level !== b.level) return LEVEL_RANK[a.level] > LEVEL_RANK[b.level];
  return (a.value ?? Number.NEGATIVE_INFINITY) > (b.value ?? Number.NEGATIVE_INFINITY);
}

/** The state of an agent as the fleet shows it. */
export function stateOf(agent: Agent): AgentState {
  if (agent.paused) return "paused";
  if (agent.status === "offline") return "offline";
  let level: Level = "none";
  for (const key in agent.metrics) {
    const threshold = thresholdOf(agent.thresholds, key);
    if (threshold) level = worse(level, levelOf(agent.metrics[key], threshold));
  }
  return level === "none" ? "nodata" : level;
}

/** Sort rank: the smaller, the worse. */
export function stateRank(state: AgentState): number {
  return STATE_RANK[state];
}
