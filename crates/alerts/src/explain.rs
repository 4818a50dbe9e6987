//! Why there is a page, and why there is none: every reason by name, from what the evaluator shows of an instance. Pure; the hub
//! adds what only it knows (channels that fail, pages that were too short to send).

use crate::evaluator::{InstanceView, Standing};
use crate::record::State;
use crate::rule::Transform;
use crate::trend::Outlook;
use crate::why::{duration_text, value_text};
use nightbell_model::catalogue::{self, Unit};
use nightbell_model::{ChannelId, RuleId, Timestamp, Ulid, Worse};

/// The name of the reason that an alert fires.
pub const FIRING: &str = "firing";

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Its name, for programs.
    pub code: &'static str,
    /// The reason in words.
    pub text: String,
    /// When it may cease to be one.
    pub until: Option<Timestamp>,
    /// The silence behind it.
    pub silence: Option<Ulid>,
    /// The rule behind it.
    pub rule: Option<RuleId>,
    /// The channel that it is about; all if none is said.
    pub channel: Option<ChannelId>,
}

impl Reason {
    /// A reason by its name and in words.
    #[must_use]
    pub fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), until: None, silence: None, rule: None, channel: None }
    }

    fn until(self, until: Timestamp) -> Self {
        Self { until: Some(until).filter(|until| *until < Timestamp::MAX), ..self }
    }
}

/// Why a rule has no instance on an agent.
#[must_use]
pub fn absence(standing: Standing) -> Reason {
    match standing {
        Standing::Applies => Reason::new("no_sample", "the agent has not sent such a series since the hub started"),
        Standing::NoRule => Reason::new("no_rule", "there is no such rule"),
        Standing::NoAgent => Reason::new("no_agent", "there is no such agent"),
        Standing::Paused => Reason::new("paused", "the agent is paused: no rule is evaluated on it"),
        Standing::OutOfScope => Reason::new("out_of_scope", "the rule's scope does not cover the agent"),
        Standing::Disabled => Reason::new("disabled", "the rule is disabled"),
        Standing::ReplacedBy(rule) => {
            Reason { rule: Some(rule), ..Reason::new("replaced", "a rule with the same key takes its place on this agent") }
        }
    }
}

/// Every reason why an instance says what it says at `now`, and why it does not say more. `doubting` is whether the hub takes
/// itself for the cause of what is missing.
#[must_use]
pub fn reasons(view: &InstanceView<'_>, now: Timestamp, doubting: bool) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let is_offline_rule = view.key.series.metric() == crate::rule::OFFLINE_METRIC;
    reasons.extend(no_value(view));
    reasons.push(state(view, now, is_offline_rule));
    reasons.extend(relief(view, now));
    if view.stale && !is_offline_rule {
        let age = view.last_ts.map_or_else(
            || "no sample yet".to_owned(),
            |last| format!("the newest sample is {} old", duration_text(now.millis_since(last))),
        );
        reasons.push(Reason::new("stale", age));
    }
    if doubting && is_offline_rule && view.state == State::Pending {
        reasons.push(Reason::new("self_doubt", "most agents fell silent together: the hub doubts itself and holds this back"));
    }
    if view.in_burst {
        reasons.push(Reason::new("late_burst", "old heartbeats are coming in: what they change is told at their end"));
    }
    let matters = view.state != State::Ok || view.told.iter().any(|told| told.suppressed > 0);
    reasons.extend(view.withheld.iter().filter(|_| matters).map(|withheld| {
        let silence = withheld.mute;
        let reason = Reason::new(withheld.reason, hold_text(withheld.reason)).until(withheld.until);
        Reason { silence, channel: Some(withheld.channel), ..reason }
    }));
    if let Some(ack) =
        view.incident.and_then(|incident| incident.ack.as_ref()).filter(|ack| ack.until.is_none_or(|until| now < until))
    {
        let text = format!("{} is on it: no repeats and no escalation", ack.by);
        reasons.push(Reason::new("acked", text).until(ack.until.unwrap_or(Timestamp::MAX)));
    }
    if !view.has_channels {
        reasons.push(Reason::new("no_channel", "neither the rule nor a route names a channel"));
    }
    if let Some(at) = view.next_notice_at {
        reasons.push(Reason::new("next_notice", "something more may be said then").until(at));
    }
    reasons
}

/// Why there is nothing to compare.
fn no_value(view: &InstanceView<'_>) -> Option<Reason> {
    if view.threshold.is_none() {
        return Some(Reason::new("no_threshold", "the rule names a level, and the agent has none for this series"));
    }
    match (view.transform, view.outlook) {
        (Transform::Forecast { window_ms, .. }, Some(Outlook::TooShort) | None) => {
            let text = format!("a forecast needs history over at least half of {}", duration_text(window_ms));
            Some(Reason::new("no_trend", text))
        }
        (Transform::Forecast { .. }, Some(Outlook::Unclear)) => {
            Some(Reason::new("no_clear_trend", "it goes this way and that: the value stands for itself"))
        }
        (Transform::Rate { window_ms, .. }, _) if view.value.is_none() => {
            let text = format!("a rate needs samples that reach back {}", duration_text(window_ms));
            Some(Reason::new("no_rate", text))
        }
        _ => None,
    }
}

/// The state and why it is that.
fn state(view: &InstanceView<'_>, now: Timestamp, is_offline_rule: bool) -> Reason {
    let lasted = now.millis_since(view.since).max(0);
    match view.state {
        State::Ok if is_offline_rule => Reason::new("not_breaching", "the agent's heartbeats come"),
        State::Ok => match view.value.zip(view.threshold) {
            Some((value, threshold)) if !view.comparison.holds(value, threshold) => {
                Reason::new(if in_band(view, value) { "in_band" } else { "not_breaching" }, compared(view, value, "is not"))
            }
            _ => Reason::new("not_breaching", "the newest usable value does not breach"),
        },
        State::Pending => {
            let what = if is_offline_rule { "no heartbeat" } else { "breaching" };
            let text = format!("{what} for {} of {}", duration_text(lasted), duration_text(view.hold_ms));
            Reason::new("pending", text).until(view.since.plus_millis(view.hold_ms))
        }
        State::Firing => {
            let told = view
                .told
                .iter()
                .filter(|told| told.told.is_some() && told.told == view.incident.map(|incident| incident.id))
                .count();
            firing(told)
        }
        State::NoData => Reason::new("no_data", format!("samples stopped {} ago", duration_text(lasted))),
    }
}

/// That it fires, and for how many channels pages have been made; what became of those is known outside.
#[must_use]
pub fn firing(told: usize) -> Reason {
    let text = match told {
        0 => "firing; no channel is told of it".to_owned(),
        1 => "firing; one channel is told of it".to_owned(),
        _ => format!("firing; {told} channels are told of it"),
    };
    Reason::new(FIRING, text)
}

/// What keeps a firing alert from ending.
fn relief(view: &InstanceView<'_>, now: Timestamp) -> Option<Reason> {
    if view.state != State::Firing {
        return None;
    }
    if let Some(since) = view.clear_since {
        let text =
            format!("clear for {} of {}", duration_text(now.millis_since(since).max(0)), duration_text(view.keep_firing_ms));
        return Some(Reason::new("keep_firing", text).until(since.plus_millis(view.keep_firing_ms)));
    }
    let value = view.value.filter(|value| view.threshold.is_some_and(|threshold| !view.comparison.holds(*value, threshold)))?;
    in_band(view, value)
        .then(|| Reason::new("in_band", compared(view, value, "is no longer") + ", and not beyond where it counts as clear"))
}

/// Whether a value that does not breach is not beyond `clear` either.
fn in_band(view: &InstanceView<'_>, value: f64) -> bool {
    view.clear.is_some_and(|clear| match view.comparison.direction() {
        Some(Worse::High) => value >= clear,
        Some(Worse::Low) => value <= clear,
        None => false,
    })
}

fn compared(view: &InstanceView<'_>, value: f64, is: &str) -> String {
    let unit = catalogue::find(view.key.series.metric()).map_or(Unit::None, |metric| metric.unit);
    let threshold = view.threshold.unwrap_or(f64::NAN);
    format!("{} {is} {} {}", value_text(value, unit), view.comparison.name(), value_text(threshold, unit))
}

fn hold_text(reason: &str) -> &'static str {
    match reason {
        "silence" => "silenced",
        "maintenance" => "in maintenance",
        "quiet_hours" => "the channel has quiet hours",
        "host_offline" => "the host is offline: that is said instead",
        _ => "the cooldown since the last page is not over",
    }
}
