import { describe, expect, it } from "vitest";
import type { Forecast } from "../types";
import { byAgent, fullHint, fullIn, fullText, fullTone } from "./forecast";

const NOW = Date.parse("2026-11-22T00:00:00Z");
const forecast = (agent: string, full_at: string): Forecast => ({
  agent: { id: agent, name: agent }, metric: "disk.used_percent", labels: { mount: "/data" }, value: 90, full_at, full_in_seconds: 0, per_hour: 0.8123, confidence: 0.87, window_seconds: 86_400,
});

describe("a disk that fills up", () => {
  it("says when it is full, the further ahead the more roughly", () => {
    expect(fullIn(forecast("a", "2026-11-24T04:00:00Z"), NOW)).toBe(52 * 3600);
    expect([11.6 * 86_400, 52 * 3600 + 59, 14 * 3600 - 60, 5 * 3600 + 90, 20, -5].map(fullText)).toEqual(["12 d", "2 d 4 h", "14 h", "5 h 2 min", "1 min", "now"]);
    expect([3600, 86_400, 3 * 86_400].map(fullTone)).toEqual(["crit", "warn", "none"]);
  });

  it("says what that rests on", () => {
    expect(fullHint(forecast("a", "2026-11-24T04:00:00Z"), NOW)).toBe("/data is full in 2 d 4 h at 0.81 % an hour, by the trend of the last 1 d (confidence 87 %)");
    const sure = (confidence: number) => fullHint({ ...forecast("a", "2026-11-24T04:00:00Z"), confidence }, NOW).match(/confidence (.*)\)/)?.[1];
    expect([1, 0.9975, 0.994, 0.0001].map(sure)).toEqual(["100 %", "over 99 %", "99 %", "under 1 %"]);
  });

  it("stands by agent, the soonest first", () => {
    const map = byAgent([forecast("a", "2026-11-25T00:00:00Z"), forecast("b", "2026-11-26T00:00:00Z"), forecast("a", "2026-11-24T00:00:00Z")]);
    expect(map.get("a")?.map((one) => one.full_at.slice(8, 10))).toEqual(["24", "25"]);
    expect(map.get("b")).toHaveLength(1);
  });
});
