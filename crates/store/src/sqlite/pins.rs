//! Raw history that is kept for incidents beyond its age: from an hour before each fired to half an hour after it ended. It follows
//! from the incidents there are, so nothing has to be remembered, and it ends with them.

use super::chunks::DAY_MS;
use super::extent;
use super::failure::Answer;
use super::held::Held;
use super::history::Span;
use crate::resolution::{self, Segment};
use nightbell_model::{Tier, Timestamp};
use rusqlite::{Connection, params};

pub(crate) use crate::retention::{PINNED_AFTER_MS, PINNED_BEFORE_MS};

/// `span` as far as there is anything, if raw is kept for incidents all over it.
pub(super) fn within(connection: &Connection, held: &Held, span: Span) -> Answer<Option<Span>> {
    let whole_from = held.whole_from.of(Tier::Raw);
    if span.0 >= whole_from || whole_from == Timestamp::MIN {
        return Ok(None);
    }
    let needed = span.1.min(whole_from);
    if !kept(connection, held.key, span)?.iter().any(|(start, end)| *start <= span.0 && needed <= *end) {
        return Ok(None);
    }
    let Some(newest) = extent::newest(connection, held)? else { return Ok(Some(span)) };
    Ok(Some((span.0, span.1.min(newest.plus_millis(1)).max(needed))))
}

/// The segments of an answer of raw samples, with what is kept for incidents in place of buckets.
pub(super) fn between(connection: &Connection, key: i64, span: Span, segments: Vec<Segment>) -> Answer<Vec<Segment>> {
    // Most answers are of raw alone, and need not ask.
    if segments.iter().all(|segment| segment.tier == Tier::Raw) {
        return Ok(segments);
    }
    Ok(resolution::with_kept(segments, &kept(connection, key, span)?))
}

/// The stretches of raw that are kept for incidents within a span, ascending, joined where they touch.
fn kept(connection: &Connection, key: i64, span: Span) -> Answer<Vec<Span>> {
    let sql =
        "SELECT start, until FROM agent_chunks WHERE agent = ?1 AND pinned = 1 AND start > ?2 AND start < ?3 ORDER BY start";
    let mut select = connection.prepare_cached(sql)?;
    let rows = select.query_map(params![key, span.0.plus_millis(-DAY_MS).as_millis(), span.1.as_millis()], |row| {
        Ok((Timestamp::from_millis(row.get(0)?), Timestamp::from_millis(row.get(1)?)))
    })?;
    Ok(crate::retention::joined(rows.collect::<rusqlite::Result<Vec<Span>>>()?))
}

/// The stretches of raw history to be kept for incidents of an agent within a span, ascending, joined where they touch.
pub(super) fn stretches(connection: &Connection, key: i64, span: Span) -> Answer<Vec<Span>> {
    let sql = "SELECT fired_at, coalesce(resolved_at, 9223372036854775807) FROM incidents \
               WHERE agent = (SELECT agent FROM agent_keys WHERE key = ?1) AND fired_at < ?2 AND \
               (resolved_at IS NULL OR resolved_at > ?3) ORDER BY fired_at";
    let before = span.1.plus_millis(PINNED_BEFORE_MS).as_millis();
    let after = span.0.plus_millis(-PINNED_AFTER_MS).as_millis();
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query(params![key, before, after])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((Timestamp::from_millis(row.get(0)?), Timestamp::from_millis(row.get(1)?)));
    }
    Ok(crate::retention::pinned(&found, span))
}
