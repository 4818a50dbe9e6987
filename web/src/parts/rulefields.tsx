// The fields of a rule: few for each kind, the rest folded under "more".

import { createResource, For, Index, type JSX, onMount, Show } from "solid-js";
import { type Fields, faultOf, KINDS, kindOf, nextStep, type Step, withKind } from "../lib/ruleform";
import { metricNames } from "../state/alerting";
import type { FieldError } from "../state/api";
import { loadChannels } from "../state/channels";
import { SelectField, TextField } from "./forms";
import { Icon } from "./icons";
import { ChannelPicks } from "./picks";
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
  escalation: readonly Step[];
  onEscalation: (steps: readonly Step[]) => void;
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
      <ChannelPicks label="Tell" chosen={props.channels} onChosen={props.onChannels} none="As the routes say, if none is chosen." />
      <details class="more" open={[...MORE.map(([name]) => name), "missing", "escalation"].some((name) => faultOf(props.faults, name))}>
        <summary>More: clearing, cooldown, repeats, escalation</summary>
        <div class="fields">
          <div class="field-row">
            <For each={MORE.filter(([name]) => name !== "clear" || kind().fields.includes("op"))}>
              {([name, label, hint]) => <TextField label={label} hint={hint} {...bind(name)} />}
            </For>
            <SelectField label="When samples stop" options={MISSING} {...bind("missing")} />
          </div>
          <Steps steps={props.escalation} onSteps={props.onEscalation} faults={props.faults} />
        </div>
      </details>
    </div>
  );
}

/** Who is told too while nobody is on it, step by step. */
function Steps(props: { steps: readonly Step[]; onSteps: (steps: readonly Step[]) => void; faults: readonly FieldError[] }): JSX.Element {
  const change = (at: number, part: Partial<Step>) => props.onSteps(props.steps.map((step, index) => (index === at ? { ...step, ...part } : step)));
  return (
    <>
      <Index each={props.steps}>
        {(step, at) => (
          <fieldset class="fields is-inset">
            <legend>Escalation, step {at + 1}</legend>
            <TextField label="If nobody is on it after" hint="Counted from the first page, such as 15m." value={step().after} onValue={(after) => change(at, { after })} fault={faultOf(props.faults, `escalation/${at}`)} />
            <ChannelPicks label="Tell also" chosen={step().channels} onChosen={(channels) => change(at, { channels })} none="At least one." />
            <div class="acts">
              <button type="button" class="button is-quiet" aria-label={`Remove step ${at + 1}`} onClick={() => props.onSteps(props.steps.filter((_, index) => index !== at))}>
                Remove
              </button>
            </div>
          </fieldset>
        )}
      </Index>
      <div class="acts">
        <button type="button" class="button" onClick={() => props.onSteps([...props.steps, nextStep(props.steps)])}>
          <Icon name="plus" /> {props.steps.length > 0 ? "Another step" : "Escalate while nobody is on it"}
        </button>
      </div>
    </>
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
