//! The data folder: for one user, however deep.

use crate::support::api::Api;
use crate::support::hub::{Hub, Start, on_data};
use crate::support::wait::until;
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_hub_keeps_is_for_its_own_user_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let hub = Hub::start(Start::serve(&data)).await;
    let backup = folder.path().join("backup");
    on_data(&data, &["backup", backup.to_str().unwrap()]);
    assert_eq!((mode(&data), mode(&backup)), (0o700, 0o600));
    for entry in fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path) & 0o077, 0, "{}", path.display());
    }
    drop(hub);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_database_beside_an_old_agent_takes_it_in() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let this_host = async |hub: &Hub| {
        let token = on_data(data, &["token", "create", "--name", "x", "--scopes", "admin"]);
        let api = Api::new(&hub.url, &token);
        until("this host", async || {
            let agents = api.list("/agents").await;
            let [agent] = &agents[..] else { return None };
            agent["metrics"]["mem.total_bytes"].is_number().then(|| agent["id"].clone())
        })
        .await
    };
    let mut hub = Hub::start(Start::up(data)).await;
    let first = this_host(&hub).await;
    hub.end(Signal::TERM).await;
    hub.again().await;
    assert_eq!(this_host(&hub).await, first, "it is who it was");
    hub.end(Signal::TERM).await;
    fs::remove_file(data.join("nightbell.db")).unwrap();
    hub.again().await;
    assert_ne!(this_host(&hub).await, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deep_folder_has_a_socket_too() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("deep".repeat(20)).join("deeper".repeat(20));
    assert!(data.as_os_str().len() > 200);
    let hub = Hub::start(Start::serve(&data)).await;
    assert!(on_data(&data, &["token", "create", "--name", "x", "--scopes", "admin"]).starts_with("nb_api_"));
    drop(hub);
}
