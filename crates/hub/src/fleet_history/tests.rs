//! Questions against a store of one number for each minute, with heartbeats that come late or in the middle of an answer.

use super::*;
use nightbell_model::AgentId;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// A store with one number for each minute, which counts the minutes it is asked for.
#[derive(Default)]
struct World {
    minutes: RefCell<BTreeMap<i64, f64>>,
    asked: RefCell<Vec<i64>>,
    arrivals: Arrivals,
    history: FleetHistory,
}

impl World {
    /// Stores a heartbeat in a minute and counts it, as the pipeline does.
    fn beat(&self, minute: i64, value: f64) {
        self.minutes.borrow_mut().insert(minute, value);
        self.arrivals.note(std::iter::once(Timestamp::from_millis(minute * MINUTE_MS + 7)));
    }

    fn read(&self, query: &FleetQuery) -> FleetFrame {
        let times = query.steps();
        let minutes = self.minutes.borrow();
        let value = |time: &Timestamp| {
            let first = time.as_millis() / MINUTE_MS;
            let all: Vec<f64> = minutes.range(first..first + query.step_ms / MINUTE_MS).map(|(_, value)| *value).collect();
            all.iter().sum::<f64>() / f64::from(u32::try_from(all.len()).expect("few"))
        };
        self.asked.borrow_mut().extend(times.iter().map(|time| time.as_millis() / MINUTE_MS));
        let mean: Vec<f64> = times.iter().map(value).collect();
        let count = mean.iter().map(|mean| u32::from(!mean.is_nan())).collect();
        FleetFrame { groups: vec![FleetColumn { min: mean.clone(), max: mean.clone(), mean, count }; query.groups.len()], times }
    }

    /// The answer over these minutes, which must be what the store would say, and the minutes that it was asked for.
    fn ask(&self, minutes: std::ops::Range<i64>, step: i64, groups: u64) -> Vec<i64> {
        let at = |minute: i64| Timestamp::from_millis(minute * MINUTE_MS);
        let groups = (0..groups).map(|group| vec![AgentId::from_bits(group.into())]).collect();
        let query = FleetQuery {
            groups,
            series: "a.b".to_owned(),
            start: at(minutes.start),
            end: at(minutes.end),
            step_ms: step * MINUTE_MS,
        };
        let found = self.history.answer(&query, &self.arrivals, |query| Ok(self.read(query))).expect("an answer");
        let asked = std::mem::take(&mut *self.asked.borrow_mut());
        // NaN is no reason to differ.
        assert_eq!(format!("{found:?}"), format!("{:?}", self.read(&query)));
        self.asked.borrow_mut().clear();
        asked
    }
}

#[test]
fn what_has_not_changed_is_not_read_again_and_what_is_late_is() {
    let world = World::default();
    (100..160).for_each(|minute| world.beat(minute, f64::from(i32::try_from(minute).expect("small"))));
    assert_eq!(world.ask(100..160, 1, 1).len(), 60);
    assert_eq!(world.ask(100..160, 1, 1), [0_i64; 0]);
    world.beat(160, 1.0);
    assert_eq!(world.ask(101..161, 1, 1), [160], "one minute on");
    world.beat(160, 2.0);
    world.beat(130, -5.0);
    world.beat(131, -6.0);
    assert_eq!(world.ask(101..161, 1, 1), [130, 131, 160], "late heartbeats and those of the open minute");
    assert_eq!(world.ask(100..160, 5, 1), [100, 105, 110, 115, 120, 125, 130, 135, 140, 145, 150, 155], "another step");
    world.beat(133, 0.5);
    assert_eq!(world.ask(100..160, 5, 1), [130]);
    assert_eq!(world.ask(100..102, 1, 2), [100, 101], "other groups");
    world.arrivals.upheaval();
    assert_eq!(world.ask(100..160, 1, 1).len(), 60, "an import may have changed anything");
}

#[test]
fn a_heartbeat_that_arrives_while_the_store_is_read_is_not_missed() {
    let world = World::default();
    world.beat(10, 1.0);
    let query = FleetQuery {
        groups: vec![vec![AgentId::default()]],
        series: "a.b".to_owned(),
        start: Timestamp::from_millis(10 * MINUTE_MS),
        end: Timestamp::from_millis(11 * MINUTE_MS),
        step_ms: MINUTE_MS,
    };
    let early = world.history.answer(&query, &world.arrivals, |query| {
        let frame = world.read(query);
        world.beat(10, 2.0);
        Ok(frame)
    });
    assert_eq!(early.expect("an answer").groups[0].mean, [1.0]);
    let later = world.history.answer(&query, &world.arrivals, |query| Ok(world.read(query))).expect("an answer");
    assert_eq!(later.groups[0].mean, [2.0]);
}

#[test]
fn what_is_kept_and_counted_is_bounded() {
    let world = World::default();
    let many = i64::try_from(MINUTES).expect("small") + 500;
    (0..many).for_each(|minute| world.beat(minute, 1.0));
    assert_eq!(lock(&world.arrivals.0).minutes.len(), MINUTES);
    assert_eq!(world.ask(0..10, 1, 1).len(), 10);
    assert_eq!(world.ask(0..10, 1, 1).len(), 10, "minutes that are not counted any more are read each time");
    world.beat(3, 9.0);
    assert_eq!(world.ask(0..10, 1, 1).len(), 10);
    for groups in (1..80).step_by(9) {
        world.ask(many - 2_900..many, 1, groups);
    }
    let matters = lock(&world.history.matters);
    let cells: usize = matters.known.iter().map(|(matter, known)| matter.groups.len() * known.steps.len()).sum();
    assert!(cells <= CELLS && cells > CELLS / 4, "{cells}");
}
