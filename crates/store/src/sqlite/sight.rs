//! What a question has beside its snapshot: dictionaries that were read before, and where damage is noted.
//!
//! A dictionary is remembered as long as no transaction changes it. One is only remembered if nothing changed it since before the
//! snapshot it was read in, and not given while a change of it is on its way: so it is never older than the snapshot it is used in.

use super::dictionary::{self, Dictionary};
use super::failure::Answer;
use super::noted::Noted;
use super::zones::Zones;
use rusqlite::Connection;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many lines of different dictionaries are remembered, some MB; agents of the same kind have theirs in common.
const LINES: usize = 200_000;
/// A longer one is read each time: it would leave no room for those of others.
const LONGEST: usize = LINES / 4;
/// So many agents' dictionaries are remembered.
const AGENTS: usize = 20_000;

/// Dictionaries that were read.
#[derive(Debug, Default)]
pub(super) struct Dictionaries(Mutex<Shelf>);

#[derive(Debug, Default)]
struct Shelf {
    /// How many changes there were.
    changes: u64,
    /// Agents whose dictionary is being changed.
    changing: HashSet<i64>,
    /// The last change of each agent's dictionary, since it was remembered.
    changed: HashMap<i64, u64>,
    kept: HashMap<i64, Arc<Dictionary>>,
    /// The different ones among those kept.
    different: HashSet<Arc<Dictionary>>,
    /// The last of them that was put here: the next is likely to be the same.
    last: Arc<Dictionary>,
    lines: usize,
}

impl Shelf {
    fn forget_all(&mut self) {
        self.kept.clear();
        self.different.clear();
        self.last = Arc::default();
        self.lines = 0;
    }

    /// The one among those kept that is the same.
    fn shared(&mut self, read: Dictionary) -> Arc<Dictionary> {
        if let Some(same) = self.different.get(&read) {
            return Arc::clone(same);
        }
        let new = Arc::new(read);
        self.lines += new.entries.len();
        self.different.insert(Arc::clone(&new));
        new
    }
}

impl Dictionaries {
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a transaction, which is not ended, changes an agent's dictionary.
    pub(super) fn changing(&self, agent: i64) {
        let mut shelf = self.shelf();
        shelf.changing.insert(agent);
        shelf.kept.remove(&agent);
    }

    /// Notes that the transaction has ended, well or not.
    pub(super) fn ended(&self) {
        let mut shelf = self.shelf();
        if shelf.changing.is_empty() {
            return;
        }
        shelf.changes += 1;
        let changes = shelf.changes;
        for agent in std::mem::take(&mut shelf.changing) {
            shelf.changed.insert(agent, changes);
        }
    }

    fn put(&self, agent: i64, at: u64, read: Dictionary) -> Arc<Dictionary> {
        let mut shelf = self.shelf();
        let is_long = read.entries.len() > LONGEST;
        if is_long
            || read.damaged > 0
            || shelf.changing.contains(&agent)
            || shelf.changed.get(&agent).is_some_and(|changed| *changed > at)
        {
            return Arc::new(read);
        }
        if shelf.lines + read.entries.len() > LINES || shelf.kept.len() >= AGENTS {
            shelf.forget_all();
        }
        let known = if *shelf.last == read { Arc::clone(&shelf.last) } else { shelf.shared(read) };
        shelf.last = Arc::clone(&known);
        shelf.kept.insert(agent, Arc::clone(&known));
        known
    }
}

/// What one question has beside its snapshot. To be made before the first thing is read in that snapshot.
#[derive(Debug)]
pub(super) struct Sight<'a> {
    /// Where damage is noted.
    pub(super) noted: &'a Noted,
    dictionaries: &'a Dictionaries,
    /// Where hot rows stand.
    pub(super) zones: &'a Zones,
    /// How many rows they did not take notice of before the snapshot.
    pub(super) missed: u64,
    at: u64,
}

impl<'a> Sight<'a> {
    /// For a snapshot that is taken from now on.
    pub(super) fn new(noted: &'a Noted, dictionaries: &'a Dictionaries, zones: &'a Zones) -> Self {
        let (at, missed) = (dictionaries.shelf().changes, zones.missed());
        Self { noted, dictionaries, zones, missed, at }
    }

    /// The dictionary of an agent.
    pub(super) fn dictionary(&self, connection: &Connection, agent: i64) -> Answer<Arc<Dictionary>> {
        let (kept, last) = {
            let shelf = self.dictionaries.shelf();
            (shelf.kept.get(&agent).cloned(), Arc::clone(&shelf.last))
        };
        match kept {
            Some(kept) => Ok(kept),
            None => Ok(self.dictionaries.put(agent, self.at, dictionary::read_like(connection, agent, &last)?)),
        }
    }

    /// The dictionary of an agent, if all of it can be trusted: what is packed against it must be readable later.
    pub(super) fn whole_dictionary(&self, connection: &Connection, agent: i64) -> Answer<Arc<Dictionary>> {
        dictionary::trusted(agent, self.dictionary(connection, agent)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: u32) -> Dictionary {
        let entry = |id: u32| dictionary::Entry { id, key: format!("m.s{id}").parse().unwrap() };
        Dictionary { entries: (0..lines).map(entry).collect(), decimals: vec![0; lines as usize], damaged: 0 }
    }

    #[test]
    fn what_was_read_before_a_change_ended_is_not_remembered() {
        let (noted, shelf, zones) = (Noted::default(), Dictionaries::default(), Zones::default());
        let is_kept = |agent| shelf.shelf().kept.contains_key(&agent);
        let before = Sight::new(&noted, &shelf, &zones);
        shelf.put(1, before.at, of(2));
        assert!(is_kept(1));
        shelf.changing(1);
        assert!(!is_kept(1), "it is about to be another");
        let during = Sight::new(&noted, &shelf, &zones);
        shelf.put(1, during.at, of(2));
        assert!(!is_kept(1));
        shelf.ended();
        shelf.put(1, during.at, of(2));
        shelf.put(1, before.at, of(2));
        assert!(!is_kept(1), "its snapshot may be from before the end");
        shelf.put(1, Sight::new(&noted, &shelf, &zones).at, of(3));
        shelf.put(2, before.at, of(3));
        assert!(is_kept(1) && is_kept(2));
        assert_eq!(shelf.shelf().different.len(), 2, "one of two lines and one of three");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let shelf = Dictionaries::default();
        for agent in 0..300 {
            shelf.put(agent, 0, of(u32::try_from(agent).unwrap() + 1000));
        }
        assert!(shelf.shelf().lines <= LINES && shelf.shelf().kept.len() < 300);
    }
}
