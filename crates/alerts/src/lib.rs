//! Rules, evaluator, silences, cooldown, backtest: a pure state machine over samples.
//!
//! Events go in, effects come out as plain data; nothing here knows a clock, storage, a channel's kind or a wire format.
//! The law it follows is written in the alerting document; where the two disagree, one of them is a bug.

pub mod context;
pub mod record;
pub mod rule;

pub use context::{AgentView, LevelTable, Mute, MuteKind};
pub use record::{
    Ack, Effects, EndReason, Event, EventKind, IncidentRecord, InstanceKey, InstanceRecord, Notice, NoticeKind, State, ToldRecord,
};
pub use rule::{
    Aggregate, Clear, Comparison, EscalationStep, MatchKind, Matcher, Missing, OFFLINE_METRIC, Rule, Scope, Selector, Severity,
    Threshold,
};
