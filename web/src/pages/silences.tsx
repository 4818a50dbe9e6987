// Silences and maintenance: what is withheld, what will be, and a form for more of them or to change one.

import { createResource, createSignal, For, type JSX, Show } from "solid-js";
import { blankSilence, type SilenceFields, silenceBody, silenceChanges, silenceFields, whomText } from "../lib/silenceform";
import { fromLocalInput, fullTime, shortTime, toLocalInput } from "../lib/times";
import { formatSpan } from "../lib/units";
import { AlertBanner, AlertNav } from "../parts/alertnav";
import { Dialog, ProblemNote, SelectField, TextField, useAction } from "../parts/forms";
import { Icon } from "../parts/icons";
import { ScopeField } from "../parts/scope";
import { changeSilence, createSilence, endSilence, listRules, listSilences } from "../state/alerting";
import { asProblem } from "../state/api";
import { now } from "../state/clock";
import { agentOf } from "../state/fleet";
import { mayEdit } from "../state/session";
import type { Rule, Silence } from "../types";
import "../styles/alerting.css";

const ORDER: Record<string, number> = { active: 0, pending: 1, ended: 2 };
const TONES: Record<string, string> = { active: "warn", pending: "info", ended: "none" };
const SHOWN_NEXT = 3;

export default function SilencesPage(): JSX.Element {
  const [silences, { refetch }] = createResource(listSilences);
  const [rules] = createResource(listRules);
  const [editing, setEditing] = createSignal<Silence | "new" | null>(null);
  const known = () => (rules.error ? [] : (rules.latest ?? []));
  const nameOf = (id: string) => agentOf(id)?.name ?? known().find((rule) => rule.id === id)?.name ?? "one that is gone";
  const sorted = () => (silences.error ? [] : (silences.latest ?? [])).toSorted((a, b) => (ORDER[a.state] ?? 3) - (ORDER[b.state] ?? 3));
  return (
    <>
      <AlertBanner />
      <div class="page-head">
        <h1>Silences</h1>
        <AlertNav />
        <Show when={mayEdit()}>
          <button type="button" class="button is-primary page-head-end" onClick={() => setEditing("new")}>
            <Icon name="plus" /> New silence
          </button>
        </Show>
      </div>
      <section class="card" aria-label="Silences">
        <ProblemNote problem={silences.error ? asProblem(silences.error) : null} />
        <Show when={sorted().length > 0} fallback={<p class="empty">{silences.loading ? "Loading…" : "Nothing is silenced: every page is sent."}</p>}>
          <ul class="list">
            <For each={sorted()}>{(silence) => <SilenceItem silence={silence} nameOf={nameOf} onEdit={() => setEditing(silence)} onChange={() => void refetch()} />}</For>
          </ul>
        </Show>
      </section>
      <Show when={editing()}>
        {(target) => (
          <SilenceDialog
            rules={known()}
            old={target() === "new" ? null : (target() as Silence)}
            onClose={() => {
              setEditing(null);
              void refetch();
            }}
          />
        )}
      </Show>
    </>
  );
}

function whenText(silence: Silence): string {
  if (silence.state === "active") return silence.active_until ? `ends in ${formatSpan((Date.parse(silence.active_until) - now()) / 1000)}` : "until somebody ends it";
  if (silence.state === "ended") return silence.ends_at ? `ended ${shortTime(Date.parse(silence.ends_at))}` : "ended";
  return silence.cron ? "comes again" : `begins ${shortTime(Date.parse(silence.starts_at))}`;
}

function SilenceItem(props: { silence: Silence; nameOf: (id: string) => string; onEdit: () => void; onChange: () => void }): JSX.Element {
  const { busy, problem, run } = useAction(async () => {
    await endSilence(props.silence.id);
    props.onChange();
  });
  const word = () => (props.silence.state === "ended" ? "Remove" : props.silence.state === "active" && !props.silence.cron ? "End now" : "Delete");
  return (
    <li class="list-item" classList={{ "is-off": props.silence.state === "ended" }}>
      <span class={`badge is-${TONES[props.silence.state] ?? "none"}`}>{props.silence.state}</span>
      <div class="list-text">
        <div>
          <strong>{props.silence.kind === "maintenance" ? "Maintenance" : "Silence"}</strong> of {whomText(props.silence, props.nameOf)},{" "}
          <span class="num">{whenText(props.silence)}</span>{" "}
          <Show when={props.silence.managed_by}>
            <span class="tag">by {props.silence.managed_by}</span>
          </Show>
        </div>
        <div class="muted">
          {props.silence.comment ? `“${props.silence.comment}” ` : ""}
          {props.silence.created_by ? `by ${props.silence.created_by.replace(/^user:/, "")}` : ""}
        </div>
        <NextTimes silence={props.silence} />
        <ProblemNote problem={problem()} />
      </div>
      <Show when={mayEdit() && !props.silence.managed_by}>
        <div class="acts">
          <Show when={props.silence.state !== "ended"}>
            <button type="button" class="button" onClick={() => props.onEdit()}>
              Edit
            </button>
          </Show>
          <button type="button" class="button" disabled={busy()} onClick={run}>
            {word()}
          </button>
        </div>
      </Show>
    </li>
  );
}

function NextTimes(props: { silence: Silence }): JSX.Element {
  return (
    <Show when={props.silence.cron}>
      <div class="muted num">
        <code>{props.silence.cron}</code> ({props.silence.timezone}), each for {props.silence.duration}; next:{" "}
        <For each={props.silence.next.slice(0, SHOWN_NEXT)}>
          {(window, at) => (
            <time datetime={window.starts_at} title={fullTime(Date.parse(window.starts_at))}>
              {at() > 0 ? ", " : ""}
              {shortTime(Date.parse(window.starts_at))}
            </time>
          )}
        </For>
      </div>
    </Show>
  );
}

const KINDS: readonly [string, string][] = [
  ["silence", "Silence"],
  ["maintenance", "Maintenance"],
];
const DAYS: readonly [string, string][] = [
  ["", "Every day"],
  ["mon-fri", "Monday to Friday"],
  ["sat,sun", "Saturday and Sunday"],
  ...(["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const).map((day, at): [string, string] => [day, ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"][at] as string]),
];
const UP_TO: readonly [string, string][] = [
  ["", "All severities"],
  ["warning", "Only up to warning"],
  ["info", "Only info"],
];

function SilenceDialog(props: { rules: readonly Rule[]; old: Silence | null; onClose: () => void }): JSX.Element {
  const [made, setMade] = createSignal<Silence | null>(null);
  return (
    <Dialog title={made() ? "Saved" : props.old ? "Change silence" : "New silence"} onClose={props.onClose}>
      <Show when={made()} fallback={<SilenceForm rules={props.rules} old={props.old} onMade={(silence) => (silence.cron ? setMade(silence) : props.onClose())} />}>
        {(silence) => (
          <>
            <p>These are the next times:</p>
            <ul>
              <For each={silence().next}>
                {(window) => (
                  <li class="num">
                    {fullTime(Date.parse(window.starts_at))} to {shortTime(Date.parse(window.ends_at))}
                  </li>
                )}
              </For>
            </ul>
            <div class="actions">
              <button type="button" class="button is-primary" onClick={() => props.onClose()}>
                Done
              </button>
            </div>
          </>
        )}
      </Show>
    </Dialog>
  );
}

function OnAt(props: { bind: (name: string) => { value: string; onValue: (value: string) => void } }): JSX.Element {
  return (
    <div class="field-row">
      <SelectField label="On" options={DAYS} {...props.bind("days")} />
      <TextField label="At" type="time" required {...props.bind("time")} />
    </div>
  );
}

function SilenceForm(props: { rules: readonly Rule[]; old: Silence | null; onMade: (silence: Silence) => void }): JSX.Element {
  const old = props.old;
  const toTheMinute = (time: number) => toLocalInput(time).slice(0, 16);
  const first = old ? silenceFields(old, DAYS.map(([day]) => day), toTheMinute) : blankSilence(Intl.DateTimeFormat().resolvedOptions().timeZone);
  const [fields, setFields] = createSignal<SilenceFields>(first);
  const bodyOf = (said: SilenceFields) => silenceBody(said, fromLocalInput(said.starts_at ?? ""));
  const { busy, problem, run } = useAction(async () => {
    const body = bodyOf(fields());
    props.onMade(await (old ? changeSilence(old.id, silenceChanges(bodyOf(first), body)) : createSilence(body)));
  });
  const bind = (name: string) => ({
    value: fields()[name] ?? "",
    onValue: (value: string) => setFields((before) => ({ ...before, [name]: value })),
  });
  const again = () => fields().when === "again";
  return (
    <form onSubmit={run}>
      <div class="tabs" role="group" aria-label="How often">
        <button type="button" aria-pressed={!again()} onClick={() => bind("when").onValue("once")}>
          Once
        </button>
        <button type="button" aria-pressed={again()} onClick={() => bind("when").onValue("again")}>
          Again and again
        </button>
      </div>
      <div class="field-row">
        <SelectField label="Kind" options={KINDS} {...bind("kind")} />
        <TextField label="For" hint="Such as 2h or 1d." required {...bind("duration")} />
      </div>
      <Show when={again()} fallback={<TextField label="From" type="datetime-local" hint="Empty for now." {...bind("starts_at")} />}>
        <Show when={first.cron} fallback={<OnAt bind={bind} />}>
          <TextField label="Begins" hint="Five fields of cron." required {...bind("cron")} />
        </Show>
        <TextField label="Time zone" hint="Empty for the hub's." {...bind("timezone")} />
      </Show>
      <div class="field-row">
        <ScopeField label="Hosts" all={["all", "All hosts"]} {...bind("scope")} />
        <SelectField label="Rule" options={[["", "All rules"], ...props.rules.map((rule) => [rule.id, rule.name] as const)]} {...bind("rule")} />
      </div>
      <details class="more">
        <summary>More conditions</summary>
        <div class="fields">
          <TextField label="Metric or series" placeholder="disk.used_percent" {...bind("metric")} />
          <TextField label="Labels" placeholder="mount=~/data.*" hint="With =, !=, =~ or !~; commas between." {...bind("matchers")} />
          <SelectField label="Severity" options={UP_TO} {...bind("up_to")} />
        </div>
      </details>
      <TextField label="Why" {...bind("comment")} />
      <ProblemNote problem={problem()} />
      <div class="actions">
        <button class="button is-primary" disabled={busy()}>
          {busy() ? "Saving…" : "Save silence"}
        </button>
      </div>
    </form>
  );
}
