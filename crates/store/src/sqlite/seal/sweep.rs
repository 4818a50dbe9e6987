//! Removes hot rows that stand in chunks. Agents' rows lie mixed in the order of commits, so they are removed in that order, once most
//! agents have sealed the quarter of an hour: each page is touched once.

use crate::seams::{LeaseToken, SealPolicy, StoreError};
use crate::sqlite::SqliteStore;
use crate::sqlite::failure::Answer;
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

impl SqliteStore {
    /// Removes the dead rows of quarters of an hour that are over, once for each.
    pub(super) fn sweep(&self, lease: LeaseToken, now: Timestamp, policy: &SealPolicy) -> Result<u64, StoreError> {
        let leeway = if policy.stagger_ms > 0 { LEEWAY_MS } else { 0 };
        let settled = now.plus_millis(-policy.settle_ms - policy.stagger_ms - leeway).floor_to(SealPolicy::YOUNG_MS);
        let is_due = {
            let mut swept_to = self.swept_to.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let is_due = leeway == 0 || settled > *swept_to;
            *swept_to = settled.max(*swept_to);
            is_due
        };
        let (mut next, mut removed, mut newest) = (is_due.then_some(0), 0, HashMap::new());
        for done in 1_usize.. {
            let Some(after) = next else { break };
            let (count, last) = {
                let _slice = self.housekeeping();
                let mut writer = self.gate.patient(lease)?;
                writer.write("remove what is packed", |connection, _| slice(connection, after, settled, &mut newest))?
            };
            removed += count;
            next = last;
            if done.is_multiple_of(SLICES_TO_A_COPY) {
                self.checkpoint()?;
            }
        }
        Ok(removed)
    }
}

/// Removes the dead among the next rows after the row `after`, but for each agent's newest; how many, and where to go on.
fn slice(
    connection: &Connection,
    after: i64,
    young_from: Timestamp,
    newest: &mut HashMap<i64, Option<i64>>,
) -> Answer<(u64, Option<i64>)> {
    let sql = "SELECT id, agent_metrics.agent, ts < coalesce(sealed_to, ts), received FROM agent_metrics \
               JOIN agent_keys ON agent_keys.key = agent_metrics.agent WHERE id > ?1 ORDER BY id LIMIT ?2";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query(params![after, SLICE])?;
    let (mut last, mut looked_at, mut dead, mut is_old) = (after, 0, Vec::new(), false);
    while let Some(row) = rows.next()? {
        last = row.get(0)?;
        looked_at += 1;
        is_old |= row.get::<_, i64>(3)? < young_from.as_millis();
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
        let kept = match newest.get(agent) {
            Some(kept) => *kept,
            None => *newest.entry(*agent).or_insert(newest_of(connection, *agent)?),
        };
        if kept != Some(*id) {
            removed += delete.execute([id])? as u64;
        }
    }
    Ok((removed, (looked_at == SLICE && (is_old || removed > 0)).then_some(last)))
}

fn newest_of(connection: &Connection, agent: i64) -> Answer<Option<i64>> {
    let sql = "SELECT id FROM agent_metrics WHERE agent = ?1 ORDER BY ts DESC, id DESC LIMIT 1";
    Ok(connection.prepare_cached(sql)?.query_row([agent], |row| row.get(0)).optional()?)
}
