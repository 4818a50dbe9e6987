//! Tokens, settings, health, maintenance, the demo.

use crate::support::api::Api;
use crate::support::hub::{Hub, Start, on_data, program, run};
use crate::support::wait::until;
use crate::{on, refused};
use reqwest::Method;
use rustix::process::Signal;
use serde_json::json;

/// Exactly one token, and nothing else.
fn token(output: &std::process::Output, kind: &str) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{err}");
    let token = out.strip_suffix('\n').expect("a line");
    assert!(token.starts_with(&format!("nb_{kind}_")) && !token.contains(char::is_whitespace), "{out:?}");
    token.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_printed_alone_whether_the_hub_runs_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("not/yet/there");
    let create = ["token", "create", "--name", "ci", "--scopes", "metrics:read,agents:enroll"];
    let before = token(&on(&data, &create), "api");
    let enrolment_before = token(&on(&data, &["enroll", "create", "--tag", "db", "--tag", "eu"]), "enroll");
    let hub = Hub::start(Start::serve(&data)).await;
    let beside = token(&on(&data, &create), "api");
    let enrolment_beside = token(&on(&data, &["enroll", "create", "--uses", "2", "--expires", "10m"]), "enroll");
    for token in [before, beside] {
        let api = Api::new(&hub.url, &token);
        assert_eq!(api.get("/agents").await["items"], json!([]));
        assert_eq!(api.ask(Method::GET, "/rules", None).await.0, 403);
    }
    for (token, uses, tags) in [(enrolment_before, 1, json!(["db", "eu"])), (enrolment_beside, 2, json!([]))] {
        let agents = Api::new(&hub.url, &token);
        for number in 0..=uses {
            let node = json!({"hostname": format!("host-{uses}-{number}")});
            let expected = if number < uses { 200 } else { 401 };
            assert_eq!(agents.ask(Method::POST, "/nodes", Some(&node)).await.0, expected);
        }
        let root = Api::new(&hub.url, &on_data(&data, &["token", "create", "--name", "root", "--scopes", "admin"]));
        assert_eq!(root.agent(&format!("host-{uses}-0")).await["tags"], tags);
    }
}

#[test]
fn what_cannot_be_done_is_named_and_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for (args, words) in [
        (&["token", "create", "--name", "x"][..], &["--scopes"][..]),
        (&["token", "create", "--name", "x", "--scopes", "root"], &["root", "metrics:read"]),
        (&["token", "create", "--name", "", "--scopes", "admin"], &["name"]),
        (&["token", "create", "--name", "x", "--scopes", "admin", "--expires", "0s"], &["90d"]),
        (&["enroll", "create", "--tag", "a b"], &["a b", "tag"]),
        (&["maintain"], &["no database", "--data"]),
        (&["backup", "/tmp/never-made"], &["no database", "--data"]),
        (&["health"], &["no hub", "--data"]),
        (&["user", "password", "ada"], &["password"]),
        (&["demo", "--agents", "0"], &["--agents"]),
        (&["frobnicate"], &["frobnicate"]),
        (&["config", "show", "--orgin"], &["--orgin", "--origin"]),
    ] {
        refused(&on(&data, args), words);
    }
    assert!(!data.exists(), "a folder was made");
}

#[test]
fn settings_are_checked_and_shown_with_their_origin() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hub.toml");
    std::fs::write(&file, "listen = \"127.0.0.1:1\"\nlog = \"warn\"\n[retention]\nraw = \"3d\"\n").unwrap();
    let file = file.to_str().unwrap();
    let show = |args: &[&str]| {
        let mut command = program();
        command.args(["config", "show"]).args(args).env("NIGHTBELL_LISTEN", "127.0.0.1:2").env("NIGHTBELL_CONFIG", file);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let with_origin = show(&["--origin", "--public-url", "https://monitor.example.org"]);
    for line in [
        "listen = \"127.0.0.1:2\"  # environment NIGHTBELL_LISTEN",
        "public_url = \"https://monitor.example.org\"  # flag --public-url",
        "agents.interval = \"15s\"  # default",
    ] {
        assert!(with_origin.lines().any(|found| found == line), "no {line} in\n{with_origin}");
    }
    assert!(with_origin.contains(&format!("log = \"warn\"  # file {file}")), "{with_origin}");
    // What is printed is a settings file that says the same.
    let again = folder.path().join("again.toml");
    std::fs::write(&again, &with_origin).unwrap();
    let check = run(&["config", "check", "--config", again.to_str().unwrap()]);
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    let plain = show(&[]);
    assert!(plain.contains("\nretention.raw = \"3d\"\n") && plain.contains("\n# retention.daily = \"90d\"\n"), "{plain}");
    assert_eq!(String::from_utf8_lossy(&check.stdout), "the settings can be used\n");
    refused(&run(&["config", "check", "--listen", "nowhere"]), &["listen", "nowhere", "127.0.0.1:8787"]);
    let certificate = folder.path().join("none.pem");
    let certificate = certificate.to_str().unwrap();
    refused(&run(&["config", "check", "--tls-cert", certificate, "--tls-key", certificate]), &["none.pem", "--tls-cert"]);
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_stops_nobody() {
    use std::os::unix::ffi::OsStrExt as _;
    let odd = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    let output = program().args(["config", "check"]).env("ODD", odd).env(odd, "x").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn health_says_ready_while_the_hub_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(Start::serve(folder.path())).await;
    until("health", async || {
        let output = on(folder.path(), &["health"]);
        (output.status.success() && output.stdout == b"ready\n").then_some(())
    })
    .await;
    assert!(hub.end(Signal::TERM).await.success());
    refused(&on(folder.path(), &["health"]), &["no hub runs on", &folder.path().to_string_lossy()]);
    hub.again().await;
    hub.end(Signal::KILL).await;
    // A socket that was left behind is no hub.
    refused(&on(folder.path(), &["health"]), &["no hub runs on"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_is_for_a_hub_that_stands_still() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(Start::serve(folder.path())).await;
    refused(&on(folder.path(), &["maintain"]), &["in use", "stop"]);
    hub.end(Signal::TERM).await;
    let said = on_data(folder.path(), &["maintain"]);
    assert!(said.contains("buckets written") && said.contains("rows removed"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_has_hosts_with_a_past() {
    let folder = tempfile::tempdir().unwrap();
    let start = Start { word: "demo", ..Start::serve(folder.path()) };
    let mut hub = Hub::start(start.with(&["--agents", "3"])).await;
    let api = Api::new(&hub.url, &on_data(folder.path(), &["token", "create", "--name", "x", "--scopes", "admin"]));
    let agent = until("three hosts", async || {
        let agents = api.list("/agents").await;
        agents.iter().all(|agent| agent["metrics"]["cpu.usage_percent"].is_number()).then_some(())?;
        (agents.len() == 3).then(|| agents[0].clone())
    })
    .await;
    let path = format!("/agents/{}/metrics/history?metrics=cpu.usage_percent&start=-4h", agent["id"].as_str().unwrap());
    let history = api.get(&path).await;
    assert!(history["t"].as_array().unwrap().len() > 100, "{history}");
    assert!(hub.end(Signal::INT).await.success());
}
