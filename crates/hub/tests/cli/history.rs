//! History in and out: what is imported is there, what is exported is the same to the bit, with a hub running and without one.

use crate::support::api::{Api, encode};
use crate::support::hub::{Hub, Start, on_data};
use crate::support::now_ms;
use crate::{on, refused};
use rustix::process::Signal;
use serde_json::json;
use std::fmt::Write as _;
use std::path::Path;

/// Twelve years ago, as another system writes it: every five minutes, digits of all kinds, one row twice, one late.
fn foreign() -> String {
    let mut text = "timestamp,value\n".to_owned();
    for i in 0..2_000_i32 {
        let minutes = if i == 1_000 { 5 } else { 5 * i };
        let (day, hour, minute) = (14 + minutes / 1_440, minutes / 60 % 24, minutes % 60);
        let value = f64::from(i * i % 997) / 7.0 * if i % 3 == 0 { 0.01 } else { 0.1 };
        writeln!(text, "2014-02-{day:02} {hour:02}:{minute:02}:00,{value}").unwrap();
    }
    text + "2014-02-14 00:02:30,-0.0\n"
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The rows of a table as times in milliseconds and bits.
fn bits(table: &str) -> Vec<(String, Vec<u64>)> {
    let cell = |text: &str| if text.is_empty() { f64::NAN } else { text.parse::<f64>().unwrap() }.to_bits();
    let row = |line: &str| {
        let (time, cells) = line.split_once(',').unwrap();
        (time.to_owned(), cells.split(',').map(cell).collect())
    };
    table.lines().skip(1).map(row).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_is_what_was_imported_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let hub = Hub::start(Start::serve(&data)).await;
    drop(hub);
    let file = write(folder.path(), "far away.csv", &foreign());
    let import = |agent: &str, file: &str| on_data(&data, &["import", "--agent", agent, "--csv", file, "--keep"]);
    assert_eq!(import("old-01", &file), "2001 rows of 1 series read: 2000 stored, 1 duplicate, 0 refused");
    assert_eq!(import("old-01", &file), "2001 rows of 1 series read: 0 stored, 2001 duplicate, 0 refused");
    let export = |agent: &str| on_data(&data, &["export", "history", "--agent", agent]) + "\n";
    let table = export("old-01");
    assert!(
        table.starts_with("time_utc,import.far_away\r\n2014-02-14T00:00:00.000Z,0\r\n2014-02-14T00:02:30.000Z,-0\r\n"),
        "{}",
        &table[..200]
    );
    let mut expected: Vec<(String, u64)> = foreign()
        .lines()
        .skip(1)
        .map(|line| (line[..19].replace(' ', "T") + ".000Z", line[20..].parse::<f64>().unwrap().to_bits()))
        .collect();
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    expected.dedup_by(|b, a| a.0 == b.0);
    let found: Vec<(String, u64)> = bits(&table).into_iter().map(|(at, values)| (at, values[0])).collect();
    assert_eq!(found, expected);
    // Packed and rolled up it is the same, and so is the copy of the copy.
    on_data(&data, &["maintain"]);
    assert_eq!(export("old-01"), table);
    import("old-02", &write(folder.path(), "again.csv", &table));
    assert_eq!(export("old-02"), table);
    let all = folder.path().join("all");
    on_data(&data, &["export", "history", "--out", all.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(all.join("old-02.csv")).unwrap().trim_end(), table.trim_end());
    // Two tables of one host are joined.
    let other = write(folder.path(), "other.csv", "t,v\n2014-02-14 00:00:00,5\n2014-02-14 00:01:00,6\n");
    on_data(
        &data,
        &["import", "--agent", "both", "--csv", &file, "--metric", "a.b", "--csv", &other, "--metric", "load.avg_1m", "--keep"],
    );
    let both = export("both");
    assert!(
        both.starts_with("time_utc,a.b,load.avg_1m\r\n2014-02-14T00:00:00.000Z,0,5\r\n2014-02-14T00:01:00.000Z,,6\r\n"),
        "{}",
        &both[..200]
    );
    let one =
        on_data(&data, &["export", "history", "--agent", "both", "--metrics", "load.avg_1m", "--end", "2014-02-14T00:01:00Z"]);
    assert_eq!(one, "time_utc,load.avg_1m\r\n2014-02-14T00:00:00.000Z,5");
}

#[tokio::test(flavor = "multi_thread")]
async fn imported_history_is_there_at_once_and_its_host_is_never_missed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut hub = Hub::start(Start::serve(&data)).await;
    let token = on_data(&data, &["token", "create", "--name", "x", "--scopes", "admin"]);
    let api = Api::new(&hub.url, &token);
    let file = write(folder.path(), "far.csv", &foreign());
    let words = ["import", "--agent", "old-01", "--csv", &file, "--metric", "cpu.usage_percent", "--shift-to-now"];
    let before = now_ms();
    assert_eq!(on_data(&data, &words), "2001 rows of 1 series read: 2000 stored, 1 duplicate, 0 refused");
    let agent = api.agent("old-01").await;
    let id = agent["id"].as_str().unwrap().to_owned();
    assert_eq!((&agent["status"], &agent["last_seen"]), (&json!("offline"), &json!(null)));
    assert!(agent["metrics"]["cpu.usage_percent"].is_number(), "{agent}");
    let rows = api.raw_history(&id, "cpu.usage_percent", 0, now_ms() + 1).await;
    let rows: Vec<_> = rows.into_iter().filter(|(_, value)| value.is_some()).collect();
    assert_eq!(rows.len(), 2_000);
    assert!((before..=now_ms()).contains(&rows[1_999].0), "{:?}", rows[1_999]);
    // What it looked like before a rule was there: a preview over it.
    let draft = json!({"name": "d", "metric": "cpu.usage_percent", "op": ">", "threshold": 14, "for": "0s", "scope": {"agent": id}, "start": "-7d", "end": "now"});
    let preview = api.post("/rules/preview", &draft).await;
    assert!(preview["totals"]["incidents"].as_u64().unwrap() > 10, "{}", preview["totals"]);
    let beside = on_data(&data, &["export", "history", "--agent", "old-01"]);
    assert_eq!(bits(&beside).len(), 2_000);
    let streamed = api
        .file(&format!("/agents/{id}/metrics/history.csv?metrics={}&start=-7d&tier=raw", encode("cpu.usage_percent")), "text/csv")
        .await;
    let streamed = String::from_utf8(streamed).unwrap();
    assert_eq!(
        bits(&streamed).into_iter().filter(|(_, values)| !f64::from_bits(values[0]).is_nan()).collect::<Vec<_>>(),
        bits(&beside)
    );
    hub.end(Signal::TERM).await;
    assert_eq!(on_data(&data, &["export", "history", "--agent", "old-01"]), beside);
    hub.again().await;
    assert_eq!(api.agent("old-01").await["status"], "offline");
    // Nobody was told that it is offline: it was never heard, so nothing is missing.
    assert!(api.list("/incidents").await.is_empty() && api.events("agent_offline").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_imported_or_exported_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let fine = write(folder.path(), "fine.csv", "t,v\n1763769600,1\nyesterday,2\n1763769660,3\n4102444800,4\n");
    let import = |words: &[&str]| on(&data, &[&["import", "--agent", "a"], words].concat());
    refused(&import(&["--csv", &fine]), &["no database", "--data"]);
    let mut hub = Hub::start(Start::serve(&data)).await;
    for running in [true, false] {
        if !running {
            hub.end(Signal::TERM).await;
        }
        refused(&import(&["--csv", "nowhere.csv"]), &["nowhere.csv", "cannot read"]);
        refused(&import(&["--csv", &fine, "--metric", "CPU"]), &["CPU", "--metric"]);
        refused(&import(&["--csv", &fine, "--metric", "a.b", "--metric", "c.d"]), &["once for each --csv"]);
        refused(
            &import(&["--csv", &write(folder.path(), "bad.csv", "t,v\nx,1\ny,2\n")]),
            &["bad.csv:2", "bad.csv:3", "none can be stored"],
        );
        refused(&on(&data, &["import", "--agent", " ", "--csv", &fine]), &["name"]);
        refused(&on(&data, &["export", "history", "--agent", "nobody"]), &["nobody"]);
        refused(&on(&data, &["export", "history"]), &["--agent", "--out"]);
        let done = import(&["--csv", &fine, "--keep"]);
        let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert_eq!(done.status.code(), Some(3), "what was left out is no success: {err}");
        let (stored, doubled) = if running { (2, 0) } else { (0, 2) };
        assert_eq!(out, format!("4 rows of 1 series read: {stored} stored, {doubled} duplicate, 2 refused\n"), "{err}");
        assert!(
            err.contains("fine.csv:3: \"yesterday\"") && err.contains("2100-01-01T00:00:00.000Z lies in the future"),
            "{err}"
        );
    }
    let file = write(folder.path(), "there.csv", "");
    refused(&on(&data, &["export", "history", "--agent", "a", "--out", &file]), &["there.csv"]);
}
