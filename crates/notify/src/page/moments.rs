//! What happens at one moment and is over by itself: a host that has started again, a clock that was set. The comparison behind it
//! (`sys.uptime_seconds` below 10 m) is a way to find it and nothing to wake somebody with.

use super::clean;
use crate::notification::{NoticeWord, Notification};
use crate::words;

/// What is short enough for a headline, and what is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) gist: String,
    pub(super) sentence: String,
}

/// The moment that `notification` speaks of, if it speaks of one.
pub(super) fn of(notification: &Notification) -> Option<Moment> {
    let host = clean(&notification.agent.name);
    let is_over = notification.kind == NoticeWord::Resolved;
    let happens = matches!(notification.kind, NoticeWord::Fired | NoticeWord::Repeat | NoticeWord::Escalated);
    if !is_over && !happens {
        return None;
    }
    match (notification.metric.as_str(), notification.shape.as_str(), notification.op.as_str()) {
        ("sys.uptime_seconds", "", "<") => Some(started(notification, &host, is_over)),
        ("clock.offset_seconds", "rate", ">") => Some(set(notification, &host, is_over)),
        _ => None,
    }
}

fn started(notification: &Notification, host: &str, is_over: bool) -> Moment {
    let up = notification.value.filter(|up| up.is_finite()).map(words::duration);
    let sentence = match (is_over, &up) {
        (true, Some(up)) => format!("{host} has been up for {up} since it started again."),
        (true, None) => format!("{host} has stayed up since it started again."),
        (false, Some(up)) => format!("{host} has started again: it has been up for {up}."),
        (false, None) => format!("{host} has started again."),
    };
    Moment { gist: up.map_or_else(String::new, |up| format!("up for {up}")), sentence }
}

fn set(notification: &Notification, host: &str, is_over: bool) -> Moment {
    let why = clean(&notification.why);
    let moved = why.split(" > ").next().unwrap_or_default().to_owned();
    let sentence = match (is_over, moved.is_empty()) {
        (true, _) => format!("The clock of {host} keeps time again."),
        (false, true) => format!("The clock of {host} was set."),
        (false, false) => format!("The clock of {host} was set: {moved}."),
    };
    Moment { gist: moved, sentence }
}
