//! What the file holds of an agent: its number, how far its tiers reach back, how far it is sealed.

use super::cells::At;
use super::failure::Answer;
use crate::retention::WholeFrom;
use nightbell_model::{AgentId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row};
use std::collections::HashMap;

/// Reading an agent among all is so many times easier than looking for it.
const LARGE_PART: i64 = 4;

/// An agent as history knows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    /// Its number.
    pub(super) key: i64,
    /// What has been removed.
    pub(super) whole_from: WholeFrom,
    /// Raw rows before this stand in chunks, or came late.
    pub(super) sealed_to: Timestamp,
    /// Whether it is never removed by age.
    pub(super) kept: bool,
    /// How often something sealed has changed.
    pub(super) revision: i64,
}

/// What [`read`] reads, in its order.
pub(super) const COLUMNS: &str = "key, raw_whole_from, five_minutes_whole_from, hourly_whole_from, daily_whole_from, \
                                  sealed_to, kept, revision";

/// An agent from a row of [`COLUMNS`].
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Held> {
    let mark = |at: usize| row.get::<_, Option<At>>(at).map(|at| at.map(|at| at.0));
    Ok(Held {
        key: row.get(0)?,
        whole_from: WholeFrom::new([mark(1)?, mark(2)?, mark(3)?, mark(4)?]),
        sealed_to: mark(5)?.unwrap_or(Timestamp::MIN),
        kept: row.get(6)?,
        revision: row.get(7)?,
    })
}

/// An agent by its id, if it has any history.
pub(super) fn of(connection: &Connection, agent: AgentId) -> Answer<Option<Held>> {
    let sql = format!("SELECT {COLUMNS} FROM agent_keys WHERE agent = ?1");
    Ok(connection.prepare_cached(&sql)?.query_row([agent.to_string()], read).optional()?)
}

/// Agents by their ids, in the order of these: each by itself, or, if they are a large part of all, all at once.
pub(super) fn many(connection: &Connection, agents: &[AgentId]) -> Answer<Vec<Option<Held>>> {
    let largest: Option<i64> = connection.prepare_cached("SELECT max(key) FROM agent_keys")?.query_row([], |row| row.get(0))?;
    if largest.is_some_and(|largest| largest > i64::try_from(agents.len()).unwrap_or(i64::MAX).saturating_mul(LARGE_PART)) {
        return agents.iter().map(|agent| of(connection, *agent)).collect();
    }
    let mut select = connection.prepare_cached(&format!("SELECT {COLUMNS}, agent FROM agent_keys WHERE agent IS NOT NULL"))?;
    let mut rows = select.query([])?;
    let mut all = HashMap::new();
    while let Some(row) = rows.next()? {
        if let Ok(agent) = row.get_ref(8)?.as_str().map_err(rusqlite::Error::from)?.parse::<AgentId>() {
            all.insert(agent, read(row)?);
        }
    }
    Ok(agents.iter().map(|agent| all.get(agent).copied()).collect())
}

/// An agent by its number, unless its history is being purged.
pub(super) fn by_key(connection: &Connection, key: i64) -> Answer<Option<Held>> {
    let sql = format!("SELECT {COLUMNS} FROM agent_keys WHERE key = ?1 AND agent IS NOT NULL");
    Ok(connection.prepare_cached(&sql)?.query_row([key], read).optional()?)
}

/// Notes that something sealed has changed.
pub(super) fn revise(connection: &Connection, key: i64) -> Answer<()> {
    connection.prepare_cached("UPDATE agent_keys SET revision = revision + 1 WHERE key = ?1")?.execute([key])?;
    Ok(())
}
