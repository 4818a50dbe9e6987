//! The words of a message that tells of several notifications: the headline says the matter and how large it is, a list names
//! everybody it is about. Choosing what travels together is left to the hub.

use super::{Line, List, Page, Tone, clean, notes, others, processes, processes_name, sentences, why_name};
use crate::notification::{NoticeWord, Notification};
use crate::words::{self, Wall};
use nightbell_alerts::OFFLINE_METRIC;

/// How many get a line of their own.
const LINES: usize = 30;
/// How many names stand on a line after that.
const NAMES_A_LINE: usize = 10;
/// How many names are listed at all.
const NAMES: usize = 300;
/// How many names stand in the headline.
const NAMES_IN_HEADLINE: usize = 3;
/// Beginnings further apart than this are told as a span, in seconds.
const TOGETHER_S: f64 = 60.0;

/// What several notifications have in common.
struct Fold<'a> {
    all: Vec<&'a Notification>,
    open: Vec<&'a Notification>,
    over: Vec<&'a Notification>,
    /// Names of the agents, each once, in order.
    hosts: Vec<String>,
    /// `14 hosts tagged db`, or the one host's name.
    crowd: String,
    /// The rule, if it is the same for all.
    rule: Option<String>,
    is_offline: bool,
    wall: Wall,
}

/// The page of several notifications, the leading one first.
pub(super) fn page(all: Vec<&Notification>, wall: Wall) -> Option<Page> {
    let lead = *all.first()?;
    let fold = Fold::of(all, wall);
    // What is worst at this moment gives the page its face.
    let face = fold.open.iter().copied().max_by_key(|one| (one.severity(), one.incident_id == lead.incident_id)).unwrap_or(lead);
    let mut told = lead.clone();
    told.maybe_repeat = fold.all.iter().any(|one| one.maybe_repeat);
    told.suppressed_count = fold.all.iter().map(|one| one.suppressed_count).fold(0, u32::saturating_add);
    told.late = fold.all.iter().all(|one| one.late);
    Some(Page {
        tone: Tone::of(face),
        status: sentences::status(face).to_owned(),
        subject: fold.subject(),
        rule: fold.rule.clone().unwrap_or_default(),
        gist: fold.gist(),
        sentence: fold.sentence(),
        facts: fold.facts(),
        why: String::new(),
        why_name: why_name(lead),
        notes: notes(&told, wall),
        processes: if fold.hosts.len() == 1 && !fold.open.is_empty() { processes(face) } else { Vec::new() },
        processes_name: processes_name(face),
        lists: fold.lists(),
        url: clean(&lead.url),
        link: if fold.all.len() > 1 { "Open the first incident" } else { others::link(lead.kind) },
        zone: wall.zone(),
        at: wall.long(&lead.timestamp),
    })
}

impl<'a> Fold<'a> {
    fn of(mut all: Vec<&'a Notification>, wall: Wall) -> Self {
        let name = |one: &Notification| clean(&one.agent.name);
        let rule = all.first().map(|one| one.rule.clone()).filter(|rule| all.iter().all(|one| one.rule.id == rule.id));
        let is_offline = all.iter().all(|one| one.metric == OFFLINE_METRIC);
        all.sort_by_cached_key(|one| (name(one), one.series()));
        let (open, over) = all.iter().partition(|one| one.is_open());
        let mut hosts: Vec<String> = all.iter().map(|one| name(one)).collect();
        hosts.dedup();
        let tags = common_tags(&all);
        let tagged = if tags.is_empty() { String::new() } else { format!(" tagged {}", tags.join(" and ")) };
        let crowd = match hosts.as_slice() {
            [only] => only.clone(),
            hosts => format!("{} hosts{tagged}", hosts.len()),
        };
        Self { all, open, over, hosts, crowd, rule: rule.map(|rule| clean(&rule.name)), is_offline, wall }
    }

    fn is_mixed(&self) -> bool {
        !self.open.is_empty() && !self.over.is_empty()
    }

    fn subject(&self) -> String {
        let (open, over) = (self.open.len(), self.over.len());
        match &self.rule {
            _ if self.is_offline && self.is_mixed() => {
                format!("{open} of {} {} offline, {over} back", self.crowd, if open == 1 { "is" } else { "are" })
            }
            _ if self.is_offline && over == 0 => {
                format!("{} {} offline", self.crowd, if self.hosts.len() == 1 { "is" } else { "are" })
            }
            _ if self.is_offline => self.crowd.clone(),
            Some(rule) if self.is_mixed() => format!("{rule} on {}: {open} firing, {over} over", self.crowd),
            Some(rule) => format!("{rule} on {}", self.crowd),
            None if self.is_mixed() => format!("{open} alerts firing, {over} over on {}", self.crowd),
            None => format!("{} alerts on {}", self.all.len(), self.crowd),
        }
    }

    /// The first names: hosts, or what differs on the one host.
    fn gist(&self) -> String {
        let mut names: Vec<String> = match (self.hosts.len(), &self.rule) {
            (1, Some(_)) => self.all.iter().map(|one| labels(one)).collect(),
            (1, None) => self.all.iter().map(|one| clean(&one.rule.name)).collect(),
            _ => self.hosts.clone(),
        };
        names.retain(|name| !name.is_empty());
        names.dedup();
        let more = names.len().saturating_sub(NAMES_IN_HEADLINE);
        names.truncate(NAMES_IN_HEADLINE);
        let named = names.join(", ");
        if more == 0 { named } else { format!("{named} and {more} more") }
    }

    fn sentence(&self) -> String {
        let have = if self.hosts.len() == 1 { "has" } else { "have" };
        let send = if self.hosts.len() == 1 { "sends" } else { "send" };
        let (crowd, since, after) = (&self.crowd, self.since(), self.lasted());
        match &self.rule {
            _ if self.is_offline && self.is_mixed() => {
                format!("{} of {crowd} do not send heartbeats; the others do again.", self.open.len())
            }
            _ if self.is_offline && self.over.is_empty() => {
                format!("{crowd} {have} been offline {since}: no heartbeat arrives{}.", self.unattended())
            }
            _ if self.is_offline => format!("{crowd} {send} heartbeats again{after}."),
            Some(rule) if self.open.is_empty() => format!("{rule} is over on {crowd}{after}."),
            Some(rule) => format!("{rule} on {crowd} {since}{}{}.", self.worst(), self.unattended()),
            None if self.open.is_empty() => format!("{} alerts on {crowd} are over{after}.", self.all.len()),
            None => format!("{} alerts on {crowd} {since}{}.", self.open.len(), self.unattended()),
        }
    }

    fn unattended(&self) -> &'static str {
        let is_escalated = self.all.iter().any(|one| one.kind == NoticeWord::Escalated);
        if is_escalated { ", and nobody has acknowledged it" } else { "" }
    }

    /// `since 03:04:05 CET on 22 Nov 2026`, or between when and when they began.
    fn since(&self) -> String {
        let told = if self.open.is_empty() { &self.all } else { &self.open };
        let mut begun: Vec<&str> = told.iter().map(|one| one.started_at.as_str()).collect();
        begun.sort_unstable();
        match (begun.first(), begun.last()) {
            (Some(first), Some(last)) if words::seconds_between(first, last).is_some_and(|span| span > TOGETHER_S) => {
                format!("since between {} and {}", self.wall.short(first), self.wall.long(last))
            }
            (Some(first), _) => format!("since {}", self.wall.long(first)),
            _ => String::new(),
        }
    }

    /// ` after 27 m 40 s`: from the first beginning to the last end.
    fn lasted(&self) -> String {
        let begun = self.all.iter().map(|one| one.started_at.as_str()).min();
        let ended = self.over.iter().map(|one| end(one)).max();
        let span = begun.zip(ended).and_then(|(begun, ended)| words::seconds_between(begun, ended));
        span.map_or_else(String::new, |span| format!(" after {}", words::duration(span)))
    }

    /// `; the worst is db-07 (99.1 % > 90 %)`, where one is worse than others.
    fn worst(&self) -> String {
        let lower_is_worse = self.open.first().is_some_and(|one| one.op.starts_with('<'));
        let value = |one: &&&Notification| one.value.filter(|value| !value.is_nan());
        let by = |a: f64, b: f64| if lower_is_worse { b.total_cmp(&a) } else { a.total_cmp(&b) };
        let valued = self.open.iter().filter_map(|one| value(&one).map(|value| (value, one)));
        let (worst, mildest) = (valued.clone().max_by(|(a, _), (b, _)| by(*a, *b)), valued.min_by(|(a, _), (b, _)| by(*a, *b)));
        match (worst, mildest) {
            (Some((value, one)), Some((least, _))) if by(value, least).is_gt() => {
                format!("; the worst is {} ({})", clean(&one.agent.name), sentences::gist(one))
            }
            _ => String::new(),
        }
    }

    fn facts(&self) -> Vec<super::Fact> {
        let mut facts = Vec::new();
        let mut add = |name: &'static str, value: String| {
            if !value.is_empty() {
                facts.push(super::Fact { name, value });
            }
        };
        if self.hosts.len() == 1 {
            add("Host", self.crowd.clone());
        } else {
            add("Hosts", self.hosts.len().to_string());
        }
        add("Tagged", common_tags(&self.all).join(", "));
        add("Rule", self.rule.clone().unwrap_or_default());
        let threshold = |one: &&Notification| sentences::value_and_threshold(one).1;
        let same = self.all.first().map(threshold).filter(|first| self.all.iter().all(|one| threshold(one) == *first));
        add("Threshold", same.filter(|_| !self.is_offline).unwrap_or_default());
        add("Since", self.all.iter().map(|one| one.started_at.as_str()).min().map_or_else(String::new, |at| self.wall.long(at)));
        if self.open.is_empty() {
            let ended = self.over.iter().map(|one| end(one)).max();
            add("Until", ended.map_or_else(String::new, |at| self.wall.long(at)));
        }
        facts
    }

    fn lists(&self) -> Vec<List> {
        let what = if self.rule.is_some() || self.is_offline { "Hosts" } else { "Alerts" };
        let titled: Vec<(&str, &Vec<&Notification>)> = if self.is_mixed() {
            vec![(if self.is_offline { "Offline" } else { "Firing" }, &self.open), ("Over", &self.over)]
        } else {
            vec![(what, &self.all)]
        };
        titled.into_iter().map(|(title, all)| List { title: title.to_owned(), lines: self.lines(all) }).collect()
    }

    fn lines(&self, all: &[&Notification]) -> Vec<Line> {
        let (own, rest) = all.split_at(all.len().min(LINES));
        let mut lines: Vec<Line> = own.iter().map(|one| Line::about(one, self.line(one))).collect();
        let mut names: Vec<String> = rest.iter().map(|one| clean(&one.agent.name)).collect();
        names.dedup();
        let unnamed = names.len().saturating_sub(NAMES);
        names.truncate(NAMES);
        lines.extend(names.chunks(NAMES_A_LINE).map(|names| Line::bare(names.join(", "))));
        if unnamed > 0 {
            lines.push(Line::bare(format!("… and {unnamed} more")));
        }
        lines
    }

    fn line(&self, one: &Notification) -> String {
        if self.rule.is_none() && !self.is_offline {
            return Page::of_one(one).headline();
        }
        let name = clean(&one.agent.name);
        if !one.is_open() {
            let span = words::seconds_between(&one.started_at, end(one)).map(words::duration);
            let what = [name, labels(one)].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
            return span.map_or_else(|| what.clone(), |span| format!("{what}, after {span}"));
        }
        let gist = if one.kind == NoticeWord::NodataStart { labels(one) } else { sentences::gist(one) };
        let gist = if gist.is_empty() { String::new() } else { format!(": {gist}") };
        format!("{name}{gist}, since {}", self.wall.short(&one.started_at))
    }
}

fn labels(one: &Notification) -> String {
    one.labels.values().map(|label| clean(label)).collect::<Vec<_>>().join(", ")
}

fn end(one: &Notification) -> &str {
    one.resolved_at.as_deref().unwrap_or(&one.timestamp)
}

/// The tags that all agents have, at most two.
fn common_tags(all: &[&Notification]) -> Vec<String> {
    let Some((first, rest)) = all.split_first() else { return Vec::new() };
    let has = |one: &&Notification, tag: &String| one.agent.tags.contains(tag);
    let common = first.agent.tags.iter().filter(|tag| rest.iter().all(|one| has(one, tag)));
    common.map(|tag| clean(tag)).filter(|tag| !tag.is_empty()).take(2).collect()
}
