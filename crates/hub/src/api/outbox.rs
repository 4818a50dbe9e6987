//! Deliveries: what was sent, what waits, what was given up; and a person's word on them.

use super::events::id_in_query;
use super::extract::{ApiPath, ApiQuery, Caller, Listing, cursor, number, page_size};
use super::problem::Problem;
use super::wire::change::Editor;
use super::wire::delivery::{DeliveryView, show};
use super::wire::filter::{Filter, newest_first};
use crate::app::App;
use crate::auth::Scope;
use crate::clock;
use axum::Json;
use axum::extract::State;
use nightbell_model::{ChannelId, IncidentId, Ulid};
use nightbell_store::{Delivery, DeliveryCommand, DeliveryQuery, DeliveryState};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(one)).routes(routes!(retry)).routes(routes!(cancel))
}

/// Which deliveries.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OutboxParams {
    /// queued, sending, sent, dead, cancelled or held
    #[serde(default)]
    state: Option<String>,
    /// Only on this channel.
    #[serde(default)]
    channel: Option<String>,
    /// Only of this incident.
    #[serde(default)]
    incident: Option<String>,
    /// At most so many, 1 to 500.
    #[serde(default, deserialize_with = "number")]
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    #[serde(default)]
    cursor: Option<String>,
    /// -created_at: newest first, the one order of this list.
    #[serde(default)]
    sort: Option<String>,
    /// Words that each row must have: `field:text`, or text in some field.
    #[serde(default)]
    filter: Option<String>,
}

/// A delivery as this caller may see it: what a receiver answered is for those who configure channels.
pub(super) fn view(app: &App, caller: &Caller, delivery: &Delivery) -> DeliveryView {
    show(&app.registry.read(), delivery, caller.0.may(Scope::ChannelsWrite))
}

/// Lists deliveries, newest first
#[utoipa::path(get, path = "/outbox", tag = "outbox", params(OutboxParams), responses((status = 200, description = "A page of deliveries", body = Listing<DeliveryView>)))]
async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    ApiQuery(params): ApiQuery<OutboxParams>,
) -> Result<Json<Listing<DeliveryView>>, Problem> {
    let filter = Filter::read(params.filter.as_deref())?;
    newest_first(params.sort.as_deref(), "created_at")?;
    let state = params.state.as_deref().map(|name| {
        let all = DeliveryState::ALL.map(DeliveryState::name).join(", ");
        DeliveryState::from_name(name).ok_or_else(|| Problem::invalid_field("state", format!("{name:?} is none of {all}")))
    });
    let query = DeliveryQuery {
        state: state.transpose()?,
        channel: id_in_query::<ChannelId>("channel", params.channel.as_deref())?,
        incident: id_in_query::<IncidentId>("incident", params.incident.as_deref())?,
        storm: None,
        before: cursor(params.cursor.as_deref())?,
        limit: page_size(params.limit)?,
    };
    let found = app.read_state(move |store| store.deliveries(&query)).await?;
    Ok(Json(Listing::of(found, |delivery| view(&app, &caller, &delivery)).filtered(&filter)))
}

/// Shows a delivery
#[utoipa::path(get, path = "/outbox/{id}", tag = "outbox", params(("id" = String, Path, description = "Which delivery")),
    responses((status = 200, description = "The delivery", body = DeliveryView)))]
async fn one(State(app): State<Arc<App>>, caller: Caller, ApiPath(id): ApiPath<Ulid>) -> Result<Json<DeliveryView>, Problem> {
    let found = app.read_state(move |store| store.delivery(id)).await?;
    let delivery = found.ok_or_else(|| Problem::not_found("delivery"))?;
    Ok(Json(view(&app, &caller, &delivery)))
}

/// Tries a delivery again at once
#[utoipa::path(post, path = "/outbox/{id}/retry", tag = "outbox", params(("id" = String, Path, description = "Which delivery")),
    responses((status = 200, description = "The delivery, queued", body = DeliveryView)))]
async fn retry(
    State(app): State<Arc<App>>,
    caller: Caller,
    editor: Editor,
    ApiPath(id): ApiPath<Ulid>,
) -> Result<Json<DeliveryView>, Problem> {
    let delivery = command(&app, &editor, id, DeliveryCommand::Retry).await?;
    app.outbox.wake();
    Ok(Json(view(&app, &caller, &delivery)))
}

/// Takes a waiting delivery back
#[utoipa::path(post, path = "/outbox/{id}/cancel", tag = "outbox", params(("id" = String, Path, description = "Which delivery")),
    responses((status = 200, description = "The delivery, cancelled", body = DeliveryView)))]
async fn cancel(
    State(app): State<Arc<App>>,
    caller: Caller,
    editor: Editor,
    ApiPath(id): ApiPath<Ulid>,
) -> Result<Json<DeliveryView>, Problem> {
    let delivery = command(&app, &editor, id, DeliveryCommand::Cancel).await?;
    Ok(Json(view(&app, &caller, &delivery)))
}

async fn command(app: &App, editor: &Editor, id: Ulid, command: DeliveryCommand) -> Result<Delivery, Problem> {
    let lease = app.lease;
    let delivery = app.read_state(move |store| store.command_delivery(lease, id, command, clock::now())).await?;
    let action = if command == DeliveryCommand::Retry { "outbox.retry" } else { "outbox.cancel" };
    app.registry.apply(Vec::new(), Some(editor.entry(action, id, &json!({})))).await?;
    Ok(delivery)
}
