//! Rules, evaluator, silences, cooldown, backtest: a pure state machine over samples.
//!
//! Events go in, effects come out as plain data; nothing here knows a clock, storage, a channel's kind or a wire format.
//! The law it follows is written in the alerting document; where the two disagree, one of them is a bug.

mod apply;
pub mod backtest;
mod book;
pub mod context;
pub mod evaluator;
pub mod explain;
pub mod faults;
#[cfg(test)]
mod fixtures;
mod hush;
mod incident;
mod instance;
pub mod judge;
pub mod matching;
pub mod preset;
pub mod record;
pub mod ring;
pub mod rule;
mod settle;
mod site;
pub mod step;
pub mod track;
pub mod trend;
pub mod why;

pub use backtest::{BacktestIncident, BacktestInput, BacktestReport, backtest, median_spacing};
pub use context::{AgentView, LabelConditions, LevelTable, Mute, MuteKind};
pub use evaluator::{
    Config, Evaluator, EvaluatorStats, HistoryWant, InstanceView, Saved, Standing, TrendRow, Withheld, trend_rows,
};
pub use explain::Reason;
pub use faults::RuleFault;
pub use judge::Limits;
pub use preset::Preset;
pub use record::{
    Ack, Effects, EndReason, Event, EventKind, IncidentRecord, InstanceKey, InstanceRecord, Notice, NoticeKind, State, ToldRecord,
};
pub use rule::{
    Aggregate, Clear, Comparison, DOUBT_RULE, EscalationStep, MatchKind, Matcher, Missing, OFFLINE_METRIC, Rule, RuleKind, Scope,
    Selector, Severity, Threshold, Transform,
};
pub use track::{Track, tracks, tracks_by};
pub use trend::{Outlook, Trend};
pub use why::why;
