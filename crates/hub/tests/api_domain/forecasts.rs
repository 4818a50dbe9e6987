//! Which disks will be full, and when.

use crate::world::{World, now_ms};
use reqwest::Method;
use serde_json::{Value, json};

const HOUR_MS: i64 = 3_600_000;

/// Eight hours of a host on which `/data` grows by so many percent an hour, to 90 now, and `/` stands.
fn beats(now: i64, per_hour: f64) -> Vec<(i64, Value)> {
    (0..96)
        .map(|step| {
            let at = now - (95 - step) * 300_000;
            #[expect(clippy::cast_precision_loss, reason = "hours")]
            let data = 90.0 - per_hour * (now - at) as f64 / HOUR_MS as f64;
            (at, json!({"disk.used_percent{mount=/}": 95.0, "disk.used_percent{mount=/data}": (data * 100.0).round() / 100.0}))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_says_when_it_is_full() {
    let world = World::new().await;
    let poster = world.agent("db-01").await;
    let emptying = world.agent("db-02").await;
    emptying.post(&beats(now_ms(), -1.0)).await;
    poster.post(&beats(now_ms(), 1.0)).await;
    let look = async || {
        let found = world.get("/forecasts").await;
        (found["items"].as_array().unwrap().len() == 1).then_some(found)
    };
    let found = world.until("a forecast", look).await;
    let item = &found["items"][0];
    assert_eq!((&item["agent"]["name"], &item["labels"]), (&json!("db-01"), &json!({"mount": "/data"})), "{found:#}");
    assert_eq!((&item["metric"], &item["value"]), (&json!("disk.used_percent"), &json!(90.0)));
    assert!((item["per_hour"].as_f64().unwrap() - 1.0).abs() < 0.02, "{found:#}");
    let seconds = item["full_in_seconds"].as_f64().unwrap();
    assert!((seconds - 36_000.0).abs() < 1_000.0, "ten hours: {found:#}");
    assert!(item["confidence"].as_f64().unwrap() > 0.99 && item["window_seconds"] == 21_600, "{found:#}");
    let of = async |query: &str| world.get(&format!("/forecasts?{query}")).await["items"].as_array().unwrap().len();
    assert_eq!(of(&format!("agent={}", poster.id)).await, 1);
    assert_eq!(of(&format!("agent={}", emptying.id)).await, 0, "what empties is never full");
    assert_eq!(of("tag=none").await, 0);
    let (status, code) = world.refusal(Method::GET, "/forecasts?limit=0", None).await;
    assert_eq!((status, code.as_str()), (422, "invalid"));
}
