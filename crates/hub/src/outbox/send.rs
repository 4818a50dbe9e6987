//! One attempt at one message: read the payloads, draw the picture, hand all to the channel, write down what became of it.

use super::picture::{ChartRequest, incident_chart};
use super::trouble::{self, Trouble};
use crate::breach;
use crate::clock;
use crate::fleet::Fleet;
use crate::ids;
use crate::links::Links;
use crate::measure::Measure;
use crate::page::{self, TOP_FRESH_MS};
use crate::port::Port;
use crate::registry::Registry;
use nightbell_alerts::NoticeKind;
use nightbell_charts::Theme;
use nightbell_model::{ChannelId, Timestamp, Ulid};
use nightbell_notify::retry::{self, Decision};
use nightbell_notify::{ChannelConfig, Charts, Earlier, Message, NoticeWord, Notification, Notifier, Outcome, Report};
use nightbell_store::{
    ChannelRow, Delivery, DeliveryQuery, LeaseToken, MetricStore, NewDelivery, Settled, StateStore, StoreError,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an attempt may take in all: a relay that answers each of many steps just in time must not outlast the lease.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(180);
/// How long a page waits for what its host is busy with, and how often it looks.
const TOP_WAIT: Duration = Duration::from_millis(1_500);
const TOP_LOOK: Duration = Duration::from_millis(25);
/// What a host says later than this after the breach does not speak of it any more, in milliseconds.
const TOP_AFTER_MS: i64 = 5_000;
/// The most earlier deliveries that are looked through for a message.
const LOOKED_AT: usize = 50;
/// The same for the beginnings of a storm: as many as one message may tell of.
const STORM_LOOKED_AT: usize = 200;
/// The most hosts that are named as paged before.
const NAMED: usize = 10;
/// How often writing down an outcome is tried before the lease is left to run out.
const SETTLE_TRIES: u32 = 5;

/// Deliveries that travel in one message.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// At least one; the first one leads and names the message.
    pub deliveries: Vec<Delivery>,
    /// How many of those that began together with these have not ended yet.
    pub rest: u32,
}

/// Everything an attempt needs.
#[derive(Debug)]
pub struct Sender {
    /// Speaks to receivers.
    pub notifier: Arc<Notifier>,
    /// Channels and their configuration.
    pub registry: Arc<Registry>,
    /// What hosts say of themselves.
    pub fleet: Arc<Fleet>,
    /// Which of them can be asked.
    pub port: Arc<Port>,
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
    /// Tries a claimed message once and settles its deliveries, all alike. Says for how long the receiver asked to be left alone.
    pub async fn send(&self, parcel: Parcel) -> Option<Duration> {
        let lead = parcel.deliveries.first()?;
        let begun = Instant::now();
        let report = self.attempt(&parcel, None).await;
        let took = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.keep(lead, &report).await;
        if !report.owed.is_empty() {
            self.owe(&parcel, &report.owed).await;
        }
        let settled = self.judge(&parcel, &report.outcome, took).await;
        self.measure.delivery(word(&settled));
        self.settle(&parcel.deliveries, settled).await;
        patience(&report.outcome)
    }

    /// Settles a delivery that already went out when it could not be stored.
    pub async fn settle_sent(&self, delivery: &Delivery) {
        self.settle(std::slice::from_ref(delivery), Settled::Sent { latency_ms: 0 }).await;
    }

    /// Tries pages that could not be stored once, as one message whose first attempt was so long ago: what follows from it, and for
    /// how long the receiver asked to be left alone.
    pub async fn send_without_store(&self, deliveries: Vec<Delivery>, age_ms: i64) -> (Decision, Option<Duration>) {
        let note = "The hub cannot write to its disk: history is not being recorded, and this page may come again.";
        let (number, plain) = deliveries.first().map_or((1, false), |lead| (lead.attempts, lead.plain));
        let outcome = self.attempt(&Parcel { deliveries, rest: 0 }, Some(note)).await.outcome;
        if let Outcome::Retry { error, .. } | Outcome::Unacceptable { error } | Outcome::Broken { error } = &outcome {
            tracing::warn!(error, "a page that could not be stored could not be sent either");
        }
        let decision = retry::decide(&outcome, number, age_ms, plain, jitter());
        self.measure.delivery(match &decision {
            Decision::Sent => "sent",
            Decision::RetryAfter { .. } => "retry",
            Decision::Dead { .. } => "dead",
        });
        (decision, patience(&outcome))
    }

    /// One attempt, which ends in time whatever the receiver does: others wait behind it.
    async fn attempt(&self, parcel: &Parcel, hub_note: Option<&str>) -> Report {
        let attempt = tokio::time::timeout(ATTEMPT_LIMIT, self.deliver(parcel, hub_note)).await;
        attempt.unwrap_or_else(|_late| {
            Report::from(Outcome::Retry {
                error: format!("the receiver took longer than {} s", ATTEMPT_LIMIT.as_secs()),
                after: None,
                ambiguous: true,
            })
        })
    }

    async fn deliver(&self, parcel: &Parcel, hub_note: Option<&str>) -> Report {
        let Some(lead) = parcel.deliveries.first() else { return Outcome::Sent { detail: String::new() }.into() };
        let broken = |error: &str| Report::from(Outcome::Broken { error: error.to_owned() });
        let Some((row, zone)) = self.channel(lead.row.channel) else { return broken("the channel does not exist any more") };
        if !row.enabled && lead.row.kind != NoticeKind::Test {
            return broken("the channel is disabled");
        }
        let (config, mut notifications) = match read(&row, parcel) {
            Ok(both) => both,
            Err(error) => return broken(&error),
        };
        self.wait_for_top(lead).await;
        let mut notification = notifications.remove(0);
        self.refresh_top(lead, &mut notification);
        self.complete(&mut notification, zone);
        notifications.iter_mut().for_each(|folded| self.complete(folded, zone));
        notification.maybe_repeat = parcel.deliveries.iter().any(|delivery| delivery.maybe_repeat);
        let overtaken = self.overtaken(&notification, lead).await;
        let others = self.others(parcel).await;
        notification.hub_note = hub_note.map(str::to_owned).or(overtaken).or(others);
        let charts = if lead.plain { Charts::default() } else { self.charts(&config, &notification).await };
        // A digest tells what the deliveries that travel with it would have said.
        let folded = if lead.row.kind == NoticeKind::Digest { Vec::new() } else { notifications };
        let message = Message {
            delivery_id: lead.row.fold.unwrap_or(lead.row.id).to_string(),
            notification: &notification,
            charts,
            plain: lead.plain,
            thread: self.thread(parcel).await,
            folded,
            progress: lead.progress.clone(),
        };
        self.notifier.deliver(&config, message).await
    }

    /// Waits a moment for what the host says it is busy with: the agent was asked when the incident fired.
    async fn wait_for_top(&self, lead: &Delivery) {
        let is_first = lead.row.kind == NoticeKind::Fired && lead.attempts <= 1;
        let agent = lead.row.instance.split('/').nth(1).and_then(|id| id.parse().ok());
        let Some(agent) = agent.filter(|agent| is_first && self.port.tells_top(*agent)) else { return };
        let begun = Instant::now();
        let is_told = || {
            let told = self.fleet.get(agent).and_then(|vitals| vitals.top);
            told.is_some_and(|(at, _)| breach::is_answer(at, lead.row.created_at))
        };
        while !is_told() && begun.elapsed() < TOP_WAIT {
            tokio::time::sleep(TOP_LOOK).await;
        }
    }

    /// Puts the newest answer of the host on the page of a breach, if it speaks of that moment.
    fn refresh_top(&self, lead: &Delivery, notification: &mut Notification) {
        let agent = notification.agent.id.parse().ok().filter(|_| lead.row.kind == NoticeKind::Fired);
        let told = agent.and_then(|agent| self.fleet.get(agent)).and_then(|vitals| vitals.top);
        let is_of_then = |at: &Timestamp| (-TOP_FRESH_MS..=TOP_AFTER_MS).contains(&at.millis_since(lead.row.created_at));
        if let Some((_, json)) = told.filter(|(at, _)| is_of_then(at)) {
            notification.top_processes = page::top(&json, &notification.metric);
        }
    }

    /// What to add where a recipient is told late of something that is over: others were told in time, and the end is said to all.
    async fn overtaken(&self, notification: &Notification, lead: &Delivery) -> Option<String> {
        if notification.only_to.is_empty() || lead.row.kind == NoticeKind::Resolved {
            return None;
        }
        let (store, id) = (Arc::clone(&self.store), lead.row.incident);
        let found = tokio::task::spawn_blocking(move || store.incident(id)).await.ok()?.ok()??;
        let (record, _) = found;
        record.resolved_at?;
        Some("This reaches you late, for your mail could not be delivered before: it is over by now.".to_owned())
    }

    /// Adds what is only known when it is sent: where links lead, and whose clock is told.
    fn complete(&self, notification: &mut Notification, zone: &str) {
        let has_no_incident = matches!(notification.kind, NoticeWord::Test | NoticeWord::Digest | NoticeWord::ChannelBroken);
        if has_no_incident || notification.incident_id.is_empty() {
            notification.url = self.links.home();
        } else {
            notification.url = self.links.incident(&notification.incident_id);
            notification.chart_url = self.links.incident_chart(&notification.incident_id);
        }
        zone.clone_into(&mut notification.timezone);
        notification.items.iter_mut().for_each(|item| self.complete(item, zone));
    }

    fn channel(&self, id: ChannelId) -> Option<(ChannelRow, &'static str)> {
        let holdings = self.registry.read();
        holdings.channels.get(&id).map(|row| (row.clone(), holdings.settings.timezone.name()))
    }

    /// The pictures that the channel shows, as far as they can be drawn: a page without one is better than none.
    async fn charts(&self, config: &ChannelConfig, notification: &Notification) -> Charts {
        let wanted = config.pictures();
        let light = if wanted.light { self.picture(notification, Theme::Light).await } else { None };
        let dark = if wanted.dark { self.picture(notification, Theme::Dark).await } else { None };
        Charts { light, dark }
    }

    async fn picture(&self, notification: &Notification, theme: Theme) -> Option<Vec<u8>> {
        let mut request = ChartRequest { theme, ..ChartRequest::of_page(notification, clock::now())? };
        // A rate has a level of its own, and a state that is yes or no has none.
        let compares_rates = notification.rule.id.parse().is_ok_and(|rule| self.registry.read().compares_rates(rule));
        if compares_rates || notification.unit == "bool" {
            request.threshold = None;
        }
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

    /// Earlier messages of the same incidents or the same storm on the same channel, oldest first: mail threads by them, chats edit
    /// or answer them.
    async fn thread(&self, parcel: &Parcel) -> Vec<Earlier> {
        let store = Arc::clone(&self.store);
        let deliveries = parcel.deliveries.clone();
        match tokio::task::spawn_blocking(move || earlier(&*store, &deliveries)).await {
            Ok(Ok(thread)) => thread,
            Ok(Err(_)) | Err(_) => Vec::new(),
        }
    }

    /// Who else of its storm goes on: of a list those who were told of in an earlier message, of an end those that have not ended.
    async fn others(&self, parcel: &Parcel) -> Option<String> {
        let lead = parcel.deliveries.first()?.clone();
        let own: Vec<Ulid> = parcel.deliveries.iter().map(|delivery| delivery.row.id).collect();
        let is_end = lead.row.kind == NoticeKind::Resolved;
        if own.iter().any(|id| lead.storm == Some(*id)) || (is_end && parcel.rest == 0) {
            return None;
        }
        let store = Arc::clone(&self.store);
        let found = tokio::task::spawn_blocking(move || {
            let storm = if is_end { begun_in(&*store, &lead.row)? } else { lead.storm };
            storm.map_or_else(|| Ok(Vec::new()), |storm| going_on(&*store, storm, &own))
        });
        let names = found.await.ok()?.ok()?;
        if is_end { still_on(&names, parcel.rest) } else { told_before(&names) }
    }

    /// What an outcome means, by the retry rules; a broken channel is marked, a working one unmarked, and somebody else is told
    /// of a page that is given up.
    async fn judge(&self, parcel: &Parcel, outcome: &Outcome, took_ms: i64) -> Settled {
        let now = clock::now();
        let lead = &parcel.deliveries[0];
        let age_ms = lead.first_attempt_at.map_or(0, |first| now.millis_since(first));
        match retry::decide(outcome, lead.attempts, age_ms, lead.plain, jitter()) {
            Decision::Sent => {
                trouble::works(&self.registry, lead.row.channel).await;
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
                let undelivered = u32::try_from(parcel.deliveries.len()).unwrap_or(u32::MAX);
                let trouble = Trouble { kind: lead.row.kind, error: error.clone(), is_broken: broken, undelivered };
                trouble::gave_up(&self.registry, lead.row.channel, trouble, now).await;
                Settled::Dead { error }
            }
        }
    }

    /// Keeps what the channel wants remembered of this attempt.
    async fn keep(&self, lead: &Delivery, report: &Report) {
        let Some(progress) = report.progress.clone().filter(|progress| lead.progress.as_ref() != Some(progress)) else { return };
        let (store, lease, id) = (Arc::clone(&self.store), self.lease, lead.row.id);
        let written = tokio::task::spawn_blocking(move || store.note_progress(lease, id, &progress)).await;
        if !matches!(written, Ok(Ok(()))) {
            tracing::warn!("what a channel wants remembered of a delivery cannot be written down");
        }
    }

    /// Deliveries of their own for recipients that were not reached while others were.
    async fn owe(&self, parcel: &Parcel, recipients: &[String]) {
        let changes = trouble::owed(&parcel.deliveries, recipients, clock::now());
        if let Err(error) = self.registry.apply(changes, None).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "some recipients of a page are not tried again");
        }
    }

    async fn settle(&self, deliveries: &[Delivery], settled: Settled) {
        let results: Vec<(Ulid, Settled)> = deliveries.iter().map(|delivery| (delivery.row.id, settled.clone())).collect();
        for attempt in 1..=SETTLE_TRIES {
            let (store, lease, results) = (Arc::clone(&self.store), self.lease, results.clone());
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

fn read(row: &ChannelRow, parcel: &Parcel) -> Result<(ChannelConfig, Vec<Notification>), String> {
    if crate::sealing::is_sealed(&row.config_json) {
        return Err(row.broken.clone().unwrap_or_else(|| "its secrets cannot be opened".to_owned()));
    }
    let value =
        serde_json::from_str(&row.config_json).map_err(|error| format!("the channel's configuration cannot be read: {error}"))?;
    let config = ChannelConfig::parse(&row.kind, &value).map_err(|faults| {
        let words: Vec<String> = faults.into_iter().map(|fault| format!("{} {}", fault.pointer, fault.detail)).collect();
        format!("the channel's configuration cannot be used: {}", words.join("; "))
    })?;
    let notification = |delivery: &Delivery| serde_json::from_str(&delivery.row.payload_json);
    let notifications = parcel.deliveries.iter().map(notification).collect::<Result<Vec<Notification>, _>>();
    Ok((config, notifications.map_err(|error| format!("the page cannot be read back: {error}"))?))
}

/// The storm in which an end's incident was told of.
fn begun_in(store: &dyn StateStore, end: &NewDelivery) -> Result<Option<Ulid>, StoreError> {
    let query =
        DeliveryQuery { incident: Some(end.incident), channel: Some(end.channel), limit: LOOKED_AT, ..Default::default() };
    Ok(store.deliveries(&query)?.items.into_iter().find_map(|row| row.storm))
}

/// The beginnings that were told in earlier messages of a storm than that of `own`, oldest first.
fn told_in(store: &dyn StateStore, storm: Ulid, own: &[Ulid]) -> Result<Vec<Delivery>, StoreError> {
    // Those that are told now belong to the storm as well, and are the newest.
    let query = DeliveryQuery { storm: Some(storm), limit: own.len() + STORM_LOOKED_AT, ..Default::default() };
    let mut rows = store.deliveries(&query)?.items;
    rows.retain(|other| other.row.id < own.iter().copied().min().unwrap_or_default());
    rows.reverse();
    Ok(rows)
}

/// The hosts whose beginnings were told in earlier messages of a storm and that go on, oldest first, each once.
fn going_on(store: &dyn StateStore, storm: Ulid, own: &[Ulid]) -> Result<Vec<String>, StoreError> {
    let mut names: Vec<String> = Vec::new();
    for row in told_in(store, storm, own)? {
        let is_open = store.incident(row.row.incident)?.is_some_and(|(incident, _)| incident.resolved_at.is_none());
        let page = serde_json::from_str::<Notification>(&row.row.payload_json).ok().filter(|_| is_open);
        names.extend(page.as_ref().map(whereabouts).filter(|name| !names.contains(name)));
    }
    Ok(names)
}

/// The host of a page, with its labels where the metric has some: one host may be told of for several of its disks.
fn whereabouts(page: &Notification) -> String {
    let labels: Vec<&str> = page.labels.values().map(String::as_str).collect();
    if labels.is_empty() { page.agent.name.clone() } else { format!("{} ({})", page.agent.name, labels.join(", ")) }
}

/// That some were told of before, in words.
fn told_before(names: &[String]) -> Option<String> {
    (!names.is_empty()).then(|| format!("Paged before and still on: {}.", named(names)))
}

/// What to add where only some of those that began together have ended.
fn still_on(names: &[String], rest: u32) -> Option<String> {
    match (names.is_empty(), rest) {
        (_, 0) => None,
        (false, _) => Some(format!("Paged together and still on: {}.", named(names))),
        (true, 1) => Some("1 of those that were paged together goes on.".to_owned()),
        (true, rest) => Some(format!("{rest} of those that were paged together go on.")),
    }
}

/// Some hosts by name, the others as a number.
fn named(names: &[String]) -> String {
    let listed = names.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => listed,
        more => format!("{listed} and {more} more"),
    }
}

/// The messages that earlier deliveries of the same incidents travelled in, each once, and those in which a storm began.
fn earlier(store: &dyn StateStore, of: &[Delivery]) -> Result<Vec<Earlier>, StoreError> {
    let mut rows = Vec::new();
    for Delivery { row: own, .. } in of {
        let query =
            DeliveryQuery { incident: Some(own.incident), channel: Some(own.channel), limit: LOOKED_AT, ..Default::default() };
        rows.extend(store.deliveries(&query)?.items.into_iter().filter(|other| other.row.id < own.id));
    }
    if let Some(storm) = of.first().and_then(|lead| lead.storm) {
        let own: Vec<Ulid> = of.iter().map(|delivery| delivery.row.id).collect();
        rows.extend(told_in(store, storm, &own)?);
    }
    rows.sort_unstable_by_key(|other| other.row.id);
    let mut thread: Vec<Earlier> = Vec::new();
    for row in rows {
        let message = row.row.fold.unwrap_or(row.row.id);
        let progress = if message == row.row.id { row.progress } else { store.delivery(message)?.and_then(|led| led.progress) };
        let earlier = Earlier { delivery_id: message.to_string(), progress };
        if !thread.contains(&earlier) {
            thread.push(earlier);
        }
    }
    Ok(thread)
}

/// For how long a receiver asked to be left alone.
const fn patience(outcome: &Outcome) -> Option<Duration> {
    match outcome {
        Outcome::Retry { after, .. } => *after,
        _ => None,
    }
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
