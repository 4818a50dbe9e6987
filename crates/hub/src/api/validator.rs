//! Answers about the past that need not be sent again: a validator (ETag) that changes whenever the answer may, and `304` for
//! whoever has it already (RFC 9110, sections 8.8.3 and 13.1.2). What is still growing has none and is not kept by anybody.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use nightbell_model::Timestamp;
use nightbell_store::SealPolicy;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The validator of an answer. It is a weak one: the same answer may be sent packed or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Validator(String);

/// Whether a span that ends at `until` may be closed: the newest block that history is sealed in is still open. Where it cannot be, nobody need be asked.
pub(super) const fn may_be_closed(until: Timestamp, now: Timestamp) -> bool {
    until.as_millis() <= now.floor_to(SealPolicy::YOUNG_MS).as_millis()
}

impl Validator {
    /// The validator of an answer that depends on these parts, and on this version of the program.
    pub(super) fn of(parts: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        (parts, env!("CARGO_PKG_VERSION")).hash(&mut hasher);
        Self(format!("W/\"{:016x}\"", hasher.finish()))
    }

    /// Whether the client has this answer.
    fn is_known(&self, headers: &HeaderMap) -> bool {
        let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        let lists = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        lists.flat_map(|list| list.split(',')).any(|tag| tag.trim() == "*" || opaque(tag) == opaque(&self.0))
    }

    /// The answer for a client that has it already.
    pub(super) fn unless_known(&self, headers: &HeaderMap) -> Option<Response> {
        self.is_known(headers).then(|| self.sign(StatusCode::NOT_MODIFIED.into_response()))
    }

    /// The answer with its validator.
    pub(super) fn sign(&self, mut response: Response) -> Response {
        if let Ok(tag) = HeaderValue::from_str(&self.0) {
            response.headers_mut().insert(header::ETAG, tag);
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_validator_is_known_in_any_list_and_form() {
        let validator = Validator::of((1, "a"));
        let tag = validator.0.clone();
        assert!(tag.starts_with("W/\"") && Validator::of((1, "b")) != validator && Validator::of((1, "a")) == validator);
        let known = |text: &str| {
            let headers: HeaderMap = [(header::IF_NONE_MATCH, HeaderValue::from_str(text).expect("text"))].into_iter().collect();
            validator.is_known(&headers)
        };
        assert!(known(&tag) && known("*") && known(&format!("\"x\", {tag}")) && known(tag.trim_start_matches("W/")));
        assert!(!known("\"x\"") && !known("") && !validator.is_known(&HeaderMap::new()));
    }

    #[test]
    fn the_newest_quarter_is_open() {
        let at = Timestamp::from_secs;
        assert!(may_be_closed(at(7_200), at(7_201)));
        assert!(!may_be_closed(at(7_201), at(8_099)));
        assert!(may_be_closed(at(7_201), at(8_100)));
    }
}
