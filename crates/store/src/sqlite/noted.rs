//! What was found damaged since the store was opened: each piece is named once in the log, counted, and remembered so that
//! answers can say what is missing from them. Setting it aside is left to scrubbing.

use crate::seams::Damaged;
use nightbell_model::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// So many pieces are remembered; further ones are still counted and named.
const REMEMBERED: usize = 10_000;

/// A piece of history of one agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    /// The agent's number.
    pub(super) agent: i64,
    /// The table it stands in.
    pub(super) what: &'static str,
    /// Its first moment.
    pub(super) start: Timestamp,
    /// Its first moment no more.
    pub(super) until: Timestamp,
}

/// All that was found.
#[derive(Debug, Default)]
pub(super) struct Noted(Mutex<Found>);

#[derive(Debug, Default)]
struct Found {
    spots: BTreeMap<Spot, String>,
    count: u64,
}

impl Noted {
    /// Notes a piece, and says so if it is new.
    pub(super) fn note(&self, spot: Spot, why: &dyn std::fmt::Display) {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if found.spots.contains_key(&spot) {
            return;
        }
        found.count += 1;
        if found.spots.len() < REMEMBERED {
            found.spots.insert(spot, why.to_string());
        }
        drop(found);
        let (start, until) = (spot.start.as_millis(), spot.until.as_millis());
        tracing::error!(agent_key = spot.agent, table = spot.what, start, until, %why, "history is damaged and left out of answers");
    }

    /// How many pieces were found.
    pub(super) fn count(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).count
    }

    /// Those of an agent that touch a span.
    pub(super) fn of(&self, agent: i64, start: Timestamp, end: Timestamp) -> Vec<Damaged> {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let touches = |spot: &Spot| spot.agent == agent && spot.start < end && spot.until > start;
        let damaged = |(spot, why): (&Spot, &String)| Damaged { start: spot.start, end: spot.until, why: why.clone() };
        found.spots.iter().filter(|(spot, _)| touches(spot)).map(damaged).collect()
    }
}
