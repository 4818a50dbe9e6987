//! The outbox: put in with the state change, taken with a lease, settled. What is sent where is left to the hub.

use super::cells::{at, at_opt, named, parsed, parsed_opt};
use super::failure::Answer;
use super::filter::Filter;
use crate::entities::{Delivery, DeliveryState, NewDelivery, Settled, Waiting};
use crate::outbox::{LONGEST_STORM_MS, STORM_MS, bounds, is_beginning, too_short};
use crate::seams::{DeliveryCommand, DeliveryQuery, Page, StoreError};
use nightbell_alerts::{Event, NoticeKind};
use nightbell_model::{ChannelId, Timestamp, Ulid};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::{HashMap, HashSet};

/// An older delivery of the same channel and instance that is not finished.
const NO_OLDER: &str = "NOT EXISTS (SELECT 1 FROM outbox AS older WHERE older.channel = one.channel \
     AND older.instance = one.instance AND older.place < one.place AND older.state IN ('queued', 'sending'))";

/// Puts a delivery in, unless it is in already. The end of an incident whose beginning was not sent yet is cancelled together
/// with that, and the line to log about it is returned.
pub(super) fn put(connection: &Connection, row: &NewDelivery) -> Answer<Option<Event>> {
    let sql = "INSERT INTO outbox (id, channel, instance, incident, kind, n, payload, created_at, not_before, state, due_at, \
               fold) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 'queued', ?9, ?10) ON CONFLICT DO NOTHING";
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
        row.fold.map(|id| id.to_string()),
    ])?;
    if added == 0 || row.kind != NoticeKind::Resolved {
        return Ok(None);
    }
    let sql = "UPDATE outbox SET state = 'cancelled' WHERE incident = ?1 AND kind = 'fired' AND n = 0 AND channel = ?2 \
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
            fold: parsed_opt(row, "fold")?,
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
        progress: row.get("progress")?,
        storm: parsed_opt(row, "storm")?,
    })
}

/// Everything that was being sent goes back: whether it arrived is not known.
pub(super) fn requeue_all(connection: &Connection) -> Answer<()> {
    let sql = "UPDATE outbox SET state = 'queued', maybe_repeat = 1, lease_until = NULL WHERE state = 'sending'";
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

/// What waits and is due at `until`, each the oldest of its channel and instance, in the order it was put in.
pub(super) fn waiting(connection: &Connection, until: Timestamp) -> Answer<Vec<Waiting>> {
    let sql = format!("SELECT * FROM outbox AS one WHERE state = 'queued' AND due_at <= ?1 AND {NO_OLDER} ORDER BY place");
    let read = |row: &Row<'_>| {
        let waiting = Waiting {
            id: parsed(row, "id")?,
            channel: parsed(row, "channel")?,
            instance: row.get("instance")?,
            incident: parsed(row, "incident")?,
            kind: named(row, "kind", NoticeKind::from_name)?,
            created_at: at(row, "created_at")?,
            due_at: at(row, "due_at")?,
            attempts: row.get("attempts")?,
            fold: parsed_opt(row, "fold")?,
            storm: None,
            storm_rest: 0,
            storm_size: 0,
        };
        Ok((waiting, row.get("n")?))
    };
    let mut select = connection.prepare_cached(&sql)?;
    let found = select.query_map([until.as_millis()], read)?.collect::<rusqlite::Result<Vec<(Waiting, u32)>>>()?;
    let mut storms = Storms::default();
    found.into_iter().map(|(waiting, n)| in_its_storm(connection, waiting, n, &mut storms)).collect()
}

/// What was counted of storms: each is asked about once, however many wait that belong to it.
#[derive(Debug, Default)]
struct Storms {
    /// The incidents that have neither ended nor anything of a kind and number.
    rests: HashMap<(String, NoticeKind, u32), u32>,
    /// The instances whose beginnings were told.
    told: HashMap<String, HashSet<String>>,
}

impl Storms {
    /// Of how many instances but `own` a storm told the beginning.
    fn size(&mut self, connection: &Connection, storm: &str, own: Option<&str>) -> Answer<u32> {
        if !self.told.contains_key(storm) {
            let mut select = connection.prepare_cached("SELECT instance FROM outbox WHERE storm = ?1")?;
            let told = select.query_map([storm], |row| row.get(0))?.collect::<rusqlite::Result<HashSet<String>>>()?;
            self.told.insert(storm.to_owned(), told);
        }
        let others = self.told.get(storm).map_or(0, |told| told.len() - usize::from(own.is_some_and(|own| told.contains(own))));
        Ok(u32::try_from(others).unwrap_or(u32::MAX))
    }
}

/// Notes which storm a delivery belongs to: a beginning that was not told yet to one that is going on, what comes after to that
/// of its beginning, where that told of several.
fn in_its_storm(connection: &Connection, waiting: Waiting, n: u32, storms: &mut Storms) -> Answer<Waiting> {
    if waiting.fold.is_some() {
        return Ok(waiting);
    }
    if is_beginning(waiting.kind) {
        let storm = going_on(connection, (waiting.channel, waiting.kind), &waiting.instance, waiting.created_at)?;
        let storm_size = storm.as_deref().map_or(Ok(0), |storm| storms.size(connection, storm, Some(&waiting.instance)))?;
        return Ok(Waiting { storm: storm.and_then(|id| id.parse().ok()), storm_size, ..waiting });
    }
    let (begin, end) = bounds(waiting.kind);
    let sql = "SELECT storm FROM outbox AS begun WHERE incident = ?1 AND kind = ?2 AND channel = ?3 \
               AND EXISTS (SELECT 1 FROM outbox AS other WHERE other.storm = begun.storm AND other.id <> begun.id)";
    let of = params![waiting.incident.to_string(), begin.name(), waiting.channel.to_string()];
    let storm: Option<String> = connection.prepare_cached(sql)?.query_row(of, |row| row.get(0)).optional()?;
    let Some(storm) = storm else { return Ok(waiting) };
    let kind = waiting.kind;
    let rest = match storms.rests.get(&(storm.clone(), kind, n)) {
        Some(rest) => *rest,
        None => {
            let sql = "SELECT count(*) FROM outbox AS begun WHERE storm = ?1 AND NOT EXISTS \
                       (SELECT 1 FROM outbox AS said WHERE said.incident = begun.incident AND said.kind = ?4 \
                       AND said.n = 0 AND said.channel = begun.channel) AND NOT EXISTS \
                       (SELECT 1 FROM outbox AS said WHERE said.incident = begun.incident AND said.kind = ?2 AND said.n = ?3 \
                       AND said.channel = begun.channel)";
            let of = params![storm, kind.name(), n, end.name()];
            let rest = connection.prepare_cached(sql)?.query_row(of, |row| row.get(0))?;
            storms.rests.insert((storm.clone(), kind, n), rest);
            rest
        }
    };
    let storm_size = storms.size(connection, &storm, None)?;
    Ok(Waiting { storm: storm.parse().ok(), storm_rest: rest, storm_size, ..waiting })
}

/// The storm that is going on for a beginning made at `made_at`: another instance of its rule was told of on its channel within
/// the minute before.
fn going_on(
    connection: &Connection,
    (channel, kind): (ChannelId, NoticeKind),
    instance: &str,
    made_at: Timestamp,
) -> Answer<Option<String>> {
    let sql = "SELECT storm FROM outbox WHERE storm IS NOT NULL AND channel = ?1 AND kind = ?2 \
               AND substr(instance, 1, 26) = substr(?3, 1, 26) AND first_attempt_at > ?4 AND instance <> ?3 \
               ORDER BY first_attempt_at DESC LIMIT 1";
    let of = params![channel.to_string(), kind.name(), instance, made_at.plus_millis(-STORM_MS).as_millis()];
    let storm: Option<String> = connection.prepare_cached(sql)?.query_row(of, |row| row.get(0)).optional()?;
    let Some(storm) = storm else { return Ok(None) };
    let sql = "SELECT created_at FROM outbox WHERE storm = ?1 ORDER BY place LIMIT 1";
    let began: i64 = connection.prepare_cached(sql)?.query_row([&storm], |row| row.get(0))?;
    Ok(Some(storm).filter(|_| made_at.as_millis() - began < LONGEST_STORM_MS))
}

/// Takes deliveries, each list as one message.
pub(super) fn claim(
    connection: &Connection,
    now: Timestamp,
    until: Timestamp,
    messages: &[Vec<Ulid>],
) -> Answer<Vec<Vec<Delivery>>> {
    let sql = "UPDATE outbox SET state = 'queued', maybe_repeat = 1, lease_until = NULL, \
               last_error = 'no result before the lease ran out' WHERE state = 'sending' AND lease_until <= ?1";
    connection.prepare_cached(sql)?.execute([now.as_millis()])?;
    messages.iter().map(|message| take(connection, message, (now, until))).collect()
}

fn take(connection: &Connection, message: &[Ulid], (now, until): (Timestamp, Timestamp)) -> Answer<Vec<Delivery>> {
    let sql = format!(
        "UPDATE outbox AS one SET state = 'sending', attempts = attempts + 1, lease_until = ?2, next_attempt_at = NULL, \
         first_attempt_at = coalesce(first_attempt_at, ?3), fold = coalesce(fold, ?4), \
         storm = CASE WHEN kind IN ('fired', 'nodata_start') THEN coalesce(storm, ?5) END \
         WHERE id = ?1 AND state = 'queued' AND {NO_OLDER} RETURNING *"
    );
    let Some(leader) = message.first() else { return Ok(Vec::new()) };
    let storm = storm_of(connection, *leader)?;
    let mut update = connection.prepare_cached(&sql)?;
    let mut taken = Vec::with_capacity(message.len());
    for id in message {
        let values = params![id.to_string(), until.as_millis(), now.as_millis(), leader.to_string(), storm];
        taken.extend(update.query_row(values, read).optional()?);
    }
    Ok(taken)
}

/// The storm that the beginnings of a message with this leader belong to: one that is going on, or their own.
fn storm_of(connection: &Connection, leader: Ulid) -> Answer<String> {
    let sql = "SELECT channel, kind, instance, created_at FROM outbox WHERE id = ?1 AND kind IN ('fired', 'nodata_start')";
    let read = |row: &Row<'_>| {
        let kind = named(row, "kind", NoticeKind::from_name)?;
        Ok(((parsed(row, "channel")?, kind), row.get::<_, String>("instance")?, at(row, "created_at")?))
    };
    let begins = connection.prepare_cached(sql)?.query_row([leader.to_string()], read).optional()?;
    let storm = match begins {
        Some((of, instance, made_at)) => going_on(connection, of, &instance, made_at)?,
        None => None,
    };
    Ok(storm.unwrap_or_else(|| leader.to_string()))
}

/// Moves what waits and what is being sent along with a clock that was set.
pub(super) fn shift(connection: &Connection, by_ms: i64) -> Answer<()> {
    let sql =
        "UPDATE outbox SET lease_until = lease_until + ?1, first_attempt_at = first_attempt_at + ?1 WHERE state = 'sending'";
    connection.prepare_cached(sql)?.execute([by_ms])?;
    let sql = "UPDATE outbox SET first_attempt_at = first_attempt_at + ?1 WHERE state = 'queued'";
    connection.prepare_cached(sql)?.execute([by_ms])?;
    if by_ms < 0 {
        // A clock that was set forward makes things due early, which holds up nobody.
        let sql = "UPDATE outbox SET created_at = created_at + ?1, not_before = not_before + ?1, due_at = due_at + ?1, \
                   next_attempt_at = next_attempt_at + ?1 WHERE state = 'queued'";
        connection.prepare_cached(sql)?.execute([by_ms])?;
    }
    Ok(())
}

/// Brings back what waits from a future that cannot be meant; how many that were.
pub(super) fn pull_back(connection: &Connection, now: Timestamp, longest_ms: i64) -> Answer<usize> {
    let (now_ms, latest) = (now.as_millis(), now.as_millis().saturating_add(longest_ms));
    let sql = "SELECT count(*) FROM outbox WHERE state = 'queued' AND (created_at > ?1 OR (due_at > ?1 AND due_at > not_before \
               AND (due_at > ?2 OR first_attempt_at > ?1)))";
    let count: i64 = connection.prepare_cached(sql)?.query_row([now_ms, latest], |row| row.get(0))?;
    let sql = "UPDATE outbox SET created_at = ?1, not_before = not_before - (created_at - ?1), \
               due_at = due_at - (created_at - ?1), next_attempt_at = next_attempt_at - (created_at - ?1), \
               first_attempt_at = first_attempt_at - (created_at - ?1) WHERE state = 'queued' AND created_at > ?1";
    connection.prepare_cached(sql)?.execute([now_ms])?;
    let sql = "UPDATE outbox SET due_at = ?1, next_attempt_at = ?1 WHERE state = 'queued' AND due_at > ?1 AND due_at > not_before \
               AND (due_at > ?2 OR first_attempt_at > ?1)";
    connection.prepare_cached(sql)?.execute([now_ms, latest])?;
    let sql = "UPDATE outbox SET first_attempt_at = ?1 WHERE state = 'queued' AND first_attempt_at > ?1";
    connection.prepare_cached(sql)?.execute([now_ms])?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// Keeps what a channel wants remembered.
pub(super) fn note_progress(connection: &Connection, id: Ulid, progress_json: &str) -> Answer<()> {
    let sql = "UPDATE outbox SET progress = ?2 WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![id.to_string(), progress_json])?;
    Ok(())
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
            "UPDATE outbox SET state = 'queued', due_at = ?2, next_attempt_at = ?2, fold = NULL, first_attempt_at = \
             CASE state WHEN 'dead' THEN NULL ELSE first_attempt_at END WHERE id = ?1 RETURNING *"
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
    filter.and_is("storm", query.storm.map(|id| id.to_string()));
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
