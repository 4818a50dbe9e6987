//! Answers to range queries: what the agent has, the plan, and its segments read one after another.

use super::dictionary::Entry;
use super::failure::Answer;
use super::held::{self, Held};
use super::history::{self, Selection, Span};
use super::sight::Sight;
use super::{extent, pins, raw};
use crate::frame::{Assembly, Wanted};
use crate::resolution::{self, Question};
use crate::retention::WholeFrom;
use crate::seams::{RangeQuery, StoreError};
use nightbell_model::{AgentId, Frame, SeriesKey, Tier};
use rusqlite::Connection;

/// Answers a range query, if the answer has no more than `most_values`.
pub(super) fn range(connection: &Connection, sight: &Sight<'_>, query: &RangeQuery, most_values: usize) -> Answer<Frame> {
    let empty = Frame::empty(query.start, query.end);
    let Some(held) = held::of(connection, query.agent)? else { return Ok(empty) };
    let found = sight.dictionary(connection, held.key)?;
    let mut chosen: Vec<&Entry> = found.entries.iter().filter(|entry| query.wants(&entry.key)).collect();
    chosen.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    let Some(((start, end), whole_from)) = span(connection, &held, (query.start, query.end))? else { return Ok(empty) };
    if chosen.is_empty() {
        return Ok(empty);
    }
    let ids: Vec<u32> = chosen.iter().map(|entry| entry.id).collect();
    let selection = Selection::new(&held, &found.decimals, &ids, sight.noted);
    let (tier, max_points) = (query.tier, query.max_points);
    let raw_span = (start.max(whole_from.of(Tier::Raw)), end);
    // Who names a tier gets it, however much that is.
    let raw_points = if tier.is_some() { 0 } else { raw::count(connection, &selection, raw_span, max_points)? };
    let decimals = |entry: &Entry| found.decimals.get(entry.id as usize).copied().unwrap_or(0);
    let wanted = || chosen.iter().map(|entry| Wanted { key: entry.key.clone(), decimals: decimals(entry) }).collect();
    resolution::within_budget(query.tier, max_points, raw_points, |raw_points| {
        let mut plan = resolution::plan(&Question { start, end, tier, max_points, raw_points, whole_from });
        if plan.step_ms.is_none() {
            plan.segments = pins::between(connection, held.key, (start, end), plan.segments)?;
        }
        let mut assembly = Assembly::new(wanted(), plan.step_ms, end.millis_since(start));
        for segment in &plan.segments {
            let mut sink = |time, columns: &[crate::rollup::Bucket]| {
                assembly.row(segment.tier, time, columns);
                if assembly.values() > most_values { Err(StoreError::TooMuch { most: most_values }.into()) } else { Ok(()) }
            };
            history::buckets(connection, &selection, segment.tier, (segment.start, segment.end), &mut sink)?;
        }
        Ok(assembly.finish(query.start, query.end))
    })
}

/// The part of a span in which the agent may have anything, and what its tiers are whole from there: where raw is kept for an
/// incident all over the span, it is whole.
pub(super) fn span(connection: &Connection, held: &Held, span: Span) -> Answer<Option<(Span, WholeFrom)>> {
    if let Some(pinned) = pins::within(connection, held, span)? {
        return Ok(Some((pinned, held.whole_from.with_raw_from(pinned.0))));
    }
    Ok(extent::clip(connection, held, span)?.map(|span| (span, held.whole_from)))
}

/// All series of an agent, sorted.
pub(super) fn series(connection: &Connection, sight: &Sight<'_>, agent: AgentId) -> Answer<Vec<SeriesKey>> {
    let Some(held) = held::of(connection, agent)? else { return Ok(Vec::new()) };
    let known = sight.dictionary(connection, held.key)?;
    let mut keys: Vec<SeriesKey> = known.entries.iter().map(|entry| entry.key.clone()).collect();
    keys.sort_unstable();
    Ok(keys)
}
