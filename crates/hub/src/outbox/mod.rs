//! Sending what the outbox holds: claim due rows with a lease, render, deliver, settle. What travels together is decided in
//! [`crate::folding`].
//!
//! No transaction is open while a receiver thinks, and each channel has its own lanes, so that a slow or dead one delays no
//! other. A receiver that asks for patience is not asked again on any of its lanes for a while. What the store could not take
//! (a full disk) comes in directly, keeps its order and is tried again, and is remembered, so that it is not sent again when the
//! store has caught up.

mod crowd;
mod direct;
mod picture;
mod send;
mod trouble;

pub use picture::{ChartRequest, PAGE_SIZE, PictureError, incident_chart, incident_chart_svg};
pub use send::{Parcel, Sender};

use crate::clock::{self, StepDetector};
use crate::folding::{self, Plan, Room};
use crowd::Crowd;
use direct::{Attempt, Lines};
use nightbell_model::{ChannelId, IncidentId, Timestamp, Ulid};
use nightbell_notify::retry::Decision;
use nightbell_notify::{ChannelRate, TokenBucket};
use nightbell_store::{Delivery, DeliveryState, LeaseToken, NewDelivery, StateStore, StoreError};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

/// How long a worker has a delivery to itself: longer than waiting for its channel's rate and an attempt can take together, so
/// that it runs out only when we died.
const LEASE_MS: i64 = 300_000;
/// How many messages are under way at once; one of each channel may be whatever the others do.
const LANES: usize = 64;
/// How many of them on one channel.
const LANES_PER_CHANNEL: usize = 4;
/// The longest wait between two looks, should a wake-up be lost.
const POLL: Duration = Duration::from_secs(5);
/// How long to wait before asking again what became of a page that is sent without the store.
const UNDER_WAY: Duration = Duration::from_millis(50);
/// For how long at most a receiver's wish for patience holds up other messages of its channel, in milliseconds: a page may be more
/// urgent than what was refused.
const PATIENCE_MS: i64 = 60_000;
/// No further attempt is put off for longer than what a receiver may ask for at most, in milliseconds.
pub(crate) const LONGEST_WAIT_MS: i64 = nightbell_notify::retry::LONGEST_RETRY_AFTER.as_secs().cast_signed() * 1_000;
/// How many unstored pages are remembered, waiting or sent: a full disk lasts long, but pages are few.
const UNSTORED: usize = 10_000;

/// The way to the worker; cloning is cheap.
#[derive(Debug, Clone)]
pub struct OutboxHandle {
    wake: Arc<Notify>,
    unstored: mpsc::Sender<NewDelivery>,
    /// Pages that could not be stored.
    direct: Arc<Mutex<HashMap<Ulid, Page>>>,
    /// Until when receivers want to be left alone, as the worker last learnt it, on the clock that does not step.
    wishes: Arc<Mutex<HashMap<ChannelId, i64>>>,
}

/// A page that could not be stored: how far it is, and what it is of.
#[derive(Debug, Clone, Copy)]
struct Page {
    state: Unstored,
    of: (ChannelId, IncidentId),
}

/// How far a page is that could not be stored. One that is not remembered is the store's to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unstored {
    /// Its turn is to come, perhaps again.
    Waits,
    /// It is being sent.
    UnderWay,
    /// The receiver took it.
    Sent,
}

/// The worker's end of the handle.
#[derive(Debug)]
pub struct OutboxInput {
    handle: OutboxHandle,
    unstored: mpsc::Receiver<NewDelivery>,
}

/// A handle and the worker's end of it.
#[must_use]
pub fn outbox() -> (OutboxHandle, OutboxInput) {
    let (sender, unstored) = mpsc::channel(UNSTORED);
    let handle = OutboxHandle { wake: Arc::default(), unstored: sender, direct: Arc::default(), wishes: Arc::default() };
    (handle.clone(), OutboxInput { handle, unstored })
}

impl OutboxHandle {
    /// Says that something may be due.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Hands over a page that could not be stored. Beyond some thousand the oldest are enough to wake somebody.
    pub fn send_unstored(&self, delivery: NewDelivery) {
        let id = delivery.id;
        let has_room = self.direct().len() < UNSTORED;
        if has_room {
            let of = (delivery.channel, delivery.incident);
            self.direct().insert(id, Page { state: Unstored::Waits, of });
        }
        if !has_room || self.unstored.try_send(delivery).is_err() {
            self.direct().remove(&id);
            tracing::error!("too many pages that could not be stored; this one waits for the store");
        }
    }

    /// Says that the store has everything: what waits to be sent without it is sent from it. But who has heard of an incident without
    /// it hears the rest in the same way: the store takes a beginning it has not sent for one that nobody knows, and drops the end
    /// together with it where one came soon after the other.
    pub fn caught_up(&self) {
        let mut direct = self.direct();
        let heard: HashSet<_> = direct.values().filter(|page| page.state != Unstored::Waits).map(|page| page.of).collect();
        direct.retain(|_, page| page.state != Unstored::Waits || heard.contains(&page.of));
    }

    /// Until when the receiver behind a channel wants to be left alone, if it does.
    #[must_use]
    pub fn patience_until(&self, channel: ChannelId) -> Option<Timestamp> {
        let until_ms = self.wishes().get(&channel).copied()?;
        let left_ms = until_ms - clock::boot_millis();
        (left_ms > 0).then(|| clock::now().plus_millis(left_ms))
    }

    fn wishes(&self) -> MutexGuard<'_, HashMap<ChannelId, i64>> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this delivery went out before it was stored. While it is under way, this waits for its outcome, but not for ever.
    async fn was_sent_unstored(&self, id: Ulid) -> bool {
        let begun = clock::boot_millis();
        while self.unstored(id) == Some(Unstored::UnderWay) && clock::boot_millis() - begun < LEASE_MS / 4 {
            tokio::time::sleep(UNDER_WAY).await;
        }
        self.direct().remove(&id).is_some_and(|page| page.state == Unstored::Sent)
    }

    /// Whether a page still has to be sent without the store.
    fn is_owed_unstored(&self, id: Ulid) -> bool {
        self.unstored(id) == Some(Unstored::Waits)
    }

    fn unstored(&self, id: Ulid) -> Option<Unstored> {
        self.direct().get(&id).map(|page| page.state)
    }

    fn note_unstored(&self, rows: &[NewDelivery], decision: Option<&Decision>) {
        let mut direct = self.direct();
        for row in rows {
            // What the store has taken over meanwhile is not taken back.
            let Some(page) = direct.get_mut(&row.id) else { continue };
            match decision {
                None => page.state = Unstored::UnderWay,
                Some(Decision::Sent) => page.state = Unstored::Sent,
                Some(Decision::RetryAfter { .. }) => page.state = Unstored::Waits,
                Some(Decision::Dead { .. }) => drop(direct.remove(&row.id)),
            }
        }
    }

    fn direct(&self) -> MutexGuard<'_, HashMap<Ulid, Page>> {
        self.direct.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a task comes back with.
#[derive(Debug)]
struct Done {
    channel: ChannelId,
    /// For how long the receiver asked to be left alone.
    patience: Option<Duration>,
    /// What became of a message that was sent without the store.
    direct: Option<(Attempt, Decision)>,
}

/// The worker.
#[derive(Debug)]
pub struct Outbox {
    input: OutboxInput,
    store: Arc<dyn StateStore>,
    lease: LeaseToken,
    sender: Arc<Sender>,
    busy: HashMap<ChannelId, usize>,
    rates: HashMap<ChannelId, TokenBucket>,
    /// Until when receivers want to be left alone, on the clock that does not step.
    patience: HashMap<ChannelId, i64>,
    direct: Lines,
    crowd: Crowd,
    steps: StepDetector,
    /// By how much the clock was set and what waits not moved yet, in milliseconds.
    unmoved_ms: i64,
    tasks: JoinSet<Done>,
}

impl Outbox {
    /// A worker that sends through `sender`.
    #[must_use]
    pub fn new(input: OutboxInput, store: Arc<dyn StateStore>, lease: LeaseToken, sender: Arc<Sender>) -> Self {
        let crowd = Crowd::new(Arc::clone(&sender.registry), Arc::clone(&sender.fleet), clock::now());
        let steps = StepDetector::new(clock::now(), clock::boot_millis());
        Self {
            input,
            store,
            lease,
            sender,
            busy: HashMap::new(),
            rates: HashMap::new(),
            patience: HashMap::new(),
            direct: Lines::default(),
            crowd,
            steps,
            unmoved_ms: 0,
            tasks: JoinSet::new(),
        }
    }

    /// Works until `stop` is told, then finishes the deliveries in hand, for at most `grace`.
    pub async fn run(mut self, stop: impl Future<Output = ()>, grace: Duration) {
        tokio::pin!(stop);
        loop {
            let direct = self.start_direct();
            let wait = self.round().await.min(direct);
            tokio::select! {
                () = &mut stop => break,
                () = self.input.handle.wake.notified() => {}
                Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => self.done(done),
                Some(delivery) = self.input.unstored.recv() => self.direct.push(delivery),
                () = tokio::time::sleep(wait) => {}
            }
        }
        let _late = tokio::time::timeout(grace, async { while self.tasks.join_next().await.is_some() {} }).await;
    }

    /// Claims and starts what is due; answers how long to wait before the next look.
    async fn round(&mut self) -> Duration {
        let free = LANES.saturating_sub(self.tasks.len());
        let now = clock::now();
        self.unmoved_ms += self.steps.check(now, clock::boot_millis()).unwrap_or(0);
        if self.unmoved_ms != 0 {
            let by_ms = self.unmoved_ms;
            // What the store cannot do now it does with the next look: nothing waits for a time that was meant otherwise.
            let moved = self.in_store(move |store, lease| store.shift_deliveries(lease, by_ms)).await;
            self.unmoved_ms = if moved.is_some() { 0 } else { by_ms };
        }
        let looked = self.in_store(move |store, _| Ok((store.waiting(now.plus_millis(folding::AHEAD_MS))?, store.next_due()?)));
        let Some((waiting, next)) = looked.await else { return POLL };
        let (busy, patience) = self.taken_lanes();
        let room = Room { all: free, per_channel: LANES_PER_CHANNEL, busy: &busy };
        let plan = folding::plan(&waiting, &self.crowd.at(now), &room, now);
        // A lease that ran out is found by claiming, be it nothing.
        let has_due = next.is_some_and(|at| at <= now);
        if !plan.messages.is_empty() || has_due {
            self.claim(&plan, now).await;
        }
        let wait = plan.wake.map_or(POLL, |at| Duration::from_millis(at.millis_since(clock::now()).max(1).unsigned_abs()));
        wait.min(patience)
    }

    /// How many lanes of each channel are taken, all of those whose receiver wants to be left alone; how long until the first of
    /// them may be asked again.
    fn taken_lanes(&mut self) -> (HashMap<ChannelId, usize>, Duration) {
        let now_ms = clock::boot_millis();
        self.patience.retain(|_, until_ms| *until_ms > now_ms);
        let mut busy = self.busy.clone();
        busy.extend(self.patience.keys().map(|channel| (*channel, LANES_PER_CHANNEL)));
        let first = self.patience.values().min().map(|until_ms| Duration::from_millis((until_ms - now_ms).max(1).unsigned_abs()));
        (busy, first.unwrap_or(POLL).min(POLL))
    }

    async fn claim(&mut self, plan: &Plan, now: Timestamp) {
        let messages: Vec<_> = plan.messages.iter().map(|chosen| chosen.ids.clone()).collect();
        let claimed = self.in_store(move |store, lease| store.claim(lease, now, now.plus_millis(LEASE_MS), &messages)).await;
        for (chosen, deliveries) in plan.messages.iter().zip(claimed.unwrap_or_default()) {
            if let Some(first) = deliveries.first() {
                self.start(first.row.channel, Parcel { deliveries, rest: chosen.rest });
            }
        }
    }

    /// Does something with the store on a thread that may wait; what fails is logged and answered with nothing.
    async fn in_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn StateStore, LeaseToken) -> Result<T, StoreError> + Send + 'static,
    ) -> Option<T> {
        let (store, lease) = (Arc::clone(&self.store), self.lease);
        match tokio::task::spawn_blocking(move || work(&*store, lease)).await {
            Ok(Ok(found)) => Some(found),
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot look into the outbox");
                None
            }
            Err(gone) => {
                tracing::error!(%gone, "looking into the outbox panicked");
                None
            }
        }
    }

    fn start(&mut self, channel: ChannelId, parcel: Parcel) {
        *self.busy.entry(channel).or_default() += 1;
        let pause = self.pause(channel);
        let (sender, handle) = (Arc::clone(&self.sender), self.input.handle.clone());
        self.tasks.spawn(async move {
            tokio::time::sleep(pause).await;
            let mut left = Vec::with_capacity(parcel.deliveries.len());
            for delivery in parcel.deliveries {
                if handle.was_sent_unstored(delivery.row.id).await {
                    sender.settle_sent(&delivery).await;
                } else {
                    left.push(delivery);
                }
            }
            let patience = if left.is_empty() { None } else { sender.send(Parcel { deliveries: left, rest: parcel.rest }).await };
            Done { channel, patience, direct: None }
        });
    }

    /// How long a message must wait so that its channel is not sent more than its service takes.
    fn pause(&mut self, channel: ChannelId) -> Duration {
        let kind = self.sender.registry.read().channels.get(&channel).map(|row| row.kind.clone()).unwrap_or_default();
        let Some(rate) = ChannelRate::of(&kind) else { return Duration::ZERO };
        let now_ms = clock::boot_millis();
        let bucket = self.rates.entry(channel).or_insert_with(|| TokenBucket::new(rate));
        match bucket.take(now_ms) {
            Ok(()) => Duration::ZERO,
            Err(wait_ms) => {
                // Its turn is taken now, for the moment when the bucket has something again.
                let _taken = bucket.take(now_ms.saturating_add(wait_ms));
                Duration::from_millis(wait_ms.max(0).unsigned_abs())
            }
        }
    }

    /// Starts what can be sent without the store; answers how long until more can be.
    fn start_direct(&mut self) -> Duration {
        while let Ok(row) = self.input.unstored.try_recv() {
            self.direct.push(row);
        }
        let at = (clock::now(), clock::boot_millis());
        let handle = &self.input.handle;
        let is_owed = |row: &NewDelivery| handle.is_owed_unstored(row.id);
        let folds = |channel| self.crowd.takes_several(channel);
        let started = self.direct.take(at, &is_owed, &folds, &self.patience);
        for (channel, attempt) in started {
            self.try_direct(channel, attempt);
        }
        self.direct.wait_ms(at, &self.patience).map_or(POLL, |ms| Duration::from_millis(ms.max(1).unsigned_abs()).min(POLL))
    }

    fn try_direct(&mut self, channel: ChannelId, attempt: Attempt) {
        self.input.handle.note_unstored(&attempt.rows, None);
        let pause = self.pause(channel);
        let (sender, handle) = (Arc::clone(&self.sender), self.input.handle.clone());
        self.tasks.spawn(async move {
            tokio::time::sleep(pause).await;
            let deliveries = attempt.rows.iter().map(|row| direct_delivery(row.clone(), &attempt)).collect();
            let age_ms = clock::boot_millis() - attempt.first_ms;
            let (decision, patience) = sender.send_without_store(deliveries, age_ms).await;
            handle.note_unstored(&attempt.rows, Some(&decision));
            Done { channel, patience, direct: Some((attempt, decision)) }
        });
    }

    fn done(&mut self, done: Result<Done, tokio::task::JoinError>) {
        match done {
            Ok(Done { channel, patience, direct }) => {
                let now_ms = clock::boot_millis();
                if let Some(patience) = patience {
                    let ms = i64::try_from(patience.as_millis()).unwrap_or(PATIENCE_MS).min(PATIENCE_MS);
                    self.patience.insert(channel, now_ms.saturating_add(ms));
                    self.input.handle.wishes().clone_from(&self.patience);
                }
                match direct {
                    Some((attempt, decision)) => self.direct.ended(channel, attempt, &decision, now_ms),
                    None => self.leave(channel),
                }
            }
            Err(error) => {
                tracing::error!(%error, "a delivery panicked; its lease will run out and it is tried again");
                // Whose it was is not known any more: recount at leisure by letting every channel have one lane back.
                for channel in self.busy.keys().copied().collect::<Vec<_>>() {
                    self.leave(channel);
                }
                self.direct.free();
            }
        }
    }

    fn leave(&mut self, channel: ChannelId) {
        if let Some(lanes) = self.busy.get_mut(&channel) {
            *lanes = lanes.saturating_sub(1);
            if *lanes == 0 {
                self.busy.remove(&channel);
            }
        }
    }
}

/// A delivery that is sent without the store.
fn direct_delivery(row: NewDelivery, attempt: &Attempt) -> Delivery {
    Delivery { attempts: attempt.number, plain: attempt.plain, ..fresh(row) }
}

/// A delivery as it is before its first attempt.
const fn fresh(row: NewDelivery) -> Delivery {
    Delivery {
        row,
        state: DeliveryState::Sending,
        attempts: 1,
        first_attempt_at: None,
        sent_at: None,
        latency_ms: None,
        next_attempt_at: None,
        last_error: None,
        maybe_repeat: false,
        plain: false,
        progress: None,
        storm: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nightbell_alerts::NoticeKind;

    fn page(id: u128) -> NewDelivery {
        NewDelivery {
            id: Ulid::from_bits(id),
            channel: ChannelId::from_bits(1),
            instance: "rule/agent/series".to_owned(),
            incident: IncidentId::from_bits(id),
            kind: NoticeKind::Fired,
            n: 0,
            payload_json: String::new(),
            created_at: Timestamp::from_millis(0),
            not_before: Timestamp::from_millis(0),
            fold: None,
        }
    }

    #[test]
    fn what_cannot_be_stored_is_remembered_within_bounds() {
        let (handle, mut input) = outbox();
        let most = UNSTORED as u128;
        (0..most).for_each(|id| handle.send_unstored(page(id)));
        // The worker has taken all of them into its lines, and the receiver has taken one page.
        while input.unstored.try_recv().is_ok() {}
        handle.note_unstored(&[page(0)], Some(&Decision::Sent));
        handle.send_unstored(page(most));
        assert!(!handle.is_owed_unstored(Ulid::from_bits(most)), "that one waits for the store");
        handle.caught_up();
        assert_eq!(handle.direct().len(), 1, "what was sent is remembered, so that the store does not send it again");
        handle.send_unstored(page(most));
        assert!(handle.is_owed_unstored(Ulid::from_bits(most)));
    }

    #[test]
    fn who_heard_of_a_beginning_without_the_store_hears_of_its_end_in_the_same_way() {
        let (handle, _input) = outbox();
        let end = NewDelivery { incident: IncidentId::from_bits(1), kind: NoticeKind::Resolved, ..page(3) };
        [page(1), page(2), end].into_iter().for_each(|page| handle.send_unstored(page));
        handle.note_unstored(&[page(1)], None);
        handle.note_unstored(&[page(1)], Some(&Decision::Sent));
        handle.caught_up();
        let owed = [1, 2, 3].map(|id| handle.is_owed_unstored(Ulid::from_bits(id)));
        assert_eq!(owed, [false, false, true], "the second is the store's");
    }
}
