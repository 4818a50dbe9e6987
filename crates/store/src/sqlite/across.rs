//! One metric over many agents in one pass: what is hot of all of them lies together, in the order in which it came, and is read in that
//! order, sixteen rows to a page, where asking agent by agent finds each row by itself.
//!
//! The answer is the one of asking agent by agent, bit for bit. Where a row came late, where something is damaged, or where few agents
//! are asked for, nothing is answered here, and it is asked that way.

use super::dictionary::Dictionary;
use super::failure::{Answer, Failure};
use super::held::{self, Held};
use super::history::{self, Selection, Span, blob};
use super::marks::{self, RAW_COLUMNS};
use super::questions::planned;
use super::raw;
use super::sight::Sight;
use super::zones::{Met, Numbers};
use crate::fleet::{Steps, Sums};
use crate::query::names;
use crate::resolution::Segment;
use crate::rollup::Bucket;
use crate::seams::{FleetColumn, FleetFrame, FleetQuery};
use crate::vector;
use nightbell_model::{AgentId, Tier, Timestamp};
use rusqlite::{Connection, Row};
use std::sync::Arc;

/// Fewer agents are asked one by one.
const FEW: usize = 2;
/// So many steps of agents are in memory at a time, some 6 MB; few in tests, so that answers are made of parts.
const CELLS: usize = if cfg!(test) { 100 } else { 100_000 };
/// Agents' numbers up to this are looked up by place.
const NUMBERS: i64 = 1 << 22;
/// Passing a row costs so much less than finding one.
const EASIER: i64 = 3;
/// Asking an agent costs as much as so many of its rows.
const ASKING: i64 = 8;
/// How far apart heartbeats usually are.
const HEARTBEAT_MS: i64 = 15_000;

/// Agents with the same dictionary, and where the metric is in it.
struct Class {
    dictionary: Arc<Dictionary>,
    ids: Vec<u32>,
}

/// An agent that has the metric, and where it is read.
struct Member {
    agent: AgentId,
    held: Held,
    class: usize,
    /// What is read agent by agent.
    segments: Vec<Segment>,
    /// What is hot; empty if nothing is.
    hot: Span,
}

/// Answers for one metric over many agents; `None` if that is for asking agent by agent.
pub(super) fn fleet(connection: &Connection, sight: &Sight<'_>, query: &FleetQuery) -> Answer<Option<FleetFrame>> {
    let agents = Sums::new(query).agents();
    if agents.len() < FEW || agents.len() > CELLS {
        return Ok(None);
    }
    let Some(pass) = Pass::new(connection, sight, query, &agents)? else { return Ok(None) };
    let times = query.steps();
    let mut whole =
        FleetFrame { times: Vec::with_capacity(times.len()), groups: vec![FleetColumn::default(); query.groups.len()] };
    for some in times.chunks((CELLS / agents.len()).max(1)) {
        let (Some(first), Some(last)) = (some.first(), some.last()) else { continue };
        let part = FleetQuery { start: *first, end: last.plus_millis(query.step_ms.max(1)), ..query.clone() };
        let Some(part) = pass.window(&part)? else { return Ok(None) };
        append(&mut whole, part);
    }
    Ok(Some(whole))
}

fn append(whole: &mut FleetFrame, part: FleetFrame) {
    whole.times.extend(part.times);
    for (to, from) in whole.groups.iter_mut().zip(part.groups) {
        to.mean.extend(from.mean);
        to.min.extend(from.min);
        to.max.extend(from.max);
        to.count.extend(from.count);
    }
}

/// The part of `span` within `window`.
fn common(span: Span, window: Span) -> Span {
    (span.0.max(window.0), span.1.min(window.1))
}

/// A question that is answered in one pass.
struct Pass<'a> {
    connection: &'a Connection,
    sight: &'a Sight<'a>,
    classes: Vec<Class>,
    members: Vec<Member>,
    /// For each agent's number its member and one more; 0 is none.
    places: Vec<u32>,
    /// The smallest and the largest number of hot rows.
    rows: Option<(i64, i64)>,
}

impl<'a> Pass<'a> {
    fn new(connection: &'a Connection, sight: &'a Sight<'a>, query: &FleetQuery, agents: &[AgentId]) -> Answer<Option<Self>> {
        let mut pass = Self {
            connection,
            sight,
            classes: Vec::new(),
            members: Vec::new(),
            places: Vec::new(),
            rows: edge(connection, "min")?.zip(edge(connection, "max")?),
        };
        for (agent, held) in agents.iter().zip(held::many(connection, agents)?) {
            let Some(held) = held else { continue };
            let class = pass.class(query, held.key)?;
            if pass.classes[class].ids.is_empty() {
                continue;
            }
            let Some((segments, hot)) = split(query, &held) else { return Ok(None) };
            let Some(place) = usize::try_from(held.key).ok().filter(|_| held.key < NUMBERS) else { return Ok(None) };
            pass.members.push(Member { agent: *agent, held, class, segments, hot });
            pass.places.resize(pass.places.len().max(place + 1), 0);
            pass.places[place] = u32::try_from(pass.members.len()).unwrap_or(0);
        }
        Ok(Some(pass))
    }

    fn class(&mut self, query: &FleetQuery, agent: i64) -> Answer<usize> {
        let dictionary = self.sight.dictionary(self.connection, agent)?;
        if let Some(known) = self.classes.iter().position(|class| Arc::ptr_eq(&class.dictionary, &dictionary)) {
            return Ok(known);
        }
        let entries = dictionary.entries.iter().filter(|entry| names(&query.series, &entry.key));
        self.classes.push(Class { ids: entries.map(|entry| entry.id).collect(), dictionary });
        Ok(self.classes.len() - 1)
    }

    /// What is read of a member.
    fn selection(&self, member: &Member) -> Selection<'_> {
        let class = &self.classes[member.class];
        Selection::new(&member.held, &class.dictionary.decimals, &class.ids, self.sight.noted)
    }

    /// Some steps of all members.
    fn window(&self, query: &FleetQuery) -> Answer<Option<FleetFrame>> {
        let window = (query.start, query.end);
        let Some(numbers) = self.numbers(window) else { return Ok(None) };
        let mut steps = Steps::of_many(query, self.members.len());
        for (at, member) in self.members.iter().enumerate() {
            for segment in &member.segments {
                let span = common((segment.start, segment.end), window);
                if span.0 >= span.1 {
                    continue;
                }
                history::buckets(self.connection, &self.selection(member), segment.tier, span, &mut |time, columns| {
                    columns.iter().for_each(|column| steps.add_of(at, time, column));
                    Ok(())
                })?;
            }
        }
        if !self.hot(window, &numbers, &mut steps)? {
            return Ok(None);
        }
        let mut sums = Sums::new(query);
        for (at, member) in self.members.iter().enumerate() {
            let class = &self.classes[member.class];
            let decimals = class.ids.first().and_then(|id| class.dictionary.decimals.get(*id as usize)).copied();
            sums.add_of(member.agent, &steps, at, decimals.unwrap_or(0));
        }
        Ok(Some(sums.finish()))
    }

    /// The numbers of the rows that have to be passed, and how many rows may be; `None` if asking agent by agent is less.
    fn numbers(&self, window: Span) -> Option<(Numbers, i64)> {
        let spans = self.members.iter().map(|member| common(member.hot, window)).filter(|span| span.0 < span.1);
        let single = |span: Span| ASKING + span.1.millis_since(span.0) / HEARTBEAT_MS;
        let enough = spans.clone().map(single).sum::<i64>().saturating_mul(EASIER);
        let start = spans.map(|span| span.0).min();
        let (Some(start), Some((oldest, newest))) = (start, self.rows) else { return Some((Numbers::default(), 0)) };
        let numbers = self.sight.zones.within(&(oldest..=newest), (start, window.1));
        i64::try_from(numbers.known).is_ok_and(|known| known <= enough).then_some((numbers, enough))
    }

    /// Adds the hot rows of a window to the steps of their members; whether they could be read that way.
    fn hot(&self, window: Span, (numbers, enough): &(Numbers, i64), steps: &mut Steps) -> Answer<bool> {
        let mut hot = Hot {
            pass: self,
            lanes: self.members.iter().map(|member| (common(member.hot, window), Timestamp::MIN)).collect(),
            // Any member of a class will do: what is read of a row depends on its dictionary alone.
            selections: (0..self.classes.len())
                .map(|class| self.members.iter().find(|member| member.class == class).map(|any| self.selection(any)))
                .collect(),
            columns: Vec::new(),
            left: *enough,
        };
        let sql = format!("SELECT {RAW_COLUMNS}, id, agent FROM {} WHERE id >= ?1 AND id <= ?2 ORDER BY id", raw::HOT);
        let mut select = self.connection.prepare_cached(&sql)?;
        for range in &numbers.ranges {
            let mut met = Met::new(self.sight.zones, self.sight.missed, range);
            let mut rows = select.query([range.start(), range.end()])?;
            let mut last = i64::MIN;
            loop {
                let row = match rows.next().map_err(Failure::from) {
                    Ok(Some(row)) => row,
                    Ok(None) => break,
                    Err(failure) if failure.is_damage() => return Ok(false),
                    Err(failure) => return Err(failure),
                };
                let id = row.get(8)?;
                let Some(ts) = hot.row(row, steps)?.filter(|_| last < id) else { return Ok(false) };
                last = id;
                met.row(id, ts);
            }
            met.end(self.rows.map_or(0, |rows| rows.1));
        }
        Ok(true)
    }
}

fn edge(connection: &Connection, which: &str) -> Answer<Option<i64>> {
    Ok(connection.prepare_cached(&format!("SELECT {which}(id) FROM {}", raw::HOT))?.query_row([], |row| row.get(0))?)
}

/// What of an agent is read by itself and what is hot; `None` if something that is not raw comes after what is hot.
fn split(query: &FleetQuery, held: &Held) -> Option<(Vec<Segment>, Span)> {
    let mut segments = planned((query.start, query.end), held.whole_from, Some(query.step_ms.max(1)));
    let count = segments.len();
    let hot = segments.iter_mut().enumerate().find(|(_, segment)| segment.tier == Tier::Raw && segment.end > held.sealed_to);
    let Some((at, segment)) = hot else { return Some((segments, (Timestamp::MAX, Timestamp::MIN))) };
    let hot = (segment.start.max(held.sealed_to), segment.end);
    segment.end = held.sealed_to;
    (at + 1 == count).then_some((segments, hot))
}

/// Hot rows of many agents, as they come.
struct Hot<'a> {
    pass: &'a Pass<'a>,
    /// For each member what is hot of it, and the time of its last row.
    lanes: Vec<(Span, Timestamp)>,
    /// For each class how its rows are read.
    selections: Vec<Option<Selection<'a>>>,
    columns: Vec<Bucket>,
    /// So many rows more are worth it.
    left: i64,
}

impl Hot<'_> {
    /// Adds a row to the steps of its member; its time, `None` if it cannot be read that way.
    fn row(&mut self, row: &Row<'_>, steps: &mut Steps) -> Answer<Option<Timestamp>> {
        let agent: i64 = row.get(9)?;
        let (ts, key) = marks::raw_row(row, agent)?;
        self.left -= 1;
        let place = usize::try_from(agent).ok().and_then(|agent| self.pass.places.get(agent)).copied().unwrap_or(0);
        let at = (place as usize).wrapping_sub(1);
        let lane = self.lanes.get_mut(at).filter(|lane| lane.0.0 <= ts && ts < lane.0.1);
        let (Some(lane), Some(member)) = (lane, self.pass.members.get(at)) else {
            // It may look unwanted because it is damaged.
            let is_sound = vector::checked(blob(row, 7)?, key).is_ok();
            return Ok((is_sound && self.left >= 0).then_some(ts));
        };
        let Some(Some(selection)) = self.selections.get(member.class) else { return Ok(None) };
        self.columns.clear();
        self.columns.resize(selection.width, Bucket::default());
        if self.left < 0 || ts < lane.1 || selection.read_raw(blob(row, 7)?, key, &mut self.columns).is_err() {
            return Ok(None);
        }
        lane.1 = ts;
        self.columns.iter().for_each(|column| steps.add_of(at, ts, column));
        Ok(Some(ts))
    }
}

#[cfg(test)]
mod tests;
