// When a channel's people are not to be woken, and who is told of a channel
// that does not work.

import { createResource, createSignal, For, type JSX, Show } from "solid-js";
import { freshHours } from "../lib/routes";
import { banner, loadBanner } from "../state/alerting";
import { api, segment } from "../state/api";
import { channels, loadChannels } from "../state/channels";
import type { Channel, QuietHours } from "../types";
import { Dialog, ProblemNote, SelectField, useAction } from "./forms";
import { HoursFields } from "./hours";
import { Icon } from "./icons";

function fresh(): QuietHours {
  return { ...freshHours(Intl.DateTimeFormat().resolvedOptions().timeZone), critical_passes: true };
}

export function QuietDialog(props: { channel: Channel; onClose: () => void }): JSX.Element {
  const [hours, setHours] = createSignal<QuietHours[]>(props.channel.quiet_hours?.length ? props.channel.quiet_hours : [fresh()]);
  const change = (at: number, part: Partial<QuietHours>) => setHours((before) => before.map((one, index) => (index === at ? { ...one, ...part } : one)));
  const { busy, problem, run } = useAction(async () => {
    await api("PATCH", `/channels/${segment(props.channel.id)}`, { body: { quiet_hours: hours() } });
    await Promise.all([loadChannels(), loadBanner()]);
    props.onClose();
  });
  return (
    <Dialog title={`Quiet hours of ${props.channel.name}`} onClose={props.onClose}>
      <form onSubmit={run}>
        <For each={hours().map((_, at) => at)}>
          {(at) => <Hours hours={hours()[at] as QuietHours} onChange={(part) => change(at, part)} onRemove={() => setHours((before) => before.filter((_, index) => index !== at))} />}
        </For>
        <Show when={hours().length === 0}>
          <p class="muted">None: pages are sent at all hours.</p>
        </Show>
        <ProblemNote problem={problem()} />
        <div class="actions">
          <button type="button" class="button" onClick={() => setHours((before) => [...before, fresh()])}>
            <Icon name="plus" /> More hours
          </button>
          <button class="button is-primary" disabled={busy()}>
            {busy() ? "Saving…" : "Save"}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function Hours(props: { hours: QuietHours; onChange: (part: Partial<QuietHours>) => void; onRemove: () => void }): JSX.Element {
  return (
    <fieldset class="fields">
      <HoursFields hours={props.hours} onChange={props.onChange} />
      <div class="picks">
        <label class="pick">
          <input type="checkbox" checked={props.hours.critical_passes} onChange={(event) => props.onChange({ critical_passes: event.currentTarget.checked })} /> Critical pages pass
        </label>
        <button type="button" class="button is-quiet" onClick={() => props.onRemove()}>
          Remove
        </button>
      </div>
    </fieldset>
  );
}

/** The channel that hears of the others' troubles. */
export function FallbackField(): JSX.Element {
  const [settings, { mutate }] = createResource(() => api<{ fallback_channel: string | null }>("GET", "/settings"));
  const [wanted, setWanted] = createSignal("");
  const { problem, run } = useAction(async () => {
    const before = await api<{ fallback_channel: string | null }>("GET", "/settings");
    mutate(await api<{ fallback_channel: string | null }>("PUT", "/settings", { body: { ...before, fallback_channel: wanted() || null } }));
    await loadBanner();
  });
  const options = () => [["", "Nobody"] as const, ...(channels() ?? []).map((channel) => [channel.id, channel.name] as const)];
  const current = () => (settings.error ? banner()?.fallback_channel : settings()?.fallback_channel) ?? "";
  return (
    <>
      <SelectField
        label="When a channel is broken, tell"
        value={current()}
        options={options()}
        onValue={(id) => {
          setWanted(id);
          void run();
        }}
      />
      <ProblemNote problem={problem()} />
    </>
  );
}
