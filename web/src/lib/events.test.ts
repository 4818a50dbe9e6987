import { expect, it } from "vitest";
import { reasonText } from "./events";

it("says what is not said already", () => {
  const agent = { id: "a", name: "db-01" };
  expect(reasonText({ type: "config", agent, reason: "agent:01M8MTTATN20KTRCHWBA4QR7K5: agent.enrol db-01" })).toBe("agent.enrol db-01");
  expect(reasonText({ type: "config", agent: null, reason: "user:ada: rule.change CPU hot" })).toBe("user:ada: rule.change CPU hot");
  expect(reasonText({ type: "agent_registered", agent, reason: "db-01" })).toBe("");
  expect(reasonText({ type: "suppressed", agent, reason: "silence: nightly" })).toBe("silence: nightly");
  expect(reasonText({ type: "fired", agent, reason: null })).toBe("");
});
