// Notification channels: whether there is one at all, and the test of one.

import { createSignal } from "solid-js";
import type { Channel, Delivery, Page } from "../types";
import { api, segment } from "./api";

/** `null` until read. */
const [channels, setChannels] = createSignal<Channel[] | null>(null);
export { channels };

export async function loadChannels(): Promise<void> {
  setChannels((await api<Page<Channel>>("GET", "/channels")).items);
}

export async function createChannel(name: string, kind: string, config: Record<string, unknown>): Promise<Channel> {
  const channel = await api<Channel>("POST", "/channels", { body: { name, kind, config } });
  await loadChannels();
  return channel;
}

export async function changeChannel(id: string, change: { name: string; enabled: boolean; config: Record<string, unknown> }): Promise<Channel> {
  const channel = await api<Channel>("PATCH", `/channels/${segment(id)}`, { body: change });
  await loadChannels();
  return channel;
}

export async function deleteChannel(id: string): Promise<void> {
  await api("DELETE", `/channels/${segment(id)}`);
  await loadChannels();
}

const POLL_MS = 1_000;
/** The hub goes on trying for a day; this page watches the first half minute. */
const POLLS = 30;
const SETTLED = new Set(["sent", "dead", "cancelled"]);

/** Sends a test and reports each state of its delivery until it settles or `stopped`. */
export async function testChannel(id: string, report: (delivery: Delivery) => void, stopped: () => boolean): Promise<void> {
  let delivery = await api<Delivery>("POST", `/channels/${segment(id)}/test`);
  report(delivery);
  for (let poll = 0; poll < POLLS && !SETTLED.has(delivery.state) && !stopped(); poll += 1) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    const page = await api<Page<Delivery>>("GET", "/outbox");
    delivery = page.items.find((row) => row.id === delivery.id) ?? delivery;
    report(delivery);
  }
}
