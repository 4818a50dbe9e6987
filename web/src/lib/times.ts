// Times for people, always with the zone they are meant in. Pure but for the
// browser's own locale and zone.

const FULL = new Intl.DateTimeFormat(undefined, {
  year: "numeric",
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
  timeZoneName: "short",
});

const SHORT = new Intl.DateTimeFormat(undefined, {
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  hourCycle: "h23",
});

/** Date, time with seconds and zone: what a tooltip shows. */
export function fullTime(time: number): string {
  return FULL.format(time);
}

/** Day and minute: what a list shows; its `title` carries the full form. */
export function shortTime(time: number): string {
  return SHORT.format(time);
}

/** A time for `<input type="datetime-local">`, in the browser's zone. */
export function toLocalInput(time: number): string {
  const date = new Date(time);
  return new Date(time - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

/** Reads such an input; `null` when it is empty or no time. */
export function fromLocalInput(text: string): number | null {
  const time = new Date(text).getTime();
  return text === "" || Number.isNaN(time) ? null : time;
}
