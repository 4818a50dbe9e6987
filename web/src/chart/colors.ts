// The style sheet's colours as a canvas needs them: resolved for the theme
// that is on.

const TOKENS = ["text", "muted", "grid", "surface", "ok", "warn", "crit", "band"] as const;
const LINES = 8;

export type ChartColors = Record<(typeof TOKENS)[number], string> & { lines: string[] };

/** Reads the colours as they are right now; a custom property alone would not be resolved. */
export function readColors(): ChartColors {
  const probe = document.createElement("span");
  document.body.append(probe);
  const read = (token: string) => {
    probe.style.color = `var(--${token})`;
    return getComputedStyle(probe).color;
  };
  const colors = Object.fromEntries(TOKENS.map((token) => [token, read(token)])) as Record<(typeof TOKENS)[number], string>;
  const lines = Array.from({ length: LINES }, (_, index) => read(`line-${index + 1}`));
  probe.remove();
  return { ...colors, lines };
}

/** The colour of a line; they come round again after the last. */
export function lineColor(colors: ChartColors, index: number): string {
  return colors.lines[index % colors.lines.length] ?? colors.text;
}

/** An `rgb(…)` colour with an alpha of its own. */
export function faded(color: string, alpha: number): string {
  const parts = /^rgba?\(([^)]+)\)$/.exec(color)?.[1]?.split(/[,/]\s*/);
  return parts ? `rgba(${parts.slice(0, 3).join(", ")}, ${alpha})` : color;
}
