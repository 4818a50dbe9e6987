//! One alert as a machine: `step(timing, machine, input)` is the transition table of the law, cell by cell.
//!
//! It knows durations between times and nothing else: no values, no thresholds, no channels. What is said to whom about a
//! transition is left to `settle`, which incident it belongs to to `apply`. The evaluator, the backtest and a replay after a
//! restart all run this same function.

use crate::record::{EndReason, State};
use crate::rule::{Missing, Rule};
use nightbell_model::Timestamp;

/// How much earlier than asked a duration counts as over. Push timestamps jitter and a hold is usually a multiple of the
/// interval: without slack half of all alerts would fire one whole interval late (measured with 50 ms of jitter).
pub const SLACK_MS: i64 = 250;

/// What one usable sample says about a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The comparison holds.
    Breach,
    /// It does not hold, but the value is not beyond `clear` either.
    Between,
    /// Beyond `clear`, or, without `clear`, simply no breach.
    Clear,
}

/// The parts of a rule that the machine needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long it must breach before it fires, in milliseconds.
    pub hold_ms: i64,
    /// How long it must be clear before it is resolved, in milliseconds.
    pub keep_firing_ms: i64,
    /// What happens when samples stop.
    pub missing: Missing,
}

impl From<&Rule> for Timing {
    fn from(rule: &Rule) -> Self {
        Self { hold_ms: rule.hold_ms, keep_firing_ms: rule.keep_firing_ms, missing: rule.missing }
    }
}

/// The whole state of one alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// The resident state.
    pub state: State,
    /// Since when it is in that state, in event time; while `Pending` the first breach.
    pub since: Timestamp,
    /// Since when it has been clear while still firing.
    pub clear_since: Option<Timestamp>,
    /// Whether `NoData` was entered from `Firing`.
    pub was_firing: bool,
    /// The rule was edited while this was firing: the next sample judges it without `keep_firing`.
    pub rule_changed: bool,
}

impl Machine {
    /// A machine that has seen nothing yet.
    #[must_use]
    pub const fn new(at: Timestamp) -> Self {
        Self { state: State::Ok, since: at, clear_since: None, was_firing: false, rule_changed: false }
    }

    /// Whether an incident is open: firing, or without data since it was.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Firing) || (matches!(self.state, State::NoData) && self.was_firing)
    }

    fn enter(&mut self, state: State, at: Timestamp) {
        *self = Self { state, ..Self::new(at) };
    }
}

/// What can happen to an alert. A sample without a usable value is no input at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// A usable sample.
    Sample {
        /// Its time.
        ts: Timestamp,
        /// What it says.
        verdict: Verdict,
        /// Whether more than the longest tolerated gap lies before it.
        after_hole: bool,
    },
    /// The agent itself fell silent: the one input by which a timer begins a breach or fires.
    Silent {
        /// Since when.
        since: Timestamp,
        /// When that was noticed.
        at: Timestamp,
        /// Whether it has lasted for as long as the rule asks.
        fires: bool,
    },
    /// Samples stopped while the agent is online.
    Missing {
        /// When that was noticed.
        at: Timestamp,
    },
    /// What the rule compares was edited.
    RuleChanged {
        /// When.
        at: Timestamp,
    },
    /// There is nothing to watch any more.
    Gone {
        /// When that was noticed.
        at: Timestamp,
        /// Why.
        reason: EndReason,
    },
}

/// What a step did beside changing the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Any field of the machine changed.
    pub moved: bool,
    /// A breach began that has to last before it fires.
    pub pending: bool,
    /// An incident began.
    pub fired: bool,
    /// The open incident ended.
    pub resolved: Option<EndReason>,
    /// `NoData` was entered.
    pub nodata_started: bool,
    /// `NoData` was left.
    pub nodata_ended: bool,
}

impl Outcome {
    /// Whether somebody may have to be told of it.
    #[must_use]
    pub const fn is_transition(&self) -> bool {
        self.fired || self.resolved.is_some() || self.nodata_started || self.nodata_ended
    }
}

/// The next state of an alert and what happened on the way.
#[must_use]
pub fn step(timing: Timing, before: Machine, input: Input) -> (Machine, Outcome) {
    let mut machine = before;
    let mut outcome = match input {
        Input::Sample { ts, verdict, after_hole } => sample(timing, &mut machine, (ts, verdict, after_hole)),
        Input::Silent { since, fires, .. } => silent(&mut machine, since, fires),
        Input::Missing { at } => missing(timing.missing, &mut machine, at),
        Input::RuleChanged { at } => rule_changed(&mut machine, at),
        Input::Gone { at, reason } => gone(&mut machine, at, reason),
    };
    outcome.moved = machine != before;
    (machine, outcome)
}

/// Whether `duration_ms` has passed between two times, with the slack.
#[must_use]
pub const fn has_lasted(since: Timestamp, until: Timestamp, duration_ms: i64) -> bool {
    until.millis_since(since).saturating_add(SLACK_MS) >= duration_ms
}

fn sample(timing: Timing, machine: &mut Machine, (ts, verdict, after_hole): (Timestamp, Verdict, bool)) -> Outcome {
    match (machine.state, verdict) {
        (State::Ok, Verdict::Breach) => breach(timing, machine, ts),
        (State::Ok, _) => Outcome::default(),
        (State::Pending, Verdict::Breach) if after_hole => {
            machine.since = ts;
            Outcome::default()
        }
        (State::Pending, Verdict::Breach) => {
            let fired = has_lasted(machine.since, ts, timing.hold_ms);
            if fired {
                machine.state = State::Firing;
            }
            Outcome { fired, ..Outcome::default() }
        }
        (State::Pending, _) => {
            machine.enter(State::Ok, ts);
            Outcome::default()
        }
        (State::Firing, Verdict::Clear) => clear_while_firing(timing, machine, ts, after_hole),
        (State::Firing, _) => {
            machine.clear_since = None;
            machine.rule_changed = false;
            Outcome::default()
        }
        (State::NoData, _) => data_back(timing, machine, ts, verdict),
    }
}

/// The first breach of an alert that was fine: it fires at once, or begins to wait.
fn breach(timing: Timing, machine: &mut Machine, ts: Timestamp) -> Outcome {
    let fired = timing.hold_ms <= 0;
    machine.enter(if fired { State::Firing } else { State::Pending }, ts);
    Outcome { fired, pending: !fired, ..Outcome::default() }
}

fn clear_while_firing(timing: Timing, machine: &mut Machine, ts: Timestamp, after_hole: bool) -> Outcome {
    let reason = if machine.rule_changed { EndReason::RuleChanged } else { EndReason::Cleared };
    if timing.keep_firing_ms > 0 && !machine.rule_changed {
        if after_hole {
            machine.clear_since = Some(ts);
            return Outcome::default();
        }
        let since = *machine.clear_since.get_or_insert(ts);
        if !has_lasted(since, ts, timing.keep_firing_ms) {
            return Outcome::default();
        }
    }
    machine.enter(State::Ok, ts);
    Outcome { resolved: Some(reason), ..Outcome::default() }
}

fn data_back(timing: Timing, machine: &mut Machine, ts: Timestamp, verdict: Verdict) -> Outcome {
    let (was_firing, rule_changed) = (machine.was_firing, machine.rule_changed);
    let outcome = match verdict {
        Verdict::Breach | Verdict::Between if was_firing => {
            machine.enter(State::Firing, ts);
            Outcome::default()
        }
        Verdict::Breach => breach(timing, machine, ts),
        Verdict::Between | Verdict::Clear => {
            machine.enter(State::Ok, ts);
            let reason = if rule_changed { EndReason::RuleChanged } else { EndReason::Cleared };
            Outcome { resolved: was_firing.then_some(reason), ..Outcome::default() }
        }
    };
    Outcome { nodata_ended: true, ..outcome }
}

fn silent(machine: &mut Machine, since: Timestamp, fires: bool) -> Outcome {
    let was = machine.state;
    if matches!(was, State::Ok | State::Pending) {
        machine.enter(if fires { State::Firing } else { State::Pending }, since);
    }
    Outcome { fired: fires && machine.state != was, pending: was == State::Ok && !fires, ..Outcome::default() }
}

fn missing(policy: Missing, machine: &mut Machine, at: Timestamp) -> Outcome {
    match (machine.state, policy) {
        (State::NoData, _) | (State::Ok | State::Firing, Missing::Keep) | (State::Ok, Missing::Resolve) => Outcome::default(),
        (state, Missing::NoData) => {
            let rule_changed = machine.rule_changed;
            machine.enter(State::NoData, at);
            machine.was_firing = state == State::Firing;
            machine.rule_changed = rule_changed;
            Outcome { nodata_started: true, ..Outcome::default() }
        }
        (State::Pending, _) => {
            machine.enter(State::Ok, at);
            Outcome::default()
        }
        (State::Firing, Missing::Resolve) => {
            machine.enter(State::Ok, at);
            Outcome { resolved: Some(EndReason::NoData), ..Outcome::default() }
        }
    }
}

fn rule_changed(machine: &mut Machine, at: Timestamp) -> Outcome {
    match machine.state {
        State::Pending => machine.enter(State::Ok, at),
        State::Firing | State::NoData => machine.rule_changed = machine.is_open(),
        State::Ok => {}
    }
    Outcome::default()
}

fn gone(machine: &mut Machine, at: Timestamp, reason: EndReason) -> Outcome {
    let outcome = Outcome {
        resolved: machine.is_open().then_some(reason),
        nodata_ended: machine.state == State::NoData,
        ..Outcome::default()
    };
    if machine.state != State::Ok {
        machine.enter(State::Ok, at);
    }
    outcome
}

#[cfg(test)]
mod tests;
