// The fields of a rule: few for each kind, the rest folded under "more".

import { createResource, For, type JSX, onMount, Show } from "solid-js";
import { type Fields, faultOf, KINDS, kindOf, withKind } from "../lib/ruleform";
import { metricNames } from "../state/alerting";
import type { FieldError } from "../state/api";
import { channels, loadChannels } from "../state/channels";
import { SelectField, TextField } from "./forms";
import { ScopeField } from "./scope";

const OPS: readonly [string, string][] = [
  [">", "> above"],
  [">=", "≥ at least"],
  ["<", "< below"],
  ["<=", "≤ at most"],
  ["==", "= equal"],
  ["!=", "≠ other than"],
];
const SEVERITIES: readonly [string, string][] = [
  ["info", "Info"],
  ["warning", "Warning"],
  ["critical", "Critical"],
];
const MISSING: readonly [string, string][] = [
  ["", "As usual"],
  ["keep", "Keep the state"],
  ["nodata", "Say that there is no data"],
  ["resolve", "Take it as resolved"],
];

/** Fields under "more", with the words over them. */
const MORE: readonly [string, string, string][] = [
  ["clear", "Clear at", "Where it counts as over: a number, or “margin 5”."],
  ["keep_firing", "Clear for", "How long it must be clear before it ends, such as 1m."],
  ["cooldown", "Cooldown", "The least time between two pages, such as 30m."],
  ["repeat", "Repeat every", "While nobody is on it, such as 4h."],
  ["missing_after", "Samples count as missing after", "Such as 10m; by default five intervals."],
];

export interface RuleFieldsProps {
  fields: Fields;
  onFields: (fields: Fields) => void;
  channels: readonly string[];
  onChannels: (ids: readonly string[]) => void;
  escalation: readonly string[];
  onEscalation: (ids: readonly string[]) => void;
  faults: readonly FieldError[];
}

export function RuleFields(props: RuleFieldsProps): JSX.Element {
  const kind = () => kindOf(props.fields.kind ?? "");
  const bind = (name: string) => ({
    value: props.fields[name] ?? "",
    onValue: (value: string) => props.onFields({ ...props.fields, [name]: value }),
    fault: faultOf(props.faults, name),
  });
  onMount(() => {
    void loadChannels().catch(() => {});
  });
  return (
    <div class="fields">
      <SelectField label="Kind" value={kind().name} options={KINDS.map(({ name, word }) => [name, word] as const)} hint={kind().hint} onValue={(name) => props.onFields(withKind(props.fields, name))} />
      <TextField label="Name" required {...bind("name")} />
      <Condition kind={kind().name} has={kind().fields} bind={bind} />
      <div class="field-row">
        <ScopeField label="Hosts" all={["global", "All hosts"]} {...bind("scope")} />
        <SelectField label="Severity" options={SEVERITIES} {...bind("severity")} />
      </div>
      <ChannelPicks label="Tell" chosen={props.channels} onChosen={props.onChannels} none="Nobody chosen: the routes say who is told." />
      <details class="more" open={props.faults.some((fault) => MORE.some(([name]) => faultOf([fault], name)))}>
        <summary>More: clearing, cooldown, repeats, escalation</summary>
        <div class="fields">
          <div class="field-row">
            <For each={MORE.filter(([name]) => name !== "clear" || kind().fields.includes("op"))}>
              {([name, label, hint]) => <TextField label={label} hint={hint} {...bind(name)} />}
            </For>
            <SelectField label="When samples stop" options={MISSING} {...bind("missing")} />
          </div>
          <TextField label="Escalate after" hint="If nobody is on it by then, such as 15m; empty for never." {...bind("after")} fault={faultOf(props.faults, "escalation")} />
          <Show when={props.fields.after}>
            <ChannelPicks label="Then tell also" chosen={props.escalation} onChosen={props.onEscalation} none="Nobody chosen." />
          </Show>
        </div>
      </details>
    </div>
  );
}

type Bind = (name: string) => { value: string; onValue: (value: string) => void; fault: string };

function Condition(props: { kind: string; has: readonly string[]; bind: Bind }): JSX.Element {
  const has = (name: string) => props.has.includes(name);
  const [metrics] = createResource(metricNames);
  return (
    <>
      <Show when={has("metric")}>
        <TextField label="Metric" list="metric-names" {...props.bind("metric")} />
        <datalist id="metric-names">
          <For each={metrics.error ? [] : metrics()}>{(name) => <option value={name} />}</For>
        </datalist>
      </Show>
      <Show when={has("labels")}>
        <TextField label="Labels" placeholder="mount=/data" hint="Exact values, with commas between; empty for all." {...props.bind("labels")} />
      </Show>
      <div class="field-row">
        <Show when={has("op")}>
          <SelectField label="Is" options={OPS} {...props.bind("op")} />
        </Show>
        <Show when={has("threshold")}>
          <TextField label={has("op") ? "Threshold" : "At least so many"} hint={has("op") ? "A number, or warn or crit: each host's own." : ""} {...props.bind("threshold")} />
        </Show>
        <Show when={has("horizon")}>
          <TextField label="Within" hint="How far ahead, such as 3d." {...props.bind("horizon")} />
        </Show>
        <Show when={has("window")}>
          <TextField label="Looking back" hint="Such as 30m; empty for the usual." {...props.bind("window")} />
        </Show>
        <Show when={has("per")}>
          <TextField label="Per" hint="1h is “so much an hour”." {...props.bind("per")} />
        </Show>
        <TextField label="For" hint="How long it must hold, such as 5m." {...props.bind("for")} />
      </div>
    </>
  );
}

function ChannelPicks(props: { label: string; chosen: readonly string[]; onChosen: (ids: readonly string[]) => void; none: string }): JSX.Element {
  const toggle = (id: string, on: boolean) => props.onChosen(on ? [...props.chosen, id] : props.chosen.filter((known) => known !== id));
  return (
    <fieldset class="picks">
      <legend>{props.label}</legend>
      <For each={channels() ?? []}>
        {(channel) => (
          <label class="pick">
            <input type="checkbox" checked={props.chosen.includes(channel.id)} onChange={(event) => toggle(channel.id, event.currentTarget.checked)} />
            {channel.name} <span class="tag">{channel.kind}</span>
          </label>
        )}
      </For>
      <Show when={props.chosen.length === 0}>
        <small class="hint">{props.none}</small>
      </Show>
    </fieldset>
  );
}
