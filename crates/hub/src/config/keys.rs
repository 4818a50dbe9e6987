//! The table of settings: names, defaults and what they mean.

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its dotted name in the TOML file; the environment variable is `NIGHTBELL_` and the name in upper case with `_` for `.`.
    pub name: &'static str,
    /// Its value when nobody sets it; `None` is "not set".
    pub default: Option<&'static str>,
    /// What it means, for `config show` and the docs.
    pub help: &'static str,
}

impl Key {
    /// The environment variable that sets it.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("NIGHTBELL_{}", self.name.to_uppercase().replace('.', "_"))
    }
}

const fn key(name: &'static str, default: Option<&'static str>, help: &'static str) -> Key {
    Key { name, default, help }
}

/// All settings.
pub static KEYS: &[Key] = &[
    key("data", Some("./nightbell-data"), "The folder that holds everything the hub keeps"),
    key("listen", Some("127.0.0.1:8787"), "Address and port; port 0 is any free one, printed at start"),
    key("tls_cert", None, "PEM file with the certificate chain; needs tls_key"),
    key("tls_key", None, "PEM file with the private key; needs tls_cert"),
    key("secret_key_file", None, "The file with the key of channels' secrets; by default nightbell.key in the data folder"),
    key("public_url", None, "The address that links in pages begin with; by default the listen address"),
    key("log", Some("info"), "A level (error, warn, info, debug, trace) or a filter such as info,nightbell=debug"),
    key("log_json", Some("false"), "One JSON object for each log line"),
    key("agents.interval", Some("15s"), "How often agents are asked to send a heartbeat, 1s to 1h"),
    key("retention.raw", Some("7d"), "How long every heartbeat is kept"),
    key("retention.five_minutes", Some("30d"), "How long buckets of five minutes are kept"),
    key("retention.hourly", Some("7d"), "How long hourly buckets are kept"),
    key("retention.daily", Some("90d"), "How long daily buckets are kept"),
    key(
        "retention.log",
        Some("90d"),
        "How long events, ended incidents, deliveries and audit lines are kept (dead deliveries: 30 days)",
    ),
    key(
        "retention.max_size",
        None,
        "The database may grow to about so much (such as 20GiB); beyond that, history goes before its age, oldest heartbeats first",
    ),
    key(
        "notify.allow_networks",
        Some(""),
        "Private networks that every channel may reach, such as 192.168.0.0/16, comma-separated",
    ),
    key("notify.link_lifetime", Some("7d"), "How long the link in a page opens its incident without a login; 0s is never"),
    key("jobs.roll_up", Some("20 * * * * *"), "When rollups are written (cron, seconds first, UTC)"),
    key("jobs.seal", Some("50 1-59/2 * * * *"), "When complete quarters of hours and days are packed (cron, seconds first, UTC)"),
    key("jobs.scrub", Some("5 * * * * *"), "When the next stretch of the database is checked (cron, seconds first, UTC)"),
    key("jobs.retain", Some("40 */10 * * * *"), "When what is too old is removed (cron, seconds first, UTC)"),
];

/// The row of the setting called `name`.
#[must_use]
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}
