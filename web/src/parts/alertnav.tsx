// What stands over every alerting page: its neighbours, and what everybody
// should know: pages that are withheld now, channels that do not work.

import { createEffect, For, type JSX, onCleanup, onMount, Show } from "solid-js";
import { withheldText } from "../lib/silenceform";
import { banner, loadBanner } from "../state/alerting";
import { now } from "../state/clock";
import { latestEvent } from "../state/live";
import { path } from "../state/router";
import { Icon } from "./icons";

const PAGES: readonly [string, string][] = [
  ["/alerts", "Now"],
  ["/rules", "Rules"],
  ["/routes", "Routes"],
  ["/silences", "Silences"],
  ["/deliveries", "Deliveries"],
];
const REFRESH_MS = 30_000;
const AFFECTING = new Set(["config", "channel_broken"]);

export function AlertNav(): JSX.Element {
  return (
    <nav class="tabs" aria-label="Alerting">
      <For each={PAGES}>
        {([href, word]) => (
          <a href={href} aria-current={path() === href ? "true" : undefined}>
            {word}
          </a>
        )}
      </For>
    </nav>
  );
}

/** Pages that are withheld now, and until when. */
export function AlertBanner(): JSX.Element {
  const load = () => void loadBanner().catch(() => {});
  onMount(load);
  const timer = setInterval(load, REFRESH_MS);
  onCleanup(() => clearInterval(timer));
  createEffect(() => AFFECTING.has(latestEvent()?.type ?? "") && load());
  const withheld = () => withheldText(banner(), now());
  const broken = () => banner()?.channels_broken ?? [];
  return (
    <>
      <Show when={broken().length > 0}>
        <div class="banner is-crit" role="alert">
          <Icon name="crit" />
          <span class="banner-text">
            <strong>{broken().map((channel) => channel.name).join(", ")}</strong> {broken().length === 1 ? "refuses its pages." : "refuse their pages."}{" "}
            {banner()?.fallback_channel ? "The fallback channel is told." : "There is no fallback channel."}
          </span>
          <a class="button" href="/deliveries?state=dead">
            Deliveries
          </a>
        </div>
      </Show>
      <Show when={withheld()}>
        <div class="banner" role="status">
          <Icon name="paused" />
          <span class="banner-text">
            <strong>Pages are withheld:</strong> {withheld()}
          </span>
          <a class="button" href="/silences">
            Silences
          </a>
        </div>
      </Show>
    </>
  );
}
