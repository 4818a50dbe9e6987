//! What people say about an incident: that they are on it, and that they are not any more.

use super::Evaluator;
use super::slot::{Slot, World};
use crate::apply::hand_out;
use crate::instance::Instance;
use crate::record::{Ack, Effects, Event, EventKind, IncidentRecord, Notice, NoticeKind};
use crate::settle::settle;
use crate::site::Site;
use crate::step::Outcome;
use nightbell_model::{IncidentId, Timestamp};
use std::sync::Arc;

impl Evaluator {
    /// Notes that somebody is on an open incident, and says so to who was told of it: its repeats and escalation stop, its end will
    /// still be said. False if the incident is not open.
    pub fn acknowledge(&mut self, incident: IncidentId, ack: Ack, now: Timestamp, out: &mut Effects) -> bool {
        let said = if ack.note.is_empty() { ack.by.clone() } else { format!("{}: {}", ack.by, ack.note) };
        let take_over = |incident: &mut IncidentRecord| {
            incident.ack = Some(ack);
            true
        };
        self.amend(incident, (EventKind::Ack, said), now, (out, take_over))
    }

    /// Takes that back: what has come due meanwhile is said at once. False if the incident is not open, or nobody is on it.
    pub fn unacknowledge(&mut self, incident: IncidentId, by: &str, now: Timestamp, out: &mut Effects) -> bool {
        self.amend(incident, (EventKind::Unack, by.to_owned()), now, (out, |incident| incident.ack.take().is_some()))
    }

    /// Changes an open incident, if `change` says that there is something to change.
    fn amend(
        &mut self,
        id: IncidentId,
        (kind, said): (EventKind, String),
        now: Timestamp,
        (out, change): (&mut Effects, impl FnOnce(&mut IncidentRecord) -> bool),
    ) -> bool {
        self.begin(now, out);
        let world = World { book: &self.book, mutes: &self.mutes, waits: self.waits, now, turn: self.turn };
        if let Some(ghost) = self.doubt.as_mut().filter(|ghost| ghost.instance.incident().is_some_and(|open| open.id == id)) {
            if let Some(incident) = ghost.instance.detail.as_deref_mut().and_then(|detail| detail.incident.as_mut()) {
                if !change(incident) {
                    return false;
                }
                out.incidents.push(incident.clone());
                out.events.push(people_event(kind, incident, said, now));
            }
            return true;
        }
        let Some(slot) = self.agents.values_mut().find(|slot| slot.holds(id)) else { return false };
        let scene = slot.scene();
        let Slot { view, instances, .. } = &mut **slot;
        let Some(instance) = instances.iter_mut().find(|instance| instance.incident().is_some_and(|open| open.id == id)) else {
            return false;
        };
        let site = world.site(view, scene, instance.rule);
        if let Some(incident) = instance.detail.as_deref_mut().and_then(|detail| detail.incident.as_mut()) {
            if !change(incident) {
                return false;
            }
            out.incidents.push(incident.clone());
            out.events.push(people_event(kind, incident, said, now));
        }
        if kind == EventKind::Ack {
            tell_who_is_on_it(&site, instance, out);
        }
        if !site.folding {
            settle(&site, instance, Outcome::default(), out);
        }
        hand_out(&site, instance, out);
        let wake = site.wake_of(instance);
        self.queue.arm(slot, wake);
        true
    }
}

impl Slot {
    fn holds(&self, id: IncidentId) -> bool {
        self.instances.iter().any(|instance| instance.incident().is_some_and(|open| open.id == id))
    }
}

/// Says who is on an incident to the channels that were told of it, but for those that are not even told of its end now: their
/// digest will say how it stands.
fn tell_who_is_on_it(site: &Site<'_>, instance: &mut Instance, out: &mut Effects) {
    let series = instance.series.clone();
    let Some(detail) = instance.detail.as_deref_mut() else { return };
    let Some(open) = detail.incident.clone().map(Arc::new) else { return };
    for told in detail.told.iter_mut().filter(|told| told.incident == Some(open.id)) {
        if site.defer(&series, told.channel).is_some() {
            continue;
        }
        out.notices.push(Notice {
            kind: NoticeKind::Acked,
            n: told.repeats,
            channel: told.channel,
            value: detail.value,
            at: site.now,
            not_before: site.now,
            suppressed: 0,
            late: false,
            incident: Arc::clone(&open),
        });
        told.repeats = told.repeats.saturating_add(1);
        told.dirty = true;
    }
}

fn people_event(kind: EventKind, incident: &IncidentRecord, reason: String, now: Timestamp) -> Event {
    Event {
        at: now,
        kind,
        agent: incident.key.known_agent(),
        rule: incident.key.known_rule(),
        incident: Some(incident.id),
        series: Some(incident.key.series.clone()),
        value: None,
        threshold: Some(incident.threshold),
        reason,
    }
}
