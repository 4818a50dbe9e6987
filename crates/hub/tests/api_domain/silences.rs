//! Silences: made, bent, ended, and refused.

use crate::world::{World, now_ms};
use reqwest::Method;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_is_made_changed_and_ended() {
    let world = World::new().await;
    let agent = world.agent("db-01").await;
    let body = json!({"agent": agent.id, "metric": "disk.used_percent{mount=/}", "severity_up_to": "warning", "duration": "2h", "comment": "move"});
    let answer = world.ask(Method::POST, "/silences", Some(body)).await;
    assert_eq!(answer.status, 201);
    let made = answer.json();
    assert_eq!((&made["state"], &made["kind"], &made["agent"]), (&json!("active"), &json!("silence"), &json!(agent.id)));
    assert_eq!(
        (&made["metric"], &made["created_by"], &made["rule"]),
        (&json!("disk.used_percent{mount=/}"), &json!("token:test"), &json!(null))
    );
    let path = format!("/silences/{}", made["id"].as_str().unwrap());
    assert_eq!((world.get(&path).await, world.only("/silences").await), (made.clone(), made.clone()));
    let longer = world.patch(&path, json!({"duration": "3h"})).await;
    assert_ne!(longer["ends_at"], made["ends_at"]);
    assert_eq!((&longer["starts_at"], &longer["comment"]), (&made["starts_at"], &made["comment"]));
    assert_eq!(world.patch(&path, longer.clone()).await, longer, "what was read may be sent back");
    let later = json!({"starts_at": now_ms() + 3_600_000, "duration": "1h", "kind": "maintenance", "tag": "db"});
    assert_eq!(world.post("/silences", later).await["state"], "pending");
    world.delete(&path).await;
    assert_eq!(world.refusal(Method::GET, &path, None).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn silences_that_cannot_be_are_refused() {
    let world = World::new().await;
    for (body, pointers) in [
        (json!({}), vec!["/ends_at"]),
        (json!({"duration": "1h", "ends_at": "2040-01-01T00:00:00Z"}), vec!["/duration"]),
        (json!({"duration": "0s"}), vec!["/duration"]),
        (json!({"starts_at": "-2h", "ends_at": "-1h"}), vec!["/ends_at"]),
        (
            json!({"duration": "1h", "agent": "x", "rule": "y", "tag": "a b", "metric": "CPU"}),
            vec!["/rule", "/agent", "/tag", "/metric"],
        ),
        (json!({"duration": "1h", "kind": "quiet_hours", "severity_up_to": "loud"}), vec!["/kind", "/severity_up_to"]),
        (json!({"duration": "1h", "reason": "x"}), vec!["/reason"]),
    ] {
        let answer = world.ask(Method::POST, "/silences", Some(body.clone())).await;
        assert_eq!((answer.status, answer.pointers()), (422, pointers.iter().map(|p| (*p).to_owned()).collect()), "{body}");
    }
}
