import { describe, expect, it } from "vitest";
import type { Banner, Silence } from "../types";
import { blankSilence, cronOf, matchersOf, silenceBody, silenceChanges, silenceFields, whomText, withheldText } from "./silenceform";

describe("a silence's form", () => {
  it("makes one that comes again", () => {
    const body = silenceBody({ ...blankSilence("Europe/Berlin"), kind: "maintenance", when: "again", scope: "tag:db", matchers: "mount=~/data.*" }, 5);
    expect(body).toEqual({
      kind: "maintenance", duration: "2h", comment: "", cron: "30 2 * * sun", timezone: "Europe/Berlin", tag: "db",
      matchers: [{ label: "mount", op: "=~", value: "/data.*" }],
    });
  });

  it("makes one that comes once", () => {
    expect(silenceBody({ ...blankSilence("UTC"), scope: "agent:a1", up_to: "warning" }, 0)).toEqual({
      kind: "silence", duration: "2h", comment: "", starts_at: "1970-01-01T00:00:00.000Z", agent: "a1", severity_up_to: "warning",
    });
    expect(silenceBody(blankSilence("UTC"), null)).not.toHaveProperty("starts_at");
  });

  it("shows one that there is, and says only what was changed", () => {
    const days = ["", "sun"];
    const once = {
      kind: "silence", starts_at: "1970-01-01T00:00:00.000Z", ends_at: "1970-01-01T01:30:00.000Z", cron: null, timezone: null, duration: null, agent: null, tag: "db", rule: "r1",
      metric: null, matchers: [{ label: "m", op: "=~", value: "a,b" }], severity_up_to: "critical", comment: "why",
    } as unknown as Silence;
    const fields = silenceFields(once, days, String);
    expect(fields).toMatchObject({ when: "once", starts_at: "0", duration: "90m", scope: "tag:db", rule: "r1", matchers: "m=~a,b", up_to: "", comment: "why" });
    const before = silenceBody(fields, 0);
    expect(silenceChanges(before, silenceBody(fields, 0))).toEqual({});
    expect(silenceChanges(before, silenceBody({ ...fields, rule: "", matchers: "", comment: "new" }, 0))).toEqual({ rule: null, matchers: [], comment: "new" });
    expect(silenceChanges(before, silenceBody({ ...fields, duration: "2h" }, 0))).toEqual({ duration: "2h" });
    expect(silenceChanges(before, silenceBody(fields, 60_000))).toEqual({ starts_at: "1970-01-01T00:01:00.000Z", duration: "90m" });
    expect(silenceChanges(before, silenceBody({ ...fields, when: "again" }, 0))).toEqual({ cron: "30 2 * * sun", duration: "90m", starts_at: null });
  });

  it("shows when one comes again", () => {
    const again = { kind: "maintenance", starts_at: "1970-01-01T00:00:00.000Z", ends_at: null, timezone: "UTC", duration: "2h", matchers: [], comment: "" };
    const fields = (cron: string) => silenceFields({ ...again, cron } as unknown as Silence, ["", "sun"], String);
    expect(fields("5 7 * * sun")).toMatchObject({ when: "again", time: "07:05", days: "sun", cron: "", duration: "2h", timezone: "UTC" });
    expect(fields("30 12 * * *")).toMatchObject({ time: "12:30", days: "", cron: "" });
    for (const odd of ["*/5 * * * *", "0 3 1 * *", "0 3 * * tue,thu"]) {
      expect(fields(odd).cron).toBe(odd);
      expect(silenceBody(fields(odd), null).cron).toBe(odd);
    }
    const before = silenceBody(fields("5 7 * * sun"), null);
    expect(silenceChanges(before, silenceBody({ ...fields("5 7 * * sun"), when: "once" }, null))).toEqual({ cron: null, timezone: null, duration: "2h" });
  });

  it("writes cron and reads conditions", () => {
    expect(cronOf("07:05", "mon,tue")).toBe("5 7 * * mon,tue");
    expect(cronOf("00:00", "")).toBe("0 0 * * *");
    expect(matchersOf("a=1, b!=2 , c!~x.*,")).toEqual([
      { label: "a", op: "=", value: "1" }, { label: "b", op: "!=", value: "2" }, { label: "c", op: "!~", value: "x.*" },
    ]);
    expect(matchersOf("nonsense")).toEqual([{ label: "nonsense", op: "", value: "" }]);
  });

  it("says whom it is for", () => {
    const silence = { agent: "a1", tag: null, rule: "r1", metric: null, matchers: [{ label: "m", op: "=", value: "/" }], severity_up_to: "warning" } as unknown as Silence;
    expect(whomText(silence, (id) => id.toUpperCase())).toBe("A1, rule R1, m=/, up to warning");
    expect(whomText({ ...silence, agent: null, rule: null, matchers: [], severity_up_to: null }, String)).toBe("everything");
  });

  it("says what is withheld and for how long", () => {
    const none = { active: 0, ends_at: null };
    const banner: Banner = { silences: { active: 2, ends_at: new Date(3_840_000).toISOString() }, maintenance: { active: 1, ends_at: null }, quiet_hours: none, channels_broken: [], fallback_channel: null };
    expect(withheldText(banner, 0)).toBe("2 silences (first ends in 1 h 4 min), 1 maintenance");
    expect(withheldText({ ...banner, silences: none, maintenance: none }, 0)).toBe("");
    expect(withheldText(null, 0)).toBe("");
  });
});
