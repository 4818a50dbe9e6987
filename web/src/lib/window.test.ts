import { expect, it } from "vitest";
import { visibleRows } from "./window";

it("renders a short table whole", () => {
  expect(visibleRows(60, 44, 0, 800)).toEqual({ from: 0, to: 60, above: 0, below: 0 });
});

it("renders a window with spare rows and keeps the whole height", () => {
  for (const top of [-300, 0, 4_400, 43_999, 90_000]) {
    const slice = visibleRows(1_000, 44, top, 800);
    expect(slice.to - slice.from).toBeLessThanOrEqual(40);
    expect(slice.above + (slice.to - slice.from) * 44 + slice.below).toBe(44_000);
    const firstSeen = Math.min(999, Math.max(0, Math.floor(top / 44)));
    expect(slice.from).toBeLessThanOrEqual(firstSeen);
    expect(slice.to).toBeGreaterThan(firstSeen);
  }
});
