// The shapes of the hub's API that the pages read. They follow the OpenAPI
// document; what a page does not use is left out.

/** Warning and critical level of one metric; `custom` when set for this agent. */
export interface Threshold {
  warn: number | null;
  crit: number | null;
  custom?: boolean;
}

/** Latest values by series key; `null` is "known, but no value now". */
export type Values = Record<string, number | null>;

export interface Facts {
  os?: string;
  kernel?: string;
  cpu_model?: string;
  cores?: number;
  memory_bytes?: number;
}

export interface Agent {
  id: string;
  name: string;
  status: string;
  last_seen: string | null;
  created_at: string;
  version: string | null;
  tags: string[];
  facts: Facts;
  metrics: Values;
  thresholds: Record<string, Threshold>;
  paused?: boolean;
}

/** What a live frame says of one agent: only what changed. */
export interface AgentDelta {
  id: string;
  status?: string;
  last_seen?: string | null;
  metrics?: Values;
}

export interface Page<T> {
  items: T[];
  next_cursor: string | null;
}

export interface HistorySeries {
  metric: string;
  labels: Record<string, string>;
  unit: string | null;
  v: (number | null)[];
  min?: (number | null)[];
  max?: (number | null)[];
}

export interface History {
  agent: string;
  start: string;
  end: string;
  tier: string;
  points: number;
  t: number[];
  series: HistorySeries[];
}

export interface Named {
  id: string;
  name: string;
}

/** Somebody's word that they are on it. */
export interface Ack {
  by: string;
  at: string;
  note?: string;
  until?: string | null;
}

export interface Incident {
  id: string;
  rule: (Named & { severity?: string }) | null;
  agent: Named | null;
  severity?: string;
  metric: string | null;
  labels: Record<string, string> | null;
  op?: string | null;
  threshold?: number | null;
  value?: number | null;
  peak?: number | null;
  why?: string | null;
  started_at?: string | null;
  fired_at: string;
  resolved_at: string | null;
  ack?: Ack | null;
}

export interface LogEvent {
  id: string | number;
  ts: string;
  type: string;
  agent: Named | null;
  rule: Named | null;
  incident: string | null;
  metric: string | null;
  labels: Record<string, string> | null;
  value: number | null;
  threshold: number | null;
  reason: string | null;
}

export interface User {
  id: string;
  username: string;
  role: string;
}

export interface Channel {
  id: string;
  name: string;
  kind: string;
  enabled?: boolean;
  broken?: boolean;
}

export interface Delivery {
  id: string;
  state: string;
  attempts: number;
  latency_ms: number | null;
  next_attempt_at?: string | null;
  last_error: string | null;
}

export interface EnrolmentToken {
  id: string;
  token: string;
  expires_at?: string | null;
}
