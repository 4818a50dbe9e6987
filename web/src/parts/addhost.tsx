// Bringing in a host: a token, the command line that carries it, and a sign
// as soon as the new host speaks.

import { createMemo, createSignal, type JSX, Show, untrack } from "solid-js";
import { agentCommand, isLoopback } from "../lib/command";
import { api } from "../state/api";
import { allAgents } from "../state/fleet";
import type { EnrolmentToken } from "../types";
import { CopyText, Dialog, ProblemNote, SelectField, TextField, useAction } from "./forms";
import { Icon } from "./icons";

const EXPIRIES = [["1h", "1 hour"], ["24h", "1 day"], ["168h", "1 week"]] as const;

export default function AddHost(props: { onClose: () => void }): JSX.Element {
  const [expires, setExpires] = createSignal("1h");
  const [uses, setUses] = createSignal("1");
  const [tags, setTags] = createSignal("");
  const [token, setToken] = createSignal<EnrolmentToken | null>(null);
  const before = untrack(() => new Set(allAgents().map((agent) => agent.id)));
  const joined = createMemo(() => (token() ? allAgents().filter((agent) => !before.has(agent.id)) : []));
  const { busy, problem, run } = useAction(async () => {
    const body = { expires: expires(), uses: Number(uses()), tags: tags().split(/[\s,]+/).filter(Boolean) };
    setToken(await api<EnrolmentToken>("POST", "/enrolment-tokens", { body }));
  });
  return (
    <Dialog title="Add host" onClose={props.onClose}>
      <Show
        when={token()}
        fallback={
          <form onSubmit={run}>
            <p class="muted">The agent enrols itself with a token that expires. From then on it has a credential of its own.</p>
            <div class="field-row">
              <SelectField label="Token valid for" value={expires()} options={EXPIRIES} onValue={setExpires} />
              <TextField label="Hosts" type="number" value={uses()} onValue={setUses} required />
            </div>
            <TextField label="Tags" value={tags()} onValue={setTags} placeholder="db prod" hint="Optional. Every host that enrols with this token gets them." />
            <ProblemNote problem={problem()} />
            <div class="actions">
              <button class="button is-primary" disabled={busy()}>
                {busy() ? "Creating…" : "Create token"}
              </button>
            </div>
          </form>
        }
      >
        {(made) => (
          <>
            <p>Run this on the new host. The token is shown this once.</p>
            <CopyText label="Command line for the new host" text={agentCommand(location, made().token)} />
            <Show when={location.protocol !== "https:" && !isLoopback(location.hostname)}>
              <p class="hint">This hub is reached without TLS, so the agent must be told to allow plain text.</p>
            </Show>
            <div class={`note ${joined().length > 0 ? "is-ok" : "is-info"}`} role="status">
              <Icon name={joined().length > 0 ? "ok" : "nodata"} />
              <div>
                <Show when={joined().length > 0} fallback="Waiting for the agent…">
                  Connected: <strong>{joined().map((agent) => agent.name).join(", ")}</strong>
                </Show>
              </div>
            </div>
            <div class="actions">
              <button type="button" class="button" onClick={() => setToken(null)}>
                Another token
              </button>
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
