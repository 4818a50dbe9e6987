//! Frames that an agent must not send, each refused by name, while the hub and the agent's good heartbeats live on.

use crate::support::agents::{Heard, JsonAgent, Socket, dial};
use crate::support::house::House;
use crate::support::wait::PATIENCE;
use futures_util::{SinkExt as _, StreamExt as _};
use nightbell_protocol::{
    Auth, Encoding, Envelope, FromAgent, FromHub, Heartbeat, Limits, Values, decode_from_hub, encode_from_agent,
};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

fn cpu() -> Value {
    json!({"cpu.usage_percent": 12.5})
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_heard_before_they_say_who_they_are() {
    let house = House::start().await;
    let mut stranger = JsonAgent::stranger(&house.hub.url).await;
    stranger.send(&cpu()).await;
    let error = stranger.error().await;
    assert_eq!(error["code"], "not_authenticated", "{error}");
    for (subject, data, code) in [
        ("agent.register", json!({"token": "nb_enroll_wrong", "name": "x"}), "bad_token"),
        ("agent.register", json!({"name": "x"}), "invalid"),
        ("agent.auth", json!({"agent_id": "x", "credential": "y"}), "bad_credential"),
        ("agent.auth", json!({"agent_id": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "credential": "y"}), "bad_credential"),
    ] {
        let mut stranger = JsonAgent::stranger(&house.hub.url).await;
        stranger.say_raw(json!({"subject": subject, "reply": "_INBOX.7", "data": data}).to_string()).await;
        let error = stranger.error().await;
        assert!(error["code"].as_str().unwrap().starts_with(code) && error["reply"] == "_INBOX.7", "{subject}: {error}");
        assert!(!error["message"].as_str().unwrap().is_empty());
    }
    assert!(house.api.list("/agents").await.is_empty());
    let token = house.enrolment(1);
    JsonAgent::enrol(&house.hub.url, &token, "first", 15_000).await.leave().await;
    let mut second = JsonAgent::stranger(&house.hub.url).await;
    second
        .say_raw(
            json!({"subject": "agent.register", "reply": "_INBOX.1", "data": {"token": token, "name": "second"}}).to_string(),
        )
        .await;
    assert_eq!(second.error().await["code"], "bad_token", "a token for one agent is spent");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_frames_are_refused_by_name_and_good_ones_go_on() {
    let house = House::start().await;
    let (mut agent, other) = (house.json_agent("a").await, house.json_agent("b").await);
    let id = agent.identity.id.clone();
    let beat = |data: Value| json!({"subject": "agent.heartbeat", "data": data}).to_string();
    let long = format!("{{\"subject\":\"agent.heartbeat\",\"data\":{{\"pad\":\"{}\"}}}}", "x".repeat(2 << 20));
    let deep = format!("{{\"subject\":\"agent.facts\",\"data\":{}1{}}}", "{\"a\":".repeat(5_000), "}".repeat(5_000));
    let many: Value = (0..5_000).map(|n| (format!("own.n{n}"), json!(n))).collect::<serde_json::Map<_, _>>().into();
    for (frame, words) in [
        (beat(json!({"agentId": other.identity.id, "metrics": cpu()})), "wrong_agent"),
        (beat(json!({"boot_id": "b", "seq": 1, "metrics": {"cpu.usage_percent": "hot"}})), "cpu.usage_percent"),
        (beat(json!({"boot_id": "b", "seq": 2, "metrics": {"cpu.usage_percent": {"deep": 1}}})), "cpu.usage_percent"),
        (beat(json!({"boot_id": "b", "seq": -3, "metrics": cpu()})), "seq"),
        (beat(json!({"boot_id": "", "seq": 4, "metrics": cpu()})), "boot_id"),
        (beat(json!({"boot_id": "b", "seq": 5, "metrics": {"No Such Name!": 1}})), "No Such Name!"),
        (beat(json!({"boot_id": "b", "seq": 6, "metrics": many})), "4096"),
        (long, "too_large"),
        (deep, "deep"),
        ("{\"subject\":".to_owned(), "malformed"),
        ("[]".to_owned(), "invalid_envelope"),
        ("{\"data\":{}}".to_owned(), "invalid_envelope"),
    ] {
        agent.say_raw(&frame).await;
        let error = agent.error().await;
        assert!(error.to_string().contains(words), "{words} is not in {error} for {}", &frame[..frame.len().min(200)]);
        agent.beat(&cpu()).await;
    }
    agent.say("agent.of.the.future", &json!({})).await;
    assert_eq!(agent.error().await["code"], "unknown_subject", "named, and no reason to part");
    agent.beat(&cpu()).await;
    let shown = house.api.get(&format!("/agents/{id}")).await;
    assert_eq!(shown["metrics"], cpu(), "{shown:#}");
    let stranger = house.api.get(&format!("/agents/{}", other.identity.id)).await;
    assert_eq!(stranger["metrics"], json!({}), "nothing was written for another agent");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_goes_on_breaking_the_protocol_is_shown_out() {
    let house = House::start().await;
    let mut agent = house.json_agent("a").await;
    for _ in 0..30 {
        agent.say_raw("{nonsense").await;
    }
    let mut errors = 0;
    let frame = loop {
        match agent.listen().await {
            Heard::Message(message) => errors += usize::from(message["subject"] == "error"),
            Heard::Closed(frame) => break frame,
        }
    };
    assert_eq!((errors, frame.map(|frame| u16::from(frame.code))), (30, Some(1007)));
    agent.reconnect(&house.hub.url).await.beat(&cpu()).await;
}

/// A connection that speaks CBOR, authenticated.
async fn cbor(house: &House) -> Socket {
    let agent = house.json_agent("c").await;
    let identity = agent.identity.clone();
    agent.leave().await;
    let mut socket = dial(&house.hub.url, "nightbell.v1.cbor").await.unwrap();
    let auth = Auth { agent_id: Some(identity.id), credential: identity.credential, ..Auth::default() };
    send(&mut socket, FromAgent::Auth(auth)).await;
    assert!(matches!(hear(&mut socket).await, FromHub::AuthOk { .. }));
    socket
}

async fn send(socket: &mut Socket, message: FromAgent) {
    let bytes = encode_from_agent(Encoding::Cbor, &Envelope::from(message).expecting("_INBOX.1")).unwrap();
    socket.send(Message::binary(bytes)).await.unwrap();
}

async fn hear(socket: &mut Socket) -> FromHub {
    loop {
        let message = tokio::time::timeout(PATIENCE, socket.next()).await.expect("an answer").expect("a connection").unwrap();
        if let Message::Binary(bytes) = message {
            return decode_from_hub(Encoding::Cbor, &bytes, &Limits::FRAME).unwrap().data;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cbor_that_promises_more_than_it_holds_costs_nothing() {
    let house = House::start().await;
    let mut socket = cbor(&house).await;
    let before = house.hub.rss_bytes();
    // {"subject": "agent.heartbeat", "data": …} with a map, a list, a text and bytes of 2^40 items each, and lists in lists.
    let head = b"\xa2\x67subject\x6fagent.heartbeat\x64data".to_vec();
    let huge = |kind: u8| [&head[..], &[kind, 0, 0, 1, 0, 0, 0, 0, 0]].concat();
    let nested = [&head[..], &vec![0x81; 200_000]].concat();
    let heartbeat = |seq| {
        let values = Values::Named([("cpu.usage_percent", nightbell_protocol::Lenient(1.0))].into_iter().collect());
        FromAgent::Heartbeat(Heartbeat { boot_id: Some("b".to_owned()), seq: Some(seq), values, ..Heartbeat::default() })
    };
    for (seq, bomb) in (1..).zip([huge(0xbb), huge(0x9b), huge(0x7b), huge(0x5b), nested]) {
        socket.send(Message::binary(bomb)).await.unwrap();
        let answer = hear(&mut socket).await;
        assert!(matches!(answer, FromHub::Error { .. }), "{answer:?}");
        send(&mut socket, heartbeat(seq)).await;
        let answer = hear(&mut socket).await;
        assert!(matches!(answer, FromHub::Ack { seq: Some(acked), .. } if acked == seq), "{answer:?}");
    }
    let grown = house.hub.rss_bytes().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes for a few small frames");
}

#[tokio::test(flavor = "multi_thread")]
async fn subprotocols_that_nobody_speaks_are_refused_at_the_door() {
    let house = House::start().await;
    let refused = dial(&house.hub.url, "mqtt").await.expect_err("nobody speaks it");
    assert!(refused.to_string().contains("400"), "{refused}");
}
