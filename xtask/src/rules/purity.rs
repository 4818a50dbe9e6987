//! Pure code is told the time and touches nothing: no clock, no runtime, no files, no sockets.
//!
//! Pure crates carry a `clippy.toml` that bans the clock (it replaces the root's file, so it repeats the thresholds);
//! pure modules in other crates are named here. Their text is searched, since a lint cannot be told of modules.

use crate::repo::SourceFile;

/// The crates that are pure from end to end.
pub const CRATES: [&str; 4] = ["crates/model", "crates/protocol", "crates/alerts", "charts"];

/// The pure modules of the other crates, without `.rs`: a file, a folder, or both.
pub const MODULES: [&str; 39] = [
    "crates/ingest/src/acks",
    "crates/ingest/src/admission",
    "crates/ingest/src/flatten",
    "crates/ingest/src/plan",
    "crates/ingest/src/rate",
    "crates/ingest/src/seed",
    "crates/ingest/src/seen",
    "crates/ingest/src/understand",
    "crates/store/src/checksum",
    "crates/store/src/chunk",
    "crates/store/src/frame",
    "crates/store/src/ranges",
    "crates/store/src/resolution",
    "crates/store/src/retention",
    "crates/store/src/rollup",
    "crates/store/src/varint",
    "crates/store/src/vector",
    "crates/notify/src/limiter",
    "crates/notify/src/notification",
    "crates/notify/src/page",
    "crates/notify/src/retry",
    "crates/notify/src/truncate",
    "crates/notify/src/words",
    "crates/agent/src/backoff",
    "crates/agent/src/collect/scan",
    "crates/agent/src/collect/smart/report",
    "crates/agent/src/collect/stat",
    "crates/agent/src/collect/track",
    "crates/agent/src/courier",
    "crates/agent/src/endpoint",
    "crates/agent/src/schedule",
    "crates/agent/src/watch",
    "crates/hub/src/ageing",
    "crates/hub/src/folding",
    "crates/hub/src/outbox/direct",
    "crates/hub/src/outlook/heading",
    "crates/hub/src/rhythm",
    "crates/hub/src/routing",
    "crates/hub/src/schedule",
];

/// What no line of pure code may hold.
const BANNED: [&str; 12] = [
    "SystemTime::now",
    "Instant::now",
    "Utc::now",
    "Local::now",
    "tokio::",
    "std::fs",
    "std::process",
    "thread::sleep",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "File::open",
];

/// The paths that a pure crate's `clippy.toml` must ban.
const BANNED_METHODS: [&str; 2] = ["std::time::SystemTime::now", "std::time::Instant::now"];

/// Searches the pure files; a module of the list that has no file is a violation too, else a renamed one would go free.
#[must_use]
pub fn text(files: &[SourceFile]) -> Vec<String> {
    let mut wrong = Vec::new();
    for module in MODULES {
        if !files.iter().any(|file| is_of_module(&file.path, module)) {
            wrong.push(format!("{module}: named as a pure module in xtask, but there is no such file"));
        }
    }
    for file in files.iter().filter(|file| is_pure(file)) {
        for (number, line) in file.code_lines() {
            if let Some(word) = BANNED.iter().find(|word| line.contains(**word)) {
                wrong.push(format!("{}:{number}: pure code must not say `{word}`", file.path));
            }
        }
    }
    wrong
}

fn is_pure(file: &SourceFile) -> bool {
    let in_crate = || CRATES.iter().any(|folder| file.path.starts_with(&format!("{folder}/src/")));
    !file.is_test() && (MODULES.iter().any(|module| is_of_module(&file.path, module)) || in_crate())
}

fn is_of_module(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// Holds the `clippy.toml` of each pure crate (`None` where there is none) against the root's.
#[must_use]
pub fn clippy(root: &str, of_crates: &[(&str, Option<String>)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (folder, text) in of_crates {
        let Some(text) = text else {
            wrong.push(format!("{folder}/clippy.toml: missing; a pure crate bans the clock"));
            continue;
        };
        for threshold in root.lines().filter(|line| line.contains(" = ")) {
            if !text.lines().any(|line| line == threshold) {
                wrong.push(format!("{folder}/clippy.toml: must repeat `{threshold}` of the root's file"));
            }
        }
        for method in BANNED_METHODS {
            if !text.contains(&format!("\"{method}\"")) {
                wrong.push(format!("{folder}/clippy.toml: must ban {method}"));
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_modules() -> Vec<SourceFile> {
        MODULES.iter().map(|module| SourceFile::new(&format!("{module}.rs"), "//! Pure.\n")).collect()
    }

    #[test]
    fn a_clock_in_a_pure_file_is_found_and_a_comment_is_not() {
        let mut files = all_modules();
        files.push(SourceFile::new("crates/alerts/src/step.rs", "// Instant::now\nlet now = Instant::now();\n"));
        files.push(SourceFile::new("crates/store/src/rollup/exact.rs", "use std::fs;\n"));
        files.push(SourceFile::new("crates/hub/src/clock.rs", "SystemTime::now()\n"));
        files.push(SourceFile::new("crates/alerts/src/step/tests.rs", "Instant::now()\n"));
        assert_eq!(
            text(&files),
            [
                "crates/alerts/src/step.rs:2: pure code must not say `Instant::now`",
                "crates/store/src/rollup/exact.rs:1: pure code must not say `std::fs`"
            ]
        );
    }

    #[test]
    fn a_module_that_moved_away_is_found() {
        let files = &all_modules()[1..];
        assert_eq!(text(files).len(), 1);
    }

    #[test]
    fn a_clippy_file_without_ban_or_threshold_is_found() {
        let root = "# head\ntoo-many-lines-threshold = 70\n";
        let good = format!("{root}disallowed-methods = [\"{}\", \"{}\"]\n", BANNED_METHODS[0], BANNED_METHODS[1]);
        assert!(clippy(root, &[("a", Some(good))]).is_empty());
        assert_eq!(clippy(root, &[("a", Some(String::new()))]).len(), 3);
        assert_eq!(clippy(root, &[("a", None)]), ["a/clippy.toml: missing; a pure crate bans the clock"]);
    }
}
