//! A hub that serves TLS itself: the API, an agent that trusts its authority, one that does not, and the agent inside `up`.

use crate::support::house::{AgentProcess, House, agent_program};
use crate::support::hub::{Hub, Start, on_data};
use crate::support::wait::until;
use rcgen::{CertificateParams, KeyPair};
use reqwest::Certificate;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Stdio;

/// Writes a certificate for loopback that is its own authority, and its key; gives the flags that name them.
fn certificate(folder: &Path) -> [String; 4] {
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    let (cert, private) = (folder.join("cert.pem"), folder.join("key.pem"));
    fs::write(&cert, certificate.pem()).unwrap();
    fs::write(&private, key.serialize_pem()).unwrap();
    let text = |path: &Path| path.to_string_lossy().into_owned();
    ["--tls-cert".to_owned(), text(&cert), "--tls-key".to_owned(), text(&private)]
}

/// The agents of a hub, asked over TLS by a client that trusts this certificate and no other.
async fn agents(hub: &Hub, token: &str, cert: &str) -> Vec<Value> {
    let root = Certificate::from_pem(&fs::read(cert).unwrap()).unwrap();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([root]).build().unwrap();
    let response = client.get(format!("{}/api/v1/agents", hub.url)).bearer_auth(token).send().await.unwrap();
    response.json::<Value>().await.unwrap()["items"].as_array().unwrap().clone()
}

fn measures(agents: &[Value]) -> bool {
    agents.iter().any(|agent| agent["metrics"]["mem.used_percent"].is_number())
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_reach_a_hub_with_tls_if_they_trust_it_and_the_one_inside_does_anyway() {
    nightbell::wiring::install_tls_provider();
    let folder = tempfile::tempdir().unwrap();
    let flags = certificate(folder.path());
    let data = folder.path().join("data");
    let words: Vec<&str> = flags.iter().map(String::as_str).collect();
    let token = on_data(&data, &["token", "create", "--name", "tests", "--scopes", "admin"]);
    let hub = Hub::start(Start::up(&data).with(&words)).await;
    assert!(hub.url.starts_with("https://"), "{}", hub.url);
    until("the agent inside", async || measures(&agents(&hub, &token, &flags[1]).await).then_some(())).await;
    drop(hub);

    let Some(program) = agent_program() else { return };
    let house = House::untouched(&words).await;
    let secret = on_data(house.hub.data(), &["token", "create", "--name", "more", "--scopes", "metrics:read"]);
    let trusting = AgentProcess::start(&program, &house, "trusting", &["--interval", "1s", "--ca-file", &flags[1]]);
    until("the agent that trusts", async || measures(&agents(&house.hub, &secret, &flags[1]).await).then_some(())).await;
    drop(trusting);
    let url = house.hub.url.replacen("http", "ws", 1);
    let state = folder.path().join("doubting");
    let enrolment = house.enrolment(1);
    let mut doubting = std::process::Command::new(&program);
    doubting.args(["--hub", &url, "--token", &enrolment, "--name", "doubting", "--reconnect-max", "1s", "--state"]).arg(&state);
    let mut child = doubting.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let said = crate::support::hub::collect(child.stderr.take().unwrap());
    until("the doubt", async || {
        let said = String::from_utf8_lossy(&said.lock().unwrap()).to_lowercase();
        (said.contains("certificate") || said.contains("unknownissuer")).then_some(())
    })
    .await;
    child.kill().unwrap();
    child.wait().unwrap();
    let known = agents(&house.hub, &secret, &flags[1]).await;
    assert!(known.iter().all(|agent| agent["name"] != "doubting"), "{known:?}");
}
