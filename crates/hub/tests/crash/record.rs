//! What a hub did to its folder, in order, with marks of others between: written by `recorder.rs` and by [`Marks`], read here.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One thing that happened.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Write {
        file: String,
        at: usize,
        bytes: Vec<u8>,
    },
    Truncate {
        file: String,
        len: usize,
    },
    /// A file's bytes are on the disk; with an empty name, the folder's entries are.
    Sync {
        file: String,
    },
    Create {
        file: String,
    },
    Remove {
        file: String,
    },
    Rename {
        from: String,
        to: String,
    },
    /// Somebody outside learnt something.
    Mark(String),
}

/// The record of one or more lives of a hub.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    folder: PathBuf,
    file: PathBuf,
    shim: PathBuf,
}

impl Record {
    /// A record of what happens to `folder`, kept in `room`.
    pub(crate) fn new(folder: &Path, room: &Path) -> Self {
        let shim = room.join("librecorder.so");
        compile(&shim);
        Self { folder: folder.to_owned(), file: room.join("record"), shim }
    }

    /// What makes a program record.
    pub(crate) fn environment(&self) -> Vec<(String, OsString)> {
        let variables = [("LD_PRELOAD", &self.shim), ("RECORD_FOLDER", &self.folder), ("RECORD_TO", &self.file)];
        variables.into_iter().map(|(name, path)| (name.to_owned(), path.clone().into_os_string())).collect()
    }

    /// A pen for marks.
    pub(crate) fn marks(&self) -> Marks {
        Marks { file: OpenOptions::new().create(true).append(true).open(&self.file).unwrap() }
    }

    /// Everything so far.
    pub(crate) fn steps(&self) -> Vec<Step> {
        let bytes = std::fs::read(&self.file).unwrap();
        let mut rest = bytes.as_slice();
        let mut steps = Vec::new();
        while !rest.is_empty() {
            steps.push(step(&mut rest));
        }
        steps
    }
}

/// Compiles the recorder with the compiler that stands beside this cargo.
fn compile(library: &Path) {
    let beside = Path::new(env!("CARGO")).with_file_name("rustc");
    let compiler = if beside.exists() { beside } else { PathBuf::from("rustc") };
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crash/recorder.rs");
    let mut command = Command::new(compiler);
    command.args(["--edition", "2024", "--crate-type", "cdylib", "-C", "opt-level=2", "-C", "panic=abort", "-o"]);
    let output = command.arg(library).arg(source).output().expect("the compiler can be started");
    assert!(output.status.success(), "the recorder does not compile: {}", String::from_utf8_lossy(&output.stderr));
}

fn take<'b>(rest: &mut &'b [u8], count: usize) -> &'b [u8] {
    let (taken, left) = rest.split_at(count);
    *rest = left;
    taken
}

fn number(rest: &mut &[u8], width: usize) -> usize {
    let mut bytes = [0; 8];
    bytes[..width].copy_from_slice(take(rest, width));
    usize::try_from(u64::from_le_bytes(bytes)).unwrap()
}

fn step(rest: &mut &[u8]) -> Step {
    let kind = take(rest, 1)[0];
    let width = number(rest, 2);
    let file = String::from_utf8(take(rest, width).to_vec()).unwrap();
    let at = number(rest, 8);
    let len = number(rest, 4);
    let bytes = take(rest, len).to_vec();
    match kind {
        b'W' => Step::Write { file, at, bytes },
        b'T' => Step::Truncate { file, len: at },
        b'S' => Step::Sync { file },
        b'C' => Step::Create { file },
        b'U' => Step::Remove { file },
        b'R' => Step::Rename { from: file, to: String::from_utf8(bytes).unwrap() },
        b'A' => Step::Mark(String::from_utf8(bytes).unwrap()),
        other => panic!("a record of kind {other}"),
    }
}

/// Writes into the record what somebody outside has learnt: whatever the hub did before is above it.
#[derive(Debug)]
pub(crate) struct Marks {
    file: File,
}

impl Marks {
    pub(crate) fn put(&self, text: &str) {
        let mut record = vec![b'A', 0, 0];
        record.extend(0_u64.to_le_bytes());
        record.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
        record.extend(text.as_bytes());
        // One write to a file opened for appending: nothing comes between its bytes.
        assert_eq!((&self.file).write(&record).unwrap(), record.len());
    }
}
