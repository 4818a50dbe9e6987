//! What the hub says of itself: the OpenAPI document, its health, its counters. Validators are used where they are installed.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

#[expect(dead_code, reason = "each of the test programs uses a part")]
mod inside;

use inside::{Inside, Who, until};
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};

/// Runs a checker over a text, if it is installed; what it complains of.
fn complaints(program: &str, args: &[&str], text: &str) -> Option<String> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .inspect_err(|error| eprintln!("skipped: {program} cannot be run: {error}"))
        .ok()?;
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() && !said.contains("error") { Some(String::new()) } else { Some(said) }
}

#[tokio::test]
async fn the_document_is_valid_and_complete() {
    let inside = Inside::new().await;
    let answer = inside.get(&Who::Nobody, "/openapi.json").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    let document = answer.json();
    assert_eq!(document["openapi"].as_str().unwrap().split('.').take(2).collect::<Vec<_>>(), ["3", "1"]);
    assert_eq!(inside.get(&Who::Nobody, "//api/openapi.json").await.json(), document);
    let file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    std::fs::write(file.path(), answer.text()).unwrap();
    let path = file.path().to_str().unwrap();
    let python = ["-m", "openapi_spec_validator", path];
    let checked = complaints("openapi-spec-validator", &[path], "")
        .or_else(|| complaints("python3", &python, "").filter(|said| !said.contains("No module named")));
    assert!(checked.as_deref().is_none_or(str::is_empty), "{checked:?}");
    let mut ids = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        assert!(!path.contains('*'), "{path}");
        for (method, operation) in item.as_object().unwrap() {
            check(&document, &format!("{method} {path}"), path, operation);
            ids.push(operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path} has no id")).to_owned());
        }
    }
    assert!(ids.len() > 70, "{}", ids.len());
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "operations share an id");
    inside.hub.stop().await;
}

/// What every operation has, whoever wrote it.
fn check(document: &Value, about: &str, path: &str, operation: &Value) {
    assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{about}");
    let known = document["components"]["securitySchemes"].as_object().unwrap();
    for requirement in operation["security"].as_array().unwrap_or_else(|| panic!("{about}: no security")) {
        assert!(requirement.as_object().unwrap().keys().all(|scheme| known.contains_key(scheme)), "{about}: {requirement}");
    }
    let responses = operation["responses"].as_object().unwrap();
    for response in responses.values() {
        assert!(response["description"].as_str().is_some_and(|text| !text.is_empty()), "{about}");
    }
    let problem = &responses["default"]["content"]["application/problem+json"]["schema"]["$ref"];
    assert_eq!(problem, "#/components/schemas/Problem", "{about}");
    assert!(document["components"]["schemas"]["Problem"]["properties"]["request_id"].is_object(), "{about}");
    let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    for name in path.split('{').skip(1).filter_map(|rest| rest.split('}').next()) {
        let described = parameters.iter().any(|parameter| parameter["name"] == name && parameter["in"] == "path");
        assert!(described, "{about}: {name} is not described");
    }
}

#[tokio::test]
async fn the_counters_are_what_prometheus_wants() {
    let inside = Inside::new().await;
    let (_, agent) = inside.agent("db-01").await;
    inside.beat(&agent, &json!({"cpu.usage_percent": 12.5})).await;
    inside.get(&Who::Nobody, "/agents").await.problem(401, "unauthorized");
    let answer = inside.get(&Who::Nobody, "//metrics").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/plain; version=0.0.4; charset=utf-8"));
    let text = answer.text();
    for line in [
        "nightbell_hub_agents{status=\"online\"} 1",
        "nightbell_hub_agents{status=\"offline\"} 0",
        "nightbell_hub_incidents_open 0",
        "nightbell_hub_evaluations_total 1",
        "nightbell_hub_late_ignored_total 0",
        "nightbell_hub_heartbeats_total 1",
        "nightbell_hub_samples_total 1",
        "nightbell_hub_http_requests_total{class=\"4xx\"} 1",
        "nightbell_hub_outbox_deliveries{state=\"queued\"} 0",
        "# TYPE nightbell_hub_http_request_duration_seconds histogram",
    ] {
        assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
    }
    let said = complaints("promtool", &["check", "metrics"], &text);
    assert!(said.as_deref().is_none_or(str::is_empty), "{said:?}");
    inside.hub.stop().await;
}

#[tokio::test]
async fn the_hub_knows_itself() {
    let inside = Inside::new().await;
    let root = inside.program(&["metrics:read"]).await;
    assert_eq!(inside.get(&Who::Nobody, "//healthz").await.text(), "alive\n");
    until("readiness", async || inside.get(&Who::Nobody, "//readyz").await.text() == "ready\n").await;
    let system = inside.get(&root, "/system").await.fine();
    assert_eq!((&system["version"], &system["agents"]), (&json!(env!("CARGO_PKG_VERSION")), &json!(0)));
    assert!(system["metrics"]["rss_bytes"].as_u64().unwrap() > 1 << 20, "{system}");
    inside.hub.app.measure.writable(false);
    let answer = inside.get(&Who::Nobody, "//readyz").await;
    assert_eq!(answer.problem(503, "unavailable")["detail"], "the database cannot be written");
    assert_eq!(answer.header("retry-after"), "5");
    let catalog = inside.get(&root, "/metrics/catalog").await.fine();
    let rows = catalog["items"].as_array().unwrap();
    let cpu = rows.iter().find(|row| row["metric"] == "cpu.usage_percent").expect("the first of all metrics");
    assert_eq!((&cpu["unit"], &cpu["worse"]), (&json!("percent"), &json!("high")));
    assert_eq!(catalog["next_cursor"], json!(null));
    inside.hub.stop().await;
}
