//! Which fields of a channel are secret, how they are shown, and how a shown form becomes the whole again.

use super::fields::PLACEHOLDER;
use serde_json::Value;
use url::Url;

/// Secrets that are sent to the receiver as they are; the others only sign, or stand in the address itself.
const TRAVELLING: [&str; 3] = ["headers", "password", "routing_key"];

/// How a secret field is shown.
#[derive(Clone, Copy)]
enum Shown {
    /// As `"set"`.
    Placeholder,
    /// As scheme and host.
    Host,
    /// As scheme and host, or whole if nothing more is in it: many services put a key into the rest.
    Address,
    /// Each value of an object as `"set"`.
    Values,
}

/// The secret fields of a kind. Of an unknown kind everything that is secret anywhere is.
fn secret_fields(kind: &str) -> &'static [(&'static str, Shown)] {
    match kind {
        "webhook" => &[
            ("url", Shown::Address),
            ("secret", Shown::Placeholder),
            ("previous_secret", Shown::Placeholder),
            ("routing_key", Shown::Placeholder),
            ("headers", Shown::Values),
        ],
        "smtp" => &[("password", Shown::Placeholder)],
        "discord" | "slack" => &[("webhook_url", Shown::Host), ("bot_token", Shown::Placeholder)],
        _ => &[
            ("url", Shown::Address),
            ("secret", Shown::Placeholder),
            ("previous_secret", Shown::Placeholder),
            ("headers", Shown::Values),
            ("routing_key", Shown::Placeholder),
            ("password", Shown::Placeholder),
            ("webhook_url", Shown::Host),
            ("bot_token", Shown::Placeholder),
        ],
    }
}

fn shown(value: &Value, how: Shown) -> Value {
    let text = match (value, how) {
        (Value::Null, _) => return Value::Null,
        (Value::Object(values), Shown::Values) => {
            return values.iter().map(|(name, value)| (name.clone(), shown(value, Shown::Placeholder))).collect();
        }
        (Value::String(url), Shown::Address) if is_bare(url) => url.clone(),
        (Value::String(url), Shown::Host | Shown::Address) => host_only(url),
        _ => PLACEHOLDER.to_owned(),
    };
    Value::String(text)
}

/// Whether an address has nothing in it but scheme and host.
fn is_bare(url: &str) -> bool {
    let Ok(url) = Url::parse(url.trim()) else { return false };
    url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
}

/// Whether an address looks as if it had a key in it: a query, a login, or a part of its path that nobody would choose as a name.
pub(super) fn bears_a_key(url: &str) -> bool {
    /// So long a part is no name.
    const LONG: usize = 32;
    /// Nor is so long a one with letters and digits.
    const MIXED: usize = 16;
    let Ok(url) = Url::parse(url.trim()) else { return false };
    let is_key = |part: &str| {
        let has = |wanted: fn(&char) -> bool| part.chars().any(|letter| wanted(&letter));
        part.len() >= LONG || (part.len() >= MIXED && has(char::is_ascii_digit) && has(char::is_ascii_alphabetic))
    };
    let has_login = !url.username().is_empty() || url.password().is_some();
    url.query().is_some() || has_login || url.path_segments().is_some_and(|mut parts| parts.any(is_key))
}

/// `https://discord.com/…`
fn host_only(url: &str) -> String {
    let origin = Url::parse(url).ok().map(|url| url.origin()).filter(url::Origin::is_tuple);
    origin.map_or_else(|| PLACEHOLDER.to_owned(), |origin| format!("{}/…", origin.ascii_serialization()))
}

pub(super) fn redacted(kind: &str, config: &Value) -> Value {
    let mut config = config.clone();
    if let Some(object) = config.as_object_mut() {
        for (name, how) in secret_fields(kind) {
            if let Some(value) = object.get_mut(*name) {
                *value = shown(value, *how);
            }
        }
    }
    config
}

pub(super) fn merge(kind: &str, old: &Value, mut new: Value) -> Value {
    let has_moved = has_moved(old, &new);
    if let (Some(old), Some(new)) = (old.as_object(), new.as_object_mut()) {
        for (name, how) in secret_fields(kind) {
            if has_moved && TRAVELLING.contains(name) {
                continue;
            }
            let (Some(old), Some(new)) = (old.get(*name), new.get_mut(*name)) else { continue };
            match (old, new, how) {
                (Value::Object(old), Value::Object(new), Shown::Values) => {
                    for (header, value) in new {
                        put_back(old.get(header), value, Shown::Placeholder);
                    }
                }
                (old, new, how) => put_back(Some(old), new, *how),
            }
        }
    }
    new
}

/// Whether a channel leads elsewhere than before, or there in clear. Who may edit a channel but does not know its secrets must not
/// have them sent to a place of their own.
fn has_moved(old: &Value, new: &Value) -> bool {
    let origin = |config: &Value| {
        let url = config["url"].as_str().and_then(|url| Url::parse(url.trim()).ok());
        url.map_or_else(|| config["url"].to_string(), |url| url.origin().ascii_serialization())
    };
    let relay = |config: &Value| (config["host"].clone(), config["port"].clone());
    let is_clear = |config: &Value| config["tls"] == "none";
    origin(old) != origin(new) || relay(old) != relay(new) || (is_clear(new) && !is_clear(old))
}

/// What only repeats how `old` is shown becomes `old` again.
fn put_back(old: Option<&Value>, new: &mut Value, how: Shown) {
    if let Some(old) = old.filter(|old| *new == shown(old, how)) {
        *new = old.clone();
    }
}
