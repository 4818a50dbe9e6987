//! When a channel does not take its pages: it is marked, the log says so, and somebody is told on the channel that was named for
//! that. What one recipient of several is still owed becomes a delivery of its own.

use crate::ids;
use crate::page::rfc3339;
use crate::registry::{Holdings, Registry};
use nightbell_alerts::{Event, EventKind, NoticeKind};
use nightbell_model::{ChannelId, IncidentId, Timestamp};
use nightbell_notify::{BrokenFacts, NoticeWord, Notification, RuleFacts};
use nightbell_store::{Change, ChannelRow, Delivery, NewDelivery};
use std::sync::Arc;

/// Of the same channel's trouble somebody is told at most once in this time, in milliseconds.
const ONE_NOTICE_MS: i64 = 3_600_000;
/// How long a recipient that could not be reached is left alone at first, in milliseconds.
const OWED_WAIT_MS: i64 = 30_000;
/// Marks the numbers of deliveries to single recipients, which come from their addresses.
const OWED_NUMBERS: u32 = 0x8000_0000;

/// A message that was given up.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    /// What it said.
    pub(super) kind: NoticeKind,
    /// Why it was given up.
    pub(super) error: String,
    /// Whether the channel itself is refused.
    pub(super) is_broken: bool,
    /// How many deliveries it carried.
    pub(super) undelivered: u32,
}

/// Notes that a channel took something.
pub(super) async fn works(registry: &Arc<Registry>, id: ChannelId) {
    let is_marked = registry.read().channels.get(&id).is_some_and(|row| row.broken.is_some());
    if is_marked {
        decide(registry, move |holdings| {
            let row = holdings.channels.get(&id).filter(|row| row.broken.is_some());
            row.map(|row| Change::PutChannel(ChannelRow { broken: None, ..row.clone() })).into_iter().collect()
        })
        .await;
    }
}

/// Notes that a channel did not take something for good.
pub(super) async fn gave_up(registry: &Arc<Registry>, id: ChannelId, trouble: Trouble, now: Timestamp) {
    decide(registry, move |holdings| {
        // What somebody has switched off is not broken.
        let Some(row) = holdings.channels.get(&id).filter(|row| row.enabled) else { return Vec::new() };
        let mut changes = if trouble.is_broken && row.broken.is_none() { marked(row, &trouble.error, now) } else { Vec::new() };
        // Nobody is told that somebody could not be told that a channel is broken.
        let is_news = !matches!(trouble.kind, NoticeKind::Test | NoticeKind::ChannelBroken);
        let fallback = fallback(holdings).filter(|fallback| is_news && *fallback != id);
        changes.extend(fallback.map(|fallback| Change::PutDelivery(notice(row, fallback, &trouble, now))));
        changes
    })
    .await;
}

fn marked(row: &ChannelRow, error: &str, now: Timestamp) -> Vec<Change> {
    let event = Event::line(now, EventKind::ChannelBroken, format!("{}: {error}", row.name));
    vec![Change::PutChannel(ChannelRow { broken: Some(error.to_owned()), ..row.clone() }), Change::LogEvent(event)]
}

/// The channel that is told of others' trouble, if it is there and used.
fn fallback(holdings: &Holdings) -> Option<ChannelId> {
    holdings.settings.fallback.filter(|id| holdings.channels.get(id).is_some_and(|row| row.enabled))
}

async fn decide(registry: &Arc<Registry>, decide: impl FnOnce(&Holdings) -> Vec<Change> + Send + 'static) {
    if let Err(error) = registry.decide(decide).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "cannot write down how a channel does");
    }
}

/// Word of a channel's trouble; the outbox takes one in each stretch of time, for they bear the same id.
fn notice(channel: &ChannelRow, fallback: ChannelId, trouble: &Trouble, now: Timestamp) -> NewDelivery {
    let stretch = now.as_millis().div_euclid(ONE_NOTICE_MS);
    let begun = Timestamp::from_millis(stretch * ONE_NOTICE_MS);
    let of = IncidentId(ids::derived("channel-broken", &[&channel.id.to_string()], begun));
    let error = nightbell_notify::without_receivers_words(&trouble.error).to_owned();
    let mut page = Notification::new(NoticeWord::ChannelBroken);
    page.timestamp = rfc3339(now);
    page.started_at = rfc3339(now);
    page.rule = RuleFacts { id: String::new(), name: "Channel broken".to_owned(), severity: "critical".to_owned() };
    page.why = match trouble.undelivered {
        ..=1 => format!("{} did not take the last page: {error}", channel.name),
        many => format!("{} took none of the last {many} pages: {error}", channel.name),
    };
    page.broken = Some(BrokenFacts {
        id: channel.id.to_string(),
        name: channel.name.clone(),
        kind: channel.kind.clone(),
        error,
        undelivered: trouble.undelivered,
    });
    NewDelivery {
        id: ids::fresh(),
        channel: fallback,
        instance: format!("channel/{}", channel.id),
        incident: of,
        kind: NoticeKind::ChannelBroken,
        n: 0,
        payload_json: serde_json::to_string(&page).unwrap_or_default(),
        created_at: now,
        not_before: now,
        fold: None,
    }
}

/// What recipients that were not reached are still owed: each of the message's deliveries once more, to nobody else.
pub(super) fn owed(deliveries: &[Delivery], recipients: &[String], now: Timestamp) -> Vec<Change> {
    let mut changes = Vec::new();
    // A digest says for itself what travels with it.
    let is_digest = deliveries.first().is_some_and(|lead| lead.row.kind == NoticeKind::Digest);
    let deliveries = if is_digest { &deliveries[..1] } else { deliveries };
    for recipient in recipients {
        // What is owed to one may travel together, but never with what is owed to another.
        let whose = ids::derived("owed", &[recipient], Timestamp::from_millis(0));
        for delivery in deliveries {
            let Ok(mut page) = serde_json::from_str::<Notification>(&delivery.row.payload_json) else { continue };
            page.only_to = vec![recipient.clone()];
            changes.push(Change::PutDelivery(NewDelivery {
                id: ids::fresh(),
                instance: format!("{whose}/{}", delivery.row.instance),
                n: crc32fast::hash(format!("{} {recipient}", delivery.row.n).as_bytes()) | OWED_NUMBERS,
                payload_json: serde_json::to_string(&page).unwrap_or_default(),
                created_at: now,
                not_before: now.plus_millis(OWED_WAIT_MS),
                fold: None,
                ..delivery.row.clone()
            }));
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::fresh;
    use nightbell_model::Ulid;

    fn said(number: u32) -> Delivery {
        let row = NewDelivery {
            id: Ulid::from_bits(u128::from(number)),
            channel: ChannelId::from_bits(1),
            instance: "rule/agent/series".to_owned(),
            incident: IncidentId::from_bits(1),
            kind: NoticeKind::Repeat,
            n: number,
            payload_json: serde_json::to_string(&Notification::new(NoticeWord::Repeat)).unwrap(),
            created_at: Timestamp::from_millis(1),
            not_before: Timestamp::from_millis(1),
            fold: Some(Ulid::from_bits(9)),
        };
        fresh(row)
    }

    #[test]
    fn what_is_owed_to_one_recipient_never_travels_with_anothers() {
        let recipients = ["a/b@example.org".to_owned(), "a/c@example.org".to_owned()];
        let rows: Vec<NewDelivery> = owed(&[said(1), said(2)], &recipients, Timestamp::from_millis(5))
            .into_iter()
            .map(|change| match change {
                Change::PutDelivery(row) => row,
                other => panic!("{other:?}"),
            })
            .collect();
        let whose = |row: &NewDelivery| crate::folding::rule_of(&row.instance).to_owned();
        assert_eq!(rows.len(), 4);
        assert_eq!((whose(&rows[0]), whose(&rows[2])), (whose(&rows[1]), whose(&rows[3])));
        assert_ne!(whose(&rows[0]), whose(&rows[2]), "the folding goes by this");
        let mut numbers: Vec<u32> = rows.iter().map(|row| row.n).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 4, "each is put in once, and none is taken for another");
        let page: Notification = serde_json::from_str(&rows[3].payload_json).unwrap();
        assert_eq!((page.only_to, rows[3].fold), (vec![recipients[1].clone()], None));
    }
}
