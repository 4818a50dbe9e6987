//! The hub as a child process: started, asked, interrupted, killed, started again.

use super::wait::{PATIENCE, until};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// The program under test, with an environment that says nothing to it.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nightbell"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("NIGHTBELL_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// Runs the program to its end.
pub(crate) fn run(args: &[&str]) -> Output {
    program().args(args).output().expect("the program can be started")
}

/// Runs a command on a data folder that has to succeed; gives what it printed.
pub(crate) fn on_data(data: &Path, args: &[&str]) -> String {
    let output = program().args(args).arg("--data").arg(data).output().expect("the program can be started");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{args:?}: {}\n{err}", output.status);
    out.trim_end().to_owned()
}

/// How to start one.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    pub(crate) word: &'static str,
    pub(crate) data: PathBuf,
    pub(crate) listen: String,
    pub(crate) extra: Vec<String>,
    pub(crate) environment: Vec<(String, OsString)>,
}

impl Start {
    /// `nightbell serve` on a free port.
    pub(crate) fn serve(data: &Path) -> Self {
        Self {
            word: "serve",
            data: data.to_owned(),
            listen: "127.0.0.1:0".to_owned(),
            extra: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// `nightbell up` on a free port.
    pub(crate) fn up(data: &Path) -> Self {
        Self { word: "up", ..Self::serve(data) }
    }

    /// The same with more flags.
    pub(crate) fn with(mut self, flags: &[&str]) -> Self {
        self.extra.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }
}

/// A running hub.
#[derive(Debug)]
pub(crate) struct Hub {
    child: Child,
    start: Start,
    /// The beginning of its URLs.
    pub(crate) url: String,
    /// What it printed when it was ready.
    pub(crate) greeting: String,
    /// From the start of the process to that line.
    pub(crate) ready_after: Duration,
    log: Arc<Mutex<Vec<u8>>>,
}

impl Hub {
    /// Starts it and waits until it is ready.
    pub(crate) async fn start(start: Start) -> Self {
        let begun = Instant::now();
        let mut command = program();
        command.arg(start.word).arg("--data").arg(&start.data).args(["--listen", &start.listen]).args(&start.extra);
        command.envs(start.environment.iter().map(|(name, value)| (name, value)));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the hub can be started");
        let log = collect(child.stderr.take().unwrap());
        let greeting = first_line(child.stdout.take().unwrap());
        let greeted = tokio::time::timeout(PATIENCE, greeting).await.ok().and_then(Result::ok);
        let Some(greeting) = greeted.filter(|line| !line.is_empty()) else {
            let _gone = child.kill();
            let _ended = child.wait();
            panic!("the hub does not start: {}", String::from_utf8_lossy(&log.lock().unwrap()));
        };
        let ready_after = begun.elapsed();
        let url = url_in(&greeting);
        let listen = url.rsplit('/').next().unwrap().to_owned();
        Self { child, start: Start { listen, ..start }, url, greeting, ready_after, log }
    }

    /// Where everything is that it keeps.
    pub(crate) fn data(&self) -> &Path {
        &self.start.data
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&self.log.lock().unwrap()).into_owned()
    }

    /// Sends a signal and waits for the end.
    pub(crate) async fn end(&mut self, signal: Signal) -> ExitStatus {
        kill_process(self.pid(), signal).expect("the hub runs");
        let child = &mut self.child;
        until("the hub's end", async || child.try_wait().unwrap()).await
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Starts it again on the same data and port, after it has ended.
    pub(crate) async fn again(&mut self) {
        assert!(!self.runs(), "the hub still runs");
        let next = Self::start(self.start.clone()).await;
        *self = next;
    }

    /// Memory in use, in bytes.
    pub(crate) fn rss_bytes(&self) -> u64 {
        rss_bytes(self.pid())
    }

    /// CPU time used so far.
    pub(crate) fn cpu(&self) -> Duration {
        cpu(self.pid())
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _ended = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("--- the end of the hub's log");
            for line in tail.iter().rev() {
                eprintln!("{line}");
            }
        }
    }
}

/// Memory that a process uses, in bytes.
pub(crate) fn rss_bytes(pid: Pid) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|field| field.parse().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}

/// CPU time that a process has used (proc_pid_stat(5): fields 14 and 15, after the name in brackets).
pub(crate) fn cpu(pid: Pid) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = fields.get(11..13).map_or(0, |times| times.iter().filter_map(|ticks| ticks.parse::<u64>().ok()).sum());
    Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
}

fn url_in(greeting: &str) -> String {
    let at = greeting.find("http").unwrap_or_else(|| panic!("no URL in {greeting:?}"));
    let url = url::Url::parse(&greeting[at..]).expect("the hub prints a URL");
    format!("{}://{}:{}", url.scheme(), url.host_str().unwrap(), url.port().unwrap())
}

fn first_line(stdout: impl Read + Send + 'static) -> oneshot::Receiver<String> {
    let (tell, told) = oneshot::channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stdout);
        let mut line = String::new();
        let _read = reader.read_line(&mut line);
        let _nobody = tell.send(line.trim_end().to_owned());
        // A pipe that nobody reads would end the hub at its next word.
        let _rest = std::io::copy(&mut reader, &mut std::io::sink());
    });
    told
}

/// Collects everything that comes, on a thread of its own.
pub(crate) fn collect(mut stderr: impl Read + Send + 'static) -> Arc<Mutex<Vec<u8>>> {
    let log = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&log);
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(read) = stderr.read(&mut buffer) {
            if read == 0 {
                break;
            }
            kept.lock().unwrap().extend_from_slice(&buffer[..read]);
        }
    });
    log
}
