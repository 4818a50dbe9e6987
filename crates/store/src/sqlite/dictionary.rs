//! The dictionary of an agent: its series by small numbers. A number stays with its series until nothing refers to it any more.

use super::failure::{Answer, damaged};
use super::marks;
use super::numbers::Numbers;
use crate::varint::Damage;
use crate::vector::{MAX_DECIMALS, decimals_of};
use nightbell_model::{Schema, SeriesKey, Timestamp};
use rusqlite::{Connection, params};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// How exactly it is known when a series was used last, in milliseconds: it is written down about once a day.
const USED_WITHIN_MS: i64 = 86_400_000;

/// At most so many series of one agent are kept: two thousand new ones a day for as long as the longest tier is. Beyond it whoever reads
/// or rolls up the agent's history would keep the others waiting.
pub(super) const MOST_SERIES: usize = 200_000;

/// A series of an agent's dictionary.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    /// Its number.
    pub(super) id: u32,
    /// Its key.
    pub(super) key: SeriesKey,
}

/// All series of an agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Dictionary {
    /// The series, by number.
    pub(super) entries: Vec<Entry>,
    /// Their decimals, by number; 0 where there is none.
    pub(super) decimals: Vec<u8>,
    /// How many lines were damaged and left out.
    pub(super) damaged: usize,
}

impl Dictionary {
    /// The series with a number.
    pub(super) fn entry(&self, id: u32) -> Option<&Entry> {
        self.entries.binary_search_by_key(&id, |entry| entry.id).ok().and_then(|at| self.entries.get(at))
    }
}

/// The dictionary of an agent.
pub(super) fn read(connection: &Connection, agent: i64) -> Answer<Dictionary> {
    read_like(connection, agent, &Dictionary::default())
}

/// The same. Agents of a kind have theirs in common: keys that stand at the same place in `like` are not parsed once more.
pub(super) fn read_like(connection: &Connection, agent: i64, like: &Dictionary) -> Answer<Dictionary> {
    let sql = "SELECT id, key, decimals, mark FROM series WHERE agent = ?1 ORDER BY id";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query([agent])?;
    let lines = like.entries.len();
    let mut found = Dictionary { entries: Vec::with_capacity(lines), decimals: Vec::with_capacity(lines), damaged: 0 };
    while let Some(row) = rows.next()? {
        let (id, decimals, mark): (u32, u8, Option<i64>) = (row.get(0)?, row.get(2)?, row.get(3)?);
        let text = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
        let is_right = mark.is_none_or(|mark| mark == marks::series(agent, id, text, decimals)) && decimals <= MAX_DECIMALS;
        let same = like.entries.get(found.entries.len()).map(|entry| &entry.key).filter(|key| key.as_str() == text);
        let key = same.map_or_else(|| text.parse(), |key| Ok(key.clone()));
        let (Ok(key), true, true) = (key, is_right, found.decimals.len() <= id as usize) else {
            found.damaged += 1;
            continue;
        };
        found.entries.push(Entry { id, key });
        found.decimals.resize(id as usize, 0);
        found.decimals.push(decimals);
    }
    Ok(found)
}

/// A dictionary, if all of it can be trusted: what is packed against it must be readable later.
pub(super) fn trusted(agent: i64, found: Arc<Dictionary>) -> Answer<Arc<Dictionary>> {
    if found.damaged == 0 {
        return Ok(found);
    }
    Err(damaged(format!("the dictionary of agent number {agent}"), Damage("some of its lines are not what was written")))
}

/// Gives the series at `positions` of a schema numbers, the smallest that are free, as long as there are not more than
/// [`MOST_SERIES`]; those that have one now, with their decimals. `numbers` are those of a long dictionary.
pub(super) fn number<'s>(
    connection: &Connection,
    (agent, numbers): (i64, &mut Option<Numbers>),
    (schema, positions): (&'s Schema, &[u32]),
    at: Timestamp,
) -> Answer<HashMap<&'s SeriesKey, (u32, u8)>> {
    let mut free = if numbers.is_none() { Some(Free::of(connection, agent)?) } else { None };
    let count = numbers.as_ref().map_or_else(|| free.as_ref().map_or(0, Free::taken), Numbers::len);
    let sql = "INSERT INTO series (agent, id, key, decimals, used_at, mark) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let mut insert = connection.prepare_cached(sql)?;
    let mut name = connection.prepare_cached("INSERT INTO metric_names (name) VALUES (?1) ON CONFLICT DO NOTHING")?;
    let mut given: HashMap<&SeriesKey, (u32, u8)> = HashMap::new();
    for key in positions.iter().filter_map(|position| schema.keys().get(*position as usize)) {
        if given.contains_key(key) {
            continue;
        }
        if count + given.len() >= MOST_SERIES {
            break;
        }
        let id = match numbers.as_mut().and_then(|numbers| numbers.give(key)) {
            Some(id) => id,
            None => {
                *numbers = None;
                let free = match &mut free {
                    Some(free) => free,
                    none => none.insert(Free::of(connection, agent)?),
                };
                free.take()
            }
        };
        let decimals = decimals_of(key.metric());
        let mark = marks::series(agent, id, key.as_str(), decimals);
        insert.execute(params![agent, id, key.as_str(), decimals, at.as_millis(), mark])?;
        name.execute([key.metric()])?;
        given.insert(key, (id, decimals));
    }
    Ok(given)
}

/// Which numbers of an agent are free.
#[derive(Debug)]
struct Free {
    taken: HashSet<u32>,
    next: u32,
}

impl Free {
    fn of(connection: &Connection, agent: i64) -> Answer<Self> {
        let mut select = connection.prepare_cached("SELECT id FROM series WHERE agent = ?1")?;
        let taken = select.query_map([agent], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        Ok(Self { taken, next: 0 })
    }

    fn taken(&self) -> usize {
        self.taken.len()
    }

    /// The smallest, which is taken from here on.
    fn take(&mut self) -> u32 {
        while !self.taken.insert(self.next) {
            self.next += 1;
        }
        self.next
    }
}

/// Gives lines of the first release their checksums.
pub(super) fn mark_old(connection: &Connection, agent: i64) -> Answer<()> {
    let sql = "SELECT id, key, decimals FROM series WHERE agent = ?1 AND mark IS NULL";
    let mut select = connection.prepare_cached(sql)?;
    let rows = select.query_map([agent], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let lines: Vec<(u32, String, u8)> = rows.collect::<rusqlite::Result<_>>()?;
    let mut update = connection.prepare_cached("UPDATE series SET mark = ?3 WHERE agent = ?1 AND id = ?2")?;
    for (id, key, decimals) in lines {
        update.execute(params![agent, id, marks::series(agent, id, &key, decimals)])?;
    }
    Ok(())
}

/// Which of these series were last known to be used so long before `at` that it is to be written down.
pub(super) fn stale(connection: &Connection, agent: i64, used: &HashSet<u32>, at: Timestamp) -> Answer<Vec<u32>> {
    let sql = "SELECT id FROM series WHERE agent = ?1 AND coalesce(used_at, ?3) <= ?2";
    let mut select = connection.prepare_cached(sql)?;
    let (known, never) = (at.plus_millis(-USED_WITHIN_MS).as_millis(), Timestamp::MIN.as_millis());
    let rows = select.query_map(params![agent, known, never], |row| row.get::<_, u32>(0))?;
    Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?.into_iter().filter(|id| used.contains(id)).collect())
}

/// Notes that series of an agent had samples at `at`.
pub(super) fn use_at(connection: &Connection, agent: i64, ids: &[u32], at: Timestamp) -> Answer<()> {
    let sql = "UPDATE series SET used_at = max(coalesce(used_at, ?3), ?3) WHERE agent = ?1 AND id = ?2";
    let mut update = connection.prepare_cached(sql)?;
    for id in ids {
        update.execute(params![agent, id, at.as_millis()])?;
    }
    Ok(())
}
