//! What is left of an instance that is gone while a channel has still to hear of its end: quiet hours hold that back, and the
//! rule or the agent may not exist any more when they are over.

use super::slot::{Scene, World};
use crate::apply::{Reading, apply, forget, hand_out};
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
    /// Ends an instance for good; what is left of it, if somebody has still to be told of an end.
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
        if ghost.is_owed() {
            return Some(ghost);
        }
        let mut instance = ghost.instance;
        if is_stored {
            let key = site.key(&instance.series);
            forget(&mut instance, key, out);
        }
        None
    }

    /// Whether a channel has still to hear of an end.
    pub(crate) fn is_owed(&self) -> bool {
        let told = self.instance.detail.iter().flat_map(|detail| &detail.told);
        told.into_iter().any(|told| told.incident.is_some() || told.episode.is_some())
    }

    /// When to look at it next.
    pub(crate) fn wake(&self) -> Timestamp {
        self.instance.detail.as_ref().map_or(Timestamp::MAX, |detail| detail.wake)
    }

    /// Says what may be said now; whether more is owed.
    pub(crate) fn settle(&mut self, world: World<'_>, out: &mut Effects) -> bool {
        let scene = Scene { host_offline: false, bursting: false, online: false, counted_from: world.now };
        let site = world.site_of(&self.compiled, &self.agent, scene);
        settle(&site, &mut self.instance, Outcome::default(), out);
        hand_out(&site, &mut self.instance, out);
        let owed = self.is_owed();
        if !owed {
            let key = site.key(&self.instance.series);
            forget(&mut self.instance, key, out);
        }
        owed
    }
}
