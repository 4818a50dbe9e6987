import { expect, it } from "vitest";
import type { Agent } from "../types";
import { mergeAgent, mergeFleet } from "./merge";

const AGENT: Agent = {
  id: "a",
  name: "db-01",
  status: "online",
  last_seen: "2026-11-22T12:00:00.000Z",
  created_at: "",
  version: null,
  tags: ["db"],
  facts: {},
  metrics: { "cpu.usage_percent": 10, "mem.used_percent": 50 },
  thresholds: {},
};

it("changes what the delta names and keeps the rest", () => {
  const next = mergeAgent(AGENT, { id: "a", last_seen: "2026-11-22T12:00:15.000Z", metrics: { "cpu.usage_percent": 20 } });
  expect(next).not.toBe(AGENT);
  expect(next.metrics).toEqual({ "cpu.usage_percent": 20, "mem.used_percent": 50 });
  expect(next.tags).toEqual(["db"]);
  expect(AGENT.metrics["cpu.usage_percent"]).toBe(10);
});

it("keeps null as a value that is missing now", () => {
  expect(mergeAgent(AGENT, { id: "a", metrics: { "cpu.usage_percent": null } }).metrics["cpu.usage_percent"]).toBeNull();
});

it("knows which values are older than the last heartbeat", () => {
  const [wear, health] = ["smart.wear_percent{device=sda}", "smart.healthy{device=sda}"];
  const older = { [wear]: "2026-11-22T11:20:00.000Z", [health]: "2026-11-22T11:20:00.000Z" };
  const known = mergeAgent(AGENT, { id: "a", metrics: { [wear]: 7, [health]: 1 }, older });
  expect(known.older).toEqual(older);
  const brief = mergeAgent(known, { id: "a", metrics: { "cpu.usage_percent": 20 } });
  expect(brief.older).toEqual(older);
  const read = mergeAgent(brief, { id: "a", metrics: { [wear]: 8, [health]: 1 }, older: { [health]: older[health] as string } });
  expect(read.older).toEqual({ [health]: older[health] });
});

it("is the same object when nothing changed", () => {
  expect(mergeAgent(AGENT, { id: "a", status: "online", last_seen: AGENT.last_seen, metrics: {} })).toBe(AGENT);
});

it("does not let an older frame undo a newer one", () => {
  expect(mergeAgent(AGENT, { id: "a", last_seen: "2026-11-22T11:59:00.000Z", metrics: { "cpu.usage_percent": 99 } })).toBe(AGENT);
});

it("an offline notice without a time still counts", () => {
  expect(mergeAgent(AGENT, { id: "a", status: "offline" }).status).toBe("offline");
});

it("tells changed agents from unknown ones", () => {
  const merged = mergeFleet(new Map([["a", AGENT]]), [{ id: "a", status: "offline" }, { id: "b", status: "online" }]);
  expect(merged.changed.map((agent) => agent.status)).toEqual(["offline"]);
  expect(merged.unknown).toEqual(["b"]);
});
