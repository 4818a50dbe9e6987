//! Objects become TOML text, their fields in the order in which people write them.

use serde_json::{Map, Value};
use std::fmt::Write;

/// What comes first; the rest follows by name, and the configuration of a channel comes last.
const ORDER: [&str; 17] = [
    "id",
    "name",
    "kind",
    "agent",
    "metric",
    "labels",
    "matchers",
    "aggregate",
    "op",
    "threshold",
    "warn",
    "crit",
    "clear",
    "window",
    "per",
    "horizon",
    "for",
];
/// A table of its own below the object.
const LAST: &str = "config";

/// Adds `[[word]]` with the fields of `object`; a field without a value is left out.
pub(super) fn push(text: &mut String, word: &str, object: &Map<String, Value>) {
    let _written = writeln!(text, "\n[[{word}]]");
    let rank = |name: &str| ORDER.iter().position(|other| *other == name).unwrap_or(ORDER.len());
    let mut fields: Vec<_> = object.iter().filter(|(name, value)| !value.is_null() && *name != LAST).collect();
    fields.sort_by_key(|(name, _)| (rank(name), name.as_str()));
    for (name, value) in fields {
        let _written = writeln!(text, "{} = {}", key(name), inline(value));
    }
    if let Some(Value::Object(inner)) = object.get(LAST) {
        let _written = writeln!(text, "[{word}.{LAST}]");
        for (name, value) in inner.iter().filter(|(_, value)| !value.is_null()) {
            let _written = writeln!(text, "{} = {}", key(name), inline(value));
        }
    }
}

fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if bare { name.to_owned() } else { toml::Value::String(name.to_owned()).to_string() }
}

/// A value on one line.
pub(super) fn inline(value: &Value) -> String {
    match value {
        Value::Null => "\"\"".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => self::number(number),
        Value::String(text) => toml::Value::String(text.clone()).to_string(),
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Object(object) => {
            let fields = object.iter().filter(|(_, value)| !value.is_null());
            let fields: Vec<_> = fields.map(|(name, value)| format!("{} = {}", key(name), inline(value))).collect();
            if fields.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", fields.join(", ")) }
        }
    }
}

/// A number as people write it: whole ones without a fraction, as far as they are exact.
fn number(number: &serde_json::Number) -> String {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match number.as_f64() {
        Some(value) if number.is_f64() && value.fract() == 0.0 && value.abs() < EXACT => format!("{value:.0}"),
        Some(value) if number.is_f64() => toml::Value::Float(value).to_string(),
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_stand_in_order_and_read_back() {
        let object = json!({"kind": "webhook", "name": "a \"b\"\n", "config": {"url": "x", "odd key": [1.5, 90.0]}, "id": "i", "zone": null,
            "scope": {"tag": "db"}, "big": 1e300, "small": 1e-7, "huge": 9_007_199_254_740_993_u64});
        let mut text = String::new();
        push(&mut text, "channel", object.as_object().expect("an object"));
        let order: Vec<_> = text.lines().filter_map(|line| line.split_once(" = ").map(|(name, _)| name)).collect();
        assert_eq!(order, ["id", "name", "kind", "big", "huge", "scope", "small", "\"odd key\"", "url"]);
        let file = super::super::SourceFile { path: "x".to_owned(), text };
        let declared = super::super::document::read(&[file]);
        assert_eq!(declared.faults, Vec::new());
        let read = Value::Object(declared.entries[0].object.clone());
        for (pointer, value) in [
            ("/name", json!("a \"b\"\n")),
            ("/big", json!(1e300)),
            ("/small", json!(1e-7)),
            ("/scope/tag", json!("db")),
            ("/config/odd key/0", json!(1.5)),
            ("/config/odd key/1", json!(90)),
            ("/huge", json!(9_007_199_254_740_993_u64)),
        ] {
            assert_eq!(read.pointer(pointer), Some(&value), "{pointer}");
        }
    }
}
