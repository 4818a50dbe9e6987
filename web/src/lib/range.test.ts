import { describe, expect, it } from "vitest";
import { clampRange, MAX_SPAN, MIN_SPAN, pan, parseRange, presetRange, rangeParams, rangeSearch, zoomIn, zoomOut } from "./range";

const NOW = Date.parse("2026-11-22T12:00:00Z");
const HOUR = 3_600_000;

describe("parseRange", () => {
  it("is the last hour by default and for nonsense", () => {
    for (const search of ["", "?range=5y", "?start=now-1h&end=", "?start=2026-11-22T11:00:00Z&end=2026-11-22T10:00:00Z"]) {
      expect(parseRange(search, NOW)).toEqual({ start: NOW - HOUR, end: NOW, preset: "1h" });
    }
  });

  it("takes presets and absolute times in three spellings", () => {
    expect(parseRange("?range=7d", NOW)).toMatchObject({ start: NOW - 168 * HOUR, preset: "7d" });
    const wanted = { start: NOW - 2 * HOUR, end: NOW - HOUR, preset: null };
    expect(parseRange("?start=2026-11-22T10:00:00Z&end=2026-11-22T11:00:00Z", NOW)).toEqual(wanted);
    expect(parseRange(`?start=${wanted.start}&end=${wanted.end}`, NOW)).toEqual(wanted);
    expect(parseRange(`?start=${wanted.start / 1000}&end=${wanted.end / 1000}`, NOW)).toEqual(wanted);
  });

  it("comes back through its own query string", () => {
    for (const range of [presetRange("24h", NOW), presetRange("1h", NOW), clampRange(NOW - 90_000, NOW - 30_500, NOW)]) {
      expect(parseRange(rangeSearch(range), NOW)).toEqual(range);
    }
  });
});

describe("clampRange", () => {
  it("never reaches into the future and keeps its width", () => {
    expect(clampRange(NOW - HOUR, NOW + HOUR, NOW)).toEqual({ start: NOW - 2 * HOUR, end: NOW, preset: null });
  });

  it("holds the least and the greatest width", () => {
    const least = clampRange(NOW - HOUR, NOW - HOUR + 10, NOW);
    expect(least.end - least.start).toBe(MIN_SPAN);
    const greatest = clampRange(0, NOW, NOW);
    expect(greatest.end - greatest.start).toBe(MAX_SPAN);
  });
});

describe("zoom and pan", () => {
  it("zooms out through the presets while following the present", () => {
    const steps = ["6h", "24h", "7d", "30d", "90d", "90d"];
    let range = presetRange("1h", NOW);
    for (const step of steps) {
      range = zoomOut(range, NOW);
      expect(range.preset).toBe(step);
    }
  });

  it("doubles a range of the past around its middle", () => {
    const range = clampRange(NOW - 11 * HOUR, NOW - 10 * HOUR, NOW);
    expect(zoomOut(range, NOW)).toEqual({ start: NOW - 11.5 * HOUR, end: NOW - 9.5 * HOUR, preset: null });
  });

  it("zooming in and panning stop following", () => {
    expect(zoomIn(presetRange("1h", NOW), NOW)).toEqual({ start: NOW - 0.75 * HOUR, end: NOW - 0.25 * HOUR, preset: null });
    expect(pan(presetRange("1h", NOW), -0.5, NOW)).toMatchObject({ start: NOW - 1.5 * HOUR, end: NOW - 0.5 * HOUR });
    expect(pan(presetRange("1h", NOW), 0.5, NOW)).toMatchObject({ start: NOW - HOUR, end: NOW });
  });
});

it("hands the API RFC 3339", () => {
  expect(rangeParams(presetRange("1h", NOW))).toEqual({ start: "2026-11-22T11:00:00.000Z", end: "2026-11-22T12:00:00.000Z" });
});
