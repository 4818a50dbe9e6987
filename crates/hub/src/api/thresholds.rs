//! Warn and crit levels: the defaults of the whole fleet, and each agent's own.

use super::agents;
use super::extract::{ApiJson, ApiPath, check_if_match, etag_of};
use super::problem::{Fault, Problem};
use super::wire::body::{Object, typed};
use super::wire::change::{self, Editor};
use super::wire::metric;
use crate::app::App;
use crate::files::managed::Object as Managed;
use crate::registry::Holdings;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use nightbell_alerts::LevelTable;
use nightbell_model::catalogue;
use nightbell_model::{AgentId, Levels, SeriesKey, Worse};
use nightbell_store::Change;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(of_agent)).routes(routes!(set, reset)).routes(routes!(defaults, set_defaults))
}

/// The levels of a metric or series of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub(super) struct LevelsView {
    warn: f64,
    crit: f64,
    /// Whether they are the agent's own.
    custom: bool,
}

/// Levels in the metric's unit. Where low is bad, crit lies below warn.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LevelsBody {
    warn: f64,
    crit: f64,
}

/// The levels of one agent, by metric or series.
#[derive(Debug, Serialize, ToSchema)]
struct AgentLevels {
    items: BTreeMap<String, LevelsView>,
}

/// The defaults of the whole fleet, by metric or series.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DefaultLevels {
    items: BTreeMap<String, LevelsBody>,
}

/// The levels that hold for an agent.
pub(super) fn levels_of(table: &LevelTable, agent: AgentId) -> BTreeMap<String, LevelsView> {
    let own = table.agents.get(&agent);
    let keys = table.global.keys().chain(own.into_iter().flat_map(BTreeMap::keys));
    keys.filter_map(|text| {
        let key: SeriesKey = text.parse().ok()?;
        let (levels, custom) = table.lookup(agent, &key)?;
        Some((text.clone(), LevelsView { warn: levels.warn, crit: levels.crit, custom }))
    })
    .collect()
}

/// Everything wrong with levels for a metric, with pointers below `base`.
fn faults(key: &SeriesKey, levels: LevelsBody, base: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (name, value) in [("warn", levels.warn), ("crit", levels.crit)] {
        let row = catalogue::find(key.metric());
        if !value.is_finite() {
            faults.push(Fault::new(format!("{base}/{name}"), "must be a finite number"));
        } else if let Some(row) = row.filter(|row| !row.admits(value)) {
            faults.push(Fault::new(format!("{base}/{name}"), format!("{value} is outside {} to {}", row.min, row.max)));
        }
    }
    if !faults.is_empty() {
        return faults;
    }
    match catalogue::find(key.metric()).map(|row| row.worse) {
        Some(None) => faults.push(Fault::new(base, format!("{} has no worse side, so it has no levels", key.metric()))),
        Some(Some(worse)) if !(Levels { warn: levels.warn, crit: levels.crit }).are_ordered(worse) => {
            let side = if worse == Worse::High {
                "high values are bad: crit must not lie below warn"
            } else {
                "low values are bad: crit must not lie above warn"
            };
            faults.push(Fault::new(format!("{base}/crit"), format!("of {} {side}", key.metric())));
        }
        _ => {}
    }
    faults
}

/// Everything wrong with levels as a file declares them.
pub(crate) fn unfit_levels(key: &SeriesKey, levels: Levels) -> Vec<Fault> {
    faults(key, LevelsBody { warn: levels.warn, crit: levels.crit }, "")
}

type AgentAndKey = Result<Path<(String, String)>, PathRejection>;

fn agent_and_key(app: &App, path: AgentAndKey) -> Result<(AgentId, SeriesKey), Problem> {
    let Path((id, text)) = path.map_err(|_encoding| Problem::not_found("agent"))?;
    let id: AgentId = id.parse().map_err(|_no_id| Problem::not_found("agent"))?;
    agents::find(&app.registry.read(), id)?;
    Ok((id, metric::key(&text, "metric")?))
}

/// Shows the levels that hold for an agent
#[utoipa::path(get, path = "/agents/{id}/thresholds", tag = "thresholds", params(("id" = String, Path, description = "Which agent")),
    responses((status = 200, description = "Its levels", body = AgentLevels)))]
async fn of_agent(State(app): State<Arc<App>>, ApiPath(id): ApiPath<AgentId>) -> Result<Json<AgentLevels>, Problem> {
    let holdings = app.registry.read();
    agents::find(&holdings, id)?;
    Ok(Json(AgentLevels { items: levels_of(&holdings.levels, id) }))
}

/// Sets an agent's own levels for a metric or series
#[utoipa::path(put, path = "/agents/{id}/thresholds/{*metric}", tag = "thresholds", request_body = LevelsBody,
    params(("id" = String, Path, description = "Which agent"), ("metric" = String, Path, description = "Which metric or series")),
    responses((status = 200, description = "Set", body = LevelsView)))]
async fn set(
    State(app): State<Arc<App>>,
    editor: Editor,
    path: AgentAndKey,
    ApiJson(body): ApiJson<Object>,
) -> Result<Json<LevelsView>, Problem> {
    let (agent, key) = agent_and_key(&app, path)?;
    let levels: LevelsBody = typed(body, &["custom"])?;
    let faults = faults(&key, levels, "");
    if !faults.is_empty() {
        return Err(Problem::invalid(faults));
    }
    if let Some(why) = metric::unknown(&app, key.metric()).await? {
        return Err(Problem::invalid_field("metric", why));
    }
    let _turn = change::turn().await;
    change::not_by_file(&app.registry.read(), &Managed::levels(Some(agent), key.as_str()))?;
    let (warn, crit) = (levels.warn, levels.crit);
    let change = Change::PutLevels { agent: Some(agent), key: key.to_string(), levels: Levels { warn, crit } };
    let entry = editor.entry("threshold.set", agent, &json!({"metric": key.as_str(), "warn": warn, "crit": crit}));
    app.registry.apply(vec![change], Some(entry)).await?;
    Ok(Json(LevelsView { warn, crit, custom: true }))
}

/// Takes an agent's own levels away; the defaults hold again
#[utoipa::path(delete, path = "/agents/{id}/thresholds/{*metric}", tag = "thresholds",
    params(("id" = String, Path, description = "Which agent"), ("metric" = String, Path, description = "Which metric or series")),
    responses((status = 204, description = "Taken away")))]
async fn reset(State(app): State<Arc<App>>, editor: Editor, path: AgentAndKey) -> Result<StatusCode, Problem> {
    let (agent, key) = agent_and_key(&app, path)?;
    let _turn = change::turn().await;
    change::not_by_file(&app.registry.read(), &Managed::levels(Some(agent), key.as_str()))?;
    let has_own = app.registry.read().levels.agents.get(&agent).is_some_and(|own| own.contains_key(key.as_str()));
    if !has_own {
        return Err(Problem::not_found(&format!("threshold of this agent's own for {key}")));
    }
    let change = Change::DeleteLevels { agent: Some(agent), key: key.to_string() };
    let entry = editor.entry("threshold.reset", agent, &json!({"metric": key.as_str()}));
    app.registry.apply(vec![change], Some(entry)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn shown(table: &LevelTable) -> DefaultLevels {
    let body = |levels: &Levels| LevelsBody { warn: levels.warn, crit: levels.crit };
    DefaultLevels { items: table.global.iter().map(|(key, levels)| (key.clone(), body(levels))).collect() }
}

/// Shows the default levels of the whole fleet
#[utoipa::path(get, path = "/thresholds", tag = "thresholds", responses((status = 200, description = "The defaults", body = DefaultLevels)))]
async fn defaults(State(app): State<Arc<App>>) -> WithEtag {
    answer(shown(&app.registry.read().levels))
}

type WithEtag = ([(HeaderName, String); 1], Json<DefaultLevels>);

fn answer(body: DefaultLevels) -> WithEtag {
    ([(header::ETAG, etag_of("thresholds", &body))], Json(body))
}

/// Replaces the default levels of the whole fleet; what is not named has none any more
#[utoipa::path(put, path = "/thresholds", tag = "thresholds", request_body = DefaultLevels,
    responses((status = 200, description = "Replaced", body = DefaultLevels)))]
async fn set_defaults(
    State(app): State<Arc<App>>,
    editor: Editor,
    headers: HeaderMap,
    ApiJson(body): ApiJson<DefaultLevels>,
) -> Result<WithEtag, Problem> {
    let wanted = checked(&app, &body).await?;
    let _turn = change::turn().await;
    check_if_match(&headers, &etag_of("thresholds", &shown(&app.registry.read().levels)))?;
    only_free(&app.registry.read(), &wanted)?;
    let gone: Vec<String> = app.registry.read().levels.global.keys().filter(|key| !wanted.contains_key(*key)).cloned().collect();
    let put = wanted.into_iter().map(|(key, levels)| Change::PutLevels { agent: None, key, levels });
    let changes: Vec<Change> = put.chain(gone.into_iter().map(|key| Change::DeleteLevels { agent: None, key })).collect();
    let detail = serde_json::to_value(&body).unwrap_or_default();
    app.registry.apply(changes, Some(editor.entry("threshold.defaults", "thresholds", &detail))).await?;
    Ok(answer(shown(&app.registry.read().levels)))
}

/// Refuses to change or take away defaults that files declare; saying them again as they are is fine.
fn only_free(holdings: &Holdings, wanted: &BTreeMap<String, Levels>) -> Result<(), Problem> {
    let mut changed = holdings.levels.global.iter().filter(|(key, levels)| wanted.get(*key) != Some(levels));
    changed.try_for_each(|(key, _)| change::not_by_file(holdings, &Managed::levels(None, key)))
}

async fn checked(app: &App, body: &DefaultLevels) -> Result<BTreeMap<String, Levels>, Problem> {
    let (mut wanted, mut all) = (BTreeMap::new(), Vec::new());
    for (text, levels) in &body.items {
        let base = format!("/items/{}", text.replace('~', "~0").replace('/', "~1"));
        let Ok(key) = text.parse::<SeriesKey>() else {
            all.push(Fault::new(base, format!("{text:?} is no metric or series key")));
            continue;
        };
        all.extend(faults(&key, *levels, &base));
        all.extend(metric::unknown(app, key.metric()).await?.map(|why| Fault::new(base, why)));
        wanted.insert(key.to_string(), Levels { warn: levels.warn, crit: levels.crit });
    }
    if all.is_empty() { Ok(wanted) } else { Err(Problem::invalid(all)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointers(key: &str, warn: f64, crit: f64) -> Vec<String> {
        let key = key.parse().expect("a key");
        faults(&key, LevelsBody { warn, crit }, "").into_iter().map(|fault| fault.pointer).collect()
    }

    #[test]
    fn levels_are_held_to_range_and_order() {
        let none: [&str; 0] = [];
        assert_eq!(pointers("cpu.usage_percent", 70.0, 85.0), none);
        assert_eq!(pointers("cpu.usage_percent", 85.0, 70.0), ["/crit"]);
        assert_eq!(pointers("cpu.usage_percent", 70.0, 185.0), ["/crit"]);
        assert_eq!(pointers("cpu.usage_percent", -1.0, f64::NAN), ["/warn", "/crit"]);
        assert_eq!(pointers("mem.available_bytes", 2e9, 1e9), none);
        assert_eq!(pointers("mem.available_bytes", 1e9, 2e9), ["/crit"]);
        assert_eq!(pointers("mem.total_bytes", 1.0, 2.0), [""]);
        assert_eq!(pointers("my.own_metric", 5.0, 2.0), none);
    }

    #[test]
    fn an_agents_own_levels_come_before_the_defaults() {
        let (agent, other) = (AgentId::from_bits(1), AgentId::from_bits(2));
        let (low, high) = (Levels { warn: 1.0, crit: 2.0 }, Levels { warn: 3.0, crit: 4.0 });
        let mut table = LevelTable::default();
        table.global.insert("cpu.usage_percent".into(), low);
        table.global.insert("mem.used_percent".into(), low);
        table.agents.entry(agent).or_default().insert("cpu.usage_percent".into(), high);
        table.agents.entry(agent).or_default().insert("disk.used_percent{mount=/}".into(), high);
        let of = |agent| {
            levels_of(&table, agent).into_iter().map(|(key, levels)| (key, levels.warn, levels.custom)).collect::<Vec<_>>()
        };
        assert_eq!(
            of(agent),
            [
                ("cpu.usage_percent".to_owned(), 3.0, true),
                ("disk.used_percent{mount=/}".to_owned(), 3.0, true),
                ("mem.used_percent".to_owned(), 1.0, false)
            ]
        );
        assert_eq!(of(other), [("cpu.usage_percent".to_owned(), 1.0, false), ("mem.used_percent".to_owned(), 1.0, false)]);
    }
}
