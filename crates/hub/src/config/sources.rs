//! Collecting raw settings from their four sources and remembering where each came from.

use super::ConfigError;
use super::keys::{KEYS, find};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
    /// A flag of the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Variable(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// Raw settings with their origin; later sources replace earlier ones.
#[derive(Debug, Clone)]
pub struct Sources {
    values: BTreeMap<&'static str, (String, Origin)>,
}

impl Default for Sources {
    fn default() -> Self {
        let values = KEYS.iter().filter_map(|key| key.default.map(|value| (key.name, (value.to_owned(), Origin::Default))));
        Self { values: values.collect() }
    }
}

impl Sources {
    /// Reads a TOML file; nested tables are dotted names.
    ///
    /// # Errors
    /// When it cannot be read, is not TOML, or sets an unknown key.
    pub fn add_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        let table: toml::Table =
            text.parse().map_err(|source| ConfigError::NotToml { path: path.to_owned(), source: Box::new(source) })?;
        self.add_table("", &table, path)
    }

    fn add_table(&mut self, prefix: &str, table: &toml::Table, path: &Path) -> Result<(), ConfigError> {
        for (name, value) in table {
            let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            let text = match value {
                toml::Value::Table(inner) => {
                    self.add_table(&name, inner, path)?;
                    continue;
                }
                toml::Value::String(text) => text.clone(),
                toml::Value::Array(items) => items
                    .iter()
                    .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
                    .collect::<Vec<_>>()
                    .join(","),
                other => other.to_string(),
            };
            self.set(&name, text, Origin::File(path.to_owned()))?;
        }
        Ok(())
    }

    /// Takes `NIGHTBELL_*` variables. A name with `_FILE` behind it reads the value from that file.
    ///
    /// # Errors
    /// When one is unknown, or names a file that cannot be read.
    pub fn add_environment(&mut self, variables: impl Iterator<Item = (String, String)>) -> Result<(), ConfigError> {
        const NOT_SETTINGS: [&str; 2] = ["NIGHTBELL_CONFIG", "NIGHTBELL_UI"];
        for (variable, value) in variables {
            if !variable.starts_with("NIGHTBELL_") || NOT_SETTINGS.contains(&variable.as_str()) || foreign(&variable) {
                continue;
            }
            let named = |wanted: &str| KEYS.iter().find(|key| key.variable() == wanted);
            if let Some(key) = named(&variable) {
                self.values.insert(key.name, (value, Origin::Variable(variable)));
            } else if let Some(key) = variable.strip_suffix("_FILE").and_then(named) {
                let path = PathBuf::from(&value);
                let text = std::fs::read_to_string(&path).map_err(|source| ConfigError::Unreadable { path, source })?;
                self.values.insert(key.name, (text.trim_end().to_owned(), Origin::Variable(variable)));
            } else {
                let hint = format!("known variables: {}", KEYS.iter().map(super::Key::variable).collect::<Vec<_>>().join(", "));
                return Err(ConfigError::UnknownKey { origin: Origin::Variable(variable.clone()), key: variable, hint });
            }
        }
        Ok(())
    }

    /// Takes a flag of the command line.
    pub fn add_flag(&mut self, name: &'static str, flag: &'static str, value: Option<String>) {
        if let Some(value) = value {
            self.values.insert(name, (value, Origin::Flag(flag)));
        }
    }

    fn set(&mut self, name: &str, value: String, origin: Origin) -> Result<(), ConfigError> {
        let Some(key) = find(name) else {
            let known = KEYS.iter().map(|key| key.name).collect::<Vec<_>>().join(", ");
            return Err(ConfigError::UnknownKey { origin, key: name.to_owned(), hint: format!("known keys: {known}") });
        };
        self.values.insert(key.name, (value, origin));
        Ok(())
    }

    /// All settings: key, value and origin, in the order of the table.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str, Origin)> {
        KEYS.iter().map(|key| match self.values.get(key.name) {
            Some((value, origin)) => (key.name, value.as_str(), origin.clone()),
            None => (key.name, "", Origin::Default),
        })
    }

    /// The value of `key`, if it is set.
    #[must_use]
    pub fn optional(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(|(value, _)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// The value of `key`, empty if it is not set.
    #[must_use]
    pub fn text(&self, key: &str) -> &str {
        self.values.get(key).map_or("", |(value, _)| value.as_str())
    }

    /// The value of `key` as a `T`.
    ///
    /// # Errors
    /// When it is not one; `wanted` says what would be.
    pub fn parse<T: FromStr>(&self, key: &'static str, wanted: &str) -> Result<T, ConfigError> {
        self.text(key).trim().parse().map_err(|_parse| self.bad(key, &format!("must be {wanted}")))
    }

    /// The value of `key` as milliseconds, between two bounds.
    ///
    /// # Errors
    /// When it is no duration or out of bounds.
    pub fn duration_ms(&self, key: &'static str, least: Duration, most: Duration) -> Result<i64, ConfigError> {
        let duration = humantime::parse_duration(self.text(key).trim())
            .map_err(|error| self.bad(key, &format!("must be a duration such as 15s, 5m, 12h or 7d: {error}")))?;
        if duration < least || duration > most {
            let bounds =
                format!("must be between {} and {}", humantime::format_duration(least), humantime::format_duration(most));
            return Err(self.bad(key, &bounds));
        }
        i64::try_from(duration.as_millis()).map_err(|_range| self.bad(key, "is too long"))
    }

    /// The error that `key` cannot be used because of `why`.
    #[must_use]
    pub fn bad(&self, key: &'static str, why: &str) -> ConfigError {
        let (value, origin) = self.values.get(key).cloned().unwrap_or((String::new(), Origin::Default));
        ConfigError::BadValue { key, value, origin, why: why.to_owned() }
    }
}

/// Variables of the agent and of the project's own tests share the prefix.
fn foreign(variable: &str) -> bool {
    ["NIGHTBELL_AGENT_", "NIGHTBELL_E2E_", "NIGHTBELL_SLOW", "NIGHTBELL_BENCH_"].iter().any(|prefix| variable.starts_with(prefix))
}
