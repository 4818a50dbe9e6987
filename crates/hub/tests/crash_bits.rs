//! Bits that flip on the disk: copies of a database with everything in it (fresh rows, sealed chunks, rollups, rules, incidents,
//! deliveries), each with some random bytes changed, are opened, asked everything and looked after. Nothing may panic, and no
//! number may come out of history that did not go in: it is right, or it is missing.
//!
//! 500 copies, or 5,000 with `NIGHTBELL_SLOW=1`; `NIGHTBELL_E2E_SEED` chooses others. A copy that fails is kept below the target
//! folder.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

#[path = "crash/chance.rs"]
mod chance;
#[expect(dead_code, reason = "each of the test programs uses a part")]
mod support;

use chance::Chance;
use nightbell_model::{AgentId, Frame, Tier, Timestamp, Ulid};
use nightbell_store::{
    DeliveryQuery, EventQuery, IncidentQuery, LeaseToken, MetricStore, RangeQuery, Retention, ScrubPlace, SealPolicy,
    SqliteOptions, SqliteStore, StateStore, StoreError,
};
use rustix::process::Signal;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use support::agents::HttpAgent;
use support::house::{House, rule};
use support::hub::{Start, on_data};
use support::receiver::Receiver;
use support::wait::until_true;
use support::{now_ms, slow};

/// The database's name in its folder.
const DATABASE: &str = "nightbell.db";
/// Each of so many agents has a history.
const AGENTS: u64 = 2;
/// How far back it goes: more than a day of UTC is over, so that there are dense chunks, too.
const HISTORY_MS: i64 = 52 * 3_600_000;
/// From one heartbeat to the next.
const STEP_MS: i64 = 120_000;
/// Heartbeats in one request.
const AT_ONCE: usize = 500;
/// More than there is.
const ALL: usize = 1_000_000;
/// The most bytes that are changed in a copy.
const FLIPS: usize = 16;
/// A page of the file.
const PAGE: usize = 4096;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flipped_bits_are_never_read_as_numbers() {
    let seed = std::env::var("NIGHTBELL_E2E_SEED").map_or(20_260_131, |seed| seed.parse().expect("a seed is a number"));
    let copies = if slow() { 5_000 } else { 500 };
    let room = tempfile::tempdir().unwrap();
    let agents = furnish(&room.path().join("data")).await;
    let original = std::fs::read(room.path().join("data").join(DATABASE)).unwrap();
    let now = now_ms();
    let begun = Instant::now();
    let trials = tokio::task::spawn_blocking(move || {
        let truth = Truth::read(&original, &agents, now);
        let next = AtomicUsize::new(0);
        let judge = || {
            let mut tally = Tally::default();
            loop {
                let n = next.fetch_add(1, Ordering::SeqCst);
                if n >= copies {
                    return tally;
                }
                tally.try_copy(&original, seed + n as u64, &truth, now);
            }
        };
        let (one, other) = std::thread::scope(|scope| {
            let other = scope.spawn(judge);
            (judge(), other.join().expect("no panic"))
        });
        one.and(other)
    });
    let tally = trials.await.expect("no panic");
    eprintln!(
        "seed {seed}: {copies} copies in {:?}: {} did not open, {} gave less than all, {} were noticed",
        begun.elapsed(),
        tally.closed,
        tally.less,
        tally.noticed
    );
    assert!(tally.wrong.is_empty(), "{} of {copies} copies: {}", tally.wrong.len(), tally.wrong.join("\n"));
}

/// A database with everything in it.
async fn furnish(data: &Path) -> Vec<AgentId> {
    let mut house = House::on(Start::serve(data).with(&["--log", "warn"])).await;
    let receiver = Receiver::start().await;
    let channel = house.api.make("/channels", &receiver.channel("hook")).await;
    house.api.make("/rules", &rule("Level", "bits.level", 50.0, &[&channel])).await;
    let mut agents = Vec::new();
    for number in 1..=AGENTS {
        agents.push(house.http_agent(&format!("agent-{number}")).await);
    }
    let since = now_ms() - HISTORY_MS;
    let beats = u64::try_from(HISTORY_MS / STEP_MS).unwrap();
    for (number, agent) in (1..).zip(&agents) {
        // The hour before last is told late, after it was sealed.
        let late = beats - 60..beats - 57;
        post(agent, number, since, (1..=beats).filter(|seq| !late.contains(seq))).await;
    }
    house.hub.end(Signal::TERM).await;
    on_data(data, &["maintain"]);
    house.hub.again().await;
    for (number, agent) in (1..).zip(&agents) {
        post(agent, number, since, beats - 60..beats - 57).await;
        post(agent, number, now_ms() - 200, beats + 1..=beats + 1).await;
    }
    until_true("a page", async || !receiver.taken().is_empty()).await;
    house.hub.end(Signal::TERM).await;
    agents.iter().map(|agent| agent.identity.id.parse().expect("an id")).collect()
}

async fn post(agent: &HttpAgent, number: u64, since: i64, beats: impl Iterator<Item = u64>) {
    let beats: Vec<u64> = beats.collect();
    for some in beats.chunks(AT_ONCE) {
        let body: Vec<Value> = some.iter().map(|seq| beat(number, *seq, since)).collect();
        let (status, answer) = agent.post(&json!({"heartbeats": body})).await;
        assert_eq!((status, &answer["rejected"]), (200, &json!([])), "{answer}");
    }
}

fn beat(number: u64, seq: u64, since: i64) -> Value {
    let at =
        if seq > u64::try_from(HISTORY_MS / STEP_MS).unwrap() { since } else { since + i64::try_from(seq).unwrap() * STEP_MS };
    let mut metrics = Map::new();
    for series in 0..6_u64 {
        let mixed = (number << 40 ^ seq << 8 ^ series).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
        let value = match series % 3 {
            0 => f64::from(u32::try_from(mixed % 10_000).unwrap()) / 100.0,
            1 => f64::from(u32::try_from(mixed).unwrap()) * 0.37,
            _ => f64::from(u32::try_from(seq / 100).unwrap()),
        };
        metrics.insert(format!("bits.value{{n={series}}}"), value.into());
    }
    metrics.insert("bits.level".to_owned(), (if seq % 400 > 390 { 99 } else { 1 }).into());
    let age = (now_ms() - at).max(0);
    json!({"boot_id": "one-process", "seq": seq, "age_ms": age, "metrics": metrics})
}

/// Mean, minimum and maximum by moment and series (its place among [`names`]).
type Rows = HashMap<(i64, usize), [u64; 3]>;

/// The series of every agent.
fn names() -> Vec<String> {
    (0..6).map(|n| format!("bits.value{{n={n}}}")).chain(["bits.level".to_owned()]).collect()
}

fn rows(frame: &Frame) -> Rows {
    let (names, mut rows) = (names(), Rows::new());
    for column in &frame.columns {
        // A name that nobody sent has a place behind all others.
        let series = names.iter().position(|name| name == column.key.as_str()).unwrap_or(usize::MAX);
        for (row, time) in frame.times.iter().enumerate() {
            let cells = [column.mean[row], column.min[row], column.max[row]];
            if cells.iter().all(|cell| cell.is_nan()) {
                continue;
            }
            let cells = cells.map(f64::to_bits);
            if rows.insert((time.as_millis(), series), cells).is_some() {
                // Two at one moment are not in the original; this will be found wrong.
                rows.insert((i64::MIN, series), cells);
            }
        }
    }
    rows
}

fn ask(store: &SqliteStore, agent: AgentId, tier: Tier, now: i64) -> Result<Frame, StoreError> {
    let end = Timestamp::from_millis(now + 3_600_000);
    let (start, now) = (Timestamp::from_millis(now - 2 * HISTORY_MS), Timestamp::from_millis(now));
    store.range(&RangeQuery { agent, series: Vec::new(), start, end, tier: Some(tier), max_points: ALL, now })
}

/// What is right.
struct Truth {
    agents: Vec<AgentId>,
    rows: Vec<[Rows; 4]>,
}

impl Truth {
    fn read(original: &[u8], agents: &[AgentId], now: i64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(original, folder.path()).expect("the original opens");
        let all = |agent: &AgentId| Tier::ALL.map(|tier| rows(&ask(&store, *agent, tier, now).expect("the original answers")));
        let rows: Vec<[Rows; 4]> = agents.iter().map(all).collect();
        for own in &rows {
            let samples = usize::try_from(HISTORY_MS / STEP_MS + 1).unwrap() * names().len();
            assert_eq!(own[0].len(), samples, "every heartbeat is in the original");
            assert!(own[1..].iter().all(|rows| rows.len() > names().len()), "there are rollups");
        }
        Self { agents: agents.to_vec(), rows }
    }
}

fn open(bytes: &[u8], folder: &Path) -> Result<SqliteStore, nightbell_store::OpenError> {
    let path = folder.join(DATABASE);
    std::fs::write(&path, bytes).unwrap();
    SqliteStore::open(&path, SqliteOptions::default())
}

/// What became of the copies.
#[derive(Debug, Default)]
struct Tally {
    closed: u64,
    less: u64,
    noticed: u64,
    wrong: Vec<String>,
}

impl Tally {
    fn and(mut self, other: Self) -> Self {
        self.closed += other.closed;
        self.less += other.less;
        self.noticed += other.noticed;
        self.wrong.extend(other.wrong);
        self
    }

    fn try_copy(&mut self, original: &[u8], seed: u64, truth: &Truth, now: i64) {
        let mut bytes = original.to_vec();
        let flipped = flip(&mut bytes, &mut Chance::new(seed));
        let folder = tempfile::tempdir().unwrap();
        let judged = catch_unwind(AssertUnwindSafe(|| judge(&bytes, folder.path(), truth, now)));
        let mut fail = |why: String| {
            let kept = keep(&bytes, seed);
            self.wrong.push(format!("seed {seed}, bytes {flipped:?}: {why}; {}", kept.display()));
        };
        match judged {
            Err(_panic) => fail("it panicked".to_owned()),
            Ok(Judged { wrong: Some(why), .. }) => fail(why),
            Ok(Judged { opened: false, .. }) => self.closed += 1,
            Ok(Judged { less, noticed, .. }) => {
                self.less += u64::from(less);
                self.noticed += u64::from(noticed);
            }
        }
    }
}

/// Changes 1 to 16 bytes: anywhere, or where the engine keeps its own structures, the beginnings of pages.
fn flip(bytes: &mut [u8], chance: &mut Chance) -> Vec<usize> {
    let count = 1 + chance.below(FLIPS);
    let structures = chance.below(4) == 0;
    let place = |chance: &mut Chance| {
        if structures { chance.below(bytes.len() / PAGE) * PAGE + chance.below(64) } else { chance.below(bytes.len()) }
    };
    let places: Vec<usize> = (0..count).map(|_| place(chance)).collect();
    for at in &places {
        bytes[*at] ^= u8::try_from(1 + chance.below(255)).unwrap();
    }
    places
}

fn keep(bytes: &[u8], seed: u64) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bits-{seed}"));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(DATABASE), bytes).unwrap();
    folder
}

#[derive(Debug, Default)]
struct Judged {
    opened: bool,
    /// Less came out than went in.
    less: bool,
    /// The store said that something is damaged.
    noticed: bool,
    wrong: Option<String>,
    /// A bucket of fewer samples than there were: nobody may take it for whole for long.
    of_fewer: Option<String>,
}

fn judge(bytes: &[u8], folder: &Path, truth: &Truth, now: i64) -> Judged {
    let Ok(store) = open(bytes, folder) else { return Judged::default() };
    let mut judged = Judged { opened: true, ..Judged::default() };
    judged.noticed |= ask_everything(&store);
    judged.compare(&store, truth, now, "at first");
    match store.acquire(Ulid::from_bits(7), Timestamp::from_millis(now)) {
        Ok(lease) => {
            judged.noticed |= look_after(&store, lease, now);
            judged.compare(&store, truth, now, "after housekeeping");
        }
        // A hub does not start on such a file, and says why.
        Err(_damage) => judged.noticed = true,
    }
    if !judged.noticed {
        judged.wrong = judged.wrong.or(judged.of_fewer.take());
    }
    judged
}

impl Judged {
    fn compare(&mut self, store: &SqliteStore, truth: &Truth, now: i64, when: &str) {
        for (agent, right) in truth.agents.iter().zip(&truth.rows) {
            for (tier, right) in Tier::ALL.into_iter().zip(right) {
                match ask(store, *agent, tier, now) {
                    Err(_damage) => (self.less, self.noticed) = (true, true),
                    Ok(frame) => {
                        self.noticed |= store.stats().is_ok_and(|stats| stats.damaged > 0);
                        self.hold(&rows(&frame), right, tier, when);
                    }
                }
            }
        }
    }

    /// What is there has to be right. A bucket may have been made anew from the rows that are left.
    fn hold(&mut self, rows: &Rows, right: &Rows, tier: Tier, when: &str) {
        for ((time, series), found) in rows {
            let sent = right.get(&(*time, *series));
            if sent == Some(found) {
                continue;
            }
            let (found, sent) = (found.map(f64::from_bits), sent.map(|cells| cells.map(f64::from_bits)));
            let of_fewer = tier != Tier::Raw && sent.is_some_and(|sent| found[1] >= sent[1] && found[2] <= sent[2]);
            let verdict = if of_fewer { &mut self.of_fewer } else { &mut self.wrong };
            verdict.get_or_insert(format!("{when}, {tier:?}: series {series} at {time} is {found:?}, not {sent:?}"));
        }
        self.less |= right.keys().any(|key| !rows.contains_key(key));
    }
}

/// Asks for everything else; whether something was said to be damaged.
fn ask_everything(store: &SqliteStore) -> bool {
    let answers = [
        store.load().map(drop),
        store.incidents(&IncidentQuery { limit: ALL, ..IncidentQuery::default() }).map(drop),
        store.deliveries(&DeliveryQuery { limit: ALL, ..DeliveryQuery::default() }).map(drop),
        store.events(&EventQuery { limit: ALL, ..EventQuery::default() }).map(drop),
        store.audit(None, ALL).map(drop),
        store.delivery_counts().map(drop),
        store.stats().map(drop),
    ];
    answers.iter().any(Result::is_err)
}

/// All housekeeping; whether something was said to be damaged.
fn look_after(store: &SqliteStore, lease: LeaseToken, now: i64) -> bool {
    let now = Timestamp::from_millis(now);
    let mut noticed = store.roll_up(lease, now).is_err();
    noticed |= store.seal(lease, now, &SealPolicy::AT_ONCE).is_err();
    noticed |= store.retain(lease, now, &Retention::default()).is_err();
    let mut place = ScrubPlace::default();
    for _stretch in 0..10_000 {
        match store.scrub(lease, now, &mut place) {
            Ok(report) => {
                noticed |= !report.found.is_empty();
                if report.is_round {
                    return noticed;
                }
            }
            Err(_damage) => return true,
        }
    }
    panic!("scrubbing does not come round");
}
