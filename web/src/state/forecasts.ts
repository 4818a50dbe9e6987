// Which disks will be full, and when: read with the fleet and now and then
// again, since a slope is the work of hours.

import { createSignal } from "solid-js";
import { byAgent } from "../lib/forecast";
import type { Forecast } from "../types";
import { api } from "./api";

const [forecasts, setForecasts] = createSignal<ReadonlyMap<string, Forecast[]>>(new Map());

/** An agent's disks that fill up, the first to be full at the top. */
export const forecastsOf = (agent: string): readonly Forecast[] => forecasts().get(agent) ?? [];

export async function loadForecasts(): Promise<void> {
  setForecasts(byAgent((await api<{ items: Forecast[] }>("GET", "/forecasts")).items));
}
