//! The promises of notices over very many short traces: mutes (those that hold ends back too), cooldowns, acknowledgements,
//! repeats, escalation, edits, bursts of samples, and a restart in the middle, which must change nothing.
//!
//! After every single thing that happens, each channel's view is held against what is true: what it must know it knows at once,
//! what it must not hear it does not hear. Traces are numbered, and a number gives the same trace in every run.

use crate::properties::{Op, Run, same};
use crate::support::text::{agent_id, channel_id, rule};
use crate::support::{Hub, Output};
use nightbell_alerts::{AgentView, Clear, EscalationStep, LevelTable, MuteKind, Notice, NoticeKind, Rule, Severity};

/// How many traces are played, on every core together.
const TRACES: u64 = 50_000;

/// A generator of numbers that are the same in every run (splitmix64, <https://prng.di.unimi.it/splitmix64.c>).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

fn a_rule(dice: &mut Dice) -> Rule {
    let mut cpu = rule("cpu cpu.usage_percent > 90 channels ops,dev");
    cpu.hold_ms = dice.one_of(&[0, 0, 0, 30_000, 60_000]);
    cpu.keep_firing_ms = dice.one_of(&[0, 0, 0, 30_000]);
    cpu.cooldown_ms = dice.one_of(&[0, 60_000, 120_000, 300_000]);
    cpu.repeat_ms = dice.one_of(&[0, 0, 60_000, 90_000]);
    cpu.clear = dice.chance(30).then_some(Clear::Value(80.0));
    cpu.severity = dice.one_of(&[Severity::Warning, Severity::Critical]);
    if dice.chance(30) {
        cpu.escalation.push(EscalationStep { after_ms: 100_000, channels: vec![channel_id("lead"), channel_id("ops")] });
    }
    cpu
}

fn an_op(dice: &mut Dice) -> Op {
    let channel = |dice: &mut Dice| dice.one_of(&[None, None, Some("ops"), Some("dev"), Some("lead")]);
    match dice.below(100) {
        0..72 => Op::Beat { agent: 0, value: dice.one_of(&[95.0, 95.0, 95.0, 50.0, 50.0, 85.0, f64::NAN]) },
        72..84 => Op::Mute {
            kind: dice.one_of(&[MuteKind::Silence, MuteKind::Maintenance, MuteKind::QuietHours, MuteKind::QuietHours]),
            for_s: dice.one_of(&[20, 60, 100, 250]),
            agent: dice.one_of(&[None, Some(0)]),
            channel: channel(dice),
            warnings_only: dice.chance(20),
        },
        84..87 => Op::Unmute,
        87..91 => Op::Ack { for_s: dice.one_of(&[None, Some(70)]) },
        91..93 => Op::Unack,
        93..95 => Op::Durations { cooldown_s: dice.one_of(&[0, 90, 200]), repeat_s: dice.one_of(&[0, 60, 120]) },
        95..97 => Op::Clock { by_ms: dice.one_of(&[-3_600_000, 2_500, 86_400_000]) },
        _ => Op::Restart,
    }
}

/// The rule of a trace and what happens in it.
fn a_trace(number: u64) -> (Rule, Vec<(i64, Op)>) {
    let mut dice = Dice(number.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let rule = a_rule(&mut dice);
    let mut ops = Vec::new();
    for _ in 0..dice.below(12) + 8 {
        let op = an_op(&mut dice);
        ops.push((if matches!(op, Op::Beat { .. }) { 30 } else { dice.one_of(&[0, 5, 11]) }, op));
    }
    (rule, ops)
}

/// What channels were told and when.
fn told(run: Run) -> Vec<(i64, Notice)> {
    let notice = |output| match output {
        // The newest value is filled in by the hub after a restart.
        Output::Notice(at, notice) => Some((at, Notice { value: None, ..notice })),
        Output::Event(..) => None,
    };
    run.hub.outputs.into_iter().filter_map(notice).collect()
}

fn play(number: u64) {
    let (rule, ops) = a_trace(number);
    let mut straight = Run::new(vec![rule.clone()]);
    straight.watch_truth();
    straight.play(&ops, &[]);
    let mut broken = Run::new(vec![rule]);
    broken.watch_truth();
    let restarts: Vec<bool> = (0..ops.len()).map(|at| (number >> (at % 16)) & 3 == 3).collect();
    broken.play(&ops, &restarts);
    same(told(straight), told(broken));
}

/// A fleet of six whose agents come and go, with restarts: while the hub doubts itself nobody is paged about an agent, what is
/// said of the doubt alternates, and in the end every page has its all-clear.
fn play_fleet(number: u64) -> usize {
    const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    let mut dice = Dice(number.wrapping_mul(0x9fb2_1c65_1e98_df25));
    let mut rule = rule("off agent.offline == 1 channels ops");
    rule.cooldown_ms = dice.one_of(&[0, 120_000, 600_000]);
    let mut hub = Hub::new(vec![rule], NAMES.map(view_of).to_vec(), LevelTable::default(), Vec::new());
    let mut alive = [true; 6];
    let (mut seen, mut doubted, mut down, mut doubts) = (0, None, 0_usize, 0);
    for round in 0..dice.below(60) + 60 {
        let recovers = round > 50;
        match dice.below(20) {
            _ if recovers => alive = [true; 6],
            0 => alive = [false; 6],
            1 => alive = [true; 6],
            2..5 => alive.iter_mut().for_each(|one| *one ^= dice.chance(30)),
            5 => hub.restart(),
            _ => {}
        }
        let next = hub.elapsed + 15_000;
        hub.pass_to(next);
        for (name, _) in NAMES.iter().zip(alive).filter(|(_, alive)| *alive) {
            hub.beat(agent_id(name), 0, &[]);
        }
        for output in &hub.outputs[seen..] {
            let Output::Notice(_, notice) = output else { continue };
            match notice.kind {
                NoticeKind::HubDoubt => {
                    assert_eq!(doubted.replace(notice.incident.fired_at), None, "doubted twice");
                    doubts += 1;
                }
                NoticeKind::HubDoubtEnd => assert!(doubted.take().is_some(), "an end without a doubt"),
                NoticeKind::Fired => {
                    // One that fired before may be said now, at the end of its cooldown.
                    let is_news = doubted.is_some_and(|since| since <= notice.incident.fired_at);
                    assert!(!is_news, "paged about an agent in doubt");
                    down += 1;
                }
                NoticeKind::Resolved => down = down.checked_sub(1).unwrap(),
                _ => {}
            }
        }
        seen = hub.outputs.len();
    }
    assert!(!hub.evaluator.doubts_itself() && doubted.is_none() && down == 0, "{doubted:?} {down}");
    doubts
}

fn view_of(name: &str) -> AgentView {
    AgentView {
        id: agent_id(name),
        tags: Vec::new(),
        interval_ms: 30_000,
        paused: false,
        last_seen: None,
        closed: false,
        stopped_on_purpose: false,
    }
}

#[test]
fn doubts_begin_and_end_in_turn_whatever_the_fleet_does() {
    let mut doubts = 0;
    for number in 0..1_000 {
        let played = std::panic::catch_unwind(|| play_fleet(number));
        doubts += played.unwrap_or_else(|_| panic!("fleet {number}"));
    }
    assert!(doubts > 1_000, "only {doubts} doubts: the fleets say too little");
}

#[test]
fn fifty_thousand_traces_keep_the_promises() {
    let threads = std::thread::available_parallelism().map_or(2, |cores| u64::try_from(cores.get()).unwrap());
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                for number in (thread..TRACES).step_by(usize::try_from(threads).unwrap()) {
                    let played = std::panic::catch_unwind(|| play(number));
                    assert!(played.is_ok(), "trace {number}: {:#?}", a_trace(number));
                }
            });
        }
    });
}
