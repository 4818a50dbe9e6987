//! What the agent costs: the real program at its default interval against a hub over TLS on loopback, for three minutes.
//!
//! `cargo bench -p nightbell-agent --profile dist-agent` prints one line a figure and fails over the budgets of the design:
//! 4.5 MiB resident, 0.6 CPU seconds an hour, 5 MiB of program, 50 ms to the first heartbeat, 400 bytes a heartbeat of 120
//! series. After `--`, a number is the seconds to measure and a path the program (one that was linked statically, say). Tests
//! leave it alone: it takes its time.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a measurement, not the product"
)]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]
#![expect(dead_code, reason = "the hub of the tests can do more than is needed here")]

#[path = "../tests/agent/common.rs"]
mod common;

use common::{Conversation, Hub};
use nightbell_protocol::{Encoding, FromAgent, encode_from_agent};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::process::{Child, Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

const TLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls");
const AGENT: &str = env!("CARGO_BIN_EXE_nightbell-agent");
/// What a heartbeat takes beside its values: subject, names of fields, boot id, number, age.
const FRAME_BYTES: f64 = 85.0;

/// What a process has used by now.
struct Usage {
    cpu_ns: u64,
    switches: u64,
    resident_kib: u64,
    own_kib: u64,
    threads: usize,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let seconds = arguments.iter().rev().find_map(|argument| argument.parse().ok()).unwrap_or(180);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let program = arguments.iter().skip(1).find(|argument| argument.contains('/')).map_or(AGENT, String::as_str);
    if runtime.block_on(measure(program, seconds)) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn measure(program: &str, seconds: u64) -> bool {
    let (hub, state) = (Hub::start().await, tempfile::tempdir().unwrap());
    let acceptor = acceptor();
    let begun = Instant::now();
    let mut agent = Command::new(program)
        .args([
            "--hub",
            &format!("wss://localhost:{}", hub.address.port()),
            "--token",
            "t",
            "--ca-file",
            &format!("{TLS}/cert.pem"),
        ])
        .arg("--state")
        .arg(state.path())
        .spawn()
        .unwrap();
    let (stream, _) = hub.listener.accept().await.unwrap();
    let mut conversation = Conversation::upgrade(acceptor.accept(stream).await.unwrap()).await;
    conversation.welcome().await;
    let first = conversation.heartbeats().await;
    let first_ms = begun.elapsed().as_secs_f64() * 1000.0;
    conversation.acknowledge(&first).await;

    let warm = Instant::now() + Duration::from_secs(20.min(seconds));
    let (mut before, mut at, mut bytes, mut series, mut beats) = (usage(&agent), Instant::now(), 0, 1, 0_u32);
    let end = warm + Duration::from_secs(seconds);
    let mut warmed = false;
    while let Some(envelope) = until(end, conversation.next()).await {
        let FromAgent::Heartbeat(beat) = envelope.data else { continue };
        if !warmed && Instant::now() >= warm {
            (before, at, warmed, beats, bytes) = (usage(&agent), Instant::now(), true, 0, 0);
        }
        beats += 1;
        series = conversation.schemas.last().map_or(1, |schema| schema.names.len());
        let message = FromAgent::Heartbeat(beat.clone()).into();
        bytes += encode_from_agent(Encoding::Cbor, &message).unwrap().len();
        conversation.acknowledge(&[beat]).await;
    }
    let (after, elapsed) = (usage(&agent), at.elapsed().as_secs_f64());
    agent.kill().unwrap();
    agent.wait().unwrap();
    let per_hour = 3600.0 / elapsed;
    println!("over {elapsed:.0} s: {beats} heartbeats of {series} series, {} threads, PSS {} KiB", after.threads, after.own_kib);
    println!("context switches: {:.2}/s", (after.switches - before.switches) as f64 / elapsed);
    let mean = bytes as f64 / f64::from(beats.max(1));
    let of_120 = FRAME_BYTES + (mean - FRAME_BYTES) * 120.0 / series as f64;
    println!("heartbeat: {mean:.0} bytes on average");
    let size = std::fs::metadata(program).unwrap().len();
    [
        within_budget("program, MiB", size as f64 / 1_048_576.0, 5.0),
        within_budget("start to first heartbeat, ms", first_ms, 50.0),
        within_budget("resident, MiB", after.resident_kib as f64 / 1024.0, 4.5),
        within_budget("CPU, seconds an hour", (after.cpu_ns - before.cpu_ns) as f64 / 1e9 * per_hour, 0.6),
        within_budget("heartbeat, bytes for 120 series", of_120, 400.0),
    ]
    .into_iter()
    .all(|kept| kept)
}

async fn until<T>(end: Instant, next: impl Future<Output = Option<T>>) -> Option<T> {
    tokio::time::timeout_at(end.into(), next).await.ok().flatten()
}

fn within_budget(what: &str, measured: f64, budget: f64) -> bool {
    let kept = measured <= budget;
    println!("{what}: {measured:.2} (budget {budget}){}", if kept { "" } else { "  OVER" });
    kept
}

/// CPU time in nanoseconds from the scheduler's own account, summed over the threads.
fn usage(agent: &Child) -> Usage {
    let base = format!("/proc/{}", agent.id());
    let read = |path: String| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or_default()
    };
    let tasks: Vec<String> =
        std::fs::read_dir(format!("{base}/task")).unwrap().flatten().map(|task| task.path().display().to_string()).collect();
    let (mut cpu_ns, mut switches) = (0, 0);
    for task in &tasks {
        cpu_ns += field(&read(format!("{task}/schedstat")), "");
        let status = read(format!("{task}/status"));
        switches += field(&status, "voluntary_ctxt_switches:") + field(&status, "nonvoluntary_ctxt_switches:");
    }
    let resident_kib = field(&read(format!("{base}/status")), "VmRSS:");
    let own_kib = field(&read(format!("{base}/smaps_rollup")), "Pss:");
    Usage { cpu_ns, switches, resident_kib, own_kib, threads: tasks.len() }
}

fn acceptor() -> tokio_rustls::TlsAcceptor {
    let certificate = CertificateDer::from_pem_file(format!("{TLS}/cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(format!("{TLS}/key.pem")).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    tokio_rustls::TlsAcceptor::from(Arc::new(config))
}
