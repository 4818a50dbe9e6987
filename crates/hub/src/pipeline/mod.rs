//! The one place where heartbeats become durable and alerts change: a thread that owns the admission and the evaluator.
//!
//! Work comes over one queue. Submissions are counted against a bound, and a full queue is an answer, not a wait; word from
//! the rest of the hub always gets through. Each turn takes what queued up during the previous commit and, where nobody waits
//! for it, what comes within a moment (`pace`), evaluates it in memory as it comes and commits samples, alert states and outbox rows in one
//! transaction; only then agents are acknowledged.

mod pace;
mod run;
mod turn;

pub(crate) use run::view_of;
pub use run::{Pipeline, PipelineParts};

use nightbell_alerts::{Ack, Evaluator, IncidentRecord, LevelTable, Mute, Rule, TrendRow};
use nightbell_ingest::Submission;
use nightbell_model::{AgentId, Frame, IncidentId, RuleId};
use nightbell_store::{AgentRow, AuditEntry};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use tokio::sync::oneshot;

/// How many submissions may wait: a few commits' worth of a large fleet. Each holds at most one request's heartbeats.
const QUEUE: usize = 8_192;

/// What became of somebody's word on an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// It counts, and is stored.
    Stored,
    /// It counts, but only in memory: the store cannot write now. It is stored as soon as that can, unless the hub ends before.
    Unstored,
    /// The incident is not open.
    NotOpen,
    /// Nobody listened: the hub is ending.
    Unheard,
}

/// Word from the rest of the hub.
pub enum Control {
    /// The rules are now these.
    Rules(Vec<Rule>),
    /// The levels are now these.
    Levels(LevelTable),
    /// The silences are now these.
    Mutes(Vec<Mute>),
    /// An agent is new or changed.
    Agent(AgentRow),
    /// An agent is gone.
    AgentRemoved(AgentId),
    /// An agent connected.
    Opened(AgentId),
    /// An agent's newest connection ended.
    Closed {
        /// Whose.
        agent: AgentId,
        /// Whether it said goodbye.
        clean: bool,
        /// Whether it said that it stops on purpose.
        on_purpose: bool,
    },
    /// Stored history for a rule that looks back, of one agent.
    Prime(AgentId, RuleId, Box<Frame>),
    /// Where series are heading.
    Trends(Vec<TrendRow>),
    /// Somebody is on it.
    Acknowledge(IncidentId, Ack, AuditEntry, oneshot::Sender<Word>),
    /// Somebody takes that back.
    Unacknowledge(IncidentId, String, AuditEntry, oneshot::Sender<Word>),
    /// What is known of an incident that could not be written yet.
    Unwritten(IncidentId, oneshot::Sender<Option<IncidentRecord>>),
    /// A question to the evaluator.
    Ask(Box<dyn FnOnce(&Evaluator) + Send>),
    /// Finish what is queued and end.
    Stop,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Rules(_) => "Rules",
            Self::Levels(_) => "Levels",
            Self::Mutes(_) => "Mutes",
            Self::Agent(_) => "Agent",
            Self::AgentRemoved(_) => "AgentRemoved",
            Self::Opened(_) => "Opened",
            Self::Closed { .. } => "Closed",
            Self::Prime(..) => "Prime",
            Self::Trends(_) => "Trends",
            Self::Acknowledge(..) => "Acknowledge",
            Self::Unacknowledge(..) => "Unacknowledge",
            Self::Unwritten(..) => "Unwritten",
            Self::Ask(_) => "Ask",
            Self::Stop => "Stop",
        })
    }
}

/// What stands in the queue.
enum Work {
    Submission(Submission),
    Control(Control),
}

/// The way into the pipeline; cloning is cheap.
#[derive(Clone)]
pub struct PipelineHandle {
    sender: mpsc::Sender<Work>,
    queued: Arc<AtomicUsize>,
}

impl std::fmt::Debug for PipelineHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PipelineHandle").field("queued", &self.queued()).finish()
    }
}

/// The end of the queue that the pipeline's thread takes from.
pub struct PipelineInput {
    receiver: mpsc::Receiver<Work>,
    queued: Arc<AtomicUsize>,
}

impl std::fmt::Debug for PipelineInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PipelineInput").finish_non_exhaustive()
    }
}

#[cfg(test)]
impl PipelineInput {
    /// What it was told so far, where no pipeline listens.
    pub(crate) fn controls(&self) -> Vec<Control> {
        let told = |work| if let Work::Control(control) = work { Some(control) } else { None };
        self.receiver.try_iter().filter_map(told).collect()
    }
}

/// A queue for the pipeline, before there is one.
#[must_use]
pub fn queue() -> (PipelineHandle, PipelineInput) {
    let (sender, receiver) = mpsc::channel();
    let queued = Arc::new(AtomicUsize::new(0));
    (PipelineHandle { sender, queued: Arc::clone(&queued) }, PipelineInput { receiver, queued })
}

impl PipelineHandle {
    /// Puts heartbeats into the queue.
    ///
    /// # Errors
    /// Gives the submission back when the queue is full or the pipeline has ended: the agent is asked for patience.
    pub fn submit(&self, submission: Submission) -> Result<(), Submission> {
        if self.queued.fetch_add(1, Ordering::Relaxed) >= QUEUE {
            self.queued.fetch_sub(1, Ordering::Relaxed);
            return Err(submission);
        }
        self.sender.send(Work::Submission(submission)).map_err(|mpsc::SendError(work)| {
            self.queued.fetch_sub(1, Ordering::Relaxed);
            match work {
                Work::Submission(submission) => submission,
                Work::Control(_) => unreachable!("what was sent comes back"),
            }
        })
    }

    /// Tells the pipeline something; after its end nobody listens, which is fine.
    pub fn tell(&self, control: Control) {
        let _ended = self.sender.send(Work::Control(control));
    }

    /// How many submissions wait.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// Asks the evaluator something between two turns; `None` when the pipeline has ended.
    pub async fn ask<T: Send + 'static>(&self, question: impl FnOnce(&Evaluator) -> T + Send + 'static) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        self.tell(Control::Ask(Box::new(move |evaluator| {
            let _gone = sender.send(question(evaluator));
        })));
        receiver.await.ok()
    }

    /// An incident as the hub knows it and could not write it yet; `None` where nothing waits to be written of it.
    pub async fn unwritten(&self, incident: IncidentId) -> Option<IncidentRecord> {
        let (sender, receiver) = oneshot::channel();
        self.tell(Control::Unwritten(incident, sender));
        receiver.await.ok().flatten()
    }

    /// Says that somebody is on an incident.
    pub async fn acknowledge(&self, incident: IncidentId, ack: Ack, audit: AuditEntry) -> Word {
        let (sender, receiver) = oneshot::channel();
        self.tell(Control::Acknowledge(incident, ack, audit, sender));
        receiver.await.unwrap_or(Word::Unheard)
    }

    /// Takes that back.
    pub async fn unacknowledge(&self, incident: IncidentId, by: String, audit: AuditEntry) -> Word {
        let (sender, receiver) = oneshot::channel();
        self.tell(Control::Unacknowledge(incident, by, audit, sender));
        receiver.await.unwrap_or(Word::Unheard)
    }
}
