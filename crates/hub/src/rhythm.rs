//! How often agents send that do not say so: the median of their last five spacings (ALERTING.md, section 1). Pure.
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
        last: Timestamp,
        /// The newest spacings, each in the place of the one that is five older, and how many there were.
        spacings: [i64; SPACINGS],
        count: usize,
    },
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

    /// Heartbeats measured at `times` came from an agent whose interval is taken to be `known_ms`; the interval to take it for from now on
    /// if that is another.
    pub fn hear(
        &mut self,
        agent: AgentId,
        times: impl Iterator<Item = Timestamp>,
        known_ms: impl Fn() -> Option<i64>,
    ) -> Option<i64> {
        if matches!(self.0.get(&agent), Some(Rhythm::Stated)) {
            return None;
        }
        let known_ms = known_ms()?;
        let fresh = || Rhythm::Heard { least_ms: known_ms, last: Timestamp::MIN, spacings: [0; SPACINGS], count: 0 };
        let Rhythm::Heard { least_ms, last, spacings, count } = self.0.entry(agent).or_insert_with(fresh) else { return None };
        for at in times {
            if *last == Timestamp::MIN {
                *last = at;
            } else if at.millis_since(*last) >= APART_MS {
                spacings[*count % SPACINGS] = at.millis_since(*last);
                *count += 1;
                *last = at;
            }
        }
        let wanted = (*count >= SPACINGS).then(|| median(*spacings))?.max(*least_ms).min(LONGEST_MS);
        let differs = (wanted - known_ms).abs().saturating_mul(100) > known_ms.saturating_mul(JITTER);
        differs.then_some(wanted)
    }
}

/// The spacing in the middle, in whole seconds.
fn median(mut spacings: [i64; SPACINGS]) -> i64 {
    spacings.sort_unstable();
    spacings[SPACINGS / 2].saturating_add(500) / 1_000 * 1_000
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
            known = rhythms.hear(AGENT, std::iter::once(at), || Some(known)).unwrap_or(known);
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
    fn who_says_it_is_believed() {
        let minutes = [0.0, 60.0, 120.0, 180.0, 240.0, 300.0];
        let mut rhythms = Rhythms::default();
        rhythms.state(AGENT);
        assert_eq!(learnt(&mut rhythms, &minutes), [15; 6]);
        rhythms.forget(AGENT);
        assert_eq!(learnt(&mut rhythms, &minutes), [15, 15, 15, 15, 15, 60]);
    }
}
