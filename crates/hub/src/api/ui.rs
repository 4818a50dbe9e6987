//! The pages of the UI, embedded in the program.

use super::problem::Problem;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use nightbell_ui::Asset;

/// Answers everything that no route answers: a file of the UI, else its page, which finds its own way from the path.
pub(super) async fn serve(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if !matches!(method, Method::GET | Method::HEAD) || (uri.path() == "/api" || uri.path().starts_with("/api/")) {
        return Problem::not_found(&format!("route {}", uri.path())).into_response();
    }
    let gzip =
        headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).is_some_and(|text| text.contains("gzip"));
    let path = uri.path().trim_start_matches('/');
    let file = nightbell_ui::asset(path, gzip);
    if file.is_none() && path.rsplit('/').next().is_some_and(|name| name.contains('.')) {
        return Problem::not_found(&format!("file {}", uri.path())).into_response();
    }
    answer(file.unwrap_or_else(nightbell_ui::index), &headers)
}

fn answer(asset: Asset, headers: &HeaderMap) -> Response {
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let unchanged = known == Some(asset.etag.as_str());
    let cache = if asset.immutable { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response =
        if unchanged { StatusCode::NOT_MODIFIED.into_response() } else { asset.bytes.into_owned().into_response() };
    let mut set = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    };
    set(header::ETAG, &asset.etag);
    set(header::CACHE_CONTROL, cache);
    set(header::VARY, "accept-encoding");
    set(header::CONTENT_SECURITY_POLICY, nightbell_ui::CSP);
    if !unchanged {
        set(header::CONTENT_TYPE, asset.content_type);
        if asset.gzip {
            set(header::CONTENT_ENCODING, "gzip");
        }
    }
    response
}
