//! What the writer remembers of the file so that a heartbeat costs one insert: short numbers, processes, layouts. It is always
//! in step with the file: a transaction that fails empties it, and what is missing is read again.

use super::failure::{Answer, damaged};
use super::numbers::{Found, Numbers};
use super::sight::Dictionaries;
use super::zones::Zones;
use super::{cells, dictionary, held};
use crate::ranges::Ranges;
use crate::varint::Damage;
use crate::vector::Slot;
use nightbell_model::{AgentId, Batch, BootId, Schema, SeriesKey, Tier, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

/// So many processes of one agent are remembered; more than one is rare (a buffer of an earlier process being replayed).
const BOOTS_REMEMBERED: usize = 4;

/// So many numbers of series are remembered together, some 15 MB: only of agents that have thousands.
const NUMBERS_REMEMBERED: usize = 500_000;

/// Series whose values stand in columns of their own, in the order of the columns.
const HEADLINE: [&str; 3] = ["cpu.usage_percent", "mem.used_percent", "disk.used_percent{mount=/}"];

/// All that is remembered.
#[derive(Debug)]
pub(super) struct Cache {
    /// Dictionaries that were read, which are told of changes.
    pub(super) dictionaries: Arc<Dictionaries>,
    /// Where hot rows stand, which is told of new ones.
    pub(super) zones: Arc<Zones>,
    agents: HashMap<AgentId, Known>,
    /// Agents often have the same series in the same order: their layouts are then one.
    layouts: HashSet<Arc<[Slot]>>,
    /// The packed vector being made.
    pub(super) buffer: Vec<u8>,
    /// Processes whose row is to be written before the transaction ends.
    touched: Vec<(AgentId, usize)>,
    /// Processes whose row was removed in this transaction.
    forgotten: Vec<(AgentId, BootId)>,
    /// When the rows of the chunk that was asked last were measured: its number, its agent's, and its times.
    pub(super) chunk_times: Option<(i64, i64, Vec<Timestamp>)>,
    /// Agents that were found to have more series than are kept, and when; nobody was told yet.
    pub(super) full: Vec<(AgentId, Timestamp)>,
}

/// What is remembered of an agent.
#[derive(Debug)]
pub(super) struct Known {
    /// Its number.
    pub(super) key: i64,
    /// Raw before this is closed.
    pub(super) open_from: Timestamp,
    /// Raw before this is sealed: what comes for it is late.
    pub(super) sealed_to: Timestamp,
    /// The five minutes that were marked for rolling up last and still are.
    pub(super) marked: Option<Timestamp>,
    boots: Vec<Boot>,
    layout: Option<Layout>,
    /// The numbers of its series, if they are many.
    numbers: Option<Numbers>,
    /// Whether it has as many series as are kept.
    is_full: bool,
}

impl Known {
    /// Whether values of `schema` can be packed as those before them: nothing of them has to get a number, or nothing can.
    fn fits(&self, schema: &Arc<Schema>, values: &[f64]) -> bool {
        let layout = self.layout.as_ref().filter(|layout| std::ptr::eq(layout.schema.as_ptr(), Arc::as_ptr(schema)));
        layout.is_some_and(|layout| self.is_full || layout.fresh(values).next().is_none())
    }
}

/// An agent process.
#[derive(Debug)]
pub(super) struct Boot {
    name: BootId,
    /// Its number.
    pub(super) key: i64,
    /// When a heartbeat of it was last received.
    pub(super) used_at: Timestamp,
    /// What the door has seen of it.
    pub(super) seen: Ranges,
    /// What is stored of it.
    pub(super) stored: Ranges,
    dirty: bool,
}

/// How the values of one schema are packed for one agent.
#[derive(Debug)]
pub(super) struct Layout {
    schema: Weak<Schema>,
    /// The series that have a number, ascending.
    pub(super) slots: Arc<[Slot]>,
    /// Positions of series that never had a value and so have no number yet.
    unnumbered: Box<[u32]>,
    headline: [Option<u32>; 3],
}

impl Layout {
    /// The layout of a schema whose series have these numbers and decimals.
    fn new(schema: &Arc<Schema>, number: impl Fn(&SeriesKey) -> Option<(u32, u8)>) -> Self {
        let mut headline = [None; 3];
        for (position, key) in (0_u32..).zip(schema.keys()) {
            if let Some(column) = HEADLINE.iter().position(|name| *name == key.as_str()) {
                headline[column] = Some(position);
            }
        }
        let unnumbered = (0_u32..).take(schema.keys().len()).collect();
        let mut layout = Self { schema: Arc::downgrade(schema), slots: Arc::default(), unnumbered, headline };
        layout.place(schema, number);
        layout
    }

    /// Series that have numbers now get their slots.
    fn number(&mut self, schema: &Schema, given: &HashMap<&SeriesKey, (u32, u8)>) {
        self.place(schema, |key| given.get(key).copied());
    }

    fn place(&mut self, schema: &Schema, number: impl Fn(&SeriesKey) -> Option<(u32, u8)>) {
        let (mut slots, mut left) = (self.slots.to_vec(), Vec::new());
        for position in self.unnumbered.iter().copied() {
            match schema.keys().get(position as usize).and_then(&number) {
                Some((id, decimals)) => slots.push(Slot { id, position, decimals }),
                None => left.push(position),
            }
        }
        slots.sort_by_key(|slot| (slot.id, slot.position));
        slots.dedup_by_key(|slot| slot.id);
        (self.slots, self.unnumbered) = (slots.into(), left.into());
    }

    /// Positions of the series that have a value and no number.
    fn fresh(&self, values: &[f64]) -> impl Iterator<Item = u32> {
        let has_value = |position: &u32| values.get(*position as usize).is_some_and(|value| !value.is_nan());
        self.unnumbered.iter().copied().filter(has_value)
    }

    /// The values that stand in columns of their own.
    pub(super) fn headline(&self, values: &[f64]) -> [Option<f64>; 3] {
        self.headline.map(|position| values.get(position? as usize).copied().filter(|value| !value.is_nan()))
    }
}

impl Cache {
    /// Nothing yet.
    pub(super) fn new(dictionaries: Arc<Dictionaries>, zones: Arc<Zones>) -> Self {
        Self {
            dictionaries,
            zones,
            agents: HashMap::new(),
            layouts: HashSet::new(),
            buffer: Vec::new(),
            touched: Vec::new(),
            forgotten: Vec::new(),
            chunk_times: None,
            full: Vec::new(),
        }
    }

    /// Forgets everything.
    pub(super) fn forget(&mut self) {
        *self = Self::new(Arc::clone(&self.dictionaries), Arc::clone(&self.zones));
    }

    /// Whether an agent is remembered.
    pub(super) fn knows(&self, agent: AgentId) -> bool {
        self.agents.contains_key(&agent)
    }

    /// Forgets one agent.
    pub(super) fn forget_agent(&mut self, agent: AgentId) {
        self.agents.remove(&agent);
    }

    /// Notes that five minutes of an agent are not marked any more.
    pub(super) fn unmark(&mut self, agent: AgentId, bucket: Timestamp) {
        if let Some(known) = self.agents.get_mut(&agent)
            && known.marked == Some(bucket)
        {
            known.marked = None;
        }
    }

    /// The agent's entry, with a number for it if it has none yet.
    pub(super) fn known(&mut self, connection: &Connection, agent: AgentId) -> Answer<&mut Known> {
        use std::collections::hash_map::Entry;
        match self.agents.entry(agent) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(free) => {
                let (key, open_from, sealed_to) = match held::of(connection, agent)? {
                    Some(held) => (held.key, held.whole_from.of(Tier::Raw), held.sealed_to),
                    None => (new_agent_key(connection, agent)?, Timestamp::MIN, Timestamp::MIN),
                };
                Ok(free.insert(Known {
                    key,
                    open_from,
                    sealed_to,
                    marked: None,
                    boots: Vec::new(),
                    layout: None,
                    numbers: None,
                    is_full: false,
                }))
            }
        }
    }

    /// A process of an agent, to be changed: its row is written before the transaction ends.
    pub(super) fn boot(&mut self, connection: &Connection, agent: AgentId, name: &BootId, at: Timestamp) -> Answer<&mut Boot> {
        let known = self.known(connection, agent)?;
        let position = match known.boots.iter().position(|boot| boot.name == *name) {
            Some(position) => position,
            None => {
                let boot = load_boot(connection, known.key, name, at)?;
                known.boots.push(boot);
                known.boots.len() - 1
            }
        };
        if !known.boots[position].dirty {
            known.boots[position].dirty = true;
            self.touched.push((agent, position));
        }
        let known = self.known(connection, agent)?;
        Ok(&mut known.boots[position])
    }

    /// Removes a process that is of no use any more, unless this very transaction stores heartbeats of it.
    pub(super) fn forget_boot(&mut self, connection: &Connection, agent: AgentId, name: &BootId) -> Answer<()> {
        let known = self.known(connection, agent)?;
        let key = known.key;
        let is_touched = known.boots.iter().any(|boot| boot.name == *name && boot.dirty);
        // Positions of touched processes must stay: the entry is left in place and only its row goes.
        if !is_touched {
            let sql = "DELETE FROM boots WHERE agent = ?1 AND boot = ?2";
            connection.prepare_cached(sql)?.execute(params![key, &*name.0])?;
            self.forgotten.push((agent, name.clone()));
        }
        Ok(())
    }

    /// Writes the rows of all processes that changed.
    pub(super) fn write_boots(&mut self, connection: &Connection) -> Answer<()> {
        let mut update = connection.prepare_cached("UPDATE boots SET used_at = ?2, seen = ?3, stored = ?4 WHERE key = ?1")?;
        let (mut seen, mut stored) = (Vec::new(), Vec::new());
        for (agent, position) in &self.touched {
            let Some(boot) = self.agents.get_mut(agent).and_then(|known| known.boots.get_mut(*position)) else { continue };
            seen.clear();
            stored.clear();
            boot.seen.pack(&mut seen);
            boot.stored.pack(&mut stored);
            boot.dirty = false;
            update.execute(params![boot.key, boot.used_at.as_millis(), seen, stored])?;
        }
        for (agent, name) in std::mem::take(&mut self.forgotten) {
            if let Some(known) = self.agents.get_mut(&agent) {
                known.boots.retain(|boot| boot.name != name);
            }
        }
        for (agent, _) in std::mem::take(&mut self.touched) {
            if let Some(known) = self.agents.get_mut(&agent) {
                let surplus = known.boots.len().saturating_sub(BOOTS_REMEMBERED);
                known.boots.drain(..surplus);
            }
        }
        Ok(())
    }

    /// Notes that raw of an agent is closed before `open_from`.
    pub(super) fn close_before(&mut self, agent: AgentId, open_from: Timestamp) {
        if let Some(known) = self.agents.get_mut(&agent) {
            known.open_from = known.open_from.max(open_from);
        }
    }

    /// Notes that raw of an agent is sealed before `sealed_to`.
    pub(super) fn seal_before(&mut self, agent: AgentId, sealed_to: Timestamp) {
        if let Some(known) = self.agents.get_mut(&agent) {
            known.sealed_to = known.sealed_to.max(sealed_to);
        }
    }

    /// Forgets all processes: some may be gone from the file.
    pub(super) fn forget_boots(&mut self) {
        self.touched.clear();
        self.agents.values_mut().for_each(|known| known.boots.clear());
    }

    /// How the values of a heartbeat are packed; series that have a value for the first time get their numbers here.
    pub(super) fn layout(&mut self, connection: &Connection, batch: &Batch) -> Answer<&Layout> {
        let (agent, schema, values) = (batch.agent, &batch.schema, &*batch.values);
        let known = self.known(connection, agent)?;
        let key = known.key;
        if !known.fits(schema, values) {
            let mut layout = read_layout(connection, (key, &mut known.numbers), schema)?;
            let fresh: Vec<u32> = layout.fresh(values).collect();
            if !fresh.is_empty() && !known.is_full {
                self.dictionaries.changing(key);
                let known = self.known(connection, agent)?;
                let given = dictionary::number(connection, (key, &mut known.numbers), (schema, &fresh), batch.ts)?;
                layout.number(schema, &given);
                known.is_full = layout.fresh(values).next().is_some();
                let is_full = known.is_full;
                self.full.extend(is_full.then_some((agent, batch.received)));
                self.bound_numbers(agent);
            }
            layout.slots = self.shared(layout.slots);
            self.known(connection, agent)?.layout = Some(layout);
        }
        let layout = self.known(connection, agent)?.layout.as_ref();
        layout.ok_or_else(|| damaged(format!("the dictionary of agent {agent}"), Damage("it is not there")))
    }

    /// Forgets the numbers of all agents with long dictionaries where these are too many together, if `agent` is one of them.
    fn bound_numbers(&mut self, agent: AgentId) {
        if self.agents.get(&agent).is_none_or(|known| known.numbers.is_none()) {
            return;
        }
        let numbers = |known: &Known| known.numbers.as_ref().map_or(0, Numbers::len);
        if self.agents.values().map(numbers).sum::<usize>() > NUMBERS_REMEMBERED {
            self.agents.values_mut().for_each(|known| known.numbers = None);
        }
    }

    /// The same slots as others have them, where they are the same.
    fn shared(&mut self, slots: Arc<[Slot]>) -> Arc<[Slot]> {
        if let Some(shared) = self.layouts.get(&slots) {
            return Arc::clone(shared);
        }
        if self.layouts.len() > 2 * self.agents.len() {
            self.layouts.retain(|shared| Arc::strong_count(shared) > 1);
        }
        self.layouts.insert(Arc::clone(&slots));
        slots
    }
}

fn new_agent_key(connection: &Connection, agent: AgentId) -> Answer<i64> {
    connection.prepare_cached("INSERT INTO agent_keys (agent) VALUES (?1)")?.execute([agent.to_string()])?;
    Ok(connection.last_insert_rowid())
}

fn load_boot(connection: &Connection, agent: i64, name: &BootId, at: Timestamp) -> Answer<Boot> {
    let mut select = connection.prepare_cached("SELECT key, used_at, seen, stored FROM boots WHERE agent = ?1 AND boot = ?2")?;
    let found: Option<(i64, cells::At, Vec<u8>, Vec<u8>)> =
        select.query_row(params![agent, &*name.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).optional()?;
    let ranges = |bytes: &[u8]| Ranges::unpack(bytes).map_err(|damage| damaged(format!("the row of boot {}", name.0), damage));
    if let Some((key, used_at, seen, stored)) = found {
        let (seen, stored) = (ranges(&seen)?, ranges(&stored)?);
        return Ok(Boot { name: name.clone(), key, used_at: used_at.0, seen, stored, dirty: false });
    }
    let mut insert =
        connection.prepare_cached("INSERT INTO boots (agent, boot, used_at, seen, stored) VALUES (?1, ?2, ?3, x'', x'')")?;
    insert.execute(params![agent, &*name.0, at.as_millis()])?;
    let key = connection.last_insert_rowid();
    Ok(Boot { name: name.clone(), key, used_at: at, seen: Ranges::default(), stored: Ranges::default(), dirty: false })
}

/// How values of `schema` are packed for the agent numbered `agent`, whose numbers are looked up if its dictionary is long.
fn read_layout(connection: &Connection, (agent, numbers): (i64, &mut Option<Numbers>), schema: &Arc<Schema>) -> Answer<Layout> {
    if let Some(found) = look_up(connection, (agent, numbers.as_ref()), schema)? {
        return Ok(Layout::new(schema, |key| found.get(key).copied()));
    }
    dictionary::mark_old(connection, agent)?;
    let known = dictionary::read(connection, agent)?;
    *numbers = Numbers::of(&known);
    let decimals = |entry: &dictionary::Entry| known.decimals.get(entry.id as usize).copied().unwrap_or(0);
    let found: HashMap<&SeriesKey, (u32, u8)> =
        known.entries.iter().map(|entry| (&entry.key, (entry.id, decimals(entry)))).collect();
    Ok(Layout::new(schema, |key| found.get(key).copied()))
}

/// The numbers of the series of a schema by what is remembered of a long dictionary; `None` if that has to be read.
fn look_up<'s>(
    connection: &Connection,
    (agent, numbers): (i64, Option<&Numbers>),
    schema: &'s Schema,
) -> Answer<Option<HashMap<&'s SeriesKey, (u32, u8)>>> {
    let Some(numbers) = numbers else { return Ok(None) };
    let mut found = HashMap::new();
    for key in schema.keys() {
        match numbers.find(connection, agent, key)? {
            Found::Number(id, decimals) => drop(found.insert(key, (id, decimals))),
            Found::None => {}
            Found::Unclear => return Ok(None),
        }
    }
    Ok(Some(found))
}
