//! The hub's settings: flag over environment over file over default, parsed once into typed parts.
//!
//! Every key is one row of [`keys::KEYS`]; its environment variable and its place in the TOML file follow from its name.
//! Unknown keys are refused, and a wrong value says where it came from. What users change at run time (channels, rules,
//! time zone of pages) is not here but in the database.

mod keys;
mod sources;

pub use keys::{KEYS, Key};
pub use sources::{Origin, Sources};

use ipnet::IpNet;
use nightbell_store::Retention;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Below this a cap on the database would leave no room to work in.
const LEAST_SIZE: u64 = 64 << 20;

/// The longest that a link in a notification may open its incident.
const LONGEST_LINK: Duration = Duration::from_secs(366 * 86_400);

/// All settings, typed.
#[derive(Debug, Clone)]
pub struct Config {
    /// The folder that holds everything the hub keeps.
    pub data: PathBuf,
    /// The file with the key that channels' secrets are kept under, if it is not in that folder.
    pub secret_key_file: Option<PathBuf>,
    /// How it is reached.
    pub server: Server,
    /// How long history is kept.
    pub retention: Retention,
    /// What agents are told.
    pub agents: Agents,
    /// Which private networks channels may reach without saying so themselves.
    pub allow_networks: Vec<IpNet>,
    /// How long links in notifications open their incident without a login, in milliseconds; 0 is not at all.
    pub link_lifetime_ms: i64,
    /// What is logged.
    pub log: Log,
    /// When housekeeping runs, as cron expressions (seconds first).
    pub jobs: Jobs,
}

/// How the hub is reached.
#[derive(Debug, Clone)]
pub struct Server {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Certificate chain and key, both or none.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// The address that links in pages begin with.
    pub public_url: Option<String>,
}

/// What agents are told.
#[derive(Debug, Clone)]
pub struct Agents {
    /// How often they send a heartbeat.
    pub interval: Duration,
}

/// What is logged.
#[derive(Debug, Clone)]
pub struct Log {
    /// A level, or a filter such as `info,nightbell=debug`.
    pub filter: String,
    /// Lines for people or JSON for machines.
    pub json: bool,
}

/// When housekeeping runs.
#[derive(Debug, Clone)]
pub struct Jobs {
    /// Writing rollups.
    pub roll_up: cron::Schedule,
    /// Packing complete quarters of hours and days.
    pub seal: cron::Schedule,
    /// Checking the next stretch of the database.
    pub scrub: cron::Schedule,
    /// Removing what is too old.
    pub retain: cron::Schedule,
}

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The configuration file cannot be read.
    #[error("cannot read the configuration file {path}: {source}; name an existing file with --config")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The configuration file is not TOML.
    #[error("{path} is not valid TOML: {source}")]
    NotToml {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A key that does not exist.
    #[error("{origin} sets `{key}`, which does not exist; {hint}")]
    UnknownKey {
        /// Where it stands.
        origin: Origin,
        /// The key.
        key: String,
        /// What may have been meant.
        hint: String,
    },
    /// A value that does not fit its key.
    #[error("`{key}` is {value:?} ({origin}): {why}")]
    BadValue {
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// Where it stands.
        origin: Origin,
        /// What is wrong and what would be right.
        why: String,
    },
}

impl Config {
    /// Types the settings.
    ///
    /// # Errors
    /// The first value that does not fit, with its origin.
    pub fn from_sources(sources: &Sources) -> Result<Self, ConfigError> {
        let tls = match (sources.optional("tls_cert"), sources.optional("tls_key")) {
            (Some(cert), Some(key)) => Some((PathBuf::from(cert), PathBuf::from(key))),
            (None, None) => None,
            (Some(_), None) => return Err(sources.bad("tls_cert", "tls_key must be set as well")),
            (None, Some(_)) => return Err(sources.bad("tls_key", "tls_cert must be set as well")),
        };
        Ok(Self {
            data: PathBuf::from(sources.text("data")),
            secret_key_file: sources.optional("secret_key_file").map(PathBuf::from),
            server: Server {
                listen: sources.parse("listen", "an address and a port such as 127.0.0.1:8787")?,
                tls,
                public_url: public_url(sources)?,
            },
            retention: retention(sources)?,
            agents: Agents { interval: interval(sources)? },
            allow_networks: networks(sources)?,
            link_lifetime_ms: sources.duration_ms("notify.link_lifetime", Duration::ZERO, LONGEST_LINK)?,
            log: Log { filter: log_filter(sources)?, json: sources.parse("log_json", "true or false")? },
            jobs: Jobs {
                roll_up: schedule(sources, "jobs.roll_up")?,
                seal: schedule(sources, "jobs.seal")?,
                scrub: schedule(sources, "jobs.scrub")?,
                retain: schedule(sources, "jobs.retain")?,
            },
        })
    }
}

fn public_url(sources: &Sources) -> Result<Option<String>, ConfigError> {
    let Some(text) = sources.optional("public_url") else { return Ok(None) };
    let url: url::Url = sources.parse("public_url", "a URL such as https://monitor.example.org")?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() || url.query().is_some() {
        return Err(sources.bad("public_url", "must be http(s)://host[:port][/path] without a query"));
    }
    Ok(Some(text.trim_end_matches('/').to_owned()))
}

fn retention(sources: &Sources) -> Result<Retention, ConfigError> {
    let keep = |key| sources.duration_ms(key, Duration::from_secs(3_600), Duration::from_secs(20 * 365 * 86_400));
    Ok(Retention {
        raw_ms: keep("retention.raw")?,
        five_minutes_ms: keep("retention.five_minutes")?,
        hourly_ms: keep("retention.hourly")?,
        daily_ms: keep("retention.daily")?,
        log_ms: keep("retention.log")?,
        max_bytes: size(sources, "retention.max_size")?,
    })
}

/// A size in bytes, such as `500MiB` or `20G`.
fn size(sources: &Sources, key: &'static str) -> Result<Option<u64>, ConfigError> {
    let Some(text) = sources.optional(key) else { return Ok(None) };
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => 64,
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(1_u64.checked_shl(shift)?));
    match bytes {
        Some(bytes) if bytes >= LEAST_SIZE => Ok(Some(bytes)),
        _ => Err(sources.bad(key, "must be a size of at least 64MiB, such as 500MiB or 20GiB")),
    }
}

fn interval(sources: &Sources) -> Result<Duration, ConfigError> {
    let ms = sources.duration_ms("agents.interval", Duration::from_secs(1), Duration::from_secs(3_600))?;
    Ok(Duration::from_millis(ms.unsigned_abs()))
}

fn networks(sources: &Sources) -> Result<Vec<IpNet>, ConfigError> {
    let text = sources.text("notify.allow_networks");
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| {
            part.parse()
                .map_err(|_parse| sources.bad("notify.allow_networks", "must be networks such as 192.168.0.0/16, fd00::/8"))
        })
        .collect()
}

fn log_filter(sources: &Sources) -> Result<String, ConfigError> {
    let text = sources.text("log");
    text.parse::<tracing_subscriber::EnvFilter>()
        .map_err(|error| sources.bad("log", &format!("must be error, warn, info, debug, trace or a filter: {error}")))?;
    Ok(text.to_owned())
}

fn schedule(sources: &Sources, key: &'static str) -> Result<cron::Schedule, ConfigError> {
    sources.parse(key, "a cron expression of six fields, seconds first, such as 0 */5 * * * *")
}

#[cfg(test)]
mod tests;
