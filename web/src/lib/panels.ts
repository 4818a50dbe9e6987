// Which charts an agent's page has: derived from the series the agent sends,
// so a new metric appears by itself. Known families are grouped; whatever is
// left becomes one chart per metric under "more". Pure.

import { formatKey, labelText, metricOf, parseKey } from "./serieskey";
import { type Unit, unitOf } from "./units";

export interface Line {
  key: string;
  label: string;
}

export interface Panel {
  id: string;
  title: string;
  unit: Unit;
  lines: Line[];
  /** What to ask the hub for: full keys, or a bare metric for all its series. */
  query: string[];
}

export interface Panels {
  main: Panel[];
  more: Panel[];
}

interface Family {
  title: string;
  /** Metric and the word for it in the legend. */
  metrics: readonly (readonly [string, string])[];
  /** `one`: no labels. `lines`: a line per label set. `charts`: a chart per label set. */
  spread: "one" | "lines" | "charts";
}

const FAMILIES: readonly Family[] = [
  {
    title: "CPU",
    spread: "one",
    metrics: [
      ["cpu.usage_percent", "total"],
      ["cpu.user_percent", "user"],
      ["cpu.system_percent", "system"],
      ["cpu.iowait_percent", "iowait"],
      ["cpu.steal_percent", "steal"],
    ],
  },
  { title: "Memory", spread: "one", metrics: [["mem.used_percent", "memory"], ["swap.used_percent", "swap"]] },
  { title: "Disk space", spread: "lines", metrics: [["disk.used_percent", ""]] },
  { title: "Load", spread: "one", metrics: [["load.avg_1m", "1 min"], ["load.avg_5m", "5 min"], ["load.avg_15m", "15 min"]] },
  {
    title: "Network",
    spread: "charts",
    metrics: [["net.rx_bytes_per_second", "received"], ["net.tx_bytes_per_second", "sent"]],
  },
  {
    title: "Disk I/O",
    spread: "charts",
    metrics: [["diskio.read_bytes_per_second", "read"], ["diskio.write_bytes_per_second", "written"]],
  },
  { title: "CPU cores", spread: "lines", metrics: [["cpu.core.usage_percent", ""]] },
  { title: "Memory use", spread: "one", metrics: [["mem.used_bytes", "used"], ["mem.cached_bytes", "cached"], ["mem.free_bytes", "free"]] },
  { title: "Disk busy", spread: "lines", metrics: [["diskio.util_percent", ""]] },
  { title: "Temperature", spread: "lines", metrics: [["temp.celsius", ""]] },
  {
    title: "Pressure",
    spread: "one",
    metrics: [
      ["psi.cpu_some_percent", "cpu, some"],
      ["psi.memory_some_percent", "memory, some"],
      ["psi.memory_full_percent", "memory, full"],
      ["psi.io_some_percent", "I/O, some"],
      ["psi.io_full_percent", "I/O, full"],
    ],
  },
  { title: "TCP connections", spread: "one", metrics: [["tcp.established", "established"], ["tcp.time_wait", "time wait"]] },
  { title: "Container CPU", spread: "lines", metrics: [["container.cpu_percent", ""]] },
  { title: "Container memory", spread: "lines", metrics: [["container.mem_used_bytes", ""]] },
];

/** Charts of one family that stand open at first; the rest goes under "more". */
const MAX_CHARTS_PER_FAMILY = 4;

/** The charts for a set of series keys. */
export function panelsOf(keys: readonly string[]): Panels {
  const byMetric = groupByMetric(keys);
  const panels: Panels = { main: [], more: [] };
  for (const family of FAMILIES) {
    const made = family.spread === "charts" ? chartsOf(family, byMetric) : [panelOf(family, byMetric)].filter((panel) => panel !== null);
    panels.main.push(...made.slice(0, MAX_CHARTS_PER_FAMILY));
    panels.more.push(...made.slice(MAX_CHARTS_PER_FAMILY));
    for (const [metric] of family.metrics) byMetric.delete(metric);
  }
  for (const metric of [...byMetric.keys()].sort()) panels.more.push(plainPanel(metric, byMetric.get(metric) ?? []));
  return panels;
}

function groupByMetric(keys: readonly string[]): Map<string, string[]> {
  const byMetric = new Map<string, string[]>();
  for (const key of keys) {
    const metric = metricOf(key);
    const known = byMetric.get(metric);
    if (known) known.push(key);
    else byMetric.set(metric, [key]);
  }
  return byMetric;
}

function panelOf(family: Family, byMetric: Map<string, string[]>): Panel | null {
  const present = family.metrics.filter(([metric]) => byMetric.has(metric));
  const first = present[0]?.[0];
  if (!first) return null;
  if (family.spread === "lines") {
    const lines = labelledLines(byMetric.get(first) ?? []);
    const title = lines.length > 1 ? `${family.title} (${lines.length})` : family.title;
    return { id: first, title, unit: unitOf(first), lines, query: [first] };
  }
  const lines = present.map(([metric, label]) => ({ key: metric, label }));
  return { id: first, title: family.title, unit: unitOf(first), lines, query: lines.map((line) => line.key) };
}

function chartsOf(family: Family, byMetric: Map<string, string[]>): Panel[] {
  const panels = new Map<string, Panel>();
  for (const [metric, label] of family.metrics) {
    for (const key of byMetric.get(metric) ?? []) {
      const name = labelText(parseKey(key)?.labels ?? {});
      const title = name ? `${family.title} ${name}` : family.title;
      const panel = panels.get(name) ?? { id: key, title, unit: unitOf(metric), lines: [], query: [] };
      panel.lines.push({ key, label });
      panel.query.push(key);
      panels.set(name, panel);
    }
  }
  return [...panels.keys()].sort(natural).map((name) => panels.get(name) as Panel);
}

function plainPanel(metric: string, keys: string[]): Panel {
  return { id: metric, title: metric, unit: unitOf(metric), lines: labelledLines(keys), query: [metric] };
}

function labelledLines(keys: readonly string[]): Line[] {
  return keys
    .map((key) => {
      const parsed = parseKey(key);
      const label = parsed ? labelText(parsed.labels) || parsed.metric : key;
      return { key: parsed ? formatKey(parsed.metric, parsed.labels) : key, label };
    })
    .sort((a, b) => natural(a.label, b.label));
}

/** Orders names as people do: sda2 before sda10. */
function natural(a: string, b: string): number {
  return a.localeCompare(b, "en", { numeric: true });
}

/** The address of a panel's picture or table, as the API exports it. */
export function exportHref(agent: string, panel: Panel, kind: "png" | "svg" | "csv", params: Record<string, string>): string {
  const [first = panel.id, ...others] = panel.query;
  const query = new URLSearchParams(params);
  if (others.length > 0) query.set("metrics", others.join(","));
  return `/api/v1/agents/${encodeURIComponent(agent)}/charts/${encodeURIComponent(first)}.${kind}?${query}`;
}
