// When a channel's people are not to be woken, and who is told of a channel
// that does not work.

import { createResource, createSignal, For, type JSX, Show } from "solid-js";
import { banner, loadBanner } from "../state/alerting";
import { api, segment } from "../state/api";
import { channels, loadChannels } from "../state/channels";
import type { Channel, QuietHours } from "../types";
import { Dialog, ProblemNote, SelectField, TextField, useAction } from "./forms";
import { Icon } from "./icons";

const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

function fresh(): QuietHours {
  return { weekdays: [], from: "22:00", to: "07:00", timezone: Intl.DateTimeFormat().resolvedOptions().timeZone, critical_passes: true };
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
  const toggle = (day: string, on: boolean) => props.onChange({ weekdays: DAYS.filter((one) => (one === day ? on : props.hours.weekdays.includes(one))) });
  return (
    <fieldset class="fields">
      <div class="field-row">
        <TextField label="From" type="time" required value={props.hours.from.slice(0, 5)} onValue={(from) => props.onChange({ from })} />
        <TextField label="To" type="time" required value={props.hours.to.slice(0, 5)} onValue={(to) => props.onChange({ to })} />
      </div>
      <div class="picks" role="group" aria-label="Days on which they begin; none is every day">
        <For each={DAYS}>
          {(day) => (
            <label class="pick">
              <input type="checkbox" checked={props.hours.weekdays.includes(day)} onChange={(event) => toggle(day, event.currentTarget.checked)} /> {day}
            </label>
          )}
        </For>
      </div>
      <TextField label="Time zone" hint="Empty for the hub's." value={props.hours.timezone ?? ""} onValue={(zone) => props.onChange({ timezone: zone.trim() || null })} />
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
