//! Heartbeats are stored once, and answered as they came.

use crate::build::{HOUR, MINUTE, agent, agent_row, all, at, beat, key, numbered, schema};
use crate::engine::Engine;
use nightbell_model::{Batch, BootId, Frame, Tier, Timestamp};
use nightbell_store::{Change, Commit, RangeQuery, SeenRow, StoreError};

crate::conformance!(
    an_agent_without_history_is_an_empty_answer,
    heartbeats_come_back_as_they_were,
    a_repeated_heartbeat_is_stored_once,
    a_repeated_commit_is_stored_once_even_after_a_restart,
    heartbeats_without_numbers_are_told_apart_by_their_time,
    what_was_seen_is_loaded_again_until_it_is_forgotten,
    series_are_chosen_by_key_or_by_metric,
    no_more_is_read_than_can_be_taken,
    a_series_without_a_value_has_no_history,
    series_that_come_later_do_not_disturb_those_before,
    the_newest_heartbeat_is_loaded,
    last_seen_follows_what_was_received,
    the_history_of_a_deleted_agent_stays_unless_purged,
    what_waits_of_an_agent_that_is_deleted_is_not_stored,
    a_lost_lease_cannot_write,
);

fn append(engine: &dyn Engine, batches: &[Batch]) {
    engine.store().append(engine.lease(), batches).unwrap();
}

fn raw(engine: &dyn Engine) -> Frame {
    engine.store().range(&all(Tier::Raw)).unwrap()
}

fn an_agent_without_history_is_an_empty_answer(engine: &mut dyn Engine) {
    assert_eq!(raw(engine), Frame::empty(Timestamp::MIN, Timestamp::MAX));
    assert_eq!(engine.store().series(agent(1)).unwrap(), []);
    assert!(!engine.store().knows_metric("cpu.usage_percent").unwrap());
}

fn heartbeats_come_back_as_they_were(engine: &mut dyn Engine) {
    let values = [91.25, -0.0, f64::INFINITY, 1e300, f64::MIN_POSITIVE, -17.5, 9_007_199_254_740_993.0];
    let names: Vec<String> = (0..values.len()).map(|n| format!("custom.value{n}")).collect();
    let keys = schema(&names.iter().map(String::as_str).collect::<Vec<_>>());
    append(engine, &[beat(15_000, &keys, &values), beat(0, &keys, &[f64::NAN; 7]), beat(30_000, &keys, &values)]);
    engine.reopen();
    let frame = raw(engine);
    assert_eq!(frame.times, [at(0), at(15_000), at(30_000)]);
    assert_eq!((frame.tiers, frame.step_ms), (vec![Tier::Raw], None));
    for (column, value) in frame.columns.iter().zip(values) {
        assert!(column.mean[0].is_nan());
        for part in [&column.mean, &column.min, &column.max] {
            assert_eq!([part[1].to_bits(), part[2].to_bits()], [value.to_bits(); 2], "{}", column.key);
        }
    }
    assert!(engine.store().knows_metric("custom.value3").unwrap());
}

fn a_repeated_heartbeat_is_stored_once(engine: &mut dyn Engine) {
    let keys = schema(&["cpu.usage_percent"]);
    let first = numbered(7, 0, &keys, &[1.0]);
    append(engine, &[first.clone(), first.clone()]);
    append(engine, &[numbered(8, 15_000, &keys, &[2.0]), first.clone()]);
    engine.reopen();
    append(engine, &[first, numbered(6, 15_000, &keys, &[3.0])]);
    let frame = raw(engine);
    assert_eq!(frame.columns[0].mean, [1.0, 2.0, 3.0], "two numbers at one time are two heartbeats");
}

fn a_repeated_commit_is_stored_once_even_after_a_restart(engine: &mut dyn Engine) {
    let keys = schema(&["cpu.usage_percent"]);
    let mut commit = Commit {
        batches: vec![numbered(1, 0, &keys, &[1.0]), beat(5_000, &keys, &[2.0])],
        outbox: vec![crate::build::delivery(1, nightbell_alerts::NoticeKind::Fired, 0, 0)],
        audit: vec![crate::build::audit_line(0)],
        ..Commit::default()
    };
    commit.effects.events = vec![crate::build::event(0, nightbell_alerts::EventKind::Fired); 2];
    let first = engine.store().commit(engine.lease(), &commit).unwrap();
    assert_eq!(first.len(), 2);
    assert_eq!(engine.store().commit(engine.lease(), &commit).unwrap(), first);
    engine.reopen();
    assert_eq!(engine.store().commit(engine.lease(), &commit).unwrap(), first);
    assert_eq!(raw(engine).times.len(), 2);
    let log = engine.store().events(&nightbell_store::EventQuery { limit: 10, ..Default::default() }).unwrap();
    assert_eq!(log.items.len(), 2);
    assert_eq!(engine.store().audit(None, 10).unwrap().items, commit.audit);
    assert_eq!(
        engine.store().deliveries(&nightbell_store::DeliveryQuery { limit: 10, ..Default::default() }).unwrap().items.len(),
        1
    );
}

fn heartbeats_without_numbers_are_told_apart_by_their_time(engine: &mut dyn Engine) {
    let keys = schema(&["cpu.usage_percent"]);
    append(engine, &[beat(0, &keys, &[1.0]), beat(0, &keys, &[2.0])]);
    append(engine, &[beat(0, &keys, &[3.0]), beat(1, &keys, &[4.0])]);
    append(engine, &[Batch { agent: agent(2), ..beat(0, &keys, &[5.0]) }]);
    assert_eq!(raw(engine).columns[0].mean, [1.0, 4.0]);
}

fn what_was_seen_is_loaded_again_until_it_is_forgotten(engine: &mut dyn Engine) {
    let keys = schema(&["cpu.usage_percent"]);
    let row = |ranges: &[(u64, u64)]| SeenRow {
        agent: agent(1),
        boot: BootId("boot".into()),
        used_at: at(15_000),
        ranges: ranges.to_vec(),
    };
    let commit = |seen| Commit { seen: vec![seen], ..Commit::default() };
    append(engine, &[numbered(4, 0, &keys, &[1.0])]);
    engine.store().commit(engine.lease(), &commit(row(&[(1, 2), (6, 9)]))).unwrap();
    engine.reopen();
    assert_eq!(engine.store().load().unwrap().seen, [row(&[(1, 2), (4, 4), (6, 9)])], "what is stored was seen");
    // The door saw more than is stored: that alone must not keep a heartbeat out.
    append(engine, &[numbered(7, 15_000, &keys, &[2.0])]);
    assert_eq!(raw(engine).times.len(), 2);
    engine.store().commit(engine.lease(), &commit(row(&[]))).unwrap();
    assert_eq!(engine.store().load().unwrap().seen, []);
}

fn series_are_chosen_by_key_or_by_metric(engine: &mut dyn Engine) {
    let keys = schema(&["disk.used_percent{mount=/srv}", "cpu.usage_percent", "disk.used_percent{mount=/}"]);
    append(engine, &[beat(0, &keys, &[1.0, 2.0, 3.0])]);
    let names = |series: &[&str]| {
        let series = series.iter().map(|name| (*name).to_owned()).collect();
        let frame = engine.store().range(&RangeQuery { series, ..all(Tier::Raw) }).unwrap();
        frame.columns.iter().map(|column| (column.key.to_string(), column.mean[0])).collect::<Vec<_>>()
    };
    let (root, srv) = (("disk.used_percent{mount=/}".to_owned(), 3.0), ("disk.used_percent{mount=/srv}".to_owned(), 1.0));
    assert_eq!(names(&["disk.used_percent"]), [srv.clone(), root.clone()]);
    assert_eq!(names(&[]), [("cpu.usage_percent".to_owned(), 2.0), srv.clone(), root]);
    assert_eq!(names(&["disk.used_percent{mount=/srv}"]), [srv]);
    assert_eq!(names(&["mem.used_percent"]), []);
}

fn no_more_is_read_than_can_be_taken(engine: &mut dyn Engine) {
    let keys = schema(&["a.a", "b.b"]);
    append(engine, &(0..10).map(|n| beat(n * 1000, &keys, &[1.0, 2.0])).collect::<Vec<_>>());
    let within = |most| engine.store().range_within(&all(Tier::Raw), most);
    assert_eq!(within(20).unwrap(), raw(engine));
    assert!(matches!(within(19), Err(StoreError::TooMuch { most: 19 })));
}

fn a_series_without_a_value_has_no_history(engine: &mut dyn Engine) {
    let keys = schema(&["b.missing", "a.there"]);
    append(engine, &[beat(0, &keys, &[f64::NAN, 1.0])]);
    assert_eq!(engine.store().series(agent(1)).unwrap(), [key("a.there")]);
    assert!(!engine.store().knows_metric("b.missing").unwrap());
    append(engine, &[beat(1, &keys, &[0.0, 1.0])]);
    assert_eq!(engine.store().series(agent(1)).unwrap(), [key("a.there"), key("b.missing")]);
    assert!(engine.store().knows_metric("b.missing").unwrap());
}

fn series_that_come_later_do_not_disturb_those_before(engine: &mut dyn Engine) {
    append(engine, &[beat(0, &schema(&["m.a", "m.b"]), &[1.0, 2.0])]);
    append(engine, &[beat(15_000, &schema(&["m.c", "m.b"]), &[3.0, 4.0])]);
    engine.reopen();
    append(engine, &[beat(30_000, &schema(&["m.b", "m.d", "m.a"]), &[5.0, 6.0, 7.0])]);
    let frame = raw(engine);
    let column = |at: usize| frame.columns[at].mean.iter().map(|value| value.to_string()).collect::<Vec<_>>().join(" ");
    assert_eq!([column(0), column(1), column(2), column(3)], ["1 NaN 7", "2 4 5", "NaN 3 NaN", "NaN NaN 6"]);
}

fn the_newest_heartbeat_is_loaded(engine: &mut dyn Engine) {
    engine.store().apply(engine.lease(), &[Change::PutAgent(agent_row(1)), Change::PutAgent(agent_row(2))], None).unwrap();
    let keys = schema(&["m.a", "m.b"]);
    append(engine, &[numbered(1, HOUR, &keys, &[1.0, f64::NAN]), numbered(2, MINUTE, &keys, &[2.0, 2.0])]);
    engine.reopen();
    let latest = engine.store().load().unwrap().latest;
    assert_eq!(latest.len(), 1);
    assert_eq!((latest[0].agent, latest[0].ts, latest[0].received), (agent(1), at(HOUR), at(HOUR)));
    assert_eq!(latest[0].boot_seq, Some((BootId("boot".into()), 1)));
    assert_eq!(latest[0].samples().collect::<Vec<_>>(), [(&key("m.a"), 1.0)]);
}

fn last_seen_follows_what_was_received(engine: &mut dyn Engine) {
    engine.store().apply(engine.lease(), &[Change::PutAgent(agent_row(1))], None).unwrap();
    let last_seen = |engine: &dyn Engine| engine.store().load().unwrap().agents[0].last_seen;
    let keys = schema(&["m.a"]);
    assert_eq!(last_seen(engine), None);
    append(engine, &[Batch { received: at(HOUR), ..numbered(1, 0, &keys, &[1.0]) }]);
    assert_eq!(last_seen(engine), Some(at(HOUR)));
    append(engine, &[Batch { received: at(2 * HOUR), ..beat(1, &keys, &[1.0]) }]);
    assert_eq!(last_seen(engine), Some(at(2 * HOUR)));
    let alive = Commit { alive: vec![(agent(1), at(3 * HOUR))], ..Commit::default() };
    engine.store().commit(engine.lease(), &alive).unwrap();
    engine.store().apply(engine.lease(), &[Change::PutAgent(agent_row(1))], None).unwrap();
    assert_eq!(last_seen(engine), Some(at(3 * HOUR)), "replacing an agent keeps when it was seen");
}

fn the_history_of_a_deleted_agent_stays_unless_purged(engine: &mut dyn Engine) {
    let put = [Change::PutAgent(agent_row(1))];
    let delete = |purge| [Change::DeleteAgent { id: agent(1), purge }];
    let keys = schema(&["m.a"]);
    engine.store().apply(engine.lease(), &put, None).unwrap();
    append(engine, &[numbered(1, 0, &keys, &[1.0])]);
    engine.store().apply(engine.lease(), &delete(false), None).unwrap();
    assert_eq!(raw(engine).times.len(), 1);
    assert!(engine.store().load().unwrap().agents.is_empty());
    engine.store().apply(engine.lease(), &put, None).unwrap();
    engine.store().apply(engine.lease(), &delete(true), None).unwrap();
    assert_eq!(raw(engine).times.len(), 0);
    append(engine, &[numbered(1, 5, &keys, &[2.0])]);
    engine.store().retain(engine.lease(), at(10), &nightbell_store::Retention::default()).unwrap();
    assert_eq!(raw(engine).columns[0].mean, [2.0], "what comes after a purge is new");
}

fn what_waits_of_an_agent_that_is_deleted_is_not_stored(engine: &mut dyn Engine) {
    let row = agent_row(1);
    let keys = schema(&["m.a"]);
    let seen = |seq| SeenRow { agent: agent(1), boot: BootId("boot".into()), used_at: at(0), ranges: vec![(0, seq)] };
    let turn = |seq: u64| Commit {
        batches: vec![numbered(seq, i64::try_from(seq).unwrap(), &keys, &[1.0])],
        seen: vec![seen(seq)],
        enrolled_only: true,
        ..Commit::default()
    };
    for purge in [true, false] {
        engine.store().apply(engine.lease(), &[Change::PutAgent(row.clone())], None).unwrap();
        engine.store().commit(engine.lease(), &turn(1)).unwrap();
        assert_eq!((raw(engine).times.len(), engine.store().load().unwrap().seen.len()), (1, 1));
        engine.store().apply(engine.lease(), &[Change::DeleteAgent { id: agent(1), purge }], None).unwrap();
        engine.store().commit(engine.lease(), &turn(2)).unwrap();
        assert_eq!(raw(engine).times.len(), usize::from(!purge), "{purge}");
        assert_eq!(engine.store().load().unwrap().seen, []);
    }
}

fn a_lost_lease_cannot_write(engine: &mut dyn Engine) {
    let old = engine.lease();
    engine.reopen();
    assert!(engine.lease().epoch > old.epoch);
    assert!(matches!(engine.store().commit(old, &Commit::default()), Err(StoreError::Conflict(_))));
    assert!(matches!(engine.store().append(old, &[]), Err(StoreError::Conflict(_))));
    assert!(matches!(engine.store().roll_up(old, at(0)), Err(StoreError::Conflict(_))));
    assert!(matches!(engine.store().claim(old, at(0), at(1), &[]), Err(StoreError::Conflict(_))));
    assert!(engine.store().commit(engine.lease(), &Commit::default()).is_ok());
}
