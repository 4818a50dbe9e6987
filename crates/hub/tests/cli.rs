//! The command line of the real program: what it prints, on which folder, beside a running hub and without one. Starts that
//! cannot succeed are the business of the tests of faults.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

#[path = "cli/parquet.rs"]
mod as_parquet;
#[path = "cli/backups.rs"]
mod backups;
#[path = "cli/commands.rs"]
mod commands;
#[path = "cli/folder.rs"]
mod folder;
#[path = "cli/history.rs"]
mod history;
#[path = "cli/people.rs"]
mod people;
#[expect(dead_code, reason = "each of the test programs uses a part")]
mod support;
#[path = "cli/tls.rs"]
mod tls;

use std::path::Path;
use std::process::Output;

/// Runs a command on a data folder.
fn on(data: &Path, args: &[&str]) -> Output {
    support::hub::program().args(args).arg("--data").arg(data).output().expect("the program can be started")
}

/// What a command printed that has to fail with this on its lips; it prints nothing for programs to read.
fn refused(output: &Output, words: &[&str]) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && output.stdout.is_empty(), "{}: {said}", output.status);
    for word in words {
        assert!(said.contains(word), "{word:?} is not in {said:?}");
    }
    assert!(!said.contains("panicked"), "{said}");
    said
}
