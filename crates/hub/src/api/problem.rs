//! Errors as the API tells them: problem details (RFC 9457) with a stable code and the path of each field.
//!
//! What went wrong inside goes to the log, once; the client is told what it can do about it.

use crate::operations::OperationError;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use nightbell_store::StoreError;
use serde::Serialize;

/// The type of every error's body (RFC 9457, section 3).
pub const PROBLEM_JSON: &str = "application/problem+json";

/// One field that cannot be accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Fault {
    /// Where in the body, as a JSON pointer (RFC 6901), or the name of a query parameter.
    pub pointer: String,
    /// What is wrong and what would be right.
    pub detail: String,
}

impl Fault {
    /// A fault at `pointer`.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// An error answer. It is returned from almost every function of the API, so it is kept small.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// A URL path that names the kind of problem.
    #[serde(rename = "type")]
    pub kind: Box<str>,
    /// The kind in words.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// This case in words.
    pub detail: Box<str>,
    /// The kind as a stable word for programs.
    pub code: &'static str,
    /// Names this request in the hub's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<Box<str>>,
    /// The fields that cannot be accepted.
    pub errors: Vec<Fault>,
    /// After how many seconds to try again.
    #[serde(skip)]
    pub retry_after: Option<u32>,
}

impl Problem {
    /// A problem of a kind.
    pub fn new(status: StatusCode, code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("/problems/{code}").into(),
            title,
            status: status.as_u16(),
            detail: detail.into().into(),
            code,
            request_id: None,
            errors: Vec::new(),
            retry_after: None,
        }
    }

    /// 400: the request cannot be read.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", "The request cannot be read", detail)
    }

    /// 401: nobody has proved who they are.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Log in or send an API token", detail)
    }

    /// 403: not allowed.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Not allowed", detail)
    }

    /// 404: there is no such thing.
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not found", format!("there is no such {what}"))
    }

    /// 409: contradicts what is stored.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", "Contradicts what is stored", detail)
    }

    /// 412: changed since it was read.
    pub fn stale() -> Self {
        let detail = "the object has changed since it was read; read it again and repeat the change";
        Self::new(StatusCode::PRECONDITION_FAILED, "stale", "Changed in the meantime", detail)
    }

    /// 422: understood, but cannot be accepted; at least one fault.
    pub fn invalid(errors: Vec<Fault>) -> Self {
        let line = |fault: &Fault| match fault.pointer.as_str() {
            "" => fault.detail.clone(),
            pointer => format!("{pointer}: {}", fault.detail),
        };
        let detail = errors.iter().map(line).collect::<Vec<_>>().join("; ");
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Cannot be accepted", detail) }
    }

    /// 422 with one fault.
    pub fn invalid_field(pointer: &str, detail: impl Into<String>) -> Self {
        Self::invalid(vec![Fault::new(pointer, detail)])
    }

    /// 429: too often.
    pub fn too_many(detail: impl Into<String>, retry_after_s: u64) -> Self {
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "Too many requests", detail);
        Self { retry_after: Some(u32::try_from(retry_after_s).unwrap_or(u32::MAX)), ..problem }
    }

    /// 503: not now.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available now", detail);
        Self { retry_after: Some(5), ..problem }
    }

    /// 500: our fault. The error goes to the log.
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "a request failed");
        let detail = "something went wrong inside the hub; its log says what";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The hub failed", detail)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(why) => Self::conflict(why),
            StoreError::NotFound(what) => Self::not_found(&what),
            error @ StoreError::Unavailable { .. } => {
                tracing::error!(error = &error as &dyn std::error::Error, "the store is not available");
                Self::unavailable("the hub cannot reach its disk now; its log says why")
            }
            error @ StoreError::TooMuch { .. } => Self::invalid_field("metrics", error.to_string()),
            error @ StoreError::Stopping => Self::unavailable(error.to_string()),
            error @ StoreError::Corrupt { .. } => Self::internal(&error),
        }
    }
}

impl From<OperationError> for Problem {
    fn from(error: OperationError) -> Self {
        match error {
            OperationError::Refused { field, why } => Self::invalid_field(&format!("/{field}"), why),
            error @ OperationError::Chance(_) => Self::internal(&error),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, PROBLEM_JSON)], body).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"nightbell\""));
        }
        // The middleware that knows the request's id writes it into the body.
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_wrong_inside_stays_inside() {
        let source = || Box::new(std::io::Error::other("/var/lib/secret is full"));
        for (error, status) in [
            (StoreError::Unavailable { operation: "commit", source: source() }, 503),
            (StoreError::Corrupt { what: "the row /var/lib/secret".to_owned(), source: source() }, 500),
        ] {
            let problem = Problem::from(error);
            let text = serde_json::to_string(&problem).expect("JSON");
            assert_eq!(problem.status, status);
            assert!(!text.contains("secret"), "{text}");
        }
    }

    #[test]
    fn the_detail_says_each_fault_with_its_place() {
        let problem = Problem::invalid(vec![Fault::new("", "no object"), Fault::new("/for", "is negative")]);
        assert_eq!(&*problem.detail, "no object; /for: is negative");
    }
}
