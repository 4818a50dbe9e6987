// One route in a dialog: what must hold, who is told, and whether the next is asked.

import { createMemo, createSignal, type JSX, Show } from "solid-js";
import { freshHours, tagsOf } from "../lib/routes";
import { allAgents } from "../state/fleet";
import type { Route, Rule } from "../types";
import { Dialog, ProblemNote, TextField, useAction } from "./forms";
import { HoursFields } from "./hours";
import { ChannelPicks, Picks } from "./picks";

const SEVERITIES = [
  ["info", "Info"],
  ["warning", "Warning"],
  ["critical", "Critical"],
] as const;

interface Props {
  route: Route;
  isNew: boolean;
  rules: readonly Rule[];
  onSave: (route: Route) => Promise<void>;
  onClose: () => void;
}

export function RouteDialog(props: Props): JSX.Element {
  const [route, setRoute] = createSignal<Route>(props.route);
  const [more, setMore] = createSignal("");
  const change = (part: Partial<Route>) => setRoute((before) => ({ ...before, ...part }));
  const { busy, problem, run } = useAction(async () => {
    await props.onSave({ ...route(), tags: [...new Set([...route().tags, ...tagsOf(more())])] });
    props.onClose();
  });
  const tags = createMemo(() => [...new Set([...allAgents().flatMap((agent) => agent.tags), ...props.route.tags])].sort().map((tag) => [tag, tag] as const));
  // What names its own channels never asks a route; what is chosen stays to be seen.
  const rules = () => props.rules.filter((rule) => rule.channels.length === 0 || props.route.rules.includes(rule.id)).map((rule) => [rule.id, rule.name] as const);
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return (
    <Dialog title={props.isNew ? "New route" : "Route"} onClose={props.onClose}>
      <form onSubmit={run}>
        <Picks label="Severity" options={SEVERITIES} chosen={route().severities} onChosen={(severities) => change({ severities: [...severities] })} none="All, if none is chosen." />
        <div class="is-long">
          <Picks label="Hosts with one of these tags" options={tags()} chosen={route().tags} onChosen={(chosen) => change({ tags: [...chosen] })} none="All hosts, if none is chosen." />
        </div>
        <TextField label="Other tags" hint="Those that no host has yet; commas between." value={more()} onValue={setMore} />
        <div class="is-long">
          <Picks label="Rules" options={rules()} chosen={route().rules} onChosen={(chosen) => change({ rules: [...chosen] })} none="All that name no channel, if none is chosen." />
        </div>
        <label class="pick">
          <input type="checkbox" checked={Boolean(route().when)} onChange={(event) => change({ when: event.currentTarget.checked ? freshHours(zone) : null })} />
          Only what fires at certain hours
        </label>
        <Show when={route().when}>
          {(when) => (
            <fieldset class="fields is-inset">
              <HoursFields hours={when()} onChange={(part) => change({ when: { ...when(), ...part } })} />
            </fieldset>
          )}
        </Show>
        <ChannelPicks label="Tell" chosen={route().channels} onChosen={(chosen) => change({ channels: [...chosen] })} none="Nobody, if none is chosen." />
        <label class="pick">
          <input type="checkbox" checked={route().continue} onChange={(event) => change({ continue: event.currentTarget.checked })} />
          Ask the routes after this one as well
        </label>
        <ProblemNote problem={problem()} />
        <div class="actions">
          <button class="button is-primary" disabled={busy()}>
            {busy() ? "Saving…" : "Save route"}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
