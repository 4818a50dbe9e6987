//! How refusals look: problem details everywhere, with a stable code, the field, and the name of the request.

use crate::inside::{Answer, Inside, Who};
use reqwest::Method;
use serde_json::json;

async fn with_body(inside: &Inside, who: &Who, kind: &str, body: impl Into<reqwest::Body>) -> Answer {
    Answer::of(inside.request(who, Method::PUT, "/settings").header("content-type", kind).body(body)).await
}

#[tokio::test]
async fn unknown_routes_and_methods_are_problems() {
    let inside = Inside::new().await;
    let root = inside.program(&["admin"]).await;
    for path in ["/nothing", "//api/nothing", "//api", "//api/", "/agents/", "/agents/x/y/z", "//nothing.js", "//assets/none.css"]
    {
        let answer = inside.get(&root, path).await;
        assert_eq!(answer.status, 404, "{path}");
        answer.problem(404, "not_found");
    }
    for (method, path, allowed) in [
        (Method::PUT, "/agents", "GET"),
        (Method::DELETE, "/settings", "PUT"),
        (Method::GET, "/auth/login", "POST"),
        (Method::POST, "//healthz", "GET"),
    ] {
        let answer = Answer::of(inside.request(&root, method, path)).await;
        answer.problem(405, "method_not_allowed");
        assert!(answer.header("allow").contains(allowed), "{path}: {}", answer.header("allow"));
    }
    inside.send(&root, Method::POST, "//", &json!({})).await.problem(404, "not_found");
    inside.hub.stop().await;
}

#[tokio::test]
async fn a_body_that_cannot_be_taken_says_why() {
    let inside = Inside::new().await;
    let root = inside.program(&["admin"]).await;
    let json = "application/json";
    for text in ["", "{", "{\"timezone\":\"UTC\"} x", "{\"timezone\":NaN}"] {
        with_body(&inside, &root, json, text.to_owned()).await.problem(400, "bad_request");
    }
    let bomb = format!("{{\"name\":{}", "[".repeat(100_000));
    let rule = inside.request(&root, Method::POST, "/rules").header("content-type", json).body(bomb);
    Answer::of(rule).await.problem(400, "bad_request");
    for (text, pointer) in [
        (r#"{"timezone":"UTC","colour":1}"#, "/colour"),
        (r#"{"timezone":3}"#, "/timezone"),
        (r#"{"timezone":"Mars"}"#, "/timezone"),
        (r#"{"timezone":"UTC","timezone":"UTC"}"#, ""),
        ("{}", "/timezone"),
        ("[]", ""),
        (" [\"UTC\"]", ""),
        ("null", ""),
    ] {
        assert_eq!(with_body(&inside, &root, json, text).await.pointers(), [pointer], "{text}");
    }
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        with_body(&inside, &root, kind, r#"{"timezone":"UTC"}"#).await.problem(415, "unsupported_media_type");
    }
    assert_eq!(with_body(&inside, &root, "application/json; charset=utf-8", r#"{"timezone":"UTC"}"#).await.status, 200);
    inside.hub.stop().await;
}

#[tokio::test]
async fn a_huge_body_is_refused_and_the_refusal_arrives() {
    let inside = Inside::new().await;
    let root = inside.program(&["admin"]).await;
    for (who, status, code) in [(&root, 413, "payload_too_large"), (&Who::Nobody, 401, "unauthorized")] {
        for megabytes in [2, 32] {
            let answer = with_body(&inside, who, "application/json", vec![b' '; megabytes << 20]).await;
            answer.problem(status, code);
        }
    }
    let answer = Answer::of(inside.request(&root, Method::POST, "/metrics/system").body(vec![b' '; 2 << 20])).await;
    assert!(matches!(answer.status, 401 | 413), "{}", answer.status);
    inside.hub.stop().await;
}

#[tokio::test]
async fn a_query_out_of_range_is_refused_and_never_clamped() {
    let inside = Inside::new().await;
    let root = inside.program(&["admin"]).await;
    for path in [
        "/audit",
        "/users",
        "/rules",
        "/channels",
        "/silences",
        "/tokens",
        "/enrolment-tokens",
        "/metrics/catalog",
        "/agents",
        "/events",
        "/incidents",
        "/outbox",
    ] {
        for (query, pointer) in [
            ("limit=0", "limit"),
            ("limit=501", "limit"),
            ("limit=x", "limit"),
            ("limit=-1", "limit"),
            ("cursor=x", "cursor"),
            ("nope=1", "nope"),
        ] {
            assert_eq!(inside.get(&root, &format!("{path}?{query}")).await.pointers(), [pointer], "{path}?{query}");
        }
        assert_eq!(inside.get(&root, &format!("{path}?limit=500")).await.status, 200, "{path}");
    }
    inside.hub.stop().await;
}

#[tokio::test]
async fn an_object_that_changed_is_not_overwritten() {
    let inside = Inside::new().await;
    let root = inside.program(&["admin"]).await;
    let read = inside.get(&root, "/settings").await;
    let put = async |tag: &str, zone: &str| {
        let request = inside.request(&root, Method::PUT, "/settings").header("if-match", tag);
        Answer::of(request.json(&json!({"timezone": zone}))).await
    };
    let answer = put(read.header("etag"), "Europe/Berlin").await;
    assert_eq!((answer.status, &answer.json()["timezone"]), (200, &json!("Europe/Berlin")));
    put(read.header("etag"), "UTC").await.problem(412, "stale");
    assert_eq!(put(answer.header("etag"), "UTC").await.status, 200);
    assert_eq!(put("*", "UTC").await.status, 200);
    inside.hub.stop().await;
}

#[tokio::test]
async fn problems_are_compressed_as_anything_else() {
    let inside = Inside::new().await;
    let raw = reqwest::Client::builder().no_proxy().no_gzip().build().unwrap();
    let answer = Answer::of(raw.get(format!("{}/api/v1/agents", inside.hub.url)).header("accept-encoding", "gzip")).await;
    assert_eq!((answer.status, answer.header("content-encoding")), (401, "gzip"));
    inside.hub.stop().await;
}
