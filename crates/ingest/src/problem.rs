//! Errors of the HTTP way as problem details (RFC 9457) with a stable code.

use crate::port::Refusal;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use nightbell_protocol::DecodeError;

/// An error answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    code: String,
    detail: String,
    /// The field that it is about, as a JSON pointer (RFC 6901); empty where it is the whole body.
    pointer: Option<String>,
    retry_after_s: Option<u64>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { status, code: code.into(), detail: detail.into(), pointer: None, retry_after_s: None }
    }

    /// The same, about a field of the body.
    pub(crate) fn at(self, pointer: impl Into<String>) -> Self {
        Self { pointer: Some(pointer.into()), ..self }
    }

    /// 422: readable, but a field cannot be accepted.
    pub(crate) fn invalid(code: &str, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail).at(pointer)
    }

    /// 401: no credential, or a wrong one.
    pub(crate) fn unauthorized(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, detail)
    }

    /// 429: more heartbeats than an agent may send.
    pub(crate) fn too_fast(wait_ms: u64) -> Self {
        let detail = "too many heartbeats: 1,000 a second, or 10,000 at once after a rest";
        Self {
            retry_after_s: Some(wait_ms.div_ceil(1000)),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail)
        }
    }

    /// 503: not now.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self { retry_after_s: Some(1), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail) }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.code.as_str() {
            "unavailable" => return Self::unavailable(refusal.message),
            "internal" => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::UNAUTHORIZED,
        };
        Self::new(status, refusal.code, refusal.message)
    }
}

impl From<DecodeError> for Problem {
    fn from(error: DecodeError) -> Self {
        let status = match error.code {
            "malformed" => StatusCode::BAD_REQUEST,
            "too_large" | "too_many" => StatusCode::PAYLOAD_TOO_LARGE,
            _ => return Self::invalid(error.code, error.pointer, error.message),
        };
        Self::new(status, error.code, error.message)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let errors: Vec<_> =
            self.pointer.iter().map(|pointer| serde_json::json!({"pointer": pointer, "detail": self.detail})).collect();
        let body = serde_json::json!({
            "type": format!("/problems/{}", self.code),
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code,
            "errors": errors,
        });
        let mut response = (self.status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
