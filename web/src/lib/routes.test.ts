import { describe, expect, it } from "vitest";
import type { Route, Rule } from "../types";
import { blankRoute, conditionsOf, daysText, hoursText, moved, reachOf, someNames, tagsOf } from "./routes";

const route = (part: Partial<Route>): Route => ({ ...blankRoute(), ...part });
const rule = (id: string, severity: string, part: Partial<Rule> = {}) => ({ id, name: id, severity, enabled: true, channels: [], ...part }) as unknown as Rule;
const night = { weekdays: [], from: "22:00", to: "06:00", timezone: null };
const names = (rules: Rule[]) => rules.map((one) => one.id).join();

describe("routes", () => {
  it("says days and hours as people do", () => {
    expect(daysText(["fri", "mon", "wed", "tue", "thu"])).toBe("Mon–Fri");
    expect(daysText(["sun", "sat"])).toBe("Sat, Sun");
    expect(daysText(["mon", "wed"])).toBe("Mon, Wed");
    expect(daysText([])).toBe("");
    expect(hoursText({ ...night, weekdays: ["sat"], timezone: "Europe/Berlin" })).toBe("Sat 22:00–06:00 (Europe/Berlin)");
    expect(hoursText({ ...night, from: "00:00", to: "00:00" })).toBe("24 h from 00:00");
  });

  it("says what a route asks for", () => {
    const asked = route({ severities: ["critical"], tags: ["db", "web"], rules: ["r1"], when: night });
    expect(conditionsOf(asked, (id) => id.toUpperCase())).toEqual(["critical", "tag db or web", "rule R1", "22:00–06:00"]);
    expect(conditionsOf(blankRoute(), String)).toEqual([]);
  });

  it("follows each rule until a route decides for certain", () => {
    const rules = [rule("disk", "critical"), rule("cpu", "warning"), rule("own", "critical", { channels: ["c"] }), rule("off", "critical", { enabled: false })];
    const of = (...routes: Route[]) => {
      const reach = reachOf(routes, rules);
      return [reach.byRoute.map(names).join("|"), names(reach.unheard), names(reach.sometimes)];
    };
    expect(of()).toEqual(["", "", ""]);
    expect(of(route({ channels: ["c"] }), route({}))).toEqual(["disk,cpu|", "", ""]);
    expect(of(route({ continue: true }), route({}))).toEqual(["disk,cpu|disk,cpu", "", ""]);
    expect(of(route({ severities: ["critical"] }))).toEqual(["disk", "cpu", ""]);
    expect(of(route({ tags: ["db"] }), route({ severities: ["critical"] }))).toEqual(["disk,cpu|disk", "", "cpu"]);
    expect(of(route({ when: night, rules: ["cpu"] }))).toEqual(["cpu", "disk", "cpu"]);
    expect(of(route({ when: night }), route({}))).toEqual(["disk,cpu|disk,cpu", "", ""]);
  });

  it("moves one, and never past an end", () => {
    expect(moved(["a", "b", "c"], 2, 0)).toEqual(["c", "a", "b"]);
    expect(moved(["a", "b", "c"], 0, 1)).toEqual(["b", "a", "c"]);
    expect(moved(["a", "b"], 1, 2)).toEqual(["a", "b"]);
    expect(moved(["a", "b"], 0, -1)).toEqual(["a", "b"]);
  });

  it("reads tags and shortens lists", () => {
    expect(tagsOf(" db, web ,,db")).toEqual(["db", "web"]);
    expect(someNames(["a", "b", "c"], 2)).toBe("a, b and 1 more");
    expect(someNames(["a", "b"], 2)).toBe("a, b");
  });
});
