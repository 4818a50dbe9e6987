//! Reminders of an open incident: repeats to those who were told, escalation to others, until somebody is on it.

use super::Turn;
use crate::hush::Hold;
use crate::instance::Told;
use crate::record::{EventKind, IncidentRecord, NoticeKind, State};
use nightbell_model::{ChannelId, Timestamp};
use std::sync::Arc;

/// A reminder counts as said when it was due if it is said at most so much later, so that the lateness of timers does not add up.
/// One that was held back counts from when it is said.
const LATENESS_MS: i64 = 1_000;

impl Turn<'_, '_> {
    /// P: it still fires. The next one is due exactly one period after the last was, not after it was noticed.
    pub(super) fn repeat(&mut self, told: &mut Told, hold: Option<Hold>) {
        let period = self.rule().repeat_ms;
        let Some(open) = self.open().filter(|open| self.state == State::Firing && told.incident == Some(open.id)) else { return };
        let Some(said) = told.last_said_at.filter(|_| period > 0) else { return };
        let due = said.plus_millis(period);
        let now = self.site.now;
        if let Some(until) = open.acked_until(now).or(hold.map(|hold| hold.until)) {
            self.look_again(until.max(due));
        } else if now < due {
            self.look_again(due);
        } else {
            let (incident, id, n) = (Arc::new(open.clone()), open.id, told.repeats);
            self.say(told, NoticeKind::Repeat, incident, n);
            told.repeats = n.saturating_add(1);
            let said = if now.millis_since(due) <= LATENESS_MS { due } else { now };
            told.last_said_at = Some(said);
            self.look_again(said.plus_millis(period));
            if !std::mem::replace(&mut self.reminded, true) {
                self.log(EventKind::Repeat, Some(id), String::new());
            }
        }
    }

    /// S: each step goes to its channels at its time while nobody is on it. That a step was said follows from when the
    /// channel last heard of this incident, so nothing more has to be remembered.
    pub(super) fn escalate(&mut self, all: &mut Vec<Told>) {
        let Some(open) = self.open().filter(|_| self.state == State::Firing) else { return };
        let open = open.clone();
        let site = self.site;
        for step in &site.compiled.rule.escalation {
            let due = open.fired_at.plus_millis(step.after_ms);
            if site.now < due {
                self.look_again(open.acked_until(site.now).map_or(due, |until| until.max(due)));
                continue;
            }
            let mut said = false;
            for channel in &step.channels {
                said |= self.escalate_to(all, *channel, &open, due);
            }
            if said {
                self.log(EventKind::Escalated, Some(open.id), String::new());
            }
        }
    }

    fn escalate_to(&mut self, all: &mut Vec<Told>, channel: ChannelId, open: &IncidentRecord, due: Timestamp) -> bool {
        let heard = all.iter().find(|told| told.channel == channel).is_some_and(|told| match told.incident {
            Some(id) if id == open.id => told.last_said_at.is_some_and(|said| said >= due),
            other => other.is_some(),
        });
        if heard {
            return false;
        }
        let hold = self.site.hold(&self.key.series, channel).map(|hold| hold.until);
        if let Some(until) = open.acked_until(self.site.now).or(hold) {
            self.look_again(until);
            return false;
        }
        let told = Told::of(all, channel);
        let n = if told.incident.is_none() { 0 } else { told.repeats };
        self.say(told, NoticeKind::Escalated, Arc::new(open.clone()), n);
        told.repeats = n.saturating_add(1);
        told.incident = Some(open.id);
        told.last_said_at = Some(self.site.now);
        if self.rule().repeat_ms > 0 && self.rule().channels.contains(&channel) {
            self.look_again(self.site.now.plus_millis(self.rule().repeat_ms));
        }
        true
    }
}
