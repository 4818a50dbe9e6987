//! From declarations to the rows the hub would have: each is read by the reader of the API, with ids in the place of names.

use super::document::{Declared, Entry};
use super::identity::{self, Identities};
use super::managed::{Object, Source};
use super::names::Names;
use super::references::{self, Named};
use super::secrets;
use super::{Fault, Kind, World};
use crate::api::problem::{Fault as Unfit, Problem};
use crate::api::{self, Needs};
use crate::routing::Route;
use nightbell_alerts::Rule;
use nightbell_model::{AgentId, ChannelId, Levels, RuleId, SeriesKey, Ulid, catalogue};
use nightbell_store::{ChannelRow, SilenceRow};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a threshold may say.
const LEVELS_FIELDS: [&str; 5] = ["agent", "metric", "warn", "crit", "allow_unknown"];

/// A row that the files ask for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Row {
    Channel(ChannelRow),
    Rule(Box<Rule>),
    Silence(SilenceRow),
    Levels { agent: Option<AgentId>, key: String, levels: Levels },
    Routes(Vec<Route>),
}

/// A row, where it stands, and what the hub is to remember of that.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) row: Row,
    pub(super) object: Object,
    pub(super) source: Source,
    pub(super) line: usize,
}

/// Everything the files ask for.
#[derive(Debug, Default)]
pub(super) struct Wish {
    pub(super) rows: Vec<Wanted>,
    pub(super) names: Names,
}

/// Reads all declarations.
///
/// # Errors
/// Everything that is wrong with them, in the order of the files.
pub(super) fn read(declared: Declared, world: &World<'_>) -> Result<Wish, Vec<Fault>> {
    let mut reading = Reading { world, names: Names::new(world.holdings_if_any()), faults: declared.faults, rows: Vec::new() };
    for name in &declared.external {
        if reading.names.id(Named::Channel, name).is_err() && world.holdings_if_any().is_none() {
            reading.names.add(Named::Channel, name, external(name));
        }
    }
    let mut identified = Vec::new();
    for kind in Kind::ALL {
        let entries: Vec<Entry> = declared.entries.iter().filter(|entry| entry.kind == kind).cloned().collect();
        identified.push(reading.identify(kind, entries));
    }
    let routes: Vec<Entry> = identified.pop().unwrap_or_default().into_iter().map(|(entry, ..)| entry).collect();
    reading.routes(&routes);
    for (entry, id, mut source) in identified.into_iter().flatten() {
        match reading.row(&entry, id) {
            Ok((row, object, references)) => {
                source.references = references;
                reading.rows.push(Wanted { row, object, source, line: entry.place("").line });
            }
            Err(faults) => reading.faults.extend(faults),
        }
    }
    reading.same_levels_twice();
    let Reading { names, mut faults, rows, .. } = reading;
    faults.sort_unstable();
    faults.dedup();
    if faults.is_empty() { Ok(Wish { rows, names }) } else { Err(faults) }
}

/// What stands for a channel that is made elsewhere, where no hub can be asked.
fn external(name: &str) -> Ulid {
    Ulid::derived(nightbell_model::Timestamp::from_millis(0), &[b"external", name.as_bytes()])
}

struct Reading<'a> {
    world: &'a World<'a>,
    names: Names,
    faults: Vec<Fault>,
    rows: Vec<Wanted>,
}

type Read = (Row, Object, BTreeMap<String, String>);

impl Reading<'_> {
    /// Gives ids to the declarations of a kind, and makes the names known that others may use for them.
    fn identify(&mut self, kind: Kind, entries: Vec<Entry>) -> Vec<(Entry, Ulid, Source)> {
        let mut identities = Identities::new(self.world.holdings, kind);
        let mut found = Vec::new();
        for entry in entries {
            if matches!(kind, Kind::Threshold | Kind::Route) {
                let source = Source { file: entry.file.clone(), ..Source::default() };
                found.push((entry, Ulid::default(), source));
                continue;
            }
            match identities.of(&entry) {
                Ok((id, source)) => found.push((entry, id, source)),
                Err(fault) => self.faults.push(fault),
            }
        }
        let named = match kind {
            Kind::Channel => Named::Channel,
            Kind::Rule => Named::Rule,
            Kind::Silence | Kind::Threshold | Kind::Route => return found,
        };
        for (entry, id, _) in &found {
            self.names.add(named, entry.text("name").unwrap_or_default().trim(), *id);
        }
        self.keep(kind, named, &found);
        found
    }

    /// The objects of the hub that stay although no file declares them may be named as well.
    fn keep(&mut self, kind: Kind, named: Named, found: &[(Entry, Ulid, Source)]) {
        let managed = &self.world.holdings.settings.managed;
        for (id, name) in identity::existing(self.world.holdings, kind) {
            let is_declared = found.iter().any(|(_, other, _)| *other == id);
            let stays = self.world.release || managed.get(&Object::new(kind, id)).is_none();
            if !is_declared && stays {
                self.names.add(named, name, id);
            }
        }
    }

    /// A declaration with ids in the place of names, and what is wrong with those.
    fn with_ids(&self, entry: &Entry) -> (Value, Vec<Fault>) {
        let (mut object, mut faults) = (Value::Object(entry.object.clone()), Vec::new());
        references::each(entry.kind, &mut object, &mut |named, pointer, name| match self.names.id(named, name) {
            Ok(id) => Some(id.to_string()),
            Err(why) => {
                faults.push(entry.fault(pointer, why));
                None
            }
        });
        (object, faults)
    }

    /// All routes, which are one object: which comes before which matters.
    fn routes(&mut self, entries: &[Entry]) {
        let Some(first) = entries.first() else { return };
        let (objects, wrong): (Vec<Value>, Vec<Vec<Fault>>) = entries.iter().map(|entry| self.with_ids(entry)).unzip();
        let mut wrong: Vec<Fault> = wrong.into_iter().flatten().collect();
        match api::declared_routes(objects) {
            Ok(routes) if wrong.is_empty() => self.rows.push(Wanted {
                row: Row::Routes(routes),
                object: Object::routes(),
                source: Source { file: first.file.clone(), ..Source::default() },
                line: first.place("").line,
            }),
            Ok(_) => {}
            Err(problem) if wrong.is_empty() => wrong.extend(problem.errors.iter().map(|fault| of_list(entries, fault))),
            Err(_) => {}
        }
        self.faults.extend(wrong);
    }

    fn row(&self, entry: &Entry, id: Ulid) -> Result<Read, Vec<Fault>> {
        let (object, mut faults) = self.with_ids(entry);
        let read = match entry.kind {
            Kind::Channel => self.channel(entry, object, ChannelId(id)),
            Kind::Rule => self.rule(entry, object, RuleId(id)).map(|row| (row, BTreeMap::new())),
            Kind::Silence => self.silence(entry, object, id).map(|row| (row, BTreeMap::new())),
            Kind::Threshold | Kind::Route => levels(entry, &object).map(|row| (row, BTreeMap::new())),
        };
        match read {
            Ok((row, references)) if faults.is_empty() => {
                let object = match &row {
                    Row::Levels { agent, key, .. } => Object::levels(*agent, key),
                    _ => Object::new(entry.kind, id),
                };
                Ok((row, object, references))
            }
            Ok(_) => Err(faults),
            Err(more) => {
                let places: Vec<_> = faults.iter().map(|fault| (fault.line, fault.column)).collect();
                // A name that is not known was said already; that the id in its place is none is no news.
                faults.extend(more.into_iter().filter(|fault| !places.contains(&(fault.line, fault.column))));
                Err(faults)
            }
        }
    }

    fn channel(&self, entry: &Entry, mut object: Value, id: ChannelId) -> Result<(Row, BTreeMap<String, String>), Vec<Fault>> {
        let references = match object.get_mut("config") {
            Some(config) => secrets::fill(entry, config, &self.world.secrets)?,
            None => BTreeMap::new(),
        };
        let old = self.world.holdings.channels.get(&id);
        let row = api::declared_channel(map(object), old).map_err(|problem| placed(entry, problem))?;
        Ok((Row::Channel(ChannelRow { id, ..row }), references))
    }

    fn rule(&self, entry: &Entry, object: Value, id: RuleId) -> Result<Row, Vec<Fault>> {
        let object = map(object);
        let version = self.world.holdings.rules.get(&id).map_or(1, |(rule, _)| rule.version);
        let rule = api::read_rule(&object, Needs::Whole, id, version)
            .map_err(|faults| faults.into_iter().map(|fault| unfit(entry, &fault)).collect::<Vec<_>>())?;
        if !allows_unknown(Some(&object))
            && let Some(why) = unknown_metric(&rule.selector.metric)
        {
            return Err(vec![entry.fault("/metric", why)]);
        }
        Ok(Row::Rule(Box::new(rule)))
    }

    fn silence(&self, entry: &Entry, object: Value, id: Ulid) -> Result<Row, Vec<Fault>> {
        let (mut object, old) = (map(object), self.world.holdings.silences.get(&id));
        // These are ids by now, perhaps of what is only about to be made.
        let (rule, agent) = (object.remove("rule"), object.remove("agent"));
        let named = |value: Option<Value>| value.and_then(|value| value.as_str()?.parse::<Ulid>().ok());
        let row =
            api::declared_silence(self.world.holdings, object, old, self.world.now).map_err(|problem| placed(entry, problem))?;
        Ok(Row::Silence(SilenceRow { id, rule: named(rule).map(RuleId), agent: named(agent).map(AgentId), ..row }))
    }

    /// Two declarations of the same levels: the first would be lost.
    fn same_levels_twice(&mut self) {
        let mut seen: BTreeMap<&Object, &Wanted> = BTreeMap::new();
        for wanted in self.rows.iter().filter(|wanted| wanted.object.kind == Kind::Threshold) {
            if let Some(first) = seen.insert(&wanted.object, wanted) {
                let what = format!("these levels are declared at {}:{} already", first.source.file, first.line);
                self.faults.push(Fault { file: wanted.source.file.clone(), line: wanted.line, column: 1, what });
            }
        }
    }
}

fn map(object: Value) -> serde_json::Map<String, Value> {
    match object {
        Value::Object(object) => object,
        _ => serde_json::Map::new(),
    }
}

fn unfit(entry: &Entry, fault: &Unfit) -> Fault {
    entry.fault(&fault.pointer, &fault.detail)
}

/// A fault of one of many, `/items/3/when/from`, where it stands.
fn of_list(entries: &[Entry], fault: &Unfit) -> Fault {
    let rest = fault.pointer.strip_prefix("/items/").unwrap_or_default();
    let (at, field) = rest.find('/').map_or((rest, ""), |end| rest.split_at(end));
    let entry = at.parse::<usize>().ok().and_then(|at| entries.get(at)).unwrap_or(&entries[0]);
    entry.fault(field, &fault.detail)
}

fn placed(entry: &Entry, problem: Problem) -> Vec<Fault> {
    if problem.errors.is_empty() {
        return vec![entry.fault("", &problem.detail)];
    }
    problem.errors.iter().map(|fault| unfit(entry, fault)).collect()
}

fn unknown_metric(metric: &str) -> Option<String> {
    if catalogue::find(metric).is_some() {
        return None;
    }
    let near = catalogue::nearest(metric, 3);
    let hint = if near.is_empty() { String::new() } else { format!("; did you mean {}?", near.join(" or ")) };
    Some(format!("{metric} is not in the catalogue{hint}; allow_unknown = true accepts it all the same"))
}

fn allows_unknown(object: Option<&serde_json::Map<String, Value>>) -> bool {
    object.and_then(|object| object.get("allow_unknown")) == Some(&Value::Bool(true))
}

fn levels(entry: &Entry, object: &Value) -> Result<Row, Vec<Fault>> {
    let mut faults = Vec::new();
    for name in entry.object.keys().filter(|name| !LEVELS_FIELDS.contains(&name.as_str())) {
        let (known, hint) = (LEVELS_FIELDS.join(", "), super::nearest::hint(name, LEVELS_FIELDS));
        faults.push(entry.fault(&format!("/{name}"), format!("unknown field; known ones are {known}{hint}")));
    }
    let mut number = |name: &str| {
        let found = object.get(name).and_then(Value::as_f64);
        if found.is_none() {
            faults.push(entry.fault(&format!("/{name}"), "must be a number"));
        }
        found
    };
    let (warn, crit) = (number("warn"), number("crit"));
    let key = object.get("metric").and_then(Value::as_str).and_then(|text| text.parse::<SeriesKey>().ok());
    if key.is_none() {
        faults.push(entry.fault("/metric", "must be a metric or series key such as disk.used_percent{mount=/}"));
    }
    let agent = object.get("agent").and_then(Value::as_str).and_then(|id| id.parse().ok());
    if object.get("agent").is_some() && agent.is_none() {
        faults.push(entry.fault("/agent", "there is no such agent"));
    }
    let (Some(key), Some(warn), Some(crit)) = (key, warn, crit) else { return Err(faults) };
    let levels = Levels { warn, crit };
    faults.extend(api::unfit_levels(&key, levels).iter().map(|fault| unfit(entry, fault)));
    if !allows_unknown(object.as_object())
        && let Some(why) = unknown_metric(key.metric())
    {
        faults.push(entry.fault("/metric", why));
    }
    if faults.is_empty() { Ok(Row::Levels { agent, key: key.to_string(), levels }) } else { Err(faults) }
}
