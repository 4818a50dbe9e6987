// What stands around every page: mark, navigation, live state, theme, user.

import { type JSX, Show } from "solid-js";
import { openIncidents } from "../state/incidents";
import { live, type LiveState } from "../state/live";
import { path } from "../state/router";
import { logout, user } from "../state/session";
import { setTheme, type Theme, theme } from "../state/theme";
import { Icon, type IconName, Logo } from "./icons";

const NEXT_THEME: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };
const THEME_ICON: Record<Theme, IconName> = { system: "system", light: "sun", dark: "moon" };
const LIVE_WORD: Record<LiveState, [string, string]> = {
  live: ["Live", "Values arrive as the hub gets them."],
  connecting: ["Connecting", "The live connection is being opened."],
  polling: ["Polling", "The live connection is down; values are fetched every 5 seconds until it is back."],
  off: ["Paused", "Not connected."],
};

export function ThemeButton(): JSX.Element {
  const label = () => `Theme: ${theme()}. Change to ${NEXT_THEME[theme()]}.`;
  return (
    <button type="button" class="button is-quiet" onClick={() => setTheme(NEXT_THEME[theme()])} aria-label={label()} title={label()}>
      <Icon name={THEME_ICON[theme()]} />
    </button>
  );
}

function LiveMark(): JSX.Element {
  return (
    <span class={`live is-${live()}`} title={LIVE_WORD[live()][1]} role="status">
      <span class="live-dot" aria-hidden="true" />
      <span class="live-word">{LIVE_WORD[live()][0]}</span>
    </span>
  );
}

function NavLink(props: { href: string; here: boolean; children: JSX.Element }): JSX.Element {
  return (
    <a href={props.href} aria-current={props.here ? "page" : undefined}>
      {props.children}
    </a>
  );
}

export function Shell(props: { children: JSX.Element }): JSX.Element {
  const inFleet = () => path() === "/" || path().startsWith("/h/");
  const critical = () => openIncidents().some((incident) => !incident.ack);
  return (
    <>
      <a class="skip" href="#main">
        Skip to content
      </a>
      <header class="top">
        <a class="brand" href="/" aria-label="Nightbell, fleet">
          <Logo size={26} />
          <span class="brand-word">Nightbell</span>
        </a>
        <nav aria-label="Pages">
          <NavLink href="/" here={inFleet()}>
            Fleet
          </NavLink>
          <NavLink href="/alerts" here={!inFleet()}>
            Alerts
            <Show when={openIncidents().length > 0}>
              <span class="count" classList={{ "is-crit": critical() }}>
                {openIncidents().length}
                <span class="sr-only"> open</span>
              </span>
            </Show>
          </NavLink>
        </nav>
        <div class="top-end">
          <LiveMark />
          <ThemeButton />
          <span class="who" title={`Role: ${user()?.role ?? ""}`}>
            {user()?.username}
          </span>
          <button type="button" class="button is-quiet" onClick={() => void logout()}>
            Log out
          </button>
        </div>
      </header>
      <main id="main" tabindex="-1">
        {props.children}
      </main>
    </>
  );
}
