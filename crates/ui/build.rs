//! Builds the web UI into `$OUT_DIR/ui`, which the crate embeds.
//!
//! The sources are copied to `$OUT_DIR/web` first, so that `node_modules` never
//! lands in the source tree. `NIGHTBELL_UI` decides what happens without Node:
//! `auto` (default) embeds a notice page and warns, `require` fails the build
//! (for releases), `skip` embeds the notice page without asking npm.

use std::env;
use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// What the build of the UI reads; a change of one of these builds it again.
const SOURCES: [&str; 8] =
    ["src", "public", "index.html", "package.json", "package-lock.json", ".npmrc", "tsconfig.json", "vite.config.mjs"];

const NPM: &str = if cfg!(windows) { "npm.cmd" } else { "npm" };

/// What `NIGHTBELL_UI` asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Auto,
    Require,
    Skip,
}

fn main() -> Outcome<()> {
    let web = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("../../web");
    let out = PathBuf::from(variable("OUT_DIR")?);
    println!("cargo:rustc-check-cfg=cfg(ui_built)");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/notice.html");
    println!("cargo:rerun-if-env-changed=NIGHTBELL_UI");
    for source in SOURCES {
        println!("cargo:rerun-if-changed={}", web.join(source).display());
    }
    // A build without Node after one with it must not embed the old pages.
    empty(&out.join("ui"))?;
    let mode = mode()?;
    if mode == Mode::Skip {
        return notice(&out);
    }
    match build(&web, &out) {
        Ok(()) => {
            println!("cargo:rustc-cfg=ui_built");
            Ok(())
        }
        Err(why) if mode == Mode::Require => Err(format!("NIGHTBELL_UI=require, but the web UI was not built: {why}").into()),
        Err(why) => {
            println!("cargo:warning=the web UI is not included, the API is complete: {why}");
            println!("cargo:rerun-if-env-changed=PATH");
            empty(&out.join("ui"))?;
            notice(&out)
        }
    }
}

fn mode() -> Outcome<Mode> {
    match env::var("NIGHTBELL_UI").as_deref() {
        Err(_) | Ok("" | "auto") => Ok(Mode::Auto),
        Ok("require") => Ok(Mode::Require),
        Ok("skip") => Ok(Mode::Skip),
        Ok(other) => Err(format!("NIGHTBELL_UI is {other:?}; it takes auto, require or skip").into()),
    }
}

fn variable(name: &str) -> Outcome<String> {
    env::var(name).map_err(|why| format!("{name}: {why}").into())
}

/// Copies, installs and bundles; the error says which step failed.
fn build(web: &Path, out: &Path) -> Outcome<()> {
    let copy = out.join("web");
    for source in SOURCES {
        let target = copy.join(source);
        remove(&target)?;
        copy_all(&web.join(source), &target).map_err(|why| format!("copying web/{source}: {why}"))?;
    }
    install(&copy)?;
    let vite = copy.join("node_modules/vite/bin/vite.js");
    let mut bundle = Command::new("node");
    bundle.arg(vite).args(["build", "--logLevel", "warn", "--emptyOutDir", "--outDir"]);
    run(bundle.arg(out.join("ui")).current_dir(&copy), "vite build")
}

/// `npm ci` without the tools that only tests need, unless the very same lock
/// file is installed already.
fn install(copy: &Path) -> Outcome<()> {
    let lock = fs::read(copy.join("package-lock.json"))?;
    let stamp = copy.join("node_modules/.installed-lock");
    if fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    let mut npm = Command::new(NPM);
    npm.args(["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]);
    run(npm.current_dir(copy), "npm ci")?;
    Ok(fs::write(stamp, lock)?)
}

fn run(command: &mut Command, step: &str) -> Outcome<()> {
    let output = command.output().map_err(|why| match why.kind() {
        io::ErrorKind::NotFound => format!("{step}: Node.js 20.19 or later with npm was not found"),
        _ => format!("{step}: {why}"),
    })?;
    if output.status.success() {
        return Ok(());
    }
    let words = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&words);
    // A cargo warning is one line; the whole text is in the build script's log.
    eprintln!("{text}");
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let tail = lines[lines.len().saturating_sub(3)..].join(" / ");
    Err(format!("{step} failed ({}): {tail}", output.status).into())
}

/// The one page that says what is missing.
fn notice(out: &Path) -> Outcome<()> {
    fs::copy("src/notice.html", out.join("ui/index.html"))?;
    Ok(())
}

fn empty(folder: &Path) -> io::Result<()> {
    remove(folder)?;
    fs::create_dir_all(folder)
}

fn remove(path: &Path) -> io::Result<()> {
    let gone = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match gone {
        Err(why) if why.kind() != io::ErrorKind::NotFound => Err(why),
        _ => Ok(()),
    }
}

fn copy_all(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        return fs::copy(from, to).map(|_| ());
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy_all(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}
