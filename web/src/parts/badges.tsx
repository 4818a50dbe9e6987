// State as shape, word and colour, never colour alone.

import { type JSX, Show } from "solid-js";
import type { AgentState, Cell, Level } from "../lib/levels";
import { parseKey, labelText } from "../lib/serieskey";
import { formatValue, unitOf } from "../lib/units";
import type { Threshold } from "../types";
import { Icon, type IconName } from "./icons";

export const STATE_WORD: Record<AgentState, string> = {
  ok: "OK",
  warn: "Warning",
  crit: "Critical",
  offline: "Offline",
  nodata: "No data",
  paused: "Paused",
};

const LEVEL_WORD: Record<Level, string> = { ok: "OK", warn: "Warning", crit: "Critical", none: "No data" };
const LEVEL_ICON: Record<Level, IconName> = { ok: "ok", warn: "warn", crit: "crit", none: "nodata" };

export function StateBadge(props: { state: AgentState }): JSX.Element {
  return (
    <span class={`badge is-${props.state}`}>
      <Icon name={props.state} />
      <span class="badge-word">{STATE_WORD[props.state]}</span>
    </span>
  );
}

export function SeverityBadge(props: { severity: string | undefined; resolved?: boolean }): JSX.Element {
  const level = () => (props.resolved ? "ok" : props.severity === "critical" ? "crit" : props.severity === "info" ? "info" : "warn");
  const word = () => (props.resolved ? "Resolved" : props.severity === "critical" ? "Critical" : props.severity === "info" ? "Info" : "Warning");
  return (
    <span class={`badge is-${level()}`}>
      <Icon name={level() === "info" ? "bell" : (level() as IconName)} />
      <span class="badge-word">{word()}</span>
    </span>
  );
}

/** The thresholds in words, for the hover text. */
export function thresholdText(threshold: Threshold | undefined, unit: ReturnType<typeof unitOf>): string {
  if (!threshold) return "no thresholds";
  const part = (name: string, value: number | null) => (value === null ? [] : [`${name} ${formatValue(value, unit)}`]);
  const text = [...part("warning from", threshold.warn), ...part("critical from", threshold.crit)].join(", ");
  return threshold.custom ? `${text} (set for this host)` : text;
}

/** One metric of one host: level, value, meter, and a mark where its thresholds are its own. */
export function MetricBadge(props: { cell: Cell; stale: boolean; offline: boolean; name: string }): JSX.Element {
  const unit = () => unitOf(props.cell.key);
  const level = () => (props.stale || props.offline ? "none" : props.cell.level);
  const known = () => props.cell.value !== null;
  const where = () => (props.cell.count > 1 ? labelText(parseKey(props.cell.key)?.labels ?? {}) : "");
  const hint = () => {
    const place = labelText(parseKey(props.cell.key)?.labels ?? {});
    const age = props.offline ? "host offline, last known value; " : props.stale ? "old value; " : "";
    return `${props.name}${place ? ` ${place}` : ""}: ${age}${thresholdText(props.cell.threshold, unit())}`;
  };
  return (
    <div class={`metric is-${level()}`} classList={{ "is-stale": props.stale || props.offline }} title={hint()}>
      <span class="metric-line">
        <Icon name={known() && level() !== "none" ? LEVEL_ICON[level()] : "nodata"} />
        <span class="sr-only">{props.offline ? "Offline" : props.stale ? "Stale" : LEVEL_WORD[level()]}</span>
        <span class="num">{formatValue(props.cell.value, unit())}</span>
        <Show when={props.cell.threshold?.custom}>
          <span class="custom-mark" title="Thresholds set for this host">
            <Icon name="sliders" />
            <span class="sr-only">own thresholds</span>
          </span>
        </Show>
        <Show when={where()}>
          <span class="metric-where">{where()}</span>
        </Show>
      </span>
      <span class="meter" aria-hidden="true">
        <span class="meter-fill" style={{ width: `${Math.min(100, Math.max(0, props.cell.value ?? 0))}%` }} />
      </span>
    </div>
  );
}
