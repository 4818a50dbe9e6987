//! What time itself does to one agent: it goes offline, samples count as missing, series as gone, and what was withheld is due.

use super::fleet::away_at;
use super::ghost::Ghost;
use super::slot::{BURST_END_MS, Presence, Slot, World};
use crate::apply::{Reading, apply, hand_out};
use crate::record::{Effects, EndReason, State};
use crate::settle::settle;
use crate::step::{Input, Outcome};
use nightbell_model::Timestamp;

impl Slot {
    /// Does what is due at `world.now`; whether an offline alert would have fired but for the doubt.
    pub(crate) fn run_timers(&mut self, world: World<'_>, in_doubt: bool, out: &mut Effects) -> bool {
        if self.online && self.offline_at().is_some_and(|at| at <= world.now) {
            self.go_offline(world.now, "", out);
        }
        let was_muted = self.host_offline;
        let held = self.judge_silence(world, in_doubt, out);
        if self.burst.is_some_and(|last| last.plus_millis(BURST_END_MS) <= world.now) {
            self.end_burst(world, out);
        }
        if was_muted && !self.host_offline {
            self.settle_all(world, out);
        }
        self.notice_missing(world, out);
        self.give_up_gone(world, out);
        self.prune_shapes(world.book, world.now);
        held
    }

    /// Raises the absence of samples and settles what is due.
    fn notice_missing(&mut self, world: World<'_>, out: &mut Effects) {
        let at = world.now;
        self.for_each(world, |site, instance| {
            if site.heeds_missing(instance) && site.missing_at(instance).is_some_and(|due| due <= at) {
                apply(site, instance, (Input::Missing { at }, Reading::default()), out);
            }
            if !site.folding && instance.detail.as_ref().is_some_and(|detail| detail.wake <= at) {
                settle(site, instance, Outcome::default(), out);
                hand_out(site, instance, out);
            }
        });
    }

    /// Gives up instances whose series has not been seen for a day; what they have to remember waits for their next sample.
    fn give_up_gone(&mut self, world: World<'_>, out: &mut Effects) {
        let scene = self.scene();
        let mut at = 0;
        while at < self.instances.len() {
            let site = world.site(&self.view, scene, self.instances[at].rule);
            if site.gone_at(&self.instances[at]).is_some_and(|due| due <= world.now) {
                let instance = self.instances.swap_remove(at);
                let rule = instance.rule;
                let gone = (site.compiled.rule.id, instance.series.clone());
                let left = Ghost::retire(&site, instance, EndReason::SeriesGone, out);
                self.instances.extend(left.map(|ghost| ghost.revive(rule)));
                self.drop_shape(gone.0, &gone.1);
                self.forget_plans();
            } else {
                at += 1;
            }
        }
    }

    /// When the agent has to be looked at next, if nothing is heard from it; `Timestamp::MAX` is never.
    pub(crate) fn next_wake(&mut self, world: World<'_>, in_doubt: bool) -> Timestamp {
        let mut next = self.silence_wake(world, in_doubt);
        if let Some(last) = self.burst {
            next = next.min(last.plus_millis(BURST_END_MS));
        }
        self.for_each(world, |site, instance| next = next.min(site.wake_of(instance)));
        next
    }

    fn silence_wake(&self, world: World<'_>, in_doubt: bool) -> Timestamp {
        let presence = match self.presence {
            Presence::Present => self.overdue_at(),
            Presence::Overdue if !self.host_offline => away_at(self),
            Presence::Overdue | Presence::Uncounted | Presence::Away => None,
        };
        let status = self.offline_at().filter(|at| self.online || *at > world.now);
        let fires = self.rules.iter().filter_map(|rule| {
            let compiled = world.book.get(*rule);
            let fires_at = self.offline_fires_at(compiled.rule.hold_ms).filter(|_| compiled.rule.is_offline())?;
            let waits = self.instances.iter().any(|instance| instance.rule == *rule && instance.state() == State::Pending);
            // A held alert is woken when the doubt ends.
            (waits && !(in_doubt && fires_at <= world.now)).then_some(fires_at)
        });
        fires.chain(presence).chain(status).min().unwrap_or(Timestamp::MAX)
    }
}
