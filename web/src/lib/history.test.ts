import { describe, expect, it } from "vitest";
import type { History } from "../types";
import { appendSample, gapWidth, summarise } from "./history";

const T0 = 1_763_769_600_000;

function raw(): History {
  return {
    agent: "a",
    start: "",
    end: "",
    tier: "raw",
    points: 3,
    t: [T0, T0 + 15_000, T0 + 30_000],
    series: [{ metric: "cpu.usage_percent", labels: {}, unit: "percent", v: [1, null, 3] }],
  };
}

describe("appendSample", () => {
  it("adds the newest sample and drops what fell out of the range", () => {
    const next = appendSample(raw(), T0 + 45_000, { "cpu.usage_percent": 4 }, T0 + 15_000);
    expect(next.t).toEqual([T0 + 15_000, T0 + 30_000, T0 + 45_000]);
    expect(next.series[0]?.v).toEqual([null, 3, 4]);
  });

  it("keeps a missing value a gap", () => {
    expect(appendSample(raw(), T0 + 45_000, {}, T0).series[0]?.v).toEqual([1, null, 3, null]);
  });

  it("breaks the line over a hole", () => {
    const next = appendSample(raw(), T0 + 200_000, { "cpu.usage_percent": 4 }, T0);
    expect(next.t.slice(-3)).toEqual([T0 + 30_000, T0 + 30_001, T0 + 200_000]);
    expect(next.series[0]?.v.slice(-3)).toEqual([3, null, 4]);
  });

  it("ignores an old sample and leaves rolled-up answers alone", () => {
    const history = raw();
    expect(appendSample(history, T0 + 30_000, {}, T0)).toBe(history);
    const rolled = { ...history, tier: "5m" };
    expect(appendSample(rolled, T0 + 90_000, {}, T0)).toBe(rolled);
  });

  it("starts an empty answer", () => {
    const empty: History = { ...raw(), t: [], series: [{ metric: "cpu.usage_percent", labels: {}, unit: null, v: [] }] };
    expect(appendSample(empty, T0, { "cpu.usage_percent": 7 }, T0 - 1).series[0]?.v).toEqual([7]);
  });
});

it("a hole is three usual spacings, a minute at least", () => {
  expect(gapWidth([0, 15_000, 30_000])).toBe(60_000);
  expect(gapWidth([0, 60_000, 120_000])).toBe(180_000);
  expect(gapWidth([])).toBe(60_000);
});

it("sums up with the extremes of buckets and without gaps", () => {
  const series = { metric: "m.n", labels: {}, unit: null, v: [10, null, 20], min: [5, null, 18], max: [12, null, 90] };
  expect(summarise(series)).toEqual({ last: 20, min: 5, mean: 15, max: 90 });
  expect(summarise({ metric: "m.n", labels: {}, unit: null, v: [null] })).toEqual({ last: null, min: null, mean: null, max: null });
});
