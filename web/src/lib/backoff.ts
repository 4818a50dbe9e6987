// How long to wait before the live connection is tried again: exponential
// with full jitter, so that a restarted hub is not met by all tabs at once.
// Pure; the caller brings the random number.

const FIRST_MS = 1_000;
const MOST_MS = 30_000;
const LEAST_MS = 250;

/** The wait before attempt `attempt` (0 = first retry) with `random` in [0, 1). */
export function reconnectDelay(attempt: number, random: number): number {
  const ceiling = Math.min(MOST_MS, FIRST_MS * 2 ** Math.min(attempt, 10));
  return Math.round(LEAST_MS + random * (ceiling - LEAST_MS));
}
