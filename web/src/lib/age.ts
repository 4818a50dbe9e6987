// When a value is too old to look fresh. Pure; told what time it is.

/** The agent's default interval, until two heartbeats were seen. */
export const DEFAULT_INTERVAL_MS = 15_000;
/** An agent that misses three heartbeats counts as offline; its values are old by then. */
const MISSED = 3;
const LONGEST_INTERVAL_MS = 3_600_000;

/** Whether what was seen last is older than a living agent's would be. */
export function isStale(lastSeen: string | null, now: number, intervalMs = DEFAULT_INTERVAL_MS): boolean {
  return lastSeen === null || now - Date.parse(lastSeen) > MISSED * Math.max(DEFAULT_INTERVAL_MS, intervalMs);
}

/** The interval that two following heartbeats suggest; `known` where they suggest nothing. */
export function learnInterval(known: number, before: string | null | undefined, after: string | null): number {
  if (!before || !after) return known;
  const spacing = Date.parse(after) - Date.parse(before);
  return spacing > 0 && spacing <= LONGEST_INTERVAL_MS ? spacing : known;
}

/** The values that came with the last heartbeat itself. */
export function freshValues<T>(metrics: Record<string, T>, older: Record<string, string> = {}): Record<string, T> {
  return Object.fromEntries(Object.entries(metrics).filter(([key]) => !(key in older)));
}

/** When the newest of these series was measured, if none of them came with the last heartbeat. */
export function measuredAt(keys: readonly string[], older: Record<string, string> = {}): number | null {
  const times = keys.map((key) => Date.parse(older[key] ?? ""));
  return times.length === 0 || times.some(Number.isNaN) ? null : Math.max(...times);
}
