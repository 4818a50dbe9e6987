//! The configuration as files: what `apply` reads back and finds that nothing is to be changed.

use super::managed::{Object, Source};
use super::names::Names;
use super::references;
use super::secrets;
use super::wanted::Row;
use super::{Kind, SourceFile, toml};
use crate::api::{self, Needs, RuleBody};
use crate::registry::Holdings;
use crate::routing::Route;
use nightbell_alerts::Rule;
use nightbell_model::{Timestamp, catalogue};
use nightbell_store::ChannelRow;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The first line of each file.
const HEAD: &str = "# Written by `nightbell export config`; `nightbell apply` reads it back.\n";
/// What a rule always says: what it is, whatever the defaults are.
const ALWAYS: [&str; 2] = ["name", "severity"];

/// What stands in a file: its kind, what it is sorted by, and its fields.
type Declaration = (Kind, String, Map<String, Value>);

/// Everything that files can declare, as files. What was declared goes into the file it came from; a silence that has ended stays
/// out unless a file has declared it.
#[must_use]
pub fn export(holdings: &Holdings, now: Timestamp) -> Vec<SourceFile> {
    let names = Names::of(holdings);
    let mut variables = Variables::default();
    let mut files: BTreeMap<String, Vec<Declaration>> = BTreeMap::new();
    for (row, object) in rows(holdings, now) {
        let source = holdings.settings.managed.get(&object);
        let declared = declaration(&row, &object, source, &names, &mut variables);
        let file = source.map_or_else(|| format!("{}s.toml", object.kind.word()), |source| source.file.clone());
        let sort = ["name", "agent", "metric", "id"].map(|field| declared.get(field).and_then(Value::as_str).unwrap_or_default());
        files.entry(file).or_default().push((object.kind, sort.join("\0"), declared));
    }
    let routes = holdings.settings.managed.get(&Object::routes());
    let file = routes.map_or_else(|| "routes.toml".to_owned(), |source| source.file.clone());
    for (number, route) in shown_routes(&holdings.settings.routes, &names).into_iter().enumerate() {
        files.entry(file.clone()).or_default().push((Kind::Route, format!("{number:08}"), object(route)));
    }
    let write = |(path, mut declared): (String, Vec<Declaration>)| {
        declared.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        let mut text = HEAD.to_owned();
        for (kind, _, object) in &declared {
            toml::push(&mut text, kind.word(), object);
        }
        SourceFile { path, text }
    };
    files.into_iter().map(write).collect()
}

fn rows(holdings: &Holdings, now: Timestamp) -> Vec<(Row, Object)> {
    let mut rows = Vec::new();
    let channels = holdings.channels.values().map(|row| (Row::Channel(row.clone()), Object::new(Kind::Channel, row.id)));
    rows.extend(channels);
    let rules = holdings.rules.values().map(|(rule, _)| (Row::Rule(Box::new(rule.clone())), Object::new(Kind::Rule, rule.id)));
    rows.extend(rules);
    let silences = holdings.silences.values().map(|row| (Row::Silence(row.clone()), Object::new(Kind::Silence, row.id)));
    let is_managed = |object: &Object| holdings.settings.managed.get(object).is_some();
    rows.extend(silences.filter(|(row, object)| matches!(row, Row::Silence(row) if row.ends_at > now) || is_managed(object)));
    let global = holdings.levels.global.iter().map(|(key, levels)| (None, key, levels));
    let own = holdings.levels.agents.iter().flat_map(|(id, own)| own.iter().map(|(key, levels)| (Some(*id), key, levels)));
    let own = own.filter(|(agent, ..)| agent.is_some_and(|id| holdings.agents.contains_key(&id)));
    rows.extend(
        global
            .chain(own)
            .map(|(agent, key, levels)| (Row::Levels { agent, key: key.clone(), levels: *levels }, Object::levels(agent, key))),
    );
    rows
}

/// An object as its file has it.
fn declaration(
    row: &Row,
    object: &Object,
    source: Option<&Source>,
    names: &Names,
    variables: &mut Variables,
) -> Map<String, Value> {
    let mut declared = plain(row, names);
    if object.kind != Kind::Threshold {
        let handle = source.and_then(|source| source.handle.clone()).unwrap_or_else(|| object.id.clone());
        declared.insert("id".to_owned(), handle.into());
    }
    let unknown = |metric: &str| catalogue::find(metric.split('{').next().unwrap_or(metric)).is_none();
    match row {
        Row::Channel(row) => {
            declared.insert("config".to_owned(), variables.hidden(row, source));
        }
        Row::Rule(rule) => {
            let usual = usual(&declared, rule);
            declared.retain(|name, value| ALWAYS.contains(&name.as_str()) || name == "id" || usual.get(name) != Some(value));
            if unknown(&rule.selector.metric) {
                declared.insert("allow_unknown".to_owned(), true.into());
            }
        }
        Row::Levels { key, .. } if unknown(key) => {
            declared.insert("allow_unknown".to_owned(), true.into());
        }
        Row::Levels { .. } | Row::Silence(_) | Row::Routes(_) => {}
    }
    declared
}

/// What a rule says that says only as much as it must: what is the same here need not be written.
fn usual(declared: &Map<String, Value>, rule: &Rule) -> Map<String, Value> {
    let sets: [&[&str]; 3] = [
        &["name", "kind", "labels", "matchers"],
        &["name", "kind", "labels", "matchers", "metric", "op", "threshold"],
        &["name", "kind", "labels", "matchers", "metric", "op", "threshold", "horizon"],
    ];
    for fields in sets {
        let least: Map<String, Value> = declared.iter().filter(|(name, _)| fields.contains(&name.as_str())).map(clone).collect();
        if let Ok(usual) = api::read_rule(&least, Needs::Whole, rule.id, 1) {
            let mut usual = shown_rule(&usual);
            // What is asked for stands there, unless it is what every rule asks for.
            usual.retain(|name, value| match name.as_str() {
                "labels" | "matchers" => value.as_object().is_some_and(Map::is_empty) || value == &json!([]),
                "kind" => value == "threshold",
                name => !fields.contains(&name),
            });
            return usual;
        }
    }
    Map::new()
}

fn clone((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), value.clone())
}

fn shown_rule(rule: &Rule) -> Map<String, Value> {
    let mut object = object(serde_json::to_value(RuleBody::of(rule)).unwrap_or_default());
    // Its own id is what stands for a rule without a key.
    if object.get("key").and_then(Value::as_str) == Some(&rule.id.to_string()) {
        object.remove("key");
    }
    object
}

/// The fields of a row, names in the place of ids and without its secrets: what is compared and what is shown.
pub(super) fn plain(row: &Row, names: &Names) -> Map<String, Value> {
    let (kind, shown) = match row {
        Row::Channel(row) => (Kind::Channel, object(api::shown_channel(row))),
        Row::Rule(rule) => (Kind::Rule, shown_rule(rule)),
        Row::Silence(row) => (Kind::Silence, object(api::shown_silence(row))),
        Row::Routes(routes) => return numbered(routes, names),
        Row::Levels { agent, key, levels } => {
            let agent = agent.map(|agent| agent.to_string());
            let shown = json!({"agent": agent, "metric": key, "warn": levels.warn, "crit": levels.crit});
            (Kind::Threshold, object(shown))
        }
    };
    let mut shown = Value::Object(shown);
    references::each(kind, &mut shown, &mut |named, _, id| names.name(named, id).map(str::to_owned));
    object(shown)
}

/// Routes by their number, from 1.
fn numbered(routes: &[Route], names: &Names) -> Map<String, Value> {
    (1..).zip(shown_routes(routes, names)).map(|(number, route): (usize, _)| (number.to_string(), route)).collect()
}

/// Routes as files have them, without what they do not ask for.
fn shown_routes(routes: &[Route], names: &Names) -> Vec<Value> {
    let shown = |mut route: Value| {
        references::each(Kind::Route, &mut route, &mut |named, _, id| names.name(named, id).map(str::to_owned));
        let mut route = object(route);
        route.retain(|name, value| name == "channels" || !(value.is_null() || value == &json!([]) || value == &json!(false)));
        Value::Object(route)
    };
    api::shown_routes(routes).into_iter().map(shown).collect()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

/// The names of variables that stand for secrets, each given once.
#[derive(Debug, Default)]
struct Variables(BTreeSet<String>);

impl Variables {
    /// A channel's configuration with something in the place of each secret: what its file had there, or a variable's name.
    fn hidden(&mut self, row: &ChannelRow, source: Option<&Source>) -> Value {
        let config: Value = serde_json::from_str(&row.config_json).unwrap_or_default();
        if crate::sealing::is_sealed(&row.config_json) {
            return json!({});
        }
        secrets::hide(&row.kind, &config, |pointer| {
            let known = source.and_then(|source| source.references.get(pointer).cloned());
            known.unwrap_or_else(|| format!("env:{}", self.fresh(&format!("{}{pointer}", row.name))))
        })
    }

    fn fresh(&mut self, words: &str) -> String {
        let upper = words.to_uppercase();
        let parts: Vec<&str> = upper.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty()).collect();
        let mut name = parts.join("_");
        if name.starts_with(|c: char| c.is_ascii_digit()) || name.starts_with("NIGHTBELL") {
            name.insert_str(0, "CHANNEL_");
        }
        let wanted = name.clone();
        let mut count = 1;
        while !self.0.insert(name.clone()) {
            count += 1;
            name = format!("{wanted}_{count}");
        }
        name
    }
}
