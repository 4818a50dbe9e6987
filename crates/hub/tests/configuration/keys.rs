//! The file that opens the secrets: made at the first start, missed when it is gone, never in a backup.

use crate::support::house::House;
use crate::support::hub::{Hub, Start, on_data, program};
use crate::support::receiver::Receiver;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_without_its_key_runs_and_says_which_channels_do_not() {
    let mut house = House::start().await;
    let receiver = Receiver::start().await;
    let id = house.api.make("/channels", &receiver.channel("pager")).await;
    let key = house.hub.data().join("nightbell.key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let kept = fs::read(&key).unwrap();
    house.hub.end(Signal::TERM).await;
    fs::remove_file(&key).unwrap();
    house.hub.again().await;
    let channel = house.api.get(&format!("/channels/{id}")).await;
    assert_eq!((&channel["broken"], &channel["config"]), (&json!(true), &json!({})), "{channel}");
    assert!(channel["broken_reason"].as_str().unwrap().contains("not in the key file"), "{channel}");
    assert!(house.hub.log().contains("cannot be opened"), "{}", house.hub.log());
    let tested = house.api.post(&format!("/channels/{id}/test"), &json!({})).await;
    assert_eq!(tested["state"], "dead", "{tested}");
    assert!(tested["last_error"].as_str().unwrap().contains("secrets cannot be opened"), "{tested}");
    house.api.make("/channels", &receiver.channel("another")).await;

    // Both keys: the newer one seals, the older one opens what it sealed.
    house.hub.end(Signal::TERM).await;
    let newer = fs::read(&key).unwrap();
    fs::write(&key, [newer, b"\n".to_vec(), kept].concat()).unwrap();
    house.hub.again().await;
    let tested = house.api.post(&format!("/channels/{id}/test"), &json!({})).await;
    assert_eq!(tested["state"], "sent", "{tested}");
    assert_eq!(house.api.get(&format!("/channels/{id}")).await["broken"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_place_is_never_filled_by_the_hub_and_a_backup_opens_with_the_same_key() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = (folder.path().join("data"), folder.path().join("mounted/key"));
    let start = Start::serve(&data).with(&["--secret-key-file", file.to_str().unwrap()]);
    let mut house = House::on(start.clone()).await;
    let receiver = Receiver::start().await;
    let (status, problem) = house.api.ask(Method::POST, "/channels", Some(&receiver.channel("pager"))).await;
    assert_eq!(status, 409, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("openssl rand -hex 32"), "{problem}");
    assert!(!file.exists() && !data.join("nightbell.key").exists());
    house.hub.end(Signal::TERM).await;
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "7f".repeat(32)).unwrap();
    house.hub.again().await;
    let id = house.api.make("/channels", &receiver.channel("pager")).await;
    let backup = folder.path().join("backup");
    on_data(&data, &["backup", backup.to_str().unwrap()]);

    let elsewhere = folder.path().join("elsewhere");
    on_data(&elsewhere, &["restore", backup.to_str().unwrap()]);
    let token = on_data(&elsewhere, &["token", "create", "--name", "x", "--scopes", "admin"]);
    let restored = Hub::start(Start { data: elsewhere, ..start }).await;
    let api = crate::support::api::Api::new(&restored.url, &token);
    assert_eq!(api.post(&format!("/channels/{id}/test"), &json!({})).await["state"], "sent");
    let said = program().args(["config", "show", "--origin"]).env("NIGHTBELL_SECRET_KEY_FILE", &file).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("secret_key_file = ") && said.contains("environment NIGHTBELL_SECRET_KEY_FILE"), "{said}");
}
