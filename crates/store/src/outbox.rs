//! Rules of the outbox that every engine shares. Pure.

use crate::entities::{Delivery, DeliveryState, NewDelivery};
use crate::seams::{DeliveryCommand, StoreError};
use nightbell_alerts::{Event, EventKind, NoticeKind};

/// Beginnings of one rule that a channel is told of no further apart than this are one storm, in milliseconds.
pub(crate) const STORM_MS: i64 = 60_000;
/// No beginning belongs to a storm that began so long before, in milliseconds: one that never ends would keep every end waiting
/// for others.
pub(crate) const LONGEST_STORM_MS: i64 = 600_000;

/// Whether a delivery tells of a beginning: what storms are made of.
#[must_use]
pub(crate) const fn is_beginning(kind: NoticeKind) -> bool {
    matches!(kind, NoticeKind::Fired | NoticeKind::NoDataStart)
}

/// What told of the beginning, and what of the end, of that which a delivery of this kind speaks of.
#[must_use]
pub(crate) const fn bounds(kind: NoticeKind) -> (NoticeKind, NoticeKind) {
    match kind {
        NoticeKind::NoDataStart | NoticeKind::NoDataEnd => (NoticeKind::NoDataStart, NoticeKind::NoDataEnd),
        _ => (NoticeKind::Fired, NoticeKind::Resolved),
    }
}

/// The log line about an incident that began and ended before anybody was told.
#[must_use]
pub(crate) fn too_short(end: &NewDelivery) -> Event {
    let mut parts = end.instance.splitn(3, '/');
    let mut part = || parts.next().unwrap_or("");
    let (rule, agent, series) = (part().parse().ok(), part().parse().ok(), part().parse().ok());
    Event {
        agent,
        rule,
        incident: Some(end.incident),
        series,
        ..Event::line(end.created_at, EventKind::Suppressed, "too short".to_owned())
    }
}

/// Why `command` cannot be given to a delivery, if it cannot.
#[must_use]
pub(crate) fn refusal(delivery: &Delivery, command: DeliveryCommand) -> Option<StoreError> {
    use DeliveryState::{Dead, Held, Queued};
    let (allowed, verb): (&[DeliveryState], _) = match command {
        DeliveryCommand::Retry => (&[Dead, Held, Queued], "tried again"),
        DeliveryCommand::Cancel => (&[Queued, Held], "cancelled"),
    };
    let state = delivery.state;
    (!allowed.contains(&state)).then(|| StoreError::Conflict(format!("a delivery that is {} cannot be {verb}", state.name())))
}
