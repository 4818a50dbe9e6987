//! Admission: is a heartbeat new, and which moment does it mean? One owner for the whole fleet, no IO, no clock.
//!
//! Heartbeats with a boot id and a number are told apart by these; the numbers seen are kept as ranges, [`MAX_BOOTS`] boots of
//! an agent with 64 ranges each, and the longest unused boot is forgotten first. A heartbeat without them but with a
//! timestamp is a duplicate if the same timestamp came before; these are kept by the hour they mean, for [`KEPT_MS`] after
//! one of that hour came last, so that a week that is sent at once is known whole when it is sent again. With neither it is
//! never a duplicate. What is forgotten here may be admitted again, so the bounds are far beyond what an agent can have
//! unacknowledged.

use crate::heard::{Heard, SampleClock};
use crate::seen::Ranges;
use nightbell_model::{AgentId, BootId, Timestamp};
use std::collections::{HashMap, HashSet};

/// How many starts of the agent process are remembered for each agent.
const MAX_BOOTS: usize = 64;
/// For how long an hour of timestamps is remembered after one of it came, for agents that send no numbers: twice the 24 hours an
/// agent buffers.
const KEPT_MS: i64 = 48 * 3_600_000;
/// How many hours of timestamps are remembered for each such agent: more than a month, and raw is kept for a week.
const MAX_HOURS: usize = 1024;
/// How many timestamps of all hours together: what a heartbeat each second for two days comes to.
const MAX_MOMENTS: usize = 48 * 4096;
/// How many timestamps of one hour are remembered: more than one a second.
const MAX_PER_HOUR: usize = 4096;
/// Times that go back by less than this between consecutive heartbeats are jitter of the way, in milliseconds.
const JITTER_MS: i64 = 1000;
/// Seen timestamps are stored under this pseudo boot id with the hour since 1970, the milliseconds within it as numbers. No
/// agent may choose such a boot id.
pub(crate) const HOUR_PREFIX: &str = "timestamps-of-hour:";
const HOUR_MS: i64 = 3_600_000;

/// Which heartbeats of one agent process were seen, as it is stored. Without ranges it means: forget what was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenRanges {
    /// Which agent.
    pub agent: AgentId,
    /// Which process of it.
    pub boot: BootId,
    /// When a heartbeat of it was last received.
    pub used_at: Timestamp,
    /// The numbers seen: closed ranges, ascending.
    pub ranges: Vec<(u64, u64)>,
}

/// What is to become of a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is new, and means this moment.
    Admit {
        /// The moment, in the hub's time.
        ts: Timestamp,
    },
    /// It was admitted before.
    Duplicate,
    /// It is older than the raw history that is kept.
    TooOld,
    /// It can never be admitted.
    Refused {
        /// Stable, for programs.
        code: &'static str,
        /// For people.
        why: String,
    },
}

#[derive(Debug)]
struct Boot {
    id: BootId,
    used_at: Timestamp,
    seen: Ranges,
    dirty: bool,
}

#[derive(Debug)]
struct Hour {
    hour: i64,
    used_at: Timestamp,
    /// Milliseconds within the hour, ascending.
    moments: Vec<u32>,
    dirty: bool,
}

#[derive(Debug, Default)]
struct AgentSeen {
    last_ts: Option<Timestamp>,
    boots: Vec<Boot>,
    /// Ascending.
    hours: Vec<Hour>,
}

/// De-duplication and times of the fleet.
#[derive(Debug, Default)]
pub struct Admission {
    agents: HashMap<AgentId, AgentSeen>,
    changed: Vec<(AgentId, BootId)>,
}

impl Admission {
    /// The admission of a hub that starts: what was seen before, and the newest sample of each agent.
    #[must_use]
    pub fn restore(seen: impl IntoIterator<Item = SeenRanges>, last_ts: impl IntoIterator<Item = (AgentId, Timestamp)>) -> Self {
        let mut admission = Self::default();
        for row in seen {
            let agent = admission.agents.entry(row.agent).or_default();
            match hour_of(&row.boot) {
                Some(hour) => agent.hours.push(Hour { hour, used_at: row.used_at, moments: moments(&row.ranges), dirty: false }),
                None if row.ranges.is_empty() => {}
                None => {
                    let seen = Ranges::from_stored(row.ranges);
                    agent.boots.push(Boot { id: row.boot, used_at: row.used_at, seen, dirty: false });
                }
            }
        }
        for agent in admission.agents.values_mut() {
            agent.hours.sort_unstable_by_key(|hour| hour.hour);
        }
        for (agent, ts) in last_ts {
            let known = &mut admission.agents.entry(agent).or_default().last_ts;
            *known = (*known).max(Some(ts));
        }
        admission
    }

    /// Judges one heartbeat; what is admitted is remembered at once. Samples before `oldest` (the raw retention) are too old.
    ///
    /// The moment is never later than the receipt, except where a heartbeat that follows another by less than jitter takes
    /// the millisecond after it, to keep its place.
    pub fn admit(&mut self, heard: &Heard, oldest: Timestamp) -> Verdict {
        if heard.boot_seq.as_ref().is_some_and(|(_, seq)| i64::try_from(*seq).is_err()) {
            return Verdict::Refused { code: "seq_out_of_range", why: "seq must be below 2^63".to_owned() };
        }
        let agent = self.agents.entry(heard.agent).or_default();
        if agent.has_seen(heard) {
            return Verdict::Duplicate;
        }
        let meant = heard.sample_time();
        if meant < oldest {
            return Verdict::TooOld;
        }
        let in_order = agent.follows(heard);
        agent.remember(heard, &mut self.changed);
        let ts = match agent.last_ts {
            Some(last) if in_order && meant <= last && last.millis_since(meant) < JITTER_MS => last.plus_millis(1),
            _ => meant,
        };
        if heard.has_values {
            agent.last_ts = agent.last_ts.max(Some(ts));
        }
        Verdict::Admit { ts }
    }

    /// What has changed since the last call and must be stored with the heartbeats that changed it.
    pub fn take_changed(&mut self) -> Vec<SeenRanges> {
        let mut rows = Vec::with_capacity(self.changed.len());
        let mut gone = HashSet::new();
        for (agent, boot) in std::mem::take(&mut self.changed) {
            let row = self.agents.get_mut(&agent).and_then(|known| known.stored_form(agent, boot));
            rows.extend(row.filter(|row| !row.ranges.is_empty() || gone.insert((row.agent, row.boot.clone()))));
        }
        rows
    }

    /// Forgets an agent that is deleted.
    pub fn forget(&mut self, agent: AgentId) {
        self.agents.remove(&agent);
    }

    /// The hub's clock was set by `step_ms`: the newest times move along, so that the order of heartbeats does not change.
    pub fn shift(&mut self, step_ms: i64) {
        for agent in self.agents.values_mut() {
            agent.last_ts = agent.last_ts.map(|ts| ts.plus_millis(step_ms));
        }
    }
}

impl AgentSeen {
    fn boot(&self, id: &BootId) -> Option<&Boot> {
        self.boots.iter().find(|boot| boot.id == *id)
    }

    fn has_seen(&self, heard: &Heard) -> bool {
        match (&heard.boot_seq, heard.clock) {
            (Some((boot, seq)), _) => self.boot(boot).is_some_and(|boot| boot.seen.contains(*seq)),
            (None, SampleClock::Timestamp { ts, .. }) => {
                let (hour, moment) = hour_and_moment(ts);
                self.hours.iter().any(|known| known.hour == hour && known.moments.binary_search(&moment).is_ok())
            }
            (None, _) => false,
        }
    }

    /// Whether the heartbeat stands behind all earlier ones: by its number, or by its arrival where its own time does not
    /// stand (it has none, or one that had to be moved: several from the future would fall on one moment otherwise).
    fn follows(&self, heard: &Heard) -> bool {
        match (&heard.boot_seq, heard.clock) {
            (Some((boot, seq)), _) => self.boot(boot).and_then(|boot| boot.seen.highest()).is_none_or(|highest| highest < *seq),
            (None, SampleClock::Timestamp { ts, .. }) => heard.sample_time() != ts,
            (None, _) => true,
        }
    }

    /// Remembers the heartbeat, and in `changed` the boots that have something to be stored now and had nothing before.
    fn remember(&mut self, heard: &Heard, changed: &mut Vec<(AgentId, BootId)>) {
        match (&heard.boot_seq, heard.clock) {
            (Some((boot, seq)), _) => self.remember_number(boot, *seq, heard, changed),
            (None, SampleClock::Timestamp { ts, .. }) => self.remember_moment(ts, heard, changed),
            (None, _) => {}
        }
    }

    fn remember_number(&mut self, id: &BootId, seq: u64, heard: &Heard, changed: &mut Vec<(AgentId, BootId)>) {
        let at = match self.boots.iter().position(|boot| boot.id == *id) {
            Some(at) => at,
            None => {
                if self.boots.len() >= MAX_BOOTS {
                    changed.extend(self.forget_a_boot().map(|boot| (heard.agent, boot)));
                }
                self.boots.push(Boot { id: id.clone(), used_at: heard.received, seen: Ranges::default(), dirty: false });
                self.boots.len() - 1
            }
        };
        let boot = &mut self.boots[at];
        boot.seen.insert(seq);
        boot.used_at = boot.used_at.max(heard.received);
        if !std::mem::replace(&mut boot.dirty, true) {
            changed.push((heard.agent, id.clone()));
        }
    }

    /// Forgets the boot that was not used for the longest time.
    fn forget_a_boot(&mut self) -> Option<BootId> {
        let (oldest, _) = self.boots.iter().enumerate().min_by_key(|(_, boot)| boot.used_at)?;
        Some(self.boots.swap_remove(oldest).id)
    }

    fn remember_moment(&mut self, ts: Timestamp, heard: &Heard, changed: &mut Vec<(AgentId, BootId)>) {
        let (number, moment) = hour_and_moment(ts);
        let at = match self.hours.binary_search_by_key(&number, |known| known.hour) {
            Ok(at) => at,
            Err(_none) => {
                self.forget_hours(heard, changed);
                let at = self.hours.partition_point(|known| known.hour < number);
                self.hours.insert(at, Hour { hour: number, used_at: heard.received, moments: Vec::new(), dirty: false });
                at
            }
        };
        let hour = &mut self.hours[at];
        if let Err(place) = hour.moments.binary_search(&moment) {
            hour.moments.insert(place, moment);
        }
        if hour.moments.len() > MAX_PER_HOUR {
            hour.moments.remove(0);
        }
        hour.used_at = hour.used_at.max(heard.received);
        if !std::mem::replace(&mut hour.dirty, true) {
            changed.push((heard.agent, hour_boot(number)));
        }
    }

    /// Makes room for another hour: what nobody has added to for long goes, then the oldest until there is room.
    fn forget_hours(&mut self, heard: &Heard, changed: &mut Vec<(AgentId, BootId)>) {
        let mut moments: usize = self.hours.iter().map(|hour| hour.moments.len()).sum();
        let mut hours = self.hours.len();
        self.hours.retain(|hour| {
            let rested = heard.received.millis_since(hour.used_at) > KEPT_MS;
            let goes = rested || hours >= MAX_HOURS || moments > MAX_MOMENTS - MAX_PER_HOUR;
            if goes {
                hours -= 1;
                moments -= hour.moments.len();
                changed.push((heard.agent, hour_boot(hour.hour)));
            }
            !goes
        });
    }

    /// The row of one boot, once for each time that it became dirty; one that is no longer here is to be forgotten.
    fn stored_form(&mut self, agent: AgentId, boot: BootId) -> Option<SeenRanges> {
        if let Some(number) = hour_of(&boot) {
            let Some(hour) = self.hours.iter_mut().find(|hour| hour.hour == number) else {
                return Some(SeenRanges { agent, boot, used_at: Timestamp::MIN, ranges: Vec::new() });
            };
            let ranges = ranges_of(&hour.moments);
            return std::mem::take(&mut hour.dirty).then_some(SeenRanges { agent, boot, used_at: hour.used_at, ranges });
        }
        let Some(known) = self.boots.iter_mut().find(|known| known.id == boot) else {
            return Some(SeenRanges { agent, boot, used_at: Timestamp::MIN, ranges: Vec::new() });
        };
        let ranges = known.seen.as_slice().to_vec();
        std::mem::take(&mut known.dirty).then_some(SeenRanges { agent, boot, used_at: known.used_at, ranges })
    }
}

fn hour_and_moment(ts: Timestamp) -> (i64, u32) {
    let ms = ts.as_millis();
    (ms.div_euclid(HOUR_MS), u32::try_from(ms.rem_euclid(HOUR_MS)).unwrap_or(0))
}

fn hour_boot(hour: i64) -> BootId {
    BootId(format!("{HOUR_PREFIX}{hour}").into())
}

fn hour_of(boot: &BootId) -> Option<i64> {
    boot.0.strip_prefix(HOUR_PREFIX)?.parse().ok()
}

fn ranges_of(moments: &[u32]) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for moment in moments.iter().map(|moment| u64::from(*moment)) {
        match ranges.last_mut() {
            Some((_, end)) if *end + 1 == moment => *end = moment,
            _ => ranges.push((moment, moment)),
        }
    }
    ranges
}

fn moments(ranges: &[(u64, u64)]) -> Vec<u32> {
    let numbers = ranges.iter().flat_map(|(start, end)| *start..=*end).take(MAX_PER_HOUR);
    numbers.filter_map(|number| u32::try_from(number).ok()).collect()
}

#[cfg(test)]
#[path = "admission/tests.rs"]
mod tests;
