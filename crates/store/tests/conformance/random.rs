//! Whatever happens in whatever order, the engine in a file answers as the model does.

use crate::build::{DAY, HOUR, MINUTE, agent, agent_row, at, schema};
use crate::engine::{Engine, Memory, Sqlite};
use crate::tiers::bits;
use nightbell_model::{Batch, BootId, Schema, Tier};
use nightbell_store::{Change, FleetQuery, FleetSurvey, RangeQuery, Retention, SealPolicy};
use proptest::prelude::*;
use std::sync::Arc;

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    /// Heartbeats arrive: how many, the first so long after midnight, and from which agent, process and number on.
    Append {
        count: u64,
        from_minute: i64,
        agent: u128,
        numbered: Option<(u8, u64)>,
        keys: usize,
        seed: i32,
    },
    /// The last ones arrive again.
    Repeat,
    RollUp {
        minute: i64,
    },
    Retain {
        minute: i64,
    },
    /// Complete blocks are packed, days that are over so long densely.
    Seal {
        minute: i64,
        settle_minutes: i64,
        dense_after_hours: Option<i64>,
    },
    /// The store is thrown away as it is and opened again.
    Crash,
    Reopen,
    Purge {
        agent: u128,
    },
    Query {
        agent: u128,
        tier: Option<Tier>,
        from_minute: i64,
        minutes: i64,
        max_points: usize,
    },
}

/// Two weeks, in minutes: longer than what is kept in these tests.
const SPAN: i64 = 14 * 24 * 60;

/// A moment, in minutes: mostly in the first minutes of some day, so that much happens to the same few buckets.
fn moment() -> impl Strategy<Value = i64> {
    prop_oneof![4 => (0..14_i64, 0..12_i64).prop_map(|(day, minute)| day * 1440 + minute), 1 => 0..SPAN]
}

fn step() -> impl Strategy<Value = Step> {
    let number = prop::option::weighted(0.7, (0_u8..3, 0_u64..40));
    let append = (1_u64..60, moment(), 1_u128..3, number, 0_usize..3, any::<i32>());
    let tier = prop::option::of(prop::sample::select(Tier::ALL.to_vec()));
    let query = (1_u128..3, tier, -100..SPAN, 1..SPAN, 1_usize..400);
    prop_oneof![
        5 => append.prop_map(|(count, from_minute, agent, numbered, keys, seed)| {
            Step::Append { count, from_minute, agent, numbered, keys, seed }
        }),
        1 => Just(Step::Repeat),
        3 => (moment(), 0..4_i64).prop_map(|(minute, days)| Step::RollUp { minute: minute + days * 1440 }),
        2 => (moment(), 0..4_i64).prop_map(|(minute, days)| Step::Retain { minute: minute + days * 1440 }),
        4 => (moment(), 0..4_i64, 0..90_i64, prop::option::of(0..30_i64)).prop_map(|(minute, days, settle_minutes, hours)| {
            Step::Seal { minute: minute + days * 1440, settle_minutes, dense_after_hours: hours }
        }),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash),
        1 => (1_u128..3).prop_map(|agent| Step::Purge { agent }),
        4 => query.prop_map(|(agent, tier, from_minute, minutes, max_points)| {
            Step::Query { agent, tier, from_minute, minutes, max_points }
        }),
    ]
}

/// Values of all kinds that the packed forms know.
fn value(seed: i32, n: u64, column: usize) -> f64 {
    let mixed = i64::from(seed).wrapping_mul(31).wrapping_add(n.cast_signed() * 17 + i64::try_from(column).unwrap() * 7);
    let small = f64::from(i32::try_from(mixed.rem_euclid(10_000)).unwrap());
    match mixed.rem_euclid(23) {
        0 => f64::NAN,
        1 => -0.0,
        2 => f64::INFINITY,
        3 => small / 7.0,
        4 => -small,
        5 => small * 1e280,
        _ => small / 8.0,
    }
}

fn batches(step: &Step, schemas: &[Arc<Schema>]) -> Vec<Batch> {
    let Step::Append { count, from_minute, agent: number, numbered, keys, seed } = step else { return Vec::new() };
    let schema = &schemas[*keys];
    let batch = |n: u64| {
        let ts = at(from_minute * MINUTE + n.cast_signed() * 37_000);
        let boot_seq = numbered.map(|(boot, first)| (BootId(boot.to_string().into()), first + n));
        let values = (0..schema.keys().len()).map(|column| value(*seed, n, column)).collect();
        Batch { agent: agent(*number), ts, received: ts, boot_seq, schema: Arc::clone(schema), values }
    };
    (0..*count).map(batch).collect()
}

fn keep() -> Retention {
    Retention { raw_ms: 2 * DAY, five_minutes_ms: 4 * DAY, hourly_ms: 3 * DAY, daily_ms: 8 * DAY, log_ms: DAY, max_bytes: None }
}

fn run(steps: &[Step]) -> Result<(), TestCaseError> {
    let schemas = [schema(&["m.a", "cpu.usage_percent"]), schema(&["cpu.usage_percent", "m.b", "m.c{x=1}"]), schema(&["m.a"])];
    let (mut file, mut model) = (Sqlite::new(), Memory::new());
    let mut last = Vec::new();
    for step in steps {
        let engines: [&mut dyn Engine; 2] = [&mut file, &mut model];
        match step {
            Step::Append { .. } => last = batches(step, &schemas),
            Step::Reopen => engines.into_iter().for_each(|engine| engine.reopen()),
            Step::Crash => file.crash(),
            _ => {}
        }
        let engines: [&dyn Engine; 2] = [&file, &model];
        for engine in engines {
            let (store, lease) = (engine.store(), engine.lease());
            match step {
                Step::Append { .. } | Step::Repeat => store.append(lease, &last).unwrap(),
                Step::RollUp { minute } => drop(store.roll_up(lease, at(minute * MINUTE)).unwrap()),
                Step::Retain { minute } => drop(store.retain(lease, at(minute * MINUTE), &keep()).unwrap()),
                Step::Purge { agent: number } => {
                    let id = agent(*number);
                    let changes = [Change::PutAgent(agent_row(*number)), Change::DeleteAgent { id, purge: true }];
                    store.apply(lease, &changes, None).unwrap();
                }
                Step::Seal { minute, settle_minutes, dense_after_hours } => {
                    let (settle_ms, dense_after_ms) = (settle_minutes * MINUTE, dense_after_hours.map(|hours| hours * HOUR));
                    let policy = SealPolicy { settle_ms, stagger_ms: 0, dense_after_ms };
                    store.seal(lease, at(minute * MINUTE), &policy).unwrap();
                }
                Step::Reopen | Step::Crash | Step::Query { .. } => {}
            }
        }
        if let Step::Query { agent: number, tier, from_minute, minutes, max_points } = step {
            let query = RangeQuery {
                agent: agent(*number),
                series: Vec::new(),
                start: at(from_minute * MINUTE),
                end: at((from_minute + minutes) * MINUTE),
                tier: *tier,
                max_points: *max_points,
                now: at(0),
            };
            compare(&file, &model, &query)?;
            compare_fleet(&file, &model, &query)?;
            let engines: [&dyn Engine; 2] = [&file, &model];
            for (engine, step_ms) in engines.into_iter().flat_map(|engine| [(engine, MINUTE), (engine, 7 * MINUTE)]) {
                compare_survey(engine, &query, step_ms)?;
            }
        }
    }
    for (number, tier) in [1, 2].into_iter().flat_map(|number| Tier::ALL.map(|tier| (number, tier))) {
        let query = RangeQuery { agent: agent(number), ..crate::build::all(tier) };
        compare(&file, &model, &query)?;
        // The model forgets nothing, not even the names of series of which nothing is left.
        let (found, all) = (file.store().series(agent(number)).unwrap(), model.store().series(agent(number)).unwrap());
        prop_assert!(found.is_sorted() && found.iter().all(|key| all.contains(key)), "{found:?} {all:?}");
    }
    prop_assert_eq!(file.store().load().unwrap().seen, model.store().load().unwrap().seen);
    Ok(())
}

fn compare(file: &Sqlite, model: &Memory, query: &RangeQuery) -> Result<(), TestCaseError> {
    let (found, expected) = (file.store().range(query).unwrap(), model.store().range(query).unwrap());
    prop_assert!(found.times.is_sorted(), "{:?}", query);
    prop_assert_eq!(&found.times, &expected.times, "{:?}", query);
    prop_assert_eq!((&found.tiers, found.step_ms), (&expected.tiers, expected.step_ms), "{:?}", query);
    let keys = |frame: &nightbell_model::Frame| frame.columns.iter().map(|column| column.key.clone()).collect::<Vec<_>>();
    prop_assert_eq!(keys(&found), keys(&expected), "{:?}", query);
    prop_assert_eq!(bits(&found), bits(&expected), "{:?}", query);
    Ok(())
}

fn compare_fleet(file: &Sqlite, model: &Memory, query: &RangeQuery) -> Result<(), TestCaseError> {
    for (series, step_ms) in [("cpu.usage_percent", MINUTE), ("m.a", 5 * MINUTE), ("m.a", HOUR)] {
        let groups = vec![vec![agent(1), agent(2)], vec![query.agent]];
        let (start, end) = (query.start, query.end.min(query.start.plus_millis(2_000 * step_ms)));
        let query = FleetQuery { groups, series: series.to_owned(), start, end, step_ms };
        let (found, expected) = (file.store().fleet(&query).unwrap(), model.store().fleet(&query).unwrap());
        prop_assert_eq!(&found.times, &expected.times, "{:?}", query);
        for (found, expected) in found.groups.iter().zip(&expected.groups) {
            prop_assert_eq!(&found.count, &expected.count, "{:?}", query);
            for (found, expected) in [(&found.mean, &expected.mean), (&found.min, &expected.min), (&found.max, &expected.max)] {
                prop_assert_eq!(to_bits(found), to_bits(expected), "{:?}", query);
            }
        }
    }
    Ok(())
}

/// A survey of all metrics says of each what is said of it alone.
fn compare_survey(engine: &dyn Engine, query: &RangeQuery, step_ms: i64) -> Result<(), TestCaseError> {
    let groups = [vec![agent(2), agent(1), agent(2)], vec![query.agent], vec![]];
    let (start, end) = (query.start, query.end.min(query.start.plus_millis(500 * step_ms)));
    let mut survey = FleetSurvey::new(&groups, (start, end), step_ms, 10);
    while !survey.is_done() {
        engine.store().survey(&mut survey, 1).unwrap();
    }
    let found = survey.finish();
    prop_assert!(!found.is_short && found.metrics.iter().is_sorted_by_key(|(metric, _)| metric));
    for series in ["cpu.usage_percent", "m.a", "m.b", "m.c"] {
        let alone = FleetQuery { groups: groups.to_vec(), series: series.to_owned(), start, end, step_ms };
        let expected = engine.store().fleet(&alone).unwrap();
        prop_assert_eq!(&found.times, &expected.times, "{:?}", query);
        let Some((_, columns)) = found.metrics.iter().find(|(metric, _)| metric == series) else {
            prop_assert!(
                expected.groups.iter().flat_map(|group| &group.count).all(|count| *count == 0),
                "{} {:?}",
                series,
                query
            );
            continue;
        };
        prop_assert_eq!(format!("{columns:?}"), format!("{:?}", expected.groups), "{} {:?}", series, query);
        for (found, expected) in columns.iter().zip(&expected.groups) {
            for (found, expected) in [(&found.mean, &expected.mean), (&found.min, &expected.min), (&found.max, &expected.max)] {
                prop_assert_eq!(to_bits(found), to_bits(expected), "{} {:?}", series, query);
            }
        }
    }
    Ok(())
}

fn to_bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]
    #[test]
    fn the_file_answers_as_the_model(steps in prop::collection::vec(step(), 1..40)) {
        run(&steps)?;
    }
}

#[test]
fn an_hour_is_half_rolled_up_when_more_arrives() {
    let append = |from_minute| Step::Append { count: 50, from_minute, agent: 1, numbered: None, keys: 1, seed: 3 };
    let minutes = HOUR / MINUTE;
    run(&[append(0), Step::RollUp { minute: 20 }, append(10), Step::RollUp { minute: minutes + 2 }, append(3), Step::Reopen])
        .unwrap();
}

#[test]
fn a_fleets_steps_are_whole_whatever_of_them_is_asked_for() {
    let append = Step::Append { count: 1, from_minute: 18_720, agent: 1, numbered: None, keys: 2, seed: 1 };
    let query = |from_minute| Step::Query { agent: 1, tier: None, from_minute, minutes: 1, max_points: 1 };
    run(&[append, query(18_721), query(18_719), query(18_725)]).unwrap();
}
