//! CPU use of the host and of each core, from two readings of `/proc/stat`.
//!
//! usage = 100 × (total − idle − iowait) ÷ total, where the total counts guest time once; user and nice are given without
//! their guests. The kernel lets idle and iowait step back by a few ticks; those are taken as no movement. A longer step back
//! means that the CPU was switched off and on, and begins anew.

use super::scan::{float, percent};
use super::stat::{Stat, Times};
use crate::sheet::Sheet;

/// From here on a step back is a CPU that began anew: 3 s at the 100 ticks a second of every platform we build for.
const RESTART_TICKS: u64 = 300;

const IDLE: usize = 3;
const IOWAIT: usize = 4;

/// The state between two readings.
#[derive(Debug, Default)]
pub(crate) struct Cpu {
    total: Option<Times>,
    cores: Vec<Core>,
}

#[derive(Debug)]
struct Core {
    number: u32,
    label: String,
    last: Times,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Reset,
    Grew(Times),
}

impl Cpu {
    /// Writes `cpu.*` for this reading.
    pub(crate) fn collect(&mut self, stat: &Stat, sheet: &mut Sheet) {
        let grown = self.total.map(|last| grown(&last, &stat.total));
        if grown == Some(Change::Reset) {
            sheet.count_reset();
        }
        self.total = Some(baseline(self.total, &stat.total));
        write_total(grown.and_then(Change::times).as_ref(), sheet);
        write_counters(&stat.total, sheet);
        self.collect_cores(stat, sheet);
    }

    fn collect_cores(&mut self, stat: &Stat, sheet: &mut Sheet) {
        // A CPU that is off has no line; when it comes back it has nothing to be compared with.
        self.cores.retain(|core| stat.cores.iter().any(|(number, _)| *number == core.number));
        for (number, times) in &stat.cores {
            let Some(core) = self.cores.iter_mut().find(|core| core.number == *number) else {
                let core = Core { number: *number, label: number.to_string(), last: *times };
                sheet.put_for("cpu.core.usage_percent", &core.label, None);
                self.cores.push(core);
                continue;
            };
            let change = grown(&core.last, times);
            if change == Change::Reset {
                sheet.count_reset();
            }
            core.last = baseline(Some(core.last), times);
            sheet.put_for("cpu.core.usage_percent", &core.label, change.times().and_then(|times| usage(&times)));
        }
    }
}

impl Change {
    fn times(self) -> Option<Times> {
        match self {
            Self::Reset => None,
            Self::Grew(times) => Some(times),
        }
    }
}

fn write_total(grown: Option<&Times>, sheet: &mut Sheet) {
    let share = |ticks: fn(&Times) -> u64| grown.and_then(|times| percent(float(ticks(times)), float(sum(times))));
    sheet.put("cpu.usage_percent", grown.and_then(usage));
    sheet.put("cpu.user_percent", share(|times| times[0].saturating_sub(times[8])));
    sheet.put("cpu.system_percent", share(|times| times[2]));
    sheet.put("cpu.iowait_percent", share(|times| times[IOWAIT]));
    sheet.put("cpu.steal_percent", share(|times| times[7]));
    sheet.put("cpu.irq_percent", share(|times| times[5].saturating_add(times[6])));
    sheet.put("cpu.nice_percent", share(|times| times[1].saturating_sub(times[9])));
}

fn write_counters(total: &Times, sheet: &mut Sheet) {
    let names = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
    for (name, ticks) in names.iter().zip(total) {
        sheet.counter(&format!("cpu.{name}_ticks"), &[], *ticks);
    }
}

/// Guest time is part of user and nice already, so the first eight fields are everything.
fn sum(times: &Times) -> u64 {
    times[..8].iter().fold(0, |sum, ticks| sum.saturating_add(*ticks))
}

fn usage(times: &Times) -> Option<f64> {
    let total = sum(times);
    let busy = total.saturating_sub(times[IDLE]).saturating_sub(times[IOWAIT]);
    percent(float(busy), float(total))
}

fn grown(last: &Times, now: &Times) -> Change {
    let mut grown = Times::default();
    for at in 0..grown.len() {
        if last[at].saturating_sub(now[at]) >= RESTART_TICKS {
            return Change::Reset;
        }
        grown[at] = now[at].saturating_sub(last[at]);
    }
    Change::Grew(grown)
}

/// What the next reading is compared with: a field that stepped back a little stays where it was, so that its way forward is
/// not counted twice.
fn baseline(last: Option<Times>, now: &Times) -> Times {
    match last {
        Some(last) if grown(&last, now) != Change::Reset => std::array::from_fn(|at| now[at].max(last[at])),
        _ => *now,
    }
}

#[cfg(test)]
mod tests;
