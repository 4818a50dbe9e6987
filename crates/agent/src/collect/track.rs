//! Counters: from two readings to what happened between them, with wraps and resets told apart.
//!
//! A counter that stepped back has no rate for that interval: neither 0 nor something huge. Only counters that the kernel
//! keeps in 32 bits (the millisecond fields of `/proc/diskstats`, `unsigned int` in block/genhd.c) may have wrapped, and only
//! if what the wrap would mean is possible in the time that passed.

use crate::clock::Moment;

/// How a counter may step back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    /// 64 bits: never wraps, so a step back is a new beginning.
    Wide,
    /// 32 bits: wraps; it grows by at most this much a millisecond.
    Narrow(u64),
}

/// What a group of counters did since it was read last.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Change<const N: usize> {
    /// There is nothing to compare with yet.
    First,
    /// The group began anew: another object, or a counter that went back.
    Reset,
    /// They grew by this in so many seconds.
    Grew(f64, [u64; N]),
}

/// The last reading of a group of counters that live and die together (those of one disk, of one interface).
#[derive(Debug, Clone)]
pub(crate) struct Track<const N: usize> {
    last: Option<(Moment, u64, [u64; N])>,
}

impl<const N: usize> Track<N> {
    /// A group that has not been read.
    pub(crate) const fn new() -> Self {
        Self { last: None }
    }

    /// Takes a reading. `identity` tells objects of the same name apart (an interface's index); `widths` belong to `values`.
    pub(crate) fn advance(&mut self, now: Moment, identity: u64, values: [u64; N], widths: [Width; N]) -> Change<N> {
        let Some((then, former, last)) = self.last.replace((now, identity, values)) else {
            return Change::First;
        };
        if former != identity {
            return Change::Reset;
        }
        let Some(seconds) = now.seconds_since(then) else {
            return Change::First;
        };
        let elapsed_ms = u64::try_from((now.awake_ns - then.awake_ns) / 1_000_000).unwrap_or(0);
        let mut grown = [0; N];
        for at in 0..N {
            match growth(last[at], values[at], widths[at], elapsed_ms) {
                Some(delta) => grown[at] = delta,
                None => return Change::Reset,
            }
        }
        Change::Grew(seconds, grown)
    }
}

/// By how much a counter grew; nothing if it was reset.
fn growth(last: u64, now: u64, width: Width, elapsed_ms: u64) -> Option<u64> {
    match (now.checked_sub(last), width) {
        (Some(delta), _) => Some(delta),
        (None, Width::Wide) => None,
        (None, Width::Narrow(most_per_ms)) => {
            let delta = now.checked_add(1 << 32)?.checked_sub(last)?;
            // A second's grace: the kernel books a long request when it ends.
            (delta <= elapsed_ms.saturating_add(1_000).saturating_mul(most_per_ms)).then_some(delta)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Moment {
        Moment { boot_ms: seconds * 1000, awake_ns: seconds * 1_000_000_000 }
    }

    #[test]
    fn growth_is_over_the_exact_time() {
        let mut track = Track::<2>::new();
        assert_eq!(track.advance(at(0), 1, [5, 7], [Width::Wide; 2]), Change::First);
        assert_eq!(track.advance(at(15), 1, [5, 10], [Width::Wide; 2]), Change::Grew(15.0, [0, 3]));
        assert_eq!(track.advance(at(15), 1, [6, 11], [Width::Wide; 2]), Change::First, "no time passed");
        assert_eq!(track.advance(at(16), 1, [6, 12], [Width::Wide; 2]), Change::Grew(1.0, [0, 1]));
    }

    #[test]
    fn a_step_back_is_a_wrap_only_where_that_is_possible() {
        let widths = [Width::Wide, Width::Narrow(1)];
        let mut track = Track::<2>::new();
        track.advance(at(0), 1, [5, u64::from(u32::MAX) - 999], widths);
        assert_eq!(track.advance(at(15), 1, [5, 2_000], widths), Change::Grew(15.0, [0, 3_000]), "wrapped");
        assert_eq!(track.advance(at(30), 1, [5, 1_000], widths), Change::Reset, "a wrap would mean 49 days");
        assert_eq!(track.advance(at(45), 1, [4, 1_001], widths), Change::Reset, "64 bits do not wrap");
        assert_eq!(track.advance(at(60), 1, [6, 1_002], widths), Change::Grew(15.0, [2, 1]), "the new baseline holds");
    }

    #[test]
    fn another_object_of_the_same_name_begins_anew() {
        let mut track = Track::<1>::new();
        track.advance(at(0), 3, [5], [Width::Wide]);
        assert_eq!(track.advance(at(15), 4, [500], [Width::Wide]), Change::Reset);
    }
}
