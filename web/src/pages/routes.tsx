// Routes: whom rules without channels of their own tell, from the first that
// fits on; which rules come how far, and who would tell nobody.

import { createResource, createSignal, For, type JSX, onMount, Show } from "solid-js";
import { blankRoute, conditionsOf, moved, type Reach, reachOf, someNames } from "../lib/routes";
import { AlertBanner, AlertNav } from "../parts/alertnav";
import { ProblemNote, useAction } from "../parts/forms";
import { Icon } from "../parts/icons";
import { FallbackField } from "../parts/quiet";
import { RouteDialog } from "../parts/routeform";
import { listRules, readRoutes, saveRoutes } from "../state/alerting";
import { asProblem } from "../state/api";
import { channels, loadChannels } from "../state/channels";
import { mayEdit } from "../state/session";
import type { Route, Routes, Rule } from "../types";
import "../styles/alerting.css";

/** So many rules are named under a route. */
const SHOWN_RULES = 4;

const channelName = (id: string) => channels()?.find((channel) => channel.id === id)?.name ?? "a channel that is gone";

export default function RoutesPage(): JSX.Element {
  const [routes, { mutate, refetch }] = createResource(readRoutes);
  const [rules] = createResource(listRules);
  /** The route in the dialog, by its place; one past the last is a new one. */
  const [editing, setEditing] = createSignal<number | null>(null);
  onMount(() => void loadChannels().catch(() => {}));
  const known = () => (rules.error ? [] : (rules.latest ?? []));
  const ruleName = (id: string) => known().find((rule) => rule.id === id)?.name ?? "one that is gone";
  const fault = () => (routes.error ? asProblem(routes.error) : null);
  const items = () => (routes.error ? [] : (routes.latest?.items ?? []));
  const locked = () => !mayEdit() || Boolean(routes.latest?.managed_by) || !routes.latest;
  const save = async (next: readonly Route[]) => {
    const before = routes.latest as Routes;
    try {
      mutate(await saveRoutes(before, next));
    } catch (error) {
      // Somebody else may have been faster: what is shown is read again.
      void refetch();
      throw error;
    }
  };
  return (
    <>
      <AlertBanner />
      <div class="page-head">
        <h1>Routes</h1>
        <AlertNav />
        <Show when={!locked()}>
          <button type="button" class="button is-primary page-head-end" onClick={() => setEditing(items().length)}>
            <Icon name="plus" /> New route
          </button>
        </Show>
      </div>
      <Show when={routes.latest?.managed_by}>
        {(file) => <p class="note is-info">The routes stand in {file()} and are changed there.</p>}
      </Show>
      <section class="card" aria-label="Routes">
        <p class="muted">
          A rule that names no channel asks the routes, from the first one on. The first that fits says who is told; those after it are asked only where it says so.
        </p>
        <ProblemNote problem={fault()} />
        <Show when={!fault() && routes.latest}>
          <RouteList items={items()} rules={known()} ruleName={ruleName} locked={locked()} onSave={save} onEdit={setEditing} />
        </Show>
      </section>
      <section class="card" aria-labelledby="fallback-head">
        <h2 id="fallback-head">Fallback</h2>
        <FallbackField />
      </section>
      <Show when={editing() !== null}>
        <RouteDialog
          route={items()[editing() ?? 0] ?? blankRoute()}
          isNew={editing() === items().length}
          rules={known()}
          onSave={(route) => save([...items().slice(0, editing() ?? 0), route, ...items().slice((editing() ?? 0) + 1)])}
          onClose={() => setEditing(null)}
        />
      </Show>
    </>
  );
}

interface ListProps {
  items: readonly Route[];
  rules: readonly Rule[];
  ruleName: (id: string) => string;
  locked: boolean;
  onSave: (next: readonly Route[]) => Promise<void>;
  onEdit: (at: number) => void;
}

function RouteList(props: ListProps): JSX.Element {
  const reach = () => reachOf(props.items, props.rules);
  return (
    <>
      <ol class="list routes">
        <For each={props.items}>{(route, at) => <RouteItem {...props} route={route} at={at()} told={reach().byRoute[at()] ?? []} />}</For>
        <li class="list-item is-rest">
          <span class="route-place">·</span>
          <Show when={props.items.length > 0} fallback={<Everybody />}>
            <div class="list-text">
              <strong>Whatever no route fits</strong>
              <span>tells nobody</span>
            </div>
          </Show>
        </li>
      </ol>
      <Unheard reach={reach()} />
    </>
  );
}

/** What holds as long as there is no route. */
function Everybody(): JSX.Element {
  const names = () => (channels() ?? []).map((channel) => channel.name);
  return (
    <div class="list-text">
      <strong>Everything, as long as there is no route</strong>
      <Show when={names().length > 0} fallback={<span>tells nobody: there is no channel yet</span>}>
        <span>tells every channel: {names().join(", ")}</span>
      </Show>
    </div>
  );
}

function RouteItem(props: ListProps & { route: Route; at: number; told: readonly Rule[] }): JSX.Element {
  const [sure, setSure] = createSignal(false);
  const { busy, problem, run } = useAction(() => props.onSave(props.items.filter((_, at) => at !== props.at)));
  const conditions = () => conditionsOf(props.route, props.ruleName);
  const name = () => `route ${props.at + 1}`;
  return (
    <li class="list-item">
      <span class="route-place num">{props.at + 1}</span>
      <div class="list-text">
        <strong>{conditions().length > 0 ? conditions().join(" · ") : "Everything"}</strong>
        <span>
          <Show when={props.route.channels.length > 0} fallback="tells nobody">
            tells {props.route.channels.map(channelName).join(", ")}
          </Show>
          {props.route.continue ? ", then the next route is asked too" : ""}
        </span>
        <span class="muted">
          <Show when={props.told.length > 0} fallback="No rule comes this far.">
            For {someNames(props.told.map((rule) => rule.name), SHOWN_RULES)}
          </Show>
        </span>
        <ProblemNote problem={problem()} />
      </div>
      <Show when={!props.locked}>
        <div class="acts">
          <Move {...props} by={-1} word={`Move ${name()} up`} />
          <Move {...props} by={1} word={`Move ${name()} down`} />
          <button type="button" class="button" aria-label={`Edit ${name()}`} onClick={() => props.onEdit(props.at)}>
            Edit
          </button>
          <button type="button" class="button is-quiet" aria-label={sure() ? undefined : `Delete ${name()}`} disabled={busy()} onClick={(event) => (sure() ? run(event) : setSure(true))}>
            {sure() ? "Really delete?" : "Delete"}
          </button>
        </div>
      </Show>
    </li>
  );
}

function Move(props: ListProps & { at: number; by: 1 | -1; word: string }): JSX.Element {
  const to = () => props.at + props.by;
  const { busy, run } = useAction(() => props.onSave(moved(props.items, props.at, to())));
  return (
    <button type="button" class="button is-quiet" aria-label={props.word} title={props.word} disabled={busy() || to() < 0 || to() >= props.items.length} onClick={run}>
      <Icon name={props.by < 0 ? "up" : "down"} />
    </button>
  );
}

/** Rules whose pages would reach nobody, and nobody said so. */
function Unheard(props: { reach: Reach }): JSX.Element {
  return (
    <>
      <Show when={props.reach.unheard.length > 0}>
        <div class="note is-crit" role="status">
          <Icon name="crit" />
          <div>
            <strong>No route fits:</strong> {props.reach.unheard.map((rule) => rule.name).join(", ")}. Their pages reach nobody.
          </div>
        </div>
      </Show>
      <Show when={props.reach.sometimes.length > 0}>
        <div class="note is-warn" role="status">
          <Icon name="warn" />
          <div>
            <strong>Only at certain hours, or for hosts with certain tags:</strong> {props.reach.sometimes.map((rule) => rule.name).join(", ")}. Otherwise their pages reach nobody.
          </div>
        </div>
      </Show>
    </>
  );
}
