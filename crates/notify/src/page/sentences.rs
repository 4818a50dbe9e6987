//! The phrases of a page, by what happened and to what.

use super::{clean, moments, others, states};
use crate::notification::{NoticeWord, Notification};
use crate::words::{self, Wall};
use nightbell_alerts::{OFFLINE_METRIC, Severity};

/// The one word a page opens with.
pub(super) fn status(notification: &Notification) -> &'static str {
    let offline = notification.metric == OFFLINE_METRIC;
    match (notification.kind, notification.severity()) {
        (NoticeWord::Fired, Severity::Critical) => "Critical",
        (NoticeWord::Fired, Severity::Warning) => "Warning",
        (NoticeWord::Fired, Severity::Info) => "Info",
        (NoticeWord::Resolved, _) if offline => "Back online",
        (NoticeWord::Resolved, _) => "Resolved",
        (NoticeWord::NodataStart, _) => "No data",
        (NoticeWord::NodataEnd, _) => "Data is back",
        (NoticeWord::Repeat, _) if offline => "Still offline",
        (NoticeWord::Repeat, Severity::Critical) => "Still critical",
        (NoticeWord::Repeat, _) => "Still firing",
        (NoticeWord::Escalated, _) => "Escalated",
        (NoticeWord::Test, _) => "Test",
        (NoticeWord::Acked, _) => "Acknowledged",
        (NoticeWord::Digest, _) => "While it was quiet",
        (NoticeWord::HubDoubt, _) => "Hub cut off",
        (NoticeWord::HubDoubtEnd, _) => "Hub back",
        (NoticeWord::ChannelBroken, _) => "Channel broken",
    }
}

/// What it is about.
pub(super) fn subject(notification: &Notification) -> String {
    if others::is_other(notification.kind) && notification.kind != NoticeWord::Acked {
        return others::subject(notification);
    }
    if notification.kind == NoticeWord::Test {
        return "Pages reach you here".to_owned();
    }
    let (rule, agent) = (clean(&notification.rule.name), clean(&notification.agent.name));
    if notification.metric == OFFLINE_METRIC && !agent.is_empty() {
        let happening = matches!(notification.kind, NoticeWord::Fired | NoticeWord::Escalated | NoticeWord::Acked);
        return if happening { format!("{agent} is offline") } else { agent };
    }
    match (rule.is_empty(), agent.is_empty()) {
        (true, true) => "Nightbell".to_owned(),
        (false, true) => rule,
        (true, false) => agent,
        (false, false) => format!("{rule} on {agent}"),
    }
}

/// The shortest form of the matter.
pub(super) fn gist(notification: &Notification) -> String {
    if notification.kind == NoticeWord::Test {
        return String::new();
    }
    if others::is_other(notification.kind) {
        return others::gist(notification);
    }
    if notification.kind == NoticeWord::Resolved {
        return lasted(notification).map_or_else(String::new, |span| format!("after {span}"));
    }
    let is_state = matches!(notification.kind, NoticeWord::Fired | NoticeWord::Repeat | NoticeWord::Escalated);
    if let Some(state) = states::of(notification).filter(|_| is_state) {
        return state.broken;
    }
    if let Some(moment) = moments::of(notification) {
        return moment.gist;
    }
    let labels: Vec<String> = notification.labels.values().map(|label| clean(label)).collect();
    let matter = match notification.kind {
        NoticeWord::Fired | NoticeWord::Repeat | NoticeWord::Escalated if notification.metric != OFFLINE_METRIC => {
            comparison(notification)
        }
        _ => String::new(),
    };
    // A forecast names what it speaks of.
    let labels = if notification.shape == "forecast" && !matter.is_empty() { String::new() } else { labels.join(", ") };
    let parts = [labels, matter];
    parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join(": ")
}

/// `97.2 % > 90 %`; of a rate or a forecast what is expected, without its confidence.
fn comparison(notification: &Notification) -> String {
    if !notification.is_plain_value() {
        let why = clean(&notification.why);
        return why.split(" (").next().unwrap_or_default().to_owned();
    }
    match (notification.value, notification.threshold) {
        (Some(value), Some(threshold)) => {
            let (value, threshold) = words::pair(value, threshold, &notification.unit);
            format!("{value} {} {threshold}", clean(&notification.op))
        }
        (Some(value), None) => words::value(value, &notification.unit),
        (None, _) => String::new(),
    }
}

/// The value, and the threshold with its comparison and hold; empty where unknown.
pub(super) fn value_and_threshold(notification: &Notification) -> (String, String) {
    if !notification.is_plain_value() {
        return (String::new(), String::new());
    }
    let unit = &notification.unit;
    let held = if notification.for_seconds > 0.0 {
        format!(" for {}", words::duration(notification.for_seconds))
    } else {
        String::new()
    };
    let op = clean(&notification.op);
    match (notification.value, notification.threshold) {
        (Some(value), Some(threshold)) => {
            let (value, threshold) = words::pair(value, threshold, unit);
            (value, format!("{op} {threshold}{held}"))
        }
        (value, threshold) => (
            value.map_or_else(String::new, |value| words::value(value, unit)),
            threshold.map_or_else(String::new, |threshold| format!("{op} {}{held}", words::value(threshold, unit))),
        ),
    }
}

/// The worst value so far, and what that is called; nothing where it is the value itself, or where no value is the matter.
pub(super) fn worst(notification: &Notification) -> (&'static str, String) {
    let name = if notification.op.starts_with('<') { "Lowest" } else { "Peak" };
    let is_said = notification.is_plain_value() && !matches!(notification.kind, NoticeWord::NodataStart | NoticeWord::NodataEnd);
    let peak = notification.peak.filter(|_| is_said);
    let peak = peak.filter(|peak| notification.value.is_none_or(|value| value.total_cmp(peak).is_ne()));
    (name, peak.map_or_else(String::new, |peak| words::value(peak, &notification.unit)))
}

/// The agent's name with its tags.
pub(super) fn host(notification: &Notification) -> String {
    let name = clean(&notification.agent.name);
    if notification.agent.tags.is_empty() {
        return name;
    }
    format!("{name} ({})", clean(&notification.agent.tags.join(", ")))
}

/// The matter in one sentence.
pub(super) fn sentence(notification: &Notification, wall: Wall) -> String {
    let since = wall.long(&notification.started_at);
    let (host, series) = (clean(&notification.agent.name), clean(&notification.series()));
    if let Some(moment) = moments::of(notification) {
        return moment.sentence;
    }
    if let Some(state) = states::of(notification)
        && matches!(notification.kind, NoticeWord::Fired | NoticeWord::Repeat | NoticeWord::Escalated | NoticeWord::Resolved)
    {
        return stated(notification, &state, &host, &since);
    }
    match notification.kind {
        NoticeWord::Test if notification.why.is_empty() => "This is a test that somebody asked for.".to_owned(),
        NoticeWord::Test => clean(&notification.why),
        NoticeWord::NodataStart => format!("{series} on {host} has stopped arriving; the last of it came before {since}."),
        NoticeWord::NodataEnd => format!("{series} on {host} arrives again."),
        NoticeWord::Acked | NoticeWord::Digest | NoticeWord::HubDoubt | NoticeWord::HubDoubtEnd | NoticeWord::ChannelBroken => {
            others::sentence(notification, &subject(notification), wall)
        }
        _ if notification.metric == OFFLINE_METRIC => offline(notification, &host, &since),
        NoticeWord::Resolved => resolved(notification, &host, &series),
        kind if !notification.is_plain_value() => {
            let still = match kind {
                NoticeWord::Escalated => format!(" It has gone on since {since}, and nobody has acknowledged it."),
                NoticeWord::Repeat => format!(" It has gone on since {since}."),
                _ => String::new(),
            };
            format!("{series} on {host}: {}.{still}", outlook(notification))
        }
        NoticeWord::Fired => format!("{}{}, since {since}.", breach(notification, &host, &series, ""), held(notification)),
        NoticeWord::Repeat => {
            format!("{}{}, since {since}.", breach(notification, &host, &series, "still "), lasting(notification))
        }
        NoticeWord::Escalated => {
            format!(
                "{}{}, since {since}, and nobody has acknowledged it.",
                breach(notification, &host, &series, "still "),
                lasting(notification)
            )
        }
    }
}

fn offline(notification: &Notification, host: &str, since: &str) -> String {
    match notification.kind {
        NoticeWord::Resolved => {
            let after = lasted(notification).map_or_else(String::new, |span| format!(" after {span}"));
            format!("{host} sends heartbeats again{after}.")
        }
        NoticeWord::Escalated => format!("{host} has been offline since {since}, and nobody has acknowledged it."),
        _ => format!("{host} has been offline since {since}: no heartbeat arrives."),
    }
}

/// The reason of a rate or a forecast; for how long and by how many samples a forecast was made stands under "Why".
fn outlook(notification: &Notification) -> String {
    let why = clean(&notification.why);
    match why.split_once(" %) ") {
        Some((forecast, _)) if notification.shape == "forecast" => format!("{forecast} %)"),
        _ => why,
    }
}

/// `Unit nginx.service is not active on web-01, for 5 m, since 03:04:05 CET on 22 Nov 2026.`
fn stated(notification: &Notification, state: &states::State, host: &str, since: &str) -> String {
    let broken = format!("{} on {host}", states::opening(&state.broken));
    match notification.kind {
        NoticeWord::Resolved => {
            let span = lasted(notification).map_or_else(String::new, |span| format!(" It lasted {span}."));
            format!("{} on {host}.{span}", states::opening(&state.whole))
        }
        NoticeWord::Fired => format!("{broken}{}, since {since}.", held(notification)),
        NoticeWord::Escalated => format!("{broken}{}, since {since}, and nobody has acknowledged it.", lasting(notification)),
        _ => format!("{broken}{}, since {since}.", lasting(notification)),
    }
}

fn resolved(notification: &Notification, host: &str, series: &str) -> String {
    let (value, threshold) = value_and_threshold(notification);
    let now = if value.is_empty() { String::new() } else { format!(": {value} now") };
    let broken = if threshold.is_empty() { String::new() } else { format!(" (the rule is {threshold})") };
    let span = lasted(notification).map_or_else(String::new, |span| format!(" It lasted {span}."));
    format!("{series} on {host} is back to normal{now}{broken}.{span}")
}

/// `cpu.usage_percent on db-01 is 97.2 %, above 90 %`.
fn breach(notification: &Notification, host: &str, series: &str, still: &str) -> String {
    let relation = match notification.op.as_str() {
        ">" => "above",
        ">=" => "at or above",
        "<" => "below",
        "<=" => "at or below",
        "==" => "equal to",
        "!=" => "not equal to",
        _ => "against",
    };
    match (notification.value, notification.threshold) {
        (Some(value), Some(threshold)) => {
            let (value, threshold) = words::pair(value, threshold, &notification.unit);
            format!("{series} on {host} is {value}, {still}{relation} {threshold}")
        }
        (Some(value), None) => format!("{series} on {host} is {}", words::value(value, &notification.unit)),
        (None, Some(threshold)) => {
            format!("{series} on {host} is {still}{relation} {}", words::value(threshold, &notification.unit))
        }
        (None, None) => format!("{series} on {host} {still}breaks its rule"),
    }
}

/// ` for 5 m`: how long it had been breaking the rule when it fired.
fn held(notification: &Notification) -> String {
    let fired_at = notification.fired_at.as_ref().unwrap_or(&notification.timestamp);
    let span = words::seconds_between(&notification.started_at, fired_at).filter(|span| *span >= 1.0);
    span.map_or_else(String::new, |span| format!(" for {}", words::duration(span)))
}

/// ` for 2 h 5 m`: how long it has been breaking the rule by now.
fn lasting(notification: &Notification) -> String {
    let span = words::seconds_between(&notification.started_at, &notification.timestamp).filter(|span| *span >= 1.0);
    span.map_or_else(String::new, |span| format!(" for {}", words::duration(span)))
}

/// How long it was, from its first breach to its end.
fn lasted(notification: &Notification) -> Option<String> {
    let end = notification.resolved_at.as_ref().unwrap_or(&notification.timestamp);
    words::seconds_between(&notification.started_at, end).map(words::duration)
}
