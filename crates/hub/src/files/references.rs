//! Names in files, ids in the hub: which fields of an object name others, and how each becomes the other.

use super::Kind;
use serde_json::Value;

/// What a field names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Named {
    Agent,
    Channel,
    Rule,
}

impl Named {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Channel => "channel",
            Self::Rule => "rule",
        }
    }
}

/// The fields of a kind that name other objects; `*` is every item of a list.
const fn fields(kind: Kind) -> &'static [(&'static [&'static str], Named)] {
    match kind {
        Kind::Channel => &[],
        Kind::Rule => &[
            (&["channels", "*"], Named::Channel),
            (&["escalation", "*", "channels", "*"], Named::Channel),
            (&["scope", "agent"], Named::Agent),
        ],
        Kind::Silence => &[(&["rule"], Named::Rule), (&["agent"], Named::Agent)],
        Kind::Threshold => &[(&["agent"], Named::Agent)],
        Kind::Route => &[(&["channels", "*"], Named::Channel), (&["rules", "*"], Named::Rule)],
    }
}

/// Calls `change` with each text of an object that names another, and its JSON pointer; what it answers takes its place.
pub(super) fn each(kind: Kind, object: &mut Value, change: &mut dyn FnMut(Named, &str, &str) -> Option<String>) {
    for (path, named) in fields(kind) {
        visit(object, path, "", &mut |pointer, text| change(*named, pointer, text));
    }
}

fn visit(value: &mut Value, path: &[&str], pointer: &str, change: &mut dyn FnMut(&str, &str) -> Option<String>) {
    match (path, value) {
        ([], Value::String(text)) => {
            if let Some(other) = change(pointer, text) {
                *text = other;
            }
        }
        (["*", rest @ ..], Value::Array(items)) => {
            for (at, item) in items.iter_mut().enumerate() {
                visit(item, rest, &format!("{pointer}/{at}"), change);
            }
        }
        ([field, rest @ ..], Value::Object(object)) => {
            if let Some(inner) = object.get_mut(*field) {
                visit(inner, rest, &format!("{pointer}/{field}"), change);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_name_is_found_where_it_stands() {
        let mut rule =
            json!({"channels": ["a", 5], "escalation": [{"after": "5m", "channels": ["b"]}, "x"], "scope": {"agent": "h"}});
        let mut seen = Vec::new();
        each(Kind::Rule, &mut rule, &mut |named, pointer, text| {
            seen.push(format!("{} {pointer} {text}", named.word()));
            Some(text.to_uppercase())
        });
        assert_eq!(seen, ["channel /channels/0 a", "channel /escalation/0/channels/0 b", "agent /scope/agent h"]);
        assert_eq!(
            rule,
            json!({"channels": ["A", 5], "escalation": [{"after": "5m", "channels": ["B"]}, "x"], "scope": {"agent": "H"}})
        );
        each(Kind::Rule, &mut json!({"scope": "global"}), &mut |_, pointer, _| panic!("{pointer}"));
    }
}
