//! Answers with minutes that were read ahead are those of the store, bit for bit, whatever happens before, between and after: on a
//! real file.

use super::super::FleetHistory;
use super::*;
use crate::transfer;
use nightbell_model::{Batch, Schema, Ulid};
use nightbell_store::{
    AgentRow, Change, FleetColumn, FleetFrame, LeaseToken, MetricStore, Retention, SealPolicy, SqliteOptions, SqliteStore,
    StateStore,
};
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::BTreeSet;
use tempfile::TempDir;

const HOUR: i64 = 60 * MINUTE_MS;
/// Minutes count from here: the beginning of an hour.
const BEGIN: i64 = 480_000 * HOUR;

struct World {
    _folder: TempDir,
    store: SqliteStore,
    lease: LeaseToken,
    arrivals: Arrivals,
    history: FleetHistory,
    /// Agents and whether they have the tag.
    agents: BTreeMap<u8, bool>,
    /// Who was removed, and does not come back.
    gone: BTreeSet<u8>,
    now: i64,
    /// A stretch that is being read.
    reading: Option<(Stretch, FleetSurvey)>,
    /// The minutes that the store was asked for.
    asked: RefCell<Vec<i64>>,
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(BEGIN + ms)
}

fn id(agent: u8) -> AgentId {
    AgentId::from_bits(agent.into())
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("hub.db"), SqliteOptions::default()).unwrap();
        let lease = store.acquire(Ulid::from_bits(1), at(0)).unwrap();
        Self {
            _folder: folder,
            store,
            lease,
            arrivals: Arrivals::default(),
            history: FleetHistory::default(),
            agents: [(1, false), (2, true), (3, true)].into(),
            gone: BTreeSet::new(),
            now: 3 * HOUR + SETTLED_MS,
            reading: None,
            asked: RefCell::default(),
        }
    }

    /// Heartbeats of an agent in some minutes, stored and then counted, as the pipeline does.
    fn beats(&self, agent: u8, minutes: std::ops::Range<i64>, seed: i64) {
        let keys = if agent.is_multiple_of(2) { ["m.a", "m.b", "m.c{x=1}"] } else { ["m.c{x=2}", "m.c{x=1}", "m.a"] };
        let schema = Schema::new(keys.iter().map(|key| key.parse().unwrap()).collect());
        let value =
            |mixed: i64| f64::from(i32::try_from(mixed.rem_euclid(1_000)).unwrap()) / if mixed % 3 == 0 { 7.0 } else { 8.0 };
        let beat = |minute: i64| {
            let ts = at(minute * MINUTE_MS + (seed * 977 + i64::from(agent)).rem_euclid(MINUTE_MS));
            let values = (0..3).map(|column| value(seed * 31 + minute * 17 + column * 7 + i64::from(agent))).collect();
            Batch { agent: id(agent), ts, received: ts, boot_seq: None, schema: Arc::clone(&schema), values }
        };
        let beats: Vec<Batch> = minutes.map(beat).collect();
        self.store.append(self.lease, &beats).unwrap();
        self.arrivals.note(beats.iter().map(|beat| beat.ts));
    }

    fn all(&self) -> Vec<AgentId> {
        self.agents.keys().map(|agent| id(*agent)).collect()
    }

    fn by_tag(&self) -> Vec<Vec<AgentId>> {
        let of = |tagged: bool| self.agents.iter().filter(|one| *one.1 == tagged).map(|one| id(*one.0)).collect();
        [of(false), of(true)].into_iter().filter(|group: &Vec<AgentId>| !group.is_empty()).collect()
    }

    /// Reads on, one piece.
    fn read(&mut self) {
        if self.reading.is_none() {
            let stretch = self.history.ahead.next(at(self.now), &self.all(), &self.by_tag(), &self.arrivals);
            self.reading = stretch.map(|stretch| (stretch.survey(), stretch)).map(|(survey, stretch)| (stretch, survey));
        }
        let Some((stretch, mut survey)) = self.reading.take() else { return };
        self.store.survey(&mut survey, 1).unwrap();
        if survey.is_done() {
            self.history.ahead.keep(stretch, survey.finish());
        } else {
            self.reading = Some((stretch, survey));
        }
    }

    fn read_all(&mut self) {
        self.read();
        while self.reading.is_some()
            || self.history.ahead.next(at(self.now), &self.all(), &self.by_tag(), &self.arrivals).is_some()
        {
            self.read();
        }
    }

    /// The minutes that the store was asked for to answer, which must be what it says of all of them.
    fn ask(&self, series: &str, groups: Vec<Vec<AgentId>>, minutes: std::ops::Range<i64>, step: i64) -> Vec<i64> {
        let (start, end) = (at(minutes.start * MINUTE_MS), at(minutes.end * MINUTE_MS));
        let query = FleetQuery { groups, series: series.to_owned(), start, end, step_ms: step * MINUTE_MS };
        let read = |query: &FleetQuery| {
            self.asked.borrow_mut().extend(query.steps().iter().map(|step| (step.as_millis() - BEGIN) / MINUTE_MS));
            self.store.fleet(query)
        };
        let found = self.history.answer(&query, &self.arrivals, read).unwrap();
        assert_eq!(bits(&found), bits(&self.store.fleet(&query).unwrap()), "{query:?}");
        std::mem::take(&mut *self.asked.borrow_mut())
    }

    /// The last hour of everybody.
    fn last_hour(&self, series: &str) -> Vec<i64> {
        let until = self.now / MINUTE_MS + 1;
        self.ask(series, vec![self.all()], until - 61..until, 1)
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
fn the_first_question_about_a_metric_finds_the_last_hour_read() {
    let mut world = World::new();
    let minute = world.now / MINUTE_MS;
    (1..=3).for_each(|agent| world.beats(agent, minute - 90..minute + 1, 5));
    world.read_all();
    assert_eq!(world.last_hour("m.a"), [minute], "the open minute");
    assert_eq!(world.last_hour("m.c"), [minute], "all series of a metric");
    let hour = minute - 60..minute;
    assert_eq!(world.ask("m.b", world.by_tag(), hour.clone(), 1), [0_i64; 0], "each group by itself");
    assert_eq!(world.ask("m.a", vec![vec![id(2), id(3)]], hour.clone(), 1), [0_i64; 0], "one tag alone");
    for (series, groups, step) in
        [("m.c{x=1}", vec![world.all()], 1), ("m.a", vec![vec![id(1), id(2)]], 1), ("m.a", vec![world.all()], 5)]
    {
        assert!(!world.ask(series, groups, hour.clone(), step).is_empty(), "what is not kept is read");
    }
    // What comes late is not missed, and read once more.
    world.beats(2, minute - 30..minute - 29, 6);
    assert_eq!(world.ask("m.b", vec![world.all()], hour.clone(), 1), [minute - 30]);
    world.read_all();
    assert_eq!(world.ask("m.c", world.by_tag(), hour, 1), [0_i64; 0]);
}

#[test]
fn a_heartbeat_that_comes_while_its_minute_is_read_is_not_missed() {
    let mut world = World::new();
    let minute = world.now / MINUTE_MS;
    (1..=3).for_each(|agent| world.beats(agent, minute - 20..minute, 5));
    world.read();
    world.beats(1, minute - 3..minute - 2, 9);
    while world.reading.is_some() {
        world.read();
    }
    assert!(world.last_hour("m.a").contains(&(minute - 3)));
}

#[test]
fn what_is_kept_is_bounded_and_tags_go_first() {
    let mut world = World::new();
    let minute = world.now / MINUTE_MS;
    let names: Vec<String> = (0..CELLS).map(|number| format!("many.m{number}")).collect();
    let schema = Schema::new(names.iter().map(|name| name.parse().unwrap()).collect());
    let ts = at((minute - 1) * MINUTE_MS);
    let beat = Batch { agent: id(2), ts, received: ts, boot_seq: None, schema, values: vec![1.5; CELLS].into() };
    world.store.append(world.lease, &[beat]).unwrap();
    world.read_all();
    let kept = |world: &World| {
        let kept = lock(&world.history.ahead.0);
        let cells = kept.minutes.values().map(|minute| minute.cells.len()).max();
        let abouts: BTreeSet<_> = kept.minutes.values().map(|minute| Arc::as_ptr(&minute.about)).collect();
        (kept.minutes.len(), cells, abouts.len())
    };
    assert_eq!(kept(&world), (usize::try_from(MINUTES).unwrap(), Some(CELLS), 1));
    assert_eq!(world.ask("many.m399", vec![world.all()], minute - 60..minute, 1), [0_i64; 0]);
    assert!(!world.ask("many.m399", world.by_tag(), minute - 60..minute, 1).is_empty());
    world.now += 500 * MINUTE_MS;
    world.read();
    assert!(kept(&world).0 <= usize::try_from(STRETCH).unwrap(), "minutes of the past are forgotten");
    let many: Vec<AgentId> = (0..=u128::try_from(MEMBERS).unwrap()).map(AgentId::from_bits).collect();
    let next = |all: &[AgentId], by_tag: &[Vec<AgentId>]| world.history.ahead.next(at(world.now), all, by_tag, &world.arrivals);
    assert!(next(&many, &[]).is_none() && next(&[], &[]).is_none());
    assert_eq!(next(&many[1..], &[many[..5].to_vec()]).unwrap().groups.len(), 1, "no room for their tags");
}

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    Beats { agent: u8, back: i64, count: i64, seed: i64 },
    Read { pieces: u8 },
    ReadAll,
    Ask { series: usize, groups: u8, back: i64, count: i64, step: i64 },
    Minutes(i64),
    Retag { agent: u8 },
    Remove { agent: u8, purge: bool },
    Import { agent: u8, back: i64 },
    Seal,
    RollUp,
    Retain,
}

fn step() -> impl Strategy<Value = Step> {
    let back = || prop_oneof![3 => 0_i64..5, 2 => 0_i64..80];
    prop_oneof![
        6 => (1_u8..7, back(), 1_i64..50, 0_i64..50).prop_map(|(agent, back, count, seed)| Step::Beats { agent, back, count, seed }),
        4 => (1_u8..4).prop_map(|pieces| Step::Read { pieces }),
        2 => Just(Step::ReadAll),
        8 => (0_usize..4, 0_u8..4, back(), 1_i64..80, prop::sample::select(vec![1_i64, 1, 1, 5]))
            .prop_map(|(series, groups, back, count, step)| Step::Ask { series, groups, back, count, step }),
        3 => (1_i64..9).prop_map(Step::Minutes),
        1 => (1_u8..7).prop_map(|agent| Step::Retag { agent }),
        1 => (1_u8..7, any::<bool>()).prop_map(|(agent, purge)| Step::Remove { agent, purge }),
        1 => (1_u8..7, back()).prop_map(|(agent, back)| Step::Import { agent, back }),
        1 => Just(Step::Seal),
        1 => Just(Step::RollUp),
        1 => Just(Step::Retain),
    ]
}

fn run(steps: &[Step]) {
    let mut world = World::new();
    for step in steps {
        let minute = world.now / MINUTE_MS;
        match *step {
            Step::Beats { agent, back, count, seed } => {
                if !world.gone.contains(&agent) {
                    world.beats(agent, (minute - back - count).max(minute - 80)..minute - back + 1, seed);
                }
            }
            Step::Read { pieces } => (0..pieces).for_each(|_| world.read()),
            Step::ReadAll => world.read_all(),
            Step::Ask { series, groups, back, count, step } => {
                let groups = match groups {
                    0 | 1 => vec![world.all()],
                    2 => world.by_tag(),
                    _ => vec![vec![id(1), id(3)], world.all()],
                };
                let until = minute - back + 1;
                drop(world.ask(["m.a", "m.b", "m.c", "m.c{x=1}"][series], groups, until - count..until, step));
            }
            Step::Minutes(minutes) => world.now += minutes * MINUTE_MS,
            Step::Retag { agent } => {
                if !world.gone.contains(&agent) {
                    let tagged = world.agents.get(&agent).copied();
                    world.agents.insert(agent, !tagged.unwrap_or(false));
                }
            }
            Step::Remove { agent, purge } => {
                world.agents.remove(&agent);
                world.gone.insert(agent);
                let row = transfer::imported_agent(&format!("host-{agent}"), 15_000, at(0)).unwrap();
                let changes = [Change::PutAgent(AgentRow { id: id(agent), ..row }), Change::DeleteAgent { id: id(agent), purge }];
                world.store.apply(world.lease, &changes, None).unwrap();
            }
            Step::Import { agent, back } => {
                let ts = at((minute - back) * MINUTE_MS + 123);
                let schema = Schema::new(vec!["m.b".parse().unwrap()]);
                let beat = Batch { agent: id(agent), ts, received: ts, boot_seq: None, schema, values: vec![77.25].into() };
                world.store.import(world.lease, id(agent), &[beat], false).unwrap();
                world.arrivals.upheaval();
            }
            Step::Seal => {
                world.store.seal(world.lease, at(world.now), &SealPolicy::AT_ONCE).unwrap();
            }
            Step::RollUp => {
                world.store.roll_up(world.lease, at(world.now)).unwrap();
            }
            // The least that is kept of raw is more than what is read ahead.
            Step::Retain => {
                let keep = Retention { raw_ms: 3 * HOUR, ..Retention::default() };
                world.store.retain(world.lease, at(world.now), &keep).unwrap();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_answers_are_those_of_the_store(steps in prop::collection::vec(step(), 1..50)) {
        run(&steps);
    }
}
