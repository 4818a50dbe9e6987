//! One agent in memory: what is known of it, its instances, and when it has to be looked at next.

use super::plan::Plan;
use super::shaped::Shape;
use crate::book::{Compiled, RuleBook};
use crate::context::{AgentView, Mute};
use crate::instance::Instance;
use crate::rule::Transform;
use crate::site::{Site, Waits};
use nightbell_model::{RuleId, Timestamp};

/// A late burst ends this long after its last heartbeat, in milliseconds.
pub(crate) const BURST_END_MS: i64 = 10_000;

/// How the fleet counts an agent when it decides whether to doubt itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Not counted: never seen, paused, or stopped on purpose.
    Uncounted,
    /// Its heartbeats come.
    Present,
    /// It has missed two heartbeats and nobody was told yet.
    Overdue,
    /// It is known to be away.
    Away,
}

/// One agent and its instances.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) view: AgentView,
    /// The rules that apply, ascending.
    pub(crate) rules: Vec<u32>,
    pub(crate) instances: Vec<Instance>,
    /// What rules on rates and forecasts remember.
    pub(crate) shapes: Vec<Shape>,
    /// Rules on rates whose past was filled in from history.
    pub(crate) primed: Vec<(RuleId, Transform)>,
    /// The plan of the newest heartbeat, and the one before it where an agent takes turns between two.
    pub(crate) plan: Option<Plan>,
    pub(crate) other_plan: Option<Box<Plan>>,
    /// The time of the newest heartbeat; `Timestamp::MIN` before the first.
    pub(crate) last_ts: Timestamp,
    /// Timers count from here at the earliest: the evaluator's start, the agent's arrival, the end of a pause.
    pub(crate) floor: Timestamp,
    pub(crate) online: bool,
    /// Since when it is online: absence of single series counts from here.
    pub(crate) online_since: Timestamp,
    pub(crate) presence: Presence,
    /// It was away before the evaluator started.
    pub(crate) known_away: bool,
    /// One of its offline rules is pending or firing.
    pub(crate) host_offline: bool,
    /// The receipt of the last heartbeat of the late burst that is going on.
    pub(crate) burst: Option<Timestamp>,
    /// The log has said that it has too many series to watch them all.
    pub(crate) crowd_logged: bool,
    /// When the log last said that a heartbeat came too late.
    pub(crate) late_logged: Option<Timestamp>,
    /// The deadline in the queue that counts; `Timestamp::MAX` is none.
    pub(crate) armed: Timestamp,
}

impl Slot {
    pub(crate) fn new(view: AgentView, book: &RuleBook, now: Timestamp) -> Self {
        let rules = if view.paused { Vec::new() } else { book.effective(&view) };
        let online = view.last_seen.is_some() && !view.paused && !view.closed && !view.stopped_on_purpose;
        Self {
            rules,
            instances: Vec::new(),
            shapes: Vec::new(),
            primed: Vec::new(),
            plan: None,
            other_plan: None,
            last_ts: Timestamp::MIN,
            floor: now,
            online,
            online_since: now,
            presence: Presence::Uncounted,
            known_away: false,
            host_offline: false,
            burst: None,
            crowd_logged: false,
            late_logged: None,
            armed: Timestamp::MAX,
            view,
        }
    }

    fn interval_ms(&self) -> i64 {
        self.view.interval_ms.max(1)
    }

    /// From when the timers of its silence count; `None` for an agent that is not watched.
    pub(crate) fn silent_since(&self) -> Option<Timestamp> {
        let watched = !self.view.paused && !self.view.stopped_on_purpose;
        self.view.last_seen.filter(|_| watched).map(|seen| seen.max(self.floor))
    }

    /// When it counts as overdue: two missed heartbeats.
    ///
    /// Earlier than "offline" on purpose. When the hub itself is cut off, its agents fall silent within one interval of each
    /// other; at the moment the first of them would be paged, all the others have missed two.
    pub(crate) fn overdue_at(&self) -> Option<Timestamp> {
        self.silent_since().map(|since| since.plus_millis(self.interval_ms().saturating_mul(2)))
    }

    /// When its status becomes offline, if nothing is heard from it.
    pub(crate) fn offline_at(&self) -> Option<Timestamp> {
        self.silent_since().map(|since| since.plus_millis(self.interval_ms().saturating_mul(3)))
    }

    /// When an offline rule with this hold fires.
    pub(crate) fn offline_fires_at(&self, hold_ms: i64) -> Option<Timestamp> {
        self.silent_since().map(|since| since.plus_millis(self.interval_ms().saturating_mul(3).max(hold_ms)))
    }

    /// Whether a heartbeat of this age at receipt comes from a buffer.
    pub(crate) fn is_late(&self, ts: Timestamp, received: Timestamp) -> bool {
        const SLACK_MS: i64 = 30_000;
        received.millis_since(ts) > self.interval_ms().saturating_mul(2).saturating_add(SLACK_MS)
    }

    /// Forgets the plans: what they point at has changed.
    pub(crate) fn forget_plans(&mut self) {
        (self.plan, self.other_plan) = (None, None);
    }

    /// Does something with every instance, each with its site.
    pub(crate) fn for_each(&mut self, world: World<'_>, mut act: impl FnMut(&Site<'_>, &mut Instance)) {
        let scene = self.scene();
        for instance in &mut self.instances {
            act(&world.site(&self.view, scene, instance.rule), instance);
        }
    }

    /// The agent's part of a site.
    pub(crate) fn scene(&self) -> Scene {
        Scene {
            host_offline: self.host_offline,
            bursting: self.burst.is_some(),
            online: self.online,
            counted_from: self.online_since.max(self.floor),
        }
    }
}

/// What the evaluator holds for all agents at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct World<'a> {
    pub(crate) book: &'a RuleBook,
    pub(crate) mutes: &'a [Mute],
    pub(crate) waits: Waits,
    pub(crate) now: Timestamp,
    pub(crate) turn: u8,
}

/// What an agent adds to a site.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scene {
    pub(crate) host_offline: bool,
    pub(crate) bursting: bool,
    pub(crate) online: bool,
    pub(crate) counted_from: Timestamp,
}

impl<'a> World<'a> {
    /// The place where a rule meets an agent.
    pub(crate) fn site(self, agent: &'a AgentView, scene: Scene, rule: u32) -> Site<'a> {
        self.site_of(self.book.get(rule), agent, scene)
    }

    /// The same for a rule that is not in the book any more.
    pub(crate) fn site_of(self, compiled: &'a Compiled, agent: &'a AgentView, scene: Scene) -> Site<'a> {
        Site {
            compiled,
            agent,
            mutes: self.mutes,
            waits: self.waits,
            now: self.now,
            turn: self.turn,
            host_offline: scene.host_offline,
            folding: scene.bursting && compiled.rule.fold_late && !compiled.rule.is_offline(),
            online: scene.online,
            counted_from: scene.counted_from,
        }
    }
}
