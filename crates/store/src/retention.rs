//! From when on each tier is kept. Pure: told the time, the ages, and what is not rolled up yet; removing rows is left to the
//! engine.
//!
//! Every tier is cut at a bucket of the next coarser one, and never past what a finer tier still holds. So whatever a late
//! heartbeat changes can be computed again from whole buckets, and raw is never removed before its buckets are written. Raw that is
//! kept for some days is cut at days, as its chunks are.

use crate::seams::Retention;
use nightbell_model::{Tier, Timestamp};

/// A bucket is written so long after its end, in milliseconds: most heartbeats that are late are not later than that, and
/// those that are have it written again.
pub(crate) const GRACE_MS: i64 = 60_000;

/// Raw that is kept for so long is packed and removed by whole days, in milliseconds; else by hours.
pub(crate) const WHOLE_DAYS_FROM_MS: i64 = 2 * 86_400_000;

/// Raw history is kept for an incident from so long before it fired.
pub(crate) const PINNED_BEFORE_MS: i64 = 3_600_000;
/// Raw history is kept for an incident until so long after it ended.
pub(crate) const PINNED_AFTER_MS: i64 = 30 * 60_000;

/// The stretches within `span` to be kept for incidents that fired and ended at these moments, which ascend: joined where they touch.
#[must_use]
pub(crate) fn pinned(incidents: &[(Timestamp, Timestamp)], span: (Timestamp, Timestamp)) -> Vec<(Timestamp, Timestamp)> {
    let mut stretches: Vec<(Timestamp, Timestamp)> = Vec::new();
    for (fired_at, ended_at) in incidents {
        let start = fired_at.plus_millis(-PINNED_BEFORE_MS).max(span.0);
        let end = ended_at.plus_millis(PINNED_AFTER_MS).min(span.1);
        match stretches.last_mut() {
            _ if start >= end => {}
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => stretches.push((start, end)),
        }
    }
    stretches
}

/// Stretches that ascend, joined where they touch.
#[must_use]
pub(crate) fn joined(stretches: impl IntoIterator<Item = (Timestamp, Timestamp)>) -> Vec<(Timestamp, Timestamp)> {
    let mut found: Vec<(Timestamp, Timestamp)> = Vec::new();
    for (start, end) in stretches {
        match found.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => found.push((start, end)),
        }
    }
    found
}

/// From when on each tier is whole: all before it has been removed. `None` while nothing has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct WholeFrom([Option<Timestamp>; 4]);

impl WholeFrom {
    /// The marks of raw, five minutes, hourly and daily.
    #[must_use]
    pub(crate) const fn new(marks: [Option<Timestamp>; 4]) -> Self {
        Self(marks)
    }

    /// The marks, finest tier first.
    #[must_use]
    pub(crate) const fn marks(&self) -> [Option<Timestamp>; 4] {
        self.0
    }

    /// From when on `tier` is whole.
    #[must_use]
    pub(crate) fn of(&self, tier: Tier) -> Timestamp {
        self.0[tier as usize].unwrap_or(Timestamp::MIN)
    }

    /// The same with raw whole from `moment` on: of a stretch that is kept for an incident.
    #[must_use]
    pub(crate) fn with_raw_from(mut self, moment: Timestamp) -> Self {
        self.0[Tier::Raw as usize] = Some(moment);
        self
    }

    /// Notes that `tier` has been removed before `cut`. Raw before it is closed from then on, in whatever tier that was: a late
    /// heartbeat there could not be rolled up into what is left.
    pub(crate) fn raise(&mut self, tier: Tier, cut: Timestamp) {
        for at in [tier as usize, Tier::Raw as usize] {
            self.0[at] = Some(self.0[at].map_or(cut, |old| old.max(cut)));
        }
    }
}

/// Before when each tier may be removed, raw first. `pending` is the start of the oldest bucket that is not written yet.
#[must_use]
pub(crate) fn cuts(now: Timestamp, keep: &Retention, pending: Option<Timestamp>) -> [(Tier, Timestamp); 4] {
    let oldest = |tier: Tier, width: i64| now.plus_millis(-keep.of(tier).max(0)).floor_to(width);
    let aligned_below = |tier: Tier| match tier {
        Tier::Raw if keep.raw_ms >= WHOLE_DAYS_FROM_MS => 86_400_000,
        Tier::Raw | Tier::FiveMinutes => 3_600_000,
        Tier::Hourly | Tier::Daily => 86_400_000,
    };
    let raw = oldest(Tier::Raw, aligned_below(Tier::Raw)).min(pending.unwrap_or(Timestamp::MAX));
    Tier::ALL.map(|tier| {
        let width = aligned_below(tier);
        (tier, oldest(tier, width).min(raw.floor_to(width)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const DAY: i64 = 24 * HOUR;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn tiers_are_cut_at_the_buckets_of_the_next_coarser_one() {
        let now = at(100 * DAY + 5 * HOUR + 7 * 60_000);
        let cuts = cuts(now, &Retention::default(), None);
        assert_eq!(cuts[0], (Tier::Raw, at(93 * DAY)));
        assert_eq!(cuts[1], (Tier::FiveMinutes, at(70 * DAY + 5 * HOUR)));
        assert_eq!(cuts[2], (Tier::Hourly, at(93 * DAY)));
        assert_eq!(cuts[3], (Tier::Daily, at(10 * DAY)));
    }

    #[test]
    fn nothing_is_cut_past_what_is_not_rolled_up_yet() {
        let pending = at(50 * DAY + 2 * HOUR);
        for (_, cut) in cuts(at(100 * DAY), &Retention::default(), Some(pending)) {
            assert!(cut <= pending);
        }
    }

    #[test]
    fn a_coarser_tier_is_kept_at_least_as_long_as_raw() {
        let keep = Retention { five_minutes_ms: DAY, hourly_ms: 0, daily_ms: 0, ..Retention::default() };
        let cuts = cuts(at(100 * DAY), &keep, None);
        assert!(cuts.iter().all(|(_, cut)| *cut == at(93 * DAY)));
    }

    #[test]
    fn raising_a_tier_closes_raw_as_well() {
        let mut whole = WholeFrom::default();
        whole.raise(Tier::Hourly, at(5));
        whole.raise(Tier::Raw, at(3));
        assert_eq!(whole.marks(), [Some(at(5)), None, Some(at(5)), None]);
        assert_eq!(whole.of(Tier::Daily), Timestamp::MIN);
    }
}
