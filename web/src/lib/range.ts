// The time range of a page as its URL says it: `?range=24h` follows the
// present, `?start=…&end=…` stands still. Pure; told what time it is.

export interface Range {
  /** Epoch milliseconds. */
  start: number;
  end: number;
  /** The preset's name where the range ends now; it moves with time. */
  preset: string | null;
}

const HOUR = 3_600_000;
export const PRESETS: readonly [string, number][] = [
  ["1h", HOUR],
  ["6h", 6 * HOUR],
  ["24h", 24 * HOUR],
  ["7d", 7 * 24 * HOUR],
  ["30d", 30 * 24 * HOUR],
  ["90d", 90 * 24 * HOUR],
];
export const DEFAULT_PRESET = "1h";
/** Nothing is measured finer than a second, so less than this shows nothing more. */
export const MIN_SPAN = 30_000;
/** Daily rollups end after 90 days by default; a year leaves room for longer retention. */
export const MAX_SPAN = 366 * 24 * HOUR;

/** The range that a query string names; what it does not understand becomes the default. */
export function parseRange(search: string, now: number): Range {
  const query = new URLSearchParams(search);
  const start = parseTime(query.get("start"));
  const end = parseTime(query.get("end"));
  if (start !== null && end !== null && end > start) return clampRange(start, end, now);
  return presetRange(query.get("range") ?? DEFAULT_PRESET, now);
}

/** A preset's range ending now. */
export function presetRange(name: string, now: number): Range {
  const known = PRESETS.find(([preset]) => preset === name) ?? (PRESETS[0] as [string, number]);
  return { start: now - known[1], end: now, preset: known[0] };
}

/** The query string of a range, with the leading `?`. */
export function rangeSearch(range: Range): string {
  if (range.preset) return range.preset === DEFAULT_PRESET ? "" : `?range=${range.preset}`;
  return `?start=${iso(range.start)}&end=${iso(range.end)}`;
}

/** `start` and `end` as the API takes them. */
export function rangeParams(range: Range): { start: string; end: string } {
  return { start: new Date(range.start).toISOString(), end: new Date(range.end).toISOString() };
}

/** Keeps a range at least `MIN_SPAN` and at most `MAX_SPAN` wide and not in the future. */
export function clampRange(start: number, end: number, now: number): Range {
  const span = Math.min(MAX_SPAN, Math.max(MIN_SPAN, end - start));
  const middle = (start + end) / 2;
  const last = Math.min(now, Math.round(middle + span / 2));
  return { start: last - Math.round(span), end: last, preset: null };
}

/** Twice as wide around the same middle; touching the present, the next wider preset. */
export function zoomOut(range: Range, now: number): Range {
  const span = range.end - range.start;
  if (range.preset || range.end + span / 2 >= now) {
    const wider = PRESETS.find(([, width]) => width > span * 1.01);
    if (wider && (range.preset || wider[1] >= span * 2)) return presetRange(wider[0], now);
    if (range.preset) return range;
  }
  return clampRange(range.start - span / 2, range.end + span / 2, now);
}

/** Half as wide around the same middle. */
export function zoomIn(range: Range, now: number): Range {
  const quarter = (range.end - range.start) / 4;
  return clampRange(range.start + quarter, range.end - quarter, now);
}

/** Moved by a share of its own width, never past the present. */
export function pan(range: Range, share: number, now: number): Range {
  const by = (range.end - range.start) * share;
  return clampRange(range.start + by, range.end + by, now);
}

function iso(time: number): string {
  return new Date(time).toISOString().replace(/\.000Z$/, "Z");
}

function parseTime(text: string | null): number | null {
  if (!text) return null;
  if (/^\d{9,10}$/.test(text)) return Number(text) * 1000;
  if (/^\d{12,13}$/.test(text)) return Number(text);
  const time = Date.parse(text);
  return Number.isNaN(time) ? null : time;
}
