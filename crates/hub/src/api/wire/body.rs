//! Bodies of changes: what a GET gave may be sent back as it is, so fields that are only read are taken out before the rest is
//! held to the letter. A patch is laid over the object as it is shown.

use crate::api::extract::from_json;
use crate::api::problem::Problem;
use axum::body::{Body, to_bytes};
use axum::extract::FromRequest;
use axum::http::Request;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A JSON object as it was sent.
pub(crate) type Object = Map<String, Value>;

/// The longest body of a request that may have none: a note.
const SMALL_BODY: usize = 64 * 1024;

/// Reads `object` without its read-only fields, naming the field that does not fit.
pub(crate) fn typed<T: DeserializeOwned>(mut object: Object, read_only: &[&str]) -> Result<T, Problem> {
    for field in read_only {
        object.remove(*field);
    }
    let bytes = serde_json::to_vec(&object).map_err(|error| Problem::internal(&error))?;
    from_json(&bytes).map_err(without_places)
}

/// Faults without the lines and columns of a text that nobody has sent.
fn without_places(mut problem: Problem) -> Problem {
    for fault in &mut problem.errors {
        if let Some(at) = fault.detail.rfind(" at line ") {
            fault.detail.truncate(at);
        }
    }
    if problem.errors.is_empty() { problem } else { Problem::invalid(problem.errors) }
}

/// The object as it is shown, with the fields of `patch` in the place of its own.
pub(crate) fn patched(shown: &impl Serialize, patch: Object) -> Result<Object, Problem> {
    match serde_json::to_value(shown).map_err(|error| Problem::internal(&error))? {
        Value::Object(mut object) => {
            object.extend(patch);
            Ok(object)
        }
        _ => Ok(patch),
    }
}

/// What is shown, without the fields that are only read.
pub(crate) fn without(shown: &impl Serialize, read_only: &[&str]) -> Value {
    let mut value = serde_json::to_value(shown).unwrap_or_default();
    if let Value::Object(object) = &mut value {
        object.retain(|name, _| !read_only.contains(&name.as_str()));
    }
    value
}

/// A JSON body that may be left out.
#[derive(Debug)]
pub(crate) struct OptionalJson<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, _state: &S) -> Result<Self, Problem> {
        let bytes = to_bytes(request.into_body(), SMALL_BODY).await;
        let bytes = bytes
            .map_err(|_too_long| Problem::bad_request(format!("the body is longer than {SMALL_BODY} bytes, or was cut off")))?;
        if bytes.iter().all(u8::is_ascii_whitespace) { Ok(Self(T::default())) } else { from_json(&bytes).map(Self) }
    }
}
