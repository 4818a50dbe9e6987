//! Frames that are wrong, each with the name it is refused by; and frames that are unusual and welcome.

#![expect(clippy::expect_used, clippy::panic, reason = "a test may give up loudly")]

use nightbell_protocol::http::decode_entries;
use nightbell_protocol::{
    DecodeError, Encoding, Envelope, FromAgent, Heartbeat, Limits, Values, decode_from_agent, decode_from_hub,
};
use std::fmt::Write as _;

fn json(text: &str) -> Result<Envelope<FromAgent>, DecodeError> {
    decode_from_agent(Encoding::Json, text.as_bytes(), &Limits::FRAME)
}

fn cbor(bytes: &[u8]) -> Result<Envelope<FromAgent>, DecodeError> {
    decode_from_agent(Encoding::Cbor, bytes, &Limits::FRAME)
}

#[track_caller]
fn refused(text: &str, code: &str, says: &str) -> DecodeError {
    let error = json(text).expect_err("refused");
    assert_eq!(error.code, code, "{error}");
    assert!(error.message.contains(says), "{error}");
    error
}

#[track_caller]
fn heartbeat(text: &str) -> Heartbeat {
    match json(text).expect("decodes").data {
        FromAgent::Heartbeat(heartbeat) => heartbeat,
        other => panic!("{other:?}"),
    }
}

/// The data of a heartbeat: what is wrong with it, and its number.
#[track_caller]
fn fault(data: &str, field: &str, says: &str) {
    let heartbeat = heartbeat(&format!(r#"{{"subject":"agent.heartbeat","data":{data}}}"#));
    let fault = heartbeat.fault.expect("has a fault");
    assert_eq!(fault.field, field, "{fault}");
    assert!(fault.why.contains(says), "{fault}");
}

fn named(values: &Values) -> Vec<(String, f64)> {
    match values {
        Values::Named(named) => named.iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn envelopes_must_have_a_subject() {
    refused("", "malformed", "EOF");
    refused("{", "malformed", "not JSON");
    refused("nonsense", "malformed", "not JSON");
    refused("{} {}", "malformed", "trailing");
    refused("7", "invalid_envelope", "not a number");
    refused("[]", "invalid_envelope", "not a list");
    refused("{}", "invalid_envelope", "subject");
    refused(r#"{"subject":""}"#, "invalid_envelope", "subject");
    let error = refused(r#"{"subject":7,"reply":"_INBOX.1"}"#, "invalid_envelope", "subject");
    assert_eq!(error.reply.as_deref(), Some("_INBOX.1"));
    refused("{\"subject\":\"\u{0}\"}", "malformed", "control character");
    assert_eq!(
        decode_from_agent(Encoding::Json, b"{\"subject\":\"\xff\"}", &Limits::FRAME).map_err(|error| error.code),
        Err("malformed")
    );
}

#[test]
fn messages_name_what_they_lack() {
    let error =
        refused(r#"{"reply":"_INBOX.1","subject":"agent.register","data":{"name":"x"}}"#, "invalid_message", "token is missing");
    assert_eq!((error.subject.as_deref(), error.reply.as_deref()), (Some("agent.register"), Some("_INBOX.1")));
    for (subject, data, says) in [
        ("agent.register", r#"{"token":7}"#, "token must be text, not a number"),
        ("agent.register", r#"{"token":"x","tags":"db"}"#, "tags must be a list"),
        ("agent.register", r#"{"token":"x","tags":["a",1]}"#, "tags[1] must be text"),
        ("agent.register", r#"{"token":"x","interval_ms":-5}"#, "interval_ms must be a whole number that is not negative"),
        ("agent.register", r#"{"token":"x","interval_ms":1.5}"#, "interval_ms"),
        ("agent.register", r#"{"token":"x","facts":[]}"#, "facts must be an object"),
        ("agent.register", r#""token""#, "data must be an object, not text"),
        ("agent.auth", "{}", "credential is missing"),
        ("agent.auth", "null", "data must be an object, not null"),
        ("agent.schema", r#"{"names":[]}"#, "id is missing"),
        ("agent.schema", r#"{"id":1,"names":["a.b"],"decimals":[1,2]}"#, "2 decimals for 1 names"),
        ("agent.schema", r#"{"id":1,"names":["a.b"],"decimals":[300]}"#, "decimals"),
        ("agent.schema", r#"{"id":1,"names":["a.b"],"decimals":[16]}"#, "0 to 15"),
        ("agent.schema", r#"{"id":5000000000,"names":[]}"#, "2^32"),
        ("agent.heartbeats", "{}", "list of heartbeats"),
        ("agent.heartbeats", "null", "list of heartbeats"),
        ("agent.top", r#"{"cpu":[{"pid":1}]}"#, "name is missing"),
        ("agent.stopping", r#"{"on_purpose":"yes"}"#, "on_purpose must be true or false"),
        ("container.metrics", r#"{"containers":[{"cpu_percent":1}]}"#, "container's name is missing"),
        (
            "container.metrics",
            r#"{"containers":[{"name":"web","state":"up","cpu_percent":"5"}]}"#,
            "cpu_percent of container web must be a number",
        ),
    ] {
        refused(&format!(r#"{{"subject":"{subject}","data":{data}}}"#), "invalid_message", says);
    }
}

#[test]
fn a_wrong_heartbeat_is_read_with_its_number_and_its_fault() {
    let read = heartbeat(
        r#"{"subject":"agent.heartbeat","data":{"metrics":{"cpu.usage_percent":"hot","a.b":{"c":[1]}},"boot_id":"b","seq":9}}"#,
    );
    assert_eq!((read.boot_id.as_deref(), read.seq), (Some("b"), Some(9)));
    fault(r#"{"metrics":{"a.b":1,"cpu.usage_percent":"hot"}}"#, "cpu.usage_percent", "must be a number or null, not text");
    fault(r#"{"metrics":{"a.b":true}}"#, "a.b", "not true or false");
    fault(r#"{"metrics":{"a.b":[1]}}"#, "a.b", "not a list");
    fault(r#"{"metrics":[1]}"#, "metrics", "must be an object of numbers, not a list");
    fault(r#"{"metrics":7}"#, "metrics", "not a number");
    fault(r#"{"v":[1],"seq":1}"#, "schema", "which schema");
    fault(r#"{"v":{"a":1},"schema":1}"#, "v", "must be a list of numbers, not an object");
    fault(r#"{"v":[1,"x"],"schema":1}"#, "v[1]", "not text");
    fault(r#"{"seq":-1}"#, "seq", "whole number from 0");
    fault(r#"{"seq":1.5}"#, "seq", "whole number from 0");
    fault(r#"{"seq":"7"}"#, "seq", "not text");
    fault(r#"{"boot_id":7}"#, "boot_id", "must be text");
    fault(r#"{"age_ms":"old"}"#, "age_ms", "milliseconds");
    fault(r#"{"timestamp":"yesterday"}"#, "timestamp", "RFC 3339: yesterday");
    fault(r#"{"timestamp":[]}"#, "timestamp", "not a list");
    fault(r#""text""#, "data", "must be an object, not text");
    fault("[]", "data", "must be an object, not a list");
}

#[test]
fn what_is_unusual_is_welcome() {
    let read = heartbeat(
        r#"{"future":{"a":[1]},"timestamp":1763769600000,"data":{"x":[[]],"agentId":"A","bootId":"b","seq":7.0,"ageMs":12.4,
            "metrics":{"a.b":1,"c.d":2.5,"e.f":null,"g.h":-1e-7,"i.j":18446744073709551615}},"subject":"agent.heartbeat"}"#,
    );
    assert_eq!(
        (read.agent_id.as_deref(), read.boot_id.as_deref(), read.seq, read.age_ms),
        (Some("A"), Some("b"), Some(7), Some(12))
    );
    let values = named(&read.values);
    assert_eq!(values.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a.b", "c.d", "e.f", "g.h", "i.j"]);
    assert!(values[2].1.is_nan() && values[4].1 > 1.8e19 && read.fault.is_none());
    let read = heartbeat(r#"{"subject":"agent.heartbeat","data":{"metrics":{"a.b":NaN,"c.d":-Infinity,"e.f":1e999,"g.h":3}}}"#);
    assert_eq!(named(&read.values).iter().map(|(_, value)| value.is_nan()).collect::<Vec<_>>(), [true, true, true, false]);
    assert!(read.fault.is_none());
    let read = heartbeat(
        r#"{"subject":"agent.heartbeat","data":{"metrics":null,"timestamp":"2025-11-22T00:00:00Z","sent_at":1763769600.5}}"#,
    );
    assert_eq!((read.timestamp, read.sent_at), (Some(1_763_769_600_000), Some(1_763_769_600_500)));
    assert_eq!(json(r#"{"subject":"x.y"}"#).map(|envelope| envelope.data), Ok(FromAgent::Unknown { subject: "x.y".into() }));
}

/// CBOR of a heartbeat whose `metrics` hold `a.b` with these bytes as its value.
fn cbor_value(value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xa2, 0x67];
    bytes.extend_from_slice(b"subject\x6fagent.heartbeat\x64data\xa1\x67metrics\xa1\x63a.b");
    bytes.extend_from_slice(value);
    bytes
}

#[test]
fn cbor_numbers_of_every_kind_are_numbers() {
    for (bytes, expected) in [
        (&[0x05][..], 5.0),
        (&[0x39, 0x01, 0xf3], -500.0),
        (&[0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 18_446_744_073_709_551_615.0),
        (&[0x3b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], -18_446_744_073_709_551_616.0),
        (&[0xf9, 0x3e, 0x00], 1.5),
        (&[0xfa, 0x41, 0x20, 0x00, 0x00], 10.0),
        (&[0xfb, 0x3f, 0xb9, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a], 0.1),
        (&[0xf9, 0x7c, 0x00], f64::INFINITY),
        (&[0xfa, 0xff, 0x80, 0x00, 0x00], f64::NEG_INFINITY),
        (&[0xf6], f64::NAN),
        (&[0xf7], f64::NAN),
        (&[0xf9, 0x7e, 0x00], f64::NAN),
        (&[0xc2, 0x49, 1, 0, 0, 0, 0, 0, 0, 0, 0], 18_446_744_073_709_551_616.0),
    ] {
        let Ok(FromAgent::Heartbeat(read)) = cbor(&cbor_value(bytes)).map(|envelope| envelope.data) else {
            panic!("{bytes:02x?}")
        };
        let value = named(&read.values)[0].1;
        assert!(value.to_bits() == expected.to_bits() || (value.is_nan() && expected.is_nan()), "{bytes:02x?}: {value}");
    }
    let Ok(FromAgent::Heartbeat(read)) = cbor(&cbor_value(b"\x61x")).map(|envelope| envelope.data) else { panic!("refused") };
    assert_eq!(read.fault.map(|fault| fault.field), Some("a.b".to_owned()));
}

#[test]
fn what_is_no_cbor_is_refused() {
    for bytes in [
        &[][..],
        &[0xff],
        &[0xa1],
        &[0x67, b's'],
        &[0xa1, 0x01, 0x02],
        &[0xa1, 0x61, 0xff, 0x01],
        &[0x1c],
        &[0xf8, 0x20],
        &[0xc1],
    ] {
        assert_eq!(cbor(bytes).map_err(|error| error.code), Err("malformed"), "{bytes:02x?}");
    }
    let mut more = cbor_value(&[0x01]);
    more.push(0x00);
    assert!(cbor(&more).is_err_and(|error| error.message.contains("1 bytes follow")));
}

#[test]
fn declared_lengths_cost_nothing() {
    for head in [0x5b, 0x7b, 0x9b, 0xbb] {
        for length in [[0x80, 0, 0, 0, 0, 0, 0, 0], [0xff; 8], [0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]] {
            let mut bomb = vec![head];
            bomb.extend_from_slice(&length);
            assert_eq!(cbor(&bomb).map_err(|error| error.code), Err("malformed"), "{head:02x}");
            let mut inside = cbor_value(&bomb);
            assert_eq!(cbor(&inside).map_err(|error| error.code), Err("malformed"), "{head:02x} inside");
            inside.truncate(inside.len() - bomb.len() - 4);
            inside.extend_from_slice(b"\x63xyz");
            inside.extend_from_slice(&bomb);
            assert_eq!(cbor(&inside).map_err(|error| error.code), Err("malformed"), "{head:02x} ignored");
        }
    }
}

#[test]
fn depth_is_bounded_in_both_encodings_and_in_ignored_fields() {
    const DEEP: usize = 100_000;
    for text in [
        "[".repeat(DEEP),
        format!("{}1{}", r#"{"a":"#.repeat(DEEP), "}".repeat(DEEP)),
        format!(r#"{{"ignored":{}1{},"subject":"agent.heartbeat"}}"#, "[".repeat(DEEP), "]".repeat(DEEP)),
        format!(r#"{{"subject":"agent.heartbeat","data":{{"metrics":{{"a.b":{}1{}}}}}}}"#, "[".repeat(DEEP), "]".repeat(DEEP)),
        format!(r#"{{"subject":"agent.facts","data":{}1{}}}"#, "[".repeat(DEEP), "]".repeat(DEEP)),
        format!(r#"{{"subject":"agent.facts","data":{{"a":{}1{}}}}}"#, "[".repeat(15), "]".repeat(15)),
    ] {
        assert_eq!(json(&text).map_err(|error| error.code), Err("too_deep"), "{}", &text[..60]);
    }
    assert!(json(&format!(r#"{{"subject":"agent.facts","data":{{"a":{}1{}}}}}"#, "[".repeat(14), "]".repeat(14))).is_ok());
    for head in [0x81_u8, 0x9f, 0xa1, 0xbf, 0xc1, 0xd9] {
        let bytes = vec![head; 1 << 20];
        assert!(cbor(&bytes).is_err(), "{head:02x}");
        assert!(cbor(&cbor_value(&bytes[..1 << 19])).is_err(), "{head:02x} inside");
    }
    let mut deep = vec![0x81; DEEP];
    deep.push(0);
    assert_eq!(cbor(&deep).map_err(|error| error.code), Err("too_deep"));
    assert_eq!(cbor(&cbor_value(&deep)).map_err(|error| error.code), Err("too_deep"));
    assert_eq!(decode_from_hub(Encoding::Cbor, &deep, &Limits::FRAME).map_err(|error| error.code), Err("too_deep"));
}

#[test]
fn sizes_and_counts_are_bounded() {
    refused(&format!(r#"{{"subject":"agent.facts","data":{{"pad":"{}"}}}}"#, "x".repeat(1 << 20)), "too_large", "1048576");
    let values = |count: usize| {
        let mut metrics = String::new();
        for index in 0..count {
            write!(metrics, "{}\"a.b{index}\":1", if index == 0 { "" } else { "," }).expect("memory takes it");
        }
        heartbeat(&format!(r#"{{"subject":"agent.heartbeat","data":{{"metrics":{{{metrics}}},"seq":1}}}}"#))
    };
    assert_eq!(values(4096).fault, None);
    let over = values(4097);
    assert_eq!((over.seq, over.fault.map(|fault| fault.why)), (Some(1), Some("holds more than 4096 values".into())));
    fault(&format!(r#"{{"schema":1,"v":[{}]}}"#, vec!["0"; 4097].join(",")), "v", "more than 4096");
    refused(&format!(r#"{{"subject":"agent.heartbeats","data":[{}]}}"#, vec!["{}"; 6001].join(",")), "too_many", "6000");
    refused(
        &format!(r#"{{"subject":"agent.schema","data":{{"id":1,"names":[{}]}}}}"#, vec!["\"a.b\""; 4097].join(",")),
        "too_many",
        "4096",
    );
    assert_eq!(
        decode_entries(format!("[{}]", vec!["{}"; 6001].join(",")).as_bytes(), &Limits::BODY).map_err(|error| error.code),
        Err("too_many")
    );
}

#[test]
fn http_bodies_are_one_or_many_in_either_form() {
    let entries = |text: &str| decode_entries(text.as_bytes(), &Limits::BODY).expect("decodes");
    assert_eq!(entries("[]").len(), 0);
    assert_eq!(entries(r#"{"heartbeats":[]}"#).len(), 0);
    assert_eq!(entries("{}").len(), 1);
    let one = entries(
        r#"{"sent_at":1763769600000,"node_id":"N","timestamp":"2025-11-22T00:00:00Z","system":{"cpu_percent":1},"seq":1}"#,
    );
    let seed = one[0].seed.as_ref().expect("is a seed's");
    assert_eq!((seed.node_id.as_deref(), seed.system["cpu_percent"].as_f64()), (Some("N"), Some(1.0)));
    assert_eq!((one[0].heartbeat.sent_at, one[0].heartbeat.timestamp), (Some(1_763_769_600_000), Some(1_763_769_600_000)));
    let many = entries(r#"{"heartbeats":[{"sent_at":5e12,"metrics":{"a.b":NaN}},{"system":{}}],"sent_at":1763769600000}"#);
    assert_eq!(
        many.iter().map(|entry| entry.heartbeat.sent_at).collect::<Vec<_>>(),
        [Some(5_000_000_000_000), Some(1_763_769_600_000)]
    );
    assert!(many[0].seed.is_none() && many[1].seed.is_some());
    assert!(entries(r#"[{"node_id":7}]"#)[0].heartbeat.fault.is_some());
}
