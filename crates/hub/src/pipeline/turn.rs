//! What one turn of the pipeline gathers before it commits.

use super::Word;
use crate::fleet::is_of_containers;
use nightbell_ingest::{Answer, Done, ReplyTo};
use nightbell_model::{AgentId, Batch, Timestamp};
use nightbell_store::{AuditEntry, Commit};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::oneshot;

/// How many heartbeats one commit takes at most: large enough that the sync is shared by many, small enough that a commit
/// stays in the tens of milliseconds.
pub(super) const MAX_HEARTBEATS: usize = 2_000;

/// Everything to write, and everyone to answer once it is written.
#[derive(Debug, Default)]
pub(super) struct Turn {
    pub(super) commit: Commit,
    pub(super) replies: Vec<(ReplyTo, Vec<Answer>)>,
    pub(super) words: Vec<(oneshot::Sender<Word>, bool)>,
    pub(super) heartbeats: usize,
    /// Somebody in it will send more once it is answered.
    pub(super) in_a_hurry: bool,
}

impl Turn {
    /// Nothing yet. Of an agent that is deleted before the commit, nothing is written.
    pub(super) fn new() -> Self {
        Self { commit: Commit { enrolled_only: true, ..Commit::default() }, ..Self::default() }
    }

    /// Whether the next submission still fits into this turn.
    pub(super) const fn has_room(&self) -> bool {
        self.heartbeats < MAX_HEARTBEATS
    }

    /// Whether it is of agents alone, none of which waits for its answer. An empty one has nothing to wait for.
    pub(super) const fn is_patient(&self) -> bool {
        !self.in_a_hurry && self.words.is_empty() && !self.replies.is_empty() && self.has_room()
    }

    /// Whether there is anything to make durable.
    pub(super) fn writes(&self) -> bool {
        !self.commit.batches.is_empty()
            || !self.commit.alive.is_empty()
            || !self.commit.seen.is_empty()
            || !self.commit.effects.is_empty()
            || !self.commit.outbox.is_empty()
            || !self.commit.audit.is_empty()
    }

    /// Takes somebody's word on an incident: whether it is open is answered, and if it is, the audit line written, with the commit.
    pub(super) fn word(&mut self, reply: oneshot::Sender<Word>, open: bool, audit: AuditEntry) {
        self.commit.audit.extend(open.then_some(audit));
        self.words.push((reply, open));
    }

    /// Answers people who cannot wait until the store can write again: their word counts already, for it is in the evaluator.
    pub(super) fn answer_people(&mut self, taken: Word) {
        for (reply, open) in self.words.drain(..) {
            let _gone = reply.send(if open { taken } else { Word::NotOpen });
        }
    }

    /// The newest signs of life in it, agent by agent.
    pub(super) fn vitals(&self) -> impl Iterator<Item = (AgentId, Signs<'_>)> {
        let mut newest: HashMap<AgentId, Signs<'_>> = HashMap::new();
        for batch in &self.commit.batches {
            let signs = newest.entry(batch.agent).or_insert_with(|| Signs::at(batch.received));
            signs.seen = signs.seen.max(batch.received);
            let of_containers = is_of_containers(batch);
            let place = &mut signs.latest[usize::from(of_containers)];
            let is_newest = !batch.values.is_empty() && place.is_none_or(|known| known.ts <= batch.ts);
            let passed = if is_newest { place.replace(batch) } else { Some(batch) };
            signs.passed.extend(passed.filter(|_| !of_containers));
        }
        for (agent, received) in &self.commit.alive {
            let signs = newest.entry(*agent).or_insert_with(|| Signs::at(*received));
            signs.seen = signs.seen.max(*received);
        }
        newest.into_iter()
    }

    /// Answers everyone: what was written is durable now.
    pub(super) fn answer(mut self) {
        self.answer_people(Word::Stored);
        for (reply, answers) in self.replies {
            reply.send(Done { answers });
        }
    }
}

/// An agent's signs of life in a turn.
pub(super) struct Signs<'a> {
    /// When the last of them was received.
    pub(super) seen: Timestamp,
    /// Its newest heartbeats with values: of its host, and of containers alone.
    latest: [Option<&'a Batch>; 2],
    /// Those of its host before that one: a buffer that is replayed has what is measured seldom somewhere in its midst.
    pub(super) passed: Vec<&'a Batch>,
}

impl Signs<'_> {
    const fn at(seen: Timestamp) -> Self {
        Self { seen, latest: [None; 2], passed: Vec::new() }
    }

    /// The newest heartbeats, to be remembered.
    pub(super) fn newest(&self) -> [Option<Arc<Batch>>; 2] {
        self.latest.map(|batch| batch.map(|batch| Arc::new(batch.clone())))
    }
}
