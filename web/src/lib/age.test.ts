import { expect, it } from "vitest";
import { freshValues, isStale, learnInterval, measuredAt } from "./age";

it("is stale after three heartbeats, or when nothing ever came", () => {
  const now = Date.parse("2026-11-22T12:00:00Z");
  expect(isStale("2026-11-22T11:59:15Z", now)).toBe(false);
  expect(isStale("2026-11-22T11:59:14Z", now)).toBe(true);
  expect(isStale("2026-11-22T11:59:14Z", now, 60_000)).toBe(false);
  expect(isStale("2026-11-22T11:59:14Z", now, 1_000)).toBe(true);
  expect(isStale(null, now)).toBe(true);
});

it("learns an agent's interval from two heartbeats", () => {
  expect(learnInterval(15_000, "2026-11-22T12:00:00Z", "2026-11-22T12:01:00Z")).toBe(60_000);
  expect(learnInterval(15_000, null, "2026-11-22T12:01:00Z")).toBe(15_000);
  expect(learnInterval(15_000, "2026-11-20T12:00:00Z", "2026-11-22T12:01:00Z")).toBe(15_000);
  expect(learnInterval(15_000, "2026-11-22T12:01:00Z", "2026-11-22T12:01:00Z")).toBe(15_000);
});

it("tells values of the last heartbeat from those that were measured before", () => {
  const older = { "smart.a": "2026-11-22T11:20:00.000Z", "smart.b": "2026-11-22T11:30:00.000Z" };
  expect(freshValues({ "cpu.usage_percent": 5, "smart.a": 1 }, older)).toEqual({ "cpu.usage_percent": 5 });
  expect(freshValues({ "cpu.usage_percent": 5 })).toEqual({ "cpu.usage_percent": 5 });
  expect(measuredAt(["smart.a", "smart.b"], older)).toBe(Date.parse("2026-11-22T11:30:00.000Z"));
  expect(measuredAt(["smart.a", "cpu.usage_percent"], older)).toBeNull();
  expect(measuredAt(["smart.a"])).toBeNull();
  expect(measuredAt([], older)).toBeNull();
});
