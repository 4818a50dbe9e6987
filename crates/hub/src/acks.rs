//! Somebody is on it: said to the evaluator, written into the audit log, and told to the channels that were told of the problem.
//! Who may say so is judged where it is said: in the API, or by the chat whose button was pressed.

use crate::app::App;
use crate::ids;
use crate::page::rfc3339;
use nightbell_alerts::{Ack, NoticeKind};
use nightbell_model::IncidentId;
use nightbell_notify::{AckFacts, NoticeWord, Notification};
use nightbell_store::{AuditEntry, Change, Delivery, DeliveryQuery, DeliveryState, NewDelivery, StoreError};

/// The most deliveries of an incident that are looked through for its channels.
const MOST_DELIVERIES: usize = 500;

/// Acknowledges an open incident. False if it is not open any more.
///
/// # Errors
/// What the store says of the audit line; that somebody is on it holds all the same.
pub async fn acknowledge(app: &App, id: IncidentId, ack: Ack, audit: AuditEntry) -> Result<bool, StoreError> {
    if !app.pipeline.acknowledge(id, ack.clone()).await {
        return Ok(false);
    }
    let query = DeliveryQuery { incident: Some(id), limit: MOST_DELIVERIES, ..DeliveryQuery::default() };
    let told = app.read_state(move |store| store.deliveries(&query)).await;
    let changes = match told {
        Ok(page) => notices(&page.items, &ack),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "channels are not told that somebody is on it");
            Vec::new()
        }
    };
    let tells = !changes.is_empty();
    app.registry.apply(changes, Some(audit)).await?;
    if tells {
        app.outbox.wake();
    }
    Ok(true)
}

/// A notice for each channel that the incident's beginning went to or is on its way to. `told` is what was said of the incident,
/// newest first.
fn notices(told: &[Delivery], ack: &Ack) -> Vec<Change> {
    let reached = |one: &&Delivery| !matches!(one.state, DeliveryState::Cancelled | DeliveryState::Dead);
    let begun = told.iter().filter(|one| one.row.kind == NoticeKind::Fired).filter(reached);
    let mut notices: Vec<NewDelivery> = Vec::new();
    for one in begun {
        let Ok(page) = serde_json::from_str::<Notification>(&one.row.payload_json) else { continue };
        // A beginning that one recipient is still owed is the same beginning.
        if !page.only_to.is_empty() || notices.iter().any(|notice| notice.channel == one.row.channel) {
            continue;
        }
        let before = told.iter().filter(|other| (other.row.kind, other.row.channel) == (NoticeKind::Acked, one.row.channel));
        notices.push(NewDelivery {
            id: ids::fresh(),
            kind: NoticeKind::Acked,
            n: u32::try_from(before.count()).unwrap_or(u32::MAX),
            payload_json: serde_json::to_string(&acked(page, ack)).unwrap_or_default(),
            created_at: ack.at,
            not_before: ack.at,
            fold: None,
            ..one.row.clone()
        });
    }
    notices.into_iter().map(Change::PutDelivery).collect()
}

/// What a channel was told, turned into who is on it.
fn acked(told: Notification, ack: &Ack) -> Notification {
    Notification {
        kind: NoticeWord::Acked,
        timestamp: rfc3339(ack.at),
        ack: Some(AckFacts { by: ack.by.clone(), note: ack.note.clone(), until: ack.until.map(rfc3339) }),
        top_processes: Vec::new(),
        suppressed_count: 0,
        late: false,
        ..told
    }
}

/// The audit line of something that somebody did by a chat's button.
#[cfg(feature = "discord-bot")]
pub(crate) fn by_button(by: &str, action: &str, object: String) -> AuditEntry {
    AuditEntry {
        at: crate::clock::now(),
        actor: by.to_owned(),
        action: action.to_owned(),
        object,
        detail_json: "{}".to_owned(),
        address: "discord".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nightbell_model::{ChannelId, Timestamp, Ulid};

    fn told(kind: NoticeKind, channel: u128, state: DeliveryState, only_to: &[&str]) -> Delivery {
        let mut page = Notification::new(NoticeWord::from(kind));
        page.rule.name = "CPU hot".to_owned();
        page.only_to = only_to.iter().map(|one| (*one).to_owned()).collect();
        let row = NewDelivery {
            id: Ulid::from_bits(7),
            channel: ChannelId::from_bits(channel),
            instance: format!("instance {channel}"),
            incident: IncidentId::from_bits(1),
            kind,
            n: 0,
            payload_json: serde_json::to_string(&page).unwrap(),
            created_at: Timestamp::from_millis(1),
            not_before: Timestamp::from_millis(1),
            fold: None,
        };
        Delivery {
            row,
            state,
            attempts: 1,
            first_attempt_at: None,
            sent_at: None,
            latency_ms: None,
            next_attempt_at: None,
            last_error: None,
            maybe_repeat: false,
            plain: false,
            progress: None,
        }
    }

    #[test]
    fn who_was_told_of_a_problem_is_told_that_somebody_is_on_it() {
        let ack = Ack { by: "ana".to_owned(), at: Timestamp::from_millis(9), note: "on it".to_owned(), until: None };
        let all = [
            told(NoticeKind::Acked, 1, DeliveryState::Sent, &[]),
            told(NoticeKind::Repeat, 3, DeliveryState::Sent, &[]),
            told(NoticeKind::Fired, 1, DeliveryState::Queued, &["b@example.org"]),
            told(NoticeKind::Fired, 1, DeliveryState::Sent, &[]),
            told(NoticeKind::Fired, 2, DeliveryState::Queued, &[]),
            told(NoticeKind::Fired, 4, DeliveryState::Dead, &[]),
            told(NoticeKind::Fired, 5, DeliveryState::Cancelled, &[]),
        ];
        let said: Vec<NewDelivery> = notices(&all, &ack)
            .into_iter()
            .map(|change| match change {
                Change::PutDelivery(row) => row,
                other => panic!("{other:?}"),
            })
            .collect();
        let places: Vec<(ChannelId, u32)> = said.iter().map(|row| (row.channel, row.n)).collect();
        assert_eq!(places, [(ChannelId::from_bits(1), 1), (ChannelId::from_bits(2), 0)], "each once, numbered on");
        let page: Notification = serde_json::from_str(&said[0].payload_json).unwrap();
        assert_eq!((page.kind, page.rule.name.as_str(), page.only_to.len()), (NoticeWord::Acked, "CPU hot", 0));
        assert_eq!(page.ack.unwrap().note, "on it");
        assert_eq!(said[0].instance, "instance 1", "in the order of its instance");
    }
}
