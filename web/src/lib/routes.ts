// Routes in words, which rules come as far as which route, and the body that
// their form makes. Pure: the hub checks the values.

import type { Hours, Route, Rule } from "../types";

export const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
const DAY_WORDS: Record<string, string> = { mon: "Mon", tue: "Tue", wed: "Wed", thu: "Thu", fri: "Fri", sat: "Sat", sun: "Sun" };

/** A route that is met by everything and tells nobody yet. */
export function blankRoute(): Route {
  return { severities: [], tags: [], rules: [], when: null, channels: [], continue: false };
}

/** Hours as they begin in a form: at night, on every day. */
export function freshHours(timezone: string): Hours {
  return { weekdays: [], from: "22:00", to: "07:00", timezone };
}

/** `Mon–Fri`, `Sat, Sun`; empty for every day. */
export function daysText(weekdays: readonly string[]): string {
  const at = DAYS.flatMap((day, index) => (weekdays.includes(day) ? [index] : []));
  if (at.length === 0 || at.length === DAYS.length) return "";
  const word = (index: number | undefined) => DAY_WORDS[DAYS[index ?? 0] ?? ""] ?? "";
  const first = at[0] ?? 0;
  const unbroken = at.every((index, nth) => index === first + nth);
  return unbroken && at.length > 2 ? `${word(first)}–${word(at.at(-1))}` : at.map(word).join(", ");
}

/** `Mon–Fri 22:00–07:00 (Europe/Berlin)`; the hub's zone goes without saying. */
export function hoursText(hours: Hours): string {
  const zone = hours.timezone ? ` (${hours.timezone})` : "";
  const whole = hours.from.slice(0, 5) === hours.to.slice(0, 5);
  const clock = whole ? `24 h from ${hours.from.slice(0, 5)}` : `${hours.from.slice(0, 5)}–${hours.to.slice(0, 5)}`;
  return `${[daysText(hours.weekdays), clock].filter(Boolean).join(" ")}${zone}`;
}

/** What a route asks for, each condition by itself; none is everything. */
export function conditionsOf(route: Route, ruleName: (id: string) => string): string[] {
  const either = (words: readonly string[]) => words.join(" or ");
  return [
    route.severities.length > 0 ? either(route.severities) : "",
    route.tags.length > 0 ? `tag ${either(route.tags)}` : "",
    route.rules.length > 0 ? `rule ${either(route.rules.map(ruleName))}` : "",
    route.when ? hoursText(route.when) : "",
  ].filter(Boolean);
}

const fits = (route: Route, rule: Rule) =>
  (route.severities.length === 0 || route.severities.includes(rule.severity)) && (route.rules.length === 0 || route.rules.includes(rule.id));

/** Which rules come as far as each route, and who might be told of nothing. */
export interface Reach {
  /** By route: the rules that may be told by it. */
  byRoute: Rule[][];
  /** Rules that no route fits, ever. */
  unheard: Rule[];
  /** Rules that a route fits only at certain hours or on certain hosts. */
  sometimes: Rule[];
}

/** Follows each rule without channels from the first route on. A tag or hours may or may not fit; all else is certain. */
export function reachOf(routes: readonly Route[], rules: readonly Rule[]): Reach {
  const reach: Reach = { byRoute: routes.map(() => []), unheard: [], sometimes: [] };
  if (routes.length === 0) return reach;
  for (const rule of rules.filter((rule) => rule.enabled && rule.channels.length === 0)) {
    let found = false;
    let sure = false;
    for (const [at, route] of routes.entries()) {
      if (!fits(route, rule)) continue;
      reach.byRoute[at]?.push(rule);
      found = true;
      const certain = route.tags.length === 0 && !route.when;
      // A route that tells nobody is somebody's decision and no oversight.
      sure ||= certain;
      if (certain && !route.continue) break;
    }
    if (!found) reach.unheard.push(rule);
    else if (!sure) reach.sometimes.push(rule);
  }
  return reach;
}

/** The list with one of its entries somewhere else. */
export function moved<T>(list: readonly T[], from: number, to: number): T[] {
  const left = list.filter((_, at) => at !== from);
  const taken = list[from];
  return taken === undefined || to < 0 || to >= list.length ? [...list] : [...left.slice(0, to), taken, ...left.slice(to)];
}

/** `db, web` as tags, once each. */
export function tagsOf(text: string): string[] {
  return [...new Set(text.split(",").map((tag) => tag.trim()).filter(Boolean))];
}

/** "A, B and 3 more". */
export function someNames(names: readonly string[], most: number): string {
  const more = names.length - most;
  return more > 0 ? `${names.slice(0, most).join(", ")} and ${more} more` : names.join(", ");
}
