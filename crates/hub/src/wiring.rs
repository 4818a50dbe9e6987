//! Putting the hub together and taking it apart: the only place that knows every part. The engine is chosen here and nowhere else.

use crate::app::{App, SetupKey};
use crate::auth::attempts::Attempts;
use crate::config::Config;
use crate::control::ControlSocket;
use crate::fleet::{Fleet, Vitals};
use crate::fleet_history::reader::Reader;
use crate::jobs::Jobs;
use crate::links::Links;
use crate::live::Live;
use crate::lookback::Lookback;
use crate::lookup::Lookup;
use crate::measure::Measure;
use crate::outbox::{self, Outbox, OutboxInput};
use crate::pipeline::{self, Control, Pipeline, PipelineParts, view_of};
use crate::port::Port;
use crate::registry::{Holdings, Registry};
use crate::routing::Routed;
use crate::sealing::Keyring;
use crate::sealing::key_file::{self, Missing};
use crate::sealing::store::SealedStore;
use crate::server::{Server, TlsMaterial, stopped as stopped_by};
use crate::signing::Signer;
use crate::{api, breach, bygone, clock, digest, ids, outlook, seldom, starter};
use anyhow::Context;
use nightbell_alerts::Evaluator;
use nightbell_ingest::Admission;
use nightbell_notify::{Notifier, NotifierOptions};
use nightbell_store::{Change, DeliveryQuery, LeaseToken, Loaded, MetricStore, SqliteOptions, SqliteStore, StateStore};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long requests in hand may take when the hub stops.
const HTTP_GRACE: Duration = Duration::from_secs(5);
/// How long agents may take to close their connections when the hub stops.
const SESSIONS_GRACE: Duration = Duration::from_secs(3);
/// How long deliveries in hand may take when the hub stops; what is not done then is marked as perhaps repeated at the next start.
const OUTBOX_GRACE: Duration = Duration::from_secs(10);
/// How long an offline rule's page waits for others of its kind, and any other.
const OFFLINE_GROUP_WAIT_MS: i64 = 5_000;
/// How long a page waits for others of its rule.
const GROUP_WAIT_MS: i64 = 10_000;

/// A hub that runs.
#[derive(Debug)]
pub struct Hub {
    /// Its parts.
    pub app: Arc<App>,
    /// The beginning of its URLs.
    pub url: String,
    stop: watch::Sender<bool>,
    http: tokio::task::JoinHandle<()>,
    outbox: tokio::task::JoinHandle<()>,
    pipeline: JoinHandle<()>,
    jobs: JoinSet<()>,
    _control: ControlSocket,
}

/// Installs the one TLS provider of the process. Doing it twice is fine.
pub fn install_tls_provider() {
    let _already = rustls::crypto::ring::default_provider().install_default();
}

impl Hub {
    /// Opens the data folder, restores what was, and listens.
    ///
    /// # Errors
    /// When the folder cannot be used, the port is taken, or a certificate does not fit.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        install_tls_provider();
        let tls = match &config.server.tls {
            Some((cert, key)) => Some(TlsMaterial::read(cert, key)?),
            None => None,
        };
        let engine = Arc::new(open(&config)?);
        let keyring = Arc::new(keyring(&config));
        let sealed = Arc::new(SealedStore::new(Arc::clone(&engine) as _, Arc::clone(&keyring)));
        let store: Arc<dyn StateStore> = Arc::clone(&sealed) as _;
        let metrics: Arc<dyn MetricStore> = Arc::clone(&engine) as _;
        let lease = store.acquire(ids::fresh(), clock::now()).context("cannot take over the database")?;
        let loaded = load(&*store, lease)?;
        seal(&sealed, &engine, lease);
        let server = Server::bind(config.server.listen, tls).await?;
        let url = server.url()?;
        let signer = Signer::new(&keyring, config.link_lifetime_ms);
        let links = Links::new(config.server.public_url.as_deref().unwrap_or(&url)).signed(signer);

        let (live, measure, fleet) = (Live::default(), Arc::new(Measure::default()), Arc::new(Fleet::default()));
        let (pipeline_handle, pipeline_input) = pipeline::queue();
        let (outbox_handle, outbox_input) = outbox::outbox();
        let mut holdings = Holdings::from_loaded(&loaded);
        holdings.expand(clock::now());
        let nobody = holdings.users.is_empty();
        let registry = Arc::new(Registry::new(holdings, Arc::clone(&store), lease, pipeline_handle.clone(), live.clone()));
        restore_fleet(&fleet, &loaded);
        let interval_ms = u64::try_from(config.agents.interval.as_millis()).unwrap_or(15_000);
        let port = Arc::new(Port::new(Arc::clone(&registry), Arc::clone(&fleet), pipeline_handle.clone(), interval_ms));
        let evaluator = restore_evaluator(&registry, &loaded);
        let parts = PipelineParts {
            input: pipeline_input,
            admission: restore_admission(&loaded),
            evaluator,
            store: Arc::clone(&store),
            lease,
            registry: Arc::clone(&registry),
            fleet: Arc::clone(&fleet),
            live: live.clone(),
            outbox: outbox_handle.clone(),
            measure: Arc::clone(&measure),
            raw_ms: config.retention.raw_ms,
            routed: restore_routed(&*store, &loaded)?,
        };
        let app = Arc::new(App {
            registry,
            fleet,
            fleet_history: Arc::default(),
            lookup: Lookup::default(),
            live,
            pipeline: pipeline_handle,
            outbox: outbox_handle,
            engine,
            store,
            metrics,
            outlooks: Arc::default(),
            lease,
            measure,
            notifier: Arc::new(notifier(&config, &links)?),
            links,
            setup: SetupKey::default(),
            attempts: Attempts::default(),
            port,
            config,
        });
        if nobody {
            app.setup.mint().context("no randomness for the set-up key")?;
        }
        Self::run(app, server, url, parts, outbox_input)
    }

    fn run(app: Arc<App>, server: Server, url: String, parts: PipelineParts, outbox_input: OutboxInput) -> anyhow::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let sender = Arc::new(sender(&app));
        let outbox = Outbox::new(outbox_input, Arc::clone(&app.store), app.lease, sender);
        let control = ControlSocket::listen(Arc::clone(&app))?;
        let pipeline = Pipeline::spawn(parts).context("cannot start the pipeline's thread")?;
        let mut outbox_stop = stopped.clone();
        let outbox = tokio::spawn(outbox.run(async move { stopped_by(&mut outbox_stop).await }, OUTBOX_GRACE));
        let http = tokio::spawn(server.run(api::front(Arc::clone(&app), stopped.clone()), stopped, HTTP_GRACE));
        Ok(Self { jobs: start_jobs(&app), app, url, stop, http, outbox, pipeline, _control: control })
    }

    /// Stops: housekeeping put off, no new requests, sessions closed, the queue drained, deliveries in hand finished, the log folded.
    pub async fn stop(mut self) {
        self.app.engine.wind_down();
        let _nobody = self.stop.send(true);
        self.app.port.close_all(SESSIONS_GRACE).await;
        self.jobs.shutdown().await;
        ended("the server", self.http.await);
        self.app.pipeline.tell(Control::Stop);
        let pipeline = self.pipeline;
        let joined = tokio::task::spawn_blocking(move || pipeline.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the pipeline ended in a panic");
        }
        ended("the outbox", self.outbox.await);
        let engine = Arc::clone(&self.app.engine);
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || engine.checkpoint()).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the log could not be folded; that happens at the next start"
            );
        }
    }
}

fn ended(what: &str, joined: Result<(), tokio::task::JoinError>) {
    if let Err(error) = joined {
        tracing::error!(%error, "{what} ended in a panic");
    }
}

/// The keys that channels' secrets are kept under. Without them the hub runs, and says so.
fn keyring(config: &Config) -> Keyring {
    let keyring = match &config.secret_key_file {
        Some(path) => key_file::load(path, Missing::Report),
        None => key_file::load(&config.data.join(key_file::NAME), Missing::Make),
    };
    if let Some(why) = keyring.trouble() {
        tracing::error!(why, "channels' secrets can be neither kept nor used");
    }
    keyring
}

/// Seals what an older hub, or an older key, has left. A hub that cannot runs on.
fn seal(store: &SealedStore, engine: &SqliteStore, lease: LeaseToken) {
    let sealed = store.seal_all(lease);
    if matches!(sealed, Ok(1..))
        && let Err(error) = engine.close()
    {
        tracing::warn!(error = &error as &dyn std::error::Error, "the log still holds them in clear; it is folded at the stop");
    }
    match sealed {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "channels' secrets are sealed now"),
        Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "channels' secrets cannot be sealed"),
    }
}

/// Opens the database of the data folder, with the secrets of its channels.
///
/// # Errors
/// As [`open`].
pub fn open_sealed(config: &Config) -> anyhow::Result<SealedStore> {
    let engine = Arc::new(open(config)?);
    Ok(SealedStore::new(engine, Arc::new(keyring(config))))
}

/// Opens the database of the data folder.
///
/// # Errors
/// When the folder cannot be used; the text says why and what to do.
pub fn open(config: &Config) -> anyhow::Result<SqliteStore> {
    make_folder(&config.data).with_context(|| {
        format!("cannot make the data folder {}; choose one you may write to with --data", config.data.display())
    })?;
    Ok(SqliteStore::open(&config.data.join("nightbell.db"), SqliteOptions::default())?)
}

/// Makes a folder that outlives a loss of power: its entry in the folder above is on the disk before anything is in it.
fn make_folder(folder: &Path) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(folder)?;
    folder.canonicalize()?.parent().map_or(Ok(()), |above| std::fs::File::open(above)?.sync_all())
}

/// Everything the store holds; a new one is furnished first.
fn load(store: &dyn StateStore, lease: LeaseToken) -> anyhow::Result<Loaded> {
    let mut loaded = store.load().context("cannot read the database")?;
    let changes = starter::changes(&loaded.settings, clock::now());
    if !changes.is_empty() {
        store.apply(lease, &changes, None).context("cannot furnish the new database")?;
        loaded = store.load().context("cannot read the database")?;
    }
    bring_back(store, lease, &mut loaded);
    Ok(loaded)
}

/// Brings what is stored back from the future, if the clock was ahead before the start: nobody is to wait until it has caught up. A
/// store that cannot write keeps no hub from starting.
fn bring_back(store: &dyn StateStore, lease: LeaseToken, loaded: &mut Loaded) {
    let now = clock::now();
    let (incidents, furthest_ms) = bygone::settle(loaded, now);
    let written = store.pull_back_deliveries(lease, now, outbox::LONGEST_WAIT_MS).and_then(|deliveries| {
        if incidents.is_empty() && deliveries == 0 {
            return Ok(Vec::new());
        }
        let line = bygone::line(incidents.len(), deliveries, furthest_ms, now);
        tracing::warn!("{}", line.reason);
        let mut changes: Vec<Change> = incidents.into_iter().map(Change::PutIncident).collect();
        changes.push(Change::LogEvent(line));
        store.apply(lease, &changes, None)
    });
    if let Err(error) = written {
        tracing::warn!(error = &error as &dyn std::error::Error, "what lies ahead of the clock cannot be brought back");
    }
}

fn restore_fleet(fleet: &Fleet, loaded: &Loaded) {
    fleet.update_all(loaded.agents.iter().map(|row| {
        (row.id, move |vitals: &mut Vitals| {
            vitals.last_seen = row.last_seen;
            vitals.interval_ms = row.interval_ms;
        })
    }));
    fleet.update_all(
        loaded.latest.iter().map(|batch| (batch.agent, move |vitals: &mut Vitals| vitals.take(Arc::new(batch.clone())))),
    );
}

fn restore_admission(loaded: &Loaded) -> Admission {
    let seen = loaded.seen.iter().map(|row| nightbell_ingest::SeenRanges {
        agent: row.agent,
        boot: row.boot.clone(),
        used_at: row.used_at,
        ranges: row.ranges.clone(),
    });
    Admission::restore(seen, loaded.latest.iter().map(|batch| (batch.agent, batch.ts)))
}

/// Whom open incidents were told to, for the rules whose channels are chosen by routes.
fn restore_routed(store: &dyn StateStore, loaded: &Loaded) -> anyhow::Result<Routed> {
    let mut told = Vec::new();
    for record in &loaded.told {
        for incident in [record.told, record.told_nodata].into_iter().flatten() {
            let query =
                DeliveryQuery { incident: Some(incident), channel: Some(record.channel), limit: 1, ..DeliveryQuery::default() };
            let page = store.deliveries(&query).context("cannot read what was told")?;
            told.extend(page.items.first().map(|delivery| (incident, delivery.row.channel)));
        }
    }
    Ok(Routed::restore(told.into_iter()))
}

fn restore_evaluator(registry: &Registry, loaded: &Loaded) -> Evaluator {
    let holdings = registry.read();
    let config = nightbell_alerts::Config {
        rules: holdings.routed_rules().collect(),
        agents: holdings.agents.values().map(|row| view_of(row, row.last_seen, false)).collect(),
        levels: holdings.levels.clone(),
        mutes: holdings.mutes().collect(),
        group_wait_ms: GROUP_WAIT_MS,
        offline_group_wait_ms: OFFLINE_GROUP_WAIT_MS,
    };
    let saved = nightbell_alerts::Saved {
        instances: loaded.instances.clone(),
        told: loaded.told.clone(),
        incidents: loaded.incidents.clone(),
        last_ts: loaded.latest.iter().map(|batch| (batch.agent, batch.ts)).collect(),
    };
    Evaluator::restore(config, saved, clock::now())
}

fn notifier(config: &Config, links: &Links) -> anyhow::Result<Notifier> {
    let options = NotifierOptions {
        allow_networks: config.allow_networks.clone(),
        message_id_domain: links.host().unwrap_or("nightbell.invalid").to_owned(),
        hub_name: "nightbell".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..NotifierOptions::default()
    };
    Notifier::new(options).context("cannot set up the notifier")
}

fn sender(app: &App) -> outbox::Sender {
    outbox::Sender {
        notifier: Arc::clone(&app.notifier),
        registry: Arc::clone(&app.registry),
        fleet: Arc::clone(&app.fleet),
        port: Arc::clone(&app.port),
        store: Arc::clone(&app.store),
        lease: app.lease,
        metrics: Arc::clone(&app.metrics),
        links: app.links.clone(),
        measure: Arc::clone(&app.measure),
    }
}

fn start_jobs(app: &Arc<App>) -> JoinSet<()> {
    let heard = app.fleet.read().values().filter_map(|vitals| vitals.last_seen).max();
    let jobs = Jobs::new(Arc::clone(&app.engine), app.lease, app.config.retention, Arc::clone(&app.measure), heard);
    let mut tasks = JoinSet::new();
    tasks.spawn(jobs.clone().at("roll_up", app.config.jobs.roll_up.clone(), Jobs::roll_up));
    tasks.spawn(jobs.clone().at("seal", app.config.jobs.seal.clone(), Jobs::seal));
    tasks.spawn(jobs.clone().at("scrub", app.config.jobs.scrub.clone(), Jobs::scrub));
    tasks.spawn(jobs.clone().at("retain", app.config.jobs.retain.clone(), Jobs::retain));
    tasks.spawn(jobs.checkpoint());
    #[cfg(feature = "discord-bot")]
    tasks.spawn(crate::bot::keep(Arc::clone(app)));
    tasks.spawn(digest::keep(digest::Digests::of(app)));
    tasks.spawn(breach::Breaches::of(app).run());
    tasks.spawn(Lookback::new(app.pipeline.clone(), Arc::clone(&app.registry), Arc::clone(&app.metrics)).run());
    tasks.spawn(Reader::of(app).run());
    tasks.spawn(seldom::recall(Arc::clone(&app.fleet), Arc::clone(&app.metrics)));
    tasks.spawn(outlook::keep(Arc::clone(&app.outlooks), Arc::clone(&app.fleet), Arc::clone(&app.metrics)));
    tasks
}
