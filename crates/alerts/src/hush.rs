//! Whether something may be said to a channel now: mutes by the user and the one the machine imposes itself, "host offline".

use crate::context::{AgentView, Mute};
use crate::rule::{Rule, Severity};
use nightbell_model::{ChannelId, SeriesKey, Timestamp, Ulid};

/// The reason of the mute an agent's other alerts are under while it is offline.
pub(crate) const HOST_OFFLINE: &str = "host_offline";
/// The reason of a notice that the cooldown holds back.
pub(crate) const COOLDOWN: &str = "cooldown";

/// What a mute is held against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) rule: &'a Rule,
    pub(crate) severity: Severity,
    pub(crate) agent: &'a AgentView,
    pub(crate) series: &'a SeriesKey,
}

/// Something that withholds a notice: why, and until when at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hold {
    pub(crate) reason: &'static str,
    pub(crate) until: Timestamp,
    /// The silence behind it, if it is one.
    pub(crate) mute: Option<Ulid>,
}

impl Mute {
    /// Whether the mute is in force at `now`.
    #[must_use]
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.start <= now && now < self.end
    }

    pub(crate) fn covers(&self, target: &Target<'_>, channel: ChannelId) -> bool {
        self.rule.is_none_or(|rule| rule == target.rule.id)
            && self.agent.is_none_or(|agent| agent == target.agent.id)
            && self.channel.is_none_or(|only| only == channel)
            && self.up_to.is_none_or(|limit| target.severity <= limit)
            && self.labels.admit(target.series)
            && self.tag.as_ref().is_none_or(|tag| target.agent.tags.contains(tag))
            && self.series.as_ref().is_none_or(|series| series == target.series.as_str() || series == target.series.metric())
    }
}

/// The mute that withholds what is to be said to `channel` at `now`, the one that ends first; only those that also withhold
/// the end of an incident if `deferring`.
pub(crate) fn muted(
    mutes: &[Mute],
    target: &Target<'_>,
    channel: ChannelId,
    (now, deferring): (Timestamp, bool),
) -> Option<Hold> {
    mutes
        .iter()
        .filter(|mute| mute.is_active(now) && (mute.defers_resolved || !deferring) && mute.covers(target, channel))
        .min_by_key(|mute| mute.end)
        .map(|mute| Hold { reason: mute.kind.name(), until: mute.end, mute: Some(mute.id) })
}

#[cfg(test)]
mod tests;
