//! From JSON to a rule.

use super::fields::Fields;
use super::kind;
use crate::api::problem::Fault;
use crate::api::time;
use nightbell_alerts::{
    Aggregate, Clear, Comparison, EscalationStep, MatchKind, Matcher, Missing, Preset, Rule, Scope, Selector, Severity, Threshold,
};
use nightbell_model::{ChannelId, Level, RuleId};
use serde_json::{Map, Value};

/// What may be written.
const KNOWN: [&str; 26] = [
    "name",
    "kind",
    "metric",
    "labels",
    "matchers",
    "aggregate",
    "op",
    "threshold",
    "clear",
    "window",
    "per",
    "horizon",
    "for",
    "keep_firing",
    "cooldown",
    "repeat",
    "missing",
    "missing_after",
    "severity",
    "scope",
    "channels",
    "escalation",
    "key",
    "fold_late",
    "enabled",
    "allow_unknown",
];
/// What a GET shows beside that.
const READ_ONLY: [&str; 13] = [
    "managed_by",
    "id",
    "version",
    "created_at",
    "for_seconds",
    "keep_firing_seconds",
    "cooldown_seconds",
    "repeat_seconds",
    "missing_after_seconds",
    "window_seconds",
    "per_seconds",
    "horizon_seconds",
    "transform",
];
/// The fields that are judged together: where one cannot be read, nothing can be said about the others.
const JUDGED_TOGETHER: [&str; 8] = ["kind", "metric", "op", "threshold", "clear", "window", "per", "horizon"];
/// The least time between two pages, if nothing is said.
const COOLDOWN_MS: i64 = 30 * 60_000;
const LEVELS: &str = "\"warn\" or \"crit\"";

/// How much of a rule must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Everything that has no default.
    Whole,
    /// A name is not needed: the rule is only tried out.
    Draft,
}

/// Understands a rule; its id and version are `id` and `version`.
///
/// # Errors
/// Everything that is wrong with it, by field.
pub(crate) fn read(object: &Map<String, Value>, needs: Needs, id: RuleId, version: u64) -> Result<Rule, Vec<Fault>> {
    let mut fields = Fields::new(object, &KNOWN, &READ_ONLY);
    fields.flag("allow_unknown", false);
    let kind = kind::kind(&mut fields);
    let (labels, matchers) = (labels(&mut fields), matchers(&mut fields));
    let preset = kind.preset(!labels.is_empty() || !matchers.is_empty());
    let rule = Rule {
        id,
        version,
        name: fields.text("name", (needs == Needs::Draft).then_some("draft")),
        key: Some(fields.text("key", Some(""))).filter(|key| !key.is_empty() && *key != id.to_string()),
        kind,
        selector: Selector {
            metric: fields.text("metric", preset.map(|preset| preset.metric)),
            labels,
            matchers,
            aggregate: fields.choice("aggregate", "each, max, min, avg", Aggregate::from_name, Ok(Aggregate::Each)),
        },
        transform: kind::transform(kind, preset, &mut fields),
        comparison: fields.choice(
            "op",
            "> >= < <= == !=",
            Comparison::from_name,
            preset.map(|preset| preset.comparison).ok_or(Comparison::Greater),
        ),
        threshold: threshold(&mut fields, preset),
        clear: clear(&mut fields),
        hold_ms: fields.duration("for", 0),
        keep_firing_ms: fields.duration("keep_firing", 0),
        cooldown_ms: fields.duration("cooldown", COOLDOWN_MS),
        repeat_ms: fields.duration("repeat", 0),
        missing: fields.choice("missing", "keep, nodata, resolve", Missing::from_name, Ok(Missing::Keep)),
        missing_after_ms: fields.optional_duration("missing_after"),
        severity: fields.choice("severity", "info, warning, critical", Severity::from_name, Ok(Severity::Warning)),
        scope: scope(&mut fields),
        channels: channels(fields.list("channels"), "channels", &mut fields),
        escalation: escalation(&mut fields),
        fold_late: fields.flag("fold_late", true),
        enabled: fields.flag("enabled", true),
    };
    let judged_badly = JUDGED_TOGETHER.iter().any(|field| fields.is_bad(field));
    for fault in rule.faults() {
        if !(fields.is_bad(fault.field) || judged_badly && JUDGED_TOGETHER.contains(&fault.field)) {
            fields.fault(fault.field, fault.why);
        }
    }
    let faults = fields.into_faults();
    if faults.is_empty() { Ok(rule) } else { Err(faults) }
}

fn labels(fields: &mut Fields<'_>) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    match fields.get("labels") {
        None => {}
        Some(Value::Object(object)) => {
            for (name, value) in object {
                match value {
                    Value::String(value) => labels.push((name.clone(), value.clone())),
                    _ => fields.fault(&format!("labels/{name}"), "must be a text"),
                }
            }
        }
        Some(_) => fields.fault("labels", "must be an object such as {\"mount\":\"/\"}"),
    }
    labels
}

fn matchers(fields: &mut Fields<'_>) -> Vec<Matcher> {
    fields.list("matchers").iter().enumerate().filter_map(|(at, item)| matcher(item, at, fields)).collect()
}

fn matcher(item: &Value, at: usize, fields: &mut Fields<'_>) -> Option<Matcher> {
    let text = |name| item.get(name).and_then(Value::as_str);
    let is_whole = item.as_object().is_some_and(|object| object.len() == 3);
    match (text("label"), text("op").and_then(MatchKind::from_name), text("value")) {
        (Some(label), Some(kind), Some(value)) if is_whole => {
            Some(Matcher { label: label.to_owned(), kind, value: value.to_owned() })
        }
        _ => {
            fields.fault(
                &format!("matchers/{at}"),
                "must be {\"label\":\"mount\",\"op\":\"=~\",\"value\":\"/srv.*\"} with op one of = != =~ !~",
            );
            None
        }
    }
}

/// The one field of an object that has no other.
fn only<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.as_object().filter(|object| object.len() == 1)?.get(name)
}

fn level(value: &Value) -> Option<Level> {
    [Level::Warn, Level::Crit].into_iter().find(|level| value.as_str() == Some(level.name()))
}

fn threshold(fields: &mut Fields<'_>, preset: Option<Preset>) -> Threshold {
    let Some(value) = fields.get("threshold") else {
        if let Some(preset) = preset {
            return Threshold::Value(preset.threshold);
        }
        fields.fault("threshold", "is missing: a number or {\"level\":\"crit\"}");
        return Threshold::Value(0.0);
    };
    if let Some(number) = value.as_f64() {
        return Threshold::Value(number);
    }
    match only(value, "level").map(level) {
        Some(Some(level)) => Threshold::Level(level),
        Some(None) => {
            fields.fault("threshold", format!("the level must be {LEVELS}"));
            Threshold::Value(0.0)
        }
        None => {
            fields.fault("threshold", "must be a number or {\"level\":\"crit\"}");
            Threshold::Value(0.0)
        }
    }
}

fn clear(fields: &mut Fields<'_>) -> Option<Clear> {
    let value = fields.get("clear")?;
    if let Some(number) = value.as_f64() {
        return Some(Clear::Value(number));
    }
    if let Some(margin) = only(value, "margin").and_then(Value::as_f64) {
        return Some(Clear::Margin(margin));
    }
    if let Some(level) = only(value, "level").and_then(level) {
        return Some(Clear::Level(level));
    }
    fields.fault("clear", format!("must be a number, {{\"level\":…}} with {LEVELS}, {{\"margin\":5}} or null"));
    None
}

fn scope(fields: &mut Fields<'_>) -> Scope {
    let Some(value) = fields.get("scope") else { return Scope::Global };
    if value.as_str() == Some("global") {
        return Scope::Global;
    }
    if let Some(tag) = only(value, "tag").and_then(Value::as_str) {
        return Scope::Tag(tag.to_owned());
    }
    match only(value, "agent").and_then(Value::as_str).map(str::parse) {
        Some(Ok(agent)) => return Scope::Agent(agent),
        Some(Err(_)) => fields.fault("scope/agent", "there is no such agent"),
        None => fields.fault("scope", "must be \"global\", {\"tag\":\"db\"} or {\"agent\":\"<id>\"}"),
    }
    Scope::Global
}

fn channels(items: &[Value], path: &str, fields: &mut Fields<'_>) -> Vec<ChannelId> {
    let mut ids = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        match item.as_str().map(str::parse) {
            Some(Ok(id)) => ids.push(id),
            _ => fields.fault(&format!("{path}/{at}"), "there is no such channel"),
        }
    }
    ids
}

fn escalation(fields: &mut Fields<'_>) -> Vec<EscalationStep> {
    let mut steps = Vec::new();
    for (at, item) in fields.list("escalation").iter().enumerate() {
        let after = item.get("after").and_then(Value::as_str).map(time::duration_ms);
        let whom = item.get("channels").and_then(Value::as_array);
        let is_whole = item.as_object().is_some_and(|object| object.len() == 2);
        match (after, whom) {
            (Some(Ok(after_ms)), Some(items)) if is_whole => {
                let channels = channels(items, &format!("escalation/{at}/channels"), fields);
                steps.push(EscalationStep { after_ms, channels });
            }
            (Some(Err(why)), _) => fields.fault(&format!("escalation/{at}/after"), why),
            _ => fields.fault(&format!("escalation/{at}"), "must be {\"after\":\"15m\",\"channels\":[\"<id>\"]}"),
        }
    }
    steps
}
