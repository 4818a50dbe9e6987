//! Rules of the outbox that every engine shares. Pure.

use crate::entities::{Delivery, DeliveryState, NewDelivery};
use crate::seams::{DeliveryCommand, StoreError};
use nightbell_alerts::{Event, EventKind};

/// The log line about an incident that began and ended before anybody was told.
#[must_use]
pub(crate) fn too_short(end: &NewDelivery) -> Event {
    let mut parts = end.instance.splitn(3, '/');
    let mut part = || parts.next().unwrap_or("");
    let (rule, agent, series) = (part().parse().ok(), part().parse().ok(), part().parse().ok());
    Event {
        at: end.created_at,
        kind: EventKind::Suppressed,
        agent,
        rule,
        incident: Some(end.incident),
        series,
        value: None,
        threshold: None,
        reason: "too short".to_owned(),
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
