//! What the alerting machine keeps: the states of instances, what channels were told, and incidents.

use super::cells::{at, at_opt, ms, named, named_opt, number, parsed, parsed_opt};
use super::failure::Answer;
use super::filter::Filter;
use crate::seams::{Attachment, IncidentQuery, Page};
use nightbell_alerts::{Ack, Comparison, EndReason, IncidentRecord, InstanceKey, InstanceRecord, Severity, State, ToldRecord};
use nightbell_model::{IncidentId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// Writes an instance's record.
pub(super) fn put_instance(connection: &Connection, record: &InstanceRecord) -> Answer<()> {
    let sql = "INSERT OR REPLACE INTO alert_state (rule, agent, series, state, since, fired_at, clear_since, was_firing, \
               incident, rule_version, samples, peak) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    connection.prepare_cached(sql)?.execute(params![
        record.key.rule.to_string(),
        record.key.agent.to_string(),
        record.key.series.as_str(),
        record.state.name(),
        record.since.as_millis(),
        ms(record.fired_at),
        ms(record.clear_since),
        record.was_firing,
        record.incident.map(|id| id.to_string()),
        record.rule_version.cast_signed(),
        record.samples,
        record.peak,
    ])?;
    Ok(())
}

/// Removes an instance's record.
pub(super) fn forget_instance(connection: &Connection, key: &InstanceKey) -> Answer<()> {
    let sql = "DELETE FROM alert_state WHERE rule = ?1 AND agent = ?2 AND series = ?3";
    connection.prepare_cached(sql)?.execute([&*key.rule.to_string(), &*key.agent.to_string(), key.series.as_str()])?;
    Ok(())
}

fn read_key(row: &Row<'_>) -> rusqlite::Result<InstanceKey> {
    Ok(InstanceKey { rule: parsed(row, "rule")?, agent: parsed(row, "agent")?, series: parsed(row, "series")? })
}

/// All instances' records, by agent; `last_ts` is not filled in yet.
pub(super) fn instances(connection: &Connection) -> Answer<Vec<InstanceRecord>> {
    let read = |row: &Row<'_>| {
        Ok(InstanceRecord {
            key: read_key(row)?,
            state: named(row, "state", State::from_name)?,
            since: at(row, "since")?,
            fired_at: at_opt(row, "fired_at")?,
            clear_since: at_opt(row, "clear_since")?,
            was_firing: row.get("was_firing")?,
            incident: parsed_opt(row, "incident")?,
            rule_version: row.get::<_, i64>("rule_version")?.cast_unsigned(),
            samples: row.get("samples")?,
            peak: row.get("peak")?,
            last_ts: None,
        })
    };
    let mut select = connection.prepare_cached("SELECT * FROM alert_state ORDER BY rule, agent, series")?;
    Ok(select.query_map([], read)?.collect::<rusqlite::Result<_>>()?)
}

/// Writes what a channel has been told; a channel that was told nothing that matters any more is not kept.
pub(super) fn put_told(connection: &Connection, record: &ToldRecord) -> Answer<()> {
    if record.is_blank() {
        let sql = "DELETE FROM notice_state WHERE rule = ?1 AND agent = ?2 AND series = ?3 AND channel = ?4";
        let key = &record.key;
        let row = params![key.rule.to_string(), key.agent.to_string(), key.series.as_str(), record.channel.to_string()];
        connection.prepare_cached(sql)?.execute(row)?;
        return Ok(());
    }
    let sql = "INSERT OR REPLACE INTO notice_state (rule, agent, series, channel, told, told_nodata, last_fired_at, \
               last_said_at, suppressed, repeats) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    connection.prepare_cached(sql)?.execute(params![
        record.key.rule.to_string(),
        record.key.agent.to_string(),
        record.key.series.as_str(),
        record.channel.to_string(),
        record.told.map(|id| id.to_string()),
        record.told_nodata.map(|id| id.to_string()),
        ms(record.last_fired_at),
        ms(record.last_said_at),
        record.suppressed,
        record.repeats,
    ])?;
    Ok(())
}

/// What all channels have been told.
pub(super) fn told(connection: &Connection) -> Answer<Vec<ToldRecord>> {
    let read = |row: &Row<'_>| {
        Ok(ToldRecord {
            key: read_key(row)?,
            channel: parsed(row, "channel")?,
            told: parsed_opt(row, "told")?,
            told_nodata: parsed_opt(row, "told_nodata")?,
            last_fired_at: at_opt(row, "last_fired_at")?,
            last_said_at: at_opt(row, "last_said_at")?,
            suppressed: row.get("suppressed")?,
            repeats: row.get("repeats")?,
        })
    };
    let mut select = connection.prepare_cached("SELECT * FROM notice_state ORDER BY rule, agent, series, channel")?;
    Ok(select.query_map([], read)?.collect::<rusqlite::Result<_>>()?)
}

/// Writes an incident, new or changed.
pub(super) fn put_incident(connection: &Connection, record: &IncidentRecord) -> Answer<()> {
    let sql = "INSERT INTO incidents (id, rule, agent, series, rule_name, severity, comparison, threshold, hold_ms, \
               started_at, fired_at, resolved_at, end_reason, value, peak, samples, ack_by, ack_at, ack_note, ack_until, \
               why, late) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22) \
               ON CONFLICT (id) DO UPDATE SET rule = ?2, agent = ?3, series = ?4, rule_name = ?5, severity = ?6, \
               comparison = ?7, threshold = ?8, hold_ms = ?9, started_at = ?10, fired_at = ?11, resolved_at = ?12, \
               end_reason = ?13, value = ?14, peak = ?15, samples = ?16, ack_by = ?17, ack_at = ?18, ack_note = ?19, \
               ack_until = ?20, why = ?21, late = ?22";
    let ack = record.ack.as_ref();
    connection.prepare_cached(sql)?.execute(params![
        record.id.to_string(),
        record.key.rule.to_string(),
        record.key.agent.to_string(),
        record.key.series.as_str(),
        record.rule_name,
        record.severity.name(),
        record.comparison.name(),
        record.threshold,
        record.hold_ms,
        record.started_at.as_millis(),
        record.fired_at.as_millis(),
        ms(record.resolved_at),
        record.end_reason.map(EndReason::name),
        record.value,
        record.peak,
        record.samples,
        ack.map(|ack| &*ack.by),
        ack.map(|ack| ack.at.as_millis()),
        ack.map(|ack| &*ack.note),
        ack.and_then(|ack| ms(ack.until)),
        record.why,
        record.late,
    ])?;
    Ok(())
}

fn read_incident(row: &Row<'_>) -> rusqlite::Result<IncidentRecord> {
    let ack = match row.get("ack_by")? {
        Some(by) => Some(Ack { by, at: at(row, "ack_at")?, note: row.get("ack_note")?, until: at_opt(row, "ack_until")? }),
        None => None,
    };
    Ok(IncidentRecord {
        id: parsed(row, "id")?,
        key: read_key(row)?,
        rule_name: row.get("rule_name")?,
        severity: named(row, "severity", Severity::from_name)?,
        comparison: named(row, "comparison", Comparison::from_name)?,
        threshold: number(row, "threshold")?,
        hold_ms: row.get("hold_ms")?,
        started_at: at(row, "started_at")?,
        fired_at: at(row, "fired_at")?,
        resolved_at: at_opt(row, "resolved_at")?,
        end_reason: named_opt(row, "end_reason", EndReason::from_name)?,
        value: number(row, "value")?,
        peak: number(row, "peak")?,
        samples: row.get("samples")?,
        ack,
        why: row.get("why")?,
        late: row.get("late")?,
    })
}

/// A page of incidents, newest first.
pub(super) fn incidents(connection: &Connection, query: &IncidentQuery) -> Answer<Page<IncidentRecord>> {
    let mut filter = Filter::newest_first("incidents", "place", query.before);
    match query.open {
        Some(true) => filter.and_plain("resolved_at IS NULL"),
        Some(false) => filter.and_plain("resolved_at IS NOT NULL"),
        None => {}
    }
    filter.and_is("agent", query.agent.map(|id| id.to_string()));
    filter.and_is("rule", query.rule.map(|id| id.to_string()));
    if let Some((start, end)) = query.during {
        filter.and("started_at < ?", end.as_millis());
        filter.and("(resolved_at IS NULL OR resolved_at > ?)", start.as_millis());
    }
    filter.page(connection, query.limit, read_incident)
}

/// The incidents that are open, those whose end some channel has not been told of, and those of late bursts that were not
/// settled yet, oldest first.
pub(super) fn unfinished_incidents(connection: &Connection) -> Answer<Vec<IncidentRecord>> {
    let sql = "SELECT * FROM incidents WHERE place IN (SELECT place FROM incidents WHERE resolved_at IS NULL \
               UNION SELECT place FROM incidents WHERE late = 1 UNION SELECT place FROM incidents WHERE id IN \
               (SELECT told FROM notice_state UNION SELECT told_nodata FROM notice_state)) ORDER BY place";
    let mut select = connection.prepare_cached(sql)?;
    Ok(select.query_map([], read_incident)?.collect::<rusqlite::Result<_>>()?)
}

/// One incident with what is attached to it, in order.
pub(super) fn incident(connection: &Connection, id: IncidentId) -> Answer<Option<(IncidentRecord, Vec<Attachment>)>> {
    let id = id.to_string();
    let mut select = connection.prepare_cached("SELECT * FROM incidents WHERE id = ?1")?;
    let Some(record) = select.query_row([&id], read_incident).optional()? else { return Ok(None) };
    let read = |row: &Row<'_>| Ok(Attachment { at: at(row, "at")?, kind: row.get("kind")?, json: row.get("body")? });
    let mut select = connection.prepare_cached("SELECT * FROM incident_attachments WHERE incident = ?1 ORDER BY place")?;
    let attachments = select.query_map([&id], read)?.collect::<rusqlite::Result<_>>()?;
    Ok(Some((record, attachments)))
}

/// Attaches something to an incident.
pub(super) fn attach(connection: &Connection, incident: IncidentId, when: Timestamp, kind: &str, json: &str) -> Answer<()> {
    let sql = "INSERT INTO incident_attachments (incident, at, kind, body) VALUES (?1, ?2, ?3, ?4)";
    connection.prepare_cached(sql)?.execute(params![incident.to_string(), when.as_millis(), kind, json])?;
    Ok(())
}
