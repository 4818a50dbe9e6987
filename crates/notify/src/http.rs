//! The one way out over HTTP: guarded addresses, no redirects, no proxies from the environment, a time limit, a small part of
//! the answer read. What a status means is decided here, once for all services that speak HTTP.

#[cfg(test)]
mod tests;

use crate::delivery::{Outcome, with_receivers_words};
use crate::guard::{Guard, Refusal, ResolveError};
use crate::notifier::{NotifierError, NotifierOptions};
use crate::page::clean;
use chrono::{DateTime, Utc};
use reqwest::header::{DATE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Client, ClientBuilder, Method, RequestBuilder, Response, StatusCode};
use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// How much of an answer is read: enough for a chat's copy of the longest message, which has the message's id in it.
const ANSWER_READ: usize = 64 * 1024;
/// How much of an answer is kept and shown.
const ANSWER_KEPT: usize = 256;
/// The longest a connection may take to come up, within the whole time limit.
const LONGEST_CONNECT: Duration = Duration::from_secs(10);
/// Connections are kept open this long, so that a burst of pages shares one.
const IDLE: Duration = Duration::from_secs(10);

/// What a receiver answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The first [`ANSWER_READ`] bytes.
    pub(crate) body: Vec<u8>,
}

/// Clients that may reach the internet only, and private networks as well. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    strict: (Client, Guard),
    lenient: (Client, Guard),
}

impl Http {
    pub(crate) fn new(options: &NotifierOptions, strict: Guard, lenient: Guard) -> Result<Self, NotifierError> {
        Ok(Self { strict: (client(options, strict.clone())?, strict), lenient: (client(options, lenient.clone())?, lenient) })
    }

    const fn side(&self, allow_private: bool) -> &(Client, Guard) {
        if allow_private { &self.lenient } else { &self.strict }
    }

    /// A POST to `url`, to be filled and handed to [`Self::send`].
    pub(crate) fn post(&self, allow_private: bool, url: &Url) -> RequestBuilder {
        self.request(allow_private, Method::POST, url)
    }

    /// A request to `url`, to be filled and handed to [`Self::send`].
    pub(crate) fn request(&self, allow_private: bool, method: Method, url: &Url) -> RequestBuilder {
        self.side(allow_private).0.request(method, url.clone())
    }

    /// Sends a request made by [`Self::request`] with the same `allow_private` and `url`.
    ///
    /// # Errors
    /// The outcome, if there was no answer.
    pub(crate) async fn send(&self, allow_private: bool, url: &Url, request: RequestBuilder) -> Result<Answer, Outcome> {
        let guard = &self.side(allow_private).1;
        guard.policy.check_literal(url.host()).map_err(|refusal| refused(&refusal))?;
        let response = request.send().await.map_err(|error| failure(url, error))?;
        Ok(read(response).await)
    }
}

/// A client that trusts the system's authorities and the configured ones. A system without any (a bare container) must not keep
/// the hub from starting, and not from speaking plain HTTP: there only the configured ones are trusted.
fn client(options: &NotifierOptions, guard: Guard) -> Result<Client, NotifierError> {
    let roots = |pem: &String| reqwest::Certificate::from_pem(pem.as_bytes()).map_err(NotifierError::Http);
    let roots = options.extra_roots_pem.iter().map(roots).collect::<Result<Vec<_>, _>>()?;
    match builder(options, guard.clone()).tls_certs_merge(roots.clone()).build() {
        Ok(client) => Ok(client),
        Err(error) => {
            tracing::warn!(error = chain(&error), "the system's certificates cannot be used: install ca-certificates");
            without_system_roots(options, guard, roots)
        }
    }
}

fn without_system_roots(
    options: &NotifierOptions,
    guard: Guard,
    roots: Vec<reqwest::Certificate>,
) -> Result<Client, NotifierError> {
    builder(options, guard).tls_certs_only(roots).build().map_err(NotifierError::Http)
}

fn builder(options: &NotifierOptions, guard: Guard) -> ClientBuilder {
    Client::builder()
        .user_agent(options.user_agent())
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .retry(reqwest::retry::never())
        .timeout(options.timeout)
        .connect_timeout(options.timeout.min(LONGEST_CONNECT))
        .pool_idle_timeout(IDLE)
        .dns_resolver(Arc::new(guard))
}

/// A text without anything a receiver should not be able to put into our logs, and without our own secrets.
pub(crate) fn presentable(words: &str, secrets: &[&str]) -> String {
    let mut words = words.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        words = words.replace(secret, "…");
    }
    let mut words = clean(&words);
    if words.len() > ANSWER_KEPT {
        words.truncate(words.floor_char_boundary(ANSWER_KEPT));
    }
    words
}

async fn read(mut response: Response) -> Answer {
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Vec::new();
    while body.len() < ANSWER_READ {
        // An answer whose status is known counts, even if the rest of it gets lost.
        let Ok(Some(chunk)) = response.chunk().await else { break };
        body.extend_from_slice(&chunk[..chunk.len().min(ANSWER_READ - body.len())]);
    }
    Answer { status, headers, body }
}

impl Answer {
    /// What this answer means for the delivery. `secrets` are taken out of what the receiver said.
    pub(crate) fn outcome(&self, host: &str, secrets: &[&str], now: DateTime<Utc>) -> Outcome {
        let status = self.status;
        let what = format!("{host} answered {status}");
        let error = with_receivers_words(&what, &self.words(secrets));
        match status.as_u16() {
            200..=299 => Outcome::sent(what),
            300..=399 => Outcome::broken(self.redirect(&what)),
            401 | 403 | 404 | 405 | 407 | 410 => Outcome::Broken { error },
            408 | 425 | 429 | 500.. => {
                Outcome::Retry { error, after: self.retry_after(now), ambiguous: status == StatusCode::GATEWAY_TIMEOUT }
            }
            _ => Outcome::Unacceptable { error },
        }
    }

    /// What the receiver said, as far as it is shown.
    pub(crate) fn words(&self, secrets: &[&str]) -> String {
        presentable(&String::from_utf8_lossy(&self.body), secrets)
    }

    fn redirect(&self, what: &str) -> String {
        let location = self.headers.get(LOCATION).and_then(|location| location.to_str().ok());
        let host = location.and_then(|location| Url::parse(location).ok()).and_then(|url| url.host_str().map(clean));
        let to = host.map_or_else(String::new, |host| format!(" to {host}"));
        format!("{what}, a redirect{to}: redirects are not followed, set the URL it leads to")
    }

    /// How long the receiver asks to wait: whole or broken seconds, or a date (RFC 9110, 10.2.3), counted by its own clock.
    pub(crate) fn retry_after(&self, now: DateTime<Utc>) -> Option<Duration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        if let Ok(seconds) = text.parse::<f64>() {
            return seconds_to_wait(seconds);
        }
        let now = self.headers.get(DATE).and_then(http_date).unwrap_or(now);
        let until = DateTime::parse_from_rfc2822(text).ok()?;
        Some(until.signed_duration_since(now).to_std().unwrap_or(Duration::ZERO))
    }
}

/// A wait of `seconds`, if that is a span of time.
pub(crate) fn seconds_to_wait(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}

fn http_date(value: &HeaderValue) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc2822(value.to_str().ok()?).ok()?.with_timezone(&Utc))
}

fn refused(refusal: &Refusal) -> Outcome {
    Outcome::broken(refusal.to_string())
}

/// The outcome of a lookup that gave no address to connect to.
pub(crate) fn unresolved(error: &ResolveError) -> Outcome {
    match error {
        ResolveError::Refused(refusal) => refused(refusal),
        ResolveError::Lookup(..) | ResolveError::Nothing(_) => Outcome::retry(error.to_string()),
    }
}

/// The outcome of a request that got no answer.
fn failure(url: &Url, error: reqwest::Error) -> Outcome {
    let error = error.without_url();
    if let Some(unresolvable) = causes(&error).find_map(|cause| cause.downcast_ref::<ResolveError>()) {
        return unresolved(unresolvable);
    }
    let host = url.host_str().unwrap_or_default();
    let timeout = error.is_timeout();
    if error.is_builder() {
        return Outcome::broken(format!("no request to {host} can be made: {}", chain(&error)));
    }
    if error.is_connect() {
        let why = if timeout { "it does not answer".to_owned() } else { chain(&error) };
        return Outcome::retry(format!("no connection to {host}: {why}"));
    }
    if timeout {
        return Outcome::ambiguous(format!("{host} did not answer in time"));
    }
    Outcome::ambiguous(format!("the connection to {host} broke before it answered: {}", chain(&error)))
}

/// An error, its cause, the cause of that, and so on.
pub(crate) fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let current = next?;
        next = current.source();
        Some(current)
    })
}

/// The innermost causes of an error, which say more than the outer ones.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut texts: Vec<String> = causes(error).map(ToString::to_string).collect();
    texts.dedup();
    let innermost = texts.len().saturating_sub(2);
    presentable(&texts[innermost..].join(": "), &[])
}
