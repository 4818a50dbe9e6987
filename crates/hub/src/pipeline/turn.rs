//! What one turn of the pipeline gathers before it commits.

use nightbell_ingest::{Answer, Done, ReplyTo};
use nightbell_model::{AgentId, Batch, Timestamp};
use nightbell_store::Commit;
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
    pub(super) acks: Vec<(oneshot::Sender<bool>, bool)>,
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
    }

    /// The newest signs of life in it: agent, receipt, and its newest heartbeat with values.
    pub(super) fn vitals(&self) -> Vec<(AgentId, Timestamp, Option<Arc<Batch>>)> {
        let mut newest: std::collections::HashMap<AgentId, (Timestamp, Option<&Batch>)> = std::collections::HashMap::new();
        for batch in &self.commit.batches {
            let entry = newest.entry(batch.agent).or_insert((batch.received, None));
            entry.0 = entry.0.max(batch.received);
            if !batch.values.is_empty() && entry.1.is_none_or(|known| known.ts <= batch.ts) {
                entry.1 = Some(batch);
            }
        }
        for (agent, received) in &self.commit.alive {
            let entry = newest.entry(*agent).or_insert((*received, None));
            entry.0 = entry.0.max(*received);
        }
        newest.into_iter().map(|(agent, (seen, batch))| (agent, seen, batch.map(|batch| Arc::new(batch.clone())))).collect()
    }

    /// Answers everyone: what was written is durable now.
    pub(super) fn answer(self) {
        for (reply, answers) in self.replies {
            reply.send(Done { answers });
        }
        for (sender, word) in self.acks {
            let _gone = sender.send(word);
        }
    }
}
