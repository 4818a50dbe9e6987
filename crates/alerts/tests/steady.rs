//! A steady heartbeat asks for no memory, and an instance takes little of it.

#[path = "../benches/fleet/mod.rs"]
mod fleet;

use fleet::{Fleet, allocations, bytes};

/// The budget for one instance in memory, with its share of plans and queue.
const BYTES_EACH: isize = 110;

#[test]
fn steady_heartbeats_allocate_nothing_and_instances_are_small() {
    let mut fleet = Fleet::new(200, 20);
    let built = bytes();
    fleet.round(1.0);
    fleet.round(1.0);
    fleet.out.clear();
    let instances = isize::try_from(fleet.evaluator.stats().instances).unwrap();
    assert_eq!(instances, 200 * 20);
    let each = (bytes() - built) / instances;
    assert!(each <= BYTES_EACH, "{each} bytes an instance");

    for (what, factor) in [("fine", 1.0), ("firing", 1.9)] {
        for _ in 0..4 {
            fleet.round(factor);
            fleet.out.clear();
        }
        let asked = allocations();
        for _ in 0..40 {
            fleet.round(factor);
            assert!(fleet.out.is_empty(), "a steady heartbeat has effects: {:?}", fleet.out);
        }
        assert_eq!(allocations() - asked, 0, "while {what}");
    }
}
