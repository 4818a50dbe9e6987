//! `nightbell up` and `nightbell serve`: run until told to stop.

use super::say;
use crate::app::App;
use crate::config::{Config, Log};
use crate::operations;
use crate::wiring::Hub;
use crate::{api, clock, server};
use anyhow::Context;
use nightbell_agent::AgentConfig;
use nightbell_store::Change;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// For how long the in-process agent may use the enrolment token made for it.
const SELF_ENROLMENT_MS: i64 = 600_000;
/// How long the in-process agent may take for its last heartbeat.
const GUEST_GRACE: Duration = Duration::from_secs(3);
/// How long questions to the store that were being answered may go on after everything else has ended.
const READERS_GRACE: Duration = Duration::from_secs(2);

/// Who runs inside the hub beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guest {
    /// Nobody.
    Nobody,
    /// An agent for this host.
    Agent,
}

/// Sets up logging to standard error.
pub(super) fn start_logging(log: &Log) -> anyhow::Result<()> {
    let filter = log.filter.parse::<tracing_subscriber::EnvFilter>().context("the log filter")?;
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    if log.json {
        lines.json().init()
    } else {
        lines.with_target(false).init()
    }
    Ok(())
}

/// The hub's runtime.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")
}

/// Runs the hub until SIGINT or SIGTERM.
pub(super) fn run(config: Config, guest: Guest) -> anyhow::Result<ExitCode> {
    start_logging(&config.log)?;
    let runtime = runtime()?;
    let ended = runtime.block_on(until_told(config, guest));
    // Whoever still reads for an answer that nobody waits for is not waited for either.
    runtime.shutdown_timeout(READERS_GRACE);
    ended
}

async fn until_told(config: Config, guest: Guest) -> anyhow::Result<ExitCode> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let hub = Hub::start(config).await?;
    announce(&hub)?;
    let agent = match guest {
        Guest::Agent => Some(SelfAgent::start(&hub).await?),
        Guest::Nobody => None,
    };
    tokio::select! {
        _signal = interrupt.recv() => {}
        _signal = terminate.recv() => {}
    }
    tracing::info!("stopping");
    if let Some(agent) = agent {
        agent.stop().await;
    }
    hub.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// Prints where the hub is, with the set-up key as long as nobody has used it.
pub(super) fn announce(hub: &Hub) -> anyhow::Result<()> {
    let base = hub.app.links.base();
    tracing::info!(url = hub.url, data = %hub.app.config.data.display(), "listening");
    if hub.app.setup.is_needed() {
        let key = hub.app.setup.mint().context("no randomness for the set-up key")?;
        say(&format!("Nightbell is ready. Set it up at {base}/setup?key={key}"));
    } else {
        say(&format!("Nightbell is ready at {base}/"));
    }
    Ok(())
}

/// The agent for this host, in this process. It speaks the ordinary wire over loopback, so that it is tested by every start.
pub(super) struct SelfAgent {
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
    _door: Option<tokio::sync::watch::Sender<bool>>,
}

impl SelfAgent {
    pub(super) async fn start(hub: &Hub) -> anyhow::Result<Self> {
        let (address, door) = door(hub).await?;
        let state = hub.app.config.data.join("agent");
        let token = if is_known(&hub.app, &state) { None } else { Some(enrol_anew(&hub.app, &state).await?) };
        let config = AgentConfig {
            hub: address,
            token,
            state,
            interval: hub.app.config.agents.interval,
            install_signal_handlers: false,
            ..AgentConfig::default()
        };
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            if let Err(error) = nightbell_agent::run(config, async { drop(stopped.await) }).await {
                tracing::error!(error = &error as &dyn std::error::Error, "this host is not measured: its agent has ended");
            }
        });
        Ok(Self { stop, task, _door: door })
    }

    pub(super) async fn stop(self) {
        let _ended = self.stop.send(());
        let _late = tokio::time::timeout(GUEST_GRACE, self.task).await;
    }
}

/// Where the agent in this process connects: the hub's own address, or, behind TLS (whose certificate is for another name), a
/// plain one of its own on loopback that knows the agents' routes only.
async fn door(hub: &Hub) -> anyhow::Result<(String, Option<tokio::sync::watch::Sender<bool>>)> {
    if hub.app.config.server.tls.is_none() {
        return Ok((hub.url.replacen("http://", "ws://", 1), None));
    }
    let server = server::Server::bind(([127, 0, 0, 1], 0).into(), None).await?;
    let address = server.url()?.replacen("http://", "ws://", 1);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    tokio::spawn(server.run(api::agents_only(&hub.app), stopped, Duration::ZERO));
    Ok((address, Some(stop)))
}

/// Whether the agent of this folder is one of this hub's: the database may have been replaced, or the agent deleted.
fn is_known(app: &App, state: &Path) -> bool {
    let id = nightbell_agent::enrolled_as(state).and_then(|id| id.parse().ok());
    id.is_some_and(|id| app.registry.read().agents.contains_key(&id))
}

/// An enrolment token for the agent of this folder, which forgets who it was.
async fn enrol_anew(app: &Arc<App>, state: &Path) -> anyhow::Result<String> {
    if let Err(error) = std::fs::remove_dir_all(state)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(error).with_context(|| format!("cannot remove the old credential in {}", state.display()));
    }
    let now = clock::now();
    let (row, text) = operations::enrolment(Some(now.plus_millis(SELF_ENROLMENT_MS)), Some(1), &[], now)?;
    app.registry.apply(vec![Change::PutEnrolment(row)], None).await.context("cannot enrol this host")?;
    Ok(text)
}
