// The address bar as signals: real paths, links intercepted, nothing else.

import { createSignal } from "solid-js";

interface Place {
  path: string;
  search: string;
}

function here(): Place {
  return { path: location.pathname, search: location.search };
}

const [place, setPlace] = createSignal<Place>(here(), { equals: (a, b) => a.path === b.path && a.search === b.search });

export const path = () => place().path;
export const search = () => place().search;

/** Goes to an address of this origin. */
export function navigate(href: string, options: { replace?: boolean } = {}): void {
  if (href !== location.pathname + location.search) {
    if (options.replace) history.replaceState(null, "", href);
    else history.pushState(null, "", href);
  }
  const moved = here().path !== place().path;
  setPlace(here());
  if (moved && !options.replace) scrollTo(0, 0);
}

/** Changes one query parameter in place; an empty value removes it. */
export function setQuery(name: string, value: string): void {
  const query = new URLSearchParams(location.search);
  if (value) query.set(name, value);
  else query.delete(name);
  const text = query.toString();
  navigate(location.pathname + (text ? `?${text}` : ""), { replace: true });
}

/** An address to return to after login: only a path of this origin. */
export function safeNext(next: string | null): string {
  return next && /^\/(?![/\\])/.test(next) && !next.startsWith("/login") && !next.startsWith("/setup") ? next : "/";
}

/** Starts listening to the browser's buttons and to plain left clicks on links. */
export function startRouter(): void {
  addEventListener("popstate", () => setPlace(here()));
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
    if (link.pathname.startsWith("/api/") || (link.hash && link.pathname === location.pathname)) return;
    event.preventDefault();
    navigate(link.pathname + link.search);
  });
}
