//! What the checks need from the machine, and how it gets there: a fresh Debian with Rust and Node is enough.
//!
//! Only what is missing is installed, and every command is printed first. Programs come from apt (with root); what has no
//! business in the system (the Python packages the tests talk to, Prometheus's `promtool` without its server) goes
//! under `target/tools`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::console::say;
use crate::repo::{Repo, cargo};

/// The Python packages that play the outside world in the tests, with their versions.
const PYTHON_PACKAGES: &str = "xtask/python-requirements.txt";

/// The oldest Node that builds the UI, as `web/package.json` says too.
const NODE: (u32, u32) = (20, 19);

/// A program the checks call, and the Debian packages that bring it.
struct Program {
    names: &'static [&'static str],
    packages: &'static [&'static str],
    why: &'static str,
}

const PROGRAMS: [Program; 3] = [
    Program { names: &["cc"], packages: &["gcc", "libc6-dev"], why: "SQLite and ring are compiled from C" },
    Program {
        names: &["chromium", "chromium-browser", "google-chrome"],
        packages: &["chromium"],
        why: "the UI's end-to-end tests drive a browser",
    },
    Program { names: &["python3"], packages: &["python3", "python3-venv"], why: "a mail server and an OpenAPI validator" },
];

/// Makes the machine ready; answers the folders to search before `PATH`.
///
/// # Errors
/// When something is missing that this account may not install: the message is the command that mends it.
pub fn ready(repo: &Repo) -> Result<Vec<PathBuf>> {
    rust_components()?;
    node()?;
    programs()?;
    let tools = target_folder(repo).join("tools");
    fs::create_dir_all(&tools).with_context(|| format!("cannot make {}", tools.display()))?;
    let mut folders = vec![python(repo, &tools)?];
    if find("promtool").is_none() {
        folders.push(promtool(&tools)?);
    }
    Ok(folders)
}

/// The browser for the UI's tests: the first of its names that is there.
#[must_use]
pub fn chromium() -> String {
    let found = PROGRAMS[1].names.iter().find_map(|name| find(name));
    found.map_or_else(|| "chromium".to_owned(), |file| file.to_string_lossy().into_owned())
}

/// Where cargo builds.
#[must_use]
pub fn target_folder(repo: &Repo) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| repo.root.join("target"), |folder| repo.root.join(folder))
}

fn rust_components() -> Result<()> {
    for (component, command) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        let there = || succeeds(&cargo(), &[command, "--version"]);
        if !there() {
            if find("rustup").is_some() {
                call("rustup", &["component", "add", component])?;
            }
            if !there() {
                bail!("`cargo {command}` is missing; run: rustup component add rustfmt clippy");
            }
        }
    }
    Ok(())
}

fn node() -> Result<()> {
    let wanted = format!("Node.js {}.{} or later, with npm, builds the web UI (https://nodejs.org/en/download)", NODE.0, NODE.1);
    let output = Command::new("node").arg("--version").output();
    let output = output.with_context(|| format!("node is not there: {wanted}"))?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !is_new_enough(&version) {
        bail!("node is {version}: {wanted}");
    }
    if find("npm").is_none() {
        bail!("npm is not there: {wanted}");
    }
    Ok(())
}

fn is_new_enough(version: &str) -> bool {
    let mut parts = version.trim_start_matches('v').split('.').map_while(|part| part.parse::<u32>().ok());
    matches!((parts.next(), parts.next()), (Some(major), Some(minor)) if (major, minor) >= NODE)
}

fn programs() -> Result<()> {
    let missing: Vec<&Program> =
        PROGRAMS.iter().filter(|program| !program.names.iter().any(|name| find(name).is_some())).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for program in &missing {
        say(&format!("missing: {} ({})", program.names[0], program.why));
    }
    install(&missing.iter().flat_map(|program| program.packages).copied().collect::<Vec<_>>())
}

/// Installs Debian packages, or says how.
fn install(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if find("apt-get").is_none() {
        bail!("please install what Debian calls {list}");
    }
    if !is_root() {
        bail!("please run: sudo apt-get update && sudo apt-get install --yes --no-install-recommends {list}");
    }
    call("apt-get", &["update"])?;
    let mut args = vec!["install", "--yes", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"];
    args.extend(packages);
    call("apt-get", &args)
}

/// A virtual environment with the packages of the list; answers the folder of its programs.
fn python(repo: &Repo, tools: &Path) -> Result<PathBuf> {
    let wanted = repo.read(PYTHON_PACKAGES)?;
    let folder = tools.join("venv");
    let programs = folder.join("bin");
    let stamp = folder.join("installed.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) && programs.join("python3").exists() {
        return Ok(programs);
    }
    let at = folder.to_string_lossy();
    if !succeeds("python3", &["-c", "import ensurepip, venv"]) {
        install(&["python3-venv"])?;
    }
    call("python3", &["-m", "venv", "--clear", &at])?;
    let list = repo.root.join(PYTHON_PACKAGES);
    let pip = programs.join("python3");
    call(
        &pip.to_string_lossy(),
        &["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", &list.to_string_lossy()],
    )?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(programs)
}

/// Unpacks `promtool` out of Debian's package, so that no Prometheus server starts on this machine; answers its folder.
fn promtool(tools: &Path) -> Result<PathBuf> {
    let folder = tools.join("prometheus");
    let programs = folder.join("usr/bin");
    if programs.join("promtool").exists() {
        return Ok(programs);
    }
    if find("apt-get").is_none() {
        bail!("please put `promtool` (part of Prometheus) on the search path");
    }
    say("missing: promtool (it judges the hub's /metrics)");
    let script = "rm -f prometheus_*.deb && apt-get download prometheus && dpkg-deb -x prometheus_*.deb prometheus && rm prometheus_*.deb prometheus/usr/bin/prometheus";
    let fetch = || call_in(tools, "sh", &["-c", script]);
    if fetch().is_err() {
        if !is_root() {
            bail!("promtool could not be fetched; please run: sudo apt-get update");
        }
        call("apt-get", &["update"])?;
        fetch()?;
    }
    Ok(programs)
}

/// Where a program stands, if it is on the search path.
fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn succeeds(program: &str, args: &[&str]) -> bool {
    let quiet = Command::new(program).args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

fn call(program: &str, args: &[&str]) -> Result<()> {
    call_in(Path::new("."), program, args)
}

/// Runs a command in `folder`, after saying so.
fn call_in(folder: &Path, program: &str, args: &[&str]) -> Result<()> {
    say(&format!("    {program} {}", args.join(" ")));
    let mut command = Command::new(program);
    command.args(args).current_dir(folder).stdin(Stdio::null()).env("DEBIAN_FRONTEND", "noninteractive");
    let status = command.status().with_context(|| format!("cannot start `{program}`"))?;
    if !status.success() {
        bail!("`{program} {}` failed ({status})", args.join(" "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_node_is_told_from_a_new_one() {
        assert!(is_new_enough("v20.19.0") && is_new_enough("v22.1.3") && is_new_enough("v24.0.0-rc1"));
        assert!(!is_new_enough("v18.20.4") && !is_new_enough("v20.18.9") && !is_new_enough("") && !is_new_enough("what"));
    }

    #[test]
    fn programs_are_found_on_the_path() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-anywhere").is_none());
    }
}
