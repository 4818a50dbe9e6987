// What time it is for the pages: the hub's time, ticking once a second while
// somebody looks.

import { createSignal } from "solid-js";
import { clockOffset } from "./api";

const hubNow = () => Date.now() + clockOffset();
const [now, setNow] = createSignal(hubNow());

/** The hub's time in epoch milliseconds, renewed every second. */
export { now };

/** The hub's time at this very moment, for use outside of rendering. */
export { hubNow };

export function startClock(): void {
  const tick = () => {
    if (!document.hidden) setNow(hubNow());
  };
  setInterval(tick, 1_000);
  document.addEventListener("visibilitychange", tick);
}
