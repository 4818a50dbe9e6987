//! Backups and restores.

use crate::support::api::Api;
use crate::support::house::{House, rule};
use crate::support::hub::{Hub, Start, on_data};
use crate::support::wait::until;
use crate::{on, refused};
use rustix::process::Signal;
use serde_json::json;
use std::fs;
use std::path::Path;

/// The names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_taken_while_the_hub_runs_is_the_hub_as_it_was() {
    let mut house = House::start().await;
    let agent = house.http_agent("db-01").await;
    let heartbeat = |seq: u64, value: f64| {
        let at = crate::support::now_ms();
        json!({"heartbeats": [{"timestamp": at, "boot_id": "b", "seq": seq, "metrics": {"cpu.usage_percent": value}}]})
    };
    assert_eq!(agent.post(&heartbeat(1, 11.5)).await.0, 200);
    let file = house.room().join("hub.backup");
    let name = file.to_str().unwrap().to_owned();
    let said = on_data(house.hub.data(), &["backup", &name]);
    assert!(said.contains(&name), "{said}");
    refused(&on(house.hub.data(), &["backup", &name]), &["hub.backup", "exists"]);
    assert_eq!(agent.post(&heartbeat(2, 22.5)).await.0, 200);
    refused(&on(house.hub.data(), &["restore", &name]), &["runs", "stop it first"]);
    house.hub.end(Signal::TERM).await;
    let offline = house.room().join("offline.backup");
    on_data(house.hub.data(), &["backup", offline.to_str().unwrap()]);

    // Somewhere else, from the one taken while it ran.
    let elsewhere = house.room().join("elsewhere/data");
    assert_eq!(on_data(&elsewhere, &["restore", &name]), format!("restored {name}"));
    assert_eq!(names(&elsewhere), ["nightbell.db"], "nothing is left lying about");
    let other = Hub::start(Start::serve(&elsewhere)).await;
    let path = format!("//api/v1/agents/{}/metrics/history?metrics=cpu.usage_percent", agent.identity.id);
    let values = async |api: &Api| api.get(&path).await["series"][0]["v"].clone();
    let token = on_data(&elsewhere, &["token", "create", "--name", "x", "--scopes", "admin"]);
    assert_eq!(values(&Api::new(&other.url, &token)).await, json!([11.5]));

    // Over the old one, from the one taken while it stood still: what was there is kept.
    let said = on_data(house.hub.data(), &["restore", offline.to_str().unwrap()]);
    assert!(said.contains("is kept as") && said.contains("before-restore"), "{said}");
    assert_eq!(names(house.hub.data()).iter().filter(|name| name.contains("before-restore")).count(), 1);
    house.hub.again().await;
    assert_eq!(values(&house.api).await, json!([11.5, 22.5]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_backup_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    Hub::start(Start::serve(&data)).await.end(Signal::TERM).await;
    let good = folder.path().join("good");
    on_data(&data, &["backup", good.to_str().unwrap()]);
    let bytes = fs::read(&good).unwrap();
    let before = (fs::read(data.join("nightbell.db")).unwrap(), names(&data));
    let mut newer = bytes.clone();
    newer[60..64].copy_from_slice(&9_999_u32.to_be_bytes());
    let file = |name: &str, bytes: &[u8]| {
        fs::write(folder.path().join(name), bytes).unwrap();
    };
    file("empty", b"");
    file("text", &b"not a database at all ".repeat(500));
    file("half", &bytes[..bytes.len() / 2]);
    file("newer", &newer);
    for (name, word) in
        [("missing", "missing"), ("empty", "no backup"), ("text", "no backup"), ("half", "half"), ("newer", "newer")]
    {
        let path = folder.path().join(name);
        refused(&on(&data, &["restore", path.to_str().unwrap()]), &[word]);
        assert!((fs::read(data.join("nightbell.db")).unwrap(), names(&data)) == before, "{name} changed something");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_with_a_damaged_part_is_restored_only_if_that_is_asked_for() {
    let house = House::start().await;
    let agent = house.http_agent("db-01").await;
    let at = crate::support::now_ms() - 60_000;
    let beats: Vec<_> = (0..3).map(|n| json!({"timestamp": at + n * 1000, "metrics": {"cpu.usage_percent": n}})).collect();
    assert_eq!(agent.post(&json!({"heartbeats": beats})).await.0, 200);
    let file = house.room().join("damaged");
    let name = file.to_str().unwrap();
    on_data(house.hub.data(), &["backup", name]);
    // One row is not what was written any more.
    let sql = "UPDATE agent_metrics SET received = received + 1 WHERE ts = (SELECT min(ts) FROM agent_metrics)";
    assert_eq!(rusqlite::Connection::open(&file).unwrap().execute(sql, []).unwrap(), 1);
    let elsewhere = house.room().join("elsewhere");
    refused(
        &on(&elsewhere, &["restore", name]),
        &["agent_metrics row", "checksum", "a part of it is damaged", "--damaged", "nothing was changed"],
    );
    assert_eq!(names(&elsewhere), Vec::<String>::new());
    assert_eq!(on_data(&elsewhere, &["restore", name, "--damaged"]), format!("restored {name}"));
    let other = Hub::start(Start::serve(&elsewhere)).await;
    let token = on_data(&elsewhere, &["token", "create", "--name", "x", "--scopes", "admin"]);
    let api = Api::new(&other.url, &token);
    let kept = api.raw_history(&agent.identity.id, "cpu.usage_percent", at - 1, at + 5000).await;
    assert_eq!(kept, [(at + 1000, Some(1.0)), (at + 2000, Some(2.0))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_database_is_replaced_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (data, backup) = (folder.path().join("data"), folder.path().join("backup"));
    Hub::start(Start::serve(&data)).await.end(Signal::TERM).await;
    on_data(&data, &["backup", backup.to_str().unwrap()]);
    fs::write(data.join("nightbell.db"), b"torn to pieces ".repeat(1000)).unwrap();
    let said = on_data(&data, &["restore", backup.to_str().unwrap()]);
    assert!(said.contains("before-restore"), "{said}");
    let hub = Hub::start(Start::serve(&data)).await;
    assert!(hub.greeting.contains("ready"), "{}", hub.greeting);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_hub_sends_no_old_pages_by_itself() {
    let mut house = House::start().await;
    // The port "discard", where nobody listens.
    let config = json!({"url": "http://127.0.0.1:9/pages", "allow_private": true});
    let channel = house.api.make("/channels", &json!({"name": "ops", "kind": "webhook", "config": config})).await;
    house.api.make("/rules", &rule("CPU hot", "cpu.usage_percent", 90.0, &[&channel])).await;
    let mut agent = house.json_agent("db-01").await;
    agent.beat(&json!({"cpu.usage_percent": 99.0})).await;
    until("a page that waits", async || (house.outbox("queued").await.len() == 1).then_some(())).await;
    let backup = house.room().join("backup");
    on_data(house.hub.data(), &["backup", backup.to_str().unwrap()]);
    house.hub.end(Signal::TERM).await;
    on_data(house.hub.data(), &["restore", backup.to_str().unwrap()]);
    house.hub.again().await;
    let held = house.outbox("held").await;
    assert_eq!(held.len(), 1, "{held:?}");
    let id = held[0]["id"].as_str().unwrap();
    let again = house.api.post(&format!("/outbox/{id}/retry"), &json!({})).await;
    assert_eq!(again["state"], "queued", "{again}");
}
