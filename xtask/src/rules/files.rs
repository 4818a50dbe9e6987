//! How a Rust file begins and how long it may grow.

use crate::repo::SourceFile;

/// The most lines a file may have, its test module at the end left out. Files of tests are free.
const LINES: usize = 500;

/// The most lines a crate's face may have: a narrow face is what makes a small crate worth having.
const FACE_LINES: usize = 100;

/// Holds every file against both.
#[must_use]
pub fn check(files: &[SourceFile]) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in files {
        if !opens_with_its_purpose(&file.text) {
            wrong.push(format!("{}: must open with `//!` that says what it is for and what it leaves to others", file.path));
        }
        let lines = file.without_test_module().lines().count();
        let most = if file.path.ends_with("src/lib.rs") { FACE_LINES } else { LINES };
        if !file.is_test() && lines > most {
            wrong.push(format!("{}: {lines} lines without its tests, at most {most}; split it", file.path));
        }
    }
    wrong
}

/// Whether the first line is `//!`, after a `#!` line and inner attributes.
fn opens_with_its_purpose(text: &str) -> bool {
    text.lines().find(|line| !line.starts_with("#!")).is_some_and(|line| line.starts_with("//! "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(path: &str, lines: usize) -> SourceFile {
        SourceFile::new(path, &format!("//! Long.\n{}", "x\n".repeat(lines - 1)))
    }

    #[test]
    fn long_files_are_found_and_tests_are_free() {
        let files = [
            long("crates/a/src/b.rs", 500),
            long("crates/a/src/c.rs", 501),
            long("crates/a/src/c/tests.rs", 900),
            long("crates/a/tests/d.rs", 900),
            long("crates/a/src/lib.rs", 101),
            SourceFile::new("e.rs", &format!("//! E.\n#[cfg(test)]\nmod tests {{\n{}}}\n", "x\n".repeat(600))),
        ];
        assert_eq!(
            check(&files),
            [
                "crates/a/src/c.rs: 501 lines without its tests, at most 500; split it",
                "crates/a/src/lib.rs: 101 lines without its tests, at most 100; split it"
            ]
        );
    }

    #[test]
    fn a_file_without_purpose_is_found() {
        assert!(opens_with_its_purpose("#!/usr/bin/env run-cargo-script\n#![no_std]\n//! A.\n"));
        assert!(!opens_with_its_purpose("use std::fs;\n//! A.\n") && !opens_with_its_purpose(""));
        assert_eq!(check(&[SourceFile::new("a.rs", "fn a() {}\n")]).len(), 1);
    }
}
