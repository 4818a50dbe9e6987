//! How often agents send that do not say so: the median of their last five spacings (ALERTING.md, section 1). Pure.
//!
//! Who measures each five seconds and sends what it has once a minute is heard of once a minute: of the spacings of what was measured
//! and of what was received, the longer ones count.
//!
//! Who says how often it sends is believed. Of the others nobody is taken to be quicker than what the hub knew of it, its default for
//! one that is new: some heartbeats sent in a hurry must not make the pause after them an alert.

use nightbell_model::{AgentId, Timestamp};
use std::collections::HashMap;

/// So many spacings are looked at.
const SPACINGS: usize = 5;
/// Heartbeats closer than this are parts of one, in milliseconds.
const APART_MS: i64 = 1_000;
/// A change of less than this is jitter, in hundredths.
const JITTER: i64 = 20;
/// Nobody sends more seldom than once a day, in milliseconds.
const LONGEST_MS: i64 = 86_400_000;

/// What is known of all agents' rhythms.
#[derive(Debug, Default)]
pub struct Rhythms(HashMap<AgentId, Rhythm>);

#[derive(Debug)]
enum Rhythm {
    /// It has said how often it sends.
    Stated,
    /// It has not.
    Heard {
        /// The least that is believed, in milliseconds.
        least_ms: i64,
        measured: Beat,
        received: Beat,
    },
}

/// Moments, one after another.
#[derive(Debug)]
struct Beat {
    last: Timestamp,
    /// The newest spacings, each in the place of the one that is five older, and how many there were.
    spacings: [i64; SPACINGS],
    count: usize,
}

impl Beat {
    const NONE: Self = Self { last: Timestamp::MIN, spacings: [0; SPACINGS], count: 0 };

    fn hear(&mut self, at: Timestamp) {
        if self.last == Timestamp::MIN {
            self.last = at;
        } else if at.millis_since(self.last) >= APART_MS {
            self.spacings[self.count % SPACINGS] = at.millis_since(self.last);
            self.count += 1;
            self.last = at;
        }
    }

    /// The spacing in the middle, in whole seconds, once there are enough.
    fn median(&self) -> Option<i64> {
        let mut spacings = self.spacings;
        spacings.sort_unstable();
        (self.count >= SPACINGS).then(|| spacings[SPACINGS / 2].saturating_add(500) / 1_000 * 1_000)
    }
}

impl Rhythms {
    /// The agent says how often it sends.
    pub fn state(&mut self, agent: AgentId) {
        self.0.insert(agent, Rhythm::Stated);
    }

    /// The agent is gone.
    pub fn forget(&mut self, agent: AgentId) {
        self.0.remove(&agent);
    }

    /// Heartbeats came from an agent whose interval is taken to be `known_ms`, measured and received at these `times`; the interval to take
    /// it for from now on if that is another.
    pub fn hear(
        &mut self,
        agent: AgentId,
        times: impl Iterator<Item = (Timestamp, Timestamp)>,
        known_ms: impl Fn() -> Option<i64>,
    ) -> Option<i64> {
        if matches!(self.0.get(&agent), Some(Rhythm::Stated)) {
            return None;
        }
        let known_ms = known_ms()?;
        let fresh = || Rhythm::Heard { least_ms: known_ms, measured: Beat::NONE, received: Beat::NONE };
        let Rhythm::Heard { least_ms, measured, received } = self.0.entry(agent).or_insert_with(fresh) else { return None };
        for (measured_at, received_at) in times {
            measured.hear(measured_at);
            received.hear(received_at);
        }
        let wanted = measured.median().max(received.median())?.max(*least_ms).min(LONGEST_MS);
        let differs = (wanted - known_ms).abs().saturating_mul(100) > known_ms.saturating_mul(JITTER);
        differs.then_some(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGENT: AgentId = AgentId::from_bits(1);

    /// What is learnt from heartbeats at these seconds, one after another, from 15 s on.
    fn learnt(rhythms: &mut Rhythms, seconds: &[f64]) -> Vec<i64> {
        let mut known = 15_000;
        let mut all = Vec::new();
        for at in seconds {
            #[expect(clippy::cast_possible_truncation, reason = "a few thousand seconds")]
            let at = Timestamp::from_millis(1_000_000 + (at * 1000.0) as i64);
            known = rhythms.hear(AGENT, std::iter::once((at, at)), || Some(known)).unwrap_or(known);
            all.push(known / 1000);
        }
        all
    }

    #[test]
    fn who_does_not_say_how_often_it_sends_is_listened_to() {
        let found = learnt(&mut Rhythms::default(), &[0.0, 60.0, 120.4, 179.8, 240.0, 300.0, 360.0]);
        assert_eq!(found, [15, 15, 15, 15, 15, 60, 60]);
        assert_eq!(
            learnt(&mut Rhythms::default(), &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
            [15; 7],
            "nobody is taken to be in a hurry"
        );
        let outage = [0.0, 20.0, 40.0, 60.0, 7_260.0, 7_280.0, 7_300.0];
        assert_eq!(learnt(&mut Rhythms::default(), &outage)[5..], [20; 2], "one outage is no rhythm");
        let slower = [0.0, 20.0, 40.0, 60.0, 80.0, 100.0, 400.0, 700.0, 1_000.0, 1_020.0, 1_040.0, 1_060.0];
        assert_eq!(learnt(&mut Rhythms::default(), &slower)[5..], [20, 20, 20, 300, 300, 300, 20], "three of five decide");
    }

    #[test]
    fn parts_of_one_heartbeat_and_what_comes_again_are_no_rhythm() {
        let parts = [0.0, 0.3, 60.0, 60.2, 60.0, 120.0, 120.4, 180.0, 240.0, 300.0];
        assert_eq!(learnt(&mut Rhythms::default(), &parts), [15, 15, 15, 15, 15, 15, 15, 15, 15, 60]);
    }

    #[test]
    fn who_sends_several_heartbeats_at_once_is_heard_of_when_it_sends() {
        let mut rhythms = Rhythms::default();
        let at = |seconds: i64| Timestamp::from_secs(1_000 + seconds);
        let mut known = 15_000;
        let mut post = |minute: i64| {
            let times = (1..=12).map(|n| (at(60 * minute - 60 + 5 * n), at(60 * minute)));
            known = rhythms.hear(AGENT, times, || Some(known)).unwrap_or(known);
            known
        };
        assert_eq!((0..8).map(&mut post).collect::<Vec<_>>(), [15_000, 15_000, 15_000, 15_000, 15_000, 60_000, 60_000, 60_000]);
        // A buffer that comes all at once after an outage is no rhythm.
        let replayed = (1..=1_000).map(|n| (at(480 + 60 * n), at(60_480)));
        assert_eq!(rhythms.hear(AGENT, replayed, || Some(60_000)), None);
    }

    #[test]
    fn who_says_it_is_believed() {
        let minutes = [0.0, 60.0, 120.0, 180.0, 240.0, 300.0];
        let mut rhythms = Rhythms::default();
        rhythms.state(AGENT);
        assert_eq!(learnt(&mut rhythms, &minutes), [15; 6]);
        rhythms.forget(AGENT);
        assert_eq!(learnt(&mut rhythms, &minutes), [15, 15, 15, 15, 15, 60]);
    }
}
