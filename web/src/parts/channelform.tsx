// Adding or changing a channel and trying it out, in one dialog.

import { createSignal, For, type JSX, Match, onCleanup, Show, Switch } from "solid-js";
import { type ChannelKind, configOf, type FormField, type FormValues, initialValues, isRequired, KINDS, shownFields, valuesOf } from "../lib/channelform";
import { changeChannel, createChannel, testChannel } from "../state/channels";
import type { Channel, Delivery } from "../types";
import { Dialog, Field, ProblemNote, SelectField, TextField, useAction } from "./forms";
import { Icon } from "./icons";

const TEXT_TYPE: Partial<Record<FormField["type"], string>> = { list: "text" };

/** Without a channel it adds one. */
export default function ChannelDialog(props: { channel?: Channel; onClose: () => void }): JSX.Element {
  const [saved, setSaved] = createSignal<Channel | null>(null);
  const title = () => (saved() ? "Try the channel" : props.channel ? `Change ${props.channel.name}` : "Add a channel");
  return (
    <Dialog title={title()} onClose={props.onClose}>
      <Show when={saved()} fallback={<ChannelForm channel={props.channel} onSaved={setSaved} />}>
        {(channel) => (
          <>
            <p>
              <strong>{channel().name}</strong> is saved. Send a test to see that it arrives.
            </p>
            <ChannelTest channel={channel()} primary />
            <div class="actions">
              <button type="button" class="button" onClick={() => props.onClose()}>
                Done
              </button>
            </div>
          </>
        )}
      </Show>
    </Dialog>
  );
}

function ChannelForm(props: { channel: Channel | undefined; onSaved: (channel: Channel) => void }): JSX.Element {
  const before = props.channel;
  const config = before?.config ?? {};
  const [kind, setKind] = createSignal<ChannelKind>((before?.kind ?? "webhook") as ChannelKind);
  const [name, setName] = createSignal(before?.name ?? "ops");
  const [enabled, setEnabled] = createSignal(before?.enabled ?? true);
  const [values, setValues] = createSignal<FormValues>(before ? valuesOf(kind(), config) : initialValues("webhook"));
  const set = (field: string, value: string) => setValues((before) => ({ ...before, [field]: value }));
  const choose = (next: ChannelKind) => {
    setKind(next);
    setValues(initialValues(next));
  };
  const { busy, problem, run } = useAction(async () => {
    const made = configOf(kind(), values(), config);
    props.onSaved(before ? await changeChannel(before.id, { name: name().trim(), enabled: enabled(), config: made }) : await createChannel(name().trim(), kind(), made));
  });
  return (
    <form onSubmit={run}>
      <Show when={!before}>
        <div class="tabs" role="group" aria-label="Kind of channel">
          <For each={KINDS}>
            {([value, word]) => (
              <button type="button" aria-pressed={kind() === value} onClick={() => choose(value)}>
                {word}
              </button>
            )}
          </For>
        </div>
      </Show>
      <TextField label="Name" value={name()} onValue={setName} required />
      <For each={shownFields(kind(), values())}>
        {(field) => (
          <ChannelField
            field={field}
            required={isRequired(field, values())}
            value={values()[field.name] ?? ""}
            onValue={(value) => set(field.name, value)}
          />
        )}
      </For>
      <Show when={before}>
        <label class="pick">
          <input type="checkbox" checked={enabled()} onChange={(event) => setEnabled(event.currentTarget.checked)} /> Send pages to it
        </label>
        <small class="hint">What is secret is not shown; leave it as it stands to keep it.</small>
      </Show>
      <ProblemNote problem={problem()} />
      <div class="actions">
        <button class="button is-primary" disabled={busy()}>
          {busy() ? "Saving…" : "Save channel"}
        </button>
      </div>
    </form>
  );
}

function ChannelField(props: { field: FormField; required: boolean; value: string; onValue: (value: string) => void }): JSX.Element {
  const hint = () => (props.field.hint ? { hint: props.field.hint } : {});
  return (
    <Switch
      fallback={
        <TextField
          label={props.field.label}
          type={TEXT_TYPE[props.field.type] ?? props.field.type}
          value={props.value}
          onValue={props.onValue}
          required={props.required}
          placeholder={props.field.placeholder ?? ""}
          autocomplete={props.field.type === "password" ? "new-password" : "off"}
          {...hint()}
        />
      }
    >
      <Match when={props.field.type === "select"}>
        <SelectField label={props.field.label} value={props.value} options={props.field.options ?? []} onValue={props.onValue} />
      </Match>
      <Match when={props.field.type === "check"}>
        <Field label={props.field.label} {...hint()}>
          {(id, hintId) => (
            <input
              id={id}
              aria-describedby={hintId}
              type="checkbox"
              checked={props.value === "on"}
              onChange={(event) => props.onValue(event.currentTarget.checked ? "on" : "")}
            />
          )}
        </Field>
      </Match>
    </Switch>
  );
}

const STATE_TEXT: Record<string, string> = {
  queued: "Waiting to be sent…",
  sending: "Being sent…",
  held: "Held back for now.",
  sent: "Delivered",
  dead: "Refused",
  cancelled: "Cancelled",
};

/** The test button of a channel with the state of its delivery. */
export function ChannelTest(props: { channel: Channel; primary?: boolean }): JSX.Element {
  const [delivery, setDelivery] = createSignal<Delivery | null>(null);
  let gone = false;
  onCleanup(() => {
    gone = true;
  });
  const { busy, problem, run } = useAction(() => testChannel(props.channel.id, setDelivery, () => gone));
  return (
    <div class="channel-test">
      <button type="button" class="button" classList={{ "is-primary": props.primary ?? false }} disabled={busy()} onClick={run}>
        {busy() ? "Testing…" : delivery() ? "Send again" : "Send test"}
      </button>
      <Show when={delivery()}>{(row) => <DeliveryNote delivery={row()} />}</Show>
      <ProblemNote problem={problem()} />
    </div>
  );
}

function DeliveryNote(props: { delivery: Delivery }): JSX.Element {
  const tone = () => (props.delivery.state === "sent" ? "ok" : props.delivery.state === "dead" ? "crit" : props.delivery.last_error ? "warn" : "info");
  const took = () => (props.delivery.state === "sent" && props.delivery.latency_ms !== null ? ` in ${props.delivery.latency_ms} ms` : "");
  const tries = () => (props.delivery.attempts > 1 ? `, attempt ${props.delivery.attempts}` : "");
  return (
    <div class={`note is-${tone()}`} role="status">
      <Icon name={tone() === "info" ? "nodata" : (tone() as "ok")} />
      <div>
        <strong>
          {STATE_TEXT[props.delivery.state] ?? props.delivery.state}
          {took()}
          {tries()}
        </strong>
        <Show when={props.delivery.last_error && props.delivery.state !== "sent"}>
          <div>{props.delivery.last_error}</div>
        </Show>
      </div>
    </div>
  );
}
