//! Frames as they stood when they were first spoken: what was written once is written so for ever, and read for ever.
//!
//! Each message has its text and its CBOR (as hexadecimal) in `golden/`. A new message is added with
//! `NIGHTBELL_BLESS=1 cargo test -p nightbell-protocol --test golden`; an old file is never changed.

#![expect(clippy::expect_used, clippy::panic, reason = "a test may give up loudly")]

use nightbell_protocol::http::{HeartbeatsAnswer, HeartbeatsRequest, NodeAnswer, Rejected, decode_entries, encode_heartbeats};
use nightbell_protocol::{
    Auth, Container, ContainerMetrics, Encoding, Envelope, Facts, FromAgent, FromHub, Heartbeat, Lenient, Limits, PLAIN_DECIMALS,
    Register, SchemaMsg, Stopping, TopProcess, TopProcesses, Values, decode_from_agent, decode_from_hub, encode_from_agent,
    encode_from_hub,
};
use serde_json::json;
use std::path::PathBuf;

fn golden(name: &str, written: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    if std::env::var_os("NIGHTBELL_BLESS").is_some() && !path.exists() {
        std::fs::write(&path, format!("{written}\n")).expect("the folder is writable");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(written, kept.trim_end(), "{name}");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn check_agent(name: &str, envelope: &Envelope<FromAgent>) {
    let text = encode_from_agent(Encoding::Json, envelope).expect("encodes");
    let cbor = encode_from_agent(Encoding::Cbor, envelope).expect("encodes");
    golden(&format!("{name}.json"), std::str::from_utf8(&text).expect("UTF-8"));
    golden(&format!("{name}.cbor.hex"), &hex(&cbor));
    for (encoding, bytes) in [(Encoding::Json, text), (Encoding::Cbor, cbor)] {
        assert_eq!(decode_from_agent(encoding, &bytes, &Limits::FRAME).as_ref(), Ok(envelope), "{name} {encoding:?}");
    }
}

fn check_hub(name: &str, envelope: &Envelope<FromHub>) {
    let text = encode_from_hub(Encoding::Json, envelope).expect("encodes");
    let cbor = encode_from_hub(Encoding::Cbor, envelope).expect("encodes");
    golden(&format!("{name}.json"), std::str::from_utf8(&text).expect("UTF-8"));
    golden(&format!("{name}.cbor.hex"), &hex(&cbor));
    for (encoding, bytes) in [(Encoding::Json, text), (Encoding::Cbor, cbor)] {
        assert_eq!(decode_from_hub(encoding, &bytes, &Limits::FRAME).as_ref(), Ok(envelope), "{name} {encoding:?}");
    }
}

fn facts() -> Facts {
    let facts = json!({"os": "Debian 13", "kernel": "6.12", "cpu_model": "EPYC", "cores": 8, "memory_bytes": 17_179_869_184_u64});
    Facts(facts.as_object().cloned().unwrap_or_default())
}

#[test]
fn enrolment_and_authentication() {
    let register = Register {
        token: "nb_enroll_abc".into(),
        name: Some("db-01".into()),
        hostname: Some("db-01.example".into()),
        ip: Some("10.0.0.7".into()),
        role: Some("db".into()),
        version: Some("0.1.0".into()),
        interval_ms: Some(15_000),
        public_key: Some("ed25519:AAAA".into()),
        tags: vec!["db".into(), "prod".into()],
        facts: Some(facts()),
    };
    check_agent("register", &Envelope::from(FromAgent::Register(register)).expecting("_INBOX.1").sent_at(1_763_769_600_000));
    let plain = Register { token: "nb_enroll_abc".into(), name: Some("db-01".into()), ..Register::default() };
    check_agent("register-plain", &Envelope::from(FromAgent::Register(plain)).expecting("_INBOX.1"));
    let auth = Auth {
        agent_id: Some("01JD8Y3W5M2K7Q9R4T6V8X0ZAB".into()),
        credential: "nb_agent_abc".into(),
        interval_ms: Some(15_000),
        version: Some("0.1.0".into()),
        facts: Some(facts()),
    };
    check_agent("auth", &Envelope::from(FromAgent::Auth(auth)).expecting("_INBOX.2"));
    let registered = FromHub::Registered {
        agent_id: "01JD8Y3W5M2K7Q9R4T6V8X0ZAB".into(),
        credential: "nb_agent_abc".into(),
        interval_s: Some(15.0),
    };
    check_hub("registered", &registered.answering(Some("_INBOX.1".into())));
    let ok = FromHub::AuthOk { agent_id: "01JD8Y3W5M2K7Q9R4T6V8X0ZAB".into(), interval_s: 7.5, server_time: 1_763_769_600_000 };
    check_hub("auth-ok", &ok.answering(Some("_INBOX.2".into())));
}

fn heartbeat(seq: u64, values: Values) -> Heartbeat {
    Heartbeat { boot_id: Some("0f6e".into()), seq: Some(seq), age_ms: Some(12), values, ..Heartbeat::default() }
}

fn named() -> Values {
    let values =
        [("cpu.usage_percent", Some(45.2)), ("mem.used_bytes", Some(8_589_934_592.0)), ("disk.used_percent{mount=/}", None)];
    Values::named(values)
}

#[test]
fn heartbeats() {
    check_agent("heartbeat-named", &FromAgent::Heartbeat(heartbeat(7, named())).into());
    let packed =
        Values::Packed { schema: 1, v: vec![4520.0, 8_589_934_592.0, f64::NAN, -3.0, 0.125, 0.0, 23.0, 24.0, 255.0, 65_536.0] };
    check_agent("heartbeat-packed", &FromAgent::Heartbeat(heartbeat(8, packed)).into());
    check_agent(
        "heartbeat-bare",
        &FromAgent::Heartbeat(Heartbeat { agent_id: Some("01JD8Y3W5M2K7Q9R4T6V8X0ZAB".into()), ..Heartbeat::default() }).into(),
    );
    let replayed = Heartbeat {
        age_ms: None,
        timestamp: Some(1_763_769_500_000),
        sent_at: Some(1_763_769_600_000),
        resumed: true,
        ..heartbeat(6, named())
    };
    check_agent("heartbeats", &FromAgent::Heartbeats(vec![replayed, heartbeat(7, Values::None)]).into());
    let schema = SchemaMsg {
        id: 1,
        names: vec!["cpu.usage_percent".into(), "mem.used_bytes".into(), "load.avg_1m".into()],
        decimals: vec![2, 0, PLAIN_DECIMALS],
    };
    check_agent("schema", &FromAgent::Schema(schema).into());
}

#[test]
fn the_rest_of_an_agents_words() {
    check_agent("facts", &FromAgent::Facts(facts()).into());
    let process = TopProcess {
        name: "postgres".into(),
        pid: Some(77),
        cpu_percent: Lenient(81.5),
        rss_bytes: 1 << 30,
        io_bytes_per_second: None,
    };
    let other = TopProcess { pid: None, cpu_percent: Lenient(0.0), ..process.clone() };
    let writer = TopProcess { io_bytes_per_second: Some(50_331_648), ..process.clone() };
    let plain = TopProcesses { age_ms: Some(1500), cpu: vec![process], mem: vec![other], io: Vec::new() };
    check_agent("top_io", &FromAgent::Top(TopProcesses { io: vec![writer], ..plain.clone() }).into());
    check_agent("top", &FromAgent::Top(plain).into());
    check_agent("stopping", &FromAgent::Stopping(Stopping { on_purpose: true }).into());
    let web = Container { name: "web".into(), values: vec![("cpu_percent".into(), 150.5), ("mem_used_bytes".into(), 1024.0)] };
    let containers = ContainerMetrics {
        boot_id: Some("0f6e".into()),
        seq: Some(7),
        age_ms: Some(12),
        containers: vec![web],
        ..ContainerMetrics::default()
    };
    check_agent("container-metrics", &FromAgent::Container(containers).into());
    check_agent("unknown", &FromAgent::Unknown { subject: "agent.of.the.future".into() }.into());
}

#[test]
fn the_hubs_words() {
    check_hub("ack", &FromHub::Ack { timestamp: 1_763_769_600_000, boot_id: Some("0f6e".into()), seq: Some(7) }.into());
    check_hub("ack-bare", &FromHub::Ack { timestamp: 1_763_769_600_000, boot_id: None, seq: None }.into());
    check_hub("slow", &FromHub::Slow { retry_after_ms: 1000 }.into());
    check_hub("error", &FromHub::error("bad_token", "this token is used up", Some("_INBOX.1".into())).into());
    let refused = FromHub::Error {
        code: "too_old".into(),
        message: "older than 7 days".into(),
        reply: None,
        boot_id: Some("0f6e".into()),
        seq: Some(3),
    };
    check_hub("error-heartbeat", &refused.into());
    check_hub("top-request", &Envelope { reply: Some("_INBOX.3".into()), ..FromHub::TopRequest.into() });
}

#[test]
fn the_http_way() {
    let request = HeartbeatsRequest {
        heartbeats: vec![heartbeat(7, named()), heartbeat(8, Values::None)],
        sent_at: Some(1_763_769_600_000),
    };
    let text = encode_heartbeats(&request).expect("encodes");
    golden("http-heartbeats.json", std::str::from_utf8(&text).expect("UTF-8"));
    let entries = decode_entries(&text, &Limits::BODY).expect("decodes");
    assert!(entries.iter().all(|entry| entry.seed.is_none() && entry.heartbeat.sent_at == Some(1_763_769_600_000)));
    let again: Vec<_> = entries.into_iter().map(|entry| Heartbeat { sent_at: None, ..entry.heartbeat }).collect();
    assert_eq!(again, request.heartbeats);
    let answer =
        HeartbeatsAnswer { accepted: 2, duplicates: 1, rejected: vec![Rejected { index: 3, why: "too_old: …".into() }] };
    golden("http-heartbeats-answer.json", &serde_json::to_string(&answer).expect("encodes"));
    let node = NodeAnswer { node_id: "01JD8Y3W5M2K7Q9R4T6V8X0ZAB".into(), credential: None };
    golden("http-node-answer.json", &serde_json::to_string(&node).expect("encodes"));
}
