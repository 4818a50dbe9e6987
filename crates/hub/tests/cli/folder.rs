//! The data folder: for one user, however deep.

use crate::support::hub::{Hub, Start, on_data};
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
async fn a_deep_folder_has_a_socket_too() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("deep".repeat(20)).join("deeper".repeat(20));
    assert!(data.as_os_str().len() > 200);
    let hub = Hub::start(Start::serve(&data)).await;
    assert!(on_data(&data, &["token", "create", "--name", "x", "--scopes", "admin"]).starts_with("nb_api_"));
    drop(hub);
}
