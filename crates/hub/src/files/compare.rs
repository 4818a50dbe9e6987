//! What differs between an object as it is and as files want it, field by field, in the words of files.

use super::Kind;
use super::export;
use super::managed::Source;
use super::names::Names;
use super::secrets;
use super::wanted::Row;
use crate::registry::Holdings;
use nightbell_store::ChannelRow;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::fmt;

/// The longest value that is shown, in characters.
const SHOWN: usize = 100;

/// What happens to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is made.
    Added,
    /// Something of it changes.
    Changed,
    /// It goes.
    Removed,
    /// It stays, and may be edited again.
    Released,
}

/// What happens to one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What.
    pub fate: Fate,
    /// What it is.
    pub kind: Kind,
    /// What people call it.
    pub name: String,
    /// Where it stands: file and line; the file alone, if it stands there no more.
    pub place: String,
    /// The fields that change: name, before, after.
    pub fields: Vec<(String, String, String)>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, end) = match self.fate {
            Fate::Added => ('+', ""),
            Fate::Changed => ('~', ""),
            Fate::Removed => ('-', ""),
            Fate::Released => ('~', " is not managed by files any more"),
        };
        write!(f, "{sign} {} {:?} ({}){end}", self.kind.word(), self.name, self.place)?;
        for (name, before, after) in &self.fields {
            write!(f, "\n    {name}: {before} -> {after}")?;
        }
        Ok(())
    }
}

/// What the hub has in the place of `row`; `None` if it has nothing there.
pub(super) fn before(holdings: &Holdings, row: &Row) -> Option<Row> {
    match row {
        Row::Channel(row) => holdings.channels.get(&row.id).cloned().map(Row::Channel),
        Row::Rule(rule) => holdings.rules.get(&rule.id).map(|(rule, _)| Row::Rule(Box::new(rule.clone()))),
        Row::Silence(row) => holdings.silences.get(&row.id).cloned().map(Row::Silence),
        Row::Routes(_) => Some(Row::Routes(holdings.settings.routes.clone())).filter(|_| !holdings.settings.routes.is_empty()),
        Row::Levels { agent, key, .. } => {
            let table = match agent {
                Some(agent) => holdings.levels.agents.get(agent)?,
                None => &holdings.levels.global,
            };
            let levels = *table.get(key)?;
            Some(Row::Levels { agent: *agent, key: key.clone(), levels })
        }
    }
}

/// The fields in which two rows of one object differ; none if they say the same.
pub(super) fn fields(before: (&Row, &Names), after: (&Row, &Names)) -> Vec<(String, String, String)> {
    let shown = |(row, names): (&Row, &Names)| {
        let mut object = flat(&export::plain(row, names));
        if let Row::Channel(row) = row {
            // The API shows less of an address than a file has.
            object.extend(secrets::address(row).map(|url| ("config.url".to_owned(), url.into())));
        }
        object
    };
    let (old, new) = (shown(before), shown(after));
    let all: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut differing: Vec<_> = all
        .into_iter()
        .filter(|name| old.get(*name) != new.get(*name))
        .map(|name| (name.clone(), text(old.get(name)), text(new.get(name))))
        .collect();
    if let (Row::Channel(before), Row::Channel(after)) = (before.0, after.0) {
        differing.extend(changed_secrets(before, after));
    }
    differing
}

/// Secrets that are not the same any more, without a word of what they are.
fn changed_secrets(before: &ChannelRow, after: &ChannelRow) -> Vec<(String, String, String)> {
    let config = |row: &ChannelRow| serde_json::from_str::<Value>(&row.config_json).unwrap_or_default();
    let (old, new) = (config(before), config(after));
    let pointers: BTreeSet<String> =
        secrets::hidden(&before.kind, &old).into_iter().chain(secrets::hidden(&after.kind, &new)).collect();
    let mut changed = Vec::new();
    for pointer in pointers {
        let word = |config: &Value, same: &'static str| if config.pointer(&pointer).is_some() { same } else { "none" };
        if old.pointer(&pointer) != new.pointer(&pointer) {
            let name = format!("config{}", pointer.replace('/', "."));
            changed.push((name, word(&old, "a secret").to_owned(), word(&new, "another secret").to_owned()));
        }
    }
    changed
}

/// Where the hub was told that an object is declared, if that changes.
pub(super) fn move_of(before: Option<&Source>, after: &Source) -> Option<(String, String, String)> {
    let text = |source: &Source| match &source.handle {
        Some(handle) => format!("{} ({handle})", source.file),
        None => source.file.clone(),
    };
    let old = before.map_or_else(|| "nobody".to_owned(), text);
    let moved = before.is_none_or(|before| (&before.file, &before.handle) != (&after.file, &after.handle));
    moved.then(|| ("managed by".to_owned(), old, text(after)))
}

/// Nested fields with dots in their names.
fn flat(object: &Map<String, Value>) -> Map<String, Value> {
    let mut all = Map::new();
    for (name, value) in object {
        match value {
            Value::Object(inner) if name == "config" => {
                all.extend(inner.iter().map(|(field, value)| (format!("{name}.{field}"), value.clone())));
            }
            Value::Null => {}
            value => {
                all.insert(name.clone(), value.clone());
            }
        }
    }
    all
}

fn text(value: Option<&Value>) -> String {
    let Some(value) = value else { return "none".to_owned() };
    let text = super::toml::inline(value);
    if text.chars().count() <= SHOWN { text } else { text.chars().take(SHOWN).chain(['…']).collect() }
}
