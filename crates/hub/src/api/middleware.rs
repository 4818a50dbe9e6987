//! What happens around every request: an id, a log line, a count, headers that keep browsers careful, and errors as problems.

use super::TIMEOUT;
use super::problem::{PROBLEM_JSON, Problem};
use crate::app::App;
use crate::ids;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;
use tower_http::compression::CompressionLayer;
use tracing::Instrument;

/// The header that names a request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// A problem of another crate's routes is a few hundred bytes.
const PROBLEM_LIMIT: usize = 64 * 1024;
/// How many headers an answer gets here; room for them is made once.
const HEADERS: usize = 6;

/// Puts what every request has around the routes, in one layer.
pub(super) fn wrap(routes: Router, app: &Arc<App>) -> Router {
    routes.layer(from_fn_with_state(Arc::clone(app), around))
}

/// Compresses answers for those who take them so: people's, not agents', whose answers are a few bytes.
pub(super) fn compressed(routes: Router) -> Router {
    routes.layer(CompressionLayer::new())
}

/// Names the request, sees to its answer whatever happens, and counts and logs it.
async fn around(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let id = ids::fresh().to_string();
    let asked = tracing::enabled!(tracing::Level::DEBUG).then(|| (request.method().clone(), request.uri().path().to_owned()));
    let begun = Instant::now();
    let answered = answer(request, next).instrument(tracing::error_span!("request", id)).await;
    let mut response = name_problem(answered, &id).await;
    careful(response.headers_mut());
    let (took, status) = (begun.elapsed(), response.status());
    app.measure.request(status.as_u16(), took);
    if let Some((method, path)) = asked {
        tracing::debug!(request_id = id, %method, path, status = status.as_u16(), took_us = took.as_micros(), "answered");
    }
    named(response, id)
}

/// The same around heartbeats that are being answered, as far as it concerns them: nothing on their way writes lines that would want
/// the request's name, their waits have bounds of their own, and no browser reads the answers.
pub(super) async fn briefly(app: &App, answering: impl Future<Output = Response>) -> Response {
    let id = ids::fresh().to_string();
    let begun = Instant::now();
    let answered = AssertUnwindSafe(answering).catch_unwind().await;
    let answered = answered.unwrap_or_else(|cause| tracing::error_span!("request", id).in_scope(|| panicked(&*cause)));
    let mut response = if answered.status().is_success() { answered } else { name_problem(answered, &id).await };
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let (took, status) = (begun.elapsed(), response.status());
    app.measure.request(status.as_u16(), took);
    tracing::debug!(request_id = id, status = status.as_u16(), took_us = took.as_micros(), "heartbeats answered");
    named(response, id)
}

/// The answer with the request's name in it.
fn named(mut response: Response, id: String) -> Response {
    if let Ok(value) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// The answer, also to requests that take too long (live connections may) or that panic.
async fn answer(request: Request, next: Next) -> Response {
    let is_live = request.headers().contains_key(header::UPGRADE);
    let answering = AssertUnwindSafe(next.run(request)).catch_unwind();
    let answered = if is_live { Ok(answering.await) } else { tokio::time::timeout(TIMEOUT, answering).await };
    match answered {
        Ok(Ok(response)) => response,
        Ok(Err(cause)) => panicked(&*cause),
        Err(_late) => Problem::unavailable("the request took too long; ask for less at once").into_response(),
    }
}

/// Writes the request's name into problems, so that a person can quote what the log knows it by.
async fn name_problem(mut response: Response, id: &str) -> Response {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        return with_body(response, serde_json::to_vec(&Problem { request_id: Some(id.into()), ..problem }));
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
fn careful(headers: &mut HeaderMap) {
    headers.reserve(HEADERS);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

fn panicked(cause: &(dyn Any + Send)) -> Response {
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
