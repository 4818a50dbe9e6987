//! Everything the hub keeps in memory, read in one snapshot.

use super::cells::{At, at, parsed};
use super::failure::{Answer, damaged};
use super::history::{self, Entry, blob};
use super::{agents, alerts, cache, people, rules};
use crate::entities::{Loaded, SeenRow};
use crate::ranges::Ranges;
use crate::vector;
use nightbell_alerts::{InstanceRecord, OFFLINE_METRIC, State};
use nightbell_model::{AgentId, Batch, BootId, Schema, SeriesKey};
use rusqlite::Connection;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The newest sample of a series is looked for in so many rows of its agent: more than half a day at 15 s. A series that has
/// been silent for longer is in a hole whatever its last sample was.
const ROWS_SEARCHED: i64 = 3000;

/// Reads everything.
pub(super) fn load(connection: &Connection) -> Answer<Loaded> {
    let agents = agents::all(connection)?;
    let mut names = Names::default();
    let mut latest = Vec::new();
    for agent in &agents {
        latest.extend(newest(connection, agent.id, &mut names)?);
    }
    let mut instances = alerts::instances(connection)?;
    fill_last_ts(connection, &mut instances)?;
    Ok(Loaded {
        agents,
        latest,
        seen: seen(connection)?,
        enrolments: agents::enrolments(connection)?,
        users: people::users(connection)?,
        sessions: people::sessions(connection)?,
        tokens: people::tokens(connection)?,
        channels: people::channels(connection)?,
        rules: rules::all(connection)?,
        silences: people::silences(connection)?,
        levels: agents::levels(connection)?,
        settings: people::settings(connection)?,
        instances,
        told: alerts::told(connection)?,
        incidents: alerts::unfinished_incidents(connection)?,
    })
}

/// Keys and schemas that several agents have in common, so that they are in memory once.
#[derive(Debug, Default)]
struct Names {
    keys: HashMap<SeriesKey, SeriesKey>,
    schemas: HashMap<Vec<SeriesKey>, Arc<Schema>>,
}

impl Names {
    fn schema(&mut self, keys: Vec<SeriesKey>) -> Arc<Schema> {
        let keys: Vec<SeriesKey> = keys.into_iter().map(|key| self.keys.entry(key.clone()).or_insert(key).clone()).collect();
        Arc::clone(self.schemas.entry(keys.clone()).or_insert_with(|| Schema::new(keys)))
    }
}

/// The newest heartbeat of an agent.
fn newest(connection: &Connection, agent: AgentId, names: &mut Names) -> Answer<Option<Batch>> {
    let Some((key, _)) = cache::agent_key(connection, agent)? else { return Ok(None) };
    let (entries, decimals) = history::dictionary(connection, key)?;
    let sql = "SELECT ts, received, boots.boot, seq, vector FROM agent_metrics LEFT JOIN boots ON boots.key = agent_metrics.boot \
               WHERE agent_metrics.agent = ?1 ORDER BY ts DESC, id DESC LIMIT 1";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query([key])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let (mut present, mut values) = (Vec::new(), Vec::new());
    walk(blob(row, 4)?, &entries, &decimals, |entry, value| {
        present.push(entry.key.clone());
        values.push(value);
    })?;
    let boot: Option<String> = row.get(2)?;
    let seq: Option<i64> = row.get(3)?;
    Ok(Some(Batch {
        agent,
        ts: row.get::<_, At>(0)?.0,
        received: row.get::<_, At>(1)?.0,
        boot_seq: boot.zip(seq).map(|(boot, seq)| (BootId(boot.into()), seq.cast_unsigned())),
        schema: names.schema(present),
        values: values.into(),
    }))
}

/// Calls `visit` with each series of a raw row that has a value.
fn walk(bytes: &[u8], entries: &[Entry], decimals: &[u8], mut visit: impl FnMut(&Entry, f64)) -> Answer<()> {
    let unknown = crate::varint::Damage("a series is not in the dictionary");
    vector::walk(bytes, crate::checksum::Key::NONE, u32::MAX, |id, sample| {
        let at = entries.binary_search_by_key(&id, |entry| entry.id).map_err(|_absent| unknown)?;
        visit(&entries[at], sample.value(decimals[id as usize]));
        Ok(())
    })
    .map_err(|damage| damaged("a heartbeat's row".to_owned(), damage))
}

/// What the door has seen; what is stored was seen in any case.
fn seen(connection: &Connection) -> Answer<Vec<SeenRow>> {
    let sql = "SELECT agent_keys.agent AS agent, boot, used_at, seen, stored FROM boots \
               JOIN agent_keys ON agent_keys.key = boots.agent WHERE agent_keys.agent IS NOT NULL \
               ORDER BY agent_keys.agent, used_at, boots.key";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query([])?;
    let mut seen = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get("boot")?;
        let ranges =
            |cell: usize| Ranges::unpack(blob(row, cell)?).map_err(|damage| damaged(format!("the row of boot {name}"), damage));
        let union = ranges(3)?.union(&ranges(4)?);
        let (agent, used_at) = (parsed(row, "agent")?, at(row, "used_at")?);
        seen.push(SeenRow { agent, boot: BootId(name.into()), used_at, ranges: union.as_slice().to_vec() });
    }
    Ok(seen)
}

/// Fills in when instances that are not at rest had their last sample.
fn fill_last_ts(connection: &Connection, instances: &mut [InstanceRecord]) -> Answer<()> {
    let mut by_agent: BTreeMap<AgentId, Vec<&mut InstanceRecord>> = BTreeMap::new();
    for record in instances.iter_mut().filter(|record| record.state != State::Ok) {
        if record.key.series.metric() != OFFLINE_METRIC {
            by_agent.entry(record.key.agent).or_default().push(record);
        }
    }
    for (agent, records) in by_agent {
        search_back(connection, agent, records)?;
    }
    Ok(())
}

/// Whether an instance on `series` is fed by the series `key`: the same, or one of a bare metric's.
fn feeds(key: &SeriesKey, series: &SeriesKey) -> bool {
    key == series || key.metric() == series.as_str()
}

/// Looks through the newest rows of an agent until every record has found a sample of the series it is about.
fn search_back(connection: &Connection, agent: AgentId, mut records: Vec<&mut InstanceRecord>) -> Answer<()> {
    let Some((key, _)) = cache::agent_key(connection, agent)? else { return Ok(()) };
    let (entries, decimals) = history::dictionary(connection, key)?;
    records.retain(|record| entries.iter().any(|entry| feeds(&entry.key, &record.key.series)));
    let sql = "SELECT ts, vector FROM agent_metrics WHERE agent = ?1 ORDER BY ts DESC, id DESC LIMIT ?2";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query([key, ROWS_SEARCHED])?;
    while !records.is_empty()
        && let Some(row) = rows.next()?
    {
        let ts = row.get::<_, At>(0)?.0;
        walk(blob(row, 1)?, &entries, &decimals, |entry, _| {
            for record in records.iter_mut().filter(|record| feeds(&entry.key, &record.key.series)) {
                record.last_ts = Some(ts);
            }
        })?;
        records.retain(|record| record.last_ts.is_none());
    }
    Ok(())
}
