//! The working tree: where it is, and which files of it the rules read. Knows nothing of what they must hold.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// Folders that hold what tools made, not what people wrote.
const MADE: [&str; 5] = ["target", "node_modules", "dist", ".git", "nightbell-data"];

/// A text file of the tree.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Path from the root, with `/` between its parts.
    pub path: String,
    /// What it says.
    pub text: String,
}

impl SourceFile {
    /// A file made of a path and a text, as the rules' own tests need it.
    #[must_use]
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Whether the whole file is test code: it stands under a `tests` folder or is called `tests.rs`.
    #[must_use]
    pub fn is_test(&self) -> bool {
        self.path.split('/').any(|part| part == "tests" || part == "tests.rs")
    }

    /// The text up to the test module at its end, if it has one.
    #[must_use]
    pub fn without_test_module(&self) -> &str {
        let mut from = 0;
        while let Some(found) = self.text[from..].find("#[cfg(test)]\n") {
            let at = from + found;
            from = at + "#[cfg(test)]\n".len();
            let starts_line = at == 0 || self.text.as_bytes()[at - 1] == b'\n';
            let item = self.text[from..].lines().find(|line| !line.starts_with("#["));
            if starts_line && item.is_some_and(|line| line.starts_with("mod ") && line.ends_with('{')) {
                return &self.text[..at];
            }
        }
        &self.text
    }

    /// The lines of code outside tests, with their numbers from 1: no comment lines, no test module at the end.
    pub fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.without_test_module().lines()).filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

/// The repository this program was built from, or the one it is run in.
#[derive(Debug, Clone)]
pub struct Repo {
    /// The folder of the workspace's `Cargo.toml`.
    pub root: PathBuf,
}

impl Repo {
    /// The repository around the running program: cargo says where `xtask` stands.
    ///
    /// # Errors
    /// When there is no workspace above the working directory.
    pub fn here() -> Result<Self> {
        let start = match std::env::var_os("CARGO_MANIFEST_DIR") {
            Some(folder) => PathBuf::from(folder),
            None => std::env::current_dir().context("the working directory is gone")?,
        };
        let root = start.ancestors().find(|folder| folder.join("xtask/Cargo.toml").is_file());
        match root {
            Some(root) => Ok(Self { root: root.to_owned() }),
            None => bail!("{} is not inside the repository", start.display()),
        }
    }

    /// The text of one file.
    ///
    /// # Errors
    /// When it cannot be read as UTF-8.
    pub fn read(&self, path: &str) -> Result<String> {
        fs::read_to_string(self.root.join(path)).with_context(|| format!("cannot read {path}"))
    }

    /// Writes one file.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, path: &str, text: &str) -> Result<()> {
        fs::write(self.root.join(path), text).with_context(|| format!("cannot write {path}"))
    }

    /// Every file people wrote whose name ends in one of `endings`, sorted by path.
    ///
    /// # Errors
    /// When a folder or file cannot be read.
    pub fn files(&self, endings: &[&str]) -> Result<Vec<SourceFile>> {
        let mut found = Vec::new();
        self.collect(&self.root, endings, &mut found)?;
        found.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    fn collect(&self, folder: &Path, endings: &[&str], found: &mut Vec<SourceFile>) -> Result<()> {
        for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() {
                if !MADE.contains(&name) {
                    self.collect(&path, endings, found)?;
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                let path = path.strip_prefix(&self.root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
                let text = self.read(&path)?;
                found.push(SourceFile { path, text });
            }
        }
        Ok(())
    }

    /// Runs a program in the root and returns what it printed.
    ///
    /// # Errors
    /// When it cannot be started or says that it failed.
    pub fn output_of(&self, program: &str, args: &[&str]) -> Result<String> {
        let called = || format!("{program} {}", args.join(" "));
        let output = Command::new(program).args(args).current_dir(&self.root).output();
        let output = output.with_context(|| format!("cannot start `{}`", called()))?;
        if !output.status.success() {
            bail!("`{}` failed: {}", called(), String::from_utf8_lossy(&output.stderr).trim());
        }
        String::from_utf8(output.stdout).with_context(|| format!("`{}` printed something that is not text", called()))
    }
}

/// The cargo that runs us, or the one on the path.
#[must_use]
pub fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_test_module_at_the_end_is_cut_off() {
        let file = SourceFile::new("a.rs", "//! A.\n#[cfg(test)]\nmod tests;\nfn a() {}\n#[cfg(test)]\nmod more {\n}\n");
        assert_eq!(file.without_test_module(), "//! A.\n#[cfg(test)]\nmod tests;\nfn a() {}\n");
        let lines: Vec<_> = file.code_lines().collect();
        assert_eq!(lines, [(2, "#[cfg(test)]"), (3, "mod tests;"), (4, "fn a() {}")]);
    }

    #[test]
    fn test_files_are_known_by_their_place() {
        assert!(SourceFile::new("crates/hub/tests/e2e.rs", "").is_test());
        assert!(SourceFile::new("crates/alerts/src/step/tests.rs", "").is_test());
        assert!(!SourceFile::new("crates/alerts/src/contests.rs", "").is_test());
    }
}
