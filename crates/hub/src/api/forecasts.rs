//! Which disks will be full, and when. Answered from memory.

use super::events::id_in_query;
use super::extract::{ApiQuery, Listing, number};
use super::problem::Problem;
use super::wire::names::{Named, labels};
use super::wire::seconds::Seconds;
use crate::app::App;
use crate::clock;
use crate::outlook::Heading;
use crate::page::rfc3339;
use axum::Json;
use axum::extract::State;
use nightbell_model::{AgentId, SeriesKey, Timestamp};
use nightbell_store::AgentRow;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The most disks that are named.
const MOST: usize = 1_000;
/// An hour in milliseconds.
const HOUR_MS: f64 = 3_600_000.0;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Which agents.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ForecastParams {
    /// Only this agent.
    #[serde(default)]
    agent: Option<String>,
    /// Only agents with this tag.
    #[serde(default)]
    tag: Option<String>,
    /// At most so many, 1 to 1000 (if left out).
    #[serde(default, deserialize_with = "number")]
    limit: Option<usize>,
}

/// A disk that fills up.
#[derive(Debug, Serialize, ToSchema)]
struct Forecast {
    agent: Named,
    metric: String,
    labels: BTreeMap<String, String>,
    /// The newest value, in percent.
    value: f64,
    /// When it will be full, going on like this.
    full_at: String,
    /// In how many seconds that is.
    #[schema(value_type = f64)]
    full_in_seconds: Seconds,
    /// By how many percent it grows in an hour.
    per_hour: f64,
    /// How many of all pairs of points agree with the direction, 0.8 to 1.
    confidence: f64,
    /// The span of history that says so.
    #[schema(value_type = f64)]
    window_seconds: Seconds,
}

/// When each disk of an agent will be full: of all windows the one that says soonest.
fn of_agent(headings: &[Heading], value: impl Fn(&SeriesKey) -> Option<f64>) -> Vec<(i64, f64, &Heading)> {
    let mut soonest: BTreeMap<&SeriesKey, (i64, f64, &Heading)> = BTreeMap::new();
    for heading in headings {
        let Some(value) = value(&heading.key).filter(|value| value.is_finite()) else { continue };
        let Some(ms) = heading.full_in_ms(value) else { continue };
        let entry = soonest.entry(&heading.key).or_insert((ms, value, heading));
        if ms < entry.0 {
            *entry = (ms, value, heading);
        }
    }
    soonest.into_values().collect()
}

fn forecast(row: &AgentRow, now: Timestamp, (ms, value, heading): (i64, f64, &Heading)) -> Forecast {
    Forecast {
        agent: Named { id: row.id.to_string(), name: row.name.clone() },
        metric: heading.key.metric().to_owned(),
        labels: labels(&heading.key),
        value,
        full_at: rfc3339(now.plus_millis(ms)),
        full_in_seconds: Seconds(ms / 1000 * 1000),
        per_hour: (heading.trend.per_ms * HOUR_MS * 1e4).round() / 1e4,
        confidence: rounded(heading.trend.confidence),
        window_seconds: Seconds(heading.window_ms),
    }
}

/// A share to four decimals; one that is not whole is not shown as if it were.
fn rounded(share: f64) -> f64 {
    let shown = (share * 1e4).round() / 1e4;
    if share < 1.0 { shown.min(0.999_9) } else { shown }
}

/// Lists the disks that will be full before long, by the trend of their last hours, day or week
#[utoipa::path(get, path = "/forecasts", tag = "metrics", params(ForecastParams),
    responses((status = 200, description = "The disks that fill up, the first to be full at the top", body = Listing<Forecast>)))]
async fn list(
    State(app): State<Arc<App>>,
    ApiQuery(params): ApiQuery<ForecastParams>,
) -> Result<Json<Listing<Forecast>>, Problem> {
    let (now, limit) = (clock::now(), params.limit.unwrap_or(MOST));
    if !(1..=MOST).contains(&limit) {
        return Err(Problem::invalid_field("limit", format!("{limit} is not between 1 and {MOST}")));
    }
    let agent = id_in_query::<AgentId>("agent", params.agent.as_deref())?;
    let holdings = app.registry.read();
    let admits = |row: &&AgentRow| {
        agent.is_none_or(|agent| row.id == agent) && params.tag.as_ref().is_none_or(|tag| row.tags.contains(tag))
    };
    let mut found = Vec::new();
    for row in holdings.agents.values().filter(admits) {
        let headings = app.outlooks.of(row.id);
        if headings.is_empty() {
            continue;
        }
        // What an agent said before it fell silent is not how things are.
        let Some(vitals) = app.fleet.get(row.id).filter(|vitals| vitals.is_online(now)) else { continue };
        found.extend(of_agent(&headings, |key| vitals.value(key)).into_iter().map(|one| (one.0, forecast(row, now, one))));
    }
    found.sort_by(|(a, one), (b, other)| (a, &one.agent.id, &one.labels).cmp(&(b, &other.agent.id, &other.labels)));
    found.truncate(limit);
    Ok(Json(Listing::whole(found.into_iter().map(|(_, forecast)| forecast).collect())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nightbell_alerts::Trend;

    #[test]
    fn the_window_that_says_soonest_speaks_for_a_disk() {
        let key = |text: &str| text.parse::<SeriesKey>().expect("a key");
        let heading = |mount: &str, per_hour: f64, hours: i64| Heading {
            key: key(mount),
            trend: Trend { per_ms: per_hour / HOUR_MS, confidence: 0.9 },
            window_ms: hours * 3_600_000,
        };
        let (root, data) = ("disk.used_percent{mount=/}", "disk.used_percent{mount=/data}");
        let all = [
            heading(root, 0.5, 168),
            heading(root, 1.0, 24),
            heading(data, 1.0, 6),
            heading("disk.used_percent{mount=/x}", 9.0, 6),
        ];
        let value = |asked: &SeriesKey| match asked.to_string().as_str() {
            name if name == root => Some(80.0),
            name if name == data => Some(20.0),
            _ => None,
        };
        let found: Vec<(String, i64)> =
            of_agent(&all, value).into_iter().map(|(ms, _, heading)| (heading.key.to_string(), ms / 3_600_000)).collect();
        assert_eq!(found, [(root.to_owned(), 20)], "six hours do not see 80 ahead, and of one mount there is no value");
    }

    #[test]
    fn only_what_is_certain_is_shown_as_certain() {
        let shown = [0.87, 0.997_54, 0.999_999, 1.0].map(|share| rounded(share).to_string());
        assert_eq!(shown, ["0.87", "0.9975", "0.9999", "1"]);
    }
}
