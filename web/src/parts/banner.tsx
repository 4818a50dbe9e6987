// The banner over a fleet that could not call anybody.

import { createSignal, type JSX, lazy, onMount, Show, Suspense } from "solid-js";
import { channels, loadChannels } from "../state/channels";
import { mayEdit } from "../state/session";
import { Icon } from "./icons";

const ChannelDialog = lazy(() => import("./channelform"));

export function ChannelBanner(): JSX.Element {
  const [open, setOpen] = createSignal(false);
  onMount(() => {
    // Without the answer there is no banner; the next visit asks again.
    void loadChannels().catch(() => {});
  });
  return (
    <>
      <Show when={channels()?.length === 0}>
        <div class="banner" role="status">
          <Icon name="bell" />
          <span class="banner-text">
            <strong>Nobody is told yet.</strong> Alerts fire, but there is no channel to send them to.
          </span>
          <Show when={mayEdit()}>
            <button type="button" class="button" onClick={() => setOpen(true)}>
              Add a channel
            </button>
          </Show>
        </div>
      </Show>
      <Show when={open()}>
        <Suspense>
          <ChannelDialog onClose={() => setOpen(false)} />
        </Suspense>
      </Show>
    </>
  );
}
