//! Agents, their levels, and the tokens they enrol with.

use super::cache::Cache;
use super::cells::{at, at_opt, list, ms, parsed, parsed_opt};
use super::failure::Answer;
use crate::change::enrolment_refusal;
use crate::entities::{AgentRow, EnrolmentToken};
use crate::seams::StoreError;
use crate::texts;
use nightbell_model::{AgentId, Levels, Timestamp, Ulid};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// Adds an agent or replaces all its fields but `last_seen`.
pub(super) fn put(connection: &Connection, agent: &AgentRow) -> Answer<()> {
    let sql = "INSERT INTO agents (id, name, tags, created_at, last_seen, interval_ms, paused, version, facts, credential, \
               enrolled_as) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT (id) DO UPDATE SET name = ?2, \
               tags = ?3, created_at = ?4, interval_ms = ?6, paused = ?7, version = ?8, facts = ?9, credential = ?10, \
               enrolled_as = ?11";
    connection.prepare_cached(sql)?.execute(params![
        agent.id.to_string(),
        agent.name,
        texts::write(&agent.tags),
        agent.created_at.as_millis(),
        ms(agent.last_seen),
        agent.interval_ms,
        agent.paused,
        agent.version,
        agent.facts_json,
        agent.credential,
        agent.enrolled_as,
    ])?;
    Ok(())
}

/// Removes an agent, its levels and its processes; with `purge` its history is cut off from it too, for housekeeping to remove.
pub(super) fn delete(connection: &Connection, cache: &mut Cache, id: AgentId, purge: bool) -> Answer<usize> {
    let text = id.to_string();
    let deleted = connection.prepare_cached("DELETE FROM agents WHERE id = ?1")?.execute([&text])?;
    let sql = "DELETE FROM boots WHERE agent = (SELECT key FROM agent_keys WHERE agent = ?1)";
    connection.prepare_cached(sql)?.execute([&text])?;
    if purge {
        connection.prepare_cached("UPDATE agent_keys SET agent = NULL WHERE agent = ?1")?.execute([&text])?;
    }
    cache.forget_agent(id);
    Ok(deleted)
}

/// Whether there is such an agent.
pub(super) fn is_there(connection: &Connection, id: AgentId) -> Answer<bool> {
    Ok(connection.prepare_cached("SELECT 1 FROM agents WHERE id = ?1")?.exists([id.to_string()])?)
}

/// All agents, by id. They were last seen when the newest of their processes was, if that is later than what their row says.
pub(super) fn all(connection: &Connection) -> Answer<Vec<AgentRow>> {
    let sql = "SELECT agents.*, (SELECT max(used_at) FROM boots JOIN agent_keys ON agent_keys.key = boots.agent \
               WHERE agent_keys.agent = agents.id) AS boots_seen FROM agents ORDER BY id";
    let mut select = connection.prepare_cached(sql)?;
    let read = |row: &Row<'_>| {
        Ok(AgentRow {
            id: parsed(row, "id")?,
            name: row.get("name")?,
            tags: list(row, "tags")?,
            created_at: at(row, "created_at")?,
            last_seen: at_opt(row, "last_seen")?.max(at_opt(row, "boots_seen")?),
            interval_ms: row.get("interval_ms")?,
            paused: row.get("paused")?,
            version: row.get("version")?,
            facts_json: row.get("facts")?,
            credential: row.get("credential")?,
            enrolled_as: row.get("enrolled_as")?,
        })
    };
    Ok(select.query_map([], read)?.collect::<rusqlite::Result<_>>()?)
}

/// Sets the levels of one agent or of all.
pub(super) fn put_levels(connection: &Connection, agent: Option<AgentId>, key: &str, levels: Levels) -> Answer<()> {
    match agent {
        Some(agent) => {
            let sql = "INSERT INTO agent_settings (agent, key, warn, crit) VALUES (?1, ?2, ?3, ?4) \
                       ON CONFLICT (agent, key) DO UPDATE SET warn = ?3, crit = ?4";
            connection.prepare_cached(sql)?.execute(params![agent.to_string(), key, levels.warn, levels.crit])?;
        }
        None => {
            let sql = "INSERT OR REPLACE INTO default_settings (key, warn, crit) VALUES (?1, ?2, ?3)";
            connection.prepare_cached(sql)?.execute(params![key, levels.warn, levels.crit])?;
        }
    }
    Ok(())
}

/// Takes levels away; how many there were.
pub(super) fn delete_levels(connection: &Connection, agent: Option<AgentId>, key: &str) -> Answer<usize> {
    Ok(match agent {
        Some(agent) => {
            let sql = "DELETE FROM agent_settings WHERE agent = ?1 AND key = ?2";
            connection.prepare_cached(sql)?.execute([&*agent.to_string(), key])?
        }
        None => connection.prepare_cached("DELETE FROM default_settings WHERE key = ?1")?.execute([key])?,
    })
}

/// All levels: those of all agents, then those of each.
pub(super) fn levels(connection: &Connection) -> Answer<Vec<(Option<AgentId>, String, Levels)>> {
    let sql = "SELECT NULL AS agent, key, warn, crit FROM default_settings UNION ALL \
               SELECT agent, key, warn, crit FROM agent_settings ORDER BY agent, key";
    let mut select = connection.prepare_cached(sql)?;
    let read = |row: &Row<'_>| {
        let levels = Levels { warn: row.get("warn")?, crit: row.get("crit")? };
        Ok((parsed_opt(row, "agent")?, row.get("key")?, levels))
    };
    Ok(select.query_map([], read)?.collect::<rusqlite::Result<_>>()?)
}

/// Adds or replaces an enrolment token.
pub(super) fn put_enrolment(connection: &Connection, token: &EnrolmentToken) -> Answer<()> {
    let sql = "INSERT INTO enrolment_tokens (id, hash, created_at, expires_at, uses_left, tags) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
               ON CONFLICT (id) DO UPDATE SET hash = ?2, created_at = ?3, expires_at = ?4, uses_left = ?5, tags = ?6";
    connection.prepare_cached(sql)?.execute(params![
        token.id.to_string(),
        token.hash,
        token.created_at.as_millis(),
        ms(token.expires_at),
        token.uses_left,
        texts::write(&token.tags),
    ])?;
    Ok(())
}

/// Uses an enrolment token once.
pub(super) fn use_enrolment(connection: &Connection, id: Ulid, now: Timestamp) -> Answer<()> {
    let mut select = connection.prepare_cached("SELECT * FROM enrolment_tokens WHERE id = ?1")?;
    let token = select.query_row([id.to_string()], read_enrolment).optional()?;
    if let Some(refusal) = enrolment_refusal(token.as_ref(), now) {
        return Err(StoreError::Conflict(refusal.to_owned()).into());
    }
    let sql = "UPDATE enrolment_tokens SET uses_left = uses_left - 1 WHERE id = ?1";
    connection.prepare_cached(sql)?.execute([id.to_string()])?;
    Ok(())
}

/// Removes an enrolment token; how many there were.
pub(super) fn delete_enrolment(connection: &Connection, id: Ulid) -> Answer<usize> {
    Ok(connection.prepare_cached("DELETE FROM enrolment_tokens WHERE id = ?1")?.execute([id.to_string()])?)
}

fn read_enrolment(row: &Row<'_>) -> rusqlite::Result<EnrolmentToken> {
    Ok(EnrolmentToken {
        id: parsed(row, "id")?,
        hash: row.get("hash")?,
        created_at: at(row, "created_at")?,
        expires_at: at_opt(row, "expires_at")?,
        uses_left: row.get("uses_left")?,
        tags: list(row, "tags")?,
    })
}

/// All enrolment tokens, by id.
pub(super) fn enrolments(connection: &Connection) -> Answer<Vec<EnrolmentToken>> {
    let mut select = connection.prepare_cached("SELECT * FROM enrolment_tokens ORDER BY id")?;
    Ok(select.query_map([], read_enrolment)?.collect::<rusqlite::Result<_>>()?)
}
