//! Passwords from the command line.

use crate::refused;
use crate::support::api::http;
use crate::support::hub::{Hub, Start, program};
use rustix::process::Signal;
use serde_json::json;
use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

/// `nightbell user password` with a password on its standard input.
fn set_password(data: &Path, name: &str, password: &str) -> Output {
    let mut command = program();
    command.args(["user", "password", name, "--data"]).arg(data);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Logs in: the status, and the session's cookie.
async fn login(hub: &Hub, password: &str) -> (u16, String) {
    let body = json!({"username": "ada", "password": password});
    let answer = http().post(format!("{}/api/v1/auth/login", hub.url)).json(&body).send().await.unwrap();
    let cookie = answer.headers().get("set-cookie").map_or("", |cookie| cookie.to_str().unwrap());
    (answer.status().as_u16(), cookie.split(';').next().unwrap().to_owned())
}

async fn me(hub: &Hub, cookie: &str) -> u16 {
    let request = http().get(format!("{}/api/v1/auth/me", hub.url)).header("cookie", cookie);
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_set_beside_a_running_hub_and_without_one() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    assert_eq!(said(&set_password(data, "Ada", "the first password")), "ada is a new admin\n");
    let mut hub = Hub::start(Start::serve(data)).await;
    assert!(!hub.greeting.contains("key="), "somebody is there already: {}", hub.greeting);
    let (status, cookie) = login(&hub, "the first password").await;
    assert_eq!((status, me(&hub, &cookie).await), (200, 200));
    for _ in 0..10 {
        assert_eq!(login(&hub, "forgotten").await.0, 401);
    }
    assert_eq!(login(&hub, "the first password").await.0, 429);
    assert!(said(&set_password(data, "ada", "the second password")).contains("sessions are ended"));
    assert_eq!(me(&hub, &cookie).await, 401);
    assert_eq!(login(&hub, "the second password").await.0, 200, "whoever sets a password need not wait");
    refused(&set_password(data, "ada", "short"), &["10 characters"]);
    refused(&set_password(data, "a b", "the third password"), &["user name"]);
    hub.end(Signal::TERM).await;
    said(&set_password(data, "ada", "the third password"));
    hub.again().await;
    assert_eq!((login(&hub, "the second password").await.0, login(&hub, "the third password").await.0), (401, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_key_sets_the_hub_up_and_a_person_made_beside_it_spends_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(Start::serve(folder.path())).await;
    let key = hub.greeting.split("/setup?key=").nth(1).expect("a key in the greeting").to_owned();
    hub.end(Signal::TERM).await;
    hub.again().await;
    let fresh = hub.greeting.split("/setup?key=").nth(1).expect("a key in the greeting").to_owned();
    let set_up = async |key: &str| {
        let body = json!({"key": key, "username": "ada", "password": "the first password"});
        http().post(format!("{}/api/v1/setup", hub.url)).json(&body).send().await.unwrap().status().as_u16()
    };
    assert_eq!(set_up(&key).await, 403, "each start has its own");
    said(&set_password(folder.path(), "bea", "another password"));
    assert_eq!(set_up(&fresh).await, 409);
    let log = hub.log();
    assert!(!log.contains(&fresh) && !log.contains("another password"), "secrets in the log: {log}");
}
