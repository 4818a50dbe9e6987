//! What is past need not be sent again, unless it has changed after all.

use crate::world::{Answer, Poster, World, now_ms, send};
use nightbell_model::Timestamp;
use nightbell_store::SealPolicy;
use reqwest::Method;
use serde_json::json;

const HOUR: i64 = 3_600_000;

/// An agent with two hours of heartbeats that ended two hours ago, all of them sealed; and when they began.
async fn sealed(world: &World) -> (Poster, i64) {
    let poster = world.agent("db-01").await;
    let begin = (now_ms() / HOUR - 4) * HOUR;
    let beats: Vec<_> =
        (0..480).map(|i| (begin + i * 15_000, json!({"cpu.usage_percent": i % 90, "load.avg_1m": 0.5}))).collect();
    poster.post(&beats).await;
    seal(world);
    (poster, begin)
}

fn seal(world: &World) {
    let (app, now) = (&world.hub.app, Timestamp::from_millis(now_ms()));
    tokio::task::block_in_place(|| app.metrics.seal(app.lease, now, &SealPolicy::AT_ONCE)).unwrap();
}

async fn get(world: &World, path: &str, known: &str) -> Answer {
    let request = world.request(Method::GET, path);
    send(if known.is_empty() { request } else { request.header("if-none-match", known) }).await
}

/// The validator of an answer that has one; who has it already is told so, and whoever has another gets the answer.
async fn validator(world: &World, path: &str) -> String {
    let first = get(world, path, "").await;
    let tag = first.header("etag");
    assert!(first.status == 200 && tag.starts_with("W/\""), "{path}: {} {tag:?}", first.status);
    assert_eq!(first.header("cache-control"), "private, no-cache", "{path}");
    let again = get(world, path, &format!("\"other\", {tag}")).await;
    assert_eq!((again.status, again.header("etag"), again.bytes.len()), (304, tag.clone(), 0), "{path}");
    let other = get(world, path, "\"other\"").await;
    assert_eq!((other.status, &other.bytes, other.header("etag")), (200, &first.bytes, tag.clone()), "{path}");
    tag
}

async fn has_none(world: &World, path: &str) {
    let answer = get(world, path, "*").await;
    assert_eq!(
        (answer.status, answer.header("etag").as_str(), answer.header("cache-control").as_str()),
        (200, "", "no-store"),
        "{path}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_is_sent_once_and_again_when_it_has_changed() {
    let world = World::new().await;
    let (poster, begin) = sealed(&world).await;
    let (base, span) = (format!("/agents/{}", poster.id), format!("start={begin}&end={}", begin + 2 * HOUR));
    let paths = [
        format!("{base}/metrics/history?metrics=cpu.usage_percent&{span}"),
        format!("{base}/metrics/history.csv?metrics=cpu.usage_percent&{span}"),
        format!("{base}/metrics/history.csv?{span}&tier=raw"),
        format!("{base}/charts/cpu.usage_percent.png?{span}&width=300&height=150"),
        format!("{base}/chart.svg?series=cpu.usage_percent&{span}"),
        format!("{base}/chart.csv?series=cpu.usage_percent&{span}"),
        format!("/metrics/fleet?metric=cpu.usage_percent&{span}"),
    ];
    let mut tags = Vec::new();
    for path in &paths {
        tags.push(validator(&world, path).await);
        has_none(&world, &path.replace(&span, "start=-6h&end=now")).await;
        has_none(&world, &path.replace(&span, &format!("start={begin}&end={}", now_ms() + HOUR))).await;
    }
    let shorter = format!("{base}/metrics/history?metrics=cpu.usage_percent&start={begin}&end={}", begin + HOUR);
    assert_ne!(validator(&world, &shorter).await, tags[0], "another span is another answer");
    // Housekeeping changes nothing that can be seen.
    seal(&world);
    for (path, tag) in paths.iter().zip(&tags) {
        assert_eq!(validator(&world, path).await, *tag, "{path}");
    }
    // A late heartbeat changes everything it is in.
    poster.post(&[(begin + 7_000, json!({"cpu.usage_percent": 99.5, "load.avg_1m": 1}))]).await;
    for sealed_again in [false, true] {
        for (path, tag) in paths.iter().zip(&tags) {
            let answer = get(&world, path, tag).await;
            assert_eq!(answer.status, 200, "{path}: sealed again {sealed_again}");
            assert!(
                path.contains(".png") || path.contains(".svg") || answer.text().contains("99.5") || path.contains("fleet"),
                "{path}"
            );
        }
        seal(&world);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_changes_with_what_is_drawn_into_it() {
    let world = World::new().await;
    let (poster, begin) = sealed(&world).await;
    let picture = format!(
        "/agents/{}/chart.png?series=cpu.usage_percent&start={begin}&end={}&width=300&height=150",
        poster.id,
        begin + HOUR
    );
    let plain = validator(&world, &picture).await;
    assert_ne!(validator(&world, &format!("{picture}&theme=dark")).await, plain);
    world.put(&format!("/agents/{}/thresholds/cpu.usage_percent", poster.id), json!({"warn": 11, "crit": 12})).await;
    let levels = validator(&world, &picture).await;
    assert_ne!(levels, plain);
    world.patch(&format!("/agents/{}", poster.id), json!({"name": "db-09"})).await;
    assert_ne!(validator(&world, &picture).await, levels);
}
