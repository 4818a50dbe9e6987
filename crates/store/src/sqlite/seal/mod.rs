//! Packing what is complete. A unit of work is one agent, one tier and one block of time: everything in it, wherever it lies, is read
//! and packed beside the writer, and put in place by a short transaction that first makes sure that nothing has changed since. So
//! being stopped anywhere repeats nothing and loses nothing.

mod buckets;
mod due;
mod samples;
mod sweep;

use super::SqliteStore;
use super::cache::Cache;
use super::chunks::{self, RAW, ROLLUPS};
use super::failure::{Answer, Met};
use super::history::Span;
use super::marks::Piece;
use super::noted::{Noted, Spot};
use super::quarantine::{self, Fault};
use super::sight::Sight;
use crate::seams::{Housekeeping, LeaseToken, SealPolicy, StoreError};
use nightbell_model::{AgentId, Tier, Timestamp};
use rusqlite::{Connection, params};
use std::collections::HashSet;

/// So many agents are looked at together.
const AGENTS: usize = 64;
/// So many young units are put in place while commits wait: some milliseconds.
const TOGETHER: usize = 16;

/// What is packed at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unit {
    /// The agent's number.
    key: i64,
    /// The agent.
    agent: AgentId,
    /// Raw, or which buckets.
    tier: Tier,
    /// The block of time.
    span: Span,
    /// Whether it is to be packed densely.
    dense: bool,
}

/// A unit that is packed and not in place yet.
#[derive(Debug)]
enum Built {
    /// What goes in place of what was read.
    Packed {
        /// The piece, its number still unknown.
        piece: Piece,
        /// Its bytes; nothing if no row was sound.
        body: Vec<u8>,
        /// What was read.
        seen: Seen,
        /// Series that are in it and were last known to be used earlier.
        used: Vec<u32>,
        /// Rows that are damaged.
        bad: Vec<Fault>,
    },
    /// A chunk that is damaged and in the way.
    Damaged(Fault),
}

/// What a unit was made from: as long as this is the same, nothing has come between.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    sealed_to: Timestamp,
    whole_from: Timestamp,
    /// How many rows, and the largest number of one, in each table.
    rows: Vec<(i64, Option<i64>)>,
    pieces: Vec<i64>,
}

impl SqliteStore {
    /// Packs everything that is due, then removes rows that stand in chunks now. Damage is in the way of what it hits alone, and said at
    /// the end.
    pub(super) fn seal_due(&self, lease: LeaseToken, now: Timestamp, policy: &SealPolicy) -> Result<Housekeeping, StoreError> {
        let (mut done, mut after, mut met) = (Housekeeping::default(), 0, Met::default());
        loop {
            let agents = self.readers.read("look for what is complete", |connection| due::agents(connection, after))?;
            let Some((last, _)) = agents.last() else { break };
            after = *last;
            done.chunks += self.seal_agents(lease, &agents, (now, policy), &mut met)?;
        }
        done.removed = self.sweep(lease, now, policy, &mut met)?;
        met.end()?;
        Ok(done)
    }

    /// Packs what is due of some agents.
    fn seal_agents(
        &self,
        lease: LeaseToken,
        agents: &[(i64, AgentId)],
        (now, policy): (Timestamp, &SealPolicy),
        met: &mut Met,
    ) -> Result<u64, StoreError> {
        let (mut written, mut stuck) = (0, HashSet::new());
        loop {
            let mut units = self.due_units(agents, (now, policy), met)?;
            units.retain(|unit| !stuck.contains(&(unit.key, unit.tier)));
            if units.is_empty() {
                return Ok(written);
            }
            units.sort_by_key(|unit| unit.dense);
            let young = units.iter().take_while(|unit| !unit.dense).count();
            let (young, dense) = units.split_at(young);
            for group in young.chunks(TOGETHER).chain(dense.chunks(1)) {
                for (unit, is_done) in self.seal_group(lease, group, now, met)? {
                    written += u64::from(is_done);
                    if !is_done {
                        stuck.insert((unit.key, unit.tier));
                    }
                }
            }
        }
    }

    /// The next units of some agents that are due. Where damage is in the way, each agent and tier is asked by itself.
    fn due_units(
        &self,
        agents: &[(i64, AgentId)],
        (now, policy): (Timestamp, &SealPolicy),
        met: &mut Met,
    ) -> Result<Vec<Unit>, StoreError> {
        let ask = |agents: &[(i64, AgentId)], tiers: &[Tier]| {
            self.readers.read("look for what is complete", |connection| due::units(connection, (agents, tiers), now, policy))
        };
        match ask(agents, &Tier::ALL) {
            Err(StoreError::Corrupt { .. }) => {}
            asked => return asked,
        }
        let mut units = Vec::new();
        for agent in agents.chunks(1) {
            for tier in Tier::ALL.chunks(1) {
                units.extend(met.past(ask(agent, tier))?.unwrap_or_default());
            }
        }
        Ok(units)
    }

    /// Packs some units and puts them in place; which of them got there. Where damage is in the way, each goes by itself.
    fn seal_group(
        &self,
        lease: LeaseToken,
        group: &[Unit],
        now: Timestamp,
        met: &mut Met,
    ) -> Result<Vec<(Unit, bool)>, StoreError> {
        match self.seal_together(lease, group, now) {
            Err(StoreError::Corrupt { .. }) if group.len() > 1 => {
                let mut outcomes = Vec::with_capacity(group.len());
                for unit in group.chunks(1) {
                    outcomes.extend(self.seal_group(lease, unit, now, met)?);
                }
                Ok(outcomes)
            }
            done => Ok(met.past(done)?.unwrap_or_else(|| group.iter().map(|unit| (*unit, false)).collect())),
        }
    }

    /// Packs some units and puts them in place, in one transaction.
    fn seal_together(&self, lease: LeaseToken, group: &[Unit], now: Timestamp) -> Result<Vec<(Unit, bool)>, StoreError> {
        let _slice = self.housekeeping();
        let built = self.readers.read("pack history", |connection| {
            let sight = self.sight();
            group.iter().map(|unit| Ok((*unit, build(connection, &sight, unit)?))).collect::<Answer<Vec<_>>>()
        })?;
        let mut writer = self.gate.patient(lease)?;
        writer.write("pack history", |connection, cache| {
            let mut outcomes = Vec::with_capacity(built.len());
            for (unit, built) in &built {
                let is_done = match built {
                    Some(built) => put(connection, cache, &self.noted, (unit, built), now)?,
                    None => false,
                };
                outcomes.push((*unit, is_done));
            }
            Ok(outcomes)
        })
    }
}

/// Reads and packs a unit; `None` if something is in the way.
fn build(connection: &Connection, sight: &Sight<'_>, unit: &Unit) -> Answer<Option<Built>> {
    let seen = seen(connection, unit)?;
    let built = if unit.tier == Tier::Raw {
        samples::build(connection, sight, unit, seen)
    } else {
        buckets::build(connection, sight, unit, seen)
    };
    match built {
        Err(failure) if failure.is_damage() => {
            let what = if unit.tier == Tier::Raw { RAW } else { ROLLUPS };
            sight.noted.note(Spot { agent: unit.key, what, start: unit.span.0, until: unit.span.1 }, &failure);
            Ok(None)
        }
        built => built,
    }
}

/// What a unit is made from now.
fn seen(connection: &Connection, unit: &Unit) -> Answer<Seen> {
    let sql = "SELECT coalesce(sealed_to, -9223372036854775808), coalesce(raw_whole_from, -9223372036854775808) \
               FROM agent_keys WHERE key = ?1 AND agent IS NOT NULL";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query([unit.key])?;
    // An agent whose history is being purged is never what it was before.
    let (sealed_to, whole_from) = match rows.next()? {
        // Buckets do not depend on how far raw is.
        Some(_) if unit.tier != Tier::Raw => (Timestamp::MIN, Timestamp::MIN),
        Some(row) => (Timestamp::from_millis(row.get(0)?), Timestamp::from_millis(row.get(1)?)),
        None => (Timestamp::MAX, Timestamp::MAX),
    };
    let sources = if unit.tier == Tier::Raw { samples::SOURCES } else { buckets::sources(unit.tier) };
    let rows = sources
        .iter()
        .map(|(table, column)| {
            let sql = format!("SELECT count(*), max(id) FROM {table} WHERE agent = ?1 AND {column} >= ?2 AND {column} < ?3");
            let from = if *table == super::raw::HOT { unit.span.0.max(sealed_to) } else { unit.span.0 };
            let values = params![unit.key, from.as_millis(), unit.span.1.as_millis()];
            Ok(connection.prepare_cached(&sql)?.query_row(values, |row| Ok((row.get(0)?, row.get(1)?)))?)
        })
        .collect::<Answer<Vec<_>>>()?;
    let pieces = chunks::of(connection, unit.key, unit.tier, unit.span)?.iter().map(|piece| piece.id).collect();
    Ok(Seen { sealed_to, whole_from, rows, pieces })
}

/// Puts a packed unit in place of what it was made from, unless that has changed; whether it did.
fn put(
    connection: &Connection,
    cache: &mut Cache,
    noted: &Noted,
    (unit, built): (&Unit, &Built),
    now: Timestamp,
) -> Answer<bool> {
    let (piece, body, before, used, bad) = match built {
        Built::Packed { piece, body, seen, used, bad } => (piece, body, seen, used, bad),
        Built::Damaged(fault) => {
            quarantine::set_aside(connection, noted, fault, now)?;
            return Ok(true);
        }
    };
    if *before != seen(connection, unit)? {
        return Ok(false);
    }
    for fault in bad {
        quarantine::set_aside(connection, noted, fault, now)?;
    }
    if unit.tier == Tier::Raw {
        samples::replace(connection, cache, unit, before)?;
    } else {
        buckets::replace(connection, unit, before)?;
    }
    if !body.is_empty() {
        insert(connection, unit, piece, body)?;
    }
    super::dictionary::use_at(connection, unit.key, used, unit.span.0)?;
    Ok(true)
}

fn insert(connection: &Connection, unit: &Unit, piece: &Piece, body: &[u8]) -> Answer<()> {
    let (start, until) = (piece.start.as_millis(), piece.until.as_millis());
    if unit.tier == Tier::Raw {
        let sql = "INSERT INTO agent_chunks (agent, start, until, rows, dense, pinned, body) VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6)";
        connection.prepare_cached(sql)?.execute(params![unit.key, start, until, piece.rows, piece.dense, body])?;
    } else {
        let sql = "INSERT INTO rollup_chunks (agent, tier, start, until, rows, dense, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let tier = unit.tier as i64;
        connection.prepare_cached(sql)?.execute(params![unit.key, tier, start, until, piece.rows, piece.dense, body])?;
    }
    Ok(())
}

/// Removes chunks by their numbers.
fn remove_pieces(connection: &Connection, table: &str, ids: &[i64]) -> Answer<()> {
    let mut delete = connection.prepare_cached(&format!("DELETE FROM {table} WHERE id = ?1"))?;
    for id in ids {
        delete.execute([id])?;
    }
    Ok(())
}
