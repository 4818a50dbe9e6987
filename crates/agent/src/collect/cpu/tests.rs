//! CPU shares with literal values, and the ways in which the kernel's times go back.

use super::super::testing::value;
use super::*;

fn reading(total: Times, cores: &[(u32, Times)]) -> Stat {
    Stat { total, cores: cores.to_vec(), ..Stat::default() }
}

fn collected(cpu: &mut Cpu, sheet: &mut Sheet, stat: &Stat) {
    sheet.begin();
    cpu.collect(stat, sheet);
}

const USAGE: &str = "cpu.usage_percent";
const CORE_1: &str = "cpu.core.usage_percent{core=1}";

#[test]
fn shares_are_of_the_time_that_passed_with_guests_taken_out() {
    let (mut cpu, mut sheet) = (Cpu::default(), Sheet::new(false));
    collected(&mut cpu, &mut sheet, &reading([0; 10], &[]));
    assert_eq!(value(&mut sheet, USAGE), None, "one reading is no rate");
    // 1000 ticks: user 300 of which guest 100, nice 50 of which guest 20, system 150, idle 400, iowait 60, irq 10, softirq 20, steal 10.
    collected(&mut cpu, &mut sheet, &reading([300, 50, 150, 400, 60, 10, 20, 10, 100, 20], &[]));
    for (name, expected) in [
        (USAGE, 54.0),
        ("cpu.user_percent", 20.0),
        ("cpu.nice_percent", 3.0),
        ("cpu.system_percent", 15.0),
        ("cpu.iowait_percent", 6.0),
        ("cpu.irq_percent", 3.0),
        ("cpu.steal_percent", 1.0),
    ] {
        assert_eq!(value(&mut sheet, name), Some(expected), "{name}");
    }
}

#[test]
fn idle_two_ticks_back_is_no_movement_and_is_not_counted_twice() {
    let (mut cpu, mut sheet) = (Cpu::default(), Sheet::new(false));
    let at = |user, idle| reading([user, 0, 0, idle, 0, 0, 0, 0, 0, 0], &[]);
    collected(&mut cpu, &mut sheet, &at(100, 1000));
    collected(&mut cpu, &mut sheet, &at(150, 998));
    assert_eq!(value(&mut sheet, USAGE), Some(100.0));
    collected(&mut cpu, &mut sheet, &at(200, 1050));
    assert_eq!(value(&mut sheet, USAGE), Some(50.0), "50 busy, 50 idle past the old mark");
    assert_eq!(sheet.resets(), 0);
}

#[test]
fn a_cpu_switched_off_and_on_has_no_value_until_it_is_read_twice() {
    let (mut cpu, mut sheet) = (Cpu::default(), Sheet::new(false));
    let core = |busy, idle| (1, [busy, 0, 0, idle, 0, 0, 0, 0, 0, 0]);
    collected(&mut cpu, &mut sheet, &reading([1; 10], &[core(100, 5000)]));
    collected(&mut cpu, &mut sheet, &reading([1; 10], &[core(150, 5050)]));
    assert_eq!(value(&mut sheet, CORE_1), Some(50.0));
    collected(&mut cpu, &mut sheet, &reading([1; 10], &[]));
    assert_eq!(value(&mut sheet, CORE_1), None, "off");
    collected(&mut cpu, &mut sheet, &reading([1; 10], &[core(151, 90_000)]));
    assert_eq!(value(&mut sheet, CORE_1), None, "on again: nothing to compare with");
    collected(&mut cpu, &mut sheet, &reading([1; 10], &[core(176, 90_075)]));
    assert_eq!(value(&mut sheet, CORE_1), Some(25.0));
    assert_eq!(sheet.resets(), 0);
}

#[test]
fn times_far_behind_the_last_ones_are_a_new_beginning() {
    let (mut cpu, mut sheet) = (Cpu::default(), Sheet::new(false));
    let at = |busy, idle| reading([busy, 0, 0, idle, 0, 0, 0, 0, 0, 0], &[(1, [busy, 0, 0, idle, 0, 0, 0, 0, 0, 0])]);
    collected(&mut cpu, &mut sheet, &at(1000, 5000));
    collected(&mut cpu, &mut sheet, &at(10, 20));
    assert_eq!((value(&mut sheet, USAGE), value(&mut sheet, CORE_1)), (None, None), "neither 0 nor huge");
    assert_eq!(sheet.resets(), 2);
    collected(&mut cpu, &mut sheet, &at(40, 90));
    assert_eq!((value(&mut sheet, USAGE), value(&mut sheet, CORE_1)), (Some(30.0), Some(30.0)));
}

#[test]
fn no_time_passed_is_no_value() {
    let (mut cpu, mut sheet) = (Cpu::default(), Sheet::new(false));
    for _ in 0..2 {
        collected(&mut cpu, &mut sheet, &reading([7; 10], &[(1, [7; 10])]));
    }
    assert_eq!((value(&mut sheet, USAGE), value(&mut sheet, CORE_1)), (None, None));
}
