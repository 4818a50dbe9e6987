//! Which fields of a channel are secret, how they are shown, and how a shown form becomes the whole again.

use super::fields::PLACEHOLDER;
use serde_json::Value;
use url::Url;

/// How a secret field is shown.
#[derive(Clone, Copy)]
enum Shown {
    /// As `"set"`.
    Placeholder,
    /// As scheme and host.
    Host,
}

/// The secret fields of a kind. Of an unknown kind everything that is secret anywhere is.
fn secret_fields(kind: &str) -> &'static [(&'static str, Shown)] {
    match kind {
        "webhook" => &[("secret", Shown::Placeholder), ("routing_key", Shown::Placeholder)],
        "smtp" => &[("password", Shown::Placeholder)],
        "discord" | "slack" => &[("webhook_url", Shown::Host), ("bot_token", Shown::Placeholder)],
        _ => &[
            ("secret", Shown::Placeholder),
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
        (Value::String(url), Shown::Host) => host_only(url),
        _ => PLACEHOLDER.to_owned(),
    };
    Value::String(text)
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
    if let (Some(old), Some(new)) = (old.as_object(), new.as_object_mut()) {
        for (name, how) in secret_fields(kind) {
            if let (Some(old), Some(new)) = (old.get(*name), new.get_mut(*name))
                && *new == shown(old, *how)
            {
                *new = old.clone();
            }
        }
    }
    new
}
