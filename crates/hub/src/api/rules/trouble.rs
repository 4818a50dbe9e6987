//! What keeps pages from their channels: a channel that is off or refuses them, a receiver that fails or asked for patience, an
//! earlier page of the same alert, company that is waited for.

use crate::api::problem::Problem;
use crate::app::App;
use crate::clock;
use nightbell_alerts::Reason;
use nightbell_model::{ChannelId, Timestamp};
use nightbell_store::{Delivery, DeliveryQuery, DeliveryState};
use std::collections::BTreeSet;

/// How many of a channel's newest deliveries are looked at.
const DELIVERIES: usize = 100;
/// What is older than this says nothing about now, in milliseconds.
pub(super) const RECENT_MS: i64 = 3_600_000;

/// Something that keeps a page from its channel.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trouble {
    channel: ChannelId,
    /// Of this alert only, by the name that its deliveries bear; of the channel as a whole if none is said.
    instance: Option<String>,
    code: &'static str,
    text: String,
    until: Option<Timestamp>,
}

impl Trouble {
    /// Whether it keeps pages of this alert.
    pub(super) fn is_about(&self, instance: &str) -> bool {
        self.instance.as_ref().is_none_or(|own| own == instance)
    }

    /// It as a reason.
    pub(super) fn reason(&self) -> Reason {
        Reason { channel: Some(self.channel), until: self.until, ..Reason::new(self.code, self.text.clone()) }
    }
}

/// What the newest deliveries to these channels, and their marks, say.
pub(super) async fn troubles(app: &App, channels: &BTreeSet<ChannelId>) -> Result<Vec<Trouble>, Problem> {
    let mut found = Vec::new();
    for channel in channels {
        let row = app.registry.read().channels.get(channel).cloned();
        let mark = |code, text| Trouble { channel: *channel, instance: None, code, text, until: None };
        if row.as_ref().is_some_and(|row| !row.enabled) {
            found.push(mark("channel_disabled", "the channel is switched off".to_owned()));
        }
        if let Some(why) = row.and_then(|row| row.broken) {
            found.push(mark("channel_broken", format!("the channel refuses what it is sent: {why}")));
        }
        let query = DeliveryQuery { channel: Some(*channel), limit: DELIVERIES, ..DeliveryQuery::default() };
        let rows = app.read_state(move |store| store.deliveries(&query)).await?.items;
        let now = clock::now();
        let recent: Vec<Delivery> = rows.into_iter().filter(|row| now.millis_since(row.row.created_at) <= RECENT_MS).collect();
        let patience = app.outbox.patience_until(*channel);
        // Oldest first: what the others wait for.
        for trouble in recent.iter().rev().filter_map(|row| trouble(row, &recent, patience)) {
            if !found.contains(&trouble) {
                found.push(trouble);
            }
        }
    }
    Ok(found)
}

/// What keeps one delivery, among the newest of its channel, whose receiver may want to be left alone until `patience`.
fn trouble(delivery: &Delivery, all: &[Delivery], patience: Option<Timestamp>) -> Option<Trouble> {
    let why = delivery.last_error.clone().unwrap_or_default();
    let (code, text, until) = match delivery.state {
        DeliveryState::Queued if delivery.attempts > 0 => {
            let text = match delivery.attempts {
                1 => format!("one attempt failed: {why}"),
                attempts => format!("{attempts} attempts failed, the last one: {why}"),
            };
            ("channel_failing", text, delivery.next_attempt_at)
        }
        DeliveryState::Queued if all.iter().any(|other| is_before(other, delivery)) => {
            ("in_line", "its page waits for an earlier one of the same alert".to_owned(), None)
        }
        DeliveryState::Queued if patience.is_some() => {
            ("channel_patience", "the receiver asked to be left alone for a while".to_owned(), patience)
        }
        DeliveryState::Queued => {
            let until = delivery.next_attempt_at.filter(|at| *at > clock::now());
            ("gathering", "its page waits for others of its kind to travel with".to_owned(), until)
        }
        DeliveryState::Sending => ("on_its_way", "its page is being sent".to_owned(), None),
        DeliveryState::Held => (
            "held",
            "its page comes from a backup and is sent only if somebody says so, in the list of deliveries".to_owned(),
            None,
        ),
        DeliveryState::Dead => ("channel_failing", format!("given up: {why}"), None),
        DeliveryState::Sent | DeliveryState::Cancelled => return None,
    };
    Some(Trouble { channel: delivery.row.channel, instance: Some(delivery.row.instance.clone()), code, text, until })
}

/// Whether `other` has to go before `delivery`: both are of one alert, and it is older and not done with.
fn is_before(other: &Delivery, delivery: &Delivery) -> bool {
    matches!(other.state, DeliveryState::Queued | DeliveryState::Sending)
        && other.row.instance == delivery.row.instance
        && other.row.id < delivery.row.id
}
