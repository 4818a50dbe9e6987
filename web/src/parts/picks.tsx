// Any of several, by check boxes: channels, days, tags.

import { For, type JSX, Show } from "solid-js";
import { channels } from "../state/channels";

interface PicksProps {
  label: string;
  /** Value and word of each. */
  options: readonly (readonly [string, string])[];
  chosen: readonly string[];
  onChosen: (values: readonly string[]) => void;
  /** What it means that none is chosen. */
  none: string;
  /** A mark beside a word. */
  tagOf?: (value: string) => string | undefined;
}

/** Check boxes under one heading; what is chosen keeps the order of the options. */
export function Picks(props: PicksProps): JSX.Element {
  const toggle = (value: string, on: boolean) =>
    props.onChosen(on ? props.options.map(([one]) => one).filter((one) => one === value || props.chosen.includes(one)) : props.chosen.filter((one) => one !== value));
  return (
    <fieldset class="picks">
      <legend>{props.label}</legend>
      <small class="hint">{props.none}</small>
      <For each={props.options}>
        {([value, word]) => (
          <label class="pick">
            <input type="checkbox" checked={props.chosen.includes(value)} onChange={(event) => toggle(value, event.currentTarget.checked)} />
            {word}
            <Show when={props.tagOf?.(value)}>{(tag) => <span class="tag">{tag()}</span>}</Show>
          </label>
        )}
      </For>
    </fieldset>
  );
}

/** Which channels are told. */
export function ChannelPicks(props: { label: string; chosen: readonly string[]; onChosen: (ids: readonly string[]) => void; none: string }): JSX.Element {
  const options = () => (channels() ?? []).map((channel) => [channel.id, channel.name] as const);
  const kindOf = (id: string) => channels()?.find((channel) => channel.id === id)?.kind;
  return <Picks {...props} options={options()} tagOf={(id) => (kindOf(id) === "smtp" ? "e-mail" : kindOf(id))} />;
}
