//! What is left of an instance that is gone: a channel has still to hear of its end because quiet hours hold that back, or its
//! cooldown runs on in case it comes back. The rule or the agent may not exist any more by then.

use super::slot::{Scene, World};
use crate::apply::{Reading, apply, dismiss, hand_out};
use crate::book::Compiled;
use crate::context::AgentView;
use crate::instance::Instance;
use crate::record::{Effects, EndReason};
use crate::rule::Missing;
use crate::settle::settle;
use crate::site::Site;
use crate::step::{Input, Outcome};
use nightbell_model::Timestamp;

/// An instance without a place, with copies of the rule and the agent it belonged to.
#[derive(Debug, Clone)]
pub(crate) struct Ghost {
    pub(crate) compiled: Compiled,
    pub(crate) agent: AgentView,
    pub(crate) instance: Instance,
}

impl Ghost {
    /// Ends an instance; what is left of it, if anything has to be remembered.
    pub(crate) fn retire(site: &Site<'_>, mut instance: Instance, reason: EndReason, out: &mut Effects) -> Option<Self> {
        let site = Site { folding: false, ..*site };
        let is_stored = instance.detail.is_some() || site.compiled.rule.missing == Missing::NoData;
        let input = Input::Gone { at: site.now, reason };
        apply(&site, &mut instance, (input, Reading::default()), out);
        if is_stored && instance.detail.is_some() {
            settle(&site, &mut instance, Outcome::default(), out);
            hand_out(&site, &mut instance, out);
        }
        let ghost = Self { compiled: site.compiled.clone(), agent: site.agent.clone(), instance };
        if ghost.remembers(site.now) {
            return Some(ghost);
        }
        let mut instance = ghost.instance;
        if is_stored {
            dismiss(&site, &mut instance, out);
        }
        None
    }

    /// Whether a channel has still to hear of an end, or a cooldown is not over that counts if the instance comes back.
    fn remembers(&self, now: Timestamp) -> bool {
        let mut told = self.instance.detail.iter().flat_map(|detail| &detail.told);
        let rule = &self.compiled.rule;
        told.any(|told| told.incident.is_some() || told.episode.is_some() || told.cooldown_end(rule) > now)
    }

    /// The instance for the slot it belonged to, where it waits for its next sample.
    pub(crate) fn revive(self, rule: u32) -> Instance {
        let mut instance = self.instance;
        instance.rule = rule;
        (instance.last_ts, instance.heard) = (Timestamp::MIN, Timestamp::MIN);
        instance
    }

    /// Nothing around it matters: what is left only waits for its words.
    pub(crate) const fn scene(now: Timestamp) -> Scene {
        Scene { host_offline: false, bursting: false, online: false, counted_from: now }
    }

    /// When to look at it next.
    pub(crate) fn wake(&self) -> Timestamp {
        self.instance.detail.as_ref().map_or(Timestamp::MAX, |detail| detail.wake)
    }

    /// Says what may be said now; whether anything is left to remember.
    pub(crate) fn settle(&mut self, world: World<'_>, out: &mut Effects) -> bool {
        let scene = Self::scene(world.now);
        let site = world.site_of(&self.compiled, &self.agent, scene);
        settle(&site, &mut self.instance, Outcome::default(), out);
        hand_out(&site, &mut self.instance, out);
        if self.remembers(world.now) {
            return true;
        }
        let site = world.site_of(&self.compiled, &self.agent, scene);
        dismiss(&site, &mut self.instance, out);
        false
    }
}
