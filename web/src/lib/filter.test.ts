import { describe, expect, it } from "vitest";
import type { Agent } from "../types";
import { parseFilter, splitTerms } from "./filter";
import { stateOf } from "./levels";

function host(name: string, cpu: number | null, tags: string[] = [], status = "online"): Agent {
  return {
    id: name,
    name,
    status,
    last_seen: null,
    created_at: "",
    version: "0.1.0",
    tags,
    facts: { os: "Debian 12" },
    metrics: { "cpu.usage_percent": cpu, "disk.used_percent{mount=/}": 40, "load.avg_1m": 2 },
    thresholds: {},
  };
}

const FLEET = [host("db-01", 90, ["db", "prod"]), host("web-01", 20, ["prod"]), host("web-02", 75, [], "offline")];

function found(text: string): string[] {
  const filter = parseFilter(text);
  return FLEET.filter((agent) => filter.matches(agent, stateOf(agent))).map((agent) => agent.name);
}

describe("parseFilter", () => {
  it.each([
    ["", ["db-01", "web-01", "web-02"]],
    ["WEB", ["web-01", "web-02"]],
    ["web 01", ["web-01"]],
    ["tag:prod", ["db-01", "web-01"]],
    ["tag:pro", []],
    ["-tag:prod", ["web-02"]],
    ["state:crit", ["db-01"]],
    ["state:down", ["web-02"]],
    ["state:online", ["db-01", "web-01"]],
    ["state:bad", ["db-01", "web-02"]],
    ["cpu>80", ["db-01"]],
    ["cpu<=20%", ["web-01"]],
    ["cpu>=75 -state:down", ["db-01"]],
    ["load.avg_1m>1 name:db", ["db-01"]],
    ['os:"debian 12"', ["db-01", "web-01", "web-02"]],
  ])("%j finds %j", (text, names) => {
    expect(found(text)).toEqual(names);
    expect(parseFilter(text).errors).toEqual([]);
  });

  it("never matches a comparison on a missing value", () => {
    const silent = host("x", null);
    expect(parseFilter("cpu<50").matches(silent, "nodata")).toBe(false);
    expect(parseFilter("cpu>=0").matches(silent, "nodata")).toBe(false);
  });

  it.each(["colour:red", "state:purple", "tag:", "swp>3"])("names what is wrong with %j and goes on", (text) => {
    const filter = parseFilter(text);
    expect(filter.errors).toHaveLength(1);
    expect(filter.matches(FLEET[0]!, "crit")).toBe(true);
  });
});

it("splits terms outside quotes", () => {
  expect(splitTerms('  a "b c" tag:"x y" ')).toEqual(["a", "b c", "tag:x y"]);
});
