//! One step of a longer run: a command with a name, run with its output shown, timed, and reported by one line.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::console::say;
use crate::repo::cargo;

/// A command to run, under a name people can pick it by.
#[derive(Debug, Clone)]
pub struct Step {
    /// The short name: `clippy`.
    pub name: &'static str,
    program: String,
    args: Vec<String>,
    folder: PathBuf,
    env: Vec<(&'static str, String)>,
    path: Option<OsString>,
}

impl Step {
    /// A step that calls `program` with the words of `line`, in `folder`.
    #[must_use]
    pub fn new(name: &'static str, folder: &Path, program: &str, line: &str) -> Self {
        let args = line.split_whitespace().map(str::to_owned).collect();
        Self { name, program: program.to_owned(), args, folder: folder.to_owned(), env: Vec::new(), path: None }
    }

    /// A step that calls cargo with the words of `line`, in `folder`.
    #[must_use]
    pub fn cargo(name: &'static str, folder: &Path, line: &str) -> Self {
        Self::new(name, folder, &cargo(), line)
    }

    /// The same step with one more environment variable.
    #[must_use]
    pub fn env(mut self, key: &'static str, value: &str) -> Self {
        self.env.push((key, value.to_owned()));
        self
    }

    /// The same step, its programs looked up in `path` (which its line does not show).
    #[must_use]
    pub fn on_path(mut self, path: &OsStr) -> Self {
        self.path = Some(path.to_owned());
        self
    }

    /// What one would type to run it by hand.
    #[must_use]
    pub fn line(&self) -> String {
        let program = Path::new(&self.program).file_name().and_then(|name| name.to_str()).unwrap_or(&self.program);
        let env = self.env.iter().map(|(key, value)| format!("{key}={} ", quoted(value)));
        let args = self.args.iter().map(|arg| format!(" {}", quoted(arg)));
        format!("{}{program}{}", env.collect::<String>(), args.collect::<String>())
    }

    /// Runs it with its output shown and no input; answers how long it took.
    ///
    /// # Errors
    /// When it cannot be started or ends with a failure.
    pub fn run(&self) -> Result<Duration> {
        say(&format!("\n==> {}: {}", self.name, self.line()));
        let started = Instant::now();
        let mut command = Command::new(&self.program);
        command.args(&self.args).current_dir(&self.folder).stdin(Stdio::null()).envs(self.env.iter().cloned());
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
        let status = command.status().with_context(|| format!("step `{}`: cannot start `{}`", self.name, self.program))?;
        let took = started.elapsed();
        if !status.success() {
            bail!("step `{}` failed after {} ({status}): {}", self.name, human(took), self.line());
        }
        say(&format!("    {} passed in {}", self.name, human(took)));
        Ok(took)
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_=./:,+".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{word}'") }
}

/// A duration for people: `3.2 s`, `4 m 07 s`.
#[must_use]
pub fn human(took: Duration) -> String {
    let seconds = took.as_secs();
    if seconds < 60 { format!("{:.1} s", took.as_secs_f64()) } else { format!("{} m {:02} s", seconds / 60, seconds % 60) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_says_what_to_type() {
        let step = Step::new("doc", Path::new("/"), "/usr/bin/cargo", "doc --no-deps").env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(step.line(), "RUSTDOCFLAGS='-D warnings' cargo doc --no-deps");
    }

    #[test]
    fn a_failing_step_names_itself_and_its_command() {
        let error = Step::new("false", Path::new("/"), "sh", "-c false").run().expect_err("sh -c false fails");
        assert!(error.to_string().contains("step `false` failed") && error.to_string().ends_with("sh -c false"), "{error}");
        assert!(Step::new("true", Path::new("/"), "true", "").run().is_ok());
    }

    #[test]
    fn durations_read_well() {
        assert_eq!(human(Duration::from_millis(3_240)), "3.2 s");
        assert_eq!(human(Duration::from_secs(247)), "4 m 07 s");
    }
}
