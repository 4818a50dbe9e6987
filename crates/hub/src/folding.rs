//! Which waiting deliveries go now, and which of them travel together: a storm of pages is one message with the list, and its
//! end is another. Pure: what waits, what is on its way and the time come in; messages and the moment to look again go out.
//!
//! Nothing that is decided here has to be remembered: waits follow from when deliveries were made, which is stored, so that a
//! restart in the middle of one decides the same. What was sent together is stored with each delivery by `claim`.

use nightbell_alerts::NoticeKind;
use nightbell_model::{ChannelId, Timestamp, Ulid};
use nightbell_store::Waiting;
use std::collections::HashMap;

/// How far ahead deliveries are looked for that may travel with those that are due, in milliseconds: one that was never tried is
/// due within ten seconds, and those that were tried travel with nobody else.
pub const AHEAD_MS: i64 = 11_000;
/// A page that may go at once waits so long for those that were decided in the same breath.
const BREATH_MS: i64 = 300;
/// So many pages of one rule are a storm: it is waited for more as long as they keep coming.
const STORM_SIZE: usize = 3;
/// A storm is over when nothing has come for so long.
const LULL_MS: i64 = 5_000;
/// The same for pages that may go at once.
const URGENT_LULL_MS: i64 = 1_000;
/// The same once the storm was told of: somebody is up already, and the next message is to be the whole list.
const NEXT_LULL_MS: i64 = 15_000;
/// A second host waits so long for a third: somebody was called just now, and in a storm the third is there by then, for heartbeats
/// of a fleet are spread over their interval.
const SECOND_MS: i64 = 5_000;
/// Ends are said once none has come for so long, whoever goes on: a little longer than the usual time between two heartbeats.
const END_LULL_MS: i64 = 20_000;
/// No page waits longer than this for others of a storm. Silent hosts that are back are waited for as long, for so far apart may
/// agents try to connect.
const STORM_MS: i64 = 60_000;
/// Ends that keep coming are waited for so long: a storm that grew over a minute ends over a minute, and a bit.
const ENDING_MS: i64 = 90_000;
/// The first page of a storm that may go at once waits no longer than this for others.
const URGENT_STORM_MS: i64 = 10_000;
/// How long after the last host was expected to be found silent its page is waited for.
pub const COMING_MS: i64 = 1_500;
/// How long deliveries that belong to a digest wait for it.
const DIGEST_MS: i64 = 20_000;
/// The most deliveries in one message: as many as a list can usefully have.
const LARGEST: usize = 200;

/// What a message is made of: one channel, one rule, one kind of news.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Group {
    /// Whom it is for.
    pub channel: ChannelId,
    /// The rule, by id.
    pub rule: String,
    /// What it says.
    pub kind: NoticeKind,
    /// The storm it belongs to: of beginnings the one that was told of already, of what comes after that of its beginnings.
    storm: Option<Ulid>,
}

/// Whether several notifications may travel in one message on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folds {
    /// Each is a message of its own.
    Never,
    /// Those that are due together: a program reads them, which is not to be kept waiting.
    Due,
    /// Those of a storm: people read them, who are not to be called twice for one thing.
    Storms,
}

/// What has to be known beside the deliveries.
pub trait Circumstances {
    /// Whether several notifications may travel in one message on this channel.
    fn folds(&self, channel: ChannelId) -> Folds;
    /// When the last of the hosts that are silent now is expected to be paged under a rule, if any is on its way there.
    fn coming(&self, rule: &str) -> Option<Timestamp>;
    /// Whether a rule is about hosts that are silent.
    fn is_about_silence(&self, rule: &str) -> bool;
}

/// The rule of an instance (`rule/agent/series`), or what stands in its place.
pub(crate) fn rule_of(instance: &str) -> &str {
    instance.split('/').next().unwrap_or_default()
}

/// How much may be under way. A channel that has nothing under way gets a lane whatever others have taken: many receivers that do not
/// answer hold up none that does.
#[derive(Debug)]
pub struct Room<'a> {
    /// So many more messages in all.
    pub all: usize,
    /// So many on one channel, those under way included.
    pub per_channel: usize,
    /// How many are under way on each channel.
    pub busy: &'a HashMap<ChannelId, usize>,
}

/// A message to send now.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// Its deliveries; the first one leads and names it.
    pub ids: Vec<Ulid>,
    /// How many of those that began together with these have not ended yet.
    pub rest: u32,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// Messages to send, in order.
    pub messages: Vec<Chosen>,
    /// When to look again, if something waits for its moment.
    pub wake: Option<Timestamp>,
}

/// Chooses what goes now of what waits (oldest first, at most one for each channel and instance).
#[must_use]
pub fn plan(waiting: &[Waiting], around: &dyn Circumstances, room: &Room<'_>, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let mut taken = room.busy.clone();
    for (bundle, members) in bundles(waiting, around) {
        let ready = bundle.ready(&members, waiting, around);
        if ready > now {
            plan.wake = Some(plan.wake.map_or(ready, |wake| wake.min(ready)));
            continue;
        }
        for part in members.chunks(bundle.largest(members.len())) {
            let lanes = taken.entry(part[0].channel).or_default();
            let has_room = plan.messages.len() < room.all && *lanes < room.per_channel;
            if has_room || *lanes == 0 {
                *lanes += 1;
                plan.messages.push(bundle.message(part));
            }
        }
    }
    plan
}

/// Why deliveries belong together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Bundle {
    /// It goes by itself.
    Alone(Ulid),
    /// They were sent together before, or are to travel with a digest.
    Message(Ulid),
    /// They say the same of one rule.
    New(Group),
}

fn bundles<'w>(waiting: &'w [Waiting], around: &dyn Circumstances) -> Vec<(Bundle, Vec<&'w Waiting>)> {
    let mut places: HashMap<Bundle, usize> = HashMap::new();
    let mut bundles: Vec<(Bundle, Vec<&Waiting>)> = Vec::new();
    for one in waiting {
        let bundle = Bundle::of(one, around);
        let place = *places.entry(bundle.clone()).or_insert_with(|| {
            bundles.push((bundle, Vec::new()));
            bundles.len() - 1
        });
        bundles[place].1.push(one);
    }
    bundles
}

impl Bundle {
    fn of(one: &Waiting, around: &dyn Circumstances) -> Self {
        use NoticeKind::{Escalated, Fired, NoDataEnd, NoDataStart, Repeat, Resolved};
        if let Some(message) = one.fold {
            return Self::Message(message);
        }
        let is_about_an_incident =
            matches!(one.kind, Fired | Resolved | NoDataStart | NoDataEnd | Repeat | Escalated) && one.attempts == 0;
        let folds = if is_about_an_incident { around.folds(one.channel) } else { Folds::Never };
        let storm = match folds {
            Folds::Never => return Self::Alone(one.id),
            Folds::Due => None,
            Folds::Storms => one.storm,
        };
        let rule = rule_of(&one.instance).to_owned();
        Self::New(Group { channel: one.channel, rule, kind: one.kind, storm })
    }

    /// How many of `count` deliveries go in one message. What was sent as one, or is told by a digest, is one however much it is: a
    /// second message of the same name would be taken for a copy of the first.
    const fn largest(&self, count: usize) -> usize {
        match self {
            Self::Message(_) if count > 0 => count,
            _ => LARGEST,
        }
    }

    /// When its message may go.
    fn ready(&self, members: &[&Waiting], waiting: &[Waiting], around: &dyn Circumstances) -> Timestamp {
        let due = |pick: fn(Timestamp, Timestamp) -> Timestamp| members.iter().map(|one| one.due_at).reduce(pick);
        match self {
            Self::Alone(_) => due(Ord::min).unwrap_or(Timestamp::MIN),
            Self::Message(id) => {
                let is_led = waiting.iter().any(|one| one.id == *id) || members.iter().any(|one| one.attempts > 0);
                let patience = members[0].created_at.plus_millis(if is_led { 0 } else { DIGEST_MS });
                due(Ord::max).unwrap_or(Timestamp::MIN).max(patience)
            }
            Self::New(group) => group.ready(members, around),
        }
    }

    fn message(&self, members: &[&Waiting]) -> Chosen {
        let mut ids: Vec<Ulid> = members.iter().map(|one| one.id).collect();
        if let Self::Message(leader) = self
            && let Some(at) = ids.iter().position(|id| id == leader)
        {
            ids.swap(0, at);
        }
        let rest = members.iter().map(|one| one.storm_rest).max().unwrap_or(0);
        Chosen { ids, rest }
    }
}

impl Group {
    /// When the message of these may go: the first one's time, later while more are visibly on their way, and never later
    /// than a bound after the first.
    fn ready(&self, members: &[&Waiting], around: &dyn Circumstances) -> Timestamp {
        let (mut first, mut last, mut due) = (Timestamp::MAX, Timestamp::MIN, Timestamp::MAX);
        let mut is_urgent = false;
        for one in members {
            (first, last, due) = (first.min(one.created_at), last.max(one.created_at), due.min(one.due_at));
            is_urgent |= one.due_at <= one.created_at;
        }
        let at_once = if is_urgent { first.plus_millis(BREATH_MS) } else { due };
        if around.folds(self.channel) != Folds::Storms {
            return at_once;
        }
        let told = usize::try_from(members[0].storm_size).unwrap_or(usize::MAX);
        if !is_beginning(self.kind) {
            let waits = self.storm.is_some() && told >= STORM_SIZE && members.iter().any(|one| one.storm_rest > 0);
            return if waits { self.end_ready((first, last, due), around) } else { at_once };
        }
        let is_storm = self.storm.is_some() && told.saturating_add(members.len()) >= STORM_SIZE;
        if is_storm {
            return at_once.max(last.plus_millis(NEXT_LULL_MS).min(first.plus_millis(STORM_MS)));
        }
        // The second one alone is no storm yet, but is often the beginning of one.
        let look = if self.storm.is_some() { last.plus_millis(SECOND_MS) } else { at_once };
        self.first_ready((first, last, at_once.max(look)), members.len(), (is_urgent, around))
    }

    /// When the ends of a storm are said while others of it go on: once no more come, so that one host that stays bad does not
    /// keep the good news of the others.
    fn end_ready(&self, (first, last, due): (Timestamp, Timestamp, Timestamp), around: &dyn Circumstances) -> Timestamp {
        let at_least = if around.is_about_silence(&self.rule) { STORM_MS } else { END_LULL_MS };
        let ending = last.plus_millis(END_LULL_MS).min(first.plus_millis(ENDING_MS));
        due.max(first.plus_millis(at_least)).max(ending)
    }

    /// The same for the first message of a storm, or for a lone page, which looks alike.
    fn first_ready(
        &self,
        (first, last, at_once): (Timestamp, Timestamp, Timestamp),
        count: usize,
        (is_urgent, around): (bool, &dyn Circumstances),
    ) -> Timestamp {
        let (lull_ms, most_ms) = if is_urgent { (URGENT_LULL_MS, URGENT_STORM_MS) } else { (LULL_MS, STORM_MS) };
        let mut ready = at_once;
        if count >= STORM_SIZE {
            ready = ready.max(last.plus_millis(lull_ms));
        }
        if self.kind == NoticeKind::Fired
            && let Some(at) = around.coming(&self.rule)
        {
            ready = ready.max(at.plus_millis(COMING_MS));
        }
        ready.min(first.plus_millis(most_ms))
    }
}

/// Whether it tells of a beginning: what storms are made of.
const fn is_beginning(kind: NoticeKind) -> bool {
    matches!(kind, NoticeKind::Fired | NoticeKind::NoDataStart)
}

#[cfg(test)]
mod tests;
