//! What the alerting machine keeps, incidents, and the event log.

use crate::build::{agent, at, beat, event, incident, instance, key, schema};
use crate::engine::Engine;
use nightbell_alerts::{Ack, EndReason, Event, EventKind, IncidentRecord, InstanceKey, InstanceRecord, State, ToldRecord};
use nightbell_model::{ChannelId, IncidentId, RuleId};
use nightbell_store::{Change, Commit, EventQuery, IncidentQuery};

crate::conformance!(
    states_come_back_with_the_time_of_their_last_sample,
    what_is_forgotten_is_gone,
    what_channels_were_told_comes_back,
    incidents_open_change_and_end,
    incidents_are_listed_by_what_they_are_about,
    the_event_log_is_read_both_ways,
    attachments_keep_their_order,
);

fn commit(engine: &dyn Engine, fill: impl FnOnce(&mut Commit)) {
    let mut commit = Commit::default();
    fill(&mut commit);
    engine.store().commit(engine.lease(), &commit).unwrap();
}

fn record(state: State, series: &str) -> InstanceRecord {
    InstanceRecord {
        key: InstanceKey { series: key(series), ..instance() },
        state,
        since: at(1),
        fired_at: Some(at(2)),
        clear_since: Some(at(3)),
        was_firing: true,
        incident: Some(IncidentId::from_bits(1)),
        rule_version: 3,
        samples: 4,
        peak: Some(-0.5),
        last_ts: None,
    }
}

fn states_come_back_with_the_time_of_their_last_sample(engine: &mut dyn Engine) {
    let keys = schema(&["cpu.usage_percent", "disk.used_percent{mount=/}", "disk.used_percent{mount=/srv}"]);
    let missing = f64::NAN;
    commit(engine, |commit| {
        commit.batches = vec![
            beat(0, &keys, &[1.0, missing, 3.0]),
            beat(15_000, &keys, &[missing, 2.0, 3.0]),
            beat(30_000, &keys, &[missing, missing, 3.0]),
        ];
        commit.effects.instances = vec![
            record(State::Firing, "cpu.usage_percent"),
            record(State::Pending, "disk.used_percent{mount=/}"),
            record(State::NoData, "disk.used_percent"),
            record(State::Firing, "mem.used_percent"),
            record(State::Firing, "agent.offline"),
            record(State::Ok, "disk.used_percent{mount=/srv}"),
        ];
    });
    engine.reopen();
    let loaded = engine.store().load().unwrap().instances;
    let last = |series: &str| loaded.iter().find(|record| record.key.series.as_str() == series).unwrap().last_ts;
    assert_eq!(loaded.len(), 6);
    assert_eq!(last("cpu.usage_percent"), Some(at(0)));
    assert_eq!(last("disk.used_percent{mount=/}"), Some(at(15_000)));
    assert_eq!(last("disk.used_percent"), Some(at(30_000)), "an aggregate lives on any series of its metric");
    assert_eq!((last("mem.used_percent"), last("agent.offline")), (None, None));
    assert_eq!(InstanceRecord { last_ts: None, ..loaded[1].clone() }, record(State::Firing, "cpu.usage_percent"));
}

fn what_is_forgotten_is_gone(engine: &mut dyn Engine) {
    let (kept, gone) = (record(State::Pending, "m.a"), record(State::Firing, "m.b"));
    commit(engine, |commit| commit.effects.instances = vec![kept.clone(), gone.clone()]);
    commit(engine, |commit| commit.effects.forgotten = vec![gone.key.clone(), instance()]);
    assert_eq!(engine.store().load().unwrap().instances, [kept]);
}

fn what_channels_were_told_comes_back(engine: &mut dyn Engine) {
    let told = |channel, suppressed| ToldRecord {
        key: instance(),
        channel: ChannelId::from_bits(channel),
        told: Some(IncidentId::from_bits(5)),
        told_nodata: None,
        last_fired_at: Some(at(1)),
        last_said_at: None,
        suppressed,
        repeats: 7,
    };
    commit(engine, |commit| commit.effects.told = vec![told(1, 0), told(2, 0)]);
    commit(engine, |commit| commit.effects.told = vec![told(2, 3)]);
    engine.reopen();
    assert_eq!(engine.store().load().unwrap().told, [told(1, 0), told(2, 3)]);
}

fn incidents_open_change_and_end(engine: &mut dyn Engine) {
    let ack = Ack { by: "user:ann".to_owned(), at: at(5), note: "on it".to_owned(), until: Some(at(9)) };
    commit(engine, |commit| commit.effects.incidents = vec![incident(1), incident(2)]);
    let acknowledged = IncidentRecord { ack: Some(ack), peak: f64::INFINITY, ..incident(1) };
    engine.store().apply(engine.lease(), &[Change::PutIncident(acknowledged.clone())], None).unwrap();
    let ended = IncidentRecord { resolved_at: Some(at(8)), end_reason: Some(EndReason::Cleared), ..incident(2) };
    commit(engine, |commit| commit.effects.incidents = vec![ended.clone()]);
    engine.reopen();
    assert_eq!(engine.store().incident(incident(1).id).unwrap(), Some((acknowledged.clone(), Vec::new())));
    assert_eq!(engine.store().load().unwrap().incidents, [acknowledged]);
    assert_eq!(engine.store().incident(incident(2).id).unwrap(), Some((ended, Vec::new())));
    assert_eq!(engine.store().incident(IncidentId::from_bits(3)).unwrap(), None);
    // One of a late burst that nobody was told of comes back although it is over, until that is settled.
    let reason = "at +0.8 %/h / reaches 100 % in 2 d".to_owned();
    let late = IncidentRecord { resolved_at: Some(at(20_000)), why: reason, late: true, ..incident(3) };
    commit(engine, |commit| commit.effects.incidents = vec![late.clone()]);
    assert!(engine.store().load().unwrap().incidents.contains(&late));
    commit(engine, |commit| commit.effects.incidents = vec![IncidentRecord { late: false, ..late.clone() }]);
    assert!(engine.store().load().unwrap().incidents.iter().all(|record| record.id != late.id));
}

fn incidents_are_listed_by_what_they_are_about(engine: &mut dyn Engine) {
    let other = InstanceKey { rule: RuleId::from_bits(2), agent: agent(2), series: key("m.a") };
    let records: Vec<IncidentRecord> = (1..=6)
        .map(|n| IncidentRecord {
            resolved_at: (n % 2 == 0).then(|| at(9)),
            key: if n > 3 { other.clone() } else { instance() },
            ..incident(n)
        })
        .collect();
    commit(engine, |commit| commit.effects.incidents = records);
    let list = |query: IncidentQuery| {
        let page = engine.store().incidents(&query).unwrap();
        (page.items.iter().map(|record| record.id.bits()).collect::<Vec<_>>(), page.next)
    };
    let query = IncidentQuery { limit: 10, ..Default::default() };
    assert_eq!(list(query.clone()), (vec![6, 5, 4, 3, 2, 1], None));
    assert_eq!(list(IncidentQuery { open: Some(true), ..query.clone() }).0, [5, 3, 1]);
    assert_eq!(list(IncidentQuery { open: Some(false), agent: Some(agent(2)), ..query.clone() }).0, [6, 4]);
    assert_eq!(list(IncidentQuery { rule: Some(RuleId::from_bits(1)), ..query.clone() }).0, [3, 2, 1]);
    let during = |start, end| IncidentQuery { during: Some((at(start), at(end))), ..query.clone() };
    assert_eq!(list(during(9, 20)).0, [5, 3, 1], "what ended before is left out");
    assert_eq!(list(during(8, 20)).0, [6, 5, 4, 3, 2, 1]);
    assert!(list(during(-20, -10)).0.is_empty(), "what began after is left out");
    let (first, next) = list(IncidentQuery { limit: 4, ..query.clone() });
    assert_eq!(first, [6, 5, 4, 3]);
    assert_eq!(list(IncidentQuery { before: next, ..query }), (vec![2, 1], None));
}

fn the_event_log_is_read_both_ways(engine: &mut dyn Engine) {
    let other = |ms, kind| Event { agent: Some(agent(2)), incident: None, series: None, value: None, ..event(ms, kind) };
    let events = [
        event(0, EventKind::Pending),
        event(1, EventKind::Fired),
        other(2, EventKind::AgentOffline),
        event(3, EventKind::Resolved),
        other(4, EventKind::AgentOnline),
    ];
    commit(engine, |commit| commit.effects.events = events.to_vec());
    let list = |query: EventQuery| {
        let page = engine.store().events(&query).unwrap();
        (page.items.iter().map(|line| line.seq).collect::<Vec<_>>(), page.next)
    };
    let query = EventQuery { limit: 10, ..Default::default() };
    let newest_first = engine.store().events(&query).unwrap().items;
    assert_eq!(newest_first.iter().rev().map(|line| line.event.clone()).collect::<Vec<_>>(), events);
    assert_eq!(list(EventQuery { agent: Some(agent(2)), ..query.clone() }).0, [5, 3]);
    assert_eq!(list(EventQuery { incident: Some(IncidentId::from_bits(1)), ..query.clone() }).0, [4, 2, 1]);
    let kinds = vec![EventKind::Fired, EventKind::AgentOnline];
    assert_eq!(list(EventQuery { kinds, ..query.clone() }).0, [5, 2]);
    assert_eq!(list(EventQuery { during: Some((at(1), at(3))), ..query.clone() }).0, [3, 2]);
    assert_eq!(list(EventQuery { after: Some(2), ..query.clone() }), (vec![3, 4, 5], None));
    assert_eq!(list(EventQuery { after: Some(0), limit: 2, ..query.clone() }), (vec![1, 2], Some(2)));
    assert_eq!(list(EventQuery { after: Some(1), before: Some(4), ..query.clone() }).0, [2, 3]);
    let (first, next) = list(EventQuery { limit: 3, ..query.clone() });
    assert_eq!(first, [5, 4, 3]);
    assert_eq!(list(EventQuery { before: next, ..query }), (vec![2, 1], None));
}

fn attachments_keep_their_order(engine: &mut dyn Engine) {
    commit(engine, |commit| commit.effects.incidents = vec![incident(1)]);
    for (ms, kind) in [(5, "top_processes"), (3, "note"), (4, "note")] {
        let json = format!("{{\"n\":{ms}}}");
        let attach = Change::AttachToIncident { incident: incident(1).id, at: at(ms), kind: kind.to_owned(), json };
        engine.store().apply(engine.lease(), &[attach], None).unwrap();
    }
    let (_, attachments) = engine.store().incident(incident(1).id).unwrap().unwrap();
    assert_eq!(
        attachments.iter().map(|one| (one.at, &*one.kind)).collect::<Vec<_>>(),
        [(at(5), "top_processes"), (at(3), "note"), (at(4), "note")]
    );
}
