//! The phrases of metrics whose numbers stand for states: `unit nginx.service is not active`, where the comparison would say
//! `unit.active is 0, below 1`. Only where the rule asks what the state means; any other comparison is told as one.

use super::clean;
use crate::notification::Notification;
use crate::words;

/// What is the matter and what it is called once it is over, both in the middle of a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub(super) broken: String,
    pub(super) whole: String,
}

/// The state that `notification` speaks of, if its metric stands for one.
pub(super) fn of(notification: &Notification) -> Option<State> {
    if !notification.is_plain_value() {
        return None;
    }
    let threshold = notification.threshold?;
    let is_off = notification.op == "<" && threshold.total_cmp(&1.0).is_eq();
    let thing = |name: &str| notification.labels.get(name).map(|label| clean(label)).filter(|label| !label.is_empty());
    let state = |broken: String, whole: String| Some(State { broken, whole });
    match notification.metric.as_str() {
        "unit.active" if is_off => {
            let unit = thing("unit")?;
            state(format!("unit {unit} is not active"), format!("unit {unit} is active again"))
        }
        "unit.failed" if notification.op == ">" && threshold.total_cmp(&0.0).is_eq() => {
            state(failed_units(notification.value), "no failed unit is left".to_owned())
        }
        "container.up" if is_off => {
            let name = thing("container")?;
            state(format!("container {name} is not running"), format!("container {name} runs again"))
        }
        "container.health" if is_off => {
            let name = thing("container")?;
            state(format!("container {name} is unhealthy"), format!("container {name} is healthy again"))
        }
        "process.count" if notification.op == "<" => {
            let name = thing("process")?;
            state(few_processes(&name, notification.value, threshold), format!("enough processes of {name} run again"))
        }
        "port.open" if is_off => {
            let port = thing("port")?;
            state(format!("nothing answers on port {port}"), format!("port {port} answers again"))
        }
        "smart.healthy" if is_off => {
            let disk = thing("device")?;
            state(format!("disk {disk} says that it is failing"), format!("disk {disk} says that it is healthy"))
        }
        "zpool.healthy" if is_off => {
            let pool = thing("pool")?;
            state(format!("pool {pool} is not online"), format!("pool {pool} is online again"))
        }
        _ => None,
    }
}

fn failed_units(value: Option<f64>) -> String {
    match value {
        None => "units have failed".to_owned(),
        Some(count) if count.total_cmp(&1.0).is_eq() => "one unit has failed".to_owned(),
        Some(count) => format!("{} units have failed", words::value(count, "count")),
    }
}

fn few_processes(name: &str, value: Option<f64>, wanted: f64) -> String {
    match value {
        Some(count) if count > 0.0 => {
            format!("only {} of {} processes of {name} run", words::value(count, "count"), words::value(wanted, "count"))
        }
        _ => format!("no process of {name} runs"),
    }
}

/// `text` with a capital at its beginning.
pub(super) fn opening(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
