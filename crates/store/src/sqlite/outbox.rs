//! The outbox: put in with the state change, taken with a lease, settled. What is sent where is left to the hub.

use super::cells::{at, at_opt, named, parsed};
use super::failure::Answer;
use super::filter::Filter;
use crate::entities::{Delivery, DeliveryState, NewDelivery, Settled};
use crate::outbox::too_short;
use crate::seams::{ClaimRoom, DeliveryCommand, DeliveryQuery, Page, StoreError};
use nightbell_alerts::{Event, NoticeKind};
use nightbell_model::{Timestamp, Ulid};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::HashMap;

/// An older delivery of the same channel and instance that is not finished.
const NO_OLDER: &str = "NOT EXISTS (SELECT 1 FROM outbox AS older WHERE older.channel = one.channel \
     AND older.instance = one.instance AND older.place < one.place AND older.state IN ('queued', 'sending'))";

/// Puts a delivery in, unless it is in already. The end of an incident whose beginning was not sent yet is cancelled together
/// with that, and the line to log about it is returned.
pub(super) fn put(connection: &Connection, row: &NewDelivery) -> Answer<Option<Event>> {
    let sql = "INSERT INTO outbox (id, channel, instance, incident, kind, n, payload, created_at, not_before, state, due_at) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 'queued', ?9) ON CONFLICT DO NOTHING";
    let added = connection.prepare_cached(sql)?.execute(params![
        row.id.to_string(),
        row.channel.to_string(),
        row.instance,
        row.incident.to_string(),
        row.kind.name(),
        row.n,
        row.payload_json,
        row.created_at.as_millis(),
        row.not_before.as_millis(),
    ])?;
    if added == 0 || row.kind != NoticeKind::Resolved {
        return Ok(None);
    }
    let sql = "UPDATE outbox SET state = 'cancelled' WHERE incident = ?1 AND kind = 'fired' AND channel = ?2 \
               AND state = 'queued' AND attempts = 0 AND due_at > ?3";
    let pair = params![row.incident.to_string(), row.channel.to_string(), row.created_at.as_millis()];
    if connection.prepare_cached(sql)?.execute(pair)? == 0 {
        return Ok(None);
    }
    let sql = "UPDATE outbox SET state = 'cancelled' WHERE id = ?1";
    connection.prepare_cached(sql)?.execute([row.id.to_string()])?;
    Ok(Some(too_short(row)))
}

fn read(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    Ok(Delivery {
        row: NewDelivery {
            id: parsed(row, "id")?,
            channel: parsed(row, "channel")?,
            instance: row.get("instance")?,
            incident: parsed(row, "incident")?,
            kind: named(row, "kind", NoticeKind::from_name)?,
            n: row.get("n")?,
            payload_json: row.get("payload")?,
            created_at: at(row, "created_at")?,
            not_before: at(row, "not_before")?,
        },
        state: named(row, "state", DeliveryState::from_name)?,
        attempts: row.get("attempts")?,
        first_attempt_at: at_opt(row, "first_attempt_at")?,
        sent_at: at_opt(row, "sent_at")?,
        latency_ms: row.get("latency_ms")?,
        next_attempt_at: at_opt(row, "next_attempt_at")?,
        last_error: row.get("last_error")?,
        maybe_repeat: row.get("maybe_repeat")?,
        plain: row.get("plain")?,
    })
}

/// Everything that was being sent goes back: whether it arrived is not known.
pub(super) fn requeue_all(connection: &Connection) -> Answer<()> {
    let sql = "UPDATE outbox SET state = 'queued', maybe_repeat = 1, lease_until = NULL WHERE state = 'sending'";
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

/// Takes due deliveries.
pub(super) fn claim(connection: &Connection, now: Timestamp, until: Timestamp, room: ClaimRoom) -> Answer<Vec<Delivery>> {
    let sql = "UPDATE outbox SET state = 'queued', maybe_repeat = 1, lease_until = NULL, \
               last_error = 'no result before the lease ran out' WHERE state = 'sending' AND lease_until <= ?1";
    connection.prepare_cached(sql)?.execute([now.as_millis()])?;
    let places = claimable(connection, now, room)?;
    let sql = "UPDATE outbox SET state = 'sending', attempts = attempts + 1, lease_until = ?2, next_attempt_at = NULL, \
               first_attempt_at = coalesce(first_attempt_at, ?3) WHERE place = ?1 RETURNING *";
    let mut update = connection.prepare_cached(sql)?;
    let mut claimed = Vec::with_capacity(places.len());
    for place in places {
        claimed.push(update.query_row(params![place, until.as_millis(), now.as_millis()], read)?);
    }
    Ok(claimed)
}

/// The due rows that have room, oldest first.
fn claimable(connection: &Connection, now: Timestamp, room: ClaimRoom) -> Answer<Vec<i64>> {
    let mut sending =
        connection.prepare_cached("SELECT channel, count(*) FROM outbox WHERE state = 'sending' GROUP BY channel")?;
    let mut lanes: HashMap<String, i64> =
        sending.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    let sql =
        format!("SELECT place, channel FROM outbox AS one WHERE state = 'queued' AND due_at <= ?1 AND {NO_OLDER} ORDER BY place");
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query([now.as_millis()])?;
    let most = i64::try_from(room.per_channel).unwrap_or(i64::MAX);
    let mut places = Vec::new();
    while places.len() < room.all
        && let Some(row) = rows.next()?
    {
        let lane = lanes.entry(row.get(1)?).or_default();
        if *lane < most {
            *lane += 1;
            places.push(row.get(0)?);
        }
    }
    Ok(places)
}

/// Writes down what became of one attempt. A result that comes after its lease ran out still counts if the receiver took it.
pub(super) fn settle(connection: &Connection, id: Ulid, settled: &Settled, now: Timestamp) -> Answer<()> {
    let (id, now) = (id.to_string(), now.as_millis());
    match settled {
        Settled::Sent { latency_ms } => {
            let sql = "UPDATE outbox SET state = 'sent', sent_at = ?2, latency_ms = ?3, lease_until = NULL, \
                       next_attempt_at = NULL, last_error = NULL WHERE id = ?1 AND state <> 'sent'";
            connection.prepare_cached(sql)?.execute(params![id, now, latency_ms])?;
        }
        Settled::Retry { at, error, ambiguous, plain } => {
            let sql = "UPDATE outbox SET state = 'queued', due_at = ?2, next_attempt_at = ?2, last_error = ?3, \
                       maybe_repeat = max(maybe_repeat, ?4), plain = max(plain, ?5), lease_until = NULL \
                       WHERE id = ?1 AND state = 'sending'";
            connection.prepare_cached(sql)?.execute(params![id, at.as_millis(), error, ambiguous, plain])?;
        }
        Settled::Dead { error } => {
            let sql = "UPDATE outbox SET state = 'dead', last_error = ?2, lease_until = NULL, next_attempt_at = NULL \
                       WHERE id = ?1 AND state = 'sending'";
            connection.prepare_cached(sql)?.execute(params![id, error])?;
        }
    }
    Ok(())
}

/// When `claim` will find something next.
pub(super) fn next_due(connection: &Connection) -> Answer<Option<Timestamp>> {
    let sql = format!("SELECT due_at FROM outbox AS one WHERE state = 'queued' AND {NO_OLDER} ORDER BY due_at LIMIT 1");
    let queued: Option<i64> = connection.prepare_cached(&sql)?.query_row([], |row| row.get(0)).optional()?;
    let sql = "SELECT lease_until FROM outbox WHERE state = 'sending' ORDER BY lease_until LIMIT 1";
    let sending: Option<i64> = connection.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()?;
    Ok(queued.into_iter().chain(sending).min().map(Timestamp::from_millis))
}

/// Does what a person asked for.
pub(super) fn command(connection: &Connection, id: Ulid, command: DeliveryCommand, now: Timestamp) -> Answer<Delivery> {
    let Some(found) = one(connection, id)? else {
        return Err(StoreError::NotFound(format!("delivery {id}")).into());
    };
    if let Some(refusal) = crate::outbox::refusal(&found, command) {
        return Err(refusal.into());
    }
    let sql = match command {
        DeliveryCommand::Retry => {
            "UPDATE outbox SET state = 'queued', due_at = ?2, next_attempt_at = ?2 WHERE id = ?1 RETURNING *"
        }
        DeliveryCommand::Cancel => {
            "UPDATE outbox SET state = 'cancelled', next_attempt_at = NULL, due_at = max(due_at, ?2) WHERE id = ?1 RETURNING *"
        }
    };
    Ok(connection.prepare_cached(sql)?.query_row(params![id.to_string(), now.as_millis()], read)?)
}

/// Cancels what waits for a channel.
pub(super) fn cancel_channel(connection: &Connection, channel: &str) -> Answer<()> {
    let sql = "UPDATE outbox SET state = 'cancelled', next_attempt_at = NULL WHERE channel = ?1 AND state IN ('queued', 'held')";
    connection.prepare_cached(sql)?.execute([channel])?;
    Ok(())
}

/// One delivery.
pub(super) fn one(connection: &Connection, id: Ulid) -> Answer<Option<Delivery>> {
    let mut select = connection.prepare_cached("SELECT * FROM outbox WHERE id = ?1")?;
    Ok(select.query_row([id.to_string()], read).optional()?)
}

/// A page of deliveries, newest first.
pub(super) fn list(connection: &Connection, query: &DeliveryQuery) -> Answer<Page<Delivery>> {
    let mut filter = Filter::newest_first("outbox", "place", query.before);
    filter.and_is("state", query.state.map(|state| state.name().to_owned()));
    filter.and_is("channel", query.channel.map(|id| id.to_string()));
    filter.and_is("incident", query.incident.map(|id| id.to_string()));
    filter.page(connection, query.limit, read)
}

/// How many deliveries are in each state.
pub(super) fn counts(connection: &Connection) -> Answer<Vec<(DeliveryState, u64)>> {
    let mut select = connection.prepare_cached("SELECT count(*) FROM outbox WHERE state = ?1")?;
    let mut counts = Vec::new();
    for state in DeliveryState::ALL {
        let count: i64 = select.query_row([state.name()], |row| row.get(0))?;
        counts.push((state, count.cast_unsigned()));
    }
    Ok(counts)
}
