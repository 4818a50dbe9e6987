//! The command line, and what it asks for.

use super::sources::{self, Layer};
use super::{AgentConfig, Encoding, Transport};
use crate::collect::Roots;
use crate::error::AgentError;
use crate::watch::{self, Disks, Engine, Group, Port, Watch};
use clap::Parser;
use std::path::PathBuf;
use std::time::Duration;

/// Measures this host and tells the hub.
///
/// Every setting can also stand in the environment or in a file as NIGHTBELL_AGENT_… and its name (NIGHTBELL_AGENT_CA_FILE):
/// flags come first, then the environment, then the file given by --config or else .agent.env in the current folder.
/// NIGHTBELL_AGENT_TOKEN_FILE names a file that holds the enrolment token.
#[derive(Debug, Parser)]
#[command(name = "nightbell-agent", version, max_term_width = 100)]
struct Flags {
    /// The hub: wss://HUB, or ws://127.0.0.1:PORT on this host.
    #[arg(long, value_name = "URL")]
    hub: Option<String>,
    /// The one-time enrolment token; not needed after the first start.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// A file that holds the enrolment token.
    #[arg(long, value_name = "FILE")]
    token_file: Option<String>,
    /// The folder where the credential is kept.
    #[arg(long, value_name = "DIR")]
    state: Option<String>,
    /// The time between heartbeats [default: 15s].
    #[arg(long, value_name = "TIME")]
    interval: Option<String>,
    /// What the agent is called at the hub [default: the host's name].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// What the host is for.
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// A tag for the enrolment; can be given several times.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// How heartbeats travel: ws or http [default: ws].
    #[arg(long, value_name = "ws|http")]
    transport: Option<String>,
    /// How WebSocket frames are written: cbor or json [default: cbor].
    #[arg(long, value_name = "cbor|json")]
    encoding: Option<String>,
    /// The longest wait between attempts to connect [default: 60s].
    #[arg(long, value_name = "TIME")]
    reconnect_max: Option<String>,
    /// Let the credential cross the network unencrypted.
    #[arg(long)]
    allow_plaintext: bool,
    /// Certificates (PEM) to trust beside the system's own.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<String>,
    /// Processes to watch as a group: NAME=PATTERN, or a name alone; can be given several times.
    #[arg(long = "process", value_name = "NAME=PATTERN")]
    processes: Vec<String>,
    /// A TCP port to watch: PORT of this host, or HOST:PORT; can be given several times.
    #[arg(long = "port", value_name = "PORT|HOST:PORT")]
    ports: Vec<String>,
    /// A systemd unit to watch beside the failed ones, by name or pattern, or off; can be given several times.
    #[arg(long = "unit", value_name = "UNIT|off")]
    units: Vec<String>,
    /// Whom to ask for containers: auto (Docker, if it runs and lets us), off, or the socket of an engine [default: auto].
    #[arg(long, value_name = "auto|off|SOCKET")]
    containers: Option<String>,
    /// Disks' own health: auto (smartctl, if we are root), off, or a folder with its reports [default: auto].
    #[arg(long, value_name = "auto|off|DIR")]
    smart: Option<String>,
    /// What to log: error, warn, info, debug or trace [default: info].
    #[arg(long, value_name = "LEVEL")]
    log: Option<String>,
    /// A file with settings.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one heartbeat of this host and exit.
    #[arg(long)]
    once: bool,
    /// With --once: as JSON.
    #[arg(long, requires = "once")]
    json: bool,
    /// Read this folder instead of /proc.
    #[arg(long = "proc", value_name = "DIR")]
    proc_root: Option<String>,
    /// Read this folder instead of /sys.
    #[arg(long = "sys", value_name = "DIR")]
    sys_root: Option<String>,
    /// Read this folder instead of /sys/fs/cgroup.
    #[arg(long = "cgroup", value_name = "DIR")]
    cgroup_root: Option<String>,
}

/// What the user wants.
#[derive(Debug)]
pub enum Task {
    /// Run until told to stop.
    Run(Box<AgentConfig>),
    /// Print one heartbeat, as JSON or as text.
    Once {
        /// Where the kernel's trees are.
        roots: Roots,
        /// What is watched beside the host itself.
        watch: Watch,
        /// As JSON.
        json: bool,
    },
}

/// A task and how much to log meanwhile.
#[derive(Debug)]
pub struct Command {
    /// What to do.
    pub task: Task,
    /// The least important level that is logged.
    pub log: tracing::Level,
}

/// Reads the command line, the environment and the file. Ends the program for `--help` and for flags that do not exist.
///
/// # Errors
/// The first setting that cannot be used, where it was written, and what to write instead.
pub fn command() -> Result<Command, AgentError> {
    let flags = Flags::parse();
    let environment: Vec<(String, String)> =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
    read(flags, &environment)
}

fn read(mut flags: Flags, environment: &[(String, String)]) -> Result<Command, AgentError> {
    let environment = sources::environment(environment);
    let named = flags.config.take().or_else(|| environment.get("config").map(|setting| PathBuf::from(&setting.value)));
    let file = sources::file(named.as_deref())?;
    let (once, json) = (flags.once, flags.json);
    let layer = sources::merge([layer(flags), environment, file])?;
    let log = layer.get("log").map_or(Ok(tracing::Level::INFO), |setting| {
        setting.parse("error, warn, info, debug or trace", |value| value.parse().ok())
    })?;
    let (roots, watch) = (roots(&layer), watched(&layer)?);
    let task = if once { Task::Once { roots, watch, json } } else { Task::Run(Box::new(config(&layer, roots, watch)?)) };
    Ok(Command { task, log })
}

fn layer(flags: Flags) -> Layer {
    let mut layer = Layer::new();
    let list = |items: Vec<String>| (!items.is_empty()).then(|| items.join(","));
    for (key, value) in [
        ("hub", flags.hub),
        ("token", flags.token),
        ("token_file", flags.token_file),
        ("state", flags.state),
        ("interval", flags.interval),
        ("name", flags.name),
        ("role", flags.role),
        ("tags", list(flags.tags)),
        ("transport", flags.transport),
        ("encoding", flags.encoding),
        ("reconnect_max", flags.reconnect_max),
        ("allow_plaintext", flags.allow_plaintext.then(|| "true".to_owned())),
        ("ca_file", flags.ca_file),
        ("log", flags.log),
        ("processes", list(flags.processes)),
        ("ports", list(flags.ports)),
        ("units", list(flags.units)),
        ("containers", flags.containers),
        ("smart", flags.smart),
        ("proc", flags.proc_root),
        ("sys", flags.sys_root),
        ("cgroup", flags.cgroup_root),
    ] {
        if let Some(value) = value {
            let origin = match key {
                "tags" => "--tag".to_owned(),
                "processes" => "--process".to_owned(),
                "ports" => "--port".to_owned(),
                "units" => "--unit".to_owned(),
                key => format!("--{}", key.replace('_', "-")),
            };
            layer.insert(key, sources::Setting { value, origin });
        }
    }
    layer
}

fn roots(layer: &Layer) -> Roots {
    let path = |key: &str, default: PathBuf| layer.get(key).map_or(default, |setting| PathBuf::from(&setting.value));
    let Roots { proc, sys, cgroup } = Roots::default();
    Roots { proc: path("proc", proc), sys: path("sys", sys), cgroup: path("cgroup", cgroup) }
}

fn watched(layer: &Layer) -> Result<Watch, AgentError> {
    let processes = layer.get("processes").map_or(Ok(Vec::new()), |setting| {
        setting.parse("at most 64 different groups such as web=nginx, worker=*celery*worker*", Group::list)
    })?;
    let ports = layer.get("ports").map_or(Ok(Vec::new()), |setting| {
        setting.parse("at most 24 different ports such as 22, db.example.org:5432", Port::list)
    })?;
    let units = layer.get("units").map_or(Ok(Watch::default().units), |setting| {
        setting.parse("off, or at most 100 units such as nginx, ssh*, backup.timer", watch::units)
    })?;
    let containers = layer.get("containers").map_or(Ok(Engine::default()), |setting| {
        setting.parse("auto, off, or a socket such as /run/podman/podman.sock", Engine::parse)
    })?;
    let smart = layer.get("smart").map_or(Ok(Disks::default()), |setting| {
        setting.parse("auto, off, or a folder such as /run/nightbell-smart", Disks::parse)
    })?;
    Ok(Watch { processes, ports, units, containers, smart })
}

fn config(layer: &Layer, roots: Roots, watch: Watch) -> Result<AgentConfig, AgentError> {
    let default = AgentConfig::default();
    let text = |key: &str| layer.get(key).map(|setting| setting.value.clone());
    let Some(hub) = text("hub") else {
        let mend = "give --hub wss://HUB, or set NIGHTBELL_AGENT_HUB";
        return Err(AgentError::config("--hub", "the hub's URL is missing", mend));
    };
    let time = |key: &str, default: Duration| {
        layer.get(key).map_or(Ok(default), |setting| {
            setting.parse("a time such as 15s or 1m", |value| humantime::parse_duration(value).ok())
        })
    };
    let choice = |key: &str| layer.get(key).map(|setting| (setting, setting.value.to_lowercase()));
    let transport = choice("transport").map_or(Ok(default.transport), |(setting, value)| {
        setting.parse("ws or http", |_| match value.as_str() {
            "ws" | "websocket" => Some(Transport::WebSocket),
            "http" => Some(Transport::Http),
            _ => None,
        })
    })?;
    let encoding = choice("encoding").map_or(Ok(default.encoding), |(setting, value)| {
        setting.parse("cbor or json", |_| match value.as_str() {
            "cbor" => Some(Encoding::Cbor),
            "json" => Some(Encoding::Json),
            _ => None,
        })
    })?;
    let allow_plaintext = layer.get("allow_plaintext").map_or(Ok(false), |setting| {
        setting.parse("true or false", |value| match value {
            "true" | "1" | "yes" => Some(true),
            "false" | "0" | "no" => Some(false),
            _ => None,
        })
    })?;
    let tags = text("tags").unwrap_or_default();
    Ok(AgentConfig {
        hub,
        token: sources::token(layer)?,
        state: text("state").map_or(default.state, PathBuf::from),
        name: text("name"),
        role: text("role"),
        tags: tags.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect(),
        interval: time("interval", default.interval)?,
        transport,
        encoding,
        reconnect_max: time("reconnect_max", default.reconnect_max)?,
        allow_plaintext,
        ca_file: text("ca_file").map(PathBuf::from),
        roots,
        watch,
        install_signal_handlers: true,
    })
}

#[cfg(test)]
#[path = "cli_tests.rs"]
mod tests;
