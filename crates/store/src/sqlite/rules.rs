//! Alert rules as rows: plain columns, lists as JSON arrays of texts.

use super::cells::{at, list, named, named_opt, parse, parsed, unfit};
use super::failure::Answer;
use crate::texts;
use nightbell_alerts::{
    Aggregate, Clear, Comparison, EscalationStep, MatchKind, Matcher, Missing, Rule, RuleKind, Scope, Selector, Severity,
    Threshold, Transform,
};
use nightbell_model::{ChannelId, Level, RuleId, Timestamp};
use rusqlite::{Connection, Row, params};

/// Adds a rule or replaces it; when it was made stays.
pub(super) fn put(connection: &Connection, rule: &Rule, created_at: Timestamp) -> Answer<()> {
    let sql = "INSERT INTO alert_rules (id, version, name, rule_key, metric, labels, matchers, aggregate, comparison, \
               threshold_kind, threshold, clear_kind, clear, hold_ms, keep_firing_ms, cooldown_ms, repeat_ms, missing, \
               missing_after_ms, severity, scope_kind, scope, channels, escalation, fold_late, enabled, created_at, kind, \
               transform, transform_window_ms, transform_span_ms) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, \
               ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31) ON CONFLICT (id) DO UPDATE SET version = ?2, name = ?3, rule_key = ?4, metric = ?5, \
               labels = ?6, matchers = ?7, aggregate = ?8, comparison = ?9, threshold_kind = ?10, threshold = ?11, \
               clear_kind = ?12, clear = ?13, hold_ms = ?14, keep_firing_ms = ?15, cooldown_ms = ?16, repeat_ms = ?17, \
               missing = ?18, missing_after_ms = ?19, severity = ?20, scope_kind = ?21, scope = ?22, channels = ?23, \
               escalation = ?24, fold_late = ?25, enabled = ?26, kind = ?28, transform = ?29, transform_window_ms = ?30, \
               transform_span_ms = ?31";
    let (threshold_kind, threshold) = threshold_cells(rule.threshold);
    let (clear_kind, clear) = rule.clear.map(clear_cells).unzip();
    let (scope_kind, scope) = scope_cells(&rule.scope);
    let (window_ms, span_ms) = rule.transform.spans().unzip();
    connection.prepare_cached(sql)?.execute(params![
        rule.id.to_string(),
        rule.version.cast_signed(),
        rule.name,
        rule.key,
        rule.selector.metric,
        label_cell(&rule.selector),
        write_matchers(&rule.selector.matchers),
        rule.selector.aggregate.name(),
        rule.comparison.name(),
        threshold_kind,
        threshold,
        clear_kind,
        clear.flatten(),
        rule.hold_ms,
        rule.keep_firing_ms,
        rule.cooldown_ms,
        rule.repeat_ms,
        rule.missing.name(),
        rule.missing_after_ms,
        rule.severity.name(),
        scope_kind,
        scope,
        channel_cell(&rule.channels),
        escalation_cell(&rule.escalation),
        rule.fold_late,
        rule.enabled,
        created_at.as_millis(),
        rule.kind.name(),
        rule.transform.name(),
        window_ms,
        span_ms,
    ])?;
    Ok(())
}

/// Removes a rule; how many there were.
pub(super) fn delete(connection: &Connection, id: RuleId) -> Answer<usize> {
    Ok(connection.prepare_cached("DELETE FROM alert_rules WHERE id = ?1")?.execute([id.to_string()])?)
}

/// All rules with the time they were made, by id.
pub(super) fn all(connection: &Connection) -> Answer<Vec<(Rule, Timestamp)>> {
    let mut select = connection.prepare_cached("SELECT * FROM alert_rules ORDER BY id")?;
    Ok(select.query_map([], |row| Ok((read(row)?, at(row, "created_at")?)))?.collect::<rusqlite::Result<_>>()?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Rule> {
    Ok(Rule {
        id: parsed(row, "id")?,
        version: row.get::<_, i64>("version")?.cast_unsigned(),
        name: row.get("name")?,
        key: row.get("rule_key")?,
        kind: named(row, "kind", RuleKind::from_name)?,
        selector: Selector {
            metric: row.get("metric")?,
            labels: list(row, "labels")?.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect(),
            matchers: read_matchers(row)?,
            aggregate: named(row, "aggregate", Aggregate::from_name)?,
        },
        transform: read_transform(row)?,
        comparison: named(row, "comparison", Comparison::from_name)?,
        threshold: read_threshold(row)?,
        clear: read_clear(row)?,
        hold_ms: row.get("hold_ms")?,
        keep_firing_ms: row.get("keep_firing_ms")?,
        cooldown_ms: row.get("cooldown_ms")?,
        repeat_ms: row.get("repeat_ms")?,
        missing: named(row, "missing", Missing::from_name)?,
        missing_after_ms: row.get("missing_after_ms")?,
        severity: named(row, "severity", Severity::from_name)?,
        scope: read_scope(row)?,
        channels: list(row, "channels")?.iter().map(|id| parse("channels", id)).collect::<rusqlite::Result<_>>()?,
        escalation: read_escalation(&list(row, "escalation")?)?,
        fold_late: row.get("fold_late")?,
        enabled: row.get("enabled")?,
    })
}

fn read_transform(row: &Row<'_>) -> rusqlite::Result<Transform> {
    let window = row.get::<_, Option<i64>>("transform_window_ms")?;
    let spans = window.zip(row.get::<_, Option<i64>>("transform_span_ms")?);
    named(row, "transform", |name| Transform::from_spans(name, spans))
}

fn level_named(name: &str) -> Option<Level> {
    [Level::Warn, Level::Crit].into_iter().find(|level| level.name() == name)
}

const fn threshold_cells(threshold: Threshold) -> (&'static str, Option<f64>) {
    match threshold {
        Threshold::Value(value) => ("value", Some(value)),
        Threshold::Level(level) => (level.name(), None),
    }
}

fn read_threshold(row: &Row<'_>) -> rusqlite::Result<Threshold> {
    let value = row.get::<_, Option<f64>>("threshold")?;
    named(row, "threshold_kind", |name| match (name, value) {
        ("value", Some(value)) => Some(Threshold::Value(value)),
        (name, _) => level_named(name).map(Threshold::Level),
    })
}

const fn clear_cells(clear: Clear) -> (&'static str, Option<f64>) {
    match clear {
        Clear::Value(value) => ("value", Some(value)),
        Clear::Margin(margin) => ("margin", Some(margin)),
        Clear::Level(level) => (level.name(), None),
    }
}

fn read_clear(row: &Row<'_>) -> rusqlite::Result<Option<Clear>> {
    let value = row.get::<_, Option<f64>>("clear")?;
    named_opt(row, "clear_kind", |name| match (name, value) {
        ("value", Some(value)) => Some(Clear::Value(value)),
        ("margin", Some(margin)) => Some(Clear::Margin(margin)),
        (name, _) => level_named(name).map(Clear::Level),
    })
}

fn scope_cells(scope: &Scope) -> (&'static str, Option<String>) {
    match scope {
        Scope::Global => ("global", None),
        Scope::Tag(tag) => ("tag", Some(tag.clone())),
        Scope::Agent(agent) => ("agent", Some(agent.to_string())),
    }
}

fn read_scope(row: &Row<'_>) -> rusqlite::Result<Scope> {
    let scope = row.get::<_, Option<String>>("scope")?;
    named(row, "scope_kind", |name| match (name, &scope) {
        ("global", None) => Some(Scope::Global),
        ("tag", Some(tag)) => Some(Scope::Tag(tag.clone())),
        ("agent", Some(agent)) => agent.parse().ok().map(Scope::Agent),
        _ => None,
    })
}

fn label_cell(selector: &Selector) -> String {
    let flat: Vec<&str> = selector.labels.iter().flat_map(|(name, value)| [&**name, &**value]).collect();
    texts::write(&flat)
}

/// Conditions on labels as one cell: label, kind, value, …
pub(super) fn write_matchers(matchers: &[Matcher]) -> String {
    let flat: Vec<&str> = matchers.iter().flat_map(|matcher| [&*matcher.label, matcher.kind.name(), &*matcher.value]).collect();
    texts::write(&flat)
}

/// The conditions on labels of a row.
pub(super) fn read_matchers(row: &Row<'_>) -> rusqlite::Result<Vec<Matcher>> {
    list(row, "matchers")?.chunks_exact(3).map(read_matcher).collect()
}

fn read_matcher(cells: &[String]) -> rusqlite::Result<Matcher> {
    let kind = MatchKind::from_name(&cells[1]).ok_or_else(|| unfit("matchers", &cells[1]))?;
    Ok(Matcher { label: cells[0].clone(), kind, value: cells[2].clone() })
}

fn channel_cell(channels: &[ChannelId]) -> String {
    texts::write(&channels.iter().map(ToString::to_string).collect::<Vec<_>>())
}

fn escalation_cell(steps: &[EscalationStep]) -> String {
    let mut flat = Vec::new();
    for step in steps {
        flat.push(step.after_ms.to_string());
        flat.push(step.channels.len().to_string());
        flat.extend(step.channels.iter().map(ToString::to_string));
    }
    texts::write(&flat)
}

fn read_escalation(flat: &[String]) -> rusqlite::Result<Vec<EscalationStep>> {
    let (mut steps, mut rest) = (Vec::new(), flat);
    while let [after, count, tail @ ..] = rest {
        let count: usize = parse("escalation", count)?;
        let channels = tail.get(..count).ok_or_else(|| unfit("escalation", &count.to_string()))?;
        let channels = channels.iter().map(|id| parse("escalation", id)).collect::<rusqlite::Result<_>>()?;
        steps.push(EscalationStep { after_ms: parse("escalation", after)?, channels });
        rest = &tail[count..];
    }
    Ok(steps)
}
