//! How fast one series changes: its recent past, thinned to a few points, and the change over a window read from it.
//!
//! A counter (a name that ends in `_total`, and the few of [`is_counter`]) that falls has begun anew, and what it shows is what
//! was counted since. Every other series may fall, and its rate is then negative. The first rate is said when the samples
//! reach back a whole window; after a hole longer than half of one, that begins anew.

use crate::step::SLACK_MS;
use nightbell_model::Timestamp;
use std::collections::VecDeque;

/// A window is remembered by about so many points, so that a ring takes about 1 KiB whatever the window and the interval.
const POINTS: i64 = 60;

/// The recent past of one series.
#[derive(Debug, Clone)]
pub(crate) struct Ring {
    window_ms: i64,
    is_counter: bool,
    /// Times and values, ascending; what a counter lost when it began anew is added again.
    points: VecDeque<(Timestamp, f64)>,
    /// The newest value as it was measured.
    last: Option<(Timestamp, f64)>,
    /// What is added to a counter's value.
    lost: f64,
    /// What was measured before is left out.
    from: Timestamp,
}

impl Ring {
    pub(crate) fn new(window_ms: i64, is_counter: bool) -> Self {
        Self { window_ms, is_counter, points: VecDeque::with_capacity(64), last: None, lost: 0.0, from: Timestamp::MIN }
    }

    /// Forgets everything: only what is measured from a moment on counts.
    pub(crate) fn begin_at(&mut self, from: Timestamp) {
        *self = Self { from, ..Self::new(self.window_ms, self.is_counter) };
    }

    /// Takes a usable value; the change per millisecond over the window, if the past reaches back that far. `max_gap_ms` is the
    /// longest pause between two heartbeats that is none.
    pub(crate) fn push(&mut self, ts: Timestamp, value: f64, max_gap_ms: i64) -> Option<f64> {
        if ts < self.from {
            return None;
        }
        let hole = self.last.is_some_and(|(last, _)| ts.millis_since(last) > max_gap_ms.max(self.window_ms / 2));
        if hole {
            self.points.clear();
            (self.last, self.lost) = (None, 0.0);
        }
        self.lost += self.last.map_or(0.0, |(_, last)| self.restarted(last, value));
        self.last = Some((ts, value));
        let (value, begin) = (value + self.lost, ts.plus_millis(SLACK_MS - self.window_ms));
        while self.points.get(1).is_some_and(|(at, _)| *at <= begin) {
            self.points.pop_front();
        }
        let rate = self.since(begin, (ts, value));
        if self.points.back().is_none_or(|(at, _)| ts.millis_since(*at) >= self.window_ms / POINTS) {
            self.points.push_back((ts, value));
        }
        rate
    }

    /// The change per millisecond from `begin` to `now`. What was at `begin` stands between the samples around it: what happened at
    /// once, such as a clock that was set, is said whole and not as the part of it that a longer stretch would have.
    fn since(&self, begin: Timestamp, now: (Timestamp, f64)) -> Option<f64> {
        let (before, was) = self.points.front().copied().filter(|(at, _)| *at <= begin)?;
        let (after, next) = self.points.get(1).copied().unwrap_or(now);
        let begin = begin.plus_millis(-SLACK_MS).max(before);
        let was = between((before, was), (after, next), begin);
        per_ms(now.1 - was, now.0.millis_since(begin))
    }

    /// Puts stored history before what was seen already, ascending; what is not older than that is left out.
    pub(crate) fn prime(&mut self, history: impl Iterator<Item = (Timestamp, f64)>, max_gap_ms: i64) {
        let mut past = Self::new(self.window_ms, self.is_counter);
        let seen = std::mem::take(&mut self.points);
        let first = seen.front().copied();
        for (ts, value) in history.filter(|(ts, value)| !value.is_nan() && first.is_none_or(|(first, _)| *ts < first)) {
            past.push(ts, value, max_gap_ms);
        }
        let Some((first_at, first)) = first else {
            *self = past;
            return;
        };
        let Some((last_at, last)) = past.last.filter(|(at, _)| first_at.millis_since(*at) <= max_gap_ms.max(self.window_ms / 2))
        else {
            self.points = seen;
            return;
        };
        debug_assert!(last_at < first_at);
        let lost = past.lost + past.restarted(last, first);
        past.points.extend(seen.into_iter().map(|(at, value)| (at, value + lost)));
        self.points = past.points;
        self.lost += lost;
    }

    /// Moves every time: the hub's clock was set.
    pub(crate) fn shift(&mut self, by_ms: i64) {
        for (at, _) in &mut self.points {
            *at = at.plus_millis(by_ms);
        }
        if let Some((at, _)) = &mut self.last {
            *at = at.plus_millis(by_ms);
        }
    }

    /// What a counter loses between two values.
    fn restarted(&self, before: f64, after: f64) -> f64 {
        if self.is_counter && after < before { before } else { 0.0 }
    }
}

/// The value at `ts` on the line through two samples; the earlier one's where there is no line.
#[expect(clippy::cast_precision_loss, reason = "windows are far below 2^53 ms")]
fn between((before, was): (Timestamp, f64), (after, next): (Timestamp, f64), ts: Timestamp) -> f64 {
    let width = after.millis_since(before);
    if width <= 0 {
        return was;
    }
    let at = was + (next - was) * (ts.millis_since(before) as f64 / width as f64);
    if at.is_finite() { at } else { was }
}

#[expect(clippy::cast_precision_loss, reason = "windows are far below 2^53 ms")]
fn per_ms(change: f64, ms: i64) -> Option<f64> {
    (ms > 0).then(|| change / ms as f64).filter(|rate| !rate.is_nan())
}

/// Whether a metric only ever rises, until it begins anew: by its name, or one of the few counts that have none.
#[must_use]
pub fn is_counter(metric: &str) -> bool {
    const COUNTS: [&str; 8] = [
        "agent.collector_errors",
        "agent.counter_resets",
        "agent.dropped_beats",
        "agent.reconnects",
        "container.oom_kills",
        "container.restarts",
        "smart.power_on_hours",
        "unit.restarts",
    ];
    metric.ends_with("_total") || COUNTS.contains(&metric)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAP_MS: i64 = 60_000;

    fn at(s: i64) -> Timestamp {
        Timestamp::from_secs(1_000_000 + s)
    }

    /// The rates per second that a ring of five minutes says of values every 15 s.
    fn rates(is_counter: bool, values: impl IntoIterator<Item = f64>) -> Vec<Option<f64>> {
        let mut ring = Ring::new(300_000, is_counter);
        (0_i64..).zip(values).map(|(step, value)| ring.push(at(step * 15), value, GAP_MS).map(|rate| rate * 1000.0)).collect()
    }

    #[test]
    fn a_rate_is_said_when_the_past_reaches_back_a_window() {
        let said = rates(false, (0..40_u32).map(|step| f64::from(step) * 30.0));
        assert!(said[..20].iter().all(Option::is_none), "{said:?}");
        assert!(said[20..].iter().all(|rate| rate.is_some_and(|rate| (rate - 2.0).abs() < 1e-9)), "{said:?}");
    }

    /// A clock that is set, a unit that starts anew: what happened once within the window has happened whole, however far apart the
    /// heartbeats are that stand around the window's beginning.
    #[test]
    fn a_step_within_the_window_is_said_whole() {
        for every in [15, 45, 60, 100] {
            let mut ring = Ring::new(600_000, false);
            let mut said = Vec::new();
            for step in 0..3_000 / every {
                let value = if step * every < 1_500 { 0.25 } else { 3_600.25 };
                said.push(ring.push(at(step * every + 7), value, GAP_MS).map(|rate| rate * 600_000.0));
            }
            let most = said.iter().flatten().fold(0.0_f64, |most, rate| most.max(*rate));
            assert!((most - 3_600.0).abs() < 1e-6, "every {every} s: {most}");
        }
    }

    #[test]
    fn what_falls_falls_unless_it_counts() {
        let down = |step: u32| 1000.0 - f64::from(step) * 15.0;
        assert_eq!(rates(false, (0..21).map(down)).last(), Some(&Some(-1.0)));
        // Counts 15 every 15 s and begins anew at the tenth sample.
        let counter =
            (0..21_u32).map(|step| if step < 10 { 500.0 + f64::from(step) * 15.0 } else { f64::from(step - 10) * 15.0 + 15.0 });
        assert_eq!(rates(true, counter).last(), Some(&Some(1.0)));
    }

    #[test]
    fn a_hole_longer_than_half_a_window_begins_anew_and_a_shorter_one_does_not() {
        let mut ring = Ring::new(300_000, false);
        for step in 0..21 {
            ring.push(at(step * 15), 0.0, GAP_MS);
        }
        assert_eq!(ring.push(at(450), 15.0, GAP_MS).map(|rate| rate * 300_000.0), Some(15.0));
        assert_eq!(ring.push(at(601), 15.0, GAP_MS), None);
        assert_eq!(ring.points.len(), 1);
    }

    #[test]
    fn a_long_window_takes_no_more_points_than_a_short_one() {
        let mut ring = Ring::new(86_400_000, false);
        let capacity = ring.points.capacity();
        let mut last = None;
        for step in 0..20_000_u32 {
            last = ring.push(at(i64::from(step) * 15), f64::from(step), GAP_MS);
        }
        assert_eq!(ring.points.capacity(), capacity);
        let per_sample = last.expect("a rate") * 15_000.0;
        assert!((per_sample - 1.0).abs() < 1e-9, "{per_sample}");
    }

    #[test]
    fn history_put_before_it_says_what_an_unbroken_run_says() {
        for is_counter in [false, true] {
            let value = |step: u32| f64::from(step % 13) * 7.0 + f64::from(step);
            let mut whole = Ring::new(300_000, is_counter);
            for step in 0..60 {
                whole.push(at(i64::from(step) * 15), value(step), GAP_MS);
            }
            let mut broken = Ring::new(300_000, is_counter);
            for step in 50..60 {
                broken.push(at(i64::from(step) * 15), value(step), GAP_MS);
            }
            broken.prime((20..55).map(|step| (at(i64::from(step) * 15), value(step))), GAP_MS);
            for step in 60..90 {
                let ts = at(i64::from(step) * 15);
                let (one, two) = (whole.push(ts, value(step), GAP_MS), broken.push(ts, value(step), GAP_MS));
                assert!(one.zip(two).is_some_and(|(one, two)| (one - two).abs() < 1e-12), "{step}: {one:?} {two:?}");
            }
        }
        let mut empty = Ring::new(300_000, false);
        empty.prime((0..30).map(|step| (at(step * 15), 1.0)), GAP_MS);
        assert_eq!(empty.push(at(450), 1.0, GAP_MS), Some(0.0));
    }
}
