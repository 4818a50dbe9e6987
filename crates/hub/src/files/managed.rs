//! What the hub remembers of the objects that files declare: the file, what it calls them, and where their secrets come from.
//! It is one document among the settings, written in the same transaction as the objects.

use super::Kind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The name of the setting.
pub const SETTING: &str = "files.managed";

/// One object of the hub, by kind and id (a threshold's is whose it is and its key).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Object {
    /// What it is.
    pub kind: Kind,
    /// Which.
    pub id: String,
}

impl Object {
    /// The object of `kind` that is called `id`.
    pub fn new(kind: Kind, id: impl fmt::Display) -> Self {
        Self { kind, id: id.to_string() }
    }

    /// All routes.
    #[must_use]
    pub fn routes() -> Self {
        Self::new(Kind::Route, "*")
    }

    /// The levels of an agent, or of all.
    #[must_use]
    pub fn levels(agent: Option<nightbell_model::AgentId>, key: &str) -> Self {
        Self::new(Kind::Threshold, format!("{}/{key}", agent.map_or_else(|| "*".to_owned(), |agent| agent.to_string())))
    }
}

/// Where an object was declared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The file, below the folder that was applied.
    pub file: String,
    /// The `id` it has there, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
    /// What stands for its secrets, by JSON pointer into its configuration.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub references: BTreeMap<String, String>,
}

/// Everything that files declare.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Managed(BTreeMap<Object, Source>);

impl Managed {
    /// Reads the setting. What cannot be understood is left out: a newer hub may have written it.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let all: BTreeMap<String, serde_json::Value> = serde_json::from_str(text).unwrap_or_default();
        let known = all.into_iter().filter_map(|(name, source)| {
            let (kind, id) = name.split_once('/')?;
            Some((Object::new(Kind::from_word(kind)?, id), serde_json::from_value(source).ok()?))
        });
        Self(known.collect())
    }

    /// Writes the setting.
    #[must_use]
    pub fn write(&self) -> String {
        let all: BTreeMap<String, &Source> =
            self.0.iter().map(|(object, source)| (format!("{}/{}", object.kind.word(), object.id), source)).collect();
        serde_json::to_string(&all).unwrap_or_default()
    }

    /// Where an object was declared; `None` if it was made otherwise.
    #[must_use]
    pub fn get(&self, object: &Object) -> Option<&Source> {
        self.0.get(object)
    }

    /// The file in which an object of `kind` was declared.
    #[must_use]
    pub fn file(&self, kind: Kind, id: impl fmt::Display) -> Option<String> {
        self.get(&Object::new(kind, id)).map(|source| source.file.clone())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&Object, &Source)> {
        self.0.iter()
    }

    /// Notes an object.
    pub fn insert(&mut self, object: Object, source: Source) {
        self.0.insert(object, source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_what_it_wrote_and_leaves_out_what_it_does_not_know() {
        let mut managed = Managed::default();
        let references = BTreeMap::from([("/secret".to_owned(), "env:X".to_owned())]);
        managed.insert(Object::new(Kind::Channel, "a"), Source { file: "c.toml".into(), handle: Some("ops".into()), references });
        managed.insert(Object::levels(None, "cpu.x{a=b/c}"), Source { file: "t.toml".into(), ..Source::default() });
        assert_eq!(Managed::read(&managed.write()), managed);
        assert_eq!(managed.file(Kind::Channel, "a").as_deref(), Some("c.toml"));
        assert_eq!(managed.file(Kind::Rule, "a"), None);
        let strange = r#"{"planet/x":{"file":"a"},"rule/y":5,"rule/z":{"file":"a","new":1}}"#;
        assert_eq!(Managed::read(strange).iter().count(), 1);
        assert_eq!(Managed::read("no JSON"), Managed::default());
    }
}
