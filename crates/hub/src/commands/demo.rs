//! `nightbell demo`: a hub with made-up agents, for a look around. Everything but the hosts is real: they speak the plain wire
//! over loopback, and rules, incidents and pages are the hub's own.

mod host;

use super::serve;
use crate::config::Config;
use crate::wiring::Hub;
use crate::{clock, operations};
use anyhow::Context;
use host::Host;
use nightbell_store::Change;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How long each made-up host looks back when the demo begins, so that there is something to see.
const HISTORY_MS: i64 = 4 * 3_600_000;
/// The spacing of that history.
const STEP_MS: i64 = 60_000;

/// Flags of the demo.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// How many hosts are made up
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    agents: u32,
}

/// Runs the hub and its made-up hosts until told to stop.
pub(super) fn run(config: Config, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    serve::start_logging(&config.log)?;
    let interval = config.agents.interval;
    serve::runtime()?.block_on(async {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let hub = Hub::start(config).await?;
        serve::announce(&hub)?;
        let fleet = Fleet::enrol(&hub, arguments.agents).await?;
        let beating = tokio::spawn(fleet.beat(interval));
        tokio::select! {
            _signal = interrupt.recv() => {}
            _signal = terminate.recv() => {}
        }
        beating.abort();
        hub.stop().await;
        Ok(ExitCode::SUCCESS)
    })
}

/// The made-up hosts and the way to the hub.
struct Fleet {
    client: reqwest::Client,
    url: String,
    hosts: Vec<(Host, String)>,
}

impl Fleet {
    /// Enrols the hosts by HTTP and sends their history.
    async fn enrol(hub: &Hub, count: u32) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().no_proxy().build().context("cannot set up the demo's client")?;
        let now = clock::now();
        let (row, token) = operations::enrolment(Some(now.plus_millis(600_000)), Some(count), &["demo".to_owned()], now)?;
        hub.app.registry.apply(vec![Change::PutEnrolment(row)], None).await.context("cannot enrol the demo's hosts")?;
        let mut fleet = Self { client, url: hub.url.clone(), hosts: Vec::new() };
        for number in 0..count {
            let mut host = Host::new(number);
            let body = serde_json::json!({"hostname": host.name(), "ip": host.address(), "role": host.role(), "version": "demo"});
            let answer: serde_json::Value = fleet.post("nodes", &token, &body).await?;
            let credential = answer["credential"].as_str().context("the hub gave no credential")?.to_owned();
            let steps = HISTORY_MS / STEP_MS;
            let past: Vec<serde_json::Value> =
                (0..steps).map(|step| host.heartbeat(now.plus_millis((step - steps) * STEP_MS))).collect();
            fleet.post("metrics/system", &credential, &serde_json::json!({"heartbeats": past})).await?;
            fleet.hosts.push((host, credential));
        }
        Ok(fleet)
    }

    async fn beat(mut self, interval: Duration) {
        loop {
            let mut hosts = std::mem::take(&mut self.hosts);
            for (host, credential) in &mut hosts {
                let body = serde_json::json!({"heartbeats": [host.heartbeat(clock::now())]});
                if let Err(error) = self.post("metrics/system", credential, &body).await {
                    tracing::warn!(host = host.name(), %error, "a made-up heartbeat was not taken");
                }
            }
            self.hosts = hosts;
            tokio::time::sleep(interval).await;
        }
    }

    async fn post(&self, path: &str, token: &str, body: &serde_json::Value) -> anyhow::Result<serde_json::Value> {
        let url = format!("{}/api/v1/{path}", self.url);
        let answer = self.client.post(url).bearer_auth(token).json(body).send().await.context("cannot reach the hub")?;
        let status = answer.status();
        let answer: serde_json::Value = answer.json().await.context("the hub's answer cannot be read")?;
        anyhow::ensure!(status.is_success(), "the hub said {status}: {answer}");
        Ok(answer)
    }
}
