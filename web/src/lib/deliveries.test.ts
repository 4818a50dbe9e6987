import { describe, expect, it } from "vitest";
import type { Delivery } from "../types";
import { actsOf, messagesOf, stateOf } from "./deliveries";

const row = (id: string, state: string, message_id: string | null = null, attempts = 0): Delivery => ({
  id, state, message_id, attempts, channel: { id: "c1", name: "ops", kind: "webhook" }, latency_ms: null, last_error: null,
});

describe("deliveries", () => {
  it("that travelled together are one", () => {
    const messages = messagesOf([row("a", "sent", "m1"), row("b", "queued"), row("c", "sent", "m1"), row("d", "queued")]);
    expect(messages.map((message) => message.rows.map((one) => one.id))).toEqual([["a", "c"], ["b"], ["d"]]);
  });

  it("have words and tones for their states", () => {
    expect(stateOf(row("a", "sent"))).toEqual(["Delivered", "ok"]);
    expect(stateOf(row("a", "dead"))).toEqual(["Given up", "crit"]);
    expect(stateOf(row("a", "queued"))).toEqual(["Waiting", "none"]);
    expect(stateOf(row("a", "queued", null, 2))[1]).toBe("warn");
    expect(stateOf(row("a", "future"))[0]).toBe("future");
  });

  it("can be retried and cancelled where that makes sense", () => {
    expect(actsOf(row("a", "dead"))).toEqual(["retry"]);
    expect(actsOf(row("a", "sent"))).toEqual([]);
    expect(actsOf(row("a", "queued"))).toEqual(["cancel"]);
    expect(actsOf(row("a", "held"))).toEqual(["retry", "cancel"]);
  });
});
