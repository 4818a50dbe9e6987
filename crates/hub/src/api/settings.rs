//! Settings that people change at run time, and the audit log.

use super::extract::{ApiJson, ApiQuery, Caller, Listing, Remote, cursor, number, page_size};
use super::problem::Problem;
use crate::app::App;
use crate::{clock, page};
use axum::Json;
use axum::extract::State;
use nightbell_store::{AuditEntry, Change};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(show, change)).routes(routes!(audit))
}

/// The settings.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SettingsBody {
    /// The time zone in which pages and pictures show times, such as Europe/Berlin.
    timezone: String,
}

/// A line of the audit log.
#[derive(Debug, Serialize, ToSchema)]
struct AuditLine {
    at: String,
    actor: String,
    action: String,
    object: String,
    #[schema(value_type = Object)]
    detail: serde_json::Value,
    address: String,
}

/// Which page.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AuditParams {
    /// At most so many, 1 to 500.
    #[serde(default, deserialize_with = "number")]
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    #[serde(default)]
    cursor: Option<String>,
}

/// Shows the settings
#[utoipa::path(get, path = "/settings", tag = "system", responses((status = 200, description = "The settings", body = SettingsBody)))]
async fn show(State(app): State<Arc<App>>) -> Json<SettingsBody> {
    Json(SettingsBody { timezone: app.registry.read().settings.timezone.name().to_owned() })
}

/// Changes the settings
#[utoipa::path(put, path = "/settings", tag = "system", request_body = SettingsBody, responses((status = 200, description = "Changed", body = SettingsBody)))]
async fn change(State(app): State<Arc<App>>, caller: Caller, remote: Remote, ApiJson(body): ApiJson<SettingsBody>) -> Result<Json<SettingsBody>, Problem> {
    if body.timezone.parse::<chrono_tz::Tz>().is_err() {
        return Err(Problem::invalid_field("/timezone", format!("{:?} is no time zone such as Europe/Berlin or UTC", body.timezone)));
    }
    let entry = AuditEntry {
        at: clock::now(),
        actor: caller.0.actor(),
        action: "settings.change".to_owned(),
        object: "settings".to_owned(),
        detail_json: serde_json::to_string(&body).unwrap_or_default(),
        address: remote.0,
    };
    let change = Change::PutSetting { key: crate::registry::TIMEZONE.to_owned(), value: body.timezone.clone() };
    app.registry.apply(vec![change], Some(entry)).await?;
    Ok(Json(body))
}

/// Shows who changed what, newest first
#[utoipa::path(get, path = "/audit", tag = "system", params(AuditParams), responses((status = 200, description = "A page of the audit log", body = Listing<AuditLine>)))]
async fn audit(State(app): State<Arc<App>>, ApiQuery(params): ApiQuery<AuditParams>) -> Result<Json<Listing<AuditLine>>, Problem> {
    let (limit, before) = (page_size(params.limit)?, cursor(params.cursor.as_deref())?);
    let found = app.read_state(move |store| store.audit(before, limit)).await?;
    Ok(Json(Listing::of(found, |line| AuditLine {
        at: page::rfc3339(line.at),
        actor: line.actor,
        action: line.action,
        object: line.object,
        detail: serde_json::from_str(&line.detail_json).unwrap_or(serde_json::Value::Null),
        address: line.address,
    })))
}
