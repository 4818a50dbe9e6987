//! A delivery as the API shows it.

use crate::page::rfc3339;
use crate::registry::Holdings;
use nightbell_alerts::NoticeKind;
use nightbell_model::ChannelId;
use nightbell_notify::without_receivers_words;
use nightbell_store::Delivery;
use serde::Serialize;
use utoipa::ToSchema;

/// A row of the outbox.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct DeliveryView {
    id: String,
    channel: ChannelName,
    /// Which incident or no-data episode it speaks of; null where it speaks of none.
    incident_id: Option<String>,
    /// The message it travelled in: the same for all deliveries that were sent as one; null before the first attempt.
    message_id: Option<String>,
    /// fired, resolved, nodata_start, nodata_end, repeat, escalated, acked, digest, hub_doubt, hub_doubt_end, channel_broken or test
    kind: &'static str,
    /// queued, sending, sent, dead, cancelled or held
    state: &'static str,
    attempts: u32,
    created_at: String,
    sent_at: Option<String>,
    latency_ms: Option<i64>,
    next_attempt_at: Option<String>,
    last_error: Option<String>,
    /// Recipients of a mail that refuse it for good, while others have it; null where there is none.
    unreached: Option<String>,
}

/// The channel of a delivery.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ChannelName {
    id: String,
    name: String,
    kind: String,
}

/// A delivery for somebody who may see what receivers answer (`in_full`), or may not.
pub(crate) fn show(holdings: &Holdings, delivery: &Delivery, in_full: bool) -> DeliveryView {
    let row = &delivery.row;
    let error = delivery.last_error.as_deref().map(|error| if in_full { error } else { without_receivers_words(error) });
    let unreached = delivery.progress.as_deref().and_then(nightbell_notify::unreached);
    DeliveryView {
        id: row.id.to_string(),
        channel: channel(holdings, row.channel),
        incident_id: is_about_an_incident(row.kind).then(|| row.incident.to_string()),
        message_id: row.fold.map(|id| id.to_string()),
        kind: row.kind.name(),
        state: delivery.state.name(),
        attempts: delivery.attempts,
        created_at: rfc3339(row.created_at),
        sent_at: delivery.sent_at.map(rfc3339),
        latency_ms: delivery.latency_ms,
        next_attempt_at: delivery.next_attempt_at.map(rfc3339),
        last_error: error.map(str::to_owned),
        unreached: unreached.map(|who| if in_full { who } else { without_receivers_words(&who).to_owned() }),
    }
}

const fn is_about_an_incident(kind: NoticeKind) -> bool {
    !matches!(kind, NoticeKind::Test | NoticeKind::Digest | NoticeKind::ChannelBroken)
}

fn channel(holdings: &Holdings, id: ChannelId) -> ChannelName {
    let known = holdings.channels.get(&id);
    ChannelName {
        id: id.to_string(),
        name: known.map_or_else(|| id.to_string(), |row| row.name.clone()),
        kind: known.map_or_else(String::new, |row| row.kind.clone()),
    }
}
