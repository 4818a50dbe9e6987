// Open incidents of the whole fleet: read at start, again after every event
// that may change them, and once a minute in any case.

import { createMemo, createRoot, createSignal } from "solid-js";
import { createStore, reconcile } from "solid-js/store";
import type { Incident, Page } from "../types";
import { api, segment } from "./api";

const AFTER_EVENT_MS = 300;
const AFFECTING = new Set(["fired", "resolved", "nodata_start", "nodata_end", "ack", "unack", "note", "escalated", "config"]);

/** A list that keeps what is on screen (a note half typed) when it is read again. */
export function createIncidents() {
  const [store, setStore] = createStore<{ items: Incident[] }>({ items: [] });
  const replace = (items: Incident[]) => setStore("items", reconcile(items, { key: "id" }));
  return [() => store.items, replace] as const;
}

const [open, setOpen] = createIncidents();
const [epoch, setEpoch] = createSignal(0);

/** Open incidents, newest first. */
export { open as openIncidents };
/** Grows whenever incidents may have changed, for lists that read on their own. */
export { epoch as incidentEpoch };

export const openByAgent = createRoot(() =>
  createMemo(() => {
    const counts = new Map<string, number>();
    for (const incident of open()) {
      const id = incident.agent?.id;
      if (id) counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    return counts;
  }),
);

export async function loadIncidents(): Promise<void> {
  const page = await api<Page<Incident>>("GET", "/incidents?state=open");
  setOpen(page.items);
  setEpoch((count) => count + 1);
}

let timer: ReturnType<typeof setTimeout> | undefined;

/** An event came by; reads again soon if it touches incidents. */
export function incidentsMayHaveChanged(type: string): void {
  if (!AFFECTING.has(type)) return;
  timer ??= setTimeout(() => {
    timer = undefined;
    void loadIncidents().catch(() => {
      // The next event or the next minute tries again.
    });
  }, AFTER_EVENT_MS);
}

/** Acknowledges as the user who is logged in. */
export async function acknowledge(id: string, note: string): Promise<void> {
  await api("POST", `/incidents/${segment(id)}/ack`, { body: note ? { note } : {} });
  await loadIncidents();
}
