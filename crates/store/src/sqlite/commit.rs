//! One turn of the pipeline, and the right to write.

use super::cache::Cache;
use super::dictionary::MOST_SERIES;
use super::failure::Answer;
use super::{alerts, append, log, outbox};
use crate::entities::Commit;
use crate::mark::mark;
use crate::seams::{LeaseToken, LoggedEvent};
use nightbell_alerts::{Event, EventKind};
use nightbell_model::{AgentId, Timestamp, Ulid};
use rusqlite::{Connection, OptionalExtension, params};

/// Takes over the writing.
pub(super) fn acquire(connection: &Connection, owner: Ulid, now: Timestamp) -> Answer<LeaseToken> {
    let sql = "INSERT INTO lease (id, owner, epoch, acquired_at) VALUES (1, ?1, 1, ?2) \
               ON CONFLICT (id) DO UPDATE SET owner = ?1, epoch = epoch + 1, acquired_at = ?2 RETURNING epoch";
    let epoch: i64 = connection.prepare_cached(sql)?.query_row(params![owner.to_string(), now.as_millis()], |row| row.get(0))?;
    outbox::requeue_all(connection)?;
    Ok(LeaseToken { owner, epoch: epoch.cast_unsigned() })
}

/// Writes a commit, as if for the first time whatever of it is there already.
pub(super) fn commit(connection: &Connection, cache: &mut Cache, commit: &Commit) -> Answer<Vec<LoggedEvent>> {
    let of = if commit.enrolled_only { append::Of::Enrolled } else { append::Of::All };
    append::append(connection, cache, &commit.batches, of)?;
    append::seen(connection, cache, &commit.seen, of)?;
    cache.write_boots(connection)?;
    for (agent, received) in &commit.alive {
        append::seen_alive(connection, *agent, *received)?;
    }
    write_state(connection, commit)?;
    let full = std::mem::take(&mut cache.full);
    let told = full.into_iter().map(|(agent, at)| log::write(connection, &too_many(agent, at))).collect::<Answer<Vec<_>>>()?;
    let Some(mark) = mark(commit) else { return Ok(told) };
    if let Some(lines) = repeated(connection, &mark)? {
        return Ok(lines);
    }
    let mut lines = Vec::new();
    for row in &commit.outbox {
        if let Some(event) = outbox::put(connection, row)? {
            lines.push(event);
        }
    }
    for entry in &commit.audit {
        log::write_audit(connection, entry)?;
    }
    let events = commit.effects.events.iter().chain(&lines);
    let logged = events.map(|event| log::write(connection, event)).collect::<Answer<Vec<_>>>()?;
    remember(connection, &mark, &logged)?;
    Ok(told.into_iter().chain(logged).collect())
}

/// The line about an agent that has more series than are kept.
fn too_many(agent: AgentId, at: Timestamp) -> Event {
    let reason = format!("it has sent {MOST_SERIES} different series: new ones are not kept before old ones are forgotten");
    Event::of_agent(agent, at, EventKind::Note, reason)
}

/// What the machine wants written but for log lines and deliveries: all of it may be written again.
fn write_state(connection: &Connection, commit: &Commit) -> Answer<()> {
    let effects = &commit.effects;
    for record in &effects.incidents {
        alerts::put_incident(connection, record)?;
    }
    for record in &effects.instances {
        alerts::put_instance(connection, record)?;
    }
    for key in &effects.forgotten {
        alerts::forget_instance(connection, key)?;
    }
    for record in &effects.told {
        alerts::put_told(connection, record)?;
    }
    Ok(())
}

/// The log lines of the last commit, if it is this one.
fn repeated(connection: &Connection, mark: &[u8; 16]) -> Answer<Option<Vec<LoggedEvent>>> {
    let sql = "SELECT commit_first_line, commit_last_line FROM lease WHERE id = 1 AND commit_mark = ?1";
    let lines: Option<(i64, i64)> =
        connection.prepare_cached(sql)?.query_row([mark], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    lines.map(|(first, last)| log::lines(connection, first, last)).transpose()
}

fn remember(connection: &Connection, mark: &[u8; 16], logged: &[LoggedEvent]) -> Answer<()> {
    let line = |event: Option<&LoggedEvent>, otherwise: i64| event.map_or(otherwise, |event| event.seq.cast_signed());
    let (first, last) = (line(logged.first(), 1), line(logged.last(), 0));
    let sql = "UPDATE lease SET commit_mark = ?1, commit_first_line = ?2, commit_last_line = ?3 WHERE id = 1";
    connection.prepare_cached(sql)?.execute(params![mark, first, last])?;
    Ok(())
}
