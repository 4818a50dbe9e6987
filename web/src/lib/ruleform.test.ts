import { describe, expect, it } from "vitest";
import { blank, bodyOf, faultOf, fieldsOf, KINDS, kindOf, labelsOf, levelOf, levelText, nextStep, sentence, withKind } from "./ruleform";

const NOBODY = { channels: [], escalation: [] };

describe("a rule's form", () => {
  it("makes a forecast of few fields", () => {
    const body = bodyOf({ ...withKind(blank(), "forecast"), name: " Disk fills up " }, { channels: ["c1"], escalation: [] });
    expect(body).toMatchObject({ name: "Disk fills up", kind: "forecast", metric: "disk.used_percent", op: ">=", threshold: 100, horizon: "3d", channels: ["c1"] });
    expect(body).not.toHaveProperty("per");
    expect(body).not.toHaveProperty("window");
    expect(body).not.toHaveProperty("repeat");
  });

  it("leaves what a kind says for itself to the hub", () => {
    for (const kind of KINDS.filter((kind) => !kind.fields.includes("op"))) {
      const body = bodyOf({ ...withKind(blank(), kind.name), name: "x" }, NOBODY, { kind: "threshold", metric: "cpu.usage_percent", op: ">", threshold: 3, matchers: [1] });
      expect(Object.keys(body)).not.toEqual(expect.arrayContaining(["metric"]));
      expect(body).not.toHaveProperty("matchers");
      expect("threshold" in body).toBe(kind.name === "process_missing");
    }
  });

  it("keeps what it does not show", () => {
    const before = { id: "r1", kind: "threshold", metric: "disk.used_percent", op: ">", threshold: { level: "crit" }, clear: { margin: 5 }, matchers: ["m"], key: "disk", fold_late: false,
      labels: { mount: "/" }, scope: { tag: "db" }, severity: "critical", for: "5m", name: "Disk", channels: ["a"], escalation: [{ after: "15m", channels: ["b"] }, { after: "1h", channels: ["c"] }] };
    const body = bodyOf(fieldsOf(before), { channels: ["a"], escalation: before.escalation }, before);
    expect(body).toEqual(before);
  });

  it("escalates by as many steps as there are", () => {
    const steps = [{ after: "15m", channels: ["b"] }, { after: "30m", channels: [] }];
    expect(bodyOf(blank(), { channels: [], escalation: steps }).escalation).toEqual(steps);
    expect(bodyOf(blank(), NOBODY, { escalation: steps }).escalation).toEqual([]);
    expect([nextStep([]), nextStep(steps), nextStep([{ after: "soon", channels: [] }])].map((step) => step.after)).toEqual(["15m", "60m", "15m"]);
  });

  it("writes levels as people do", () => {
    for (const value of [90, -0.5, { level: "crit" }, { margin: 5 }, null]) expect(levelOf(levelText(value))).toEqual(value);
    expect(levelOf("ninety")).toBe("ninety");
    expect(levelOf("margin x")).toBe("margin x");
  });

  it("reads labels", () => {
    expect(labelsOf("mount=/data, kind = a=b ,")).toEqual({ mount: "/data", kind: "a=b" });
    expect(labelsOf("")).toEqual({});
  });

  it("finds a field's fault by its pointer", () => {
    const faults = [{ pointer: "/scope/agent", detail: "no such agent" }, { pointer: "#/for", detail: "no duration" }, { pointer: "/escalation/1/after", detail: "too late" }];
    expect(faultOf(faults, "escalation/0")).toBe("");
    expect(faultOf(faults, "escalation/1")).toBe("too late");
    expect(faultOf(faults, "scope")).toBe("no such agent");
    expect(faultOf(faults, "for")).toBe("no duration");
    expect(faultOf(faults, "name")).toBe("");
  });

  it("says a rule in one line", () => {
    expect(sentence({ kind: "threshold", metric: "cpu.usage_percent", op: ">", threshold: 90, for: "5m" })).toBe("cpu.usage_percent > 90 for 5m");
    expect(sentence({ kind: "forecast", metric: "disk.used_percent", labels: { mount: "/" }, op: ">=", threshold: 100, horizon: "3days", for: "0s" }))
      .toBe("disk.used_percent{mount=/} >= 100 within 3days");
    expect(sentence({ kind: "unit_failed", labels: {} })).toBe("Unit failed");
    expect(kindOf("future").name).toBe("threshold");
  });
});
