//! Opens what a disk held after a crash, as the hub does at its next start, and holds it against what others had learnt by then.

use crate::disk::Image;
use crate::load::{Manner, Voice};
use nightbell_model::{AgentId, Frame, Tier, Timestamp, Ulid};
use nightbell_store::{
    Delivery, DeliveryQuery, DeliveryState, IncidentQuery, LeaseToken, MetricStore, RangeQuery, Retention, ScrubPlace,
    SealPolicy, SqliteOptions, SqliteStore, StateStore,
};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

/// The database's name in its folder.
pub(crate) const DATABASE: &str = "nightbell.db";
/// More than a test ever makes.
const ALL: usize = 1_000_000;

/// What others knew when the power was lost.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// Up to which number each agent's heartbeats were acknowledged.
    pub(crate) acknowledged: BTreeMap<u64, u64>,
    /// The deliveries that had reached their receiver.
    pub(crate) pages: HashSet<Ulid>,
}

/// What was found.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Found {
    pub(crate) heartbeats: u64,
    pub(crate) incidents: u64,
    pub(crate) repeats: u64,
}

type Verdict<T> = Result<T, String>;

/// Judges one image in a folder of its own.
pub(crate) fn judge(image: &Image, known: &Known, voices: &[Voice], folder: &Path, now: i64) -> Verdict<Found> {
    for (name, bytes) in image {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    if !image.contains_key(DATABASE) {
        let nothing = known.acknowledged.is_empty() && known.pages.is_empty();
        return if nothing { Ok(Found::default()) } else { Err("there is no database".to_owned()) };
    }
    let path = folder.join(DATABASE);
    let now = Timestamp::from_millis(now);
    let found = {
        let store = SqliteStore::open(&path, SqliteOptions::default()).map_err(said("opening"))?;
        let lease = store.acquire(Ulid::from_bits(7), now).map_err(said("taking over"))?;
        store.load().map_err(said("loading"))?;
        let mut found = alerts_are_there(&store, known, voices)?;
        found.heartbeats = histories_are_exact(&store, known, voices, now)?;
        housekeeping_goes_on(&store, lease, now)?;
        if histories_are_exact(&store, known, voices, now)? != found.heartbeats {
            return Err("housekeeping changed the number of heartbeats".to_owned());
        }
        rollups_are_right(&store, voices, now)?;
        found
    };
    is_whole(&path)?;
    Ok(found)
}

fn said<E: std::error::Error>(what: &str) -> impl Fn(E) -> String {
    move |error| {
        let mut text = format!("{what}: {error}");
        let mut source = error.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        text
    }
}

/// The engine's own opinion of the file.
fn is_whole(path: &Path) -> Verdict<()> {
    let connection = rusqlite::Connection::open(path).map_err(said("opening it once more"))?;
    let ask = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, String>(0)).map_err(said("checking"));
    match ask("PRAGMA integrity_check")?.as_str() {
        "ok" => Ok(()),
        wrong => Err(format!("integrity_check: {wrong}")),
    }
}

fn agent(voice: &Voice) -> AgentId {
    voice.identity.id.parse().expect("an id")
}

fn frame(store: &SqliteStore, voice: &Voice, tier: Tier, now: Timestamp) -> Verdict<Frame> {
    let query = RangeQuery {
        agent: agent(voice),
        series: Vec::new(),
        start: Timestamp::from_millis(voice.since - 86_400_000),
        end: now.plus_millis(86_400_000),
        tier: Some(tier),
        max_points: ALL,
        now,
    };
    store.range(&query).map_err(said("reading history"))
}

/// Every acknowledged heartbeat is there once, every value of every heartbeat is what was sent; how many there are.
fn histories_are_exact(store: &SqliteStore, known: &Known, voices: &[Voice], now: Timestamp) -> Verdict<u64> {
    let mut total = 0;
    for voice in voices {
        let seen = history_is_exact(&frame(store, voice, Tier::Raw, now)?, voice)?;
        let acknowledged = known.acknowledged.get(&voice.number).copied().unwrap_or(0);
        let lost: Vec<u64> = (1..=acknowledged).filter(|seq| !seen.contains(seq)).collect();
        if !lost.is_empty() {
            return Err(format!("{:?} {}: acknowledged up to {acknowledged}, lost {lost:?}", voice.manner, voice.number));
        }
        total += seen.len() as u64;
    }
    Ok(total)
}

fn history_is_exact(frame: &Frame, voice: &Voice) -> Verdict<HashSet<u64>> {
    let columns: HashMap<&str, &[f64]> = frame.columns.iter().map(|column| (column.key.as_str(), &*column.mean)).collect();
    let mut seen = HashSet::new();
    for row in 0..frame.times.len() {
        let Some(seq) = columns.get("crash.seq").map(|column| column[row]).filter(|seq| !seq.is_nan()) else { continue };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number that was counted up from 1")]
        let seq = seq as u64;
        if !seen.insert(seq) {
            return Err(format!("agent {}: heartbeat {seq} is there twice", voice.number));
        }
        for (name, sent) in voice.values(seq) {
            let stored = columns.get(name.as_str()).map_or(f64::NAN, |column| column[row]);
            if stored.to_bits() != sent.to_bits() {
                return Err(format!("agent {}: {name} of heartbeat {seq} is {stored}, not {sent}", voice.number));
            }
        }
    }
    Ok(seen)
}

/// Whatever an acknowledged heartbeat did to an alert is there, with its deliveries; what has reached a receiver is known to have
/// been on its way.
fn alerts_are_there(store: &SqliteStore, known: &Known, voices: &[Voice]) -> Verdict<Found> {
    let incidents = store.incidents(&IncidentQuery { limit: ALL, ..IncidentQuery::default() }).map_err(said("incidents"))?.items;
    let deliveries = store.deliveries(&DeliveryQuery { limit: ALL, ..DeliveryQuery::default() }).map_err(said("outbox"))?.items;
    for voice in voices.iter().filter(|voice| voice.manner != Manner::Old) {
        let acknowledged = known.acknowledged.get(&voice.number).copied().unwrap_or(0);
        let edges = |up: bool| (2..=acknowledged).filter(|seq| voice.is_high(*seq) == up && voice.is_high(seq - 1) != up).count();
        let own: Vec<_> = incidents.iter().filter(|incident| incident.key.agent == agent(voice)).collect();
        let ended = own.iter().filter(|incident| incident.resolved_at.is_some()).count();
        if own.len() < edges(true) || ended < edges(false) {
            let numbers = format!("{} incidents, {ended} of them ended", own.len());
            return Err(format!("agent {}: {numbers}, after {} and {} edges", voice.number, edges(true), edges(false)));
        }
        for incident in own {
            if !deliveries.iter().any(|delivery| delivery.row.incident == incident.id) {
                return Err(format!("agent {}: incident {} has no delivery", voice.number, incident.id));
            }
        }
    }
    let repeats = pages_are_known(&deliveries, known)?;
    Ok(Found { incidents: incidents.len() as u64, repeats, heartbeats: 0 })
}

/// A page that has arrived is in the outbox: as sent, or marked as one that may come twice. How many of these there are.
fn pages_are_known(deliveries: &[Delivery], known: &Known) -> Verdict<u64> {
    let by_id: HashMap<Ulid, &Delivery> = deliveries.iter().map(|delivery| (delivery.row.id, delivery)).collect();
    let mut repeats = 0;
    for page in &known.pages {
        match by_id.get(page) {
            Some(delivery) if delivery.state == DeliveryState::Sent => {}
            Some(delivery) if delivery.maybe_repeat => repeats += 1,
            Some(delivery) => return Err(format!("page {page} has arrived and is {:?}, unmarked", delivery.state)),
            None => return Err(format!("page {page} has arrived and is not in the outbox")),
        }
    }
    Ok(repeats)
}

fn housekeeping_goes_on(store: &SqliteStore, lease: LeaseToken, now: Timestamp) -> Verdict<()> {
    store.roll_up(lease, now).map_err(said("rolling up"))?;
    store.seal(lease, now, &SealPolicy::AT_ONCE).map_err(said("sealing"))?;
    store.retain(lease, now, &Retention::default()).map_err(said("retaining"))?;
    store.checkpoint().map_err(said("checkpointing"))?;
    let mut place = ScrubPlace::default();
    loop {
        let report = store.scrub(lease, now, &mut place).map_err(said("scrubbing"))?;
        match report.found.first() {
            Some(damage) => return Err(format!("scrubbing found {damage}")),
            None if report.is_round => return Ok(()),
            None => {}
        }
    }
}

/// The five-minute buckets of those who speak of hours ago hold what their raw heartbeats do.
fn rollups_are_right(store: &SqliteStore, voices: &[Voice], now: Timestamp) -> Verdict<()> {
    const WIDTH: i64 = 300_000;
    for voice in voices.iter().filter(|voice| voice.manner == Manner::Old) {
        let mut extremes: BTreeMap<i64, (f64, f64)> = BTreeMap::new();
        for (time, seq) in numbers(&frame(store, voice, Tier::Raw, now)?, false) {
            let bucket = extremes.entry(time.floor_to(WIDTH).as_millis()).or_insert((seq, seq));
            *bucket = (bucket.0.min(seq), bucket.1.max(seq));
        }
        let rolled = frame(store, voice, Tier::FiveMinutes, now)?;
        let rolled: BTreeMap<i64, (f64, f64)> = numbers(&rolled, false)
            .zip(numbers(&rolled, true))
            .map(|((time, min), (_, max))| (time.as_millis(), (min, max)))
            .collect();
        if rolled != extremes {
            return Err(format!("agent {}: buckets {rolled:?}, but raw {extremes:?}", voice.number));
        }
    }
    Ok(())
}

/// The numbers of heartbeats (their smallest or largest in a bucket) over time, gaps left out.
fn numbers(frame: &Frame, largest: bool) -> impl Iterator<Item = (Timestamp, f64)> {
    let column = frame.columns.iter().find(|column| column.key.as_str() == "crash.seq");
    let values = column.map_or(&[][..], |column| if largest { &column.max } else { &column.min });
    frame.times.iter().copied().zip(values.iter().copied()).filter(|(_, value)| !value.is_nan())
}
