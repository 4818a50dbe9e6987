//! Power loss at any moment: the writes and syncs of a real hub under load are recorded, the record is cut at random points,
//! and from each cut a disk is made as it may have been left: what was synced is there, what was not is lost, kept or torn.
//! Every such disk must open, and hold what the hub had acknowledged by then, exactly once, with its alerts and their pages.
//!
//! 500 cuts, or 5,000 with `NIGHTBELL_SLOW=1`; `NIGHTBELL_E2E_SEED` chooses others. A disk that fails is kept below the target
//! folder.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

#[path = "crash/chance.rs"]
mod chance;
#[path = "crash/disk.rs"]
mod disk;
#[path = "crash/judge.rs"]
mod judge;
#[path = "crash/load.rs"]
mod load;
#[path = "crash/record.rs"]
mod record;
#[expect(dead_code, reason = "each of the test programs uses a part")]
mod support;

use chance::Chance;
use disk::{Disk, Image};
use judge::{Found, Known, judge};
use load::{Load, Manner, Voice, speak};
use nightbell_model::Ulid;
use record::{Record, Step};
use rustix::process::Signal;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};
use support::agents::HttpAgent;
use support::api::Api;
use support::double::{Double, Reply};
use support::house::rule;
use support::hub::{Hub, Start, on_data};
use support::{now_ms, slow};
use tempfile::TempDir;

/// Heartbeats of the past begin so long ago.
const OLD_MS: i64 = 9 * 3_600_000;
/// How long each life of the hub lasts, and how it ends.
const LIVES: [(Duration, Signal); 3] =
    [(Duration::from_secs(6), Signal::KILL), (Duration::from_secs(4), Signal::TERM), (Duration::from_secs(3), Signal::KILL)];

/// What was recorded, and who spoke.
struct Story {
    steps: Vec<Step>,
    voices: Vec<Voice>,
    ended: i64,
    /// Keeps the folder.
    _room: TempDir,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_power_loss_leaves_holds_all_that_was_acknowledged() {
    let seed = std::env::var("NIGHTBELL_E2E_SEED").map_or(20_260_131, |seed| seed.parse().expect("a seed is a number"));
    let cuts = if slow() { 5_000 } else { 500 };
    let story = Arc::new(record().await);
    let begun = Instant::now();
    let trials = tokio::task::spawn_blocking(move || {
        let failures = try_all(&story, &cut_points(&story, cuts, seed), false);
        // A check that cannot fail proves nothing: on a disk that lies about its syncs, something must be missing.
        let lied_to = try_all(&story, &cut_points(&story, 40, seed + 1), true);
        (failures, lied_to)
    });
    let ((found, failures), (_, lied_to)) = trials.await.expect("no panic");
    eprintln!(
        "seed {seed}: {cuts} crashes judged in {:?}; the fullest disk held {} heartbeats, {} incidents and {} pages that may repeat",
        begun.elapsed(),
        found.heartbeats,
        found.incidents,
        found.repeats
    );
    assert!(failures.is_empty(), "{} of {cuts} crashes: {}", failures.len(), failures.join("\n"));
    assert!(lied_to.len() > 20, "a disk that lies was found out in {} of 40 crashes only", lied_to.len());
}

/// Lets a hub live and die under load.
async fn record() -> Story {
    let room = tempfile::tempdir().unwrap();
    let data = room.path().canonicalize().unwrap().join("data");
    std::fs::create_dir(&data).unwrap();
    let record = Record::new(&data, room.path());
    let mut start = Start::serve(&data).with(&["--log", "warn"]);
    start.environment = record.environment();
    start.environment.extend(busy_housekeeping());
    let mut hub = Hub::start(start).await;
    let load = Arc::new(Load::new(record.marks()));
    let marks = Mutex::new(record.marks());
    let receiver = Double::start(move |request| {
        marks.lock().unwrap().put(&format!("page {}", request.headers["webhook-id"]));
        Reply::of(204, "")
    })
    .await;
    let voices = furnish(&hub, &receiver, &load).await;
    let mut lives = LIVES.into_iter().peekable();
    while let Some((life, end)) = lives.next() {
        let before = load.acknowledged();
        tokio::time::sleep(life).await;
        assert!(load.acknowledged() > before + 50, "nothing was acknowledged: {}", hub.log());
        if lives.peek().is_none() {
            load.finish();
        }
        hub.end(end).await;
        if lives.peek().is_some() {
            hub.again().await;
        }
    }
    let steps = record.steps();
    eprintln!("{} heartbeats acknowledged, {} steps recorded", load.acknowledged(), steps.len());
    Story { steps, voices, ended: now_ms(), _room: room }
}

/// All housekeeping every second or two, whatever there is.
fn busy_housekeeping() -> impl Iterator<Item = (String, std::ffi::OsString)> {
    let jobs = nightbell::config::KEYS.iter().filter(|key| key.name.starts_with("jobs."));
    jobs.zip(1..).map(|(key, n)| (key.variable(), format!("*/{} * * * * *", 1 + n % 2).into()))
}

/// A rule, a channel, and agents that speak.
async fn furnish(hub: &Hub, receiver: &Double, load: &Arc<Load>) -> Vec<Voice> {
    let token = on_data(hub.data(), &["token", "create", "--name", "tests", "--scopes", "admin"]);
    let api = Api::new(&hub.url, &token);
    let config = json!({"url": receiver.at("page"), "allow_private": true});
    let channel = api.make("/channels", &json!({"name": "hook", "kind": "webhook", "config": config})).await;
    api.make("/rules", &rule("Level", "crash.level", 50.0, &[&channel])).await;
    let manners = [Manner::Socket, Manner::Socket, Manner::Socket, Manner::Http, Manner::Old, Manner::Old];
    let enrolment = on_data(hub.data(), &["enroll", "create", "--uses", &manners.len().to_string()]);
    let mut voices = Vec::new();
    for (number, manner) in (1..).zip(manners) {
        let agent = HttpAgent::enrol(&hub.url, &enrolment, &format!("agent-{number}")).await;
        let since = if manner == Manner::Old { now_ms() - OLD_MS } else { now_ms() };
        let voice = Voice { identity: agent.identity.clone(), manner, number, since };
        let poster = (manner == Manner::Http).then_some(agent);
        tokio::spawn(speak(hub.url.clone(), voice.clone(), poster, Arc::clone(load)));
        voices.push(voice);
    }
    voices
}

/// Where to cut, in order: anywhere, and as often right after somebody learnt something.
fn cut_points(story: &Story, count: usize, seed: u64) -> Vec<(usize, u64)> {
    let marks: Vec<usize> = (0..story.steps.len()).filter(|at| matches!(story.steps[*at], Step::Mark(_))).collect();
    let mut chance = Chance::new(seed);
    let mut cuts: Vec<(usize, u64)> = (0..count)
        .map(|n| {
            let at = if n % 2 == 0 { chance.below(story.steps.len()) } else { marks[chance.below(marks.len())] };
            (at, seed.wrapping_mul(1_000_003).wrapping_add(n as u64))
        })
        .collect();
    cuts.sort_unstable();
    cuts
}

/// A crash to be judged.
struct Crash {
    at: usize,
    seed: u64,
    image: Image,
    known: Known,
}

/// Makes the disks one after the other and has them judged on two threads; what the last one held, and what is wrong.
fn try_all(story: &Arc<Story>, cuts: &[(usize, u64)], lies: bool) -> (Found, Vec<String>) {
    let (send, receive) = mpsc::sync_channel::<Crash>(2);
    let receive = Arc::new(Mutex::new(receive));
    let judges: Vec<_> = (0..2)
        .map(|_| {
            let (receive, story) = (Arc::clone(&receive), Arc::clone(story));
            std::thread::spawn(move || judge_all(&receive, &story, lies))
        })
        .collect();
    let (mut disk, mut known, mut done) = (Disk::new(lies), Known::default(), 0);
    for (at, seed) in cuts {
        for step in &story.steps[done..=*at] {
            disk.step(step);
            learn(&mut known, step);
        }
        done = at + 1;
        let image = disk.image(&mut Chance::new(*seed));
        send.send(Crash { at: *at, seed: *seed, image, known: known.clone() }).expect("the judges live");
    }
    drop(send);
    let (mut last, mut failures) = (Found::default(), Vec::new());
    for (found, own) in judges.into_iter().map(|judge| judge.join().expect("no panic")) {
        last = if found.heartbeats > last.heartbeats { found } else { last };
        failures.extend(own);
    }
    (last, failures)
}

fn judge_all(crashes: &Mutex<mpsc::Receiver<Crash>>, story: &Story, lies: bool) -> (Found, Vec<String>) {
    let (mut last, mut failures) = (Found::default(), Vec::new());
    loop {
        let next = crashes.lock().unwrap().recv();
        let Ok(Crash { at, seed, image, known }) = next else { return (last, failures) };
        let folder = tempfile::tempdir().unwrap();
        let verdict = std::panic::catch_unwind(|| judge(&image, &known, &story.voices, folder.path(), story.ended));
        match verdict.unwrap_or_else(|_panic| Err("it panicked".to_owned())) {
            Ok(found) if found.heartbeats > last.heartbeats => last = found,
            Ok(_) => {}
            Err(why) if lies => failures.push(why),
            Err(why) => failures.push(format!(
                "cut at {at} of {}, seed {seed}: {why}; {}",
                story.steps.len(),
                keep(&image, seed).display()
            )),
        }
    }
}

/// What the agents and the receiver learn from a step.
fn learn(known: &mut Known, step: &Step) {
    let Step::Mark(text) = step else { return };
    let words: Vec<&str> = text.split(' ').collect();
    match words.as_slice() {
        ["ack", agent, seq] => drop(known.acknowledged.insert(agent.parse().unwrap(), seq.parse().unwrap())),
        ["page", id] => drop(known.pages.insert(id.parse::<Ulid>().expect("a delivery's id"))),
        other => panic!("a mark {other:?}"),
    }
}

/// Puts a disk where it can be looked at.
fn keep(image: &Image, seed: u64) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("crash-{seed}"));
    std::fs::create_dir_all(&folder).unwrap();
    for (name, bytes) in image {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    folder
}
