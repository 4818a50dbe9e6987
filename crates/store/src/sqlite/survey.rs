//! Surveys of the fleet on SQLite: agent by agent, all its series in one pass, a few agents in each snapshot.

use super::dictionary::Dictionary;
use super::failure::Answer;
use super::held;
use super::history::{self, Selection};
use super::questions::planned;
use super::sight::Sight;
use crate::survey::{FleetSurvey, Layout};
use nightbell_model::AgentId;
use rusqlite::Connection;
use std::sync::Arc;

/// Asking an agent costs as much as so many of its rows.
const ASKING: usize = 8;

/// How an agent's rows are read, and the dictionary that it is read so for: agents of a kind have theirs in common.
type Reading = (Arc<Dictionary>, Layout, Vec<u32>);

/// Reads more agents: at least one, and no more once so many rows were read.
pub(super) fn some(connection: &Connection, sight: &Sight<'_>, survey: &mut FleetSurvey, most_rows: usize) -> Answer<()> {
    let (mut rows, mut last) = (0, None);
    while let Some(agent) = survey.next_agent() {
        rows += ASKING + one(connection, sight, (survey, agent), &mut last)?;
        if rows >= most_rows {
            break;
        }
    }
    Ok(())
}

/// Reads an agent; how many rows that were.
fn one(
    connection: &Connection,
    sight: &Sight<'_>,
    (survey, agent): (&mut FleetSurvey, AgentId),
    last: &mut Option<Reading>,
) -> Answer<usize> {
    let mut rows = 0;
    // Reading it may have failed before.
    survey.again();
    let Some(held) = held::of(connection, agent)? else {
        survey.pass();
        return Ok(rows);
    };
    let found = sight.dictionary(connection, held.key)?;
    if last.as_ref().is_none_or(|(known, ..)| !Arc::ptr_eq(known, &found)) {
        *last = Some(reading(survey, found));
    }
    let Some((found, layout, ids)) = last.as_ref() else { return Ok(rows) };
    let selection = Selection::new(&held, &found.decimals, ids, sight.noted);
    let span = survey.span();
    for segment in planned((span.start, span.end), held.whole_from, Some(span.step_ms.max(1))) {
        history::buckets(connection, &selection, segment.tier, (segment.start, segment.end), &mut |time, columns| {
            rows += 1;
            survey.row(layout, time, columns);
            Ok(())
        })?;
    }
    survey.end(layout);
    Ok(rows)
}

fn reading(survey: &mut FleetSurvey, found: Arc<Dictionary>) -> Reading {
    let decimals = |id: u32| found.decimals.get(id as usize).copied().unwrap_or(0);
    let layout = survey.layout(found.entries.iter().map(|entry| (entry.key.metric(), decimals(entry.id))));
    let ids = layout.columns.iter().filter_map(|(position, _)| found.entries.get(*position)).map(|entry| entry.id).collect();
    (found, layout, ids)
}
