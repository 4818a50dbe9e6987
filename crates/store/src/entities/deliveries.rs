//! Deliveries as plain rows: what is put into the outbox, what is taken out of it, and what became of it. Which go when and
//! together is decided by the hub.

use nightbell_alerts::NoticeKind;
use nightbell_model::{ChannelId, IncidentId, Timestamp, Ulid};

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeliveryState {
    /// Waits for its time.
    Queued,
    /// A worker has it.
    Sending,
    /// The receiver took it.
    Sent,
    /// Given up.
    Dead,
    /// Not wanted any more.
    Cancelled,
    /// Restored from a backup: sent only when a person says so.
    Held,
}

impl DeliveryState {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Queued, Self::Sending, Self::Sent, Self::Dead, Self::Cancelled, Self::Held];

    /// The name used in the API and in storage.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::Held => "held",
        }
    }

    /// The state called `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// A new row of the outbox. Unique by (incident, kind, n, channel); a second one with the same four is ignored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDelivery {
    /// Names it: the idempotency key towards the receiver.
    pub id: Ulid,
    /// Whom it is for.
    pub channel: ChannelId,
    /// The instance whose order it keeps (`rule/agent/series`); deliveries of one channel and instance go out one after another.
    pub instance: String,
    /// The incident or no-data episode it speaks of.
    pub incident: IncidentId,
    /// What it says.
    pub kind: NoticeKind,
    /// Its number among those of its kind for this incident and channel.
    pub n: u32,
    /// What to render (JSON object, see the notifier).
    pub payload_json: String,
    /// When it was decided.
    pub created_at: Timestamp,
    /// Not to be sent before.
    pub not_before: Timestamp,
    /// The message it travels in, where that is decided already (the digest after quiet hours): the id of that message's delivery.
    pub fold: Option<Ulid>,
}

/// A delivery whose turn it is or nearly is, as far as choosing what to send together needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// Which.
    pub id: Ulid,
    /// Whom it is for.
    pub channel: ChannelId,
    /// The instance whose order it keeps (`rule/agent/series`).
    pub instance: String,
    /// The incident it speaks of.
    pub incident: IncidentId,
    /// What it says.
    pub kind: NoticeKind,
    /// When it was decided.
    pub created_at: Timestamp,
    /// When it may go.
    pub due_at: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// The message it travelled in at its last attempt, or is to travel in: the id of that message's leading delivery.
    pub fold: Option<Ulid>,
    /// The storm it belongs to, by the delivery that began it: of a beginning, if others of its rule were told on its channel
    /// within the minute before; of anything else, if others began with its incident.
    pub storm: Option<Ulid>,
    /// How many incidents of that storm have not ended and have nothing of this kind waiting or said yet; 0 for a beginning.
    pub storm_rest: u32,
    /// Of how many instances that storm told the beginning so far, of a beginning without its own: who fires again is no more hosts. 0
    /// without a storm.
    pub storm_size: u32,
}

/// A row of the outbox.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// What was put in.
    pub row: NewDelivery,
    /// Where it stands.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was first tried.
    pub first_attempt_at: Option<Timestamp>,
    /// When the receiver took it.
    pub sent_at: Option<Timestamp>,
    /// How long the successful attempt took, in milliseconds.
    pub latency_ms: Option<i64>,
    /// When it is tried next.
    pub next_attempt_at: Option<Timestamp>,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// Whether an earlier attempt may have reached the receiver without our knowing.
    pub maybe_repeat: bool,
    /// Whether the receiver refused it once and it is now to go as plain text.
    pub plain: bool,
    /// What its channel wants remembered of earlier attempts (JSON object): recipients that were reached, ids of messages.
    pub progress: Option<String>,
    /// The storm that it belongs to, by the delivery that began it; only of beginnings that were tried.
    pub storm: Option<Ulid>,
}

/// What became of one attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Settled {
    /// The receiver took it.
    Sent {
        /// How long that took, in milliseconds.
        latency_ms: i64,
    },
    /// To be tried again.
    Retry {
        /// When.
        at: Timestamp,
        /// What went wrong.
        error: String,
        /// Whether it may have arrived all the same.
        ambiguous: bool,
        /// Whether to send it as plain text then.
        plain: bool,
    },
    /// Given up.
    Dead {
        /// What went wrong.
        error: String,
    },
}
