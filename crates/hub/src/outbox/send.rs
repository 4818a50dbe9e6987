//! One attempt at one delivery: read the payload, draw the picture, hand both to the channel, write down what became of it.

use super::picture::{ChartRequest, incident_chart};
use crate::clock;
use crate::ids;
use crate::links::Links;
use crate::measure::Measure;
use crate::registry::Registry;
use nightbell_alerts::{Event, EventKind};
use nightbell_model::ChannelId;
use nightbell_notify::retry::{self, Decision};
use nightbell_notify::{ChannelConfig, Message, Notification, Notifier, Outcome};
use nightbell_store::{Change, ChannelRow, Delivery, LeaseToken, MetricStore, Settled, StateStore};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an attempt may take in all: a relay that answers each of many steps just in time must not outlast the lease.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(180);
/// How often writing down an outcome is tried before the lease is left to run out.
const SETTLE_TRIES: u32 = 5;

/// Everything an attempt needs.
#[derive(Debug)]
pub struct Sender {
    /// Speaks to receivers.
    pub notifier: Notifier,
    /// Channels and their configuration.
    pub registry: Arc<Registry>,
    /// Where outcomes are written.
    pub store: Arc<dyn StateStore>,
    /// The right to write them.
    pub lease: LeaseToken,
    /// Where the picture's samples are read.
    pub metrics: Arc<dyn MetricStore>,
    /// Where links in pages lead.
    pub links: Links,
    /// Counts attempts.
    pub measure: Arc<Measure>,
}

impl Sender {
    /// Tries a claimed delivery once and settles it.
    pub async fn send(&self, delivery: Delivery) {
        let begun = Instant::now();
        let attempt = tokio::time::timeout(ATTEMPT_LIMIT, self.attempt(&delivery, None)).await;
        let outcome = attempt.unwrap_or_else(|_late| Outcome::Retry {
            error: format!("the receiver took longer than {} s", ATTEMPT_LIMIT.as_secs()),
            after: None,
            ambiguous: true,
        });
        let took = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
        let settled = self.judge(&delivery, &outcome, took).await;
        self.measure.delivery(word(&settled));
        self.settle(&delivery, settled).await;
    }

    /// Settles a delivery that already went out when it could not be stored.
    pub async fn settle_sent(&self, delivery: &Delivery) {
        self.settle(delivery, Settled::Sent { latency_ms: 0 }).await;
    }

    /// Sends a page that could not be stored; says whether the receiver took it.
    pub async fn send_without_store(&self, delivery: Delivery) -> bool {
        let note = "The hub cannot write to its disk: history is not being recorded, and this page may come again.";
        let outcome = self.attempt(&delivery, Some(note)).await;
        if let Outcome::Retry { error, .. } | Outcome::Unacceptable { error } | Outcome::Broken { error } = &outcome {
            tracing::warn!(error, "a page that could not be stored could not be sent either; it goes out when the store is back");
        }
        matches!(outcome, Outcome::Sent { .. })
    }

    async fn attempt(&self, delivery: &Delivery, hub_note: Option<&str>) -> Outcome {
        let Some((row, zone)) = self.channel(delivery.row.channel) else {
            return Outcome::Broken { error: "the channel does not exist any more".to_owned() };
        };
        if !row.enabled && delivery.row.kind != nightbell_alerts::NoticeKind::Test {
            return Outcome::Broken { error: "the channel is disabled".to_owned() };
        }
        let (config, mut notification) = match read(&row, delivery) {
            Ok(both) => both,
            Err(error) => return Outcome::Broken { error },
        };
        notification.maybe_repeat = delivery.maybe_repeat;
        notification.url = self.links.incident(&notification.incident_id);
        notification.chart_url = self.links.incident_chart(&notification.incident_id);
        zone.clone_into(&mut notification.timezone);
        notification.hub_note = hub_note.map(str::to_owned);
        let chart_png = if config.wants_chart() && !delivery.plain { self.picture(&notification).await } else { None };
        let message = Message {
            delivery_id: delivery.row.id.to_string(),
            notification: &notification,
            chart_png,
            plain: delivery.plain,
            thread: self.thread(delivery).await,
            folded: Vec::new(),
        };
        self.notifier.deliver(&config, message).await
    }

    fn channel(&self, id: ChannelId) -> Option<(ChannelRow, &'static str)> {
        let holdings = self.registry.read();
        holdings.channels.get(&id).map(|row| (row.clone(), holdings.settings.timezone.name()))
    }

    /// The picture, if it can be drawn: a page without one is better than none.
    async fn picture(&self, notification: &Notification) -> Option<Vec<u8>> {
        let request = ChartRequest::of_page(notification, clock::now())?;
        let metrics = Arc::clone(&self.metrics);
        let drawn = tokio::task::spawn_blocking(move || incident_chart(&*metrics, &request)).await;
        match drawn {
            Ok(Ok(png)) => Some(png),
            Ok(Err(error)) => {
                tracing::warn!(%error, "a page goes out without its picture");
                None
            }
            Err(error) => {
                tracing::error!(%error, "drawing a picture panicked; the page goes out without it");
                None
            }
        }
    }

    /// Earlier messages of the same incident on the same channel, oldest first: mail threads by them.
    async fn thread(&self, delivery: &Delivery) -> Vec<String> {
        let (store, incident, channel, own) =
            (Arc::clone(&self.store), delivery.row.incident, delivery.row.channel, delivery.row.id);
        let query =
            nightbell_store::DeliveryQuery { incident: Some(incident), channel: Some(channel), limit: 50, ..Default::default() };
        let page = tokio::task::spawn_blocking(move || store.deliveries(&query)).await;
        let Ok(Ok(page)) = page else { return Vec::new() };
        let mut ids: Vec<_> = page.items.into_iter().map(|other| other.row.id).filter(|id| *id < own).collect();
        ids.sort_unstable();
        ids.into_iter().map(|id| id.to_string()).collect()
    }

    /// What an outcome means, by the retry rules; a broken channel is marked, a working one unmarked.
    async fn judge(&self, delivery: &Delivery, outcome: &Outcome, took_ms: i64) -> Settled {
        let now = clock::now();
        let age_ms = delivery.first_attempt_at.map_or(0, |first| now.millis_since(first));
        match retry::decide(outcome, delivery.attempts, age_ms, delivery.plain, jitter()) {
            Decision::Sent => {
                self.mark(delivery.row.channel, None).await;
                Settled::Sent { latency_ms: took_ms }
            }
            Decision::RetryAfter { delay_ms, plain } => {
                let (error, ambiguous) = match outcome {
                    Outcome::Retry { error, ambiguous, .. } => (error.clone(), *ambiguous),
                    Outcome::Unacceptable { error } | Outcome::Broken { error } => (error.clone(), false),
                    Outcome::Sent { .. } => (String::new(), false),
                };
                Settled::Retry { at: now.plus_millis(delay_ms), error, ambiguous, plain }
            }
            Decision::Dead { error, broken } => {
                if broken {
                    self.mark(delivery.row.channel, Some(&error)).await;
                }
                Settled::Dead { error }
            }
        }
    }

    /// Marks a channel as broken or working, if that is news.
    async fn mark(&self, id: ChannelId, broken: Option<&str>) {
        let Some((row, _)) = self.channel(id) else { return };
        if row.broken.is_some() == broken.is_some() {
            return;
        }
        let mut changes = vec![Change::PutChannel(ChannelRow { broken: broken.map(str::to_owned), ..row.clone() })];
        if let Some(error) = broken {
            changes.push(Change::LogEvent(Event {
                at: clock::now(),
                kind: EventKind::ChannelBroken,
                agent: None,
                rule: None,
                incident: None,
                series: None,
                value: None,
                threshold: None,
                reason: format!("{}: {error}", row.name),
            }));
        }
        if let Err(error) = self.registry.apply(changes, None).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot mark a channel");
        }
    }

    async fn settle(&self, delivery: &Delivery, settled: Settled) {
        for attempt in 1..=SETTLE_TRIES {
            let (store, lease, results) = (Arc::clone(&self.store), self.lease, [(delivery.row.id, settled.clone())]);
            let written = tokio::task::spawn_blocking(move || store.settle(lease, &results, clock::now())).await;
            match written {
                Ok(Ok(())) => return,
                Ok(Err(error)) => {
                    tracing::warn!(
                        attempt,
                        error = &error as &dyn std::error::Error,
                        "cannot write down the outcome of a delivery"
                    );
                }
                Err(error) => tracing::error!(%error, "settling a delivery panicked"),
            }
            tokio::time::sleep(Duration::from_millis(200 << attempt)).await;
        }
    }
}

fn read(row: &ChannelRow, delivery: &Delivery) -> Result<(ChannelConfig, Notification), String> {
    let value =
        serde_json::from_str(&row.config_json).map_err(|error| format!("the channel's configuration cannot be read: {error}"))?;
    let config = ChannelConfig::parse(&row.kind, &value).map_err(|faults| {
        let words: Vec<String> = faults.into_iter().map(|fault| format!("{} {}", fault.pointer, fault.detail)).collect();
        format!("the channel's configuration cannot be used: {}", words.join("; "))
    })?;
    let notification =
        serde_json::from_str(&delivery.row.payload_json).map_err(|error| format!("the page cannot be read back: {error}"))?;
    Ok((config, notification))
}

const fn word(settled: &Settled) -> &'static str {
    match settled {
        Settled::Sent { .. } => "sent",
        Settled::Retry { .. } => "retry",
        Settled::Dead { .. } => "dead",
    }
}

/// A number between -1 and 1 by chance; 0 when there is none.
fn jitter() -> f64 {
    ids::random::<4>().map_or(0.0, |bytes| f64::from(i32::from_le_bytes(bytes)) / f64::from(i32::MAX))
}
