//! Removes hot rows that stand in chunks. Agents' rows lie mixed in the order of commits, so they are removed in that order, once most
//! agents have sealed the quarter of an hour: each page is touched once.

use crate::seams::{LeaseToken, SealPolicy, StoreError};
use crate::sqlite::SqliteStore;
use crate::sqlite::failure::{Answer, Met};
use crate::sqlite::writer::Turn;
use nightbell_model::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::HashMap;

/// At most so many rows are removed, or looked at, while commits wait. Fewer would write the pages of the index more often.
const SLICE: i64 = 3000;
/// The log is copied into the file after so many slices. Left to the clock, some hundred MB would be copied at once, and a commit's
/// sync waits for the sync of what is copied.
const SLICES_TO_A_COPY: usize = 8;
/// What a quarter's last agent needs to be sealed, after all have had their time, in milliseconds.
const LEEWAY_MS: i64 = 5 * 60_000;

/// Where damage is in the way, so many rows are passed over together.
const STEP: i64 = 16;

/// What of the table is looked at, and what is known of it.
#[derive(Debug)]
struct Broom {
    /// Rows received from here on are young.
    young_from: Timestamp,
    /// The row of each agent that is kept.
    newest: HashMap<i64, Option<i64>>,
}

impl SqliteStore {
    /// Removes the dead rows of quarters of an hour that are over, once for each.
    pub(super) fn sweep(&self, lease: LeaseToken, now: Timestamp, policy: &SealPolicy, met: &mut Met) -> Result<u64, StoreError> {
        let leeway = if policy.stagger_ms > 0 { LEEWAY_MS } else { 0 };
        let settled = now.plus_millis(-policy.settle_ms - policy.stagger_ms - leeway).floor_to(SealPolicy::YOUNG_MS);
        let is_due = {
            let mut swept_to = self.swept_to.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let is_due = leeway == 0 || settled > *swept_to;
            *swept_to = settled.max(*swept_to);
            is_due
        };
        let mut broom = Broom { young_from: settled, newest: HashMap::new() };
        let (mut next, mut removed) = (is_due.then_some(0), 0);
        for done in 1_usize.. {
            let Some(after) = next else { break };
            let (count, last) = match self.sweep_next(lease, (after, SLICE), &mut broom) {
                Err(StoreError::Corrupt { .. }) => self.sweep_around(lease, after, &mut broom, met)?,
                swept => swept?,
            };
            removed += count;
            next = last;
            if done.is_multiple_of(SLICES_TO_A_COPY) {
                self.checkpoint()?;
            }
        }
        Ok(removed)
    }

    /// Sweeps so many rows after one; how many went, and where to go on.
    fn sweep_next(&self, lease: LeaseToken, rows: (i64, i64), broom: &mut Broom) -> Result<(u64, Option<i64>), StoreError> {
        let _slice = self.housekeeping();
        let mut writer = self.gate.patient(lease)?;
        writer.write("remove what is packed", |connection, _| slice(connection, rows, broom))
    }

    /// Sweeps what can be swept of the rows where damage is in the way.
    fn sweep_around(
        &self,
        lease: LeaseToken,
        after: i64,
        broom: &mut Broom,
        met: &mut Met,
    ) -> Result<(u64, Option<i64>), StoreError> {
        let newest = self.readers.read("look for rows to remove", |connection| Ok(newest_of_all(connection)?));
        let Some(newest) = met.past(newest)? else { return Ok((0, None)) };
        let (mut removed, mut at) = (0, after);
        while at < newest.min(after + SLICE) {
            match met.past(self.sweep_next(lease, (at, STEP), broom))? {
                Some((count, Some(last))) => {
                    removed += count;
                    at = last;
                }
                Some((count, None)) => return Ok((removed + count, None)),
                None => at += STEP,
            }
        }
        Ok((removed, (at < newest).then_some(at)))
    }
}

/// Removes the dead among so many rows after the row `after`, but for each agent's newest; how many, and where to go on.
fn slice(connection: &Connection, (after, limit): (i64, i64), broom: &mut Broom) -> Answer<(u64, Option<i64>)> {
    let sql = "SELECT id, agent_metrics.agent, ts < coalesce(sealed_to, ts), received FROM agent_metrics \
               JOIN agent_keys ON agent_keys.key = agent_metrics.agent WHERE id > ?1 ORDER BY id LIMIT ?2";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query(params![after, limit])?;
    let (mut last, mut looked_at, mut dead, mut is_old) = (after, 0, Vec::new(), false);
    while let Some(row) = rows.next()? {
        last = row.get(0)?;
        looked_at += 1;
        is_old |= row.get::<_, i64>(3)? < broom.young_from.as_millis();
        if row.get(2)? {
            dead.push((last, row.get::<_, i64>(1)?));
        }
    }
    drop(rows);
    let mut delete = connection.prepare_cached("DELETE FROM agent_metrics WHERE id = ?1")?;
    let (mut removed, turn) = (0, Turn::new());
    for (at, (id, agent)) in dead.iter().enumerate() {
        if at.is_multiple_of(64) && turn.is_over() {
            return Ok((removed, Some(id - 1)));
        }
        let kept = match broom.newest.get(agent) {
            Some(kept) => *kept,
            None => *broom.newest.entry(*agent).or_insert(newest_of(connection, *agent)?),
        };
        if kept != Some(*id) {
            removed += delete.execute([id])? as u64;
        }
    }
    Ok((removed, (looked_at == limit && (is_old || removed > 0)).then_some(last)))
}

/// The number of the last row.
fn newest_of_all(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("SELECT coalesce(max(id), 0) FROM agent_metrics")?.query_row([], |row| row.get(0))
}

fn newest_of(connection: &Connection, agent: i64) -> Answer<Option<i64>> {
    let sql = "SELECT id FROM agent_metrics WHERE agent = ?1 ORDER BY ts DESC, id DESC LIMIT 1";
    Ok(connection.prepare_cached(sql)?.query_row([agent], |row| row.get(0)).optional()?)
}
