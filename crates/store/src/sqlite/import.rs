//! History from elsewhere, and the promise to keep it.

use super::append;
use super::cache::Cache;
use super::failure::Answer;
use crate::seams::Imported;
use nightbell_model::{AgentId, Batch};
use rusqlite::{Connection, params};

/// So many heartbeats are taken in while commits wait: some 10 ms.
pub(super) const SLICE: usize = 200;

/// Takes in a slice of heartbeats, whatever agent they name.
pub(super) fn slice(connection: &Connection, cache: &mut Cache, agent: AgentId, batches: &[Batch]) -> Answer<Imported> {
    let mut done = Imported::default();
    for batch in batches {
        let batch = Batch { agent, boot_seq: None, ..batch.clone() };
        match append::take_in(connection, cache, &batch)? {
            append::Taken::Stored => done.stored += 1,
            append::Taken::Known => done.duplicates += 1,
            append::Taken::Closed => done.too_old += 1,
        }
    }
    Ok(done)
}

/// Notes that an agent's history is kept whatever its age.
pub(super) fn keep(connection: &Connection, cache: &mut Cache, agent: AgentId) -> Answer<()> {
    let key = cache.known(connection, agent)?.key;
    connection.prepare_cached("UPDATE agent_keys SET kept = 1 WHERE key = ?1")?.execute(params![key])?;
    Ok(())
}
