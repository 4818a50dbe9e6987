//! Starts that cannot succeed: each says what is wrong and how to mend it, and ends.

use crate::support::house::House;
use crate::support::hub::{Hub, Start, collect, program};
use crate::support::wait::PATIENCE;
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Runs a command that has to fail soon; gives what it said.
fn fails(command: &mut Command) -> String {
    let begun = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it can be started");
    let said = collect(child.stderr.take().unwrap());
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("{command:?} does not end: {}", String::from_utf8_lossy(&said.lock().unwrap()));
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    // The reader of the pipe may be a moment behind the end.
    std::thread::sleep(std::time::Duration::from_millis(50));
    let said = String::from_utf8_lossy(&said.lock().unwrap()).into_owned();
    assert!(!status.success(), "{command:?} succeeded: {said}");
    assert!(!said.contains("panicked"), "{command:?}: {said}");
    said
}

fn serve(data: &Path) -> Command {
    let mut command = program();
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data);
    command
}

/// Flags, environment, and what has to be said about them.
type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a [&'a str]);

fn says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word:?} is not in {said:?}");
    }
}

#[test]
fn flags_settings_and_variables_that_cannot_be_used_are_named_with_their_mend() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_string_lossy().into_owned()
    };
    let (unknown, no_toml, wrong) =
        (file("a.toml", "lissten = 1"), file("b.toml", "= ="), file("c.toml", "[retention]\nraw = \"soon\""));
    let certificate = file("cert.pem", "no certificate");
    let cases: [Case<'_>; 13] = [
        (&["--lissten", "x"], &[], &["--lissten", "--listen"]),
        (&["--listen", "8787"], &[], &["listen", "8787", "127.0.0.1:8787"]),
        (&["--listen", "127.0.0.1:99999"], &[], &["99999"]),
        (&["--public-url", "monitor"], &[], &["public_url", "https://"]),
        (&["--log", "info=loud=x"], &[], &["log"]),
        (&["--config", "/nowhere/x.toml"], &[], &["/nowhere/x.toml", "--config"]),
        (&["--config", &unknown], &[], &["lissten", "listen", "a.toml"]),
        (&["--config", &no_toml], &[], &["b.toml", "TOML"]),
        (&["--config", &wrong], &[], &["retention.raw", "soon", "c.toml", "7d"]),
        (&["--tls-cert", &certificate], &[], &["tls_key"]),
        (&["--tls-cert", &certificate, "--tls-key", &certificate], &[], &["cert.pem", "PEM"]),
        (&[], &[("NIGHTBELL_LISTEN", "here")], &["NIGHTBELL_LISTEN", "here", "127.0.0.1:8787"]),
        (&[], &[("NIGHTBELL_PORT", "1")], &["NIGHTBELL_PORT", "NIGHTBELL_LISTEN"]),
    ];
    for (flags, variables, words) in cases {
        let mut command = program();
        command.arg("serve").arg("--data").arg(&data).args(flags).envs(variables.iter().copied());
        says(&fails(&mut command), words);
    }
    assert!(!data.exists(), "nothing is made where nothing is started");
    for (args, words) in [
        (["token", "create", "--name", "x", "--scopes", "everything"], ["everything", "admin"]),
        (["enroll", "create", "--uses", "0", "--expires", "1h"], ["--uses", "0"]),
        (["enroll", "create", "--uses", "1", "--expires", "soon"], ["--expires", "soon"]),
        (["enroll", "create", "--uses", "1", "--tag", "no tag!"], ["no tag!", "tag"]),
    ] {
        says(&fails(program().args(args).arg("--data").arg(&data)), &words);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_named() {
    let house = House::start().await;
    let address = house.hub.url.strip_prefix("http://").unwrap();
    let other = house.room().join("other");
    let said = fails(program().args(["serve", "--listen", address, "--data"]).arg(&other));
    says(&said, &[address, "--listen"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_has_one_hub() {
    let house = House::start().await;
    let said = fails(&mut serve(house.hub.data()));
    says(&said, &[&house.hub.data().to_string_lossy(), "in use", "stop"]);
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    says(&fails(&mut serve(&file.join("data"))), &["file/data", "--data"]);
    says(&fails(&mut serve(&file)), &["file"]);
    if !rustix::process::geteuid().is_root() {
        let closed = folder.path().join("closed");
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
        return says(&fails(&mut serve(&closed)), &["closed"]);
    }
    // Root may write everywhere: somebody else has to try.
    const NOBODY: u32 = 65_534;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let closed = folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    let mut command = serve(&closed);
    command.uid(NOBODY).gid(NOBODY).current_dir("/");
    let runs = Command::new(command.get_program()).arg("--version").uid(NOBODY).gid(NOBODY).current_dir("/").output();
    if !runs.is_ok_and(|output| output.status.success()) {
        return eprintln!("skipped: the program under test cannot be run by another user");
    }
    says(&fails(&mut command), &["closed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_newer_version_or_of_something_else_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    Hub::start(Start::serve(&data)).await.end(Signal::TERM).await;
    let path = data.join("nightbell.db");
    // The schema's version stands in the header of the file, at 60 (https://www.sqlite.org/fileformat2.html#user_version_number).
    let file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let mut version = [0; 4];
    file.read_exact_at(&mut version, 60).unwrap();
    assert!(u32::from_be_bytes(version) >= 1, "a version is written");
    file.write_all_at(&9_999_u32.to_be_bytes(), 60).unwrap();
    let before = fs::read(&path).unwrap();
    says(&fails(&mut serve(&data)), &["nightbell.db", "newer"]);
    assert!(fs::read(&path).unwrap() == before, "the file was changed");
    file.write_all_at(&version, 60).unwrap();
    Hub::start(Start::serve(&data)).await.end(Signal::TERM).await;
    fs::write(&path, "this is no database, but it is long enough to be taken for one ".repeat(100)).unwrap();
    says(&fails(&mut serve(&data)), &["nightbell.db"]);
}
