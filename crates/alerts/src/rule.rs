//! What a rule says, as people configure it. Evaluating it is left to the machine, storing and parsing it to other crates.

use nightbell_model::{AgentId, ChannelId, Level, RuleId};

/// The metric of the built-in rule kind that a timer fires: an agent that stopped sending heartbeats.
pub const OFFLINE_METRIC: &str = "agent.offline";

/// The rule that stands behind incidents of the hub's doubt in itself; it has no agent, and nobody can make or change it.
pub const DOUBT_RULE: RuleId = RuleId::from_bits(0x64_6f75_6274);

/// How bad it is when the rule fires; ordered, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Good to know.
    Info,
    /// Look at it in the morning.
    Warning,
    /// Get up.
    Critical,
}

/// How a value is held against the threshold (IEEE 754, no epsilon).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
}

/// What a value is compared with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Threshold {
    /// A fixed number in the metric's unit.
    Value(f64),
    /// The agent's own level at the time of evaluation; an agent without one has a missing value.
    Level(Level),
}

/// Where a firing alert counts as clear again, on the good side of the threshold; between the two nothing changes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Clear {
    /// A fixed number in the metric's unit.
    Value(f64),
    /// The agent's own level.
    Level(Level),
    /// So far on the good side of the threshold, a positive number in the metric's unit.
    Margin(f64),
}

/// What happens when samples stop while the agent is online.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Missing {
    /// The state is kept and marked stale.
    Keep,
    /// The alert goes to `nodata` and says so.
    NoData,
    /// A firing alert is resolved with the reason "no data".
    Resolve,
}

/// What is made of a value before it is compared. Windows and the like are milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Transform {
    /// The value itself.
    #[default]
    None,
    /// Its change over `window_ms`, said as so much for each `per_ms`; a counter that begins anew has not fallen.
    Rate {
        /// Over how long the change is taken.
        window_ms: i64,
        /// For how long it is said.
        per_ms: i64,
    },
    /// Where it will be after `horizon_ms`, if it goes on as it did over `window_ms`.
    Forecast {
        /// How far ahead is looked.
        horizon_ms: i64,
        /// How far back.
        window_ms: i64,
    },
}

/// What sort of rule it is, as people chose it. All are the same machine: a kind only says which metric, comparison and
/// transform it stands for (see [`RuleKind::preset`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RuleKind {
    /// A value against a number or a level.
    #[default]
    Threshold,
    /// An agent that stopped sending heartbeats.
    Offline,
    /// How fast a value changes.
    Rate,
    /// Where a value will be.
    Forecast,
    /// A unit of the service manager failed.
    UnitFailed,
    /// A container does not run.
    ContainerDown,
    /// A container's own check fails.
    ContainerUnhealthy,
    /// A process is not there.
    ProcessMissing,
    /// Nobody listens on a port.
    PortClosed,
    /// A disk says that it fails.
    SmartFailing,
    /// The host has just started.
    Reboot,
    /// The host's clock was set.
    ClockStep,
}

/// Which agents a rule applies to; the more specific one wins among rules with the same key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Every agent.
    Global,
    /// Agents that carry this tag.
    Tag(String),
    /// One agent.
    Agent(AgentId),
}

/// How several series of one agent that match a selector become instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Aggregate {
    /// One instance for each series.
    Each,
    /// One instance on the largest value.
    Max,
    /// One instance on the smallest value.
    Min,
    /// One instance on the mean.
    Avg,
}

/// How a label's value is matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchKind {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`: the whole value matches the regular expression.
    Regex,
    /// `!~`: it does not.
    NotRegex,
}

/// One condition on a label beside the plain equality of [`Selector::labels`]; a label that is absent has the empty value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Matcher {
    /// Which label.
    pub label: String,
    /// How.
    pub kind: MatchKind,
    /// The value or the regular expression.
    pub value: String,
}

/// Which series of an agent a rule looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    /// The metric's name.
    pub metric: String,
    /// Labels that must have exactly these values.
    pub labels: Vec<(String, String)>,
    /// Further conditions on labels.
    pub matchers: Vec<Matcher>,
    /// How several matching series become instances.
    pub aggregate: Aggregate,
}

/// Somebody else to tell when an incident stays open and unacknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EscalationStep {
    /// How long after the incident fired, in milliseconds.
    pub after_ms: i64,
    /// Whom to tell.
    pub channels: Vec<ChannelId>,
}

/// One alert rule. Durations are milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Names the rule.
    pub id: RuleId,
    /// Counts its edits.
    pub version: u64,
    /// What people call it.
    pub name: String,
    /// Rules that share a key replace each other by scope; the rule's own id by default, so that it replaces nothing.
    pub key: Option<String>,
    /// What sort of rule it is.
    pub kind: RuleKind,
    /// Which series it looks at.
    pub selector: Selector,
    /// What is made of a value before it is compared.
    pub transform: Transform,
    /// How a value is held against the threshold.
    pub comparison: Comparison,
    /// What it is compared with.
    pub threshold: Threshold,
    /// Where it counts as clear again.
    pub clear: Option<Clear>,
    /// How long it must breach before it fires: the API's `for`.
    pub hold_ms: i64,
    /// How long it must be clear before it is resolved.
    pub keep_firing_ms: i64,
    /// The least time between two "fired" notices of one instance on one channel.
    pub cooldown_ms: i64,
    /// How often an unacknowledged incident is said again; 0 is never.
    pub repeat_ms: i64,
    /// What happens when samples stop.
    pub missing: Missing,
    /// After how long samples count as stopped; by default the longer of 5 intervals and 120 s.
    pub missing_after_ms: Option<i64>,
    /// How bad it is.
    pub severity: Severity,
    /// Which agents it applies to.
    pub scope: Scope,
    /// Whom to tell.
    pub channels: Vec<ChannelId>,
    /// Whom else to tell, later.
    pub escalation: Vec<EscalationStep>,
    /// Whether incidents that lie wholly inside a late burst are told in one message.
    pub fold_late: bool,
    /// Whether it is evaluated; a disabled narrower rule exempts its agents from the wider one with the same key.
    pub enabled: bool,
}

macro_rules! named {
    ($type:ident { $($variant:ident => $name:literal),* $(,)? }) => {
        impl $type {
            /// The name used in the API and in storage.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
            /// The value called `name`.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}
pub(crate) use named;

named!(Severity { Info => "info", Warning => "warning", Critical => "critical" });
named!(Comparison { Greater => ">", GreaterOrEqual => ">=", Less => "<", LessOrEqual => "<=", Equal => "==", NotEqual => "!=" });
named!(Missing { Keep => "keep", NoData => "nodata", Resolve => "resolve" });
named!(Aggregate { Each => "each", Max => "max", Min => "min", Avg => "avg" });
named!(RuleKind {
    Threshold => "threshold",
    Offline => "offline",
    Rate => "rate",
    Forecast => "forecast",
    UnitFailed => "unit_failed",
    ContainerDown => "container_down",
    ContainerUnhealthy => "container_unhealthy",
    ProcessMissing => "process_missing",
    PortClosed => "port_closed",
    SmartFailing => "smart_failing",
    Reboot => "reboot",
    ClockStep => "clock_step",
});
named!(MatchKind { Equal => "=", NotEqual => "!=", Regex => "=~", NotRegex => "!~" });

impl Rule {
    /// Whether this is the built-in kind that watches for agents falling silent.
    #[must_use]
    pub fn is_offline(&self) -> bool {
        self.selector.metric == OFFLINE_METRIC
    }
}
