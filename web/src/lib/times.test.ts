import { expect, it } from "vitest";
import { fromLocalInput, fullTime, toLocalInput } from "./times";

const TIME = Date.parse("2026-11-22T02:50:15Z");

it("a tooltip's time has seconds and a zone", () => {
  expect(fullTime(TIME)).toMatch(/:50:15/);
  expect(fullTime(TIME)).toMatch(/UTC|GMT|[A-Z]{3,4}/);
});

it("local input comes back to the second", () => {
  expect(fromLocalInput(toLocalInput(TIME))).toBe(TIME);
  expect(fromLocalInput("")).toBeNull();
  expect(fromLocalInput("yesterday")).toBeNull();
});
