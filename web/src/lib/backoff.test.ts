import { expect, it } from "vitest";
import { reconnectDelay } from "./backoff";

it("grows to half a minute, is never zero and jitters fully", () => {
  expect(reconnectDelay(0, 0)).toBe(250);
  expect(reconnectDelay(0, 0.999999)).toBe(1_000);
  expect(reconnectDelay(3, 0.999999)).toBe(8_000);
  expect(reconnectDelay(500, 0.999999)).toBe(30_000);
  expect(reconnectDelay(500, 0)).toBe(250);
});
