//! The outbox as a list in the order things were put in.

use super::page;
use crate::entities::{Delivery, DeliveryState, NewDelivery, Settled, Waiting};
use crate::outbox::{LONGEST_STORM_MS, STORM_MS, bounds, is_beginning, refusal, too_short};
use crate::seams::{DeliveryCommand, DeliveryQuery, Page, StoreError};
use nightbell_alerts::{Event, NoticeKind};
use nightbell_model::{ChannelId, IncidentId, Timestamp, Ulid};
use std::collections::HashSet;

/// A delivery with what only the outbox needs to know of it.
#[derive(Debug, Clone)]
struct Entry {
    place: u64,
    delivery: Delivery,
    due_at: Timestamp,
    lease_until: Option<Timestamp>,
}

/// All deliveries, oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Outbox {
    entries: Vec<Entry>,
    last_place: u64,
}

fn is_unfinished(entry: &Entry) -> bool {
    matches!(entry.delivery.state, DeliveryState::Queued | DeliveryState::Sending)
}

impl Outbox {
    /// Puts a delivery in, unless it is in already; the line to log if it and the beginning it ends are cancelled.
    pub(super) fn put(&mut self, row: &NewDelivery) -> Option<Event> {
        let same = |other: &NewDelivery| {
            (other.incident, other.kind, other.n, other.channel) == (row.incident, row.kind, row.n, row.channel)
        };
        if self.entries.iter().any(|entry| entry.delivery.row.id == row.id || same(&entry.delivery.row)) {
            return None;
        }
        let mut is_cancelled = false;
        for entry in &mut self.entries {
            let told = &entry.delivery.row;
            let is_begin = (told.incident, told.channel, told.kind, told.n) == (row.incident, row.channel, NoticeKind::Fired, 0);
            let is_unsent = entry.delivery.state == DeliveryState::Queued && entry.delivery.attempts == 0;
            if row.kind == NoticeKind::Resolved && is_begin && is_unsent && entry.due_at > row.created_at {
                entry.delivery.state = DeliveryState::Cancelled;
                is_cancelled = true;
            }
        }
        let state = if is_cancelled { DeliveryState::Cancelled } else { DeliveryState::Queued };
        self.last_place += 1;
        let delivery = Delivery {
            row: row.clone(),
            state,
            attempts: 0,
            first_attempt_at: None,
            sent_at: None,
            latency_ms: None,
            next_attempt_at: None,
            last_error: None,
            maybe_repeat: false,
            plain: false,
            progress: None,
            storm: None,
        };
        self.entries.push(Entry { place: self.last_place, delivery, due_at: row.not_before, lease_until: None });
        is_cancelled.then(|| too_short(row))
    }

    /// Everything that was being sent goes back.
    pub(super) fn requeue_all(&mut self) {
        self.entries.iter_mut().for_each(|entry| requeue(entry, None));
    }

    /// Whether nothing older of the same channel and instance is unfinished.
    fn is_head(&self, at: usize) -> bool {
        let key = |entry: &Entry| (entry.delivery.row.channel, entry.delivery.row.instance.clone());
        let this = key(&self.entries[at]);
        self.entries[..at].iter().all(|older| !is_unfinished(older) || key(older) != this)
    }

    /// What waits and is due at `until`, each the oldest of its channel and instance.
    pub(super) fn waiting(&self, until: Timestamp) -> Vec<Waiting> {
        let is_due = |entry: &Entry| entry.delivery.state == DeliveryState::Queued && entry.due_at <= until;
        let heads = (0..self.entries.len()).filter(|at| is_due(&self.entries[*at]) && self.is_head(*at));
        heads.map(|at| self.waits(&self.entries[at])).collect()
    }

    fn waits(&self, entry: &Entry) -> Waiting {
        let row = &entry.delivery.row;
        let (storm, rest) = match row.fold {
            Some(_) => (None, 0),
            None if is_beginning(row.kind) => (self.going_on(row), 0),
            None => self.storm_behind(row),
        };
        Waiting {
            id: row.id,
            channel: row.channel,
            instance: row.instance.clone(),
            incident: row.incident,
            kind: row.kind,
            created_at: row.created_at,
            due_at: entry.due_at,
            attempts: entry.delivery.attempts,
            fold: row.fold,
            storm,
            storm_rest: rest,
            storm_size: storm.map_or(0, |storm| self.size(storm, is_beginning(row.kind).then_some(&row.instance))),
        }
    }

    /// Of how many instances but `own` a storm told the beginning.
    fn size(&self, storm: Ulid, own: Option<&String>) -> u32 {
        let told =
            self.entries.iter().filter(|entry| entry.delivery.storm == Some(storm)).map(|entry| &entry.delivery.row.instance);
        let told: HashSet<&String> = told.filter(|instance| Some(*instance) != own).collect();
        u32::try_from(told.len()).unwrap_or(u32::MAX)
    }

    /// The storm that the beginning of a delivery's incident belongs to, if others do, and how many of those are still to come.
    fn storm_behind(&self, row: &NewDelivery) -> (Option<Ulid>, u32) {
        let (begin, end) = bounds(row.kind);
        let is_begin = |told: &NewDelivery| (told.incident, told.kind, told.channel) == (row.incident, begin, row.channel);
        let own = self.entries.iter().find(|entry| is_begin(&entry.delivery.row)).and_then(|entry| entry.delivery.storm);
        let all: Vec<&NewDelivery> =
            self.entries.iter().filter(|entry| entry.delivery.storm == own).map(|entry| &entry.delivery.row).collect();
        if own.is_none() || all.len() < 2 {
            return (None, 0);
        }
        let said = |begun: &NewDelivery, kind: NoticeKind, n: u32| {
            let same = |other: &NewDelivery| (other.incident, other.channel) == (begun.incident, begun.channel);
            self.entries.iter().map(|entry| &entry.delivery.row).any(|other| same(other) && other.kind == kind && other.n == n)
        };
        let rest = all.iter().filter(|begun| !said(begun, end, 0) && !said(begun, row.kind, row.n)).count();
        (own, u32::try_from(rest).unwrap_or(u32::MAX))
    }

    /// The storm that is going on for a beginning: another instance of its rule was told of on its channel within the minute before.
    fn going_on(&self, row: &NewDelivery) -> Option<Ulid> {
        let rule = |instance: &str| instance.chars().take(26).collect::<String>();
        let told = self.entries.iter().filter(|entry| {
            let other = &entry.delivery.row;
            (other.channel, other.kind) == (row.channel, row.kind)
                && rule(&other.instance) == rule(&row.instance)
                && other.instance != row.instance
                && entry.delivery.first_attempt_at.is_some_and(|at| at > row.created_at.plus_millis(-STORM_MS))
        });
        let told = told.map(|entry| &entry.delivery).filter(|told| told.storm.is_some());
        let storm = told.max_by_key(|told| told.first_attempt_at)?.storm;
        let began = self.entries.iter().find(|entry| entry.delivery.storm == storm)?.delivery.row.created_at;
        storm.filter(|_| row.created_at.millis_since(began) < LONGEST_STORM_MS)
    }

    /// Takes deliveries, each list as one message.
    pub(super) fn claim(&mut self, now: Timestamp, until: Timestamp, messages: &[Vec<Ulid>]) -> Vec<Vec<Delivery>> {
        for entry in self.entries.iter_mut().filter(|entry| entry.lease_until.is_some_and(|until| until <= now)) {
            requeue(entry, Some("no result before the lease ran out"));
        }
        let mut take = |ids: &Vec<Ulid>| {
            let Some(leader) = ids.first() else { return Vec::new() };
            let begins = self.one(*leader).filter(|led| is_beginning(led.row.kind));
            let storm = begins.and_then(|led| self.going_on(&led.row)).unwrap_or(*leader);
            ids.iter().filter_map(|id| self.take(*id, (*leader, storm), (now, until))).collect()
        };
        messages.iter().map(&mut take).collect()
    }

    fn take(&mut self, id: Ulid, (message, storm): (Ulid, Ulid), (now, until): (Timestamp, Timestamp)) -> Option<Delivery> {
        let at = self.entries.iter().position(|entry| entry.delivery.row.id == id)?;
        if self.entries[at].delivery.state != DeliveryState::Queued || !self.is_head(at) {
            return None;
        }
        let entry = &mut self.entries[at];
        entry.lease_until = Some(until);
        if is_beginning(entry.delivery.row.kind) {
            entry.delivery.storm = entry.delivery.storm.or(Some(storm));
        }
        let delivery = &mut entry.delivery;
        delivery.state = DeliveryState::Sending;
        delivery.attempts += 1;
        delivery.next_attempt_at = None;
        delivery.first_attempt_at = delivery.first_attempt_at.or(Some(now));
        delivery.row.fold = delivery.row.fold.or(Some(message));
        Some(delivery.clone())
    }

    /// Moves what waits and what is being sent along with a clock that was set.
    pub(super) fn shift(&mut self, by_ms: i64) {
        let later = |at: Option<Timestamp>| at.map(|at| at.plus_millis(by_ms));
        for entry in self.entries.iter_mut().filter(|entry| is_unfinished(entry)) {
            entry.delivery.first_attempt_at = later(entry.delivery.first_attempt_at);
            entry.lease_until = later(entry.lease_until);
            if by_ms < 0 && entry.delivery.state == DeliveryState::Queued {
                let row = &mut entry.delivery.row;
                (row.created_at, row.not_before) = (row.created_at.plus_millis(by_ms), row.not_before.plus_millis(by_ms));
                entry.due_at = entry.due_at.plus_millis(by_ms);
                entry.delivery.next_attempt_at = later(entry.delivery.next_attempt_at);
            }
        }
    }

    /// Brings back what waits from a future that cannot be meant; how many that were.
    pub(super) fn pull_back(&mut self, now: Timestamp, longest_ms: i64) -> usize {
        let mut moved = 0;
        for entry in self.entries.iter_mut().filter(|entry| entry.delivery.state == DeliveryState::Queued) {
            let lead = entry.delivery.row.created_at.millis_since(now);
            let delivery = &mut entry.delivery;
            let back = |at: Option<Timestamp>| at.map(|at| at.plus_millis(-lead));
            if lead > 0 {
                delivery.row.created_at = now;
                delivery.row.not_before = delivery.row.not_before.plus_millis(-lead);
                entry.due_at = entry.due_at.plus_millis(-lead);
                (delivery.next_attempt_at, delivery.first_attempt_at) =
                    (back(delivery.next_attempt_at), back(delivery.first_attempt_at));
            }
            let is_due_later = entry.due_at > now && entry.due_at > delivery.row.not_before;
            let was_tried_later = delivery.first_attempt_at.is_some_and(|at| at > now);
            let waits_too_long = is_due_later && (entry.due_at > now.plus_millis(longest_ms) || was_tried_later);
            if waits_too_long {
                (entry.due_at, delivery.next_attempt_at) = (now, Some(now));
            }
            moved += usize::from(lead > 0 || waits_too_long);
            delivery.first_attempt_at = delivery.first_attempt_at.map(|at| at.min(now));
        }
        moved
    }

    /// Keeps what a channel wants remembered.
    pub(super) fn note_progress(&mut self, id: Ulid, progress_json: &str) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.delivery.row.id == id) {
            entry.delivery.progress = Some(progress_json.to_owned());
        }
    }

    /// Writes down what became of one attempt.
    pub(super) fn settle(&mut self, id: Ulid, settled: &Settled, now: Timestamp) {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.delivery.row.id == id) else { return };
        let delivery = &mut entry.delivery;
        match settled {
            Settled::Sent { latency_ms } if delivery.state != DeliveryState::Sent => {
                delivery.state = DeliveryState::Sent;
                delivery.sent_at = Some(now);
                delivery.latency_ms = Some(*latency_ms);
                delivery.last_error = None;
            }
            Settled::Retry { at, error, ambiguous, plain } if delivery.state == DeliveryState::Sending => {
                delivery.state = DeliveryState::Queued;
                delivery.last_error = Some(error.clone());
                delivery.maybe_repeat |= ambiguous;
                delivery.plain |= plain;
                delivery.next_attempt_at = Some(*at);
                entry.due_at = *at;
                entry.lease_until = None;
                return;
            }
            Settled::Dead { error } if delivery.state == DeliveryState::Sending => {
                delivery.state = DeliveryState::Dead;
                delivery.last_error = Some(error.clone());
            }
            _ => return,
        }
        delivery.next_attempt_at = None;
        entry.lease_until = None;
    }

    /// When there is something to claim next.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let heads = (0..self.entries.len()).filter(|at| self.is_head(*at)).map(|at| &self.entries[at]);
        let queued = heads.filter(|entry| entry.delivery.state == DeliveryState::Queued).map(|entry| entry.due_at).min();
        let sending = self.entries.iter().filter_map(|entry| entry.lease_until).min();
        queued.into_iter().chain(sending).min()
    }

    /// Does what a person asked for.
    pub(super) fn command(&mut self, id: Ulid, command: DeliveryCommand, now: Timestamp) -> Result<Delivery, StoreError> {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.delivery.row.id == id) else {
            return Err(StoreError::NotFound(format!("delivery {id}")));
        };
        if let Some(refusal) = refusal(&entry.delivery, command) {
            return Err(refusal);
        }
        match command {
            DeliveryCommand::Retry => {
                if entry.delivery.state == DeliveryState::Dead {
                    entry.delivery.first_attempt_at = None;
                }
                entry.delivery.state = DeliveryState::Queued;
                entry.delivery.next_attempt_at = Some(now);
                entry.delivery.row.fold = None;
                entry.due_at = now;
            }
            DeliveryCommand::Cancel => {
                entry.delivery.state = DeliveryState::Cancelled;
                entry.delivery.next_attempt_at = None;
            }
        }
        Ok(entry.delivery.clone())
    }

    /// Cancels what waits for a channel.
    pub(super) fn cancel_channel(&mut self, channel: ChannelId) {
        for entry in self.entries.iter_mut().filter(|entry| entry.delivery.row.channel == channel) {
            if matches!(entry.delivery.state, DeliveryState::Queued | DeliveryState::Held) {
                entry.delivery.state = DeliveryState::Cancelled;
                entry.delivery.next_attempt_at = None;
            }
        }
    }

    /// Deliveries, newest first.
    pub(super) fn list(&self, query: &DeliveryQuery) -> Page<Delivery> {
        let fits = |delivery: &Delivery| {
            query.state.is_none_or(|state| delivery.state == state)
                && query.channel.is_none_or(|channel| delivery.row.channel == channel)
                && query.incident.is_none_or(|incident| delivery.row.incident == incident)
                && query.storm.is_none_or(|storm| delivery.storm == Some(storm))
        };
        let found = self.entries.iter().filter(|entry| fits(&entry.delivery));
        page(found.map(|entry| (entry.place, entry.delivery.clone())), query.before, query.limit)
    }

    /// One delivery.
    pub(super) fn one(&self, id: Ulid) -> Option<Delivery> {
        self.entries.iter().find(|entry| entry.delivery.row.id == id).map(|entry| entry.delivery.clone())
    }

    /// How many deliveries are in each state.
    pub(super) fn counts(&self) -> Vec<(DeliveryState, u64)> {
        let count = |state| self.entries.iter().filter(|entry| entry.delivery.state == state).count() as u64;
        DeliveryState::ALL.map(|state| (state, count(state))).into()
    }

    /// Removes what was put in before `before` and is finished, before `dead_before` if it was given up, but for what told the beginning
    /// of something that `is_told` says is not over; how many.
    pub(super) fn retain(&mut self, before: Timestamp, dead_before: Timestamp, is_told: impl Fn(IncidentId) -> bool) -> u64 {
        use NoticeKind::{Escalated, Fired, NoDataStart};
        let count = self.entries.len();
        let is_needed = |Delivery { row, state, .. }: &Delivery| {
            *state == DeliveryState::Sent && matches!(row.kind, Fired | NoDataStart | Escalated) && is_told(row.incident)
        };
        let limit = |entry: &Entry| if entry.delivery.state == DeliveryState::Dead { dead_before } else { before };
        let is_young = |entry: &Entry| entry.delivery.row.created_at >= limit(entry);
        self.entries.retain(|entry| is_unfinished(entry) || is_young(entry) || is_needed(&entry.delivery));
        (count - self.entries.len()) as u64
    }
}

fn requeue(entry: &mut Entry, error: Option<&str>) {
    if entry.delivery.state == DeliveryState::Sending {
        entry.delivery.state = DeliveryState::Queued;
        entry.delivery.maybe_repeat = true;
        entry.lease_until = None;
        if let Some(error) = error {
            entry.delivery.last_error = Some(error.to_owned());
        }
    }
}
