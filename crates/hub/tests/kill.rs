//! `kill -9` of the hub in mid-load, again and again: what it acknowledged is there exactly once afterwards, every incident that a hub
//! which is never killed would have fired is there, and no page is lost.
//!
//! 50 kills, or 200 with `NIGHTBELL_SLOW=1`, while the receiver refuses a page now and then.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

#[expect(dead_code, reason = "each of the test programs uses a part")]
mod support;
#[path = "kill/writers.rs"]
mod writers;

use rustix::process::Signal;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::agents::Identity;
use support::double::Reply;
use support::house::{House, rule};
use support::receiver::{Page, Receiver};
use support::wait::until_true;
use support::{now_ms, slow};
use writers::{Load, post_writer, rises, socket_writer};

/// Writers over a WebSocket and over HTTP.
const SOCKETS: usize = 5;
const POSTERS: usize = 2;
/// Heartbeats that have to become durable between two kills.
const PROGRESS: u64 = 300;
/// A window of history holds fewer samples of one writer than one answer may.
const WINDOW_MS: i64 = 15_000;
/// A page that was refused five times waits for a minute and a half, and attempts that a kill interrupts count as refused.
const LAST_PAUSES: Duration = Duration::from_mins(5);
/// The pause between two looks at what is left.
const LOOK: Duration = Duration::from_millis(40);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_acknowledged_survives_kills_exactly_once_and_no_page_is_lost() {
    let kills = if slow() { 200 } else { 50 };
    let mut house = House::start().await;
    let receiver = Receiver::scripted(moody(now_ms())).await;
    let channel = house.api.make("/channels", &receiver.channel("hook")).await;
    house.api.make("/rules", &rule("Level", "kill.level", 50.0, &[&channel])).await;
    let load = Arc::new(Load::default());
    let begun = now_ms();
    let (mut identities, mut tasks) = (Vec::new(), Vec::new());
    for n in 0..SOCKETS {
        let agent = house.json_agent(&format!("socket-{n}")).await;
        identities.push(agent.identity.clone());
        tasks.push(tokio::spawn(socket_writer(house.hub.url.clone(), agent.identity.clone(), Arc::clone(&load))));
        agent.leave().await;
    }
    for n in 0..POSTERS {
        let agent = house.http_agent(&format!("poster-{n}")).await;
        agent.promise(600_000).await;
        identities.push(agent.identity.clone());
        tasks.push(tokio::spawn(post_writer(agent, Arc::clone(&load))));
    }
    let ready = kill_again_and_again(&mut house, &load, kills).await;
    load.finish();
    let mut written = Vec::new();
    for task in tasks {
        written.push(task.await.expect("the writer ends"));
    }
    let total: u64 = written.iter().sum();
    eprintln!("{kills} kills, {total} heartbeats, ready again after {:?} at most", ready);
    for (identity, count) in identities.iter().zip(&written) {
        history_is_exact(&house, identity, *count, begun).await;
    }
    pages_are_complete(&house, &receiver).await;
    for (identity, count) in identities.iter().zip(&written) {
        let fired = house.api.list(&format!("/incidents?state=all&agent={}", identity.id)).await.len() as u64;
        assert_eq!(fired, rises(*count), "incidents of {} over {count} heartbeats, told by what was written", identity.id);
    }
}

/// Answers of a receiver that is busy or broken for one page in sixteen, at moments that the seed decides.
fn moody(seed: i64) -> Vec<Reply> {
    eprintln!("the receiver's moods are those of seed {seed}");
    let mut state = seed.cast_unsigned();
    let mut answer = || {
        // Knuth's multiplier; the high bits are the random ones.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match state >> 58 {
            0 | 1 => Reply::of(503, ""),
            2 => Reply::of(500, ""),
            3 => Reply::of(429, "").with("retry-after", "1"),
            _ => Reply::of(204, ""),
        }
    };
    (0..5_000).map(|_| answer()).collect()
}

/// Kills the hub each time it has got somewhere; gives the longest time to be ready again.
async fn kill_again_and_again(house: &mut House, load: &Load, kills: u32) -> Duration {
    let mut longest = Duration::ZERO;
    for kill in 0..kills {
        let before = load.acknowledged();
        until_true("progress between two kills", async || load.acknowledged() >= before + PROGRESS).await;
        // Some moment of a commit, a send or a settle: never the same.
        let pause = Duration::from_millis(u64::from(kill * 37 % 211));
        tokio::time::sleep(pause).await;
        assert!(house.hub.runs(), "the hub ended by itself: {}", house.hub.log());
        house.restart(Signal::KILL).await;
        longest = longest.max(house.hub.ready_after);
    }
    longest
}

/// Every number from 1 to `count` is there once, and in order.
async fn history_is_exact(house: &House, identity: &Identity, count: u64, begun: i64) {
    let mut samples = BTreeMap::new();
    let (mut start, end) = (begun - 1000, now_ms() + 1000);
    while start < end {
        samples.extend(house.api.raw_history(&identity.id, "kill.seq", start, start + WINDOW_MS).await);
        start += WINDOW_MS;
    }
    let mut times: HashMap<u64, u32> = HashMap::new();
    for value in samples.into_values().flatten() {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number that was counted up from 1")]
        let seq = value as u64;
        *times.entry(seq).or_default() += 1;
    }
    let lost: Vec<u64> = (1..=count).filter(|seq| !times.contains_key(seq)).collect();
    let twice: Vec<(&u64, &u32)> = times.iter().filter(|(_, times)| **times > 1).collect();
    assert!(lost.is_empty() && twice.is_empty(), "{}: lost {lost:?}, more than once {twice:?}", identity.id);
    assert_eq!(times.len() as u64, count);
}

/// Each incident was announced once and ended once; a second time only if it is marked as a repeat.
async fn pages_are_complete(house: &House, receiver: &Receiver) {
    let begun = Instant::now();
    loop {
        let left = left(house).await;
        if left.is_empty() {
            break;
        }
        assert!(begun.elapsed() < LAST_PAUSES, "not resolved or not sent: {left:#?}");
        tokio::time::sleep(LOOK).await;
    }
    let incidents = house.api.list("/incidents?state=all").await;
    assert!(incidents.len() > 10, "{} incidents are too few to say anything", incidents.len());
    let pages = receiver.taken();
    let repeats = pages.iter().filter(|page| page.is_repeat()).count();
    eprintln!(
        "{} incidents, {} pages, {repeats} of them marked as repeats; quiet after {:?}",
        incidents.len(),
        pages.len(),
        begun.elapsed()
    );
    let dead = house.outbox("dead").await;
    assert!(dead.is_empty(), "{dead:?}");
    for kind in ["incident.fired", "incident.resolved"] {
        let mut told: HashMap<&str, Vec<&Page>> = HashMap::new();
        for page in pages.iter().filter(|page| page.kind == kind) {
            told.entry(page.incident()).or_default().push(page);
        }
        for incident in &incidents {
            let id = incident["id"].as_str().unwrap();
            let own = told.remove(id).unwrap_or_default();
            one_or_marked(&own, kind, incident);
        }
        assert!(told.is_empty(), "pages of {kind} about no incident: {told:?}");
    }
}

/// Pages that are not sent, and incidents that are open.
async fn left(house: &House) -> Vec<Value> {
    let [queued, sending] = [house.outbox("queued").await, house.outbox("sending").await];
    let open = house.api.list("/incidents?state=open").await;
    [queued, sending, open].concat()
}

fn one_or_marked(pages: &[&Page], kind: &str, incident: &Value) {
    assert!(!pages.is_empty(), "{kind} was never sent: {incident:#}");
    let unmarked = pages.iter().filter(|page| !page.is_repeat()).count();
    assert!(unmarked <= 1, "{kind} was sent {unmarked} times without a mark: {pages:#?}");
    assert!(pages.iter().all(|page| page.id == pages[0].id), "a repeat has another webhook-id: {pages:#?}");
}
