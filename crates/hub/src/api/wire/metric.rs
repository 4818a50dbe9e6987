//! Metrics and series as requests name them: read, and held against the catalogue and what agents have sent.

use crate::api::problem::Problem;
use crate::app::App;
use nightbell_model::catalogue::{self, Unit};
use nightbell_model::{SeriesKey, series};

/// The most series that one request may name.
const MOST_KEYS: usize = 200;

/// A list of series keys and metric names, each in its canonical form.
///
/// # Errors
/// Naming every entry that is none.
pub(crate) fn keys(list: &str) -> Result<Vec<String>, Problem> {
    let parts = series::split_list(list);
    if parts.is_empty() || parts.len() > MOST_KEYS {
        return Err(Problem::invalid_field("metrics", format!("name 1 to {MOST_KEYS} metrics or series, separated by commas")));
    }
    let mut keys: Vec<String> = Vec::with_capacity(parts.len());
    let mut faults = Vec::new();
    for part in parts {
        match part.parse::<SeriesKey>() {
            Ok(key) if keys.iter().any(|known| known == key.as_str()) => {}
            Ok(key) => keys.push(key.to_string()),
            Err(why) => faults.push(crate::api::problem::Fault::new("metrics", format!("{part:?} is no series key: {why}"))),
        }
    }
    if faults.is_empty() { Ok(keys) } else { Err(Problem::invalid(faults)) }
}

/// One series key or metric name in a path or a body.
///
/// # Errors
/// When it is none.
pub(crate) fn key(text: &str, pointer: &str) -> Result<SeriesKey, Problem> {
    text.parse().map_err(|why| Problem::invalid_field(pointer, format!("{text:?} is no metric or series key: {why}")))
}

/// What the values of a metric count; nothing for custom metrics.
pub(crate) fn unit(metric: &str) -> Unit {
    catalogue::find(metric).map_or(Unit::None, |row| row.unit)
}

/// What is wrong with a metric that neither the catalogue nor any agent's history knows; `None` if one of them does.
///
/// # Errors
/// When history cannot be read.
pub(crate) async fn unknown(app: &App, metric: &str) -> Result<Option<String>, Problem> {
    if catalogue::find(metric).is_some() {
        return Ok(None);
    }
    let name = metric.to_owned();
    if app.read_metrics(move |store| store.knows_metric(&name)).await? {
        return Ok(None);
    }
    let near = catalogue::nearest(metric, 3);
    let hint = if near.is_empty() { String::new() } else { format!("; did you mean {}?", near.join(", ")) };
    Ok(Some(format!("{metric} is not in the catalogue and no agent has sent it{hint}")))
}
