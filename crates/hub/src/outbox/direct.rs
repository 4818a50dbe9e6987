//! Pages that could not be stored: one line for each channel, in order, tried again as stored ones are, until the receiver has taken
//! them or the store is back and sends them itself.
//!
//! Pure: the time comes in, messages go out. What became of a page is remembered by [`super::OutboxHandle`].

use crate::folding::rule_of;
use nightbell_alerts::NoticeKind;
use nightbell_model::{ChannelId, Timestamp};
use nightbell_notify::retry::Decision;
use nightbell_store::NewDelivery;
use std::collections::{HashMap, HashSet, VecDeque};

/// The longest pause between two attempts, in milliseconds: the store cannot tell anybody how long this takes.
const LONGEST_PAUSE_MS: i64 = 60_000;
/// The most pages in one message.
const LARGEST: usize = 200;

/// A message to try now.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Attempt {
    /// What it says; at least one.
    pub(super) rows: Vec<NewDelivery>,
    /// Which attempt it is, from 1.
    pub(super) number: u32,
    /// Whether it goes as plain text.
    pub(super) plain: bool,
    /// When it was first tried, in milliseconds of the clock that does not step.
    pub(super) first_ms: i64,
}

/// One channel's line.
#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<NewDelivery>,
    /// A message that failed, and when it may be tried again.
    failed: Option<(Attempt, i64)>,
    is_busy: bool,
}

/// The lines of all channels.
#[derive(Debug, Default)]
pub(super) struct Lines(HashMap<ChannelId, Line>);

impl Lines {
    pub(super) fn push(&mut self, row: NewDelivery) {
        self.0.entry(row.channel).or_default().waiting.push_back(row);
    }

    /// What each free line tries at `now`, which is `now_ms` on the clock that does not step. `is_owed` says whether a page still
    /// has to be sent from here, `folds` whether a channel takes several in one message, `patience` until when (on that clock)
    /// receivers want to be left alone, whoever they said so to.
    pub(super) fn take(
        &mut self,
        (now, now_ms): (Timestamp, i64),
        is_owed: &dyn Fn(&NewDelivery) -> bool,
        folds: &dyn Fn(ChannelId) -> bool,
        patience: &HashMap<ChannelId, i64>,
    ) -> Vec<(ChannelId, Attempt)> {
        let mut taken = Vec::new();
        for (channel, line) in self.0.iter_mut().filter(|(_, line)| !line.is_busy) {
            line.forget(is_owed);
            if patience.get(channel).is_some_and(|until_ms| *until_ms > now_ms) {
                continue;
            }
            if let Some(attempt) = line.next((now, now_ms), folds(*channel)) {
                line.is_busy = true;
                taken.push((*channel, attempt));
            }
        }
        self.0.retain(|_, line| line.is_busy || line.failed.is_some() || !line.waiting.is_empty());
        taken
    }

    /// What follows from an attempt.
    pub(super) fn ended(&mut self, channel: ChannelId, attempt: Attempt, decision: &Decision, now_ms: i64) {
        let line = self.0.entry(channel).or_default();
        line.is_busy = false;
        if let Decision::RetryAfter { delay_ms, plain } = decision {
            let again_at = now_ms.saturating_add((*delay_ms).min(LONGEST_PAUSE_MS));
            line.failed = Some((Attempt { plain: *plain, ..attempt }, again_at));
        }
    }

    /// After a panic nobody knows whose line it was.
    pub(super) fn free(&mut self) {
        self.0.values_mut().for_each(|line| line.is_busy = false);
    }

    /// In how many milliseconds something may be tried.
    pub(super) fn wait_ms(&self, (now, now_ms): (Timestamp, i64), patience: &HashMap<ChannelId, i64>) -> Option<i64> {
        let waits = self.0.iter().filter(|(_, line)| !line.is_busy).filter_map(|(channel, line)| {
            let wait = match &line.failed {
                Some((_, again_at)) => Some(again_at - now_ms),
                None => line.waiting.iter().map(|row| row.not_before.millis_since(now)).min(),
            };
            wait.map(|wait| patience.get(channel).map_or(wait, |until_ms| wait.max(until_ms - now_ms)))
        });
        waits.min().map(|wait| wait.max(0))
    }
}

impl Line {
    /// Lets go of what is somebody else's by now.
    fn forget(&mut self, is_owed: &dyn Fn(&NewDelivery) -> bool) {
        self.waiting.retain(is_owed);
        if let Some((attempt, _)) = &mut self.failed {
            attempt.rows.retain(is_owed);
        }
        self.failed.take_if(|(attempt, _)| attempt.rows.is_empty());
    }

    fn next(&mut self, (now, now_ms): (Timestamp, i64), folds: bool) -> Option<Attempt> {
        if let Some((_, again_at)) = &self.failed {
            let is_time = *again_at <= now_ms;
            let failed = self.failed.take_if(|_| is_time);
            return failed.map(|(attempt, _)| Attempt { number: attempt.number.saturating_add(1), ..attempt });
        }
        let rows = self.together(now, folds);
        (!rows.is_empty()).then_some(Attempt { rows, number: 1, plain: false, first_ms: now_ms })
    }

    /// The first page whose time has come, with those that say the same of its rule; none overtakes an older one of its instance.
    fn together(&mut self, now: Timestamp, folds: bool) -> Vec<NewDelivery> {
        let mut passed: HashSet<String> = HashSet::new();
        let mut rows: Vec<NewDelivery> = Vec::new();
        let most = if folds { LARGEST } else { 1 };
        let mut left = VecDeque::with_capacity(self.waiting.len());
        for row in self.waiting.drain(..) {
            let is_due = row.not_before <= now;
            let fits = rows.first().is_none_or(|first| says(first) == says(&row));
            if rows.len() < most && is_due && fits && !passed.contains(&row.instance) {
                passed.insert(row.instance.clone());
                rows.push(row);
            } else {
                passed.insert(row.instance.clone());
                left.push_back(row);
            }
        }
        self.waiting = left;
        rows
    }
}

/// What a page says of which rule.
fn says(row: &NewDelivery) -> (NoticeKind, &str) {
    (row.kind, rule_of(&row.instance))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nightbell_model::{IncidentId, Ulid};

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn row(id: u128, (kind, instance): (NoticeKind, &str), due_ms: i64) -> NewDelivery {
        NewDelivery {
            id: Ulid::from_bits(id),
            channel: ChannelId::from_bits(1),
            instance: instance.to_owned(),
            incident: IncidentId::from_bits(id),
            kind,
            n: 0,
            payload_json: String::new(),
            created_at: at(0),
            not_before: at(due_ms),
            fold: None,
        }
    }

    /// The only message that goes at `ms`, as the numbers of its pages.
    fn goes(lines: &mut Lines, ms: i64, folds: bool) -> Option<(Vec<u128>, Attempt)> {
        let mut taken = lines.take((at(ms), ms), &|_| true, &|_| folds, &HashMap::new());
        assert!(taken.len() <= 1);
        taken.pop().map(|(_, attempt)| (attempt.rows.iter().map(|row| row.id.bits()).collect(), attempt))
    }

    fn wait(lines: &Lines, ms: i64) -> Option<i64> {
        lines.wait_ms((at(ms), ms), &HashMap::new())
    }

    fn later(delay_ms: i64) -> Decision {
        Decision::RetryAfter { delay_ms, plain: false }
    }

    const FIRED: NoticeKind = NoticeKind::Fired;

    #[test]
    fn pages_go_one_after_another_and_what_says_the_same_together() {
        let mut lines = Lines::default();
        for row in [
            row(1, (FIRED, "hot/a"), 0),
            row(2, (FIRED, "full/a"), 0),
            row(3, (FIRED, "hot/b"), 0),
            row(4, (NoticeKind::Resolved, "hot/a"), 0),
            row(5, (FIRED, "hot/a"), 0),
        ] {
            lines.push(row);
        }
        let one = ChannelId::from_bits(1);
        for expected in [vec![1, 3], vec![2], vec![4], vec![5]] {
            let (ids, attempt) = goes(&mut lines, 0, true).unwrap();
            assert_eq!(ids, expected);
            assert!(goes(&mut lines, 0, true).is_none(), "its line is busy");
            lines.ended(one, attempt, &Decision::Sent, 1);
        }
        assert!(goes(&mut lines, 100, true).is_none());
        lines.push(row(6, (FIRED, "hot/c"), 50));
        lines.push(row(7, (FIRED, "hot/d"), 0));
        assert_eq!(goes(&mut lines, 0, false).unwrap().0, [7], "one whose time has not come holds up nobody");
        lines.free();
        assert_eq!(wait(&lines, 20), Some(30));
        assert_eq!(goes(&mut lines, 50, false).unwrap().0, [6]);
    }

    #[test]
    fn what_fails_is_tried_again_before_what_comes_after_it() {
        let mut lines = Lines::default();
        let one = ChannelId::from_bits(1);
        lines.push(row(1, (FIRED, "hot/a"), 0));
        let (_, attempt) = goes(&mut lines, 0, true).unwrap();
        lines.push(row(2, (NoticeKind::Resolved, "hot/a"), 0));
        lines.ended(one, attempt, &later(5_000), 10);
        assert!(goes(&mut lines, 5_009, true).is_none());
        assert_eq!(wait(&lines, 10), Some(5_000));
        let (ids, attempt) = goes(&mut lines, 5_010, true).unwrap();
        assert_eq!((ids, attempt.number, attempt.first_ms), (vec![1], 2, 0));
        lines.ended(one, attempt, &later(600_000), 5_010);
        assert_eq!(wait(&lines, 5_010), Some(60_000), "nobody but us can send it");
        let dead = Decision::Dead { error: String::new(), broken: false };
        let (_, attempt) = goes(&mut lines, 65_010, true).unwrap();
        lines.ended(one, attempt, &dead, 65_010);
        assert_eq!(goes(&mut lines, 65_010, true).unwrap().0, [2]);
    }

    #[test]
    fn what_the_store_has_by_now_is_let_go_of() {
        let mut lines = Lines::default();
        for id in [1, 2] {
            lines.push(row(id, (FIRED, &format!("hot/{id}")), 0));
        }
        let (_, attempt) = goes(&mut lines, 0, false).unwrap();
        lines.ended(ChannelId::from_bits(1), attempt, &later(5_000), 0);
        assert!(lines.take((at(9_000), 9_000), &|_| false, &|_| true, &HashMap::new()).is_empty());
        assert_eq!(wait(&lines, 9_000), None, "and the line is gone");
    }

    #[test]
    fn a_receiver_that_wants_to_be_left_alone_is_left_alone() {
        let (one, two) = (ChannelId::from_bits(1), ChannelId::from_bits(2));
        let mut lines = Lines::default();
        lines.push(row(1, (FIRED, "hot/a"), 0));
        lines.push(NewDelivery { channel: two, ..row(2, (FIRED, "hot/a"), 0) });
        let patience = HashMap::from([(one, 7_000)]);
        let taken = |lines: &mut Lines, ms: i64| {
            let taken = lines.take((at(ms), ms), &|_| true, &|_| true, &patience);
            taken.into_iter().map(|(channel, _)| channel).collect::<Vec<_>>()
        };
        assert_eq!(taken(&mut lines, 0), [two], "a channel's patience holds up no other");
        assert_eq!(lines.wait_ms((at(10), 10), &patience), Some(6_990));
        assert_eq!(taken(&mut lines, 6_999), []);
        assert_eq!(taken(&mut lines, 7_000), [one]);
    }
}
