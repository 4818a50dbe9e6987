-- Complete hours of history become chunks: one row for each agent and block of time, packed by column
-- (docs/formats/agent-chunk.md). The hot hours stay rows of agent_metrics.

-- Raw rows before "sealed_to" stand in a chunk: those still in agent_metrics are dead and wait to be swept. "revision" grows with
-- every change of what is sealed. A "kept" history is not removed by age.
ALTER TABLE agent_keys ADD COLUMN sealed_to INTEGER;
ALTER TABLE agent_keys ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE agent_keys ADD COLUMN kept INTEGER NOT NULL DEFAULT 0;

-- When a series was last known to have a sample, to about a day: a number that nothing refers to any more is given again.
-- "mark" tells a damaged line of the dictionary.
ALTER TABLE series ADD COLUMN used_at INTEGER;
ALTER TABLE series ADD COLUMN mark INTEGER;

-- Raw history from "start" on and before "until". A "pinned" one lies before what raw is whole from and is kept for an incident.
CREATE TABLE agent_chunks (
    id     INTEGER PRIMARY KEY,
    agent  INTEGER NOT NULL REFERENCES agent_keys (key),
    start  INTEGER NOT NULL,
    until  INTEGER NOT NULL,
    rows   INTEGER NOT NULL,
    dense  INTEGER NOT NULL,
    pinned INTEGER NOT NULL,
    body   BLOB NOT NULL,
    UNIQUE (agent, start)
) STRICT;
CREATE INDEX agent_chunks_young ON agent_chunks (agent, start) WHERE dense = 0 AND pinned = 0;
CREATE INDEX agent_chunks_pinned ON agent_chunks (agent, start) WHERE pinned = 1;

-- Heartbeats that came after their hour was sealed, until they are put into its chunk.
CREATE TABLE agent_metrics_late (
    id           INTEGER PRIMARY KEY,
    agent        INTEGER NOT NULL REFERENCES agent_keys (key),
    ts           INTEGER NOT NULL,
    received     INTEGER NOT NULL,
    boot         INTEGER,
    seq          INTEGER,
    cpu_percent  REAL,
    mem_percent  REAL,
    disk_percent REAL,
    vector       BLOB NOT NULL
) STRICT;
CREATE INDEX agent_metrics_late_by_time ON agent_metrics_late (agent, ts);

-- Buckets of complete blocks. A row of the same bucket in the tier's own table is newer and goes before.
CREATE TABLE rollup_chunks (
    id    INTEGER PRIMARY KEY,
    agent INTEGER NOT NULL REFERENCES agent_keys (key),
    tier  INTEGER NOT NULL, -- 1: five minutes, 2: hourly, 3: daily
    start INTEGER NOT NULL,
    until INTEGER NOT NULL,
    rows  INTEGER NOT NULL,
    dense INTEGER NOT NULL,
    body  BLOB NOT NULL,
    UNIQUE (agent, tier, start)
) STRICT;
CREATE INDEX rollup_chunks_young ON rollup_chunks (agent, tier, start) WHERE dense = 0;

-- What was found damaged, out of the way and as it was.
CREATE TABLE quarantine (
    id    INTEGER PRIMARY KEY,
    at    INTEGER NOT NULL,
    agent INTEGER,
    what  TEXT NOT NULL, -- the table it stood in
    start INTEGER,
    until INTEGER,
    why   TEXT NOT NULL,
    body  BLOB
) STRICT;
CREATE INDEX quarantine_by_agent ON quarantine (agent, start) WHERE agent IS NOT NULL;

-- Incidents by the time around which raw history is kept for them.
CREATE INDEX incidents_by_time ON incidents (agent, fired_at);

-- Dead rows are no rows.
DROP VIEW agent_metrics_readable;
CREATE VIEW agent_metrics_readable AS
SELECT
    coalesce(agents.name, agent_keys.agent)                              AS agent,
    strftime('%Y-%m-%dT%H:%M:%fZ', hot.ts / 1000.0, 'unixepoch')         AS at,
    cpu_percent,
    mem_percent,
    disk_percent
FROM (
    SELECT agent_metrics.agent, ts, cpu_percent, mem_percent, disk_percent
    FROM agent_metrics
    JOIN agent_keys ON agent_keys.key = agent_metrics.agent
    WHERE ts >= coalesce(sealed_to, ts)
    UNION ALL
    SELECT agent, ts, cpu_percent, mem_percent, disk_percent
    FROM agent_metrics_late
) AS hot
JOIN agent_keys ON agent_keys.key = hot.agent
LEFT JOIN agents ON agents.id = agent_keys.agent;
