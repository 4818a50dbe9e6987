//! A pipeline that is behind: its queue is full, agents are asked for patience, and what they sent is taken when there is room.

use crate::support::agents::JsonAgent;
use crate::support::hub::on_data;
use nightbell::clock;
use nightbell::config::{Config, Sources};
use nightbell::pipeline::Control;
use nightbell::wiring::Hub;
use nightbell_ingest::{Submission, reply};
use nightbell_model::{AgentId, Tier, Timestamp};
use nightbell_store::RangeQuery;
use serde_json::json;
use std::sync::mpsc;

/// More submissions than a queue holds.
const PLENTY: usize = 1_000_000;

fn empty() -> Submission {
    Submission { agent: AgentId::default(), heard: Vec::new(), done: reply().0 }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_asks_for_patience_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut sources = Sources::default();
    sources.add_flag("data", "--data", Some(folder.path().to_str().unwrap().to_owned()));
    sources.add_flag("listen", "--listen", Some("127.0.0.1:0".to_owned()));
    let hub = Hub::start(Config::from_sources(&sources).unwrap()).await.unwrap();
    let token = on_data(folder.path(), &["enroll", "create"]);
    let mut agent = JsonAgent::enrol(&hub.url, &token, "a", 600_000).await;
    agent.beat(&json!({"full.seq": 1})).await;
    // A question that is not answered yet keeps the pipeline where it is.
    let (go_on, wait) = mpsc::channel::<()>();
    let (asked, begun) = tokio::sync::oneshot::channel();
    hub.app.pipeline.tell(Control::Ask(Box::new(move |_evaluator| {
        let _told = asked.send(());
        let _ended = wait.recv();
    })));
    begun.await.unwrap();
    let room = (0..PLENTY).find(|_| hub.app.pipeline.submit(empty()).is_err()).expect("the queue has a bound");
    assert_eq!(hub.app.pipeline.queued(), room);
    for seq in 2..=50 {
        agent.send(&json!({"full.seq": seq})).await;
    }
    let heard = agent.hear().await;
    assert_eq!((&heard["subject"], heard["data"]["retry_after_ms"].as_u64()), (&json!("agent.slow"), Some(1_000)), "{heard}");
    go_on.send(()).unwrap();
    agent.acknowledged(50).await;
    let end = clock::now().plus_millis(1_000);
    let agent: AgentId = agent.identity.id.parse().unwrap();
    let query =
        RangeQuery { agent, series: Vec::new(), start: Timestamp::MIN, end, tier: Some(Tier::Raw), max_points: 1_000, now: end };
    let frame = hub.app.read_metrics(move |metrics| metrics.range(&query)).await.unwrap();
    let seen: Vec<f64> = frame.columns[0].mean.iter().copied().filter(|value| !value.is_nan()).collect();
    assert_eq!(seen, (1..=50).map(f64::from).collect::<Vec<f64>>());
    hub.stop().await;
}
