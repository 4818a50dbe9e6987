//! API tokens for programs, and enrolment tokens for agents. Their text is shown once.

use super::extract::{ApiJson, ApiPath, ApiQuery, Listing, PageParams, Span};
use super::problem::Problem;
use super::wire::change::{Editor, turn};
use crate::app::App;
use crate::{clock, operations, page};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use nightbell_model::Ulid;
use nightbell_store::{ApiTokenRow, Change, EnrolmentToken};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list_tokens, create_token))
        .routes(routes!(delete_token))
        .routes(routes!(list_enrolments, create_enrolment))
        .routes(routes!(delete_enrolment))
}

/// An API token.
#[derive(Debug, Serialize, ToSchema)]
struct ApiToken {
    id: String,
    name: String,
    scopes: Vec<String>,
    created_at: String,
    expires_at: Option<String>,
    used_at: Option<String>,
    /// The token itself, only in the answer to its making.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// A new API token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewToken {
    name: String,
    /// metrics:read, alerts:read, alerts:ack, silences:write, rules:write, channels:write, agents:enroll, agents:write, admin
    scopes: Vec<String>,
    /// For how long, such as 90d; for ever if not said.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    expires: Option<Span>,
}

/// An enrolment token.
#[derive(Debug, Serialize, ToSchema)]
struct Enrolment {
    id: String,
    tags: Vec<String>,
    created_at: String,
    expires_at: Option<String>,
    uses_left: Option<u32>,
    /// The token itself, only in the answer to its making.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// A new enrolment token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewEnrolment {
    /// For how long; an hour if not said.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    expires: Option<Span>,
    /// How often; once if not said.
    #[serde(default)]
    uses: Option<u32>,
    /// The tags of its agents.
    #[serde(default)]
    tags: Vec<String>,
}

const HOUR_MS: i64 = 3_600_000;

fn show_token(row: &ApiTokenRow, token: Option<String>) -> ApiToken {
    ApiToken {
        id: row.id.to_string(),
        name: row.name.clone(),
        scopes: row.scopes.clone(),
        created_at: page::rfc3339(row.created_at),
        expires_at: row.expires_at.map(page::rfc3339),
        used_at: row.used_at.map(page::rfc3339),
        token,
    }
}

fn show_enrolment(row: &EnrolmentToken, token: Option<String>) -> Enrolment {
    Enrolment {
        id: row.id.to_string(),
        tags: row.tags.clone(),
        created_at: page::rfc3339(row.created_at),
        expires_at: row.expires_at.map(page::rfc3339),
        uses_left: row.uses_left,
        token,
    }
}

/// Lists API tokens
#[utoipa::path(get, path = "/tokens", tag = "access", params(PageParams), responses((status = 200, description = "All of them, without their text", body = Listing<ApiToken>)))]
async fn list_tokens(
    State(app): State<Arc<App>>,
    ApiQuery(params): ApiQuery<PageParams>,
) -> Result<Json<Listing<ApiToken>>, Problem> {
    let holdings = app.registry.read();
    let rows = holdings.tokens.values().map(|row| (row.id.to_string(), show_token(row, None)));
    params.page(rows, false, &["id", "name", "created_at", "expires_at", "used_at"]).map(Json)
}

/// Makes an API token; its text is shown this once
#[utoipa::path(post, path = "/tokens", tag = "access", request_body = NewToken, responses((status = 201, description = "Made", body = ApiToken)))]
async fn create_token(
    State(app): State<Arc<App>>,
    editor: Editor,
    ApiJson(body): ApiJson<NewToken>,
) -> Result<(StatusCode, Json<ApiToken>), Problem> {
    let now = clock::now();
    let (row, text) = operations::api_token(&body.name, &body.scopes, body.expires.map(|span| now.plus_millis(span.0)), now)?;
    let audit = editor.entry("token.create", row.id, &serde_json::json!({"name": row.name, "scopes": row.scopes}));
    app.registry.apply(vec![Change::PutToken(row.clone())], Some(audit)).await?;
    Ok((StatusCode::CREATED, Json(show_token(&row, Some(text)))))
}

/// Revokes an API token
#[utoipa::path(delete, path = "/tokens/{id}", tag = "access", params(("id" = String, Path, description = "Which token")),
    responses((status = 204, description = "Revoked")))]
async fn delete_token(State(app): State<Arc<App>>, editor: Editor, ApiPath(id): ApiPath<Ulid>) -> Result<StatusCode, Problem> {
    let _turn = turn().await;
    let audit = editor.entry("token.delete", id, &serde_json::json!({}));
    app.registry.apply(vec![Change::DeleteToken(id)], Some(audit)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists enrolment tokens
#[utoipa::path(get, path = "/enrolment-tokens", tag = "agents", params(PageParams), responses((status = 200, description = "All of them, without their text", body = Listing<Enrolment>)))]
async fn list_enrolments(
    State(app): State<Arc<App>>,
    ApiQuery(params): ApiQuery<PageParams>,
) -> Result<Json<Listing<Enrolment>>, Problem> {
    let holdings = app.registry.read();
    let rows = holdings.enrolments.values().map(|row| (row.id.to_string(), show_enrolment(row, None)));
    params.page(rows, false, &["id", "created_at", "expires_at", "uses_left"]).map(Json)
}

/// Makes an enrolment token; its text is shown this once
#[utoipa::path(post, path = "/enrolment-tokens", tag = "agents", request_body = NewEnrolment, responses((status = 201, description = "Made", body = Enrolment)))]
async fn create_enrolment(
    State(app): State<Arc<App>>,
    editor: Editor,
    ApiJson(body): ApiJson<NewEnrolment>,
) -> Result<(StatusCode, Json<Enrolment>), Problem> {
    let now = clock::now();
    let expires_at = now.plus_millis(body.expires.map_or(HOUR_MS, |span| span.0));
    let (row, text) = operations::enrolment(Some(expires_at), Some(body.uses.unwrap_or(1)), &body.tags, now)?;
    let audit = editor.entry("enrolment.create", row.id, &serde_json::json!({"tags": row.tags, "uses": row.uses_left}));
    app.registry.apply(vec![Change::PutEnrolment(row.clone())], Some(audit)).await?;
    Ok((StatusCode::CREATED, Json(show_enrolment(&row, Some(text)))))
}

/// Revokes an enrolment token
#[utoipa::path(delete, path = "/enrolment-tokens/{id}", tag = "agents", params(("id" = String, Path, description = "Which token")),
    responses((status = 204, description = "Revoked")))]
async fn delete_enrolment(
    State(app): State<Arc<App>>,
    editor: Editor,
    ApiPath(id): ApiPath<Ulid>,
) -> Result<StatusCode, Problem> {
    let audit = editor.entry("enrolment.delete", id, &serde_json::json!({}));
    app.registry.apply(vec![Change::DeleteEnrolment(id)], Some(audit)).await?;
    Ok(StatusCode::NO_CONTENT)
}
