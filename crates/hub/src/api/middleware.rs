//! What happens around every request: an id, a log line, a count, headers that keep browsers careful, and errors as problems.

use super::TIMEOUT;
use super::problem::{PROBLEM_JSON, Problem};
use crate::app::App;
use crate::ids;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use std::any::Any;
use std::sync::Arc;
use std::time::Instant;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tracing::Instrument;

/// The header that names a request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// A problem of another crate's routes is a few hundred bytes.
const PROBLEM_LIMIT: usize = 64 * 1024;

/// Puts the middlewares around the routes.
pub(super) fn wrap(routes: Router, app: &Arc<App>) -> Router {
    routes
        .layer(from_fn(time_limit))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(name_problems))
        .layer(CompressionLayer::new())
        .layer(from_fn(careful))
        .layer(from_fn_with_state(Arc::clone(app), observe))
}

/// The name of a request.
#[derive(Debug, Clone)]
struct RequestId(Arc<str>);

/// Names the request, and counts and logs its answer.
async fn observe(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let id: Arc<str> = ids::fresh().to_string().into();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    request.extensions_mut().insert(RequestId(Arc::clone(&id)));
    let begun = Instant::now();
    let mut response = next.run(request).instrument(tracing::error_span!("request", id = &*id)).await;
    let (took, status) = (begun.elapsed(), response.status());
    app.measure.request(status.as_u16(), took);
    tracing::debug!(request_id = &*id, %method, path, status = status.as_u16(), took_us = took.as_micros(), "answered");
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// Writes the request's name into problems, so that a person can quote what the log knows it by.
async fn name_problems(request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().map(|id| id.0.to_string());
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        return with_body(response, serde_json::to_vec(&Problem { request_id: id.map(Into::into), ..problem }));
    }
    let is_problem = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == PROBLEM_JSON);
    if !is_problem {
        return response;
    }
    // One of the agents' routes, whose crate does not know of requests' names.
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, PROBLEM_LIMIT).await.unwrap_or_default();
    let mut fields: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&bytes).unwrap_or_default();
    fields.insert("request_id".to_owned(), id.into());
    fields.entry("errors").or_insert_with(|| serde_json::json!([]));
    with_body(Response::from_parts(parts, Body::empty()), serde_json::to_vec(&fields))
}

fn with_body(mut response: Response, bytes: serde_json::Result<Vec<u8>>) -> Response {
    *response.body_mut() = Body::from(bytes.unwrap_or_default());
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response
}

/// Headers that keep browsers from guessing and leaking.
async fn careful(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Ends requests that take too long, but for live connections.
async fn time_limit(request: Request, next: Next) -> Response {
    if request.headers().contains_key(header::UPGRADE) {
        return next.run(request).await;
    }
    match tokio::time::timeout(TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_late) => Problem::unavailable("the request took too long; ask for less at once").into_response(),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the layer's signature")]
fn panicked(cause: Box<dyn Any + Send + 'static>) -> Response {
    let text = cause.downcast_ref::<String>().map(String::as_str).or_else(|| cause.downcast_ref::<&str>().copied());
    tracing::error!(cause = text.unwrap_or("unknown"), "a request panicked");
    let detail = "something went wrong inside the hub; its log says what";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The hub failed", detail).into_response()
}

/// The answer to a path below the base that does not exist.
pub(super) async fn unknown_route(request: Request) -> Problem {
    Problem::not_found(&format!("route {}", request.uri().path()))
}

/// The answer to a method that a path does not know; the router adds `Allow`.
pub(super) async fn unknown_method(method: Method) -> Problem {
    let detail = format!("this path does not answer {method}; the header Allow says what it answers");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed", detail)
}
