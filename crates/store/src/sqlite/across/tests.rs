//! One pass, a survey of all metrics, and agent by agent give the same bits, on a real file; where a pass does not do, it says so. What the answers ought to be is
//! left to the conformance suite.

use super::super::{SqliteOptions, SqliteStore, questions};
use super::*;
use crate::seams::{LeaseToken, MetricStore, SealPolicy, StateStore};
use crate::survey::FleetSurvey;
use nightbell_model::{Batch, Schema, Ulid};
use tempfile::TempDir;

const HOUR: i64 = 3_600_000;
const AGENTS: u128 = 20;

struct World {
    _folder: TempDir,
    store: SqliteStore,
    lease: LeaseToken,
    schemas: [Arc<Schema>; 2],
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(1_728_000_000_000 + ms)
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("hub.db"), SqliteOptions::default()).unwrap();
        let lease = store.acquire(Ulid::from_bits(1), at(0)).unwrap();
        let schema = |keys: &[&str]| Schema::new(keys.iter().map(|key| key.parse().unwrap()).collect());
        let schemas = [schema(&["cpu.usage_percent", "m.a{x=1}", "m.a{x=2}"]), schema(&["m.b", "m.a{x=1}"])];
        Self { _folder: folder, store, lease, schemas }
    }

    /// Heartbeats of all agents every 15 s, as they would arrive.
    fn beats(&self, from: i64, until: i64) {
        for ms in (from..until).step_by(15_000) {
            let beats: Vec<Batch> =
                (1..=AGENTS).map(|agent| self.beat(agent, ms + i64::try_from(agent).unwrap() * 700)).collect();
            self.store.append(self.lease, &beats).unwrap();
        }
    }

    fn beat(&self, agent: u128, ms: i64) -> Batch {
        let schema = Arc::clone(&self.schemas[usize::from(agent.is_multiple_of(3))]);
        let number = f64::from(u32::try_from((ms / 15_000 * 7 + i64::try_from(agent).unwrap() * 13) % 1000).unwrap());
        let values = [number / 8.0, number / 7.0, if number > 800.0 { f64::NAN } else { -number }];
        let values = values.into_iter().take(schema.keys().len()).collect();
        let (agent, ts) = (AgentId::from_bits(agent), at(ms));
        Batch { agent, ts, received: ts, boot_seq: None, schema, values }
    }

    /// What is found in one pass, if anything is; that it is what is found agent by agent, bit for bit.
    fn ask(&self, series: &str, from: i64, until: i64, step_ms: i64) -> Option<FleetFrame> {
        let all: Vec<AgentId> = (1..=AGENTS + 1).map(AgentId::from_bits).collect();
        let groups = vec![all.clone(), all[5..9].to_vec(), vec![]];
        let query = FleetQuery { groups, series: series.to_owned(), start: at(from), end: at(until), step_ms };
        let ask = |of: &dyn Fn(&Connection, &Sight<'_>) -> Answer<Option<FleetFrame>>| {
            self.store.readers.read("ask", |connection| of(connection, &self.store.sight())).unwrap()
        };
        let single = ask(&|connection, sight| questions::one_by_one(connection, sight, &query).map(Some)).unwrap();
        assert!(single.groups[0].count.iter().any(|count| *count > 0));
        let found = ask(&|connection, sight| fleet(connection, sight, &query));
        if !series.contains('{') {
            assert_eq!(bits(&self.survey(&query)), bits(&single), "a survey: {series} {from} {until} {step_ms}");
        }
        if let Some(found) = &found {
            assert_eq!(bits(found), bits(&single), "{series} {from} {until} {step_ms}");
        }
        found
    }

    /// What a survey finds, some agents at a time.
    fn survey(&self, query: &FleetQuery) -> FleetFrame {
        let mut survey = FleetSurvey::new(&query.groups, (query.start, query.end), query.step_ms, 3);
        while !survey.is_done() {
            self.store.survey(&mut survey, 300).unwrap();
        }
        let found = survey.finish();
        assert_eq!((found.metrics.len(), found.is_short), (3, false));
        let of_metric = found.metrics.into_iter().find(|(metric, _)| *metric == query.series);
        FleetFrame { times: found.times, groups: of_metric.unwrap().1 }
    }

    fn damage(&self, sql: &str) {
        self.store.gate.urgent().write("damage", |connection, _| Ok(connection.execute_batch(sql)?)).unwrap();
    }
}

fn bits(frame: &FleetFrame) -> Vec<Vec<u64>> {
    let column = |group: &FleetColumn| {
        let values = group.mean.iter().chain(&group.min).chain(&group.max).map(|value| value.to_bits());
        values.chain(group.count.iter().map(|count| u64::from(*count))).collect()
    };
    let times = frame.times.iter().map(|time| time.as_millis().cast_unsigned()).collect();
    [times].into_iter().chain(frame.groups.iter().map(column)).collect()
}

#[test]
fn hot_and_sealed_rows_are_joined_as_agent_by_agent() {
    let world = World::new();
    world.beats(0, 2 * HOUR);
    for series in ["m.a", "m.a{x=1}", "cpu.usage_percent", "m.b"] {
        assert!(world.ask(series, HOUR / 2, HOUR, 60_000).is_some());
    }
    world.store.roll_up(world.lease, at(2 * HOUR)).unwrap();
    // One agent after the other is sealed: half of them are.
    world.store.seal(world.lease, at(HOUR + 25 * 60_000), &SealPolicy::default()).unwrap();
    for (from, until, step) in [(0, 2 * HOUR, 60_000), (HOUR / 3 + 5, HOUR + 7, 7_000), (0, 2 * HOUR, 300_000)] {
        assert!(world.ask("m.a", from, until, step).is_some());
    }
    world.store.seal(world.lease, at(4 * HOUR), &SealPolicy::AT_ONCE).unwrap();
    world.beats(3 * HOUR, 3 * HOUR + 60_000);
    assert!(world.ask("m.a", 0, 4 * HOUR, 60_000).is_some());
}

#[test]
fn the_last_minutes_are_read_without_what_lies_before() {
    let world = World::new();
    world.beats(0, 2 * HOUR);
    let met = |from, until| {
        let all = 1..=i64::try_from(AGENTS).unwrap() * 2 * 240;
        world.store.zones.within(&all, (at(from), at(until))).known
    };
    assert!(world.ask("m.a", 2 * HOUR - 120_000, 2 * HOUR, 60_000).is_some());
    assert!(met(2 * HOUR - 120_000, 2 * HOUR) <= 256, "160 rows and what lies beside them");
    assert!(world.ask("m.a", 0, 60_000, 60_000).is_some());
}

#[test]
fn who_came_late_or_is_one_of_many_is_asked_alone() {
    let world = World::new();
    world.beats(0, HOUR);
    world.store.append(world.lease, &[world.beat(4, 1_000)]).unwrap();
    assert!(world.ask("m.a", 0, 60_000, 60_000).is_none(), "its rows are not in the order of time");
    assert!(world.ask("m.a", 60_000, HOUR, 60_000).is_some());
    let few = vec![vec![AgentId::from_bits(1), AgentId::from_bits(2)]];
    let query = FleetQuery { groups: few, series: "m.a".to_owned(), start: at(60_000), end: at(HOUR), step_ms: 60_000 };
    let found = world.store.readers.read("ask", |connection| fleet(connection, &world.store.sight(), &query)).unwrap();
    assert!(found.is_none(), "a pass over all for a tenth of them");
}

#[test]
fn damage_is_left_to_asking_agent_by_agent_whichever_way_it_shows() {
    for change in ["received = received + 1", "ts = ts - 7200000", "agent = 5", "agent = 19", "vector = x'02'"] {
        let world = World::new();
        world.beats(0, HOUR);
        assert!(world.ask("m.a", HOUR / 6, HOUR / 2, 60_000).is_some());
        world.damage(&["UPDATE", "agent_metrics", "SET", change, "WHERE id = 1000"].join(" "));
        assert!(world.ask("m.a", HOUR / 6, HOUR / 2, 60_000).is_none(), "{change}");
    }
}
