//! How fast the evaluator is, and how small: judged values a second on one core, allocations of a steady heartbeat, bytes of an
//! instance. `cargo bench -p nightbell-alerts`.

#![expect(clippy::print_stdout, clippy::cast_precision_loss, reason = "a benchmark prints its figures")]

mod fleet;

use fleet::{Fleet, SERIES, allocations, bytes};
use std::time::Instant;

const AGENTS: usize = 5_000;
const RULES: usize = 20;
const ROUNDS: usize = 60;

fn main() {
    let before = bytes();
    let mut fleet = Fleet::new(AGENTS, RULES);
    let built = bytes();
    fleet.round(1.0);
    fleet.round(1.0);
    let instances = fleet.evaluator.stats().instances;
    let per_instance = (bytes() - built) as f64 / instances as f64;
    println!("fleet: {AGENTS} agents x {SERIES} series, {RULES} rules, {instances} instances");
    println!("memory: {per_instance:.1} B an instance, plans and queue included ({} MiB in all)", (bytes() - before) >> 20);

    measure("steady, all fine", &mut fleet, 1.0);
    fleet.round(1.9);
    fleet.out.clear();
    fleet.round(1.9);
    measure("steady, all firing", &mut fleet, 1.9);
    flapping(&mut fleet);
}

fn measure(what: &str, fleet: &mut Fleet, factor: f64) {
    fleet.round(factor);
    let (count, asked, start) = (fleet.evaluator.stats().evaluated, allocations(), now());
    for _ in 0..ROUNDS {
        fleet.round(factor);
    }
    let seconds = start.elapsed_s();
    let evaluated = (fleet.evaluator.stats().evaluated - count) as f64;
    let asked = (allocations() - asked) as f64 / evaluated;
    println!(
        "{what}: {:.1} M evaluations/s, {:.2} us a heartbeat, {asked:.6} allocations a sample",
        evaluated / seconds / 1e6,
        seconds * 1e6 / (AGENTS * ROUNDS) as f64
    );
}

/// The worst case: every instance of the fleet fires or ends with every heartbeat.
fn flapping(fleet: &mut Fleet) {
    let rounds = 10;
    let start = now();
    for round in 0..rounds {
        fleet.round(if round % 2 == 0 { 1.0 } else { 1.9 });
        fleet.out.clear();
    }
    let transitions = (AGENTS * RULES * rounds) as f64;
    println!("all flapping: {:.2} M transitions/s", transitions / start.elapsed_s() / 1e6);
}

struct Start(Instant);

impl Start {
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
    fn elapsed_s(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn now() -> Start {
    Start(Instant::now())
}
