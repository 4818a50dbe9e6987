//! Answers to range queries: what the agent has, the plan, and its segments read one after another.

use super::cache::agent_key;
use super::failure::Answer;
use super::history::{self, Entry, Selection};
use crate::frame::{Assembly, Wanted};
use crate::resolution::{self, Question};
use crate::seams::RangeQuery;
use nightbell_model::{AgentId, Frame, SeriesKey, Timestamp};
use rusqlite::{Connection, params};

/// Answers a range query.
pub(super) fn range(connection: &Connection, query: &RangeQuery) -> Answer<Frame> {
    let empty = Frame::empty(query.start, query.end);
    let Some((agent, whole_from)) = agent_key(connection, query.agent)? else { return Ok(empty) };
    let (entries, decimals) = history::dictionary(connection, agent)?;
    let mut chosen: Vec<Entry> = entries.into_iter().filter(|entry| query.wants(&entry.key)).collect();
    chosen.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    let Some((start, end)) = extent(connection, agent)?.and_then(|(oldest, newest)| query.clip(oldest, newest)) else {
        return Ok(empty);
    };
    if chosen.is_empty() {
        return Ok(empty);
    }
    let plan = resolution::plan(&Question {
        start,
        end,
        tier: query.tier,
        max_points: query.max_points,
        raw_points: raw_points(connection, agent, (start, end), query.max_points)?,
        whole_from,
    });
    let wanted = chosen.iter().map(|entry| Wanted { key: entry.key.clone(), decimals: decimals[entry.id as usize] }).collect();
    let ids: Vec<u32> = chosen.iter().map(|entry| entry.id).collect();
    let selection = Selection::new(agent, decimals, &ids);
    let mut assembly = Assembly::new(wanted, plan.step_ms);
    for segment in &plan.segments {
        let mut sink = |time: Timestamp, columns: &[crate::rollup::Bucket]| {
            assembly.row(segment.tier, time, columns);
            Ok(())
        };
        history::buckets(connection, &selection, segment.tier, (segment.start, segment.end), &mut sink)?;
    }
    Ok(assembly.finish(query.start, query.end))
}

/// The oldest and the newest moment at which the agent has anything.
pub(super) fn extent(connection: &Connection, agent: i64) -> Answer<Option<(Timestamp, Timestamp)>> {
    let mut edges: Vec<i64> = Vec::new();
    for (table, column) in [
        ("agent_metrics", "ts"),
        ("agent_metrics_5m", "bucket"),
        ("agent_metrics_hourly", "bucket"),
        ("agent_metrics_daily", "bucket"),
    ] {
        for end in ["min", "max"] {
            let sql = format!("SELECT {end}({column}) FROM {table} WHERE agent = ?1");
            let edge: Option<i64> = connection.prepare_cached(&sql)?.query_row([agent], |row| row.get(0))?;
            edges.extend(edge);
        }
    }
    let edge = |edge: Option<&i64>| edge.map(|ms| Timestamp::from_millis(*ms));
    Ok(edge(edges.iter().min()).zip(edge(edges.iter().max())))
}

/// How many raw rows the span has, counted as far as one more than `enough`.
fn raw_points(connection: &Connection, agent: i64, span: (Timestamp, Timestamp), enough: usize) -> Answer<usize> {
    let sql = "SELECT count(*) FROM (SELECT 1 FROM agent_metrics WHERE agent = ?1 AND ts >= ?2 AND ts < ?3 LIMIT ?4)";
    let limit = i64::try_from(enough).unwrap_or(i64::MAX).saturating_add(1);
    let mut select = connection.prepare_cached(sql)?;
    let count: i64 = select.query_row(params![agent, span.0.as_millis(), span.1.as_millis(), limit], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// All series of an agent, sorted.
pub(super) fn series(connection: &Connection, agent: AgentId) -> Answer<Vec<SeriesKey>> {
    let Some((agent, _)) = agent_key(connection, agent)? else { return Ok(Vec::new()) };
    let (entries, _) = history::dictionary(connection, agent)?;
    let mut keys: Vec<SeriesKey> = entries.into_iter().map(|entry| entry.key).collect();
    keys.sort_unstable();
    Ok(keys)
}
