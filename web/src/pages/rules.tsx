// All rules: what they say, whom they tell, and the switch to turn one off.

import { createResource, For, type JSX, Show } from "solid-js";
import { sentence } from "../lib/ruleform";
import { AlertBanner, AlertNav } from "../parts/alertnav";
import { SeverityBadge } from "../parts/badges";
import { ProblemNote, useAction } from "../parts/forms";
import { Icon } from "../parts/icons";
import { enableRule, listRules } from "../state/alerting";
import { asProblem } from "../state/api";
import { agentOf } from "../state/fleet";
import { mayEdit } from "../state/session";
import type { Rule } from "../types";
import "../styles/alerting.css";

export default function RulesPage(): JSX.Element {
  const [rules, { refetch }] = createResource(listRules);
  return (
    <>
      <AlertBanner />
      <div class="page-head">
        <h1>Rules</h1>
        <AlertNav />
        <Show when={mayEdit()}>
          <a class="button is-primary page-head-end" href="/rules/new">
            <Icon name="plus" /> New rule
          </a>
        </Show>
      </div>
      <section class="card" aria-label="Rules">
        <ProblemNote problem={rules.error ? asProblem(rules.error) : null} />
        <Show when={!rules.error && rules()?.length} fallback={<p class="empty">{rules.loading ? "Loading…" : "No rule yet."}</p>}>
          <ul class="list">
            <For each={rules.latest}>{(rule) => <RuleItem rule={rule} onChange={() => void refetch()} />}</For>
          </ul>
        </Show>
      </section>
    </>
  );
}

function scopeWord(rule: Rule): string {
  const { tag, agent } = (rule.scope ?? {}) as { tag?: string; agent?: string };
  return tag ? `tag ${tag}` : agent ? (agentOf(agent)?.name ?? "one host") : "all hosts";
}

/** Whom a rule tells: its own channels, or the routes' choice. */
function Told(props: { rule: Rule }): JSX.Element {
  const count = () => props.rule.channels.length;
  return (
    <Show when={count() > 0} fallback={<a href="/routes">as the routes say</a>}>
      {count()} {count() === 1 ? "channel" : "channels"}
    </Show>
  );
}

function RuleItem(props: { rule: Rule; onChange: () => void }): JSX.Element {
  const { busy, problem, run } = useAction(async () => {
    await enableRule(props.rule.id, !props.rule.enabled);
    props.onChange();
  });
  return (
    <li class="list-item" classList={{ "is-off": !props.rule.enabled }}>
      <SeverityBadge severity={props.rule.severity} resolved={false} />
      <div class="list-text">
        <div>
          <a href={`/rules/${props.rule.id}`}>
            <strong>{props.rule.name}</strong>
          </a>{" "}
          <Show when={!props.rule.enabled}>
            <span class="tag">off</span>
          </Show>
          <Show when={props.rule.managed_by}>
            <span class="tag">by {props.rule.managed_by}</span>
          </Show>
        </div>
        <div class="muted">
          <code>{sentence(props.rule)}</code> · {scopeWord(props.rule)} · <Told rule={props.rule} />
        </div>
        <ProblemNote problem={problem()} />
      </div>
      <Show when={mayEdit() && !props.rule.managed_by}>
        <button type="button" class="button is-quiet" disabled={busy()} onClick={run} aria-label={`${props.rule.enabled ? "Turn off" : "Turn on"} ${props.rule.name}`}>
          {props.rule.enabled ? "Turn off" : "Turn on"}
        </button>
      </Show>
    </li>
  );
}
