//! The pipeline's thread: wait, gather, evaluate, commit, answer.
//!
//! When the store cannot write, the turn at hand is kept and tried again with the same content while evaluation goes on in
//! memory: what comes in meanwhile is not acknowledged (its agents keep it), pages go out without the store, and people's words count
//! at once, of which they are told that they are not written down yet.

use super::pace::{self, Pace};
use super::turn::Turn;
use super::{Control, PipelineInput, Word, Work};
use crate::clock::{self, StepDetector};
use crate::fleet::Fleet;
use crate::live::Live;
use crate::measure::Measure;
use crate::outbox::OutboxHandle;
use crate::page;
use crate::registry::Registry;
use crate::routing::Routed;
use nightbell_alerts::{AgentView, Effects, Evaluator, IncidentRecord};
use nightbell_ingest::{Admission, Answer, Heard, Submission, Verdict};
use nightbell_model::{Batch, IncidentId, Timestamp};
use nightbell_store::{AgentRow, LeaseToken, SeenRow, StateStore, StoreError};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

/// The longest wait: how late a step of the system clock may be noticed.
const IDLE: Duration = Duration::from_secs(1);
/// How long after a failed commit it is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// What the pipeline works with.
#[derive(Debug)]
pub struct PipelineParts {
    /// Where work comes from.
    pub input: PipelineInput,
    /// De-duplication and times, restored.
    pub admission: Admission,
    /// The evaluator, restored.
    pub evaluator: Evaluator,
    /// Where turns are written.
    pub store: Arc<dyn StateStore>,
    /// The right to write.
    pub lease: LeaseToken,
    /// Names for pages.
    pub registry: Arc<Registry>,
    /// The newest values.
    pub fleet: Arc<Fleet>,
    /// Who is told of log lines.
    pub live: Live,
    /// Who sends pages.
    pub outbox: OutboxHandle,
    /// The hub's own measurements.
    pub measure: Arc<Measure>,
    /// How long raw heartbeats are kept, in milliseconds: older ones are refused.
    pub raw_ms: i64,
    /// Whom routes chose.
    pub routed: Routed,
}

/// The running pipeline.
#[derive(Debug)]
pub struct Pipeline {
    parts: PipelineParts,
    steps: StepDetector,
    effects: Effects,
    /// A turn whose commit failed, with the moment of the next try.
    stuck: Option<(Turn, Instant)>,
    pace: Pace,
    stopping: bool,
}

impl Pipeline {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn spawn(parts: PipelineParts) -> std::io::Result<std::thread::JoinHandle<()>> {
        let steps = StepDetector::new(clock::now(), clock::boot_millis());
        let (effects, pace) = (Effects::default(), Pace::default());
        let pipeline = Self { parts, steps, effects, stuck: None, pace, stopping: false };
        std::thread::Builder::new().name("pipeline".to_owned()).spawn(move || pipeline.run())
    }

    fn run(mut self) {
        while !self.stopping || self.stuck.is_some() {
            let mut turn = Turn::new();
            std::thread::sleep(self.pace.rest(Instant::now(), self.parts.input.queued.load(Ordering::Relaxed)));
            self.gather(&mut turn);
            self.look_at_the_clock();
            self.parts.evaluator.tick(clock::now(), &mut self.effects);
            self.parts.measure.turned();
            self.seal(&mut turn);
            self.commit(turn);
            if self.stopping && self.stuck.is_some() {
                tracing::error!("stopping with a turn that could not be written; its heartbeats were not acknowledged");
                break;
            }
        }
    }

    /// Moves everything that is anchored in time if the clock was set: before anything is taken that was stamped by it, or that would
    /// be moved along.
    fn look_at_the_clock(&mut self) {
        let now = clock::now();
        if let Some(step) = self.steps.check(now, clock::boot_millis()) {
            tracing::warn!(step_ms = step, "the system clock was set");
            self.parts.evaluator.clock_stepped(step, now, &mut self.effects);
            self.parts.admission.shift(step);
            self.parts.fleet.shift(step);
        }
    }

    /// Waits for work or the next deadline, takes what is there, and waits for more where nobody waits for it.
    fn gather(&mut self, turn: &mut Turn) {
        let longest = if self.stuck.is_some() { RETRY } else { IDLE };
        match self.parts.input.receiver.recv_timeout(self.until_deadline(longest)) {
            Ok(work) => self.take(work, turn),
            Err(RecvTimeoutError::Timeout) => return,
            Err(RecvTimeoutError::Disconnected) => self.stopping = true,
        }
        let begun = Instant::now();
        self.take_all(turn);
        self.pace.begun(begun, turn.replies.len());
        while self.is_patient(turn) {
            let wait = self.until_deadline(pace::patience(begun, Instant::now()));
            // Work that is there already would be taken for ever.
            if wait.is_zero() {
                break;
            }
            let Ok(work) = self.parts.input.receiver.recv_timeout(wait) else { break };
            self.take(work, turn);
            self.take_all(turn);
        }
    }

    /// How long to wait: so long at most, and no longer than the evaluator's next deadline.
    fn until_deadline(&self, longest: Duration) -> Duration {
        let now = clock::now();
        let deadline = self.parts.evaluator.next_deadline().map(|at| at.millis_since(now).max(0).unsigned_abs());
        deadline.map_or(longest, |ms| Duration::from_millis(ms).min(longest))
    }

    /// Takes what is there, as far as there is room.
    fn take_all(&mut self, turn: &mut Turn) {
        while turn.has_room() {
            match self.parts.input.receiver.try_recv() {
                Ok(work) => self.take(work, turn),
                Err(_empty) => break,
            }
        }
    }

    /// Whether there is nothing in a turn that somebody waits for.
    fn is_patient(&self, turn: &Turn) -> bool {
        turn.is_patient() && self.effects.is_empty() && self.stuck.is_none() && !self.stopping
    }

    fn take(&mut self, work: Work, turn: &mut Turn) {
        self.look_at_the_clock();
        match work {
            Work::Submission(mut submission) => {
                self.parts.input.queued.fetch_sub(1, Ordering::Relaxed);
                if self.steps.is_recent(clock::boot_millis()) {
                    let now = clock::now();
                    for heard in &mut submission.heard {
                        heard.received = self.steps.on_this_clock(heard.received, now);
                    }
                }
                if self.stuck.is_some() {
                    self.evaluate_only(&submission);
                } else {
                    self.admit(submission, turn);
                }
            }
            Work::Control(control) => self.obey(control, turn),
        }
    }

    fn admit(&mut self, submission: Submission, turn: &mut Turn) {
        if !self.parts.registry.read().agents.contains_key(&submission.agent) {
            // It was deleted while this waited: nobody remembers anything of it.
            return;
        }
        turn.in_a_hurry |= self.pace.hurries(submission.agent, submission.heard.len(), Instant::now());
        let oldest = clock::now().plus_millis(-self.parts.raw_ms);
        let mut answers = Vec::with_capacity(submission.heard.len());
        for heard in submission.heard {
            let answer = match self.parts.admission.admit(&heard, oldest) {
                Verdict::Admit { ts } => {
                    self.observe(heard, ts, turn);
                    Answer::Stored
                }
                Verdict::Duplicate => Answer::Duplicate,
                Verdict::TooOld => Answer::TooOld,
                Verdict::Refused { code, why } => Answer::Refused { code, why },
            };
            if !matches!(answer, Answer::Stored) {
                turn.commit.alive.push((submission.agent, clock::now()));
            }
            answers.push(answer);
        }
        turn.heartbeats += answers.len();
        turn.replies.push((submission.done, answers));
    }

    fn observe(&mut self, heard: Heard, ts: Timestamp, turn: &mut Turn) {
        let batch = batch_of(heard, ts);
        self.parts.evaluator.observe(&batch, clock::now(), &mut self.effects);
        turn.commit.batches.push(batch);
    }

    /// While nothing can be written: heartbeats still move alerts, but nobody is told that they are durable.
    fn evaluate_only(&mut self, submission: &Submission) {
        for heard in &submission.heard {
            let batch = batch_of(heard.clone(), heard.sample_time());
            self.parts.evaluator.observe(&batch, clock::now(), &mut self.effects);
            self.parts.fleet.update_known(batch.agent, |vitals| vitals.last_seen = Some(batch.received));
        }
    }

    fn obey(&mut self, control: Control, turn: &mut Turn) {
        let now = clock::now();
        let (evaluator, out) = (&mut self.parts.evaluator, &mut self.effects);
        match control {
            Control::Rules(rules) => evaluator.set_rules(rules, now, out),
            Control::Levels(levels) => evaluator.set_levels(levels),
            Control::Mutes(mutes) => evaluator.set_mutes(mutes, now, out),
            Control::Agent(row) => {
                let vitals = self.parts.fleet.get(row.id).unwrap_or_default();
                evaluator.upsert_agent(view_of(&row, vitals.last_seen, vitals.closed), now, out);
            }
            Control::AgentRemoved(id) => {
                evaluator.remove_agent(id, now, out);
                self.parts.admission.forget(id);
                self.pace.forget(id);
                self.parts.fleet.remove(id);
            }
            Control::Opened(id) => evaluator.connection_opened(id, now),
            Control::Closed { agent, clean, on_purpose } => {
                evaluator.connection_closed(agent, clean, on_purpose, now, out);
                self.parts.fleet.update_known(agent, |vitals| vitals.closed = clean);
            }
            Control::Prime(agent, rule, frame) => evaluator.prime(agent, rule, &frame),
            Control::Trends(rows) => evaluator.set_trends(rows),
            Control::Acknowledge(incident, ack, audit, reply) => {
                let open = evaluator.acknowledge(incident, ack, now, out);
                turn.word(reply, open, audit);
            }
            Control::Unacknowledge(incident, by, audit, reply) => {
                let open = evaluator.unacknowledge(incident, &by, now, out);
                turn.word(reply, open, audit);
            }
            Control::Unwritten(incident, reply) => {
                let _gone = reply.send(self.unwritten(incident));
            }
            Control::Ask(question) => question(evaluator),
            Control::Stop => self.stopping = true,
        }
    }

    /// The newest of what waits to be written of an incident, while nothing can be.
    fn unwritten(&self, incident: IncidentId) -> Option<IncidentRecord> {
        let (stuck, _) = self.stuck.as_ref()?;
        let waiting = stuck.commit.effects.incidents.iter().chain(&self.effects.incidents);
        waiting.rev().find(|record| record.id == incident).cloned()
    }

    /// Moves the effects into the turn, notices as outbox rows.
    fn seal(&mut self, turn: &mut Turn) {
        if self.stuck.is_none() {
            turn.commit.seen = self.parts.admission.take_changed().into_iter().map(seen_row).collect();
        }
        if self.effects.is_empty() {
            return;
        }
        if !self.effects.notices.is_empty() {
            let holdings = self.parts.registry.read();
            let context = page::Context { holdings: &holdings, fleet: &self.parts.fleet };
            let routed = &mut self.parts.routed;
            let told = self.effects.notices.iter().filter(|notice| routed.passes(&holdings, notice));
            turn.commit.outbox = told.map(|notice| context.delivery(notice)).collect();
            turn.commit.effects.notices.clear();
        }
        turn.commit.effects = std::mem::take(&mut self.effects);
    }

    fn commit(&mut self, turn: Turn) {
        match self.stuck.take() {
            None => {
                if let Some(mut unwritten) = self.write(turn) {
                    self.page_directly(&unwritten);
                    unwritten.answer_people(Word::Unstored);
                    self.stuck = Some((unwritten, Instant::now() + RETRY));
                }
            }
            Some((mut stuck, at)) => {
                self.page_directly(&turn);
                merge(&mut stuck, turn);
                // What could not be written has been paged already: only the writing is tried again.
                self.stuck = if Instant::now() >= at || self.stopping {
                    self.write(stuck).map(|unwritten| (unwritten, Instant::now() + RETRY))
                } else {
                    Some((stuck, at))
                };
                if let Some((stuck, _)) = &mut self.stuck {
                    stuck.answer_people(Word::Unstored);
                }
            }
        }
    }

    /// Commits a turn and answers everyone; gives it back if it has to be tried again.
    fn write(&mut self, turn: Turn) -> Option<Turn> {
        if !turn.writes() {
            turn.answer();
            return None;
        }
        let begun = Instant::now();
        match self.parts.store.commit(self.parts.lease, &turn.commit) {
            Ok(events) => {
                self.parts.measure.committed(begun.elapsed(), &turn.commit.batches);
                self.parts.measure.writable(true);
                self.publish(&turn);
                if !turn.commit.outbox.is_empty() {
                    self.parts.outbox.caught_up();
                    self.parts.outbox.wake();
                }
                self.parts.live.tell_events(events);
                turn.answer();
                None
            }
            Err(StoreError::Conflict(why)) => {
                // Another hub has taken over: what it does not know of, its agents will send again.
                tracing::error!(why, "the right to write is lost; this hub stops writing");
                self.parts.measure.writable(false);
                self.stopping = true;
                None
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the store cannot write; trying again");
                self.parts.measure.writable(false);
                Some(turn)
            }
        }
    }

    /// Hands pages to the outbox's worker without the store; it remembers them, so that they do not go out twice.
    fn page_directly(&self, turn: &Turn) {
        for delivery in &turn.commit.outbox {
            self.parts.outbox.send_unstored(delivery.clone());
        }
    }

    fn publish(&self, turn: &Turn) {
        self.parts.fleet.arrivals().note(turn.commit.batches.iter().map(|batch| batch.ts));
        let holdings = self.parts.registry.read();
        // Who was deleted in the same turn is not to come back.
        let known = turn.vitals().filter(|(agent, _)| holdings.agents.contains_key(agent));
        let signs: Vec<_> = known.map(|(agent, signs)| (agent, signs.newest(), signs)).collect();
        drop(holdings);
        self.parts.fleet.update_all(signs.into_iter().map(|(agent, newest, signs)| {
            (agent, move |vitals: &mut crate::fleet::Vitals| {
                vitals.last_seen = vitals.last_seen.max(Some(signs.seen));
                vitals.closed = false;
                signs.passed.into_iter().for_each(|batch| vitals.take_seldom(batch));
                newest.into_iter().flatten().for_each(|batch| vitals.take(batch));
            })
        }));
    }
}

/// Appends a later turn's content to one that could not be written. Heartbeats are never in the later one.
fn merge(stuck: &mut Turn, later: Turn) {
    let (into, mut from) = (&mut stuck.commit, later.commit);
    // What was at rest and has begun again is not to be forgotten after all.
    into.effects.forgotten.retain(|key| !from.effects.instances.iter().any(|record| record.key == *key));
    into.effects.append(&mut from.effects);
    into.outbox.extend(from.outbox);
    into.alive.extend(from.alive);
    into.audit.extend(from.audit);
    stuck.words.extend(later.words);
}

fn batch_of(heard: Heard, ts: Timestamp) -> Batch {
    Batch {
        agent: heard.agent,
        ts,
        received: heard.received,
        boot_seq: heard.boot_seq,
        schema: heard.schema,
        values: heard.values,
    }
}

fn seen_row(seen: nightbell_ingest::SeenRanges) -> SeenRow {
    SeenRow { agent: seen.agent, boot: seen.boot, used_at: seen.used_at, ranges: seen.ranges }
}

/// What the evaluator is told of an agent.
pub(crate) fn view_of(row: &AgentRow, last_seen: Option<Timestamp>, closed: bool) -> AgentView {
    AgentView {
        id: row.id,
        tags: row.tags.clone(),
        interval_ms: row.interval_ms,
        paused: row.paused,
        last_seen: last_seen.or(row.last_seen),
        closed,
        stopped_on_purpose: false,
    }
}
