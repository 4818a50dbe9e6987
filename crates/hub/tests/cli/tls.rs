//! The hub speaks TLS itself.

use crate::support::hub::{Hub, Start, on_data, run};
use crate::support::wait::until;
use crate::{refused, support};
use reqwest::Certificate;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// A certificate for loopback and its key, in files.
fn certificate(folder: &Path, name: &str) -> (String, String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    let path = |kind: &str| folder.join(format!("{name}.{kind}.pem")).to_str().unwrap().to_owned();
    let (cert, key) = (path("cert"), path("key"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (cert, key, made.cert.pem())
}

fn client(pem: &str) -> reqwest::Client {
    nightbell::wiring::install_tls_provider();
    let certificate = Certificate::from_pem(pem.as_bytes()).unwrap();
    reqwest::Client::builder().no_proxy().tls_certs_only([certificate]).timeout(Duration::from_secs(60)).build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn https_is_spoken_with_a_certificate_and_cookies_stay_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key, pem) = certificate(folder.path(), "hub");
    let data = folder.path().join("data");
    let hub = Hub::start(Start::up(&data).with(&["--tls-cert", &cert, "--tls-key", &key])).await;
    assert!(hub.greeting.contains("https://127.0.0.1:"), "{}", hub.greeting);
    let trusting = client(&pem);
    let body = json!({"key": hub.greeting.split("key=").nth(1).unwrap(), "username": "ada", "password": "correct horse battery"});
    let answer = trusting.post(format!("{}/api/v1/setup", hub.url)).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("__Host-nightbell=nb_session_") && cookie.ends_with("; Secure"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    // The agent in the same process gets in by a door of its own.
    let agents = async || {
        let request = trusting.get(format!("{}/api/v1/agents", hub.url)).header("cookie", cookie);
        let agents: Value = request.send().await.unwrap().json().await.unwrap();
        agents["items"][0]["metrics"]["mem.total_bytes"].is_number().then_some(())
    };
    until("this host", agents).await;
    let (_, _, stranger) = certificate(folder.path(), "stranger");
    assert!(client(&stranger).get(&hub.url).send().await.is_err(), "another certificate is not trusted");
    let plain = hub.url.replacen("https", "http", 1);
    assert!(support::api::http().get(plain).send().await.is_err(), "plain text gets no answer");
    assert!(on_data(&data, &["token", "create", "--name", "x", "--scopes", "admin"]).starts_with("nb_api_"));
}

#[test]
fn a_certificate_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let ((cert, key, _), (_, other, _)) = (certificate(folder.path(), "hub"), certificate(folder.path(), "other"));
    let check = |cert: &str, key: &str| run(&["config", "check", "--tls-cert", cert, "--tls-key", key]);
    assert!(check(&cert, &key).status.success());
    refused(&check(&cert, &other), &["other.key.pem", "does not fit the certificate"]);
    refused(&check(&key, &key), &["hub.key.pem", "--tls-cert"]);
    refused(&check(&cert, &cert), &["hub.cert.pem", "--tls-key"]);
    refused(&run(&["config", "check", "--tls-key", &key]), &["tls_key", "tls_cert must be set"]);
}
