import { describe, expect, it } from "vitest";
import { busiest, frameOf, linePath, type Preview, tidy, valueAt, verdict, xOf, yOf } from "./replay";

const preview = (agents: number, incidents: number, notices: number, notices_at_night: number): Preview => ({
  totals: { agents, incidents, notices, notices_at_night },
  series: [],
  stats: { p50: null, p95: null, p99: null, max: null },
  suggested_threshold: null,
  resolution: { tiers: [], step_seconds: null, hides: null },
});

describe("a preview", () => {
  it("is said in words", () => {
    expect(verdict(preview(0, 0, 0, 0))).toBe("It would not have fired.");
    expect(verdict(preview(1, 1, 0, 0))).toBe("It would have fired once on 1 host.");
    expect(verdict(preview(2, 9, 14, 3))).toBe("It would have fired 9 times on 2 hosts and sent 14 pages, 3 at night.");
    expect(verdict(preview(1, 1, 1, 0))).toBe("It would have fired once on 1 host and sent 1 page, none at night.");
  });

  it("shows first where most happened", () => {
    const of = (agent: string, count: number) => ({ agent, metric: "m", labels: {}, notices: [], incidents: Array(count).fill({ fired_at: 1, resolved_at: null, peak: 1 }) });
    expect(busiest([of("a", 0), of("b", 3), of("c", 1)]).map((series) => series.agent)).toEqual(["b", "c", "a"]);
  });

  it("frames values and threshold", () => {
    const frame = frameOf(0, 10, [20, null, 50], 90);
    expect(frame.low).toBe(0);
    expect(frame.high).toBeGreaterThan(90);
    expect(frameOf(0, 10, [], null).high).toBeGreaterThan(0);
    expect(frameOf(0, 10, [-5, 5], null).low).toBeLessThan(-5);
  });

  it("breaks its line at a gap", () => {
    const frame = { start: 0, end: 4, low: 0, high: 10 };
    expect(linePath([0, 1, 2, 3, 4], [0, 10, null, 5, 5], frame, 40, 100)).toBe("M0.0 100.0L10.0 0.0M30.0 50.0L40.0 50.0");
  });

  it("turns places into values and back", () => {
    const frame = { start: 0, end: 4, low: 0, high: 100 };
    expect(valueAt(yOf(42.5, frame, 200), frame, 200)).toBe(42.5);
    expect(valueAt(-50, frame, 200)).toBe(100);
    expect(xOf(9, frame, 40)).toBe(40);
    expect(tidy(1_234_567_890, 5_000_000)).toBe(1_235_000_000);
    expect(tidy(0.123456, 0.0004)).toBe(0.1235);
  });
});
