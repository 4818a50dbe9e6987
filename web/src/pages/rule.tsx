// One rule: its form, what it would have done, and why it pages now or not.

import { createMemo, createResource, createSignal, type JSX, Show } from "solid-js";
import { blank, bodyOf, type Fields, fieldsOf, kindOf, levelOf, type Step } from "../lib/ruleform";
import { AlertNav } from "../parts/alertnav";
import { Backtest } from "../parts/backtest";
import { Explain } from "../parts/explain";
import { ProblemNote, useAction } from "../parts/forms";
import { RuleFields } from "../parts/rulefields";
import { deleteRule, readRule, saveRule } from "../state/alerting";
import { asProblem, Problem } from "../state/api";
import { navigate } from "../state/router";
import { mayEdit } from "../state/session";
import type { Rule } from "../types";
import "../styles/alerting.css";

export default function RulePage(props: { id: string }): JSX.Element {
  const isNew = () => props.id === "new";
  const [rule, { mutate }] = createResource(
    () => (isNew() ? null : props.id),
    (id) => readRule(id),
  );
  return (
    <>
      <div class="page-head">
        <h1>{isNew() ? "New rule" : rule.error ? "Rule" : (rule()?.name ?? "Rule")}</h1>
        <AlertNav />
      </div>
      <ProblemNote problem={rule.error ? asProblem(rule.error) : null} />
      <Show when={isNew() || (!rule.error && rule())} keyed>
        <Editor rule={isNew() ? null : (rule() ?? null)} onSaved={mutate} />
      </Show>
      <Show when={!isNew() && !rule.error && rule()}>{(known) => <Explain rule={known().id} />}</Show>
    </>
  );
}

/** Fields that the form shows; the hub's other complaints stand together. */
const SHOWN = new Set(["name", "metric", "labels", "op", "threshold", "horizon", "window", "per", "scope", "severity", "for", "clear", "keep_firing", "cooldown", "repeat", "missing", "missing_after", "aggregate", "escalation"]);

const partOf = (pointer: string) => pointer.replace(/^#?\//, "").split("/")[0] ?? "";

function Editor(props: { rule: Rule | null; onSaved: (rule: Rule) => void }): JSX.Element {
  const [fields, setFields] = createSignal<Fields>(props.rule ? fieldsOf(props.rule) : blank());
  const [told, setTold] = createSignal<readonly string[]>(props.rule?.channels ?? []);
  const [steps, setSteps] = createSignal<readonly Step[]>(props.rule?.escalation ?? []);
  const [sure, setSure] = createSignal(false);
  const body = createMemo(() => bodyOf(fields(), { channels: told(), escalation: steps() }, props.rule ?? {}));
  // A step that names nobody yet is half written, and no reason to see nothing of the past.
  const draft = () => ({ ...body(), escalation: steps().filter((step) => step.channels.length > 0) });
  const locked = () => !mayEdit() || Boolean(props.rule?.managed_by);
  const saving = useAction(async () => {
    const saved = await saveRule(props.rule?.id ?? null, body());
    if (props.rule) props.onSaved(saved);
    else navigate("/rules");
  });
  const removing = useAction(async () => {
    await deleteRule(props.rule?.id ?? "");
    navigate("/rules");
  });
  // A problem whose fields all stand in the form says so at them; a line here points there.
  const rest = () => {
    const problem = saving.problem();
    if (!problem) return null;
    const others = problem.fields.filter((field) => !SHOWN.has(partOf(field.pointer)));
    const detail = problem.fields.length > 0 ? "See the fields that are marked." : problem.detail;
    return new Problem(problem.status, problem.title, others.length > 0 ? "" : detail, others);
  };
  const number = () => {
    const limit = levelOf(fields().threshold ?? "");
    return kindOf(fields().kind ?? "").fields.includes("op") && typeof limit === "number" ? limit : null;
  };
  const drag = () => (!locked() && fields().kind !== "rate" && number() !== null ? (value: number) => setFields((before) => ({ ...before, threshold: String(value) })) : null);
  return (
    <div class="split rule-split">
      <form class="card" onSubmit={saving.run} novalidate>
        <Show when={props.rule?.managed_by}>
          {(file) => (
            <p class="note is-info">
              This rule stands in {file()} and is changed there.
            </p>
          )}
        </Show>
        <fieldset disabled={locked()}>
          <RuleFields fields={fields()} onFields={setFields} channels={told()} onChannels={setTold} escalation={steps()} onEscalation={setSteps} faults={saving.problem()?.fields ?? []} />
        </fieldset>
        <ProblemNote problem={rest()} />
        <ProblemNote problem={removing.problem()} />
        <Show when={!locked()}>
          <div class="actions">
            <Show when={props.rule}>
              <button type="button" class="button is-quiet" disabled={removing.busy()} onClick={(event) => (sure() ? removing.run(event) : setSure(true))}>
                {sure() ? "Really delete?" : "Delete"}
              </button>
            </Show>
            <button class="button is-primary" disabled={saving.busy()}>
              {saving.busy() ? "Saving…" : "Save rule"}
            </button>
          </div>
        </Show>
      </form>
      <Backtest body={draft()} threshold={fields().kind === "rate" ? null : number()} onThreshold={drag()} />
    </div>
  );
}
