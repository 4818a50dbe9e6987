//! A full disk: nothing is acknowledged that is not kept, alerts still page, people are heard at once, and the hub recovers by itself.

use crate::support::agents::HttpAgent;
use crate::support::double::Reply;
use crate::support::house::{House, rule};
use crate::support::hub::Start;
use crate::support::now_ms;
use crate::support::receiver::{Page, Receiver};
use crate::support::wait::{until, until_true};
use reqwest::Method;
use serde_json::{Value, json};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A small file system in memory.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// Mounts one, if that is allowed.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "none"]).arg(folder.path()).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(folder));
        }
        eprintln!("skipped: no file system may be mounted here");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all room that is left.
    fn fill(&self) -> PathBuf {
        let path = self.path().join("filler");
        let mut file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
        for size in [64 * 1024, 4096, 1] {
            while file.write_all(&vec![7; size]).is_ok() {}
        }
        path
    }
}

impl SmallDisk {
    /// Sends heartbeats until one is not acknowledged: the log of the database may have room for a few more pages. Gives its number.
    async fn exhaust(&self, agent: &HttpAgent, begun: i64) -> i64 {
        let mut n = 1;
        until("the first refusal", async || {
            n += 1;
            let wide: serde_json::Map<_, _> = (0..400).map(|k| (format!("own.wide{k}"), json!(n * 400 + k))).collect();
            let body = json!({"heartbeats": [{"boot_id": "b", "seq": n, "timestamp": begun + n, "metrics": wide}]});
            let post = tokio::time::timeout(Duration::from_secs(3), agent.post(&body)).await;
            let refused = post.is_err() || post.is_ok_and(|(status, _)| status == 503);
            self.fill();
            refused.then_some(())
        })
        .await;
        n
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _busy = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_still_pages_and_loses_nothing_that_was_acknowledged() {
    let Some(disk) = SmallDisk::mount() else { return };
    let house = House::on(Start::serve(&disk.path().join("data"))).await;
    // Its first answer is no: nobody but the hub's memory can try again.
    let receiver = Receiver::scripted(vec![Reply::of(503, "busy")]).await;
    let channel = house.api.make("/channels", &receiver.channel("hook")).await;
    house.api.make("/rules", &rule("CPU hot", "cpu.usage_percent", 90.0, &[&channel])).await;
    let agent = house.http_agent("a").await;
    let begun = now_ms();
    let beat = |n: i64, cpu: f64| json!({"heartbeats": [{"boot_id": "b", "seq": n, "timestamp": begun + n, "metrics": {"cpu.usage_percent": cpu, "own.number": n}}]});
    assert_eq!(agent.post(&beat(1, 5.0)).await.1["accepted"], 1);
    let filler = disk.fill();
    let n = disk.exhaust(&agent, begun).await;
    let (ready, _) = house.api.ask(Method::GET, "//readyz", None).await;
    assert_eq!(ready, 503, "a hub that cannot write is not ready");
    let last = n;
    let poster = agent.clone();
    let (first, breach) = (beat(last, 5.0), beat(last + 1, 95.0));
    let posts = tokio::spawn(async move { (poster.try_post(&breach).await, poster.try_post(&first).await) });
    let fired = receiver.nth("incident.fired", 1).await;
    assert!(fired.data["why"].as_str().unwrap().contains("cannot write"), "{:#}", fired.data);
    assert_eq!(posts.await.unwrap(), (None, None), "what is not written is not acknowledged");
    // The hub goes on trying to write, and does not page again for that.
    let tries = || house.hub.log().matches("cannot write").count();
    let before = tries();
    until_true("some more tries", async || tries() >= before + 4).await;
    assert_eq!((receiver.all().len(), receiver.taken().len()), (2, 1), "{:#?}", receiver.all());
    fs::remove_file(&filler).unwrap();
    until_true("the hub to write again", async || house.api.ask(Method::GET, "//readyz", None).await.0 == 200).await;
    for number in last..=last + 1 {
        let cpu = if number == last { 5.0 } else { 95.0 };
        until("a resent heartbeat to be taken", async || agent.try_post(&beat(number, cpu)).await).await;
    }
    let answer = agent.post(&beat(last + 2, 5.0)).await;
    assert_eq!(answer.1["accepted"], 1, "{answer:?}");
    let resolved = receiver.nth("incident.resolved", 1).await;
    assert_eq!(resolved.incident(), fired.incident());
    until_true("an empty outbox", async || house.outbox("queued").await.is_empty() && house.outbox("sending").await.is_empty())
        .await;
    assert_eq!(receiver.of("incident.fired").iter().filter(|page| !page.is_repeat()).count(), 1, "{:#?}", receiver.all());
    let raw = house.api.raw_history(&agent.identity.id, "cpu.usage_percent", begun - 1, now_ms() + 1_000).await;
    let kept: Vec<f64> = raw.iter().filter_map(|(_, value)| *value).collect();
    assert!(kept.contains(&95.0) && kept.len() >= 3, "{raw:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_is_on_it_is_heard_at_once_while_the_disk_is_full() {
    let Some(disk) = SmallDisk::mount() else { return };
    let house = House::on(Start::serve(&disk.path().join("data"))).await;
    let receiver = Receiver::start().await;
    let channel = house.api.make("/channels", &receiver.channel("hook")).await;
    house.api.make("/rules", &rule("CPU hot", "cpu.usage_percent", 90.0, &[&channel])).await;
    house.api.make("/rules", &rule("Memory full", "mem.used_percent", 90.0, &[&channel])).await;
    let agent = house.http_agent("a").await;
    let begun = now_ms();
    let beat =
        |n: i64, metrics: Value| json!({"heartbeats": [{"boot_id": "b", "seq": n, "timestamp": begun + n, "metrics": metrics}]});
    assert_eq!(agent.post(&beat(1, json!({"cpu.usage_percent": 95}))).await.1["accepted"], 1);
    let before = receiver.nth("incident.fired", 1).await;
    let filler = disk.fill();
    let n = disk.exhaust(&agent, begun).await;
    let _never = agent.try_post(&beat(n + 1, json!({"cpu.usage_percent": 95, "mem.used_percent": 95}))).await;
    let during = receiver.nth("incident.fired", 2).await;
    let say = async |page: &Page, word: &str, body: Value| {
        let path = format!("/incidents/{}/{word}", page.incident());
        let asked = house.api.ask(Method::POST, &path, Some(&body));
        tokio::time::timeout(Duration::from_secs(5), asked).await.expect("an answer at once")
    };
    // One that is stored, and one that fired while nothing can be: both are known by their page.
    for page in [&before, &during] {
        let (status, answer) = say(page, "ack", json!({"note": "making room"})).await;
        assert_eq!(
            (status, &answer["stored"], &answer["ack"]["note"]),
            (202, &json!(false), &json!("making room")),
            "{answer:#}"
        );
        assert!(answer["detail"].as_str().unwrap().contains("cannot write to its disk"), "{answer:#}");
    }
    let told = receiver.nth("incident.acked", 2).await;
    assert_eq!(told.data["ack"]["note"], "making room");
    // Both are shown as the hub knows them, to who has the page's link as well.
    for page in [&before, &during] {
        let shown = house.api.get(&format!("/incidents/{}", page.incident())).await;
        assert_eq!(
            (&shown["stored"], &shown["state"], &shown["ack"]["note"]),
            (&json!(false), &json!("open"), &json!("making room")),
            "{shown:#}"
        );
        let link = page.data["url"].as_str().unwrap();
        let at = link.find("/i/").unwrap();
        let (status, _, bytes) = house.api.raw(Method::GET, &format!("/{}", &link[at..]), None).await;
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(status == 200 && text.contains("making room") && text.contains("in memory"), "{status}: {text}");
        let picture = format!("/incidents/{}/chart.png", page.incident());
        let (status, _, bytes) = house.api.raw(Method::GET, &picture, None).await;
        assert!(status == 200 && bytes.starts_with(b"\x89PNG"), "{status}");
    }
    let unknown = house.api.ask(Method::GET, "/incidents/01ARZ3NDEKTSV4RRFFQ69G5FAV", None).await;
    assert_eq!(unknown.0, 404, "{unknown:?}");
    // What counts in memory can be taken back there, once.
    assert_eq!(say(&before, "unack", json!({})).await.0, 202);
    assert_eq!(say(&before, "unack", json!({})).await.0, 409);
    assert_eq!(say(&before, "ack", json!({"note": "again"})).await.0, 202);
    fs::remove_file(&filler).unwrap();
    until_true("the hub to write again", async || house.api.ask(Method::GET, "//readyz", None).await.0 == 200).await;
    for (page, note) in [(&before, "again"), (&during, "making room")] {
        let incident = house.api.get(&format!("/incidents/{}", page.incident())).await;
        assert_eq!(incident["ack"]["note"], note, "what counted is stored now: {incident:#}");
        assert_eq!(
            (&incident["stored"], incident["timeline"][0]["type"].as_str()),
            (&json!(true), Some("fired")),
            "{incident:#}"
        );
    }
    assert_eq!(say(&during, "ack", json!({})).await.0, 200);
}
