//! The difference between what files declare and what the hub has, and the changes that make it none. Only what files have
//! declared before is ever removed.

use super::compare::{self, Difference, Fate};
use super::document;
use super::managed::{Managed, Object, SETTING, Source};
use super::names::Names;
use super::references::{self, Named};
use super::secrets::{self, Secrets};
use super::wanted::{self, Row, Wish};
use super::{Fault, Kind, SourceFile, World};
use crate::registry::{Holdings, ROUTES};
use crate::routing::{self, Route};
use nightbell_model::Timestamp;
use nightbell_store::Change;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Who a silence of a file is from.
const AUTHOR: &str = "files";

/// What is to be done.
#[derive(Debug, Default)]
pub struct Plan {
    /// The changes; none if there is no difference.
    pub changes: Vec<Change>,
    /// What they do.
    pub differences: Vec<Difference>,
}

impl Plan {
    fn count(&self, fates: &[Fate]) -> usize {
        self.differences.iter().filter(|difference| fates.contains(&difference.fate)).count()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for difference in &self.differences {
            writeln!(f, "{difference}")?;
        }
        let (added, changed) = (self.count(&[Fate::Added]), self.count(&[Fate::Changed, Fate::Released]));
        match (added, changed, self.count(&[Fate::Removed])) {
            (0, 0, 0) => f.write_str("nothing to change"),
            (added, changed, removed) => write!(f, "{added} to add, {changed} to change, {removed} to remove"),
        }
    }
}

/// The references to secrets that the files make, to be looked up by whoever applies them.
#[must_use]
pub fn references(files: &[SourceFile]) -> BTreeSet<String> {
    secrets::wanted(&document::read(files))
}

/// Everything that is wrong with the files as far as it can be told without a hub.
///
/// # Errors
/// All faults, in the order of the files.
pub fn check(files: &[SourceFile], secrets: BTreeMap<String, String>, now: Timestamp) -> Result<usize, Vec<Fault>> {
    let (holdings, secrets) = (Holdings::default(), Secrets::for_check(secrets));
    let world = World { holdings: &holdings, secrets, now, release: false, is_hub: false };
    wanted::read(document::read(files), &world).map(|wish| wish.rows.len())
}

/// What is to be done so that the hub is as the files say.
///
/// # Errors
/// Everything that is wrong with the files, and what cannot be removed because something else needs it.
pub fn plan(files: &[SourceFile], world: &World<'_>) -> Result<Plan, Vec<Fault>> {
    let wish = wanted::read(document::read(files), world)?;
    let leaving = leaving(world, &wish);
    if !world.release {
        needed(world.holdings, &wish, &leaving)?;
    }
    let mut plan = Plan::default();
    let (old_names, mut managed, mut moved) = (Names::of(world.holdings), Managed::default(), false);
    for wanted in &wish.rows {
        let known = world.holdings.settings.managed.get(&wanted.object);
        moved |= known != Some(&wanted.source);
        managed.insert(wanted.object.clone(), wanted.source.clone());
        let before = compare::before(world.holdings, &wanted.row);
        let mut fields = match &before {
            Some(before) => compare::fields((before, &old_names), (&wanted.row, &wish.names)),
            None => Vec::new(),
        };
        let differs = before.is_none() || !fields.is_empty();
        fields.extend(before.as_ref().and_then(|_| compare::move_of(known, &wanted.source)));
        if differs {
            plan.changes.push(put(world, before.as_ref(), wanted.row.clone()));
        }
        if before.is_none() || !fields.is_empty() {
            plan.differences.push(Difference {
                fate: if before.is_none() { Fate::Added } else { Fate::Changed },
                kind: wanted.object.kind,
                name: called(&wanted.row, wanted.source.handle.as_deref(), &wish.names),
                place: format!("{}:{}", wanted.source.file, wanted.line),
                fields,
            });
        }
    }
    for (object, source, row) in &leaving {
        let fate = if world.release { Fate::Released } else { Fate::Removed };
        plan.changes.extend((!world.release).then(|| removal(row)));
        let (kind, name, place) = (object.kind, called(row, source.handle.as_deref(), &old_names), source.file.clone());
        plan.differences.push(Difference { fate, kind, name, place, fields: Vec::new() });
    }
    let forgotten = world.holdings.settings.managed.iter().any(|(object, _)| managed.get(object).is_none());
    if moved || forgotten {
        plan.changes.push(Change::PutSetting { key: SETTING.to_owned(), value: managed.write() });
    }
    Ok(plan)
}

/// The objects that files have declared and do not any more, in the order in which they can be removed.
fn leaving<'a>(world: &'a World<'_>, wish: &Wish) -> Vec<(&'a Object, &'a Source, Row)> {
    let declared: BTreeSet<&Object> = wish.rows.iter().map(|wanted| &wanted.object).collect();
    let gone = world.holdings.settings.managed.iter().filter(|(object, _)| !declared.contains(object));
    let mut leaving: Vec<_> = gone.filter_map(|(object, source)| Some((object, source, row(world.holdings, object)?))).collect();
    // Silences name rules, rules name channels.
    leaving.sort_by_key(|(object, ..)| std::cmp::Reverse(object.kind));
    leaving
}

/// The row of an object, if it is still there.
fn row(holdings: &Holdings, object: &Object) -> Option<Row> {
    match object.kind {
        Kind::Channel => holdings.channels.get(&object.id.parse().ok()?).cloned().map(Row::Channel),
        Kind::Rule => holdings.rules.get(&object.id.parse().ok()?).map(|(rule, _)| Row::Rule(Box::new(rule.clone()))),
        Kind::Silence => holdings.silences.get(&object.id.parse().ok()?).cloned().map(Row::Silence),
        Kind::Route => compare::before(holdings, &Row::Routes(Vec::new())),
        Kind::Threshold => {
            let (agent, key) = object.id.split_once('/')?;
            let agent = if agent == "*" { None } else { Some(agent.parse().ok()?) };
            let levels = nightbell_model::Levels { warn: 0.0, crit: 0.0 };
            compare::before(holdings, &Row::Levels { agent, key: key.to_owned(), levels })
        }
    }
}

/// Refuses to remove what rules and silences that stay still name.
fn needed(holdings: &Holdings, wish: &Wish, leaving: &[(&Object, &Source, Row)]) -> Result<(), Vec<Fault>> {
    let gone: BTreeSet<&str> = leaving.iter().map(|(object, ..)| object.id.as_str()).collect();
    let declared: BTreeSet<&str> = wish.rows.iter().map(|wanted| wanted.object.id.as_str()).collect();
    let rules = holdings.rules.values().map(|(rule, _)| Row::Rule(Box::new(rule.clone())));
    let silences = holdings.silences.values().cloned().map(Row::Silence);
    let (none, names, mut faults) = (Names::default(), Names::of(holdings), Vec::new());
    let routes = holdings.settings.routes.iter().map(|route| Row::Routes(vec![route.clone()]));
    for row in rules.chain(silences).chain(routes) {
        let (kind, id) = match &row {
            Row::Rule(rule) => (Kind::Rule, rule.id.to_string()),
            Row::Silence(silence) => (Kind::Silence, silence.id.to_string()),
            Row::Routes(_) => (Kind::Route, "*".to_owned()),
            _ => continue,
        };
        if gone.contains(id.as_str()) || declared.contains(id.as_str()) {
            continue;
        }
        let shown = super::export::plain(&row, &none);
        // A single route stands under its number.
        let mut shown = if kind == Kind::Route { shown.get("1").cloned().unwrap_or_default() } else { Value::Object(shown) };
        references::each(kind, &mut shown, &mut |named, _, id| {
            if let Some((_, source, needed)) = leaving.iter().find(|(object, ..)| object.id == id && named != Named::Agent) {
                let (word, what, who) = (named.word(), called(needed, None, &names), called(&row, None, &names));
                let what = format!("the {word} {what:?} is gone from here, but the {} {who:?} names it", kind.word());
                faults.push(Fault { file: source.file.clone(), line: 1, column: 1, what });
            }
            None
        });
    }
    faults.dedup();
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

fn put(world: &World<'_>, before: Option<&Row>, row: Row) -> Change {
    match row {
        Row::Channel(row) => Change::PutChannel(row),
        Row::Rule(mut rule) => {
            let made = world.holdings.rules.get(&rule.id).map_or(world.now, |(_, at)| *at);
            rule.version += u64::from(before.is_some());
            Change::PutRule { rule: *rule, created_at: made }
        }
        Row::Silence(mut row) => {
            match before {
                Some(Row::Silence(old)) => (row.created_by, row.created_at) = (old.created_by.clone(), old.created_at),
                _ => (row.created_by, row.created_at) = (AUTHOR.to_owned(), world.now),
            }
            Change::PutSilence(row)
        }
        Row::Levels { agent, key, levels } => Change::PutLevels { agent, key, levels },
        Row::Routes(routes) => set_routes(&routes),
    }
}

fn set_routes(routes: &[Route]) -> Change {
    Change::PutSetting { key: ROUTES.to_owned(), value: routing::write(routes) }
}

fn removal(row: &Row) -> Change {
    match row {
        Row::Channel(row) => Change::DeleteChannel(row.id),
        Row::Rule(rule) => Change::DeleteRule(rule.id),
        Row::Silence(row) => Change::DeleteSilence(row.id),
        Row::Levels { agent, key, .. } => Change::DeleteLevels { agent: *agent, key: key.clone() },
        Row::Routes(_) => set_routes(&[]),
    }
}

/// What people call an object; a silence without words by the `id` it has in its file.
fn called(row: &Row, handle: Option<&str>, names: &Names) -> String {
    match row {
        Row::Channel(row) => row.name.clone(),
        Row::Rule(rule) => rule.name.clone(),
        Row::Routes(_) => "routes".to_owned(),
        Row::Silence(row) if row.comment.is_empty() => handle.map_or_else(|| row.id.to_string(), str::to_owned),
        Row::Silence(row) => row.comment.chars().take(60).collect(),
        Row::Levels { agent, key, .. } => match agent {
            Some(agent) => format!("{key} of {}", names.name(Named::Agent, &agent.to_string()).unwrap_or("an agent")),
            None => key.clone(),
        },
    }
}
