//! Packing changes no answer; late heartbeats, imports and incidents are seen to. Fleets and pages answer from whatever is there.

use crate::build::{DAY, HOUR, MINUTE, agent, all, at, beat, incident, key, numbered, schema};
use crate::engine::Engine;
use crate::tiers::bits;
use nightbell_alerts::IncidentRecord;
use nightbell_model::{AgentId, Batch, Frame, Tier, Timestamp};
use nightbell_store::{
    Change, ExportCursor, ExportQuery, FleetQuery, Imported, RangeQuery, Retention, ScrubPlace, SealPolicy, StoreError,
};

crate::conformance!(
    packing_changes_no_answer,
    a_late_heartbeat_joins_its_chunk,
    the_newest_heartbeat_of_a_silent_agent_is_loaded,
    the_last_sample_of_an_instance_is_found_in_chunks,
    without_numbers_one_time_is_one_heartbeat_even_in_a_chunk,
    a_closed_span_has_a_revision_until_something_in_it_changes,
    imported_history_is_stored_once_in_any_order,
    series_may_be_imported_one_after_the_other,
    kept_history_is_never_too_old,
    raw_around_an_incident_outlives_its_age,
    a_fleet_is_the_mean_of_its_agents,
    pages_make_up_the_whole,
    a_lost_lease_cannot_keep_house,
);

fn seal(engine: &dyn Engine, ms: i64) {
    engine.store().seal(engine.lease(), at(ms), &SealPolicy::AT_ONCE).unwrap();
}

fn range(engine: &dyn Engine, tier: Tier) -> Frame {
    engine.store().range(&all(tier)).unwrap()
}

fn everything(engine: &dyn Engine) -> Vec<(Vec<Timestamp>, Vec<Vec<u64>>)> {
    Tier::ALL.map(|tier| range(engine, tier)).iter().map(|frame| (frame.times.clone(), bits(frame))).collect()
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn wave(n: i64) -> f64 {
    (n * 7 % 101) as f64 / 8.0
}

/// One heartbeat a minute with two series, the second every other time.
fn fill(engine: &dyn Engine, from: i64, to: i64) {
    let keys = schema(&["m.a", "m.b"]);
    let beats: Vec<Batch> = (from / MINUTE..to / MINUTE)
        .map(|n| numbered(n.unsigned_abs(), n * MINUTE, &keys, &[wave(n), if n % 2 == 0 { -0.0 } else { f64::NAN }]))
        .collect();
    engine.store().append(engine.lease(), &beats).unwrap();
}

fn packing_changes_no_answer(engine: &mut dyn Engine) {
    fill(engine, 0, 50 * HOUR + 20 * MINUTE);
    let before = everything(engine);
    for ms in [30 * MINUTE, 26 * HOUR, 3 * DAY] {
        seal(engine, ms);
        assert_eq!(everything(engine), before, "sealed at {ms}");
        engine.store().roll_up(engine.lease(), at(ms)).unwrap();
        assert_eq!(everything(engine), before, "rolled up at {ms}");
        seal(engine, ms);
        engine.reopen();
        assert_eq!(everything(engine), before, "sealed again at {ms}");
    }
    let part = RangeQuery { start: at(HOUR + 7 * MINUTE), end: at(3 * HOUR + 9 * MINUTE), ..all(Tier::Raw) };
    assert_eq!(engine.store().range(&part).unwrap().times.len(), 122);
    let one = RangeQuery { series: vec!["m.b".to_owned()], ..part };
    assert_eq!(engine.store().range(&one).unwrap().columns.len(), 1);
}

fn a_late_heartbeat_joins_its_chunk(engine: &mut dyn Engine) {
    fill(engine, 0, 30 * HOUR);
    engine.store().roll_up(engine.lease(), at(31 * HOUR)).unwrap();
    seal(engine, 31 * HOUR);
    // One into a dense day, one into a young hour, one into an hour without any, at the time of another, and with a new series.
    let keys = schema(&["m.a", "m.late"]);
    let late = [
        numbered(9001, 5 * HOUR + 1, &keys, &[500.0, 1.0]),
        numbered(9002, 26 * HOUR, &keys, &[600.0, 2.0]),
        numbered(9003, -3 * HOUR, &keys, &[700.0, 3.0]),
    ];
    engine.store().append(engine.lease(), &late).unwrap();
    let after = everything(engine);
    assert_eq!(after[0].0.len(), 1803 + 1, "one more row for the gap");
    seal(engine, 31 * HOUR);
    assert_eq!(everything(engine), after);
    engine.store().roll_up(engine.lease(), at(3 * DAY)).unwrap();
    seal(engine, 3 * DAY);
    engine.reopen();
    assert_eq!(everything(engine), after);
    let hourly = range(engine, Tier::Hourly);
    assert_eq!(
        hourly.columns[0].max[hourly.times.iter().position(|time| *time == at(5 * HOUR)).unwrap()].to_bits(),
        500_f64.to_bits()
    );
    engine.store().append(engine.lease(), &late).unwrap();
    assert_eq!(everything(engine), after, "what is known is not late");
}

fn the_newest_heartbeat_of_a_silent_agent_is_loaded(engine: &mut dyn Engine) {
    engine.store().apply(engine.lease(), &[Change::PutAgent(crate::build::agent_row(1))], None).unwrap();
    fill(engine, 0, 90 * MINUTE);
    seal(engine, 3 * DAY);
    seal(engine, 4 * DAY);
    engine.reopen();
    let newest = |engine: &dyn Engine| engine.store().load().unwrap().latest.iter().map(|one| one.ts).collect::<Vec<_>>();
    assert_eq!(newest(engine), [at(89 * MINUTE)]);
    let keys = schema(&["m.a"]);
    engine.store().append(engine.lease(), &[numbered(9001, 95 * MINUTE, &keys, &[4.0])]).unwrap();
    for ms in [4 * DAY, 5 * DAY, 6 * DAY] {
        assert_eq!(newest(engine), [at(95 * MINUTE)], "late, but the newest");
        seal(engine, ms);
    }
    engine.reopen();
    let latest = engine.store().load().unwrap().latest;
    assert_eq!(latest[0].samples().collect::<Vec<_>>(), [(&key("m.a"), 4.0)]);
    assert_eq!(latest[0].boot_seq.as_ref().map(|one| one.1), Some(9001));
    assert_eq!(range(engine, Tier::Raw).times.len(), 92, "it is there once, after a gap");
}

fn the_last_sample_of_an_instance_is_found_in_chunks(engine: &mut dyn Engine) {
    use nightbell_alerts::{Effects, InstanceKey, InstanceRecord, State};
    fill(engine, 0, 90 * MINUTE);
    let silent = schema(&["m.a"]);
    let beats: Vec<Batch> = (90..400).map(|n| numbered(n, n.cast_signed() * MINUTE, &silent, &[1.0])).collect();
    engine.store().append(engine.lease(), &beats).unwrap();
    let record = InstanceRecord {
        key: InstanceKey { series: key("m.b"), ..crate::build::instance() },
        state: State::Firing,
        since: at(0),
        fired_at: None,
        clear_since: None,
        was_firing: false,
        incident: None,
        rule_version: 1,
        samples: 1,
        peak: None,
        last_ts: None,
    };
    let effects = Effects { instances: vec![record], ..Effects::default() };
    let commit = nightbell_store::Commit { effects, ..nightbell_store::Commit::default() };
    engine.store().commit(engine.lease(), &commit).unwrap();
    for ms in [0, 400 * MINUTE, 3 * DAY] {
        seal(engine, ms);
        engine.reopen();
        let loaded = engine.store().load().unwrap().instances;
        assert_eq!(loaded.iter().map(|one| one.last_ts).collect::<Vec<_>>(), [Some(at(88 * MINUTE))], "sealed at {ms}");
    }
}

fn without_numbers_one_time_is_one_heartbeat_even_in_a_chunk(engine: &mut dyn Engine) {
    let keys = schema(&["m.a"]);
    let beats = || (0..240).map(|n| beat(n * 15_000, &keys, &[wave(n)])).collect::<Vec<_>>();
    engine.store().append(engine.lease(), &beats()).unwrap();
    for ms in [HOUR, 3 * DAY] {
        seal(engine, ms);
        let mut again = beats();
        again.push(beat(7, &keys, &[1.0]));
        engine.store().append(engine.lease(), &again).unwrap();
        assert_eq!(range(engine, Tier::Raw).times.len(), 241);
    }
}

fn a_closed_span_has_a_revision_until_something_in_it_changes(engine: &mut dyn Engine) {
    let revision = |engine: &dyn Engine| engine.store().revision(agent(1), at(0), at(2 * HOUR)).unwrap();
    assert_eq!(revision(engine), None);
    fill(engine, 0, 5 * HOUR);
    assert_eq!(revision(engine), None, "it may still grow");
    seal(engine, 5 * HOUR);
    let first = revision(engine);
    assert!(first.is_some());
    fill(engine, 5 * HOUR, 6 * HOUR);
    engine.store().roll_up(engine.lease(), at(6 * HOUR)).unwrap();
    seal(engine, 3 * DAY);
    engine.reopen();
    assert_eq!(revision(engine), first, "nothing in it changed");
    assert_eq!(engine.store().revision(agent(1), at(0), at(100 * DAY)).unwrap(), None);
    engine.store().append(engine.lease(), &[numbered(9000, HOUR + 1, &schema(&["m.a"]), &[5.0])]).unwrap();
    let late = revision(engine);
    assert!(late.is_some() && late != first);
    engine.store().roll_up(engine.lease(), at(9 * DAY)).unwrap();
    engine.store().retain(engine.lease(), at(9 * DAY), &Retention::default()).unwrap();
    assert!(revision(engine) != late, "raw is gone");
}

fn imported_history_is_stored_once_in_any_order(engine: &mut dyn Engine) {
    let keys = schema(&["m.a"]);
    let beats: Vec<Batch> = [5, 3, 9, 3, 1, 5].into_iter().map(|n| beat(n * MINUTE - 400 * DAY, &keys, &[wave(n)])).collect();
    let import = |engine: &dyn Engine| engine.store().import(engine.lease(), agent(1), &beats, false).unwrap();
    assert_eq!(import(engine), Imported { stored: 4, duplicates: 2, too_old: 0 });
    assert_eq!(import(engine), Imported { stored: 0, duplicates: 6, too_old: 0 });
    engine.store().roll_up(engine.lease(), at(0)).unwrap();
    seal(engine, 0);
    assert_eq!(import(engine).duplicates, 6);
    assert_eq!(range(engine, Tier::Raw).columns[0].mean.iter().filter(|value| !value.is_nan()).count(), 4);
    assert_eq!(engine.store().load().unwrap().agents, []);
    engine.store().retain(engine.lease(), at(0), &Retention::default()).unwrap();
    assert_eq!(import(engine).too_old, 6, "closed, and said so");
}

fn series_may_be_imported_one_after_the_other(engine: &mut dyn Engine) {
    let beats = |name: &str, factor: f64| -> Vec<Batch> {
        let keys = schema(&[name, "m.both"]);
        (0..100_i32).map(|n| beat(i64::from(n) * MINUTE - 400 * DAY, &keys, &[f64::from(n) * factor, f64::from(n)])).collect()
    };
    let import = |engine: &dyn Engine, beats: &[Batch]| engine.store().import(engine.lease(), agent(1), beats, true).unwrap();
    let stored = Imported { stored: 100, duplicates: 0, too_old: 0 };
    let known = Imported { stored: 0, duplicates: 100, too_old: 0 };
    assert_eq!(import(engine, &beats("m.a", 1.0)), stored);
    assert_eq!(import(engine, &beats("m.b", 10.0)), stored, "another series is no duplicate");
    engine.store().roll_up(engine.lease(), at(0)).unwrap();
    seal(engine, 0);
    assert_eq!(import(engine, &beats("m.c", 100.0)), stored, "nor is one that comes to a chunk");
    seal(engine, DAY);
    for (name, factor) in [("m.a", 7.0), ("m.b", 7.0), ("m.c", 7.0)] {
        assert_eq!(import(engine, &beats(name, factor)), known, "what was said first stands");
    }
    engine.reopen();
    let frame = range(engine, Tier::Raw);
    assert_eq!(frame.times.len(), 100, "one row for each moment");
    let names: Vec<String> = frame.columns.iter().map(|column| column.key.to_string()).collect();
    assert_eq!(names, ["m.a", "m.b", "m.both", "m.c"]);
    for (column, factor) in frame.columns.iter().zip([1.0, 10.0, 1.0, 100.0]) {
        let expected: Vec<f64> = (0..100_i32).map(|n| f64::from(n) * factor).collect();
        assert_eq!(column.mean, expected, "{}", column.key);
    }
    let daily = range(engine, Tier::Daily);
    assert_eq!(daily.columns[2].max, [99.0], "{:?}", daily.columns[2].key);
}

fn kept_history_is_never_too_old(engine: &mut dyn Engine) {
    let keys = schema(&["m.a"]);
    let beats: Vec<Batch> = (0..100).map(|n| beat(n * HOUR - 400 * DAY, &keys, &[wave(n)])).collect();
    engine.store().import(engine.lease(), agent(1), &beats, true).unwrap();
    for ms in [0, 200 * DAY] {
        engine.store().roll_up(engine.lease(), at(ms)).unwrap();
        seal(engine, ms);
        engine.store().retain(engine.lease(), at(ms), &Retention::default()).unwrap();
        engine.reopen();
        assert_eq!(range(engine, Tier::Raw).times.len(), 100);
    }
}

fn raw_around_an_incident_outlives_its_age(engine: &mut dyn Engine) {
    fill(engine, 0, 30 * HOUR);
    let hours = |fired: i64, ended: Option<i64>, n: u128| IncidentRecord {
        fired_at: at(fired * HOUR),
        resolved_at: ended.map(|hour| at(hour * HOUR)),
        ..incident(n)
    };
    // The second goes over midnight; a third is of another agent.
    let mut other = hours(15, Some(16), 3);
    other.key.agent = agent(2);
    let changes = [hours(3, Some(4), 1), hours(22, Some(25), 2), other].map(Change::PutIncident);
    engine.store().apply(engine.lease(), &changes, None).unwrap();
    engine.store().roll_up(engine.lease(), at(3 * DAY)).unwrap();
    seal(engine, 3 * DAY);
    let raw = |engine: &dyn Engine, from: i64, to: i64| {
        let query = RangeQuery { start: at(from * MINUTE), end: at(to * MINUTE), ..all(Tier::Raw) };
        let frame = engine.store().range(&query).unwrap();
        (frame.tiers, frame.times.len())
    };
    let all_raw = (vec![Tier::Raw], 150);
    for day in [20, 30] {
        engine.store().retain(engine.lease(), at(day * DAY), &Retention::default()).unwrap();
        engine.reopen();
        assert_eq!(raw(engine, 120, 270), all_raw, "an hour before to half an hour after");
        assert_eq!(raw(engine, 21 * 60, 21 * 60 + 150), all_raw);
        assert_eq!(raw(engine, 23 * 60, 23 * 60 + 150), all_raw);
        let beside = (vec![Tier::Raw, Tier::FiveMinutes], 151);
        assert_eq!(raw(engine, 119, 270), beside, "a minute more is there as a bucket");
        assert_eq!(raw(engine, 15 * 60, 16 * 60).0, [Tier::FiveMinutes]);
        // Over everything it stands between the buckets, and each of them is there once: 2 to 4.5 h and 21 to 25.5 h.
        let whole = range(engine, Tier::Raw);
        assert_eq!((whole.times.len(), whole.times.is_sorted()), (30 * 12 - 84 + 420, true));
        let (mut times, mut raw_rows, mut cursor) = (Vec::new(), 0, None);
        loop {
            let (start, end) = (Timestamp::MIN, Timestamp::MAX);
            let query =
                ExportQuery { agent: agent(1), series: vec![key("m.a")], start, end, tier: Tier::Raw, cursor, max_rows: 92 };
            let page = engine.store().export_page(&query).unwrap();
            raw_rows += page.widths.iter().filter(|width| width.is_none()).count();
            times.extend(page.times);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!((times, raw_rows), (whole.times, 420), "pages have it as well");
    }
    // With the incidents what was kept for them goes.
    for _ in 0..2 {
        engine
            .store()
            .retain(engine.lease(), at(100 * DAY), &Retention { five_minutes_ms: 200 * DAY, ..Retention::default() })
            .unwrap();
    }
    assert_eq!(raw(engine, 120, 270).0, [Tier::FiveMinutes]);
}

fn a_fleet_is_the_mean_of_its_agents(engine: &mut dyn Engine) {
    let keys = schema(&["m.a", "m.b"]);
    let of = |number: u128, every: i64, value: f64| -> Vec<Batch> {
        let beat = |n: i64| Batch { agent: agent(number), ..beat(n * every, &keys, &[value, 7.0]) };
        (0..3 * HOUR / every).map(beat).collect()
    };
    let beats = [of(1, 15_000, 10.0), of(2, 60_000, 20.0), of(3, 30_000, 60.0)].concat();
    engine.store().append(engine.lease(), &beats).unwrap();
    let ids = |numbers: &[u128]| numbers.iter().map(|n| agent(*n)).collect::<Vec<AgentId>>();
    let query = |from: i64, to: i64, step_ms: i64| FleetQuery {
        groups: vec![ids(&[1, 2, 3]), ids(&[2]), ids(&[9])],
        series: "m.a".to_owned(),
        start: at(from),
        end: at(to),
        step_ms,
    };
    for ms in [0, 4 * HOUR, 3 * DAY] {
        engine.store().roll_up(engine.lease(), at(ms)).unwrap();
        seal(engine, ms);
        for (step, count) in [(MINUTE, 60), (5 * MINUTE, 12), (HOUR, 1)] {
            let frame = engine.store().fleet(&query(HOUR, 2 * HOUR, step)).unwrap();
            assert_eq!((frame.times.len(), frame.groups.len()), (count, 3));
            let [every, second, nobody] = &frame.groups[..] else { panic!("three groups") };
            assert!(every.mean.iter().all(|mean| mean.to_bits() == 30_f64.to_bits()), "{:?}", every.mean);
            assert!(every.count.iter().all(|count| *count == 3));
            assert_eq!((every.min[0].to_bits(), every.max[0].to_bits()), (10_f64.to_bits(), 60_f64.to_bits()));
            assert!(second.mean.iter().all(|mean| mean.to_bits() == 20_f64.to_bits()));
            assert!(nobody.mean.iter().all(|mean| mean.is_nan()) && nobody.count.iter().all(|count| *count == 0));
        }
        let ends = engine.store().fleet(&query(-HOUR, 4 * HOUR, HOUR)).unwrap();
        assert_eq!(ends.groups[0].count, [0, 3, 3, 3, 0]);
    }
}

fn pages_make_up_the_whole(engine: &mut dyn Engine) {
    fill(engine, 0, 5 * HOUR);
    fill(engine, 40 * HOUR, 41 * HOUR);
    // Three at one time, in the middle of what becomes a page.
    let keys = schema(&["m.a"]);
    let ties: Vec<Batch> = (0..3_u32).map(|n| numbered(7000 + u64::from(n), 90 * MINUTE, &keys, &[f64::from(n)])).collect();
    engine.store().append(engine.lease(), &ties).unwrap();
    // Another series that comes by itself for moments that are there, twice for one of them: a row of the table for each moment,
    // and one more where the same series says two things.
    let beside = schema(&["m.beside"]);
    let minutes = [30, 31, 90, 90, 150, 2000];
    let apart =
        minutes.iter().zip(7100..).map(|(minute, seq)| numbered(seq, minute * MINUTE, &beside, &[5.5])).collect::<Vec<_>>();
    engine.store().append(engine.lease(), &apart).unwrap();
    let pages = |engine: &dyn Engine, tier: Tier, max_rows: usize| {
        let (mut times, mut mean, mut cursor): (Vec<Timestamp>, Vec<[u64; 2]>, Option<ExportCursor>) =
            (Vec::new(), Vec::new(), None);
        loop {
            let query = ExportQuery {
                agent: agent(1),
                series: vec![key("m.none"), key("m.a"), key("m.beside")],
                start: Timestamp::MIN,
                end: Timestamp::MAX,
                tier,
                cursor,
                max_rows,
            };
            let page = engine.store().export_page(&query).unwrap();
            assert!(page.times.len() <= max_rows && page.mean.iter().all(|column| column.len() == page.times.len()));
            assert!(page.mean[0].iter().all(|value| value.is_nan()));
            times.extend(page.times);
            mean.extend(page.mean[1].iter().zip(&page.mean[2]).map(|(a, b)| [a.to_bits(), b.to_bits()]));
            cursor = page.next;
            if cursor.is_none() {
                return (times, mean);
            }
        }
    };
    for ms in [0, 6 * HOUR, 3 * DAY] {
        engine.store().roll_up(engine.lease(), at(ms)).unwrap();
        seal(engine, ms);
        for tier in [Tier::Raw, Tier::FiveMinutes] {
            let whole = range(engine, tier);
            let [a, b] =
                ["m.a", "m.beside"].map(|name| &whole.columns.iter().find(|column| column.key == key(name)).unwrap().mean);
            let rows = whole.times.iter().zip(a.iter().zip(b));
            let (times, mean): (Vec<Timestamp>, Vec<[u64; 2]>) = rows
                .filter(|(_, (a, b))| !a.is_nan() || !b.is_nan())
                .map(|(time, (a, b))| (*time, [a.to_bits(), b.to_bits()]))
                .unzip();
            if tier == Tier::Raw {
                assert_eq!(times.len(), 300 + 60 + 3 + 2, "what is beside another is in its row");
            }
            for max_rows in [1, 7, 92, 100_000] {
                assert_eq!(pages(engine, tier, max_rows), (times.clone(), mean.clone()), "{tier:?} by {max_rows}");
            }
        }
    }
}

fn a_lost_lease_cannot_keep_house(engine: &mut dyn Engine) {
    let old = engine.lease();
    fill(engine, 0, 2 * HOUR);
    engine.reopen();
    let refused = |result: Result<(), StoreError>| assert!(matches!(result, Err(StoreError::Conflict(_))), "{result:?}");
    refused(engine.store().seal(old, at(DAY), &SealPolicy::AT_ONCE).map(drop));
    refused(engine.store().scrub(old, at(DAY), &mut ScrubPlace::default()).map(drop));
    refused(engine.store().import(old, agent(1), &[beat(0, &schema(&["m.a"]), &[1.0])], false).map(drop));
    assert_eq!(range(engine, Tier::Raw).times.len(), 120);
}
