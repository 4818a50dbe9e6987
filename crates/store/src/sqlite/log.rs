//! The event log and the audit log: written once, read in pages.

use super::cells::{at, ms, named, parsed_opt};
use super::failure::Answer;
use super::filter::Filter;
use crate::entities::AuditEntry;
use crate::seams::{EventQuery, LoggedEvent, Page};
use nightbell_alerts::{Event, EventKind};
use rusqlite::{Connection, Row, params};

/// Appends a line to the event log.
pub(super) fn write(connection: &Connection, event: &Event) -> Answer<LoggedEvent> {
    let sql = "INSERT INTO alert_events (at, kind, agent, rule, incident, series, value, threshold, reason) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    connection.prepare_cached(sql)?.execute(params![
        event.at.as_millis(),
        event.kind.name(),
        event.agent.map(|id| id.to_string()),
        event.rule.map(|id| id.to_string()),
        event.incident.map(|id| id.to_string()),
        event.series.as_ref().map(|key| key.as_str()),
        event.value,
        event.threshold,
        event.reason,
    ])?;
    Ok(LoggedEvent { seq: connection.last_insert_rowid().cast_unsigned(), event: event.clone() })
}

fn read(row: &Row<'_>) -> rusqlite::Result<LoggedEvent> {
    let event = Event {
        at: at(row, "at")?,
        kind: named(row, "kind", EventKind::from_name)?,
        agent: parsed_opt(row, "agent")?,
        rule: parsed_opt(row, "rule")?,
        incident: parsed_opt(row, "incident")?,
        series: parsed_opt(row, "series")?,
        value: row.get("value")?,
        threshold: row.get("threshold")?,
        reason: row.get("reason")?,
    };
    Ok(LoggedEvent { seq: row.get::<_, i64>("seq")?.cast_unsigned(), event })
}

/// A page of the event log.
pub(super) fn events(connection: &Connection, query: &EventQuery) -> Answer<Page<LoggedEvent>> {
    let mut filter = Filter::newest_first("alert_events", "seq", query.before);
    if let Some(after) = query.after {
        filter.oldest_first_after(after);
    }
    filter.and_is("agent", query.agent.map(|id| id.to_string()));
    filter.and_is("incident", query.incident.map(|id| id.to_string()));
    if let Some((start, end)) = query.during {
        filter.and("at >= ?", start.as_millis());
        filter.and("at < ?", end.as_millis());
    }
    filter.and_any_of("kind", query.kinds.iter().map(|kind| kind.name()));
    filter.page(connection, query.limit, read)
}

/// The lines `first` to `last`, oldest first.
pub(super) fn lines(connection: &Connection, first: i64, last: i64) -> Answer<Vec<LoggedEvent>> {
    let mut select = connection.prepare_cached("SELECT * FROM alert_events WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq")?;
    Ok(select.query_map([first, last], read)?.collect::<rusqlite::Result<_>>()?)
}

/// Appends a line to the audit log.
pub(super) fn write_audit(connection: &Connection, entry: &AuditEntry) -> Answer<()> {
    let sql = "INSERT INTO audit (at, actor, action, object, detail, address) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    connection.prepare_cached(sql)?.execute(params![
        ms(Some(entry.at)),
        entry.actor,
        entry.action,
        entry.object,
        entry.detail_json,
        entry.address
    ])?;
    Ok(())
}

/// A page of the audit log, newest first.
pub(super) fn audit(connection: &Connection, before: Option<u64>, limit: usize) -> Answer<Page<AuditEntry>> {
    let read = |row: &Row<'_>| {
        Ok(AuditEntry {
            at: at(row, "at")?,
            actor: row.get("actor")?,
            action: row.get("action")?,
            object: row.get("object")?,
            detail_json: row.get("detail")?,
            address: row.get("address")?,
        })
    };
    Filter::newest_first("audit", "seq", before).page(connection, limit, read)
}
