import { describe, expect, it } from "vitest";
import type { Agent } from "../types";
import { levelOf, stateOf, stateRank, thresholdOf, worse, worstCell } from "./levels";

const THRESHOLD = { warn: 70, crit: 85 };

function agent(over: Partial<Agent> = {}): Agent {
  return {
    id: "1",
    name: "db-01",
    status: "online",
    last_seen: null,
    created_at: "",
    version: null,
    tags: [],
    facts: {},
    metrics: {},
    thresholds: { "cpu.usage_percent": { warn: 70, crit: 85, custom: false } },
    ...over,
  };
}

describe("levelOf", () => {
  it.each([
    [0, "ok"],
    [69.99, "ok"],
    [70, "warn"],
    [84.99, "warn"],
    [85, "crit"],
    [100, "crit"],
    [null, "none"],
    [undefined, "none"],
    [Number.NaN, "none"],
  ] as const)("%s is %s", (value, level) => {
    expect(levelOf(value, THRESHOLD)).toBe(level);
  });

  it("turns round where low is bad", () => {
    const battery = { warn: 30, crit: 10 };
    expect(levelOf(50, battery)).toBe("ok");
    expect(levelOf(30, battery)).toBe("warn");
    expect(levelOf(9, battery)).toBe("crit");
  });

  it("takes half a threshold and none", () => {
    expect(levelOf(90, { warn: null, crit: 85 })).toBe("crit");
    expect(levelOf(90, { warn: 80, crit: null })).toBe("warn");
    expect(levelOf(90, undefined)).toBe("ok");
  });
});

it("finds a threshold by full key, then by metric, then the headline default", () => {
  const own = { "disk.used_percent{mount=/}": { warn: 50, crit: 60 }, "disk.used_percent": { warn: 80, crit: 90 } };
  expect(thresholdOf(own, "disk.used_percent{mount=/}")?.warn).toBe(50);
  expect(thresholdOf(own, "disk.used_percent{mount=/data}")?.warn).toBe(80);
  expect(thresholdOf({}, "mem.used_percent")).toMatchObject({ warn: 70, crit: 85 });
  expect(thresholdOf({}, "load.avg_1m")).toBeUndefined();
});

describe("worstCell", () => {
  it("shows the fullest disk, and a worse level before a higher value", () => {
    const host = agent({
      metrics: { "disk.used_percent{mount=/}": 60, "disk.used_percent{mount=/data}": 65, "disk.used_percent{mount=/b}": null },
    });
    expect(worstCell(host, "disk.used_percent")).toMatchObject({ value: 65, level: "ok", count: 3 });
    host.thresholds["disk.used_percent{mount=/}"] = { warn: 50, crit: 99, custom: true };
    expect(worstCell(host, "disk.used_percent")).toMatchObject({ value: 60, level: "warn" });
  });

  it("is N/A without a series", () => {
    expect(worstCell(agent(), "mem.used_percent")).toMatchObject({ value: null, level: "none", count: 0 });
  });
});

describe("stateOf", () => {
  it("is the worst level while online", () => {
    expect(stateOf(agent())).toBe("nodata");
    expect(stateOf(agent({ metrics: { "cpu.usage_percent": 10 } }))).toBe("ok");
    expect(stateOf(agent({ metrics: { "cpu.usage_percent": 10, "disk.used_percent{mount=/}": 96 } }))).toBe("crit");
  });

  it("offline and paused win over levels", () => {
    expect(stateOf(agent({ status: "offline", metrics: { "cpu.usage_percent": 10 } }))).toBe("offline");
    expect(stateOf(agent({ paused: true, status: "offline" }))).toBe("paused");
  });

  it("ranks worst first", () => {
    const order = (["ok", "warn", "offline", "nodata", "crit"] as const).toSorted((a, b) => stateRank(a) - stateRank(b));
    expect(order).toEqual(["offline", "crit", "warn", "nodata", "ok"]);
  });
});

it("worse never prefers the unknown", () => {
  expect(worse("none", "ok")).toBe("ok");
  expect(worse("crit", "warn")).toBe("crit");
});
