// The pages' entry: asks who is here, then shows the page the address names.

import { createEffect, createSignal, type JSX, lazy, Match, onMount, Show, Suspense, Switch } from "solid-js";
import { render } from "solid-js/web";
import { LoginPage, SetupPage } from "./pages/auth";
import { FleetPage } from "./pages/fleet";
import { ProblemNote } from "./parts/forms";
import { Shell } from "./parts/shell";
import { asProblem, type Problem } from "./state/api";
import { startClock } from "./state/clock";
import { clearFleet } from "./state/fleet";
import { startLive, startLiveTimers, stopLive } from "./state/live";
import { navigate, path, safeNext, search, startRouter } from "./state/router";
import { loadSession, setupNeeded, user } from "./state/session";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/fleet.css";
import "./styles/pages.css";

const HostPage = lazy(() => import("./pages/host"));
const AlertsPage = lazy(() => import("./pages/alerts"));
const IncidentPage = lazy(() => import("./pages/incident"));
const RulesPage = lazy(() => import("./pages/rules"));
const RulePage = lazy(() => import("./pages/rule"));
const RoutesPage = lazy(() => import("./pages/routes"));
const SilencesPage = lazy(() => import("./pages/silences"));
const DeliveriesPage = lazy(() => import("./pages/deliveries"));

const RETRY_MS = 3_000;

/** Where somebody without a session belongs, and where they wanted to go. */
function guard(): void {
  const who = user();
  if (who === undefined) return;
  if (who) {
    startLive();
    if (path() === "/login") navigate(safeNext(new URLSearchParams(search()).get("next")), { replace: true });
    else if (path() === "/setup") navigate("/", { replace: true });
    return;
  }
  stopLive();
  clearFleet();
  if (setupNeeded()) {
    if (path() !== "/setup") navigate("/setup", { replace: true });
  } else if (path() !== "/login") {
    const wanted = path() + search();
    navigate(wanted === "/" || path() === "/setup" ? "/login" : `/login?next=${encodeURIComponent(wanted)}`, { replace: true });
  }
}

function idAfter(prefix: string): string | undefined {
  const rest = path().startsWith(prefix) ? path().slice(prefix.length) : "";
  return rest && !rest.includes("/") ? decodeURIComponent(rest) : undefined;
}

function Pages(): JSX.Element {
  return (
    <Shell>
      <Suspense fallback={<p class="empty">Loading…</p>}>
        <Switch fallback={<NotFound />}>
          <Match when={path() === "/"}>
            <FleetPage />
          </Match>
          <Match when={path() === "/alerts"}>
            <AlertsPage />
          </Match>
          <Match when={path() === "/rules"}>
            <RulesPage />
          </Match>
          <Match when={idAfter("/rules/")} keyed>
            {(id) => <RulePage id={id} />}
          </Match>
          <Match when={path() === "/routes"}>
            <RoutesPage />
          </Match>
          <Match when={path() === "/silences"}>
            <SilencesPage />
          </Match>
          <Match when={path() === "/deliveries"}>
            <DeliveriesPage />
          </Match>
          <Match when={idAfter("/h/")} keyed>
            {(id) => <HostPage id={id} />}
          </Match>
          <Match when={idAfter("/incidents/")} keyed>
            {(id) => <IncidentPage id={id} />}
          </Match>
        </Switch>
      </Suspense>
    </Shell>
  );
}

function NotFound(): JSX.Element {
  return (
    <div class="empty">
      <h1>No such page</h1>
      <p>
        <a href="/">Go to the fleet</a>
      </p>
    </div>
  );
}

function App(): JSX.Element {
  const [problem, setProblem] = createSignal<Problem | null>(null);
  const start = async () => {
    try {
      await loadSession();
      setProblem(null);
    } catch (error) {
      setProblem(asProblem(error));
      setTimeout(start, RETRY_MS);
    }
  };
  onMount(start);
  createEffect(guard);
  return (
    <Switch fallback={<StartNote problem={problem()} />}>
      <Match when={user()}>
        <Pages />
      </Match>
      <Match when={user() === null && path() === "/setup"}>
        <SetupPage />
      </Match>
      <Match when={user() === null && path() === "/login"}>
        <LoginPage />
      </Match>
    </Switch>
  );
}

function StartNote(props: { problem: Problem | null }): JSX.Element {
  return (
    <Show when={props.problem}>
      <main class="auth">
        <div class="auth-card">
          <ProblemNote problem={props.problem} />
          <p class="muted">Trying again every few seconds.</p>
        </div>
      </main>
    </Show>
  );
}

startRouter();
startClock();
startLiveTimers();
const root = document.getElementById("app");
if (root) render(() => <App />, root);
