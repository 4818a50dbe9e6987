// Deliveries that travelled as one message, shown as one. Pure.

import type { Delivery } from "../types";

export interface Message {
  first: Delivery;
  rows: Delivery[];
}

/** Rows in their order, those of one message on one channel together at the place of the first. */
export function messagesOf(rows: readonly Delivery[]): Message[] {
  const messages = new Map<string, Message>();
  for (const row of rows) {
    const key = row.message_id ? `${row.message_id} ${row.channel?.id ?? ""} ${row.state}` : row.id;
    const known = messages.get(key);
    if (known) known.rows.push(row);
    else messages.set(key, { first: row, rows: [row] });
  }
  return [...messages.values()];
}

const WORDS: Record<string, string> = {
  queued: "Waiting",
  sending: "Being sent",
  sent: "Delivered",
  dead: "Given up",
  cancelled: "Cancelled",
  held: "Held back",
};

/** The state's word and tone; one that waits after a failure is no calm wait. */
export function stateOf(delivery: Delivery): [string, string] {
  const word = WORDS[delivery.state] ?? delivery.state;
  if (delivery.state === "sent") return [word, "ok"];
  if (delivery.state === "dead") return [word, "crit"];
  return delivery.state === "queued" && delivery.attempts > 0 ? ["Failed, will be tried again", "warn"] : [word, "none"];
}

/** What people may do with it. */
export function actsOf(delivery: Delivery): ("retry" | "cancel")[] {
  if (delivery.state === "dead" || delivery.state === "cancelled") return ["retry"];
  if (delivery.state === "queued") return delivery.attempts > 0 ? ["retry", "cancel"] : ["cancel"];
  return delivery.state === "held" ? ["retry", "cancel"] : [];
}
