//! `filter` and `sort` of lists: words that a row must have, and the field that rows are ordered by. Rows are looked at as the JSON
//! that is answered, so that what can be asked for is what can be seen.

use crate::api::problem::Problem;
use serde::Serialize;
use serde_json::{Map, Value};

/// The longest filter that is read, in characters.
const LONGEST: usize = 256;

/// Words that must all be met: `field:text` by that field, any other by some field, whatever the case of letters.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter(Vec<String>);

impl Filter {
    /// Reads a filter; one without words lets everything through.
    ///
    /// # Errors
    /// When it is too long.
    pub(crate) fn read(text: Option<&str>) -> Result<Self, Problem> {
        let text = text.unwrap_or_default();
        if text.chars().count() > LONGEST {
            return Err(Problem::invalid_field("filter", format!("a filter has at most {LONGEST} characters")));
        }
        Ok(Self(text.split_whitespace().map(str::to_lowercase).collect()))
    }

    /// Whether everything is let through, so that no row need be looked at.
    pub(crate) const fn is_open(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a row has all words.
    pub(crate) fn admits(&self, row: &impl Serialize) -> bool {
        self.is_open() || self.admits_fields(&fields(row))
    }

    fn admits_fields(&self, fields: &Map<String, Value>) -> bool {
        self.0.iter().all(|word| {
            let named = word.split_once(':').and_then(|(name, text)| Some((fields.get(name)?, text)));
            match named {
                Some((value, text)) => is(value, text),
                None => fields.values().any(|value| has(value, word)),
            }
        })
    }
}

/// The fields of a row as it is answered.
pub(crate) fn fields(row: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(row) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

/// Whether a field is `text`; a list if one of its members is, an object (an agent, a rule) if one of its fields is.
fn is(value: &Value, text: &str) -> bool {
    match value {
        Value::Array(members) => members.iter().any(|member| is(member, text)),
        Value::Object(fields) => fields.values().any(|field| is(field, text)),
        Value::String(own) => own.to_lowercase() == text,
        other => is_written(other, text),
    }
}

/// Whether a number, a truth or nothing is written as `text`.
fn is_written(value: &Value, text: &str) -> bool {
    let written = value.to_string();
    written == text
}

/// Whether `text` stands somewhere in a field.
fn has(value: &Value, text: &str) -> bool {
    match value {
        Value::Array(members) => members.iter().any(|member| has(member, text)),
        Value::Object(fields) => fields.values().any(|field| has(field, text)),
        Value::String(own) => own.to_lowercase().contains(text),
        Value::Null => false,
        other => is_written(other, text),
    }
}

/// A field that a list may be ordered by, and whether the greatest comes first; `None` if nothing is said.
///
/// # Errors
/// Naming the fields there are.
pub(crate) fn order<'f>(sort: Option<&str>, known: &[&'f str]) -> Result<Option<(&'f str, bool)>, Problem> {
    let Some(sort) = sort else { return Ok(None) };
    let (name, descending) = sort.strip_prefix('-').map_or((sort, false), |name| (name, true));
    match known.iter().find(|field| **field == name) {
        Some(field) => Ok(Some((*field, descending))),
        None => Err(Problem::invalid_field("sort", format!("{name:?} is none of {}", known.join(", ")))),
    }
}

/// A list that has one order only: newest first, by the field `field`, if anything is said of it.
///
/// # Errors
/// When another order is asked for.
pub(crate) fn newest_first(sort: Option<&str>, field: &str) -> Result<(), Problem> {
    match sort.map(|sort| sort.strip_prefix('-') == Some(field)) {
        None | Some(true) => Ok(()),
        Some(false) => Err(Problem::invalid_field("sort", format!("this list runs newest first: -{field}"))),
    }
}

/// The place of a field's value among others of its kind, as text.
pub(crate) fn place(fields: &Map<String, Value>, field: &str) -> String {
    match fields.get(field) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.to_lowercase(),
        Some(Value::Number(number)) => format!("{:025.6}", number.as_f64().unwrap_or_default()),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_are_met_by_fields_or_anywhere() {
        let row = json!({"name": "CPU hot", "enabled": true, "version": 3, "tags": ["db", "eu"], "agent": {"id": "01J", "name": "web-1"},
            "ends_at": null, "url": "http://x"});
        let admits = |text: &str| Filter::read(Some(text)).expect("a filter").admits(&row);
        for met in [
            "",
            "cpu",
            "CPU HOT",
            "name:cpu hot",
            "tags:db",
            "tags:DB tags:eu",
            "enabled:true",
            "version:3",
            "agent:web-1",
            "web",
            "http://x",
            "ends_at:null",
        ] {
            assert_eq!(admits(met), met != "name:cpu hot", "{met}");
        }
        for missed in ["gpu", "cpu gpu", "tags:d", "enabled:false", "version:30", "agent:web", "nothing:db"] {
            assert!(!admits(missed), "{missed}");
        }
        assert!(Filter::read(Some(&"x".repeat(LONGEST + 1))).is_err());
        assert!(Filter::read(None).is_ok_and(|filter| filter.is_open()));
    }

    #[test]
    fn an_order_is_by_a_field_there_is() {
        assert_eq!(order(None, &["name"]), Ok(None));
        assert_eq!(order(Some("-name"), &["id", "name"]), Ok(Some(("name", true))));
        assert!(order(Some("colour"), &["id", "name"]).is_err_and(|problem| problem.detail.contains("id, name")));
        assert!(newest_first(Some("-ts"), "ts").is_ok() && newest_first(Some("ts"), "ts").is_err());
        let row = fields(&json!({"a": 9, "b": 10, "c": "B", "d": null}));
        assert!(place(&row, "a") < place(&row, "b"));
        assert_eq!((place(&row, "c"), place(&row, "d")), ("b".to_owned(), String::new()));
    }
}
