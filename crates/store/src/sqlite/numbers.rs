//! The numbers of an agent's series by the hashes of their names, for dictionaries that have grown long: containers and jobs that come
//! and go make them so, and a heartbeat with a new name must not read the whole of one while everybody's commits wait.
//!
//! A hash is no name: what is found by it is compared with the line of the dictionary.

use super::dictionary::Dictionary;
use super::failure::Answer;
use super::marks;
use nightbell_model::SeriesKey;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// A dictionary is long if it has so many lines: reading it takes milliseconds.
const LONG: usize = 4096;

/// The numbers of the series of one agent.
#[derive(Debug)]
pub(super) struct Numbers {
    by_hash: HashMap<u64, u32>,
    hasher: RandomState,
    /// Numbers that are free below `next`, the smallest last.
    free: Vec<u32>,
    next: u32,
}

/// What is known of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// It has this number and so many decimals.
    Number(u32, u8),
    /// It has no number.
    None,
    /// That cannot be told without reading the dictionary.
    Unclear,
}

impl Numbers {
    /// The numbers of a dictionary that is long and whole; none where two names have one hash.
    pub(super) fn of(read: &Dictionary) -> Option<Self> {
        if read.entries.len() < LONG || read.damaged > 0 {
            return None;
        }
        let mut numbers = Self { by_hash: HashMap::new(), hasher: RandomState::new(), free: Vec::new(), next: 0 };
        for entry in &read.entries {
            numbers.free.extend(numbers.next..entry.id);
            numbers.next = entry.id.checked_add(1)?;
            if numbers.by_hash.insert(numbers.hasher.hash_one(&entry.key), entry.id).is_some() {
                return None;
            }
        }
        numbers.free.reverse();
        Some(numbers)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_hash.len()
    }

    /// Looks a series up.
    pub(super) fn find(&self, connection: &Connection, agent: i64, key: &SeriesKey) -> Answer<Found> {
        let Some(id) = self.by_hash.get(&self.hasher.hash_one(key)) else { return Ok(Found::None) };
        let sql = "SELECT key, decimals, mark FROM series WHERE agent = ?1 AND id = ?2";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?));
        let line: Option<(String, u8, Option<i64>)> =
            connection.prepare_cached(sql)?.query_row(params![agent, id], read).optional()?;
        let is_right = |(text, decimals, mark): &(String, u8, Option<i64>)| {
            text == key.as_str() && *mark == Some(marks::series(agent, *id, text, *decimals))
        };
        Ok(line.filter(is_right).map_or(Found::Unclear, |(_, decimals, _)| Found::Number(*id, decimals)))
    }

    /// Gives a series the smallest number that is free; `None` if its hash is another's.
    pub(super) fn give(&mut self, key: &SeriesKey) -> Option<u32> {
        let id = self.free.last().copied().unwrap_or(self.next);
        if self.by_hash.insert(self.hasher.hash_one(key), id).is_some() {
            return None;
        }
        if self.free.pop().is_none() {
            self.next = self.next.checked_add(1)?;
        }
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::super::dictionary::Entry;
    use super::*;

    fn key(number: u32) -> SeriesKey {
        format!("m.s{number}").parse().expect("a key")
    }

    #[test]
    fn the_smallest_free_number_is_given_first() {
        let lines = (0..5_000_u32).filter(|id| ![7, 4_000].contains(id));
        let entries: Vec<Entry> = lines.map(|id| Entry { id, key: key(id) }).collect();
        let read = Dictionary { decimals: vec![0; 5_000], entries, damaged: 0 };
        let mut numbers = Numbers::of(&read).expect("long and whole");
        let given: Vec<_> = (0..4).map(|more| numbers.give(&key(9_000 + more))).collect();
        assert_eq!(given, [Some(7), Some(4_000), Some(5_000), Some(5_001)]);
        assert_eq!(numbers.len(), 5_002);
        assert!(numbers.give(&key(3)).is_none(), "it has one");
        assert!(Numbers::of(&Dictionary { damaged: 1, ..read }).is_none());
    }
}
