// Rules, silences, deliveries and the banner: what the alerting pages ask of
// the hub and do there. Nothing is kept but the banner.

import { createSignal } from "solid-js";
import type { Preview } from "../lib/replay";
import type { Banner, Delivery, Explained, History, Page, Route, Routes, Rule, Silence } from "../types";
import { api, etagOf, segment } from "./api";

type Body = Record<string, unknown>;

const [banner, setBanner] = createSignal<Banner | null>(null);
export { banner };

/** Reads what is withheld now and which channels are broken. */
export async function loadBanner(): Promise<void> {
  setBanner(await api<Banner>("GET", "/banner"));
}

export const listRules = async () => (await api<Page<Rule>>("GET", "/rules")).items;
export const readRule = (id: string) => api<Rule>("GET", `/rules/${segment(id)}`);
export const deleteRule = (id: string) => api<void>("DELETE", `/rules/${segment(id)}`);
export const enableRule = (id: string, enabled: boolean) => api<Rule>("PATCH", `/rules/${segment(id)}`, { body: { enabled } });

/** Makes a rule, or changes the one of that id. */
export function saveRule(id: string | null, body: Body): Promise<Rule> {
  return id ? api<Rule>("PUT", `/rules/${segment(id)}`, { body }) : api<Rule>("POST", "/rules", { body });
}

export function previewRule(body: Body, start: string, signal: AbortSignal): Promise<Preview> {
  return api<Preview>("POST", "/rules/preview", { body: { ...body, start, end: "now" }, signal });
}

export function readSeries(agent: string, key: string, start: string, signal: AbortSignal): Promise<History> {
  const query = new URLSearchParams({ metrics: key, start, end: "now", max_points: "400" });
  return api<History>("GET", `/agents/${segment(agent)}/metrics/history?${query}`, { signal });
}

export const explainRule = async (id: string, agent: string) =>
  (await api<Page<Explained>>("GET", `/rules/${segment(id)}/explain?agent=${segment(agent)}`)).items;

export const metricNames = async () => (await api<Page<{ metric: string }>>("GET", "/metrics/catalog")).items.map((row) => row.metric);

export const readRoutes = () => api<Routes>("GET", "/routes");

/** Puts these in the place of all routes, unless somebody changed them since they were read. */
export const saveRoutes = (before: Routes, items: readonly Route[]) => api<Routes>("PUT", "/routes", { body: { items }, ifMatch: etagOf(before) });

export const listSilences = async () => (await api<Page<Silence>>("GET", "/silences")).items;

export async function createSilence(body: Body): Promise<Silence> {
  const silence = await api<Silence>("POST", "/silences", { body });
  await loadBanner();
  return silence;
}

export async function changeSilence(id: string, body: Body): Promise<Silence> {
  const silence = await api<Silence>("PATCH", `/silences/${segment(id)}`, { body });
  await loadBanner();
  return silence;
}

/** Ends what is in force and takes back what is to come. */
export async function endSilence(id: string): Promise<void> {
  await api("DELETE", `/silences/${segment(id)}`);
  await loadBanner();
}

export const listDeliveries = (state: string, cursor: string | null) =>
  api<Page<Delivery>>("GET", `/outbox?limit=100${state ? `&state=${state}` : ""}${cursor ? `&cursor=${segment(cursor)}` : ""}`);
export const actOnDelivery = (id: string, act: "retry" | "cancel") => api<Delivery>("POST", `/outbox/${segment(id)}/${act}`);
