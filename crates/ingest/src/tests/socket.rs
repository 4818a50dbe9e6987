//! The WebSocket way: the life of a plain JSON agent, refusals, backpressure, our own packed CBOR.

use super::client::Ws;
use super::hub::{AGENT, CREDENTIAL, Hub, NOW, OTHER, TOKEN};
use nightbell_protocol::{Auth, Encoding, FromAgent, FromHub, Heartbeat, SchemaMsg, Values};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn a_plain_json_agent_can_live() {
    let hub = Hub::default();
    let address = hub.serve().await;
    let mut ws = Ws::json(address).await;
    ws.say(&json!({"subject": "agent.register", "reply": "_INBOX.1", "data": {"token": TOKEN, "name": "db-01"}}).to_string())
        .await;
    let reply = ws.hear().await;
    assert_eq!(reply["subject"], "_INBOX.1");
    assert_eq!((&reply["data"]["agent_id"], &reply["data"]["credential"]), (&json!(AGENT.to_string()), &json!(CREDENTIAL)));
    let heartbeat = json!({"subject": "agent.heartbeat", "data": {"agentId": AGENT.to_string(), "boot_id": "b1", "seq": 7, "age_ms": 250,
        "metrics": {"cpu.usage_percent": 45.2, "mem.used_bytes": 8_589_934_592_u64, "disk.used_percent{mount=/}": 61.0}}});
    ws.say(&heartbeat.to_string()).await;
    assert_eq!(ws.hear().await, json!({"subject": "agent.heartbeat.ack", "data": {"timestamp": NOW, "boot_id": "b1", "seq": 7}}));
    ws.close().await;

    let mut ws = Ws::json(address).await;
    let auth = json!({"subject": "agent.auth", "reply": "_INBOX.2", "data": {"agent_id": AGENT.to_string(), "credential": CREDENTIAL, "interval_ms": 30_000}});
    ws.say(&auth.to_string()).await;
    let reply =
        json!({"subject": "_INBOX.2", "data": {"ok": true, "agent_id": AGENT.to_string(), "interval_s": 30, "server_time": NOW}});
    assert_eq!(ws.hear().await, reply);
    ws.say(&heartbeat.to_string()).await;
    assert_eq!(ws.brief().await, "agent.heartbeat.ack boot=b1 seq=7");
    assert_eq!(
        hub.samples(),
        ["-250 cpu.usage_percent 45.2", "-250 disk.used_percent{mount=/} 61", "-250 mem.used_bytes 8589934592"]
    );
    assert_eq!(hub.state().described[0].interval_ms, Some(30_000));
    assert_eq!(hub.state().enrolled[0].remote.to_string(), "127.0.0.1");
    assert_eq!(hub.log(), ["opened agent", "closed clean=true on_purpose=false", "opened agent"]);
}

#[tokio::test]
async fn the_subprotocol_is_agreed_on() {
    let hub = Hub::default();
    let address = hub.serve().await;
    for (offered, chosen) in [
        (None, None),
        (Some("nightbell.v1.json"), Some("nightbell.v1.json")),
        (Some("nightbell.v1.json, nightbell.v1.cbor"), Some("nightbell.v1.cbor")),
        (Some("nightbell.v9, nightbell.v1.json"), Some("nightbell.v1.json")),
    ] {
        let (_, answer) = Ws::dial(address, offered).await.expect("connects");
        assert_eq!(answer.as_deref(), chosen, "{offered:?}");
    }
    assert!(Ws::dial(address, Some("graphql-ws")).await.is_err());
    let plain = super::client::post(address, "/agents/connect", "", b"").await;
    assert_eq!(plain.status, 405);
}

#[tokio::test]
async fn nothing_is_heard_before_authentication() {
    let hub = Hub::default();
    let mut ws = Ws::json(hub.serve().await).await;
    ws.say(r#"{"subject":"agent.heartbeat","reply":"_INBOX.9","data":{"boot_id":"a","seq":1,"metrics":{"a.b":1}}}"#).await;
    assert_eq!(ws.brief().await, "error not_authenticated reply=_INBOX.9");
    ws.say(r#"{"subject":"agent.auth","reply":"_INBOX.8","data":{"credential":"nb_agent_wrong"}}"#).await;
    assert_eq!(ws.brief().await, "error bad_credential reply=_INBOX.8");
    ws.say(r#"{"subject":"agent.register","data":{"token":"used up"}}"#).await;
    assert_eq!(ws.brief().await, "error bad_token");
    assert_eq!(ws.brief().await, "closed 1008");
    assert_eq!((hub.log().len(), hub.samples().len()), (0, 0));
}

#[tokio::test]
async fn a_credential_is_good_for_its_own_agent_only() {
    let hub = Hub::default();
    let address = hub.serve().await;
    let mut ws = Ws::json(address).await;
    ws.say(&json!({"subject": "agent.auth", "data": {"agent_id": OTHER.to_string(), "credential": CREDENTIAL}}).to_string())
        .await;
    assert_eq!(ws.brief().await, "error bad_credential");
    let mut ws = Ws::authenticated(address).await;
    ws.say(&json!({"subject": "agent.heartbeat", "data": {"agent_id": OTHER.to_string(), "boot_id": "a", "seq": 1, "metrics": {"a.b": 1}}}).to_string()).await;
    assert_eq!(ws.brief().await, "error wrong_agent boot=a seq=1");
    assert_eq!(ws.brief().await, "agent.heartbeat.ack boot=a seq=1");
    ws.say(&json!({"subject": "agent.auth", "data": {"credential": super::hub::OTHER_CREDENTIAL}}).to_string()).await;
    assert_eq!(ws.brief().await, "error already_authenticated");
    assert_eq!(hub.samples(), Vec::<String>::new());
}

fn beat(seq: u64, metrics: &str) -> String {
    format!(r#"{{"subject":"agent.heartbeat","data":{{"boot_id":"a","seq":{seq},"metrics":{metrics}}}}}"#)
}

#[tokio::test]
async fn errors_come_before_the_acknowledgement_that_covers_them() {
    let hub = Hub::default();
    let mut ws = Ws::authenticated(hub.serve().await).await;
    ws.say(&beat(1, r#"{"a.b":1}"#)).await;
    assert_eq!(ws.brief().await, "agent.heartbeat.ack boot=a seq=1");
    ws.say(&beat(2, r#"{"cpu.usage_percent":"high"}"#)).await;
    let error = ws.hear().await;
    assert_eq!(error["data"]["code"], "invalid_heartbeat");
    assert_eq!(error["data"]["message"], "cpu.usage_percent: must be a number or null, not text");
    assert_eq!(error["data"]["seq"], 2);
    assert_eq!(ws.brief().await, "agent.heartbeat.ack boot=a seq=2");
    ws.say(&beat(3, r#"{"No Name":1}"#)).await;
    assert_eq!(ws.brief().await, "error invalid_metric boot=a seq=3");
    assert_eq!(ws.brief().await, "agent.heartbeat.ack boot=a seq=3");
    ws.say(r#"{"subject":"agent.heartbeat","data":{"boot_id":"a","seq":4,"age_ms":700000000,"metrics":{"a.b":1}}}"#).await;
    assert_eq!(ws.brief().await, "error too_old boot=a seq=4");
    assert_eq!(ws.brief().await, "agent.heartbeat.ack boot=a seq=4");
    ws.say(&beat(5, r#"{"a.b":5,"cpu.usage_percent":null,"load.avg_1m":NaN,"mem.used_bytes":-1,"load.avg_5m":1e999}"#)).await;
    assert_eq!(ws.brief().await, "agent.heartbeat.ack boot=a seq=5");
    assert_eq!(hub.samples(), ["0 a.b 1", "1 a.b 5"]);
}

#[tokio::test]
async fn acknowledgements_are_cumulative_and_wait_for_the_commit() {
    let hub = Hub::default();
    let mut ws = Ws::authenticated(hub.serve().await).await;
    hub.state().held = Some(Vec::new());
    for seq in 1..=3 {
        ws.say(&beat(seq, r#"{"a.b":1}"#)).await;
    }
    ws.say(&beat(4, "7")).await;
    assert_eq!(ws.brief().await, "error invalid_heartbeat boot=a seq=4");
    let held = hub.state().held.take().expect("was set");
    assert_eq!(held.len(), 3);
    let mut held = held.into_iter();
    let (first, one) = held.next().expect("three");
    // The later ones are answered first: nothing may be acknowledged yet.
    for (reply, done) in held {
        reply.send(done);
    }
    first.send(one);
    let mut last = String::new();
    while last != "agent.heartbeat.ack boot=a seq=4" {
        last = ws.brief().await;
        assert!(last.starts_with("agent.heartbeat.ack boot=a seq="), "{last}");
    }
    ws.say(&beat(2, r#"{"a.b":1}"#)).await;
    assert_eq!(ws.brief().await, "agent.heartbeat.ack boot=a seq=4");
}

#[tokio::test]
async fn old_agents_without_numbers_or_metrics_are_served() {
    let hub = Hub::default();
    let mut ws = Ws::authenticated(hub.serve().await).await;
    for (frame, stored) in [
        (r#"{"subject":"agent.heartbeat","data":{}}"#.to_owned(), 1),
        (r#"{"subject":"agent.heartbeat"}"#.to_owned(), 2),
        (
            format!(
                r#"{{"data":{{"metrics":{{"cpuPercent":45.2,"memoryUsedMB":1}}}},"timestamp":{},"subject":"agent.heartbeat"}}"#,
                NOW - 5000
            ),
            3,
        ),
        (
            format!(
                r#"{{"data":{{"metrics":{{"cpuPercent":45.2,"memoryUsedMB":1}}}},"timestamp":{},"subject":"agent.heartbeat"}}"#,
                NOW - 5000
            ),
            3,
        ),
    ] {
        ws.say(&frame).await;
        assert_eq!(ws.hear().await, json!({"subject": "agent.heartbeat.ack", "data": {"timestamp": NOW}}), "{frame}");
        assert_eq!(hub.state().stored.len(), stored, "{frame}");
    }
    assert!(!hub.state().stored[0].1.has_values);
    assert_eq!(hub.samples(), ["-5000 cpu.usage_percent 45.2", "-5000 mem.used_bytes 1048576"]);
    ws.say(r#"{"subject":"agent.heartbeat","data":{"seq":3}}"#).await;
    assert_eq!(ws.brief().await, "agent.heartbeat.ack seq=3");
}

#[tokio::test]
async fn a_buffer_is_replayed_oldest_first() {
    let hub = Hub::default();
    let mut ws = Ws::authenticated(hub.serve().await).await;
    let replay = json!([
        {"boot_id": "old", "seq": 9, "timestamp": NOW - 100_000, "sent_at": NOW, "metrics": {"a.b": 9}},
        {"boot_id": "a", "seq": 1, "age_ms": 60_000, "metrics": {"a.b": 1}},
        {"boot_id": "a", "seq": 2, "age_ms": 45_000, "metrics": {"a.b": true}},
        {"boot_id": "a", "seq": 3, "age_ms": 30_000, "metrics": {"a.b": 3}},
    ]);
    ws.say(&json!({"subject": "agent.heartbeats", "data": replay}).to_string()).await;
    assert_eq!(ws.brief().await, "error invalid_heartbeat boot=a seq=2");
    assert_eq!(ws.brief().await, "agent.heartbeat.ack boot=old seq=9");
    assert_eq!(ws.brief().await, "agent.heartbeat.ack boot=a seq=3");
    assert_eq!(hub.samples(), ["-100000 a.b 9", "-60000 a.b 1", "-30000 a.b 3"]);
}

#[tokio::test]
async fn bad_frames_are_named_and_three_in_a_row_of_a_stranger_end_it() {
    let hub = Hub::default();
    let address = hub.serve().await;
    let mut ws = Ws::authenticated(address).await;
    let deep = format!(r#"{{"subject":"agent.facts","data":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    ws.say("{").await;
    assert_eq!(ws.brief().await, "error malformed");
    ws.say(r#"{"data":{}}"#).await;
    assert_eq!(ws.brief().await, "error invalid_envelope");
    ws.say(&deep).await;
    assert_eq!(ws.brief().await, "error too_deep");
    ws.say(&format!(r#"{{"subject":"agent.heartbeat","data":{{"pad":"{}"}}}}"#, "x".repeat(2 << 20))).await;
    assert_eq!(ws.brief().await, "error too_large");
    ws.send(Message::binary(vec![0xff, 0xfe])).await.expect("is sent");
    assert_eq!(ws.brief().await, "error malformed");
    ws.say(&beat(1, r#"{"a.b":1}"#)).await;
    assert_eq!(ws.brief().await, "agent.heartbeat.ack boot=a seq=1");
    let mut stranger = Ws::json(address).await;
    for _ in 0..3 {
        stranger.say("{").await;
        assert_eq!(stranger.brief().await, "error malformed");
    }
    assert_eq!(stranger.brief().await, "closed 1007");
    assert_eq!(hub.log(), ["opened agent"]);
}

#[tokio::test]
async fn a_giant_frame_ends_the_connection_at_its_header() {
    let hub = Hub::default();
    let mut ws = Ws::authenticated(hub.serve().await).await;
    // The hub answers at the header, so the rest may find the connection gone.
    let _reset = ws.send(Message::binary(vec![0; 8 << 20])).await;
    let mut heard = Vec::new();
    loop {
        match ws.hear().await {
            Value::Null => break,
            message => heard.push(message),
        }
        if heard.last().is_some_and(|last| last.get("closed").is_some()) {
            break;
        }
    }
    hub.hears(2).await;
    assert_eq!(hub.log(), ["opened agent", "closed clean=false on_purpose=false"]);
}

#[tokio::test]
async fn unknown_subjects_and_other_messages_do_no_harm() {
    let hub = Hub::default();
    let mut ws = Ws::authenticated(hub.serve().await).await;
    for _ in 0..5 {
        ws.say(r#"{"subject":"agent.of.the.future","reply":"_INBOX.f","data":{"x":[{"y":1}]}}"#).await;
        assert_eq!(ws.brief().await, "error unknown_subject reply=_INBOX.f");
    }
    ws.say(r#"{"subject":"agent.facts","data":{"os":"Debian 13","cores":8}}"#).await;
    ws.say(r#"{"subject":"agent.top","data":{"age_ms":2000,"cpu":[{"name":"postgres","pid":7,"cpu_percent":81,"rss_bytes":1024}],"mem":[],
        "io":[{"name":"rsync","cpu_percent":2,"rss_bytes":9,"io_bytes_per_second":4096}]}}"#).await;
    ws.say(r#"{"subject":"agent.stopping","data":{"on_purpose":true}}"#).await;
    hub.state().closers[0].say(FromHub::TopRequest);
    assert_eq!(ws.brief().await, "agent.top.request");
    ws.close().await;
    let facts = hub.state().described[0].facts_json.clone();
    assert_eq!(facts.as_deref(), Some(r#"{"cores":8,"os":"Debian 13"}"#));
    let busiest = r#""cpu":[{"cpu_percent":81,"name":"postgres","pid":7,"rss_bytes":1024}]"#;
    let writer = r#""io":[{"cpu_percent":2,"io_bytes_per_second":4096,"name":"rsync","rss_bytes":9}]"#;
    let top = format!(r#"top at -2000 {{{busiest},{writer},"mem":[]}}"#);
    assert_eq!(hub.log(), ["opened agent", &*top, "closed clean=true on_purpose=true"]);
}

#[tokio::test]
async fn a_full_hub_asks_for_patience_and_takes_everything_later() {
    let hub = Hub::default();
    let mut ws = Ws::authenticated(hub.serve().await).await;
    hub.state().full = 2;
    for seq in 1..=3 {
        ws.say(&beat(seq, r#"{"a.b":1}"#)).await;
    }
    assert_eq!(ws.brief().await, "agent.slow ms=1000");
    let mut last = String::new();
    while last != "agent.heartbeat.ack boot=a seq=3" {
        last = ws.brief().await;
        assert!(last.starts_with("agent.heartbeat.ack"), "{last}");
    }
    assert_eq!(hub.samples().len(), 3);
}

#[tokio::test]
async fn what_the_hub_gave_up_is_to_be_sent_again_on_a_new_connection() {
    let hub = Hub::default();
    let mut ws = Ws::authenticated(hub.serve().await).await;
    hub.state().drop_next = true;
    ws.say(&beat(1, r#"{"a.b":1}"#)).await;
    assert_eq!(ws.brief().await, "closed 1013");
}

#[tokio::test]
async fn the_hub_can_close_a_connection() {
    let hub = Hub::default();
    let mut ws = Ws::authenticated(hub.serve().await).await;
    hub.state().closers[0].close("agent_deleted");
    assert_eq!(ws.brief().await, "closed 1008");
    hub.hears(2).await;
    assert_eq!(hub.log(), ["opened agent", "closed clean=false on_purpose=false"]);
}

#[tokio::test]
async fn containers_join_their_heartbeat_or_follow_it() {
    let hub = Hub::default();
    let mut ws = Ws::authenticated(hub.serve().await).await;
    let containers = |seq: u64| {
        json!({"subject": "container.metrics", "data": {"boot_id": "a", "seq": seq, "containers": [{"name": "web", "cpu_percent": 5}]}}).to_string()
    };
    ws.say(&containers(1)).await;
    ws.say(&beat(1, r#"{"a.b":1}"#)).await;
    assert_eq!(ws.brief().await, "agent.heartbeat.ack boot=a seq=1");
    assert_eq!(hub.state().stored.len(), 1);
    assert_eq!(hub.samples(), ["0 a.b 1", "0 container.cpu_percent{container=web} 5"]);
    ws.say(&beat(2, r#"{"a.b":2}"#)).await;
    assert_eq!(ws.brief().await, "agent.heartbeat.ack boot=a seq=2");
    for _ in 0..2 {
        ws.say(&containers(2)).await;
        assert_eq!(ws.brief().await, "agent.heartbeat.ack boot=a seq=2");
    }
    assert_eq!(hub.samples()[2..], ["1 a.b 2", "2 container.cpu_percent{container=web} 5"]);
}

#[tokio::test]
async fn our_own_agent_speaks_packed_cbor() {
    let hub = Hub::default();
    let (mut ws, chosen) = Ws::dial(hub.serve().await, Some(Encoding::Cbor.subprotocol())).await.expect("connects");
    assert_eq!(chosen.as_deref(), Some("nightbell.v1.cbor"));
    ws.say_cbor(FromAgent::Auth(Auth { credential: CREDENTIAL.into(), ..Auth::default() })).await;
    assert!(matches!(ws.hear_cbor().await.data, FromHub::AuthOk { interval_s, .. } if (interval_s - 15.0).abs() < f64::EPSILON));
    let schema = SchemaMsg { id: 1, names: vec!["cpu.usage_percent".into(), "mem.used_bytes".into()], decimals: vec![2, 0] };
    ws.say_cbor(FromAgent::Schema(schema)).await;
    for seq in 1..=2 {
        let values = Values::Packed { schema: 1, v: vec![4525.0, f64::NAN] };
        let heartbeat = Heartbeat { boot_id: Some("b".into()), seq: Some(seq), age_ms: Some(0), values, ..Heartbeat::default() };
        ws.say_cbor(FromAgent::Heartbeat(heartbeat)).await;
        let ack = FromHub::Ack { timestamp: NOW, boot_id: Some("b".into()), seq: Some(seq) };
        assert_eq!(ws.hear_cbor().await.data, ack);
    }
    assert_eq!(hub.samples(), ["0 cpu.usage_percent 45.25", "1 cpu.usage_percent 45.25"]);
    // A bomb: an array said to hold 2^63 items.
    ws.send(Message::binary(vec![0x9b, 0x80, 0, 0, 0, 0, 0, 0, 0])).await.expect("is sent");
    assert!(matches!(ws.hear_cbor().await.data, FromHub::Error { code, .. } if code == "malformed"));
}

#[tokio::test]
async fn a_connection_that_breaks_is_no_clean_end() {
    let hub = Hub::default();
    let ws = Ws::authenticated(hub.serve().await).await;
    drop(ws);
    hub.hears(2).await;
    assert_eq!(hub.log(), ["opened agent", "closed clean=false on_purpose=false"]);
}
