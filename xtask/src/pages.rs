//! `cargo xtask pages`: the UI's end-to-end tests against a real hub with its in-process agent, on a fresh data folder and a
//! free port, and then the hub's clean end. What the pages must do stands in `web/e2e`.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::console::say;
use crate::machine::{chromium, target_folder};
use crate::repo::Repo;
use crate::step::Step;

/// How long the hub may take until it says where it is: a start takes far less than a second, a loaded machine some.
const START: Duration = Duration::from_secs(30);
/// How long it may take to end after SIGTERM: its own deadlines add up to less.
const STOP: Duration = Duration::from_secs(20);

/// Starts the hub that `cargo build` made, runs the tests, and stops it.
///
/// # Errors
/// When the hub does not start or does not end cleanly, or when a test fails.
pub fn run(repo: &Repo) -> Result<()> {
    let folder = target_folder(repo).join("pages");
    let (mut hub, out) = Hub::start(&target_folder(repo).join("debug/nightbell"), &folder)?;
    let setup = announced(out).with_context(|| format!("the hub did not say where it is; see {}", hub.log.display()))?;
    let tests = Step::new("pages", &repo.root.join("web"), "npm", "run --silent e2e").env("NIGHTBELL_E2E_URL", base(&setup));
    let tests = tests.env("NIGHTBELL_E2E_SETUP_URL", &setup).env("NIGHTBELL_E2E_CHROMIUM", &chromium());
    tests.run().with_context(|| format!("against a real hub; its log is {}", hub.log.display()))?;
    hub.stop()
}

/// The hub while it runs; killed when dropped, so that a failure leaves nothing behind.
struct Hub {
    child: Child,
    log: PathBuf,
}

impl Hub {
    fn start(program: &Path, folder: &Path) -> Result<(Self, ChildStdout)> {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
        }
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let log = folder.join("hub.log");
        let errors = fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(program);
        command.args(["up", "--listen", "127.0.0.1:0", "--data"]).arg(folder.join("data"));
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .with_context(|| format!("cannot start {}; run: cargo build --workspace --bins", program.display()))?;
        let out = child.stdout.take().context("the hub has no standard output")?;
        Ok((Self { child, log }, out))
    }

    /// Asks it to end, as a service manager does.
    fn stop(&mut self) -> Result<()> {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().context("cannot start `kill`")?;
        let asked = Instant::now();
        while asked.elapsed() < STOP {
            if let Some(status) = self.child.try_wait()? {
                if !status.success() {
                    bail!("the hub ended with {status} after SIGTERM; see {}", self.log.display());
                }
                say("    the hub ended cleanly");
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        bail!("the hub did not end within {} s of SIGTERM; see {}", STOP.as_secs(), self.log.display());
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // It has ended already, or it is time: neither answer changes anything here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The set-up URL, as soon as the hub prints it.
fn announced(out: ChildStdout) -> Result<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let lines = BufReader::new(out).lines().map_while(Result::ok);
        for url in lines.filter_map(|line| setup_url(&line)) {
            // Nobody listens any more once the time is over.
            let _ = sender.send(url);
        }
    });
    receiver.recv_timeout(START).context("no set-up URL")
}

/// The set-up URL in a line of the hub's output.
fn setup_url(line: &str) -> Option<String> {
    line.split_whitespace().find(|word| word.starts_with("http") && word.contains("/setup?key=")).map(str::to_owned)
}

/// `http://127.0.0.1:8787/setup?key=k` -> `http://127.0.0.1:8787`.
fn base(setup: &str) -> &str {
    setup.split_once("/setup?").map_or(setup, |(base, _)| base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_up_url_is_found_in_what_the_hub_says() {
        let url = setup_url("Nightbell is ready. Set it up at http://127.0.0.1:8787/setup?key=nb_x").expect("a URL");
        assert_eq!(url, "http://127.0.0.1:8787/setup?key=nb_x");
        assert_eq!(base(&url), "http://127.0.0.1:8787");
        assert_eq!(setup_url("Nightbell is ready at http://127.0.0.1:8787/"), None);
    }
}
