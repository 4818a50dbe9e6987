// Light, dark, or as the system says. The choice is kept in this browser.

import { createSignal } from "solid-js";

export type Theme = "system" | "light" | "dark";
const KEY = "nightbell.theme";

function stored(): Theme {
  const theme = document.documentElement.dataset.theme;
  return theme === "light" || theme === "dark" ? theme : "system";
}

const system = matchMedia("(prefers-color-scheme: dark)");
const [theme, setSignal] = createSignal<Theme>(stored());
const [systemDark, setSystemDark] = createSignal(system.matches);
system.addEventListener("change", (event) => setSystemDark(event.matches));

export { theme };

/** Whether the page is dark right now. */
export const isDark = () => theme() === "dark" || (theme() === "system" && systemDark());

export function setTheme(next: Theme): void {
  if (next === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  try {
    if (next === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, next);
  } catch {
    // Storage may be forbidden; the choice then lasts as long as the page.
  }
  setSignal(next);
}
