-- The first schema. Times are milliseconds since 1970 (UTC), ids are ULIDs as text, lists are JSON arrays of texts.
-- Page size, auto_vacuum and journal mode are set when the file is made; inside a migration they would do nothing.

-- Who may write, and since which takeover. The last commit that wrote log lines is remembered so that repeating it writes none twice.
CREATE TABLE lease (
    id                INTEGER PRIMARY KEY CHECK (id = 1),
    owner             TEXT NOT NULL,
    epoch             INTEGER NOT NULL,
    acquired_at       INTEGER NOT NULL,
    commit_mark       BLOB,
    commit_first_line INTEGER,
    commit_last_line  INTEGER
) STRICT;

CREATE TABLE settings (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Agents and what belongs to them.

CREATE TABLE agents (
    id          TEXT NOT NULL PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    tags        TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    last_seen   INTEGER, -- of heartbeats without a boot id and of empty ones; the others stand in boots.used_at
    interval_ms INTEGER NOT NULL,
    paused      INTEGER NOT NULL,
    version     TEXT NOT NULL,
    facts       TEXT NOT NULL,
    credential  BLOB NOT NULL UNIQUE,
    enrolled_as TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Levels of one agent, by metric name or series key; they go before those of all.
CREATE TABLE agent_settings (
    agent TEXT NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    key   TEXT NOT NULL,
    warn  REAL NOT NULL,
    crit  REAL NOT NULL,
    PRIMARY KEY (agent, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE default_settings (
    key  TEXT NOT NULL PRIMARY KEY,
    warn REAL NOT NULL,
    crit REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE enrolment_tokens (
    id         TEXT NOT NULL PRIMARY KEY,
    hash       BLOB NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    uses_left  INTEGER,
    tags       TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- History. It refers to an agent by a short number, which outlives the agent when its history is kept.
-- What is older than a tier's "whole_from" has been removed from that tier (NULL: nothing has).
CREATE TABLE agent_keys (
    key                     INTEGER PRIMARY KEY,
    agent                   TEXT UNIQUE, -- NULL: the history is being purged
    raw_whole_from          INTEGER,
    five_minutes_whole_from INTEGER,
    hourly_whole_from       INTEGER,
    daily_whole_from        INTEGER
) STRICT;
CREATE INDEX agent_keys_purged ON agent_keys (key) WHERE agent IS NULL;

-- The dictionary that packed vectors are written against: an agent's series by small numbers, which never change.
CREATE TABLE series (
    agent    INTEGER NOT NULL REFERENCES agent_keys (key),
    id       INTEGER NOT NULL,
    key      TEXT NOT NULL,
    decimals INTEGER NOT NULL,
    PRIMARY KEY (agent, id)
) STRICT, WITHOUT ROWID;

-- Every metric that any agent ever sent.
CREATE TABLE metric_names (
    name TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Agent processes and which of their heartbeats were seen (by the door) and stored (here), as packed ranges.
CREATE TABLE boots (
    key     INTEGER PRIMARY KEY AUTOINCREMENT,
    agent   INTEGER NOT NULL REFERENCES agent_keys (key),
    boot    TEXT NOT NULL,
    used_at INTEGER NOT NULL,
    seen    BLOB NOT NULL,
    stored  BLOB NOT NULL,
    UNIQUE (agent, boot)
) STRICT;

-- One row for each heartbeat, appended in the order of commits. The vector's bytes: docs/formats/agent-metrics-row.md.
CREATE TABLE agent_metrics (
    id           INTEGER PRIMARY KEY,
    agent        INTEGER NOT NULL REFERENCES agent_keys (key),
    ts           INTEGER NOT NULL,
    received     INTEGER NOT NULL,
    boot         INTEGER,
    seq          INTEGER,
    cpu_percent  REAL, -- cpu.usage_percent
    mem_percent  REAL, -- mem.used_percent
    disk_percent REAL, -- disk.used_percent{mount=/}
    vector       BLOB NOT NULL
) STRICT;
CREATE INDEX agent_metrics_by_time ON agent_metrics (agent, ts);

-- The same for people: SELECT * FROM agent_metrics_readable WHERE agent = 'web-1' ORDER BY at DESC LIMIT 10;
CREATE VIEW agent_metrics_readable AS
SELECT
    coalesce(agents.name, agent_keys.agent)                              AS agent,
    strftime('%Y-%m-%dT%H:%M:%fZ', agent_metrics.ts / 1000.0, 'unixepoch') AS at,
    cpu_percent,
    mem_percent,
    disk_percent
FROM agent_metrics
JOIN agent_keys ON agent_keys.key = agent_metrics.agent
LEFT JOIN agents ON agents.id = agent_keys.agent;

-- Rollups: one packed row for each agent and bucket (docs/formats/rollup-row.md). One table for each tier, because each has
-- its own retention and stays dense in its own pages.
CREATE TABLE agent_metrics_5m (
    id     INTEGER PRIMARY KEY,
    agent  INTEGER NOT NULL REFERENCES agent_keys (key),
    bucket INTEGER NOT NULL,
    vector BLOB NOT NULL,
    UNIQUE (agent, bucket)
) STRICT;

CREATE TABLE agent_metrics_hourly (
    id     INTEGER PRIMARY KEY,
    agent  INTEGER NOT NULL REFERENCES agent_keys (key),
    bucket INTEGER NOT NULL,
    vector BLOB NOT NULL,
    UNIQUE (agent, bucket)
) STRICT;

CREATE TABLE agent_metrics_daily (
    id     INTEGER PRIMARY KEY,
    agent  INTEGER NOT NULL REFERENCES agent_keys (key),
    bucket INTEGER NOT NULL,
    vector BLOB NOT NULL,
    UNIQUE (agent, bucket)
) STRICT;

-- Buckets whose row is not written yet or not right any more. A commit marks the five minutes of its samples, writing a bucket
-- marks the next coarser one: whatever the order of events, what is not marked is right.
CREATE TABLE rollup_pending (
    agent  INTEGER NOT NULL REFERENCES agent_keys (key),
    tier   INTEGER NOT NULL, -- 1: five minutes, 2: hourly, 3: daily
    bucket INTEGER NOT NULL,
    PRIMARY KEY (agent, tier, bucket)
) STRICT, WITHOUT ROWID;
CREATE INDEX rollup_pending_by_time ON rollup_pending (tier, bucket);

-- Alerting. The machine's state refers to rules, agents and channels without foreign keys: it must be able to write down the
-- end of something whose rule was just deleted.

CREATE TABLE alert_rules (
    id               TEXT NOT NULL PRIMARY KEY,
    version          INTEGER NOT NULL,
    name             TEXT NOT NULL,
    rule_key         TEXT,
    metric           TEXT NOT NULL,
    labels           TEXT NOT NULL, -- name, value, …
    matchers         TEXT NOT NULL, -- label, kind, value, …
    aggregate        TEXT NOT NULL,
    comparison       TEXT NOT NULL,
    threshold_kind   TEXT NOT NULL, -- value, warn, crit
    threshold        REAL,
    clear_kind       TEXT, -- value, warn, crit, margin
    clear            REAL,
    hold_ms          INTEGER NOT NULL,
    keep_firing_ms   INTEGER NOT NULL,
    cooldown_ms      INTEGER NOT NULL,
    repeat_ms        INTEGER NOT NULL,
    missing          TEXT NOT NULL,
    missing_after_ms INTEGER,
    severity         TEXT NOT NULL,
    scope_kind       TEXT NOT NULL, -- global, tag, agent
    scope            TEXT,
    channels         TEXT NOT NULL,
    escalation       TEXT NOT NULL, -- milliseconds, number of channels, channels …
    fold_late        INTEGER NOT NULL,
    enabled          INTEGER NOT NULL,
    created_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE alert_state (
    rule         TEXT NOT NULL,
    agent        TEXT NOT NULL,
    series       TEXT NOT NULL,
    state        TEXT NOT NULL,
    since        INTEGER NOT NULL,
    fired_at     INTEGER,
    clear_since  INTEGER,
    was_firing   INTEGER NOT NULL,
    incident     TEXT,
    rule_version INTEGER NOT NULL,
    samples      INTEGER NOT NULL,
    peak         REAL,
    PRIMARY KEY (rule, agent, series)
) STRICT, WITHOUT ROWID;

CREATE TABLE notice_state (
    rule          TEXT NOT NULL,
    agent         TEXT NOT NULL,
    series        TEXT NOT NULL,
    channel       TEXT NOT NULL,
    told          TEXT,
    told_nodata   TEXT,
    last_fired_at INTEGER,
    last_said_at  INTEGER,
    suppressed    INTEGER NOT NULL,
    repeats       INTEGER NOT NULL,
    PRIMARY KEY (rule, agent, series, channel)
) STRICT, WITHOUT ROWID;

CREATE TABLE incidents (
    place       INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    rule        TEXT NOT NULL,
    agent       TEXT NOT NULL,
    series      TEXT NOT NULL,
    rule_name   TEXT NOT NULL,
    severity    TEXT NOT NULL,
    comparison  TEXT NOT NULL,
    threshold   REAL,
    hold_ms     INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    fired_at    INTEGER NOT NULL,
    resolved_at INTEGER,
    end_reason  TEXT,
    value       REAL,
    peak        REAL,
    samples     INTEGER NOT NULL,
    ack_by      TEXT,
    ack_at      INTEGER,
    ack_note    TEXT,
    ack_until   INTEGER
) STRICT;
CREATE INDEX incidents_open ON incidents (place) WHERE resolved_at IS NULL;
CREATE INDEX incidents_ended ON incidents (resolved_at) WHERE resolved_at IS NOT NULL;
CREATE INDEX incidents_by_agent ON incidents (agent, place);
CREATE INDEX incidents_by_rule ON incidents (rule, place);

CREATE TABLE incident_attachments (
    place    INTEGER PRIMARY KEY,
    incident TEXT NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
    at       INTEGER NOT NULL,
    kind     TEXT NOT NULL,
    body     TEXT NOT NULL
) STRICT;
CREATE INDEX incident_attachments_by_incident ON incident_attachments (incident, place);

-- The append-only log; a line's number is never used again.
CREATE TABLE alert_events (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    at        INTEGER NOT NULL,
    kind      TEXT NOT NULL,
    agent     TEXT,
    rule      TEXT,
    incident  TEXT,
    series    TEXT,
    value     REAL,
    threshold REAL,
    reason    TEXT NOT NULL
) STRICT;
CREATE INDEX alert_events_by_agent ON alert_events (agent, seq) WHERE agent IS NOT NULL;
CREATE INDEX alert_events_by_incident ON alert_events (incident, seq) WHERE incident IS NOT NULL;

CREATE TABLE channels (
    id         TEXT NOT NULL PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    kind       TEXT NOT NULL,
    config     TEXT NOT NULL,
    enabled    INTEGER NOT NULL,
    broken     TEXT,
    created_at INTEGER NOT NULL,
    version    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE silences (
    id         TEXT NOT NULL PRIMARY KEY,
    kind       TEXT NOT NULL,
    starts_at  INTEGER NOT NULL,
    ends_at    INTEGER NOT NULL,
    rule       TEXT,
    agent      TEXT,
    tag        TEXT,
    series     TEXT,
    up_to      TEXT,
    comment    TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Deliveries. Those of one channel and instance go out one after another, in the order of "place".
CREATE TABLE outbox (
    place            INTEGER PRIMARY KEY AUTOINCREMENT,
    id               TEXT NOT NULL UNIQUE,
    channel          TEXT NOT NULL,
    instance         TEXT NOT NULL,
    incident         TEXT NOT NULL,
    kind             TEXT NOT NULL,
    n                INTEGER NOT NULL,
    payload          TEXT NOT NULL,
    created_at       INTEGER NOT NULL,
    not_before       INTEGER NOT NULL,
    state            TEXT NOT NULL,
    attempts         INTEGER NOT NULL DEFAULT 0,
    due_at           INTEGER NOT NULL, -- when it may go next: not_before, then the time of the next attempt
    lease_until      INTEGER,
    first_attempt_at INTEGER,
    sent_at          INTEGER,
    latency_ms       INTEGER,
    next_attempt_at  INTEGER,
    last_error       TEXT,
    maybe_repeat     INTEGER NOT NULL DEFAULT 0,
    plain            INTEGER NOT NULL DEFAULT 0,
    UNIQUE (incident, kind, n, channel)
) STRICT;
CREATE INDEX outbox_due ON outbox (due_at) WHERE state = 'queued';
CREATE INDEX outbox_sending ON outbox (lease_until) WHERE state = 'sending';
CREATE INDEX outbox_unfinished ON outbox (channel, instance, place) WHERE state IN ('queued', 'sending');
CREATE INDEX outbox_by_state ON outbox (state, place);
CREATE INDEX outbox_by_channel ON outbox (channel, place);

-- People and programs.

CREATE TABLE users (
    id           TEXT NOT NULL PRIMARY KEY,
    username     TEXT NOT NULL UNIQUE,
    password_phc TEXT NOT NULL,
    role         TEXT NOT NULL,
    created_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    hash       BLOB NOT NULL PRIMARY KEY,
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    used_at    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_user ON sessions (user_id);

CREATE TABLE tokens (
    id         TEXT NOT NULL PRIMARY KEY,
    name       TEXT NOT NULL,
    hash       BLOB NOT NULL UNIQUE,
    scopes     TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    used_at    INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    actor   TEXT NOT NULL,
    action  TEXT NOT NULL,
    object  TEXT NOT NULL,
    detail  TEXT NOT NULL,
    address TEXT NOT NULL
) STRICT;
