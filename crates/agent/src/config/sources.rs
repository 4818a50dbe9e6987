//! Where settings come from: flags, environment, a file of `KEY=value` lines, each with its origin for the error messages.

use crate::error::AgentError;
use std::collections::BTreeMap;
use std::path::Path;

/// What the names in the environment and the file begin with.
const PREFIX: &str = "NIGHTBELL_AGENT_";
/// The file that is read if it is there and no other is named.
const DEFAULT_FILE: &str = ".agent.env";
/// Every setting.
const KEYS: [&str; 23] = [
    "allow_plaintext",
    "ca_file",
    "cgroup",
    "config",
    "containers",
    "encoding",
    "hub",
    "interval",
    "log",
    "name",
    "ports",
    "proc",
    "processes",
    "reconnect_max",
    "role",
    "smart",
    "state",
    "sys",
    "tags",
    "token",
    "token_file",
    "transport",
    "units",
];

/// One setting as it was written, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) value: String,
    pub(super) origin: String,
}

/// Settings by key.
pub(super) type Layer = BTreeMap<&'static str, Setting>;

impl Setting {
    /// The value as `read` understands it.
    pub(super) fn parse<T>(&self, shape: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<T, AgentError> {
        read(&self.value).ok_or_else(|| {
            AgentError::config(&*self.origin, format!("{:?} cannot be used", self.value), format!("write {shape}"))
        })
    }
}

/// The settings of the environment. Names with our prefix that are no settings are left alone: cluster managers put some there.
pub(super) fn environment(variables: &[(String, String)]) -> Layer {
    let known = |name: &str| name.strip_prefix(PREFIX).and_then(|rest| key(&rest.to_lowercase()));
    let set = |(name, value): &(String, String)| Some((known(name)?, Setting { value: value.clone(), origin: name.clone() }));
    variables.iter().filter(|(_, value)| !value.is_empty()).filter_map(set).collect()
}

/// The settings of the file at `path`; of the default file, if it is there, without a path.
pub(super) fn file(path: Option<&Path>) -> Result<Layer, AgentError> {
    let (path, must) = (path.unwrap_or(Path::new(DEFAULT_FILE)), path.is_some());
    match std::fs::read_to_string(path) {
        Ok(text) => parse_file(&text, &path.display().to_string()),
        Err(error) if !must && error.kind() == std::io::ErrorKind::NotFound => Ok(Layer::new()),
        Err(error) => Err(AgentError::config(
            path.display().to_string(),
            format!("cannot be read: {error}"),
            "name a readable file with --config",
        )),
    }
}

/// `KEY=value` lines; empty lines, `#` comments, `export` and quotes are allowed. A key that does not exist is refused: it is a
/// typing error that would otherwise go unnoticed.
fn parse_file(text: &str, name: &str) -> Result<Layer, AgentError> {
    let mut layer = Layer::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let origin = format!("{name} line {number}");
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((written, value)) = line.split_once('=') else {
            return Err(AgentError::config(origin, "is no setting", format!("write {PREFIX}HUB=wss://HUB")));
        };
        let Some(key) =
            written.trim().strip_prefix(PREFIX).and_then(|rest| key(&rest.to_lowercase())).filter(|key| *key != "config")
        else {
            let names: Vec<String> =
                KEYS.iter().filter(|key| **key != "config").map(|key| format!("{PREFIX}{}", key.to_uppercase())).collect();
            let mend = format!("the settings are {}", names.join(", "));
            return Err(AgentError::config(origin, format!("{} is no setting", written.trim()), mend));
        };
        layer.insert(key, Setting { value: unquoted(value.trim()).to_owned(), origin });
    }
    Ok(layer)
}

fn unquoted(value: &str) -> &str {
    let within = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    within('"').or_else(|| within('\'')).unwrap_or(value)
}

/// One layer of all, the first ones over the later ones. A token and a file with a token are one setting in two forms.
pub(super) fn merge(layers: [Layer; 3]) -> Result<Layer, AgentError> {
    let mut merged = Layer::new();
    for layer in layers {
        if let (Some(_), Some(file)) = (layer.get("token"), layer.get("token_file")) {
            return Err(AgentError::config(
                &*file.origin,
                "the token is given twice",
                "give the token or the file that holds it, not both",
            ));
        }
        let has_token = merged.contains_key("token") || merged.contains_key("token_file");
        for (key, setting) in layer {
            if !(has_token && key.starts_with("token")) {
                merged.entry(key).or_insert(setting);
            }
        }
    }
    Ok(merged)
}

/// The enrolment token, from its setting or its file.
pub(super) fn token(layer: &Layer) -> Result<Option<String>, AgentError> {
    if let Some(file) = layer.get("token_file") {
        let failed =
            |why: String| AgentError::config(&*file.origin, format!("{} {why}", file.value), "name a file that holds the token");
        let text = std::fs::read_to_string(&file.value).map_err(|error| failed(format!("cannot be read: {error}")))?;
        let token = text.trim();
        return if token.is_empty() { Err(failed("is empty".to_owned())) } else { Ok(Some(token.to_owned())) };
    }
    Ok(layer.get("token").map(|setting| setting.value.trim().to_owned()))
}

fn key(name: &str) -> Option<&'static str> {
    KEYS.iter().find(|key| **key == name).copied()
}
