import { expect, it } from "vitest";
import { panelsOf } from "../lib/panels";
import type { History } from "../types";
import { columnsOf, isolated, modelOf, timeLabels, yRange } from "./model";

const PANEL = panelsOf(["disk.used_percent{mount=/}", "disk.used_percent{mount=/data}"]).main[0]!;

function history(tier: string): History {
  const band = tier === "raw" ? {} : { min: [1, null], max: [9, null] };
  const series = (mount: string) => ({ metric: "disk.used_percent", labels: { mount }, unit: "percent", v: [5, null], ...band });
  return { agent: "a", start: "", end: "", tier, points: 2, t: [1, 2], series: [series("/new"), series("/data"), series("/")] };
}

it("keeps the panel's order and appends what is new", () => {
  expect(modelOf(PANEL, history("raw")).lines.map((line) => line.label)).toEqual(["/", "/data", "/new"]);
});

it("has bands when rolled up, and none on raw samples", () => {
  expect(columnsOf(modelOf(PANEL, history("raw")))).toHaveLength(4);
  const columns = columnsOf(modelOf(PANEL, history("hourly")));
  expect(columns).toHaveLength(10);
  expect(columns.slice(0, 4)).toEqual([[1, 2], [5, null], [9, null], [1, null]]);
});

it("finds samples that stand alone between gaps", () => {
  expect(isolated([1, null, 3, null, 4, 5])).toEqual([0, 2]);
  expect(isolated([1, 2, 3])).toBeNull();
  expect(isolated([])).toBeNull();
});

it("pins percent and starts the rest at zero", () => {
  expect(yRange("percent", 3, 12)).toEqual([0, 100]);
  expect(yRange("percent", 0, 380)).toEqual([0, 380]);
  expect(yRange("none", 2, 10)[0]).toBe(0);
  expect(yRange("none", 0, 0)).toEqual([0, 1]);
  expect(yRange("bytes", null, null)).toEqual([0, 1]);
  expect(yRange("celsius", 41, 48)).toEqual([40, 50]);
});

it("labels the day only where it changes", () => {
  const midnight = new Date(2026, 10, 22).getTime();
  const labels = timeLabels([midnight - 3_600_000, midnight, midnight + 3_600_000], 3_600_000);
  expect(labels[0]).toBe("23:00");
  expect(labels[1]).toMatch(/22/);
  expect(labels[2]).toBe("01:00");
  expect(timeLabels([midnight + 5_000], 5_000)).toEqual(["00:00:05"]);
});
