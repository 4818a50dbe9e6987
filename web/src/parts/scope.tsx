// Which hosts something is about: all, those of a tag, or one.

import { createMemo, type JSX } from "solid-js";
import { allAgents } from "../state/fleet";
import { SelectField } from "./forms";

/** `global`, `tag:…` or `agent:…`; `all` is the word for the first. */
export function ScopeField(props: { label: string; all: readonly [string, string]; value: string; onValue: (value: string) => void; fault?: string }): JSX.Element {
  const options = createMemo(() => {
    const agents = allAgents().toSorted((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
    const tags = [...new Set(agents.flatMap((agent) => agent.tags))].sort();
    const known: [string, string][] = [
      [...props.all],
      ...tags.map((tag): [string, string] => [`tag:${tag}`, `Tag ${tag}`]),
      ...agents.map((agent): [string, string] => [`agent:${agent.id}`, agent.name]),
    ];
    // What is chosen stays choosable, even where its host or tag is gone.
    if (!known.some(([value]) => value === props.value)) known.push([props.value, props.value]);
    return known;
  });
  return <SelectField label={props.label} value={props.value} options={options()} onValue={props.onValue} fault={props.fault ?? ""} />;
}
