// What an event says beside its kind, host and rule. Pure.

import type { LogEvent } from "../types";

/** Its reason, without what stands beside it already: the host that made the change, and its name. */
export function reasonText(event: Pick<LogEvent, "type" | "reason" | "agent">): string {
  const reason = event.reason ?? "";
  if (reason === event.agent?.name) return "";
  return event.type === "config" ? reason.replace(/^agent:[0-9A-Z]{26}: /, "") : reason;
}
