//! The HTTP face of the hub: routes, their middlewares, and the pages of the UI.
//!
//! Who may do what stands in `access`, how errors look in `problem`, how requests are read in `extract`; each other file
//! is one kind of object.

mod access;
mod agents;
mod auth;
mod banner;
mod channels;
mod charts;
mod events;
mod extract;
mod fleet;
mod forecasts;
mod front;
mod health;
mod history;
mod incidents;
mod latest;
mod live;
mod middleware;
mod openapi;
mod outbox;
mod people;
mod preview;
pub mod problem;
mod routes;
mod rules;
mod settings;
mod signed;
mod silences;
mod system;
mod thresholds;
pub mod time;
mod tokens;
mod ui;
mod validator;
mod wire;

pub use access::access_table;
pub(crate) use channels::{declared_channel, shown_channel};
pub use front::Front;
pub use health::readiness;
pub(crate) use preview::summary;
pub(crate) use routes::{declared_routes, shown_routes};
pub(crate) use silences::{declared_silence, shown_silence};
pub(crate) use thresholds::unfit_levels;
pub(crate) use wire::change::turn;
pub(crate) use wire::names::file_part;
pub(crate) use wire::replay::Replay;
pub(crate) use wire::rule::{Needs, RuleBody, read as read_rule};

use crate::app::App;
use axum::Router;
use nightbell_ingest::Endpoints;
use std::sync::Arc;
use tokio::sync::watch;
use utoipa_axum::router::OpenApiRouter;

/// The longest that an ordinary request may take; exports and live connections are not bound by it.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);

/// Under which paths the API stands: by its version, and by whichever is newest.
const BASES: [&str; 2] = ["/api/v1", "/api"];

/// Everything that a hub answers. `stop` ends the connections that stay open.
pub fn front(app: Arc<App>, stop: watch::Receiver<bool>) -> Front {
    let (api, document) = routes(&app, stop).split_for_parts();
    let text = openapi::Text::of(&openapi::finish(document));
    let api = api
        .layer(axum::Extension(text))
        .route_layer(axum::middleware::from_fn_with_state(Arc::clone(&app), access::check))
        .with_state(Arc::clone(&app));
    let api = api.fallback(middleware::unknown_route).method_not_allowed_fallback(middleware::unknown_method);
    let health = Router::from(health::routes()).method_not_allowed_fallback(middleware::unknown_method);
    let people = Router::new()
        .nest(BASES[0], api.clone())
        .nest(BASES[1], api)
        .merge(health.with_state(Arc::clone(&app)))
        .merge(signed::routes().with_state(Arc::clone(&app)))
        .fallback(ui::serve);
    let endpoints = endpoints(&app);
    let agents = endpoints.router(&BASES).method_not_allowed_fallback(middleware::unknown_method);
    let router = middleware::compressed(middleware::wrap(people, &app)).merge(middleware::wrap(agents, &app));
    Front::new(router, endpoints, app)
}

/// The agents' routes alone, for the agent in this process.
pub fn agents_only(app: &App) -> Router {
    endpoints(app).router(&BASES[..1])
}

fn endpoints(app: &App) -> Endpoints {
    Endpoints::new(Arc::clone(&app.port) as Arc<dyn nightbell_ingest::HubPort>)
}

/// Every documented route below the base.
fn routes(app: &Arc<App>, stop: watch::Receiver<bool>) -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(openapi::frame())
        .merge(auth::routes())
        .merge(people::routes())
        .merge(tokens::routes())
        .merge(settings::routes())
        .merge(system::routes())
        .merge(health::routes())
        .merge(openapi::routes())
        .merge(live::routes(app, stop))
        .merge(agents::routes())
        .merge(history::routes())
        .merge(latest::routes())
        .merge(fleet::routes())
        .merge(forecasts::routes())
        .merge(charts::routes())
        .merge(thresholds::routes())
        .merge(preview::routes())
        .merge(rules::routes())
        .merge(channels::routes())
        .merge(routes::routes())
        .merge(banner::routes())
        .merge(silences::routes())
        .merge(incidents::routes())
        .merge(events::routes())
        .merge(outbox::routes())
}
