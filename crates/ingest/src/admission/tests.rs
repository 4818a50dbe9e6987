//! The law of ALERTING, section 1, line by line and as properties.

use super::*;
use nightbell_model::{Schema, SeriesKey};
use proptest::prelude::*;
use std::collections::HashSet;

const NOW: i64 = 1_763_769_600_000;
const RETENTION: i64 = 7 * 86_400_000;

fn heard(boot_seq: Option<(&str, u64)>, clock: SampleClock, received: i64) -> Heard {
    let schema = Schema::new(vec!["cpu.usage_percent".parse::<SeriesKey>().expect("a key")]);
    Heard {
        agent: AgentId::from_bits(7),
        boot_seq: boot_seq.map(|(boot, seq)| (BootId(boot.into()), seq)),
        clock,
        received: Timestamp::from_millis(NOW + received),
        schema,
        values: Box::new([1.0]),
        has_values: true,
    }
}

fn stamped(at: i64) -> SampleClock {
    SampleClock::Timestamp { ts: Timestamp::from_millis(NOW + at), sent_at: None }
}

/// Admits at `received` and gives the moment relative to [`NOW`], or the verdict's name.
fn admit(admission: &mut Admission, heard: &Heard) -> Result<i64, &'static str> {
    match admission.admit(heard, Timestamp::from_millis(NOW - RETENTION)) {
        Verdict::Admit { ts } => Ok(ts.as_millis() - NOW),
        Verdict::Duplicate => Err("duplicate"),
        Verdict::TooOld => Err("too old"),
        Verdict::Refused { code, .. } => Err(code),
    }
}

/// Boot and number, clock, receipt after [`NOW`], and what is expected.
type Told = (Option<(&'static str, u64)>, SampleClock, i64, Result<i64, &'static str>);

#[track_caller]
fn check(steps: &[Told]) {
    let mut admission = Admission::default();
    for (index, (boot_seq, clock, received, expected)) in steps.iter().enumerate() {
        assert_eq!(admit(&mut admission, &heard(*boot_seq, *clock, *received)), *expected, "step {index}");
    }
}

use SampleClock::{AgeMs, Receipt};

#[test]
fn numbers_tell_heartbeats_apart() {
    check(&[
        (Some(("a", 1)), AgeMs(0), 0, Ok(0)),
        (Some(("a", 1)), AgeMs(15_000), 15_000, Err("duplicate")),
        (Some(("a", 2)), AgeMs(0), 15_000, Ok(15_000)),
        (Some(("b", 1)), AgeMs(0), 30_000, Ok(30_000)),
        (Some(("a", 2)), AgeMs(0), 30_001, Err("duplicate")),
        (Some(("a", u64::MAX)), AgeMs(0), 30_001, Err("seq_out_of_range")),
    ]);
}

#[test]
fn without_numbers_the_timestamp_tells_them_apart() {
    check(&[
        (None, stamped(-1000), 0, Ok(-1000)),
        (None, stamped(-1000), 500, Err("duplicate")),
        (None, stamped(-999), 500, Ok(-999)),
        (None, stamped(-7_200_000), 500, Ok(-7_200_000)),
        (None, stamped(-7_200_000), 500, Err("duplicate")),
    ]);
}

#[test]
fn timestamps_of_the_future_do_not_fall_on_one_moment() {
    check(&[
        (None, stamped(60_000), 0, Ok(0)),
        (None, stamped(75_000), 0, Ok(1)),
        (None, stamped(90_000), 0, Ok(2)),
        (None, stamped(75_000), 0, Err("duplicate")),
        (None, stamped(-1), 0, Ok(-1)),
    ]);
}

#[test]
fn without_anything_nothing_is_a_duplicate_and_order_is_arrival() {
    check(&[
        (None, Receipt, 0, Ok(0)),
        (None, Receipt, 0, Ok(1)),
        (None, Receipt, 0, Ok(2)),
        (None, Receipt, 500, Ok(500)),
        (None, AgeMs(400), 600, Ok(501)),
    ]);
}

#[test]
fn a_later_number_within_jitter_takes_the_next_millisecond() {
    check(&[
        (Some(("a", 1)), AgeMs(0), 0, Ok(0)),
        (Some(("a", 2)), AgeMs(100), 50, Ok(1)),
        (Some(("a", 3)), AgeMs(1049), 51, Ok(2)),
        // A second and more is no jitter: it keeps its time.
        (Some(("a", 4)), AgeMs(2000), 52, Ok(-1948)),
        // An earlier number keeps its time too: it is a late one.
        (Some(("a", 9)), AgeMs(0), 1000, Ok(1000)),
        (Some(("a", 8)), AgeMs(500), 1200, Ok(700)),
    ]);
}

#[test]
fn what_is_too_old_is_not_remembered() {
    check(&[
        (Some(("a", 1)), AgeMs(RETENTION + 1), 0, Err("too old")),
        (Some(("a", 1)), AgeMs(RETENTION), 0, Ok(-RETENTION)),
        (Some(("a", 1)), AgeMs(RETENTION + 1), 0, Err("duplicate")),
        (None, stamped(-RETENTION - 1), 0, Err("too old")),
    ]);
}

#[test]
fn the_boot_that_rested_longest_is_forgotten_and_said_so() {
    let mut admission = Admission::default();
    for number in 0..=64_i64 {
        let boot = format!("boot-{number}");
        assert!(admit(&mut admission, &heard(Some((&boot, 1)), AgeMs(0), number * 10_000)).is_ok());
        let rows = admission.take_changed();
        let gone: Vec<&str> = rows.iter().filter(|row| row.ranges.is_empty()).map(|row| &*row.boot.0).collect();
        assert_eq!(gone, if number == 64 { vec!["boot-0"] } else { vec![] });
    }
    assert_eq!(admit(&mut admission, &heard(Some(("boot-1", 1)), AgeMs(0), 700_000)), Err("duplicate"));
    assert_eq!(admit(&mut admission, &heard(Some(("boot-0", 1)), AgeMs(0), 700_000)), Ok(700_000));
}

#[test]
fn hours_of_timestamps_are_bounded() {
    let gone = |admission: &mut Admission| admission.take_changed().iter().filter(|row| row.ranges.is_empty()).count();
    let mut admission = Admission::default();
    let oldest = Timestamp::from_millis(NOW - 2000 * 3_600_000);
    for hour in 0..1100 {
        let verdict = admission.admit(&heard(None, stamped((hour - 1200) * 3_600_000), 0), oldest);
        assert!(matches!(verdict, Verdict::Admit { .. }), "{verdict:?}");
    }
    assert_eq!(gone(&mut admission), 1100 - MAX_HOURS);
    // One in each second fills them sooner.
    let mut admission = Admission::default();
    for second in 0..3600 * 60 {
        assert!(admit(&mut admission, &heard(None, stamped((second - 3600 * 100) * 1000), 0)).is_ok());
    }
    let kept = 60 - gone(&mut admission);
    assert!((47..=MAX_MOMENTS / 3600).contains(&kept), "{kept}");
    assert_eq!(admit(&mut admission, &heard(None, stamped(-3600 * 50 * 1000), 0)), Err("duplicate"));
}

#[test]
fn a_week_that_is_sent_again_is_known_whole_until_it_has_rested() {
    let mut admission = Admission::default();
    // The newest first: old hours are not forgotten for being old.
    for hour in 1..168 {
        assert_eq!(admit(&mut admission, &heard(None, stamped(-hour * 3_600_000), 0)), Ok(-hour * 3_600_000));
    }
    for hour in 1..168 {
        assert_eq!(admit(&mut admission, &heard(None, stamped(-hour * 3_600_000), KEPT_MS)), Err("duplicate"), "{hour}");
    }
    admission.take_changed();
    assert!(admit(&mut admission, &heard(None, stamped(KEPT_MS), KEPT_MS + 1)).is_ok());
    assert_eq!(admission.take_changed().iter().filter(|row| row.ranges.is_empty()).count(), 167, "what has rested for two days");
}

#[test]
fn a_step_of_the_hubs_clock_keeps_the_order() {
    let mut admission = Admission::default();
    assert_eq!(admit(&mut admission, &heard(Some(("a", 1)), AgeMs(0), 0)), Ok(0));
    admission.shift(-3_600_000);
    assert_eq!(admit(&mut admission, &heard(Some(("a", 2)), AgeMs(0), -3_600_000)), Ok(-3_599_999));
}

#[test]
fn nothing_has_changed_when_nothing_was_admitted() {
    let mut admission = Admission::default();
    let one = heard(Some(("a", 1)), AgeMs(0), 0);
    assert!(admit(&mut admission, &one).is_ok());
    assert_eq!(admission.take_changed().len(), 1);
    assert_eq!(admit(&mut admission, &one), Err("duplicate"));
    assert_eq!(admission.take_changed(), []);
    let alive = Heard { has_values: false, ..heard(None, Receipt, 0) };
    assert!(admit(&mut admission, &alive).is_ok());
    assert_eq!(admission.take_changed(), []);
    admission.forget(one.agent);
    assert!(admit(&mut admission, &one).is_ok());
}

#[derive(Debug, Clone)]
struct Step {
    agent: u128,
    boot_seq: Option<(u8, u64)>,
    clock: SampleClock,
    wait_ms: i64,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let clock = prop_oneof![
        (-1000_i64..5000).prop_map(AgeMs),
        (-100_000_i64..100_000).prop_map(stamped),
        ((-100_000_i64..100_000), (-100_000_i64..100_000)).prop_map(|(ts, sent)| SampleClock::Timestamp {
            ts: Timestamp::from_millis(NOW + ts),
            sent_at: Some(Timestamp::from_millis(NOW + sent)),
        }),
        Just(Receipt),
    ];
    let boot_seq = proptest::option::weighted(0.8, (0_u8..3, 1_u64..60));
    let step = (0_u128..2, boot_seq, clock, 0_i64..2000);
    proptest::collection::vec(step.prop_map(|(agent, boot_seq, clock, wait_ms)| Step { agent, boot_seq, clock, wait_ms }), 0..150)
}

fn replay(steps: &[Step], restart_at: Option<usize>) -> Vec<(Heard, Verdict)> {
    let (mut admission, mut stored, mut last) = (Admission::default(), HashMap::new(), HashMap::new());
    let mut received = 0;
    let mut out = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        received += step.wait_ms;
        let boot = step.boot_seq.map(|(boot, seq)| (format!("boot-{boot}"), seq));
        let mut one = heard(boot.as_ref().map(|(boot, seq)| (boot.as_str(), *seq)), step.clock, received);
        one.agent = AgentId::from_bits(step.agent);
        let verdict = admission.admit(&one, Timestamp::from_millis(NOW - 50_000));
        for row in admission.take_changed() {
            stored.insert((row.agent, row.boot.clone()), row);
        }
        if let Verdict::Admit { ts } = verdict {
            let newest: &mut Timestamp = last.entry(one.agent).or_insert(ts);
            *newest = (*newest).max(ts);
        }
        out.push((one, verdict));
        if restart_at == Some(index) {
            let last = last.iter().map(|(agent, ts)| (*agent, *ts)).collect::<Vec<_>>();
            admission = Admission::restore(stored.values().cloned(), last);
        }
    }
    out
}

proptest! {
    #[test]
    fn nothing_is_admitted_twice(steps in steps()) {
        let mut seen = HashSet::new();
        for (one, verdict) in replay(&steps, None) {
            let Verdict::Admit { .. } = verdict else { continue };
            match (&one.boot_seq, one.clock) {
                (Some((boot, seq)), _) => prop_assert!(seen.insert((one.agent, boot.0.to_string(), *seq))),
                (None, SampleClock::Timestamp { ts, .. }) => {
                    let key = (one.agent, "stamped".to_owned(), u64::try_from(ts.as_millis()).expect("after 1970"));
                    prop_assert!(seen.insert(key));
                }
                _ => {}
            }
        }
    }

    #[test]
    fn no_moment_is_later_than_the_receipt_but_for_keeping_its_place(steps in steps()) {
        let mut newest: HashMap<AgentId, Timestamp> = HashMap::new();
        for (one, verdict) in replay(&steps, None) {
            let Verdict::Admit { ts } = verdict else { continue };
            let last = newest.get(&one.agent).copied();
            prop_assert!(ts <= one.received || last.is_some_and(|last| ts == last.plus_millis(1)));
            prop_assert!(ts.millis_since(one.received) < JITTER_MS + 1);
            newest.insert(one.agent, last.map_or(ts, |last| last.max(ts)));
        }
    }

    #[test]
    fn later_numbers_within_jitter_are_later(steps in steps()) {
        let mut newest: HashMap<AgentId, Timestamp> = HashMap::new();
        let mut highest: HashMap<(AgentId, BootId), u64> = HashMap::new();
        for (one, verdict) in replay(&steps, None) {
            let Verdict::Admit { ts } = verdict else { continue };
            let last = newest.get(&one.agent).copied();
            if let Some((boot, seq)) = &one.boot_seq {
                let before = highest.insert((one.agent, boot.clone()), *seq);
                if let Some(last) = last.filter(|last| before.is_none_or(|before| before < *seq) && last.millis_since(one.sample_time()) < JITTER_MS) {
                    prop_assert!(ts > last);
                }
                highest.entry((one.agent, boot.clone())).and_modify(|known| *known = (*known).max(before.unwrap_or(0)));
            }
            newest.insert(one.agent, last.map_or(ts, |last| last.max(ts)));
        }
    }

    #[test]
    fn a_restart_changes_no_verdict(steps in steps(), at in 0_usize..150) {
        let verdicts = |run: Vec<(Heard, Verdict)>| run.into_iter().map(|(_, verdict)| verdict).collect::<Vec<_>>();
        prop_assert_eq!(verdicts(replay(&steps, Some(at))), verdicts(replay(&steps, None)));
    }
}
