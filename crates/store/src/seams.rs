//! The two seams, cut by nature: history that is appended and read by range, and state that needs transactions.
//!
//! Methods are few, coarse and batch-shaped; no SQL, driver type or clock crosses them. All of them block: call them from a
//! thread that may wait. One conformance suite is run against every engine and against the model in memory.

use crate::entities::{AuditEntry, Change, Commit, Delivery, DeliveryState, Loaded, Settled, Waiting};
pub use crate::history::*;
use crate::survey::FleetSurvey;
use nightbell_alerts::{Event, EventKind, IncidentRecord};
use nightbell_model::{AgentId, Batch, ChannelId, Frame, IncidentId, SeriesKey, Timestamp, Ulid};

/// Why a store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full, the file is locked, the device failed: the same call may work later. Whether a failed commit is
    /// durable is unknown; repeating it is safe.
    #[error("the store cannot {operation} now")]
    Unavailable {
        /// What was tried.
        operation: &'static str,
        /// What the engine said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The change contradicts what is stored (a name taken, a token used up, a lease lost).
    #[error("{0}")]
    Conflict(String),
    /// There is no such object.
    #[error("there is no {0}")]
    NotFound(String),
    /// The store is about to be closed, so that housekeeping and imports go no further. What they did is durable; the rest is done
    /// when they are called again.
    #[error("the hub is stopping: try again after its next start")]
    Stopping,
    /// The answer is larger than whoever asks can take.
    #[error("that is more than {most} values")]
    TooMuch {
        /// So many could be taken.
        most: usize,
    },
    /// What was read back is not what can have been written.
    #[error("{what} is damaged")]
    Corrupt {
        /// What was read.
        what: String,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The right to write, from the first day: whoever writes names itself and the epoch in which it took over. The embedded engine
/// is the case of one owner, whose epoch grows at every start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseToken {
    /// Who.
    pub owner: Ulid,
    /// Since which takeover.
    pub epoch: u64,
}

/// History: appended in batches, read by range.
pub trait MetricStore: Send + Sync + std::fmt::Debug {
    /// Stores heartbeats durably. Repeating a heartbeat (same agent, boot and seq, or same agent and time without them) is not
    /// an error and stores nothing.
    ///
    /// # Errors
    /// `Unavailable` when it could not be made durable.
    fn append(&self, lease: LeaseToken, batches: &[Batch]) -> Result<(), StoreError>;

    /// The samples or buckets of a query, stitched over tiers without a seam; every sample committed before the call is in it.
    ///
    /// # Errors
    /// `Unavailable` or `Corrupt`; an agent without history gives an empty frame.
    fn range(&self, query: &RangeQuery) -> Result<Frame, StoreError> {
        self.range_within(query, usize::MAX)
    }

    /// The same, but of `most_values` at most, those that are missing counted: so much is held in memory, and no more is read.
    ///
    /// # Errors
    /// `TooMuch` where there is more, and those of [`MetricStore::range`].
    fn range_within(&self, query: &RangeQuery, most_values: usize) -> Result<Frame, StoreError>;

    /// All series an agent has history of, sorted.
    ///
    /// # Errors
    /// `Unavailable` or `Corrupt`.
    fn series(&self, agent: AgentId) -> Result<Vec<SeriesKey>, StoreError>;

    /// Whether any agent ever sent this metric.
    ///
    /// # Errors
    /// `Unavailable`.
    fn knows_metric(&self, metric: &str) -> Result<bool, StoreError>;

    /// Writes the buckets that are complete and not yet written, and those that late heartbeats changed. Restartable at any point.
    ///
    /// # Errors
    /// `Unavailable` or `Corrupt`.
    fn roll_up(&self, lease: LeaseToken, now: Timestamp) -> Result<Housekeeping, StoreError>;

    /// Removes what is older than its tier is kept, never raw that is not rolled up yet, in slices that do not hold the writer.
    ///
    /// # Errors
    /// `Unavailable`.
    fn retain(&self, lease: LeaseToken, now: Timestamp, keep: &Retention) -> Result<Housekeeping, StoreError>;

    /// Packs what is complete: quarters of an hour that are over and have settled into chunks, days into denser ones, late heartbeats and
    /// corrected buckets into the chunk they belong to. Restartable at any point; answers the same before and after.
    ///
    /// # Errors
    /// `Unavailable`.
    fn seal(&self, lease: LeaseToken, now: Timestamp, policy: &SealPolicy) -> Result<Housekeeping, StoreError>;

    /// Checks some of what is stored, from where `place` says on, and moves `place` on; what is damaged is set aside
    /// and named, so that the rest goes on.
    ///
    /// # Errors
    /// `Unavailable`.
    fn scrub(&self, lease: LeaseToken, now: Timestamp, place: &mut ScrubPlace) -> Result<ScrubReport, StoreError>;

    /// One metric over many agents, step by step.
    ///
    /// # Errors
    /// `Unavailable` or `Corrupt`; agents without history are left out.
    fn fleet(&self, query: &FleetQuery) -> Result<FleetFrame, StoreError>;

    /// Reads more agents of a survey: at least one, and no more once so many rows were read. It fails between agents: what was
    /// read stays read.
    ///
    /// # Errors
    /// `Unavailable` or `Corrupt`.
    fn survey(&self, survey: &mut FleetSurvey, most_rows: usize) -> Result<(), StoreError>;

    /// The next rows of a long answer. Reads a bounded number of rows, so that however long the whole takes, no snapshot
    /// is held open and no memory grows.
    ///
    /// # Errors
    /// `Unavailable` or `Corrupt`.
    fn export_page(&self, query: &ExportQuery) -> Result<ExportPage, StoreError>;

    /// A number that changes whenever answers over `start..end` may change; `None` while they still grow.
    ///
    /// # Errors
    /// `Unavailable`.
    fn revision(&self, agent: AgentId, start: Timestamp, end: Timestamp) -> Result<Option<u64>, StoreError>;

    /// Stores heartbeats of an agent from elsewhere: in any order, of any age that is not closed. One at the time of another is a
    /// duplicate whatever its number. With `keep` the agent's history is never removed by age from then on.
    ///
    /// # Errors
    /// `Unavailable` when it could not be made durable.
    fn import(&self, lease: LeaseToken, agent: AgentId, batches: &[Batch], keep: bool) -> Result<Imported, StoreError>;

    /// Stretches of an agent's history that were found damaged and are missing from answers, ascending.
    ///
    /// # Errors
    /// `Unavailable`.
    fn damage(&self, agent: AgentId, start: Timestamp, end: Timestamp) -> Result<Vec<Damaged>, StoreError>;

    /// How large it is.
    ///
    /// # Errors
    /// `Unavailable`.
    fn stats(&self) -> Result<StoreStats, StoreError>;
}

/// A page of a list, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// What to ask for next, if there is more.
    pub next: Option<u64>,
}

/// A row of the event log with its place in it.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedEvent {
    /// Its place: ascending, never reused.
    pub seq: u64,
    /// What happened.
    pub event: Event,
}

/// A question for the event log.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// Only of this agent.
    pub agent: Option<AgentId>,
    /// Only of these kinds; empty is all.
    pub kinds: Vec<EventKind>,
    /// Only of this incident.
    pub incident: Option<IncidentId>,
    /// Only of what happened in this span, its end left out.
    pub during: Option<(Timestamp, Timestamp)>,
    /// Only with a `seq` above this one; the answer then runs oldest first.
    pub after: Option<u64>,
    /// Only with a `seq` below this one (the cursor of a page); the answer runs newest first.
    pub before: Option<u64>,
    /// At most so many.
    pub limit: usize,
}

/// Which incidents are wanted.
#[derive(Debug, Clone, Default)]
pub struct IncidentQuery {
    /// `Some(true)` only open ones, `Some(false)` only ended ones.
    pub open: Option<bool>,
    /// Only of this agent.
    pub agent: Option<AgentId>,
    /// Only of this rule.
    pub rule: Option<nightbell_model::RuleId>,
    /// Only those whose breach touches this span, its end left out.
    pub during: Option<(Timestamp, Timestamp)>,
    /// Only those older than this cursor.
    pub before: Option<u64>,
    /// At most so many.
    pub limit: usize,
}

/// Something attached to an incident.
#[derive(Debug, Clone, PartialEq)]
pub struct Attachment {
    /// When.
    pub at: Timestamp,
    /// `note` or `top_processes`.
    pub kind: String,
    /// What (JSON object).
    pub json: String,
}

/// Which deliveries are wanted.
#[derive(Debug, Clone, Default)]
pub struct DeliveryQuery {
    /// Only in this state.
    pub state: Option<DeliveryState>,
    /// Only of this channel.
    pub channel: Option<ChannelId>,
    /// Only of this incident.
    pub incident: Option<IncidentId>,
    /// Only the beginnings of this storm.
    pub storm: Option<Ulid>,
    /// Only those older than this cursor.
    pub before: Option<u64>,
    /// At most so many.
    pub limit: usize,
}

/// What a person may do to a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryCommand {
    /// Try a dead, held or waiting one again at once; a dead one has all its time anew.
    Retry,
    /// Do not send a waiting one.
    Cancel,
}

/// State that needs transactions.
pub trait StateStore: Send + Sync + std::fmt::Debug {
    /// Takes over the writing: every earlier lease is refused from now on. Deliveries that were `sending` go back to `queued`
    /// with `maybe_repeat`.
    ///
    /// # Errors
    /// `Unavailable`.
    fn acquire(&self, owner: Ulid, now: Timestamp) -> Result<LeaseToken, StoreError>;

    /// Everything the hub keeps in memory.
    ///
    /// # Errors
    /// `Unavailable` or `Corrupt`.
    fn load(&self) -> Result<Loaded, StoreError>;

    /// Writes one turn of the pipeline in one durable transaction. Safe to repeat with the same content.
    /// Returns the log lines it wrote with their places.
    ///
    /// # Errors
    /// `Unavailable` (repeat it), `Conflict` when the lease is lost.
    fn commit(&self, lease: LeaseToken, commit: &Commit) -> Result<Vec<LoggedEvent>, StoreError>;

    /// Applies changes of the configuration with their audit entry in one durable transaction; all or none.
    ///
    /// # Errors
    /// `Conflict` (a name taken, a token used up), `NotFound` (deleting what is not there), `Unavailable`.
    fn apply(&self, lease: LeaseToken, changes: &[Change], audit: Option<&AuditEntry>) -> Result<Vec<LoggedEvent>, StoreError>;

    /// Deliveries that wait and are due at `until` or before: at most one for each (channel, instance), the oldest, and none
    /// while it is being sent. In the order they were put in.
    ///
    /// # Errors
    /// `Unavailable` or `Corrupt`.
    fn waiting(&self, until: Timestamp) -> Result<Vec<Waiting>, StoreError>;

    /// Takes deliveries for sending, each list as one message whose id is that of its first: state `sending`, lease until
    /// `until`, attempts + 1, and the message noted with each, so that a retry is the same message; with beginnings also the storm
    /// they belong to (beginnings of one rule that a channel is told of within a minute of each other). What does not wait any more,
    /// or waits behind an older one of its (channel, instance), is left out of the answer, which has a list for each that was
    /// asked for. A lease that ran out counts as an attempt that may have arrived: such deliveries wait again from here on.
    ///
    /// # Errors
    /// `Unavailable`.
    fn claim(
        &self,
        lease: LeaseToken,
        now: Timestamp,
        until: Timestamp,
        messages: &[Vec<Ulid>],
    ) -> Result<Vec<Vec<Delivery>>, StoreError>;

    /// The hub's clock was set by `by_ms` (back if negative): the times of what waits or is being sent move along, as far as
    /// they would hold it up or let a lease run out early.
    ///
    /// # Errors
    /// `Unavailable`.
    fn shift_deliveries(&self, lease: LeaseToken, by_ms: i64) -> Result<(), StoreError>;

    /// Brings back what waits from a future that a clock which was ahead has put it into: what was made after `now` was made now, and
    /// a further attempt that is more than `longest_ms` away, or follows one of the future, is due now. Answers how many that were.
    ///
    /// # Errors
    /// `Unavailable`.
    fn pull_back_deliveries(&self, lease: LeaseToken, now: Timestamp, longest_ms: i64) -> Result<usize, StoreError>;

    /// Keeps what a channel wants remembered of its attempts at a delivery (JSON object).
    ///
    /// # Errors
    /// `Unavailable`.
    fn note_progress(&self, lease: LeaseToken, id: Ulid, progress_json: &str) -> Result<(), StoreError>;

    /// Writes down what became of attempts.
    ///
    /// # Errors
    /// `Unavailable`.
    fn settle(&self, lease: LeaseToken, results: &[(Ulid, Settled)], now: Timestamp) -> Result<(), StoreError>;

    /// When the next delivery is due or the next lease runs out, if any.
    ///
    /// # Errors
    /// `Unavailable`.
    fn next_due(&self) -> Result<Option<Timestamp>, StoreError>;

    /// A person's word on a delivery; returns it as it is now.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` when its state does not allow that.
    fn command_delivery(
        &self,
        lease: LeaseToken,
        id: Ulid,
        command: DeliveryCommand,
        now: Timestamp,
    ) -> Result<Delivery, StoreError>;

    /// Deliveries, newest first.
    ///
    /// # Errors
    /// `Unavailable` or `Corrupt`.
    fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<Delivery>, StoreError>;

    /// One delivery.
    ///
    /// # Errors
    /// `Unavailable` or `Corrupt`.
    fn delivery(&self, id: Ulid) -> Result<Option<Delivery>, StoreError>;

    /// How many deliveries are in each state.
    ///
    /// # Errors
    /// `Unavailable`.
    fn delivery_counts(&self) -> Result<Vec<(DeliveryState, u64)>, StoreError>;

    /// Incidents, newest first.
    ///
    /// # Errors
    /// `Unavailable` or `Corrupt`.
    fn incidents(&self, query: &IncidentQuery) -> Result<Page<IncidentRecord>, StoreError>;

    /// One incident with what is attached to it.
    ///
    /// # Errors
    /// `Unavailable` or `Corrupt`.
    fn incident(&self, id: IncidentId) -> Result<Option<(IncidentRecord, Vec<Attachment>)>, StoreError>;

    /// The event log.
    ///
    /// # Errors
    /// `Unavailable` or `Corrupt`.
    fn events(&self, query: &EventQuery) -> Result<Page<LoggedEvent>, StoreError>;

    /// The audit log, newest first, below the cursor `before`.
    ///
    /// # Errors
    /// `Unavailable` or `Corrupt`.
    fn audit(&self, before: Option<u64>, limit: usize) -> Result<Page<AuditEntry>, StoreError>;
}
