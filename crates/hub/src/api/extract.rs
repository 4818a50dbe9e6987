//! Reading requests: bodies, queries, ids and who asks, with an error that names the field.

use super::problem::{Fault, Problem};
use super::time;
use super::wire::filter::{self, Filter};
use super::wire::paging;
use crate::auth::Principal;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Request, StatusCode, header};
use nightbell_model::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use std::str::FromStr;

/// The largest body of an ordinary request: a rule is a kilobyte, a channel less.
const BODY_LIMIT: usize = 1 << 20;
/// How many rows a list gives at most, and by default.
const LIMIT_MOST: usize = 500;
const LIMIT_DEFAULT: usize = 50;

/// A JSON body. Types that refuse unknown fields make typing errors errors.
#[derive(Debug)]
pub(crate) struct ApiJson<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for ApiJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, _state: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        let essence = kind.split(';').next().unwrap_or("").trim();
        if !(essence.is_empty() || essence == "application/json" || essence.ends_with("+json")) {
            let detail = format!("the body is {essence}; send application/json");
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "Not JSON", detail));
        }
        let bytes = to_bytes(request.into_body(), BODY_LIMIT).await.map_err(|_too_long| {
            let detail = format!("the body is longer than {BODY_LIMIT} bytes, or was cut off");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", "Too long", detail)
        })?;
        from_json(&bytes).map(Self)
    }
}

/// Reads JSON, naming the field that does not fit.
pub(crate) fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // The reader would take a list for the fields of an object in their order.
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        return Err(Problem::invalid_field("", "the body is a list and should be an object"));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let (mut pointer, inner) = (pointer(error.path()), error.into_inner());
        if inner.is_data() {
            let why = without_place(&inner);
            if let Some(field) = missing_field(&why) {
                pointer = format!("{pointer}/{field}");
            }
            Problem::invalid_field(&pointer, why)
        } else {
            Problem::bad_request(format!("the body is not JSON: {inner}"))
        }
    })?;
    reader.end().map_err(|error| Problem::bad_request(format!("the body goes on after its JSON value: {error}")))?;
    Ok(value)
}

/// What is wrong without its place in the text: a pointer says it better.
fn without_place(error: &serde_json::Error) -> String {
    let (why, place) = (error.to_string(), format!(" at line {} column {}", error.line(), error.column()));
    why.strip_suffix(&place).map_or_else(|| why.clone(), str::to_owned)
}

/// The field that serde's derive says is missing: its path ends at the object that lacks it.
fn missing_field(why: &str) -> Option<&str> {
    named_field(why).filter(|_| why.starts_with("missing field"))
}

/// The field that serde's derive speaks of.
fn named_field(why: &str) -> Option<&str> {
    why.split_once("field `")?.1.split('`').next()
}

/// A path of the reader as a JSON pointer.
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } | Segment::Enum { variant: key } => {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Unknown => {}
        }
    }
    pointer
}

/// A query string. Unknown parameters are refused by the types.
#[derive(Debug)]
pub(crate) struct ApiQuery<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let pairs = url::form_urlencoded::parse(parts.uri.query().unwrap_or("").as_bytes());
        let reader = serde_urlencoded::Deserializer::new(pairs);
        serde_path_to_error::deserialize(reader).map(Self).map_err(|error| {
            let (path, why) = (error.path().to_string(), error.into_inner().to_string());
            let name = if path == "." { named_field(&why).unwrap_or("query") } else { path.as_str() };
            Problem::invalid(vec![Fault::new(name, why.clone())])
        })
    }
}

/// An id in the path. What is no id names nothing.
#[derive(Debug)]
pub(crate) struct ApiPath<T>(pub(crate) T);

impl<S: Send + Sync, T: FromStr + Send> FromRequestParts<S> for ApiPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = Path::<String>::from_request_parts(parts, state).await;
        text.ok().and_then(|Path(text)| text.parse().ok()).map(Self).ok_or_else(|| Problem::not_found("object"))
    }
}

/// Who asks, as the access check found out.
#[derive(Debug, Clone)]
pub(crate) struct Caller(pub(crate) Principal);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let found = parts.extensions.get::<Principal>().cloned();
        found.map(Self).ok_or_else(|| Problem::unauthorized("log in or send an API token"))
    }
}

/// From where a request came.
#[derive(Debug, Clone)]
pub(crate) struct Remote(pub(crate) String);

impl<S: Sync> FromRequestParts<S> for Remote {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let peer = parts.extensions.get::<axum::extract::ConnectInfo<std::net::SocketAddr>>();
        Ok(Self(peer.map_or_else(String::new, |peer| peer.0.ip().to_string())))
    }
}

/// A moment in a query or a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) Timestamp);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Text(String),
            Number(f64),
        }
        let text = match Either::deserialize(deserializer)? {
            Either::Text(text) => text,
            Either::Number(number) => number.to_string(),
        };
        time::moment(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// A duration such as `"5m"` in a query or a body, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) i64);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        time::duration_ms(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

impl Serialize for Span {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&time::duration_text(self.0))
    }
}

/// A number in a query, which comes as text.
pub(crate) fn number<'de, D: Deserializer<'de>, T: FromStr>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T::Err: std::fmt::Display,
{
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| text.trim().parse().map_err(|error| serde::de::Error::custom(format!("{text:?} is no number: {error}"))))
        .transpose()
}

/// The size of a page, from what was asked for.
///
/// # Errors
/// When it is out of range.
pub(crate) fn page_size(asked: Option<usize>) -> Result<usize, Problem> {
    match asked.unwrap_or(LIMIT_DEFAULT) {
        size @ 1..=LIMIT_MOST => Ok(size),
        size => Err(Problem::invalid_field("limit", format!("{size} is not between 1 and {LIMIT_MOST}"))),
    }
}

/// A cursor from what was asked for.
///
/// # Errors
/// When it is none of ours.
pub(crate) fn cursor(asked: Option<&str>) -> Result<Option<u64>, Problem> {
    let read = |text: &str| text.strip_prefix('c').and_then(|digits| digits.parse().ok());
    asked
        .map(|text| read(text).ok_or_else(|| Problem::invalid_field("cursor", "this is not a next_cursor of this list")))
        .transpose()
}

/// Which page of a list that knows no other question.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageParams {
    /// At most so many, 1 to 500.
    #[serde(default, deserialize_with = "number")]
    pub(crate) limit: Option<usize>,
    /// The `next_cursor` of the page before.
    #[serde(default)]
    pub(crate) cursor: Option<String>,
    /// By which field; with a minus in front descending.
    #[serde(default)]
    pub(crate) sort: Option<String>,
    /// Words that each row must have: `field:text`, or text in some field.
    #[serde(default)]
    pub(crate) filter: Option<String>,
}

impl PageParams {
    /// The page of rows that are kept in memory, by one of the fields `sorts` if that is asked for, else in the order of the text
    /// that names each, or against it. These lists are short, and whoever does not say how much is wanted gets as much as may be.
    ///
    /// # Errors
    /// When a parameter cannot be used.
    pub(crate) fn page<R: Serialize>(
        &self,
        rows: impl Iterator<Item = (String, R)>,
        descending: bool,
        sorts: &[&str],
    ) -> Result<Listing<R>, Problem> {
        let filter = Filter::read(self.filter.as_deref())?;
        let order = filter::order(self.sort.as_deref(), sorts)?;
        let rows = rows.filter(|(_, row)| filter.admits(row)).map(|(name, row)| match order {
            Some((field, _)) => ((filter::place(&filter::fields(&row), field), name), row),
            None => ((name, String::new()), row),
        });
        let descending = order.map_or(descending, |(_, descending)| descending);
        paging::page(rows.collect(), descending, page_size(self.limit.or(Some(LIMIT_MOST)))?, self.cursor.as_deref())
    }
}

/// A page of a list.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub(crate) struct Listing<T> {
    /// The rows.
    pub(crate) items: Vec<T>,
    /// What to send as `cursor` for the next page; `null` at the end.
    pub(crate) next_cursor: Option<String>,
}

impl<T> Listing<T> {
    /// A page of the store, each row as the API shows it.
    pub(crate) fn of<R>(page: nightbell_store::Page<R>, show: impl FnMut(R) -> T) -> Self {
        Self { items: page.items.into_iter().map(show).collect(), next_cursor: page.next.map(|next| format!("c{next}")) }
    }

    /// The rows of the page that have all words: a page may be shorter than was asked for, and there may be more behind it.
    pub(crate) fn filtered(mut self, filter: &Filter) -> Self
    where
        T: Serialize,
    {
        self.items.retain(|row| filter.admits(row));
        self
    }

    /// Everything there is.
    pub(crate) const fn whole(items: Vec<T>) -> Self {
        Self { items, next_cursor: None }
    }
}

/// A strong entity tag of an object's version.
pub(crate) fn etag(id: impl std::fmt::Display, version: u64) -> String {
    format!("\"{id}-{version}\"")
}

/// A strong entity tag of an object that has no version: it is made of what the object says.
pub(crate) fn etag_of(name: &str, body: &impl Serialize) -> String {
    let text = serde_json::to_string(body).unwrap_or_default();
    format!("\"{name}-{:08x}\"", crc32fast::hash(text.as_bytes()))
}

/// Holds `If-Match` against the object as it is.
///
/// # Errors
/// When the client has read an older one.
pub(crate) fn check_if_match(headers: &HeaderMap, current: &str) -> Result<(), Problem> {
    let Some(wanted) = headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok()) else { return Ok(()) };
    let fits = wanted.split(',').map(str::trim).any(|tag| tag == "*" || tag == current);
    if fits { Ok(()) } else { Err(Problem::stale()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        count: u32,
    }

    #[test]
    fn the_field_that_does_not_fit_is_named() {
        let good: Outer = from_json(br#"{"inner":[{"count":1}]}"#).expect("fits");
        assert_eq!(good.inner[0].count, 1);
        for (text, pointer) in [
            (r#"{"inner":[{"count":-1}]}"#, "/inner/0/count"),
            (r#"{"inner":[{"count":1,"x/y":2}]}"#, "/inner/0/x~1y"),
            (r#"{"inner":3}"#, "/inner"),
            (r#"{}"#, "/inner"),
            (r#"{"inner":[{}]}"#, "/inner/0/count"),
            ("[]", ""),
        ] {
            let problem = from_json::<Outer>(text.as_bytes()).expect_err(text);
            assert_eq!((problem.status, problem.errors[0].pointer.as_str()), (422, pointer), "{text}");
            assert!(!problem.errors[0].detail.contains(" line "), "{problem:?}");
        }
        assert_eq!(from_json::<Outer>(b"{\"inner\":[").expect_err("cut off").status, 400);
        assert_eq!(from_json::<Outer>(b"{\"inner\":[]} x").expect_err("more").status, 400);
    }

    #[test]
    fn pages_and_cursors_out_of_range_are_refused() {
        assert_eq!(page_size(None), Ok(50));
        assert!(page_size(Some(0)).is_err() && page_size(Some(501)).is_err());
        assert_eq!(cursor(Some("c12")), Ok(Some(12)));
        assert!(cursor(Some("12")).is_err() && cursor(Some("cx")).is_err());
    }
}
