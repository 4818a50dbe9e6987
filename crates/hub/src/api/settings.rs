//! Settings that people change at run time, and the audit log.

use super::extract::{ApiJson, ApiQuery, Listing, PageParams, check_if_match, cursor, etag_of, page_size};
use super::problem::{Fault, Problem};
use super::wire::change::{Editor, turn};
use super::wire::filter::{Filter, newest_first};
use crate::app::App;
use crate::page;
use crate::registry::{FALLBACK_CHANNEL, Holdings, TIMEZONE};
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
    /// The channel that is told when another refuses its pages or gives one up; null for none.
    #[serde(default)]
    fallback_channel: Option<String>,
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

fn shown(holdings: &Holdings) -> SettingsBody {
    let fallback = holdings.settings.fallback.filter(|id| holdings.channels.contains_key(id));
    SettingsBody { timezone: holdings.settings.timezone.name().to_owned(), fallback_channel: fallback.map(|id| id.to_string()) }
}

/// What is wrong with settings, if anything is.
fn faults(holdings: &Holdings, body: &SettingsBody) -> Vec<Fault> {
    let mut faults = Vec::new();
    if body.timezone.parse::<chrono_tz::Tz>().is_err() {
        let why = format!("{:?} is no time zone such as Europe/Berlin or UTC", body.timezone);
        faults.push(Fault::new("/timezone", why));
    }
    let is_known = |id: &String| id.parse().is_ok_and(|id| holdings.channels.contains_key(&id));
    if body.fallback_channel.as_ref().is_some_and(|id| !is_known(id)) {
        faults.push(Fault::new("/fallback_channel", "there is no such channel"));
    }
    faults
}

fn etag(body: &SettingsBody) -> String {
    etag_of("settings", body)
}

/// Shows the settings
#[utoipa::path(get, path = "/settings", tag = "system", responses((status = 200, description = "The settings", body = SettingsBody)))]
async fn show(State(app): State<Arc<App>>) -> WithEtag {
    let body = shown(&app.registry.read());
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
    let _turn = turn().await;
    let before = {
        let holdings = app.registry.read();
        let faults = faults(&holdings, &body);
        if !faults.is_empty() {
            return Err(Problem::invalid(faults));
        }
        shown(&holdings)
    };
    check_if_match(&headers, &etag(&before))?;
    let audit = editor.entry("settings.change", "settings", &serde_json::to_value(&body).unwrap_or_default());
    let put = |key: &str, value: &str| Change::PutSetting { key: key.to_owned(), value: value.to_owned() };
    let fallback = body.fallback_channel.as_deref().unwrap_or_default();
    let changes = vec![put(TIMEZONE, &body.timezone), put(FALLBACK_CHANNEL, fallback)];
    app.registry.apply(changes, Some(audit)).await?;
    Ok(([(header::ETAG, etag(&body))], Json(body)))
}

/// Shows who changed what, newest first
#[utoipa::path(get, path = "/audit", tag = "system", params(PageParams), responses((status = 200, description = "A page of the audit log", body = Listing<AuditLine>)))]
async fn audit(State(app): State<Arc<App>>, ApiQuery(params): ApiQuery<PageParams>) -> Result<Json<Listing<AuditLine>>, Problem> {
    let (limit, before) = (page_size(params.limit)?, cursor(params.cursor.as_deref())?);
    let filter = Filter::read(params.filter.as_deref())?;
    newest_first(params.sort.as_deref(), "at")?;
    let found = app.read_state(move |store| store.audit(before, limit)).await?;
    Ok(Json(
        Listing::of(found, |line| AuditLine {
            at: page::rfc3339(line.at),
            actor: line.actor,
            action: line.action,
            object: line.object,
            detail: serde_json::from_str(&line.detail_json).unwrap_or(serde_json::Value::Null),
            address: line.address,
        })
        .filtered(&filter),
    ))
}
