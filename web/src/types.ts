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
  /** When values were measured that are older than the last heartbeat; absent where there are none. */
  older?: Record<string, string>;
  thresholds: Record<string, Threshold>;
  paused?: boolean;
}

/** What a live frame says of one agent: only what changed. */
export interface AgentDelta {
  id: string;
  status?: string;
  last_seen?: string | null;
  metrics?: Values;
  older?: Record<string, string>;
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
  /** Secrets read "set". */
  config?: Record<string, unknown>;
  enabled?: boolean;
  broken?: boolean;
  broken_reason?: string | null;
  quiet_hours?: QuietHours[];
  quiet_until?: string | null;
  managed_by?: string | null;
}

/** Hours of the day, on the days on which they begin; none is every day. */
export interface Hours {
  weekdays: string[];
  from: string;
  to: string;
  timezone?: string | null;
}

/** When a channel's people are not to be woken. */
export interface QuietHours extends Hours {
  critical_passes: boolean;
}

/** Whom rules without channels tell; empty conditions are met by everything. */
export interface Route {
  severities: string[];
  tags: string[];
  rules: string[];
  when: Hours | null;
  channels: string[];
  continue: boolean;
}

export interface Routes {
  items: Route[];
  managed_by: string | null;
}

export interface Delivery {
  id: string;
  channel?: Named & { kind: string };
  incident_id?: string | null;
  message_id?: string | null;
  kind?: string;
  state: string;
  attempts: number;
  created_at?: string;
  sent_at?: string | null;
  latency_ms: number | null;
  next_attempt_at?: string | null;
  last_error: string | null;
  unreached?: string | null;
}

/** A rule as the hub shows it; the form knows its fields. */
export interface Rule extends Named {
  kind: string;
  severity: string;
  enabled: boolean;
  channels: string[];
  escalation: { after: string; channels: string[] }[];
  managed_by?: string | null;
  [field: string]: unknown;
}

/** One reason for a page or for none. */
export interface Reason {
  code: string;
  text: string;
  until: string | null;
  channel: Named | null;
}

/** One series under a rule and why it is as it is. */
export interface Explained {
  agent: Named;
  metric: string;
  labels: Record<string, string>;
  state: string;
  since: string;
  value: number | null;
  threshold: number | null;
  samples: number;
  next_notice_at: string | null;
  reasons: Reason[];
}

export interface TopProcess {
  name: string;
  pid?: number;
  cpu_percent: number;
  rss_bytes: number;
  io_bytes_per_second?: number;
}

export interface IncidentDetail extends Incident {
  state: string;
  samples?: number;
  timeline: LogEvent[];
  deliveries: Delivery[];
  top_processes: TopProcess[];
  notes: { at: string; by: string; text: string }[];
  now: Explained | null;
}

/** Times in which matching pages are withheld. */
export interface Silence {
  id: string;
  state: string;
  kind: string;
  active_until: string | null;
  starts_at: string;
  ends_at: string | null;
  cron: string | null;
  timezone: string | null;
  duration: string | null;
  next: { starts_at: string; ends_at: string }[];
  agent: string | null;
  tag: string | null;
  rule: string | null;
  metric: string | null;
  matchers: { label: string; op: string; value: string }[];
  severity_up_to: string | null;
  comment: string;
  managed_by: string | null;
  created_by: string;
}

interface Withheld {
  active: number;
  ends_at: string | null;
}

/** What everybody should know at a glance. */
export interface Banner {
  silences: Withheld;
  maintenance: Withheld;
  quiet_hours: Withheld;
  channels_broken: Named[];
  fallback_channel: string | null;
}

/** A disk that fills up. */
export interface Forecast {
  agent: Named;
  metric: string;
  labels: Record<string, string>;
  value: number;
  full_at: string;
  full_in_seconds: number;
  per_hour: number;
  confidence: number;
  window_seconds: number;
}

export interface EnrolmentToken {
  id: string;
  token: string;
  expires_at?: string | null;
}
