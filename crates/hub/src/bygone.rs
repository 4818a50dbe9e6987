//! What is read at a start is of the past, whatever the clock was set to meanwhile: a stamp that lies ahead of the clock, because it was
//! set back while the hub did not run, becomes now. Otherwise heartbeats would count as late and timers would stand still until the
//! clock has caught up. Pure; history keeps the times it was written with.

use nightbell_alerts::why::duration_text;
use nightbell_alerts::{Ack, Event, EventKind, IncidentRecord};
use nightbell_model::Timestamp;
use nightbell_store::Loaded;

/// Moves what lies after `now` to `now`; answers the incidents of which that is to be stored, and how far ahead the furthest of them was,
/// in milliseconds.
pub(crate) fn settle(loaded: &mut Loaded, now: Timestamp) -> (Vec<IncidentRecord>, i64) {
    let past = |at: &mut Timestamp| *at = (*at).min(now);
    let perhaps = |at: &mut Option<Timestamp>| *at = at.map(|at| at.min(now));
    loaded.agents.iter_mut().for_each(|row| perhaps(&mut row.last_seen));
    for batch in &mut loaded.latest {
        past(&mut batch.ts);
        past(&mut batch.received);
    }
    for record in &mut loaded.instances {
        past(&mut record.since);
        perhaps(&mut record.fired_at);
        perhaps(&mut record.clear_since);
        perhaps(&mut record.last_ts);
    }
    for record in &mut loaded.told {
        perhaps(&mut record.last_fired_at);
        perhaps(&mut record.last_said_at);
    }
    let (mut moved, mut furthest_ms) = (Vec::new(), 0);
    for record in &mut loaded.incidents {
        let lead_ms = lead_ms(record, now);
        if lead_ms > 0 {
            past(&mut record.started_at);
            past(&mut record.fired_at);
            perhaps(&mut record.resolved_at);
            record.ack.iter_mut().for_each(|ack| settle_ack(ack, now));
            moved.push(record.clone());
            furthest_ms = lead_ms.max(furthest_ms);
        }
    }
    (moved, furthest_ms)
}

/// How far the latest moment of an incident that has been lies ahead; where it is none, zero or less.
fn lead_ms(record: &IncidentRecord, now: Timestamp) -> i64 {
    let said = record.ack.as_ref().map_or(record.fired_at, |ack| ack.at);
    record.fired_at.max(record.resolved_at.unwrap_or(record.fired_at)).max(said).millis_since(now)
}

/// Who took something on for an hour meant an hour from then.
fn settle_ack(ack: &mut Ack, now: Timestamp) {
    let lead_ms = ack.at.millis_since(now).max(0);
    ack.at = ack.at.plus_millis(-lead_ms);
    ack.until = ack.until.map(|until| until.plus_millis(-lead_ms));
}

/// The log's line about so many incidents and deliveries that lay ahead.
pub(crate) fn line(incidents: usize, deliveries: usize, furthest_ms: i64, now: Timestamp) -> Event {
    let many =
        |count: usize, one: &str, more: &str| (count > 0).then(|| format!("{count} {}", if count == 1 { one } else { more }));
    let by = if furthest_ms > 0 { format!(" by up to {}", duration_text(furthest_ms)) } else { String::new() };
    let parts = [many(incidents, "incident", "incidents"), many(deliveries, "delivery", "deliveries")];
    let what = parts.into_iter().flatten().collect::<Vec<_>>().join(" and ");
    let why = format!("the clock was set back while the hub did not run: {what} lay ahead of it{by} and count from now");
    Event::line(now, EventKind::ClockStep, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nightbell_alerts::Severity;
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

    #[test]
    fn incidents_of_the_future_fired_now_and_are_to_be_stored_once() {
        let at = Timestamp::from_secs;
        let incident = |fired: i64, ack: Option<Ack>| {
            let some = crate::routing::tests::incident(Severity::Critical, "2026-11-21T00:00:00Z");
            IncidentRecord { ack, started_at: at(fired), fired_at: at(fired), ..some }
        };
        let ack = |secs| Ack { by: "ada".to_owned(), at: at(secs), note: String::new(), until: Some(at(secs + 3600)) };
        let old = incident(50, Some(ack(60)));
        let mut loaded =
            Loaded { incidents: vec![old.clone(), incident(4_000, None), incident(50, Some(ack(7_300)))], ..Loaded::default() };
        let (moved, furthest_ms) = settle(&mut loaded, at(100));
        assert_eq!((&loaded.incidents[0], &loaded.incidents[1..], furthest_ms), (&old, &moved[..], 7_200_000));
        assert_eq!((moved[0].started_at, moved[0].fired_at), (at(100), at(100)), "escalation and repeats count from now");
        assert_eq!((moved[1].fired_at, moved[1].ack.clone()), (at(50), Some(ack(100))));
        let line = line(moved.len(), 1, furthest_ms, at(100));
        assert!(line.reason.contains("2 incidents and 1 delivery lay ahead of it by up to 2 h"), "{}", line.reason);
        let only = super::line(0, 2, 0, at(100)).reason;
        assert!(only.ends_with("did not run: 2 deliveries lay ahead of it and count from now"), "{only}");
        assert_eq!(settle(&mut loaded, at(100)), (Vec::new(), 0));
    }
}
