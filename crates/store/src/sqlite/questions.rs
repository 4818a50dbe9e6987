//! Questions beside ranges: one metric over the fleet, long answers by pages, and whether an answer may be kept.

use super::failure::Answer;
use super::held;
use super::history::{self, Selection, Span};
use super::sight::Sight;
use super::{across, extent, pins, range};
use crate::export;
use crate::fleet::{Steps, Sums};
use crate::query::{names, revision_of};
use crate::resolution::{self, Question, Segment};
use crate::retention::WholeFrom;
use crate::seams::{ExportPage, ExportQuery, FleetFrame, FleetQuery};
use nightbell_model::{AgentId, SeriesKey, Tier};
use rusqlite::Connection;

/// Answers for one metric over many agents.
pub(super) fn fleet(connection: &Connection, sight: &Sight<'_>, query: &FleetQuery) -> Answer<FleetFrame> {
    if let Some(answer) = across::fleet(connection, sight, query)? {
        return Ok(answer);
    }
    one_by_one(connection, sight, query)
}

/// The same, asking agent by agent.
pub(super) fn one_by_one(connection: &Connection, sight: &Sight<'_>, query: &FleetQuery) -> Answer<FleetFrame> {
    let (mut sums, mut steps) = (Sums::new(query), Steps::new(query));
    for agent in sums.agents() {
        steps.clear();
        if let Some(decimals) = steps_of(connection, sight, query, agent, &mut steps)? {
            sums.add(agent, &steps, decimals);
        }
    }
    Ok(sums.finish())
}

/// Fills in what one agent has; the decimals of it, if it has the metric.
fn steps_of(
    connection: &Connection,
    sight: &Sight<'_>,
    query: &FleetQuery,
    agent: AgentId,
    steps: &mut Steps,
) -> Answer<Option<u8>> {
    let Some(held) = held::of(connection, agent)? else { return Ok(None) };
    let found = sight.dictionary(connection, held.key)?;
    let ids: Vec<u32> = found.entries.iter().filter(|entry| names(&query.series, &entry.key)).map(|entry| entry.id).collect();
    let Some(first) = ids.first() else { return Ok(None) };
    let selection = Selection::new(&held, &found.decimals, &ids, sight.noted);
    for segment in planned((query.start, query.end), held.whole_from, Some(query.step_ms.max(1))) {
        history::buckets(connection, &selection, segment.tier, (segment.start, segment.end), &mut |time, columns| {
            columns.iter().for_each(|column| steps.add(time, column));
            Ok(())
        })?;
    }
    Ok(found.decimals.get(*first as usize).copied())
}

/// Where the parts of a span are read from.
pub(super) fn planned((start, end): Span, whole_from: WholeFrom, step_ms: Option<i64>) -> Vec<Segment> {
    let question = Question { start, end, tier: None, max_points: 0, raw_points: 0, whole_from };
    resolution::segments(&question, step_ms)
}

/// The next page of a long answer.
pub(super) fn export_page(connection: &Connection, sight: &Sight<'_>, query: &ExportQuery) -> Answer<ExportPage> {
    let nothing = ExportPage { mean: vec![Vec::new(); query.series.len()], ..ExportPage::default() };
    let Some(held) = held::of(connection, query.agent)? else { return Ok(nothing) };
    let Some((span, whole_from)) = range::span(connection, &held, (query.start, query.end))? else { return Ok(nothing) };
    let found = sight.dictionary(connection, held.key)?;
    let id_of = |wanted: &SeriesKey| found.entries.iter().find(|entry| entry.key == *wanted).map_or(u32::MAX, |entry| entry.id);
    let ids: Vec<u32> = query.series.iter().map(id_of).collect();
    let wanted: Vec<u8> = ids.iter().map(|id| found.decimals.get(*id as usize).copied().unwrap_or(0)).collect();
    let selection = Selection::new(&held, &found.decimals, &ids, sight.noted);
    let mut segments = planned(span, whole_from, query.tier.width_ms());
    if query.tier == Tier::Raw {
        segments = pins::between(connection, held.key, span, segments)?;
    }
    export::page(query, &segments, &wanted, |tier, span, rows| history::buckets(connection, &selection, tier, span, rows))
}

/// What answers over a span depend on, unless it still grows.
pub(super) fn revision(connection: &Connection, agent: AgentId, span: Span) -> Answer<Option<u64>> {
    let Some(held) = held::of(connection, agent)? else { return Ok(None) };
    if span.1 > held.sealed_to {
        return Ok(None);
    }
    let Some((start, end)) = extent::clip(connection, &held, span)? else { return Ok(None) };
    let [raw, five, hourly, daily] = Tier::ALL.map(|tier| held.whole_from.of(tier).as_millis());
    Ok(Some(revision_of(&[held.revision, start.as_millis(), end.as_millis(), raw, five, hourly, daily])))
}
