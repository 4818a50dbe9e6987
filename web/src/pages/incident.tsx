// One incident, where the link in a page leads: what it is, its picture, and
// the button to take it.

import { createEffect, createSignal, type JSX, on, Show } from "solid-js";
import { ProblemNote } from "../parts/forms";
import { IncidentList } from "../parts/incidents";
import { api, asProblem, type Problem, segment } from "../state/api";
import { createIncidents, incidentEpoch } from "../state/incidents";
import { isDark } from "../state/theme";
import type { Incident } from "../types";

export default function IncidentPage(props: { id: string }): JSX.Element {
  const [incidents, setIncidents] = createIncidents();
  const [problem, setProblem] = createSignal<Problem | null>(null);
  createEffect(
    on(incidentEpoch, async () => {
      try {
        setIncidents([await api<Incident>("GET", `/incidents/${segment(props.id)}`)]);
        setProblem(null);
      } catch (error) {
        setProblem(asProblem(error));
      }
    }),
  );
  const incident = () => incidents()[0];
  return (
    <>
      <div class="page-head">
        <h1>Incident</h1>
      </div>
      <ProblemNote problem={problem()} />
      <Show when={incident()}>
        {(known) => (
          <section class="card" aria-label="Incident">
            <IncidentList incidents={incidents()} showAgent label="Incident" empty="" />
            <img
              class="incident-chart"
              src={`/api/v1/incidents/${segment(props.id)}/chart.png?theme=${isDark() ? "dark" : "light"}`}
              alt={`${known().metric ?? "The metric"} around the incident`}
              loading="lazy"
            />
            <Show when={known().agent}>
              {(agent) => (
                <p>
                  <a href={`/h/${agent().id}`}>All charts of {agent().name}</a>
                </p>
              )}
            </Show>
          </section>
        )}
      </Show>
    </>
  );
}
