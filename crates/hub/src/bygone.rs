//! What is read at a start is of the past, whatever the clock was set to meanwhile: a stamp that lies ahead of the clock, because it was
//! set back while the hub did not run, becomes now. Otherwise heartbeats would count as late and timers would stand still until the
//! clock has caught up. Pure; history keeps the times it was written with.

use nightbell_model::Timestamp;
use nightbell_store::Loaded;

/// Moves what lies after `now` to `now`.
pub(crate) fn settle(loaded: &mut Loaded, now: Timestamp) {
    let past = |at: &mut Timestamp| *at = (*at).min(now);
    let perhaps = |at: &mut Option<Timestamp>| *at = at.map(|at| at.min(now));
    loaded.agents.iter_mut().for_each(|row| perhaps(&mut row.last_seen));
    for batch in &mut loaded.latest {
        past(&mut batch.ts);
        past(&mut batch.received);
    }
    for record in &mut loaded.instances {
        past(&mut record.since);
        perhaps(&mut record.clear_since);
        perhaps(&mut record.last_ts);
    }
    for record in &mut loaded.told {
        perhaps(&mut record.last_fired_at);
        perhaps(&mut record.last_said_at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nightbell_model::{AgentId, Batch, Schema};

    #[test]
    fn what_lies_ahead_of_the_clock_is_now_and_the_rest_stays() {
        let at = Timestamp::from_secs;
        let batch = |secs| Batch {
            agent: AgentId::from_bits(1),
            ts: at(secs),
            received: at(secs),
            boot_seq: None,
            schema: Schema::new(Vec::new()),
            values: Box::new([]),
        };
        let mut loaded = Loaded { latest: vec![batch(90), batch(4_000)], ..Loaded::default() };
        settle(&mut loaded, at(100));
        let times: Vec<_> = loaded.latest.iter().map(|batch| (batch.ts, batch.received)).collect();
        assert_eq!(times, [(at(90), at(90)), (at(100), at(100))]);
    }
}
