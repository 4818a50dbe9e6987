//! The description of the API: OpenAPI 3.1, made from the handlers, with what holds for all of them added here.

use super::access::{self, Need};
use super::problem::{Fault, PROBLEM_JSON, Problem};
use crate::app::App;
use axum::Extension;
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, ResponseBuilder, ServerBuilder,
};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The document before any route is in it.
pub(super) fn frame() -> OpenApi {
    let licence = LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build();
    let info = InfoBuilder::new()
        .title("Nightbell")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "A self-hosted fleet monitor: agents, history, rules, incidents, channels. Errors are problem details (RFC 9457). \
             The paths under `health` also answer without the base.",
        ))
        .license(Some(licence));
    let server = ServerBuilder::new().url("/api/v1").description(Some("This hub")).build();
    OpenApiBuilder::new().info(info.build()).servers(Some([server])).build()
}

/// Adds what holds everywhere: who may call it, and how errors look.
pub(super) fn finish(mut document: OpenApi) -> OpenApi {
    let components = document.components.get_or_insert_default();
    components.schemas.insert(Problem::name().into_owned(), Problem::schema());
    components.schemas.insert(Fault::name().into_owned(), Fault::schema());
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An API token")).build();
    components.add_security_scheme("token", SecurityScheme::Http(bearer));
    let cookie =
        ApiKey::Cookie(ApiKeyValue::with_description("nightbell_session", "A browser's session; `__Host-nightbell` over https"));
    components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            complete(&method, path, operation);
        }
    }
    super::wire::agent_routes::describe(&mut document);
    document
}

fn complete(method: &Method, path: &str, operation: &mut Operation) {
    let public = access::need(method, path) == Some(Need::Public);
    operation.security = Some(if public {
        vec![SecurityRequirement::default()]
    } else {
        let none: [&str; 0] = [];
        vec![SecurityRequirement::new("token", none), SecurityRequirement::new("session", none)]
    });
    let problem = ResponseBuilder::new()
        .description("What went wrong, as problem details")
        .content(PROBLEM_JSON, ContentBuilder::new().schema(Some(Ref::from_schema_name(Problem::name()))).build());
    operation.responses.responses.entry("default".to_owned()).or_insert(RefOr::T(problem.build()));
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    [
        (Method::GET, item.get.as_mut()),
        (Method::POST, item.post.as_mut()),
        (Method::PUT, item.put.as_mut()),
        (Method::PATCH, item.patch.as_mut()),
        (Method::DELETE, item.delete.as_mut()),
    ]
    .into_iter()
    .filter_map(|(method, operation)| operation.map(|operation| (method, operation)))
}

/// The finished text: it is made once, not at each request.
#[derive(Debug, Clone)]
pub(super) struct Text(Arc<str>);

impl Text {
    /// The text of a finished document.
    pub(super) fn of(document: &OpenApi) -> Self {
        Self(
            document
                .to_json()
                .unwrap_or_else(|error| {
                    tracing::error!(%error, "the description of the API cannot be written");
                    String::new()
                })
                .into(),
        )
    }
}

/// Describes the API
#[utoipa::path(get, path = "/openapi.json", tag = "system", responses((status = 200, description = "This document, OpenAPI 3.1", body = Object)))]
async fn describe(Extension(text): Extension<Text>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text.0.to_string()).into_response()
}

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(describe))
}
