//! The phrases of notifications that are not about one value: somebody is on it, the digest of a quiet time, a hub that doubts
//! itself, a channel that is broken.

use super::{Line, List, Tone, clean, sentences};
use crate::notification::{DoubtFacts, NoticeWord, Notification};
use crate::words::{self, Wall};
use nightbell_alerts::{OFFLINE_METRIC, Severity};

/// How many matters a digest names.
const ITEMS_SHOWN: usize = 60;

/// Whether `kind` is one of those.
pub(super) const fn is_other(kind: NoticeWord) -> bool {
    use NoticeWord::{Acked, ChannelBroken, Digest, HubDoubt, HubDoubtEnd};
    matches!(kind, Acked | Digest | HubDoubt | HubDoubtEnd | ChannelBroken)
}

/// What the button is called that leads to `url`.
pub(super) const fn link(kind: NoticeWord) -> &'static str {
    match kind {
        NoticeWord::Digest | NoticeWord::HubDoubt | NoticeWord::HubDoubtEnd | NoticeWord::ChannelBroken | NoticeWord::Test => {
            "Open Nightbell"
        }
        _ => "Open the incident",
    }
}

/// A digest looks as bad as the worst that still fires.
pub(super) fn tone(digest: &Notification) -> Tone {
    let open = digest.items.iter().filter(|item| item.is_firing());
    match open.map(Notification::severity).max() {
        Some(Severity::Critical) => Tone::Critical,
        Some(Severity::Warning) => Tone::Warning,
        Some(Severity::Info) => Tone::Info,
        None => Tone::Neutral,
    }
}

/// What it is about; empty where the rule and the agent say it.
pub(super) fn subject(notification: &Notification) -> String {
    match notification.kind {
        NoticeWord::Digest => digest_subject(notification),
        NoticeWord::HubDoubt => format!("{} at once", silent(notification.doubt.unwrap_or_default())),
        NoticeWord::HubDoubtEnd => "the fleet is heard again".to_owned(),
        NoticeWord::ChannelBroken => channel(notification),
        _ => String::new(),
    }
}

fn digest_subject(notification: &Notification) -> String {
    let open = notification.items.iter().filter(|item| item.is_firing()).count();
    match (open, notification.items.len() - open) {
        (0, 0) => "nothing happened".to_owned(),
        (0, over) => format!("nothing fires any more, {over} over"),
        (open, 0) => format!("{open} still firing"),
        (open, over) => format!("{open} still firing, {over} over"),
    }
}

/// `58 of 100 agents fell silent`.
fn silent(doubt: DoubtFacts) -> String {
    match doubt {
        DoubtFacts { overdue: 0, .. } => "the fleet fell silent".to_owned(),
        DoubtFacts { overdue, agents: 0 } => format!("{overdue} agents fell silent"),
        DoubtFacts { overdue, agents } => format!("{overdue} of {agents} agents fell silent"),
    }
}

/// `ops (slack)`.
fn channel(notification: &Notification) -> String {
    let broken = notification.broken.clone().unwrap_or_default();
    match (clean(&broken.name), clean(&broken.kind)) {
        (name, kind) if name.is_empty() && kind.is_empty() => "a channel".to_owned(),
        (name, kind) if kind.is_empty() => name,
        (name, kind) if name.is_empty() => kind,
        (name, kind) => format!("{name} ({kind})"),
    }
}

/// The shortest form of the matter.
pub(super) fn gist(notification: &Notification) -> String {
    match (&notification.kind, &notification.ack, &notification.doubt) {
        (NoticeWord::Acked, Some(ack), _) if !ack.by.is_empty() => format!("by {}", clean(&ack.by)),
        (NoticeWord::HubDoubtEnd, _, _) => lasted(notification).map_or_else(String::new, |span| format!("after {span}")),
        _ => String::new(),
    }
}

fn lasted(notification: &Notification) -> Option<String> {
    let end = notification.resolved_at.as_ref().unwrap_or(&notification.timestamp);
    words::seconds_between(&notification.started_at, end).filter(|span| *span >= 1.0).map(words::duration)
}

/// The matter in a sentence or two. `about` is what an acknowledgement is of: `CPU hot on db-01`.
pub(super) fn sentence(notification: &Notification, about: &str, wall: Wall) -> String {
    match notification.kind {
        NoticeWord::Acked => acked(notification, about, wall),
        NoticeWord::Digest => digest(notification, wall),
        NoticeWord::HubDoubt => format!(
            "{} at the same moment, which is more likely a fault of the hub or its network than of all of them. Pages about \
             single hosts are held back until it is clear.",
            capital(&silent(notification.doubt.unwrap_or_default()))
        ),
        NoticeWord::HubDoubtEnd => {
            let after = lasted(notification).map_or_else(String::new, |span| format!(" after {span}"));
            format!("Most of the fleet is heard again{after}. A host that is still silent is paged by itself.")
        }
        _ => broken(notification),
    }
}

fn acked(notification: &Notification, about: &str, wall: Wall) -> String {
    let ack = notification.ack.clone().unwrap_or_default();
    let by = if ack.by.is_empty() { "Somebody".to_owned() } else { clean(&ack.by) };
    let note = if ack.note.is_empty() { String::new() } else { format!(" and says: {}", clean(&ack.note)) };
    let until = ack.until.map_or_else(|| "it is over".to_owned(), |until| wall.long(&until));
    format!("{by} is on {about}{note}. No reminders until {until}.", note = note.trim_end_matches('.'))
}

fn digest(notification: &Notification, wall: Wall) -> String {
    let held = notification.quiet.as_ref().map_or_else(
        || "Pages were held back on this channel.".to_owned(),
        |quiet| format!("Pages were held back on this channel from {} to {}.", wall.long(&quiet.from), wall.long(&quiet.until)),
    );
    if notification.items.is_empty() { format!("{held} Nothing happened.") } else { held }
}

fn broken(notification: &Notification) -> String {
    let broken = notification.broken.clone().unwrap_or_default();
    let lost = match broken.undelivered {
        0 => String::new(),
        1 => " 1 page was not delivered.".to_owned(),
        count => format!(" {count} pages were not delivered."),
    };
    let why = if broken.error.is_empty() { String::new() } else { format!(": {}", clean(&broken.error)) };
    let why = why.trim_end_matches('.');
    format!(
        "The channel {} does not take its pages{why}.{lost} Mend it, then send them again from the list of deliveries.",
        channel(notification)
    )
}

fn capital(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}

/// What a digest lists: what still fires, then what is over.
pub(super) fn lists(notification: &Notification, wall: Wall) -> Vec<List> {
    let (open, over): (Vec<_>, Vec<_>) = notification.items.iter().partition(|item| item.is_firing());
    let mut room = ITEMS_SHOWN;
    let mut lists = Vec::new();
    for (title, items) in [("Still firing", open), ("Over by now", over)] {
        if items.is_empty() {
            continue;
        }
        let shown = items.len().min(room);
        room -= shown;
        let mut lines: Vec<Line> = items[..shown].iter().map(|item| Line::about(item, line(item, wall))).collect();
        if shown < items.len() {
            lines.push(Line::bare(format!("… and {} more", items.len() - shown)));
        }
        lists.push(List { title: title.to_owned(), lines });
    }
    lists
}

/// `Critical: Disk full on db-01 (/var: 96.4 %), since 03:10:00 CET on 22 Nov 2026`.
fn line(item: &Notification, wall: Wall) -> String {
    let severity = match (item.kind, item.severity()) {
        (NoticeWord::NodataStart, _) => "No data",
        (_, Severity::Critical) => "Critical",
        (_, Severity::Warning) => "Warning",
        (_, Severity::Info) => "Info",
    };
    let offline = item.metric == OFFLINE_METRIC;
    let what = match clean(&item.agent.name) {
        agent if offline && !agent.is_empty() => format!("{agent} {} offline", if item.is_firing() { "is" } else { "was" }),
        _ => sentences::subject(item),
    };
    let silent = item.kind == NoticeWord::NodataStart;
    let value = if item.is_firing() { item.value.filter(|_| !silent) } else { item.peak };
    let worst = if item.is_firing() { "" } else { "at worst " };
    let value =
        value.filter(|_| !offline && item.is_plain_value()).map(|value| format!("{worst}{}", words::value(value, &item.unit)));
    let labels: Vec<String> = item.labels.values().map(|label| clean(label)).collect();
    let parts = [labels.join(", "), value.unwrap_or_default()];
    let gist = parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join(": ");
    let gist = if gist.is_empty() { gist } else { format!(" ({gist})") };
    let since = wall.long(&item.started_at);
    let when = match &item.resolved_at {
        Some(end) if !item.is_firing() => {
            let span = words::seconds_between(&item.started_at, end).map(words::duration);
            format!("from {since}{}", span.map_or_else(String::new, |span| format!(" for {span}")))
        }
        _ => format!("since {since}"),
    };
    format!("{severity}: {what}{gist}, {when}")
}
