//! The end of quiet hours: one message that says what happened meanwhile and what still fires.
//!
//! What the evaluator held back and says now waits in the outbox for the digest it is to travel with (see [`crate::page`]); what
//! began and ended meanwhile is only in the log. Both become the digest's lines here. Its id follows from the channel and the end
//! of its quiet hours, so that doing it again, after a restart too, makes no second one.

use crate::app::App;
use crate::fleet::Fleet;
use crate::page::{self, CATCH_UP_MS, Context, TOO_LATE_MS, rfc3339};
use crate::registry::{Registry, digest_id};
use crate::routing;
use crate::schedule::Window;
use crate::{clock, outbox::OutboxHandle};
use nightbell_alerts::{EventKind, IncidentRecord, MuteKind, Notice, NoticeKind, Severity};
use nightbell_model::{ChannelId, IncidentId, Timestamp, Ulid};
use nightbell_notify::{NoticeWord, Notification, QuietFacts};
use nightbell_store::{Change, EventQuery, IncidentQuery, NewDelivery, StateStore, StoreError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long after the end of quiet hours their digest is made, in milliseconds: what was held back has been said by then.
const WAIT_MS: i64 = CATCH_UP_MS + 500;
/// How often it is looked whether quiet hours have ended.
const LOOK: Duration = Duration::from_secs(1);
/// How often silences and quiet hours are expanded for the days to come, in looks.
const EXPAND: u32 = 3_600;
/// The most incidents looked at, and lines written: a megabyte. Where only some are shown, it is said how many more there are.
const MOST: usize = 1_000;

/// What digests are made from.
#[derive(Debug, Clone)]
pub struct Digests {
    registry: Arc<Registry>,
    fleet: Arc<Fleet>,
    store: Arc<dyn StateStore>,
    outbox: OutboxHandle,
    /// For which end of its quiet hours each channel has had its digest.
    done: BTreeMap<ChannelId, Timestamp>,
}

impl Digests {
    /// Digests of this hub.
    #[must_use]
    pub fn of(app: &App) -> Self {
        Self {
            registry: Arc::clone(&app.registry),
            fleet: Arc::clone(&app.fleet),
            store: Arc::clone(&app.store),
            outbox: app.outbox.clone(),
            done: BTreeMap::new(),
        }
    }

    /// The quiet hours that have ended and were not told of yet.
    fn ended(&self, now: Timestamp) -> Vec<(ChannelId, Window)> {
        let holdings = self.registry.read();
        let started = holdings.hush.started.unwrap_or(now);
        let ended = holdings.hush.quiet.keys().filter_map(|channel| {
            let window = holdings.hush.ended_last(*channel, now)?;
            let let_go = window.end.max(started);
            let is_time = now.millis_since(let_go) >= WAIT_MS && let_go.millis_since(window.end) < TOO_LATE_MS;
            let is_news = self.done.get(channel).is_none_or(|end| *end < window.end);
            let takes = holdings.channels.get(channel).is_some_and(page::takes_digests);
            (is_time && is_news && takes).then_some((*channel, window))
        });
        ended.collect()
    }

    /// Puts the digest of one channel's quiet hours into the outbox, if there is anything to tell.
    fn tell(&self, channel: ChannelId, window: Window, now: Timestamp) -> Result<(), StoreError> {
        let id = digest_id(channel, window.end);
        let mut items = self.held_back(id, now)?;
        let mut over = self.over(channel, window, now)?;
        // What is said now says more than what was.
        over.retain(|over| items.iter().all(|item| item.incident_id != over.incident_id));
        items.append(&mut over);
        if items.is_empty() {
            return Ok(());
        }
        items.sort_by_key(worst_first);
        items.truncate(MOST);
        let row = row(id, channel, (window, now), items);
        self.registry.apply_blocking(vec![Change::PutDelivery(row)], None)?;
        self.outbox.wake();
        Ok(())
    }

    /// What waits in the outbox for the digest.
    fn held_back(&self, digest: Ulid, now: Timestamp) -> Result<Vec<Notification>, StoreError> {
        let mut items = Vec::new();
        for waiting in self.store.waiting(now)?.iter().filter(|waiting| waiting.fold == Some(digest) && waiting.id != digest) {
            let payload = self.store.delivery(waiting.id)?.map(|delivery| delivery.row.payload_json).unwrap_or_default();
            items.extend(serde_json::from_str::<Notification>(&payload));
        }
        Ok(items)
    }

    /// What began and ended in quiet hours, withheld by nothing else.
    fn over(&self, channel: ChannelId, window: Window, now: Timestamp) -> Result<Vec<Notification>, StoreError> {
        let query = IncidentQuery { open: Some(false), limit: MOST, ..IncidentQuery::default() };
        let mut items = Vec::new();
        for incident in self.store.incidents(&query)?.items {
            let is_inside = window.holds(incident.fired_at) && incident.resolved_at.is_some_and(|end| window.holds(end));
            if is_inside && self.concerns(channel, &incident) && self.was_quiet(incident.id)? {
                items.push(self.line(channel, incident, now));
            }
        }
        Ok(items)
    }

    /// Whether a channel would have been told of an incident.
    fn concerns(&self, channel: ChannelId, incident: &IncidentRecord) -> bool {
        routing::told_to(&self.registry.read(), incident).contains(&channel)
    }

    /// Whether quiet hours have withheld its beginning.
    fn was_quiet(&self, incident: IncidentId) -> Result<bool, StoreError> {
        let kinds = vec![EventKind::Suppressed];
        let query = EventQuery { incident: Some(incident), kinds, limit: 20, ..EventQuery::default() };
        let reason = MuteKind::QuietHours.name();
        Ok(self.store.events(&query)?.items.iter().any(|line| line.event.reason == reason))
    }

    fn line(&self, channel: ChannelId, incident: IncidentRecord, now: Timestamp) -> Notification {
        let notice = Notice {
            kind: NoticeKind::Resolved,
            n: 0,
            channel,
            value: None,
            at: incident.resolved_at.unwrap_or(now),
            not_before: now,
            suppressed: 0,
            late: false,
            incident: Arc::new(incident),
        };
        let holdings = self.registry.read();
        Context { holdings: &holdings, fleet: &self.fleet }.notification(&notice)
    }
}

/// What still fires before what is over, the worse before the less bad, the older before the newer.
fn worst_first(item: &Notification) -> (bool, std::cmp::Reverse<Option<Severity>>, String) {
    let is_over = matches!(item.kind, NoticeWord::Resolved | NoticeWord::NodataEnd);
    (is_over, std::cmp::Reverse(Severity::from_name(&item.rule.severity)), item.started_at.clone())
}

fn row(id: Ulid, channel: ChannelId, (window, now): (Window, Timestamp), items: Vec<Notification>) -> NewDelivery {
    let mut digest = Notification::new(NoticeWord::Digest);
    digest.timestamp = rfc3339(now);
    digest.started_at = rfc3339(window.start);
    digest.rule.severity = items.first().map(|item| item.rule.severity.clone()).unwrap_or_default();
    digest.quiet = Some(QuietFacts { from: rfc3339(window.start), until: rfc3339(window.end) });
    digest.items = items;
    NewDelivery {
        id,
        channel,
        instance: format!("digest/{channel}"),
        incident: IncidentId(id),
        kind: NoticeKind::Digest,
        n: 0,
        payload_json: serde_json::to_string(&digest).unwrap_or_default(),
        created_at: now,
        not_before: now,
        fold: Some(id),
    }
}

/// Makes digests as quiet hours end, and expands those of the days to come, until the task is dropped.
pub async fn keep(mut digests: Digests) {
    for look in 1_u32.. {
        tokio::time::sleep(LOOK).await;
        if look.is_multiple_of(EXPAND) {
            let registry = Arc::clone(&digests.registry);
            let _expanded = tokio::task::spawn_blocking(move || registry.expand_mutes()).await;
        }
        let now = clock::now();
        for (channel, window) in digests.ended(now) {
            let made = digests.clone();
            match tokio::task::spawn_blocking(move || made.tell(channel, window, now)).await {
                Ok(Ok(())) => drop(digests.done.insert(channel, window.end)),
                Ok(Err(error)) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a digest cannot be made now; trying again");
                }
                Err(error) => tracing::error!(%error, "making a digest panicked; trying again"),
            }
        }
    }
}
