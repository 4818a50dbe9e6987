//! One metric over the fleet: by step and tag, and never a number that late heartbeats have made wrong.

use crate::world::{World, now_ms};
use reqwest::Method;
use serde_json::{Value, json};

const MINUTE: i64 = 60_000;

/// The values of each group by its tag.
fn values(answer: &Value) -> Vec<(&str, Vec<Option<f64>>)> {
    let groups = answer["groups"].as_array().unwrap().iter();
    groups
        .map(|group| (group["tag"].as_str().unwrap_or(""), group["v"].as_array().unwrap().iter().map(Value::as_f64).collect()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn late_heartbeats_change_what_was_answered_before() {
    let world = World::new().await;
    let (first, second, third) = (world.agent("db-01").await, world.agent("db-02").await, world.agent("web-01").await);
    world.patch(&format!("/agents/{}", second.id), json!({"tags": ["db", "big"]})).await;
    world.patch(&format!("/agents/{}", third.id), json!({"tags": []})).await;
    // At an even minute, where steps of two minutes begin.
    let begin = (now_ms() / (2 * MINUTE) - 15) * 2 * MINUTE;
    let cpu =
        |minute: i64, second: i64, value: f64| (begin + minute * MINUTE + second * 1_000, json!({"cpu.usage_percent": value}));
    first.post(&[cpu(0, 1, 10.0), cpu(0, 31, 20.0), cpu(1, 1, 30.0), cpu(3, 1, 40.0)]).await;
    second.post(&[cpu(0, 2, 45.0), cpu(1, 2, 50.0)]).await;
    third.post(&[cpu(0, 3, 90.0), cpu(3, 3, 80.5)]).await;
    let ask = |more: &str| format!("/metrics/fleet?metric=cpu.usage_percent&start={begin}&end={}{more}", begin + 4 * MINUTE);
    for _again in 0..3 {
        let mean = world.get(&ask("")).await;
        assert_eq!(values(&mean), [("", vec![Some(50.0), Some(40.0), None, Some(60.25)])]);
        assert_eq!((&mean["t"][0], &mean["step_seconds"], &mean["unit"]), (&json!(begin), &json!(60), &json!("percent")));
        assert_eq!((&mean["groups"][0]["agents"], &mean["groups"][0]["count"]), (&json!(3), &json!([3, 2, 0, 2])));
        let by_tag = world.get(&ask("&group_by=tag&agg=max")).await;
        let one = |values: [Option<f64>; 4]| values.to_vec();
        assert_eq!(
            values(&by_tag),
            [
                ("", one([Some(90.0), None, None, Some(80.5)])),
                ("big", one([Some(45.0), Some(50.0), None, None])),
                ("db", one([Some(45.0), Some(50.0), None, Some(40.0)])),
            ]
        );
        let least = world.get(&ask("&tag=db&agg=min&step=2m")).await;
        assert_eq!(values(&least), [("", vec![Some(10.0), Some(40.0)])]);
    }
    // Late, into minutes that were answered before; and a new agent, whose history counts as well.
    third.post(&[cpu(1, 59, 100.0), cpu(2, 0, 7.0)]).await;
    second.post(&[cpu(0, 50, 5.0)]).await;
    assert_eq!(values(&world.get(&ask("")).await), [("", vec![Some(130.0 / 3.0), Some(60.0), Some(7.0), Some(60.25)])]);
    world.patch(&format!("/agents/{}", third.id), json!({"tags": ["db"]})).await;
    assert_eq!(values(&world.get(&ask("&tag=big")).await), [("", vec![Some(25.0), Some(50.0), None, None])]);
    world.delete(&format!("/agents/{}?purge=true", third.id)).await;
    assert_eq!(values(&world.get(&ask("")).await), [("", vec![Some(20.0), Some(40.0), None, Some(40.0)])]);
    // The open minute is never the one before.
    let newest = world.agent("new-01").await;
    for value in [1, 3, 8] {
        newest.now(json!({"load.avg_1m": value})).await;
        let now = world.get("/metrics/fleet?metric=load.avg_1m&agg=max&start=-5m").await;
        let most = values(&now)[0].1.iter().flatten().copied().fold(0.0, f64::max);
        assert_eq!(json!(most), json!(f64::from(value)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_of_the_fleet_is_named() {
    let world = World::new().await;
    for (query, pointer) in [
        ("metric=CPU", "metric"),
        ("metric=cpu.usage_percent&agg=p95", "agg"),
        ("metric=cpu.usage_percent&step=0s", "step"),
        ("metric=cpu.usage_percent&step=1s&start=-1d", "step"),
        ("metric=cpu.usage_percent&group_by=name", "group_by"),
        ("metric=cpu.usage_percent&start=now&end=-1h", "start"),
    ] {
        let answer = world.ask(Method::GET, &format!("/metrics/fleet?{query}"), None).await;
        assert_eq!((answer.status, answer.pointers()), (422, vec![pointer.to_owned()]), "{query}");
    }
    let nobody = world.get("/metrics/fleet?metric=cpu.usage_percent&group_by=tag").await;
    assert_eq!(nobody["groups"], json!([]));
}
