//! Which tiers answer a query, and how wide the answer's buckets are. Pure; reading the tiers is left to the engine.
//!
//! A query asked without a tier gets raw if that fits its point budget, else the finest buckets that do. Where the span of a tier
//! does not fit, its buckets are joined into wider ones, so that minimum and maximum survive any budget. Where a tier holds
//! nothing any more, the next coarser one that does takes its place, and each sample counts once.

use crate::retention::WholeFrom;
use nightbell_model::{Frame, Tier, Timestamp};

/// What has to be known of a query and of the agent's history to plan it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question {
    /// The first moment wanted, not before the oldest sample there is.
    pub(crate) start: Timestamp,
    /// The first moment not wanted, not after what follows the newest sample there is.
    pub(crate) end: Timestamp,
    /// The tier asked for; `None` to choose.
    pub(crate) tier: Option<Tier>,
    /// At most so many points when choosing.
    pub(crate) max_points: usize,
    /// How many raw samples the span has, counted only as far as it shows whether they are more than `max_points`.
    pub(crate) raw_points: usize,
    /// What has been removed.
    pub(crate) whole_from: WholeFrom,
}

/// A part of the span and where it is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The tier it is read from.
    pub(crate) tier: Tier,
    /// Its first moment.
    pub(crate) start: Timestamp,
    /// Its first moment no more.
    pub(crate) end: Timestamp,
}

/// How a query is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The width of the answer's buckets; `None` is raw samples as they are. A segment of a tier with wider buckets keeps those.
    pub(crate) step_ms: Option<i64>,
    /// The segments, ascending, not overlapping.
    pub(crate) segments: Vec<Segment>,
}

/// The plan for `question`.
#[must_use]
pub(crate) fn plan(question: &Question) -> Plan {
    let step_ms = match question.tier {
        Some(tier) => tier.width_ms(),
        None => choose(question),
    };
    Plan { step_ms, segments: segments(question, step_ms) }
}

/// The answer that `read` gives when the span is said to have so many raw samples. Raw that fits its budget but for the rows that
/// show its gaps is read in buckets instead.
///
/// # Errors
/// Those of `read`.
pub(crate) fn within_budget<E>(
    tier: Option<Tier>,
    max_points: usize,
    raw_points: usize,
    mut read: impl FnMut(usize) -> Result<Frame, E>,
) -> Result<Frame, E> {
    let frame = read(raw_points)?;
    let outgrown = tier.is_none() && raw_points <= max_points && frame.times.len() > max_points;
    if outgrown { read(usize::MAX) } else { Ok(frame) }
}

/// The segments of an answer of raw samples, with raw in place of the buckets that lie within `kept`: stretches of raw that outlive
/// its age, ascending, apart from each other. A bucket that reaches beyond one stays, so that each sample counts once.
#[must_use]
pub(crate) fn with_kept(segments: Vec<Segment>, kept: &[(Timestamp, Timestamp)]) -> Vec<Segment> {
    let mut found = Vec::with_capacity(segments.len());
    for segment in segments {
        let mut rest = segment;
        if let Some(width) = segment.tier.width_ms() {
            for (start, end) in kept {
                let start = ceil(*start, width).max(rest.start);
                let end = end.floor_to(width).min(rest.end);
                if start < end {
                    found.extend((rest.start < start).then_some(Segment { end: start, ..rest }));
                    found.push(Segment { tier: Tier::Raw, start, end });
                    rest.start = end;
                }
            }
        }
        found.extend((rest.start < rest.end).then_some(rest));
    }
    found
}

/// The first multiple of `width` that is not before `moment`.
fn ceil(moment: Timestamp, width: i64) -> Timestamp {
    moment.plus_millis(width - 1).floor_to(width)
}

/// How many buckets of `width` the span touches.
fn bucket_count(question: &Question, width: i64) -> i64 {
    let first = question.start.as_millis().div_euclid(width);
    question.end.as_millis().saturating_sub(1).div_euclid(width) - first + 1
}

/// The smallest multiple of the tier's width of which at most `max_points` cover the span.
fn fitting_width(question: &Question, width: i64) -> i64 {
    let budget = i64::try_from(question.max_points.max(1)).unwrap_or(i64::MAX);
    let mut factor = (bucket_count(question, width) / budget).max(1);
    while bucket_count(question, width.saturating_mul(factor)) > budget {
        factor += 1;
        // A span shorter than a bucket may still touch two of them whatever their width.
        if budget == 1 && bucket_count(question, width.saturating_mul(factor)) <= 2 {
            break;
        }
    }
    width.saturating_mul(factor)
}

/// The step of a query that leaves it to us.
fn choose(question: &Question) -> Option<i64> {
    let holds = |tier: Tier| question.whole_from.of(tier) <= question.start;
    if question.raw_points <= question.max_points && holds(Tier::Raw) {
        return None;
    }
    let widths: Vec<i64> = Tier::ROLLUPS
        .into_iter()
        .filter(|tier| holds(*tier))
        .filter_map(Tier::width_ms)
        .map(|width| fitting_width(question, width))
        .collect();
    match widths.iter().min() {
        // A coarser tier that is nearly as fine is read instead: there is far less of it.
        Some(finest) => widths.iter().copied().filter(|width| *width <= finest + finest / 2).max(),
        None => Tier::ROLLUPS
            .into_iter()
            .min_by_key(|tier| question.whole_from.of(*tier))
            .and_then(Tier::width_ms)
            .map(|width| fitting_width(question, width)),
    }
}

/// Where the parts of the span are read from: the coarsest tier that fits into the step and holds them, else the finest that
/// still holds them.
#[must_use]
pub(crate) fn segments(question: &Question, step_ms: Option<i64>) -> Vec<Segment> {
    let fits = |tier: &Tier| match (tier.width_ms(), step_ms) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(width), Some(step)) => step % width == 0,
    };
    let (inner, outer): (Vec<Tier>, Vec<Tier>) = Tier::ALL.into_iter().partition(fits);
    let floor = |moment: Timestamp, width: Option<i64>| width.map_or(moment, |width| moment.floor_to(width));
    let mut bound = step_ms.map_or(question.end, |step| ceil(question.end, step));
    let mut found: Vec<Segment> = Vec::new();
    for tier in inner.into_iter().rev() {
        let start = floor(question.start, step_ms).max(question.whole_from.of(tier));
        if start < bound {
            found.push(Segment { tier, start, end: bound });
            bound = start;
        }
    }
    for tier in outer {
        let Some(width) = tier.width_ms() else { continue };
        let start = question.start.floor_to(width).max(question.whole_from.of(tier));
        if bound <= question.start || start >= bound {
            continue;
        }
        bound = ceil(bound, width);
        found.retain_mut(|finer| {
            finer.start = finer.start.max(bound);
            finer.start < finer.end
        });
        found.push(Segment { tier, start, end: bound });
        bound = start;
    }
    found.reverse();
    found
}

#[cfg(test)]
mod tests;
