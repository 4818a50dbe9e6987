//! Everything the hub keeps in memory, read in one snapshot.

use super::cells::{At, at, parsed};
use super::chunks::{self, DAY_MS};
use super::dictionary::{Dictionary, Entry};
use super::failure::{Answer, Failure, damaged, is_damage};
use super::held::{self, Held};
use super::history::{Selection, blob};
use super::marks::{self, RAW_COLUMNS};
use super::raw::{HOT, LATE};
use super::sight::Sight;
use super::{agents, alerts, people, rules};
use crate::checksum::Key;
use crate::chunk::{Chunk, Scratch};
use crate::entities::{Loaded, SeenRow};
use crate::ranges::Ranges;
use crate::seams::StoreError;
use crate::varint::Damage;
use crate::vector;
use nightbell_alerts::{InstanceRecord, OFFLINE_METRIC, State};
use nightbell_model::{AgentId, Batch, BootId, Schema, SeriesKey, Tier};
use rusqlite::Connection;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The newest sample of a series is looked for in so many rows of its agent: more than half a day at 15 s. A series that has
/// been silent for longer is in a hole whatever its last sample was.
const ROWS_SEARCHED: i64 = 3000;
/// So many of an agent's newest rows are tried: one is enough unless it is damaged.
const ROWS_TRIED: i64 = 3;

/// Reads everything. Damaged history is left out and named, so that the rest goes on; a damaged table of what is configured or
/// owed is an error that names it, for a hub without its rules would be silent where it should not.
pub(super) fn load(connection: &Connection, sight: &Sight<'_>) -> Answer<Loaded> {
    let agents = whole("agents", agents::all(connection))?;
    let mut names = Names::default();
    let mut latest = Vec::new();
    for agent in &agents {
        let read = newest(connection, sight, agent.id, &mut names);
        latest.extend(survived("the newest heartbeat", agent.id, read)?.flatten());
    }
    let mut instances = whole("alert_state", alerts::instances(connection))?;
    fill_last_ts(connection, sight, &mut instances)?;
    Ok(Loaded {
        agents,
        latest,
        seen: whole("boots", seen(connection))?,
        enrolments: whole("enrolment_tokens", agents::enrolments(connection))?,
        users: whole("users", people::users(connection))?,
        sessions: whole("sessions", people::sessions(connection))?,
        tokens: whole("tokens", people::tokens(connection))?,
        channels: whole("channels", people::channels(connection))?,
        rules: whole("alert_rules", rules::all(connection))?,
        silences: whole("silences", people::silences(connection))?,
        levels: whole("agent_settings", agents::levels(connection))?,
        settings: whole("settings", people::settings(connection))?,
        instances,
        told: whole("notice_state", alerts::told(connection))?,
        incidents: whole("incidents", alerts::unfinished_incidents(connection))?,
    })
}

/// What was read of a table that nothing can go on without; where it is damaged, the error names it.
fn whole<T>(table: &str, read: Answer<T>) -> Answer<T> {
    read.map_err(|failure| match failure {
        Failure::Sql(error) if is_damage(&error) => {
            Failure::Said(StoreError::Corrupt { what: format!("the table {table}"), source: Box::new(error) })
        }
        other => other,
    })
}

/// What was read of an agent's history; nothing where it is damaged. Looking through the store finds and names the place.
fn survived<T>(what: &str, agent: AgentId, read: Answer<T>) -> Answer<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(failure) if failure.is_damage() => {
            tracing::error!(%agent, %failure, "{what} is damaged and left out");
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

/// Keys and schemas that several agents have in common, so that they are in memory once.
#[derive(Debug, Default)]
struct Names {
    keys: HashMap<SeriesKey, SeriesKey>,
    schemas: HashMap<Vec<SeriesKey>, Arc<Schema>>,
    /// The last schema that was asked for: the next is likely to be the same.
    last: Option<Arc<Schema>>,
}

impl Names {
    fn schema(&mut self, keys: Vec<SeriesKey>) -> Arc<Schema> {
        if let Some(last) = self.last.as_ref().filter(|last| last.keys() == keys) {
            return Arc::clone(last);
        }
        let schema = self.shared(keys);
        self.last = Some(Arc::clone(&schema));
        schema
    }

    fn shared(&mut self, keys: Vec<SeriesKey>) -> Arc<Schema> {
        let keys: Vec<SeriesKey> = keys.into_iter().map(|key| self.keys.entry(key.clone()).or_insert(key).clone()).collect();
        Arc::clone(self.schemas.entry(keys.clone()).or_insert_with(|| Schema::new(keys)))
    }
}

/// The newest heartbeat of an agent: hot, or the last of a silent one, which stays a row, or one that came late after that.
fn newest(connection: &Connection, sight: &Sight<'_>, agent: AgentId, names: &mut Names) -> Answer<Option<Batch>> {
    let Some(held) = held::of(connection, agent)? else { return Ok(None) };
    let known = sight.dictionary(connection, held.key)?;
    let of = |table, names: &mut Names| newest_of(connection, (sight, table), (&held, agent), &known, names);
    let (hot, late) = (of(HOT, names)?, of(LATE, names)?);
    Ok(match (hot, late) {
        (Some(hot), Some(late)) if late.ts < hot.ts => Some(hot),
        (hot, late) => late.or(hot),
    })
}

/// The newest sound heartbeat among the rows of a table.
fn newest_of(
    connection: &Connection,
    (sight, table): (&Sight<'_>, &'static str),
    (held, agent): (&Held, AgentId),
    known: &Dictionary,
    names: &mut Names,
) -> Answer<Option<Batch>> {
    let selection = Selection::new(held, &[], &[], sight.noted);
    let columns = RAW_COLUMNS.replace("boot,", "boots.key,");
    let sql = format!(
        "SELECT {columns}, boots.boot FROM {table} LEFT JOIN boots ON boots.key = {table}.boot \
         WHERE {table}.agent = ?1 AND ts >= ?2 ORDER BY ts DESC, id DESC LIMIT {ROWS_TRIED}"
    );
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query(rusqlite::params![held.key, held.whole_from.of(Tier::Raw).as_millis()])?;
    while let Some(row) = rows.next()? {
        let (ts, key) = marks::raw_row(row, held.key)?;
        let (mut present, mut values) = (Vec::new(), Vec::new());
        let walked = walk(blob(row, 7)?, key, known, |entry, value| {
            present.push(entry.key.clone());
            values.push(value);
        });
        if let Err(damage) = walked {
            selection.note(table, (ts, ts.plus_millis(1)), &damage);
            continue;
        }
        let (boot, seq): (Option<String>, Option<i64>) = (row.get(8)?, row.get(3)?);
        return Ok(Some(Batch {
            agent,
            ts,
            received: row.get::<_, At>(1)?.0,
            boot_seq: boot.zip(seq).map(|(boot, seq)| (BootId(boot.into()), seq.cast_unsigned())),
            schema: names.schema(present),
            values: values.into(),
        }));
    }
    Ok(None)
}

/// Calls `visit` with each series of a raw row that has a value.
fn walk(bytes: &[u8], key: Key, known: &Dictionary, mut visit: impl FnMut(&Entry, f64)) -> Result<(), Damage> {
    vector::walk(bytes, key, u32::MAX, |id, sample| {
        let entry = known.entry(id).ok_or(Damage("a series is not in the dictionary"))?;
        visit(entry, sample.value(known.decimals.get(id as usize).copied().unwrap_or(0)));
        Ok(())
    })
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
fn fill_last_ts(connection: &Connection, sight: &Sight<'_>, instances: &mut [InstanceRecord]) -> Answer<()> {
    let mut by_agent: BTreeMap<AgentId, Vec<&mut InstanceRecord>> = BTreeMap::new();
    for record in instances.iter_mut().filter(|record| record.state != State::Ok) {
        if record.key.series.metric() != OFFLINE_METRIC {
            by_agent.entry(record.key.agent).or_default().push(record);
        }
    }
    for (agent, records) in by_agent {
        survived("when its alerts had their last samples", agent, search_back(connection, sight, agent, records))?;
    }
    Ok(())
}

/// Whether an instance on `series` is fed by the series `key`: the same, or one of a bare metric's.
fn feeds(key: &SeriesKey, series: &SeriesKey) -> bool {
    key == series || key.metric() == series.as_str()
}

/// Looks through the newest rows of an agent, then its newest chunks, until every record has found a sample of the series it is about.
fn search_back(connection: &Connection, sight: &Sight<'_>, agent: AgentId, mut records: Vec<&mut InstanceRecord>) -> Answer<()> {
    let Some(held) = held::of(connection, agent)? else { return Ok(()) };
    let known = sight.dictionary(connection, held.key)?;
    records.retain(|record| known.entries.iter().any(|entry| feeds(&entry.key, &record.key.series)));
    for table in [HOT, LATE] {
        search_rows(connection, &held, table, &known, &mut records)?;
    }
    // What was found before the seal may not be the newest: a chunk may hold a later one.
    let mut missing: Vec<&mut InstanceRecord> =
        records.into_iter().filter(|record| record.last_ts.is_none_or(|ts| ts < held.sealed_to)).collect();
    let oldest = held.sealed_to.plus_millis(-DAY_MS);
    let mut before = held.sealed_to;
    while !missing.is_empty()
        && let Some(piece) = chunks::last_raw(connection, held.key, before)?.filter(|piece| piece.until > oldest)
    {
        before = piece.start;
        let selection = Selection::new(&held, &known.decimals, &[], sight.noted);
        let key = marks::chunk(held.key, Tier::Raw, &piece);
        let read = chunks::body(connection, chunks::RAW, piece.id, |bytes| search_chunk(bytes, key, &known, &mut missing));
        if let Some(Err(damage)) = selection.survive(chunks::RAW, (piece.start, piece.until), read)? {
            selection.note(chunks::RAW, (piece.start, piece.until), &damage);
        }
        missing.retain(|record| record.last_ts.is_none_or(|ts| ts < before));
    }
    Ok(())
}

/// Looks through rows, newest first.
fn search_rows(
    connection: &Connection,
    held: &Held,
    table: &str,
    known: &Dictionary,
    records: &mut [&mut InstanceRecord],
) -> Answer<()> {
    let from = held.whole_from.of(Tier::Raw).as_millis();
    let sql = format!("SELECT {RAW_COLUMNS} FROM {table} WHERE agent = ?1 AND ts >= ?2 ORDER BY ts DESC, id DESC LIMIT ?3");
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query(rusqlite::params![held.key, from, ROWS_SEARCHED])?;
    let mut open: Vec<&mut &mut InstanceRecord> = records.iter_mut().collect();
    while !open.is_empty()
        && let Some(row) = rows.next()?
    {
        let (ts, key) = marks::raw_row(row, held.key)?;
        let mut found: Vec<SeriesKey> = Vec::new();
        // A damaged row is passed over: reading history notes it.
        if walk(blob(row, 7)?, key, known, |entry, _| found.push(entry.key.clone())).is_ok() {
            open.retain_mut(|record| {
                let is_fed = found.iter().any(|key| feeds(key, &record.key.series));
                if is_fed {
                    record.last_ts = record.last_ts.max(Some(ts));
                }
                !is_fed
            });
        }
    }
    Ok(())
}

/// Looks through a chunk.
fn search_chunk(bytes: &[u8], key: Key, known: &Dictionary, records: &mut [&mut InstanceRecord]) -> Result<(), Damage> {
    let chunk = Chunk::open(bytes, key)?;
    let (mut scratch, mut times, mut values) = (Scratch::default(), Vec::new(), Vec::new());
    chunk.times(&mut scratch, &mut times)?;
    for part in chunk.columns() {
        let Some(entry) = known.entry(part.id()) else { continue };
        let mut fed = records.iter_mut().filter(|record| feeds(&entry.key, &record.key.series)).peekable();
        if fed.peek().is_none() {
            continue;
        }
        part.values(known.decimals.get(part.id() as usize).copied().unwrap_or(0), &mut scratch, &mut values)?;
        let last = values.iter().rposition(|value| !value.is_nan()).and_then(|at| times.get(at).copied());
        fed.for_each(|record| record.last_ts = record.last_ts.max(last));
    }
    Ok(())
}
