//! What one turn of the pipeline gathers before it commits.

use super::Word;
use crate::fleet::is_of_containers;
use nightbell_ingest::{Answer, Done, ReplyTo};
use nightbell_model::{AgentId, Batch, Timestamp};
use nightbell_store::{AuditEntry, Commit};
use std::sync::Arc;
use tokio::sync::oneshot;

/// How many heartbeats one commit takes at most: large enough that the sync is shared by many, small enough that a commit
/// stays in the tens of milliseconds.
pub(super) const MAX_HEARTBEATS: usize = 2_000;

/// An agent's newest heartbeats with values: of its host, and of containers alone.
pub(super) type Latest = [Option<Arc<Batch>>; 2];

/// Everything to write, and everyone to answer once it is written.
#[derive(Debug, Default)]
pub(super) struct Turn {
    pub(super) commit: Commit,
    pub(super) replies: Vec<(ReplyTo, Vec<Answer>)>,
    pub(super) words: Vec<(oneshot::Sender<Word>, bool)>,
    pub(super) heartbeats: usize,
}

impl Turn {
    /// Whether the next submission still fits into this turn.
    pub(super) const fn has_room(&self) -> bool {
        self.heartbeats < MAX_HEARTBEATS
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

    /// The newest signs of life in it: agent, receipt, and its newest heartbeats.
    pub(super) fn vitals(&self) -> Vec<(AgentId, Timestamp, Latest)> {
        let mut newest: std::collections::HashMap<AgentId, (Timestamp, [Option<&Batch>; 2])> = std::collections::HashMap::new();
        for batch in &self.commit.batches {
            let (seen, latest) = newest.entry(batch.agent).or_insert((batch.received, [None; 2]));
            *seen = (*seen).max(batch.received);
            let place = &mut latest[usize::from(is_of_containers(batch))];
            if !batch.values.is_empty() && place.is_none_or(|known| known.ts <= batch.ts) {
                *place = Some(batch);
            }
        }
        for (agent, received) in &self.commit.alive {
            let (seen, _) = newest.entry(*agent).or_insert((*received, [None; 2]));
            *seen = (*seen).max(*received);
        }
        let kept = |batch: Option<&Batch>| batch.map(|batch| Arc::new(batch.clone()));
        newest.into_iter().map(|(agent, (seen, latest))| (agent, seen, latest.map(kept))).collect()
    }

    /// Answers everyone: what was written is durable now.
    pub(super) fn answer(mut self) {
        self.answer_people(Word::Stored);
        for (reply, answers) in self.replies {
            reply.send(Done { answers });
        }
    }
}
