//! Questions beside ranges: one metric over the fleet, long answers by pages, and whether an answer may be kept.

use super::cache::agent_key;
use super::failure::Answer;
use super::history::{self, Selection};
use super::range::extent;
use crate::export;
use crate::fleet::{Steps, Sums};
use crate::query::{clip, names, revision_of};
use crate::resolution::{self, Question, Segment};
use crate::retention::WholeFrom;
use crate::seams::{ExportPage, ExportQuery, FleetFrame, FleetQuery};
use nightbell_model::{AgentId, SeriesKey, Tier, Timestamp};
use rusqlite::{Connection, params};

/// Answers for one metric over many agents.
pub(super) fn fleet(connection: &Connection, query: &FleetQuery) -> Answer<FleetFrame> {
    let (mut sums, mut steps) = (Sums::new(query), Steps::new(query));
    for agent in sums.agents() {
        steps.clear();
        if let Some(decimals) = steps_of(connection, query, agent, &mut steps)? {
            sums.add(agent, &steps, decimals);
        }
    }
    Ok(sums.finish())
}

/// Fills in what one agent has; the decimals of it, if it has the metric.
fn steps_of(connection: &Connection, query: &FleetQuery, agent: AgentId, steps: &mut Steps) -> Answer<Option<u8>> {
    let Some((key, whole_from)) = agent_key(connection, agent)? else { return Ok(None) };
    let (entries, decimals) = history::dictionary(connection, key)?;
    let ids: Vec<u32> = entries.iter().filter(|entry| names(&query.series, &entry.key)).map(|entry| entry.id).collect();
    let Some(first) = ids.first() else { return Ok(None) };
    let Some(clipped) = extent(connection, key)?.and_then(|held| clip((query.start, query.end), held)) else { return Ok(None) };
    let found = decimals.get(*first as usize).copied();
    let selection = Selection::new(key, decimals, &ids);
    for segment in planned(clipped, whole_from, Some(query.step_ms.max(1))) {
        history::buckets(connection, &selection, segment.tier, (segment.start, segment.end), &mut |time, columns| {
            columns.iter().for_each(|column| steps.add(time, column));
            Ok(())
        })?;
    }
    Ok(found)
}

fn planned((start, end): (Timestamp, Timestamp), whole_from: WholeFrom, step_ms: Option<i64>) -> Vec<Segment> {
    let question = Question { start, end, tier: None, max_points: 0, raw_points: 0, whole_from };
    resolution::segments(&question, step_ms)
}

/// The next page of a long answer.
pub(super) fn export_page(connection: &Connection, query: &ExportQuery) -> Answer<ExportPage> {
    let nothing = ExportPage { mean: vec![Vec::new(); query.series.len()], ..ExportPage::default() };
    let Some((agent, whole_from)) = agent_key(connection, query.agent)? else { return Ok(nothing) };
    let Some(span) = extent(connection, agent)?.and_then(|held| clip((query.start, query.end), held)) else {
        return Ok(nothing);
    };
    let (entries, decimals) = history::dictionary(connection, agent)?;
    let id_of = |wanted: &SeriesKey| entries.iter().find(|entry| entry.key == *wanted).map_or(u32::MAX, |entry| entry.id);
    let ids: Vec<u32> = query.series.iter().map(id_of).collect();
    let wanted: Vec<u8> = ids.iter().map(|id| decimals.get(*id as usize).copied().unwrap_or(0)).collect();
    let selection = Selection::new(agent, decimals, &ids);
    let segments = planned(span, whole_from, query.tier.width_ms());
    export::page(query, &segments, &wanted, |tier, span, rows| history::buckets(connection, &selection, tier, span, rows))
}

/// What answers over a span depend on, unless it still grows.
pub(super) fn revision(connection: &Connection, agent: AgentId, span: (Timestamp, Timestamp)) -> Answer<Option<u64>> {
    let Some((key, whole_from)) = agent_key(connection, agent)? else { return Ok(None) };
    let sql = "SELECT sealed_to, revision FROM agent_keys WHERE key = ?1";
    let mut select = connection.prepare_cached(sql)?;
    let (sealed_to, revision): (Option<i64>, i64) = select.query_row(params![key], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if sealed_to.is_none_or(|sealed_to| span.1.as_millis() > sealed_to) {
        return Ok(None);
    }
    let Some((start, end)) = extent(connection, key)?.and_then(|held| clip(span, held)) else { return Ok(None) };
    let whole = Tier::ALL.map(|tier| whole_from.of(tier).as_millis());
    Ok(Some(revision_of(&[revision, start.as_millis(), end.as_millis(), whole[0], whole[1], whole[2], whole[3]])))
}
