//! Settings that people change at run time, and the audit log.

use super::extract::{ApiJson, ApiQuery, Listing, PageParams, check_if_match, cursor, page_size};
use super::problem::Problem;
use super::wire::change::{Editor, turn};
use crate::app::App;
use crate::page;
use crate::registry::Settings;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, header};
use nightbell_store::Change;
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

type WithEtag = ([(HeaderName, String); 1], Json<SettingsBody>);

fn shown(settings: &Settings) -> SettingsBody {
    SettingsBody { timezone: settings.timezone.name().to_owned() }
}

/// The settings have no version: their tag is made of what they say.
fn etag(body: &SettingsBody) -> String {
    let text = serde_json::to_string(body).unwrap_or_default();
    format!("\"settings-{:08x}\"", crc32fast::hash(text.as_bytes()))
}

/// Shows the settings
#[utoipa::path(get, path = "/settings", tag = "system", responses((status = 200, description = "The settings", body = SettingsBody)))]
async fn show(State(app): State<Arc<App>>) -> WithEtag {
    let body = shown(&app.registry.read().settings);
    ([(header::ETAG, etag(&body))], Json(body))
}

/// Changes the settings
#[utoipa::path(put, path = "/settings", tag = "system", request_body = SettingsBody, responses((status = 200, description = "Changed", body = SettingsBody)))]
async fn change(
    State(app): State<Arc<App>>,
    editor: Editor,
    headers: HeaderMap,
    ApiJson(body): ApiJson<SettingsBody>,
) -> Result<WithEtag, Problem> {
    if body.timezone.parse::<chrono_tz::Tz>().is_err() {
        return Err(Problem::invalid_field(
            "/timezone",
            format!("{:?} is no time zone such as Europe/Berlin or UTC", body.timezone),
        ));
    }
    let _turn = turn().await;
    let before = shown(&app.registry.read().settings);
    check_if_match(&headers, &etag(&before))?;
    let audit = editor.entry("settings.change", "settings", &serde_json::json!({"timezone": body.timezone}));
    let change = Change::PutSetting { key: crate::registry::TIMEZONE.to_owned(), value: body.timezone.clone() };
    app.registry.apply(vec![change], Some(audit)).await?;
    Ok(([(header::ETAG, etag(&body))], Json(body)))
}

/// Shows who changed what, newest first
#[utoipa::path(get, path = "/audit", tag = "system", params(PageParams), responses((status = 200, description = "A page of the audit log", body = Listing<AuditLine>)))]
async fn audit(State(app): State<Arc<App>>, ApiQuery(params): ApiQuery<PageParams>) -> Result<Json<Listing<AuditLine>>, Problem> {
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
