//! Silences and quiet hours as intervals of the days around now: what the evaluator is told, what pages know of nights that end,
//! and what people are shown. When they are is [`crate::schedule`]'s.

use super::Holdings;
use crate::ids;
use crate::schedule::{Cron, QuietHours, Window, merged};
use chrono_tz::Tz;
use nightbell_alerts::{Mute, MuteKind, Severity};
use nightbell_model::{ChannelId, Timestamp, Ulid};
use nightbell_store::{ChannelRow, SilenceRow};
use std::collections::BTreeMap;

/// How long quiet hours that have ended are still known, in milliseconds: after a restart their end has to be caught up with.
const BACK_MS: i64 = 2 * 86_400_000;
/// How far ahead mutes are expanded, in milliseconds; they are expanded again long before.
const AHEAD_MS: i64 = 3 * 86_400_000;
/// The most intervals of one silence: more than there are in the hour until they are expanded again.
const MOST: usize = 200;

/// What was expanded.
#[derive(Debug, Clone, Default)]
pub struct Hush {
    /// For the evaluator.
    pub mutes: Vec<Mute>,
    /// The quiet hours of each channel that has any, in order, those that touch as one.
    pub quiet: BTreeMap<ChannelId, Vec<Window>>,
    /// When the hub began: nights that ended before end for it then.
    pub started: Option<Timestamp>,
}

impl Hush {
    /// Expands what is configured around `now`.
    #[must_use]
    pub fn of(holdings: &Holdings, now: Timestamp) -> Self {
        let ahead = Window { start: now, end: now.plus_millis(AHEAD_MS) };
        let within = Window { start: now.plus_millis(-BACK_MS), ..ahead };
        let mut hush = Self::default();
        for silence in holdings.silences.values() {
            hush.mutes.extend(silence_windows(silence, ahead, MOST).into_iter().map(|window| silence_mute(silence, window)));
        }
        for channel in holdings.channels.values().filter(|channel| channel.enabled) {
            hush.add_quiet(channel, holdings.settings.timezone, within);
        }
        hush
    }

    fn add_quiet(&mut self, channel: &ChannelRow, zone: Tz, within: Window) {
        let mut windows = Vec::new();
        for quiet in quiet_hours(channel) {
            let found = quiet.windows(zone, within);
            self.mutes.extend(found.iter().map(|window| quiet_mute(channel.id, &quiet, *window)));
            windows.extend(found);
        }
        if !windows.is_empty() {
            self.quiet.insert(channel.id, merged(windows));
        }
    }

    /// The quiet hours of a channel that ended last at `now`.
    #[must_use]
    pub fn ended_last(&self, channel: ChannelId, now: Timestamp) -> Option<Window> {
        self.quiet.get(&channel)?.iter().rev().find(|window| window.end <= now).copied()
    }
}

/// The quiet hours of a channel; what cannot be read (a newer hub may have written it) is none.
#[must_use]
pub fn quiet_hours(channel: &ChannelRow) -> Vec<QuietHours> {
    serde_json::from_str(&channel.quiet_json).unwrap_or_default()
}

/// The times of a silence that overlap `within`, at most `most` of them.
#[must_use]
pub fn silence_windows(silence: &SilenceRow, within: Window, most: usize) -> Vec<Window> {
    let whole = Window { start: silence.starts_at, end: silence.ends_at };
    let all = match &silence.recurrence {
        None => vec![whole],
        Some(again) => match (again.cron.parse::<Cron>(), again.timezone.parse()) {
            (Ok(cron), Ok(zone)) => {
                let within = Window { start: within.start.max(whole.start), end: within.end.min(whole.end) };
                cron.windows(zone, again.duration_ms, within, most)
            }
            _ => Vec::new(),
        },
    };
    let cut = |window: Window| Window { start: window.start.max(whole.start), end: window.end.min(whole.end) };
    let is_wanted = |window: &Window| window.start < window.end && window.start < within.end && window.end > within.start;
    all.into_iter().map(cut).filter(is_wanted).collect()
}

fn silence_mute(silence: &SilenceRow, window: Window) -> Mute {
    Mute {
        id: silence.id,
        kind: silence.kind,
        start: window.start,
        end: window.end,
        rule: silence.rule,
        agent: silence.agent,
        tag: silence.tag.clone(),
        series: silence.series.clone(),
        labels: silence.matchers.clone().into(),
        channel: None,
        up_to: silence.up_to,
        defers_resolved: false,
    }
}

fn quiet_mute(channel: ChannelId, quiet: &QuietHours, window: Window) -> Mute {
    Mute {
        id: channel.0,
        kind: MuteKind::QuietHours,
        start: window.start,
        end: window.end,
        rule: None,
        agent: None,
        tag: None,
        series: None,
        labels: Vec::new().into(),
        channel: Some(channel),
        up_to: quiet.critical_passes.then_some(Severity::Warning),
        defers_resolved: true,
    }
}

/// The id of the digest of a channel's quiet hours that ended at `end`: the same whoever asks.
#[must_use]
pub fn digest_id(channel: ChannelId, end: Timestamp) -> Ulid {
    ids::derived("digest", &[&channel.to_string()], end)
}
