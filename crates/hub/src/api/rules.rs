//! Alert rules: made, changed and checked. Why they page and why not stands in `explain`.

mod explain;
mod trouble;

pub(crate) use explain::Explained;
pub(super) use explain::of_incident;

use super::agents;
use super::extract::{ApiJson, ApiPath, ApiQuery, Listing, PageParams, check_if_match, etag};
use super::problem::{Fault, Problem};
use super::wire::body::{Object, patched};
use super::wire::change::{self, Editor};
use super::wire::metric;
use super::wire::rule::{Needs, RuleBody, RuleView, read};
use crate::app::App;
use crate::clock;
use crate::files::Kind;
use crate::files::managed::Object as Managed;
use crate::ids;
use crate::registry::Holdings;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use nightbell_alerts::{Rule, Scope};
use nightbell_model::{RuleId, Timestamp};
use nightbell_store::Change;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(validate))
        .routes(routes!(show, replace, change, remove))
        .merge(explain::routes())
}

/// Whether a rule could be made as it stands.
#[derive(Debug, Serialize, ToSchema)]
struct Verdict {
    valid: bool,
    errors: Vec<Fault>,
}

/// Everything wrong with a rule that only the hub can know.
///
/// # Errors
/// When history cannot be read.
pub(super) async fn faults(app: &App, rule: &Rule, allow_unknown: bool) -> Result<Vec<Fault>, Problem> {
    let mut faults = references(&app.registry.read(), rule);
    if !allow_unknown && let Some(why) = metric::unknown(app, &rule.selector.metric).await? {
        faults.push(Fault::new("/metric", format!("{why}; \"allow_unknown\": true accepts it all the same")));
    }
    Ok(faults)
}

fn references(holdings: &Holdings, rule: &Rule) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let Scope::Agent(id) = rule.scope
        && !holdings.agents.contains_key(&id)
    {
        faults.push(Fault::new("/scope/agent", "there is no such agent"));
    }
    let steps = rule.escalation.iter().enumerate().map(|(at, step)| (format!("/escalation/{at}/channels"), &step.channels));
    for (base, channels) in std::iter::once(("/channels".to_owned(), &rule.channels)).chain(steps) {
        for (at, _) in channels.iter().enumerate().filter(|(_, id)| !holdings.channels.contains_key(*id)) {
            faults.push(Fault::new(format!("{base}/{at}"), "there is no such channel"));
        }
    }
    faults
}

/// What was asked for as a rule, or everything that speaks against it. `before` is the rule it takes the place of.
async fn checked(app: &App, body: &Object, id: RuleId, before: Option<&Rule>) -> Result<Rule, Problem> {
    let rule = read(body, Needs::Whole, id, before.map_or(1, |before| before.version + 1)).map_err(Problem::invalid)?;
    let is_known = before.is_some_and(|before| before.selector.metric == rule.selector.metric);
    let faults = faults(app, &rule, is_known || allows_unknown(body)).await?;
    if faults.is_empty() { Ok(rule) } else { Err(Problem::invalid(faults)) }
}

/// Whether the body says that a metric nobody has heard of is fine.
pub(super) fn allows_unknown(body: &Object) -> bool {
    body.get("allow_unknown") == Some(&Value::Bool(true))
}

fn find(app: &App, id: RuleId) -> Result<(Rule, Timestamp), Problem> {
    app.registry.read().rules.get(&id).cloned().ok_or_else(|| Problem::not_found("rule"))
}

/// A rule as the API shows it.
fn shown(holdings: &Holdings, rule: &Rule, created_at: Timestamp) -> RuleView {
    let mut view = RuleView::of(rule, created_at);
    view.managed_by = holdings.settings.managed.file(Kind::Rule, rule.id);
    view
}

fn answer(app: &App, status: StatusCode, rule: &Rule, created_at: Timestamp) -> Response {
    let view = shown(&app.registry.read(), rule, created_at);
    (status, [(header::ETAG, etag(rule.id, rule.version))], Json(view)).into_response()
}

fn detail(rule: &Rule) -> Value {
    serde_json::to_value(RuleBody::of(rule)).unwrap_or_default()
}

/// Lists rules, the oldest first
#[utoipa::path(get, path = "/rules", tag = "rules", params(PageParams), responses((status = 200, description = "All rules", body = Listing<RuleView>)))]
async fn list(State(app): State<Arc<App>>, ApiQuery(params): ApiQuery<PageParams>) -> Result<Json<Listing<RuleView>>, Problem> {
    let holdings = app.registry.read();
    let rows = holdings.rules.iter().map(|(id, (rule, created_at))| (id.to_string(), shown(&holdings, rule, *created_at)));
    params.page(rows, false, &["id", "name", "created_at", "metric", "severity", "kind", "enabled"]).map(Json)
}

/// Makes a rule
#[utoipa::path(post, path = "/rules", tag = "rules", request_body = RuleBody, responses((status = 201, description = "Made", body = RuleView)))]
async fn create(State(app): State<Arc<App>>, editor: Editor, ApiJson(body): ApiJson<Object>) -> Result<Response, Problem> {
    let _turn = change::turn().await;
    let (rule, created_at) = (checked(&app, &body, RuleId(ids::fresh()), None).await?, clock::now());
    let entry = editor.entry("rule.create", rule.id, &detail(&rule));
    app.registry.apply(vec![Change::PutRule { rule: rule.clone(), created_at }], Some(entry)).await?;
    Ok(answer(&app, StatusCode::CREATED, &rule, created_at))
}

/// Says what is wrong with a rule, without making it
#[utoipa::path(post, path = "/rules/validate", tag = "rules", request_body = RuleBody, responses((status = 200, description = "The verdict", body = Verdict)))]
async fn validate(State(app): State<Arc<App>>, ApiJson(body): ApiJson<Object>) -> Result<Json<Verdict>, Problem> {
    let errors = match read(&body, Needs::Whole, RuleId::default(), 1) {
        Ok(rule) => faults(&app, &rule, allows_unknown(&body)).await?,
        Err(faults) => faults,
    };
    Ok(Json(Verdict { valid: errors.is_empty(), errors }))
}

/// Shows a rule
#[utoipa::path(get, path = "/rules/{id}", tag = "rules", params(("id" = String, Path, description = "Which rule")),
    responses((status = 200, description = "The rule; ETag is its version", body = RuleView)))]
async fn show(State(app): State<Arc<App>>, ApiPath(id): ApiPath<RuleId>) -> Result<Response, Problem> {
    let (rule, created_at) = find(&app, id)?;
    Ok(answer(&app, StatusCode::OK, &rule, created_at))
}

/// Replaces a rule; what is left out gets its default
#[utoipa::path(put, path = "/rules/{id}", tag = "rules", params(("id" = String, Path, description = "Which rule")),
    request_body = RuleBody, responses((status = 200, description = "Replaced", body = RuleView)))]
async fn replace(
    State(app): State<Arc<App>>,
    editor: Editor,
    ApiPath(id): ApiPath<RuleId>,
    headers: HeaderMap,
    ApiJson(body): ApiJson<Object>,
) -> Result<Response, Problem> {
    put(&app, &editor, id, &headers, |_rule, _created_at| Ok(body)).await
}

/// Changes fields of a rule; what is left out stays
#[utoipa::path(patch, path = "/rules/{id}", tag = "rules", params(("id" = String, Path, description = "Which rule")),
    request_body(content = Object, description = "Any fields of a rule"), responses((status = 200, description = "Changed", body = RuleView)))]
async fn change(
    State(app): State<Arc<App>>,
    editor: Editor,
    ApiPath(id): ApiPath<RuleId>,
    headers: HeaderMap,
    ApiJson(body): ApiJson<Object>,
) -> Result<Response, Problem> {
    put(&app, &editor, id, &headers, |rule, created_at| patched(&RuleView::of(rule, created_at), body)).await
}

async fn put(
    app: &App,
    editor: &Editor,
    id: RuleId,
    headers: &HeaderMap,
    body: impl FnOnce(&Rule, Timestamp) -> Result<Object, Problem> + Send,
) -> Result<Response, Problem> {
    let _turn = change::turn().await;
    let (before, created_at) = find(app, id)?;
    change::not_by_file(&app.registry.read(), &Managed::new(Kind::Rule, id))?;
    check_if_match(headers, &etag(id, before.version))?;
    let rule = checked(app, &body(&before, created_at)?, id, Some(&before)).await?;
    let entry = editor.entry("rule.change", id, &json!({"before": detail(&before), "after": detail(&rule)}));
    app.registry.apply(vec![Change::PutRule { rule: rule.clone(), created_at }], Some(entry)).await?;
    Ok(answer(app, StatusCode::OK, &rule, created_at))
}

/// Removes a rule; its open incidents end
#[utoipa::path(delete, path = "/rules/{id}", tag = "rules", params(("id" = String, Path, description = "Which rule")),
    responses((status = 204, description = "Removed")))]
async fn remove(
    State(app): State<Arc<App>>,
    editor: Editor,
    ApiPath(id): ApiPath<RuleId>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let _turn = change::turn().await;
    let (rule, _) = find(&app, id)?;
    change::not_by_file(&app.registry.read(), &Managed::new(Kind::Rule, id))?;
    check_if_match(&headers, &etag(id, rule.version))?;
    let entry = editor.entry("rule.delete", id, &detail(&rule));
    app.registry.apply(vec![Change::DeleteRule(id)], Some(entry)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The agents a rule applies to by its scope, leaving aside rules that take its place.
pub(super) fn agents_in_scope(holdings: &Holdings, scope: &Scope) -> Result<Vec<nightbell_store::AgentRow>, Problem> {
    let mut rows: Vec<_> = match scope {
        Scope::Global => holdings.agents.values().cloned().collect(),
        Scope::Tag(tag) => holdings.agents.values().filter(|row| row.tags.contains(tag)).cloned().collect(),
        Scope::Agent(id) => {
            vec![agents::find(holdings, *id).map_err(|_gone| Problem::invalid_field("/scope/agent", "there is no such agent"))?]
        }
    };
    rows.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(rows)
}
