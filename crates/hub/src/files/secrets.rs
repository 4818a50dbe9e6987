//! Secrets in files: never the secret, only where it is: `env:NAME` or `file:PATH`. Whoever applies the files looks it up.

use super::document::{Declared, Entry};
use super::{Fault, Kind};
use nightbell_notify::ChannelConfig;
use nightbell_store::ChannelRow;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A URL that fits wherever one with a token in it is asked for.
const SOME_URL: &str = "https://hooks.example.org/api/webhooks/1/token";

/// The address of a webhook, by JSON pointer.
const ADDRESS: &str = "/url";

/// What references stand for.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets {
    values: BTreeMap<String, String>,
    /// Whether something that fits stands in for what is not known: a check does without the secrets.
    stand_ins: bool,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("known", &self.values.len()).field("stand_ins", &self.stand_ins).finish()
    }
}

impl Secrets {
    /// Secrets that are known.
    #[must_use]
    pub const fn known(values: BTreeMap<String, String>) -> Self {
        Self { values, stand_ins: false }
    }

    /// Secrets for a check, where those that are not known do not matter.
    #[must_use]
    pub const fn for_check(values: BTreeMap<String, String>) -> Self {
        Self { values, stand_ins: true }
    }

    fn get(&self, reference: &str, pointer: &str) -> Option<String> {
        let stand_in = || if pointer.ends_with("url") { SOME_URL.to_owned() } else { "stand-in".to_owned() };
        self.values.get(reference).cloned().or_else(|| self.stand_ins.then(stand_in))
    }
}

/// Whether a text says where a secret is.
fn is_reference(text: &str) -> bool {
    text.starts_with("env:") || text.starts_with("file:")
}

/// Calls `visit` with every text below `value` and its JSON pointer.
fn each_text(value: &mut Value, pointer: &str, visit: &mut dyn FnMut(&str, &mut String)) {
    match value {
        Value::String(text) => visit(pointer, text),
        Value::Array(items) => {
            for (at, item) in items.iter_mut().enumerate() {
                each_text(item, &format!("{pointer}/{at}"), visit);
            }
        }
        Value::Object(object) => {
            for (name, inner) in object {
                each_text(inner, &format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1")), visit);
            }
        }
        _ => {}
    }
}

/// All references of the files.
pub(super) fn wanted(declared: &Declared) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for entry in declared.entries.iter().filter(|entry| entry.kind == Kind::Channel) {
        if let Some(config) = entry.object.get("config") {
            each_text(&mut config.clone(), "", &mut |_, text| {
                if is_reference(text) {
                    all.insert(text.clone());
                }
            });
        }
    }
    all
}

/// Puts the secrets of a declared channel into its configuration; what stood for them, by pointer.
///
/// # Errors
/// The references that lead nowhere, and the secrets that stand in the file themselves. A webhook's address may stand there: whoever
/// writes it knows whether there is a key in it.
pub(super) fn fill(entry: &Entry, config: &mut Value, secrets: &Secrets) -> Result<BTreeMap<String, String>, Vec<Fault>> {
    let (mut references, mut faults) = (BTreeMap::new(), Vec::new());
    each_text(config, "", &mut |pointer, text| {
        if is_reference(text) {
            match secrets.get(text, pointer) {
                Some(secret) => {
                    references.insert(pointer.to_owned(), std::mem::replace(text, secret));
                }
                None => faults.push(entry.fault(&format!("/config{pointer}"), format!("{text} cannot be read: {}", why(text)))),
            }
        }
    });
    if faults.is_empty() {
        for pointer in hidden(entry.text("kind").unwrap_or_default(), config) {
            if !references.contains_key(&pointer) && pointer != ADDRESS {
                let what = "is a secret, which has no place in a file: write \"env:NAME\" or \"file:PATH\"";
                faults.push(entry.fault(&format!("/config{pointer}"), what));
            }
        }
    }
    if faults.is_empty() { Ok(references) } else { Err(faults) }
}

fn why(reference: &str) -> &'static str {
    if reference.starts_with("env:") { "this variable is not set" } else { "there is no such file, or it is empty" }
}

/// The JSON pointers of what a channel's configuration does not show; an address without a key in it is no secret in a file.
pub(super) fn hidden(kind: &str, config: &Value) -> Vec<String> {
    let shown = ChannelConfig::redacted(kind, config);
    let mut pointers = Vec::new();
    each_text(&mut config.clone(), "", &mut |pointer, text| {
        let is_shown = shown.pointer(pointer).and_then(Value::as_str) == Some(text);
        if !is_shown && !ChannelConfig::is_plain_address(kind, pointer, text) {
            pointers.push(pointer.to_owned());
        }
    });
    pointers
}

/// The address of a webhook, if it may stand in a file in clear.
pub(super) fn address(row: &ChannelRow) -> Option<String> {
    let config: Value = serde_json::from_str(&row.config_json).ok()?;
    let url = config.pointer(ADDRESS)?.as_str()?;
    ChannelConfig::is_plain_address(&row.kind, ADDRESS, url).then(|| url.to_owned())
}

/// The configuration as files have it: `name` says what stands for the secret at a pointer.
pub(super) fn hide(kind: &str, config: &Value, mut name: impl FnMut(&str) -> String) -> Value {
    let (hidden, mut config) = (hidden(kind, config), config.clone());
    each_text(&mut config, "", &mut |pointer, text| {
        if hidden.iter().any(|other| other == pointer) {
            *text = name(pointer);
        }
    });
    config
}
