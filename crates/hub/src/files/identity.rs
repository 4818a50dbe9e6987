//! Which object of the hub a declaration speaks of. Declared by `id`, an object keeps its history when everything else about it
//! changes, its name too; declared by name alone, another name is another object.

use super::document::Entry;
use super::managed::{Managed, Object, Source};
use super::{Fault, Kind};
use crate::registry::Holdings;
use nightbell_model::{Timestamp, Ulid};
use std::collections::BTreeMap;

/// The longest `id`, in characters.
const HANDLE_LIMIT: usize = 64;

/// The objects of a kind that the hub has: id and name. Silences have no names; thresholds are told apart by what they are for.
pub(super) fn existing(holdings: &Holdings, kind: Kind) -> Vec<(Ulid, &str)> {
    match kind {
        Kind::Channel => holdings.channels.iter().map(|(id, row)| (id.0, row.name.as_str())).collect(),
        Kind::Rule => holdings.rules.iter().map(|(id, (rule, _))| (id.0, rule.name.as_str())).collect(),
        Kind::Silence => holdings.silences.keys().map(|id| (*id, "")).collect(),
        Kind::Threshold | Kind::Route => Vec::new(),
    }
}

/// Gives the declarations of a kind their objects' ids.
pub(super) struct Identities<'a> {
    kind: Kind,
    existing: Vec<(Ulid, &'a str)>,
    managed: &'a Managed,
    /// Who has taken an id already: file and line.
    taken: BTreeMap<Ulid, String>,
}

impl<'a> Identities<'a> {
    pub(super) fn new(holdings: &'a Holdings, kind: Kind) -> Self {
        Self { kind, existing: existing(holdings, kind), managed: &holdings.settings.managed, taken: BTreeMap::new() }
    }

    /// The id of what `entry` declares, and what the hub is to remember of it.
    ///
    /// # Errors
    /// When it cannot be told apart from others.
    pub(super) fn of(&mut self, entry: &Entry) -> Result<(Ulid, Source), Fault> {
        let handle = match entry.object.get("id") {
            None => None,
            Some(value) => Some(handle(value).ok_or_else(|| {
                entry.fault("/id", format!("must be a text of 1 to {HANDLE_LIMIT} letters, digits, dots, dashes and underscores"))
            })?),
        };
        let name = entry.text("name").map(str::trim);
        if handle.is_none() && (name.is_none() || self.kind == Kind::Silence) {
            let what = match self.kind {
                Kind::Silence => "id is missing: a short name of your choice, by which it is found again",
                _ => "name is missing",
            };
            return Err(entry.fault("", what));
        }
        let id = self.find(handle.as_deref(), name.unwrap_or_default());
        let here = entry.fault("", "");
        if let Some(other) = self.taken.insert(id, format!("{}:{}", here.file, here.line)) {
            let called = handle.as_deref().or(name).unwrap_or_default();
            return Err(entry.fault("", format!("the {} {called:?} is declared at {other} already", self.kind.word())));
        }
        Ok((id, Source { file: entry.file.clone(), handle, references: BTreeMap::new() }))
    }

    fn source(&self, id: Ulid) -> Option<&Source> {
        self.managed.get(&Object::new(self.kind, id))
    }

    fn find(&self, handle: Option<&str>, name: &str) -> Ulid {
        let managed = self.existing.iter().find(|(id, called)| {
            self.source(*id).is_some_and(|source| match handle {
                Some(handle) => source.handle.as_deref() == Some(handle),
                None => source.handle.is_none() && *called == name,
            })
        });
        let written = handle.and_then(|handle| handle.parse::<Ulid>().ok());
        let itself = || self.existing.iter().find(|(id, _)| Some(*id) == written);
        let id = managed.or_else(itself).map(|(id, _)| *id).or_else(|| self.adopted(name)).or(written);
        id.unwrap_or_else(|| {
            let called = handle.unwrap_or(name);
            Ulid::derived(Timestamp::from_millis(0), &[b"files", self.kind.word().as_bytes(), called.as_bytes()])
        })
    }

    /// The one object of that name that no file has declared so far: it is taken over.
    fn adopted(&self, name: &str) -> Option<Ulid> {
        let mut same = self.existing.iter().filter(|(_, called)| !name.is_empty() && *called == name);
        let (id, _) = same.next()?;
        let alone = same.next().is_none() && !self.taken.contains_key(id) && self.source(*id).is_none();
        alone.then_some(*id)
    }
}

fn handle(value: &serde_json::Value) -> Option<String> {
    let text = value.as_str()?;
    let fits = (1..=HANDLE_LIMIT).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    fits.then(|| text.to_owned())
}
