//! Who sends a request: a program with an API token, or a browser with a session; and whether they still are who they were.

use crate::api::problem::Problem;
use crate::api::wire::change::turn;
use crate::app::App;
use crate::auth::token::{self, Kind};
use crate::auth::{Principal, Scope};
use crate::clock;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use nightbell_model::Timestamp;
use nightbell_store::{ApiTokenRow, Change, SessionRow, TokenHash};
use std::sync::Arc;

/// A session that nobody uses for so long has ended.
const IDLE_MS: i64 = 7 * 86_400_000;
/// A session ends after this in any case.
pub(crate) const ABSOLUTE_MS: i64 = 30 * 86_400_000;
/// How often the use of a session or token is written down.
const USED_EVERY_MS: i64 = 60_000;
/// How often the use of a session by a connection that stays open is written down: a screen on a wall counts as use.
const LIVE_USED_EVERY_MS: i64 = 3_600_000;
/// Says from what kind of page a browser sends a request; pages cannot set it (Fetch Metadata).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Who sends these headers.
///
/// # Errors
/// 401 when nobody we know.
pub(super) fn identify(app: &Arc<App>, headers: &HeaderMap) -> Result<Principal, Problem> {
    let now = clock::now();
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let bearer =
            value.to_str().ok().and_then(|text| text.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let token = bearer.map(|(_, token)| token.trim()).filter(|token| token::kind_of(token) == Some(Kind::Api));
        return token
            .and_then(|token| by_token(app, token, now))
            .ok_or_else(|| Problem::unauthorized("this API token is unknown, expired or revoked"));
    }
    cookie(app, headers)
        .and_then(|token| by_session(app, &token, now))
        .ok_or_else(|| Problem::unauthorized("log in or send an API token"))
}

fn by_token(app: &Arc<App>, text: &str, now: Timestamp) -> Option<Principal> {
    let row = app.registry.read().tokens.get(&token::hash(text)).cloned()?;
    if !is_valid(&row, now) {
        return None;
    }
    if row.used_at.is_none_or(|used| now.millis_since(used) >= USED_EVERY_MS) {
        note_use(app, Used::Token(row.hash), now);
    }
    let scopes = row.scopes.iter().filter_map(|name| Scope::from_name(name)).collect();
    Some(Principal::Token { id: row.id, name: row.name, scopes })
}

fn by_session(app: &Arc<App>, text: &str, now: Timestamp) -> Option<Principal> {
    let holdings = app.registry.read();
    let session = holdings.sessions.get(&token::hash(text)).filter(|session| is_alive(session, now))?.clone();
    let user = holdings.users.get(&session.user)?.clone();
    drop(holdings);
    if now.millis_since(session.used_at) >= USED_EVERY_MS {
        note_use(app, Used::Session(session.hash), now);
    }
    Some(Principal::User { id: user.id, name: user.username, role: user.role, session: session.hash })
}

fn is_valid(token: &ApiTokenRow, now: Timestamp) -> bool {
    token.expires_at.is_none_or(|at| at > now)
}

/// Whether a session has neither been idle for too long nor reached its end.
pub(crate) fn is_alive(session: &SessionRow, now: Timestamp) -> bool {
    session.expires_at > now && now.millis_since(session.used_at) < IDLE_MS
}

/// Whether whoever was let in is still welcome: asked again by connections that stay open.
pub(crate) fn still_welcome(app: &Arc<App>, principal: &Principal) -> bool {
    let (holdings, now) = (app.registry.read(), clock::now());
    match principal {
        Principal::User { id, role, session, .. } => {
            let Some(row) = holdings.sessions.get(session).filter(|row| is_alive(row, now)) else { return false };
            if now.millis_since(row.used_at) >= LIVE_USED_EVERY_MS {
                note_use(app, Used::Session(*session), now);
            }
            holdings.users.get(id).is_some_and(|user| user.role == *role)
        }
        Principal::Token { id, .. } => holdings.tokens.values().any(|row| row.id == *id && is_valid(row, now)),
    }
}

/// What was used.
#[derive(Debug, Clone, Copy)]
enum Used {
    Session(TokenHash),
    Token(TokenHash),
}

/// Writes down the use of a credential, unless it was revoked in the meantime: writing would bring it back.
fn note_use(app: &Arc<App>, used: Used, now: Timestamp) {
    let registry = Arc::clone(&app.registry);
    tokio::spawn(async move {
        let _turn = turn().await;
        let change = {
            let holdings = registry.read();
            match used {
                Used::Session(hash) => {
                    holdings.sessions.get(&hash).map(|row| Change::PutSession(SessionRow { used_at: now, ..row.clone() }))
                }
                Used::Token(hash) => {
                    holdings.tokens.get(&hash).map(|row| Change::PutToken(ApiTokenRow { used_at: Some(now), ..row.clone() }))
                }
            }
        };
        let Some(change) = change else { return };
        if let Err(error) = registry.apply(vec![change], None).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "the use of a credential cannot be written down");
        }
    });
}

/// Whether the browser reaches the hub by https, where the cookie's name binds it to this host.
pub(crate) fn is_secure(app: &App) -> bool {
    app.config.server.tls.is_some() || app.links.base().starts_with("https://")
}

/// The name of the session cookie.
pub(crate) fn cookie_name(app: &App) -> &'static str {
    if is_secure(app) { "__Host-nightbell" } else { "nightbell_session" }
}

fn cookie(app: &App, headers: &HeaderMap) -> Option<String> {
    let jar = axum_extra::extract::CookieJar::from_headers(headers);
    jar.get(cookie_name(app)).map(|cookie| cookie.value().to_owned()).filter(|text| token::kind_of(text) == Some(Kind::Session))
}

/// Whether a browser sends this from one of our own pages. Programs send neither header, but they do not carry cookies either.
pub(super) fn same_origin(app: &App, headers: &HeaderMap) -> bool {
    // What is no text names no site of ours.
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or(""));
    is_own_page(app.links.base(), text(SEC_FETCH_SITE), text(header::ORIGIN), text(header::HOST))
}

/// What the browser itself says of the page counts; where it says nothing (old ones, plain http), the page's origin has to be
/// the host that was asked, or the public address.
fn is_own_page(base: &str, site: Option<&str>, origin: Option<&str>, host: Option<&str>) -> bool {
    if site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return false;
    }
    let Some(origin) = origin else { return true };
    let Ok(origin) = url::Url::parse(origin) else { return false };
    let public = url::Url::parse(base).is_ok_and(|base| base.origin() == origin.origin());
    let authority = origin.host_str().map(|name| origin.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}")));
    public || authority.zip(host).is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nightbell_model::Ulid;

    #[test]
    fn a_session_ends_by_idleness_and_by_age() {
        let at = Timestamp::from_secs;
        let day = 86_400;
        let opened = at(1_000_000);
        let session = SessionRow {
            hash: [0; 32],
            user: Ulid::default(),
            created_at: opened,
            used_at: opened,
            expires_at: opened.plus_millis(ABSOLUTE_MS),
        };
        assert!(is_alive(&session, at(1_000_000 + 7 * day - 1)));
        assert!(!is_alive(&session, at(1_000_000 + 7 * day)), "a week without use");
        let used = SessionRow { used_at: at(1_000_000 + 29 * day), ..session };
        assert!(is_alive(&used, at(1_000_000 + 30 * day - 1)));
        assert!(!is_alive(&used, at(1_000_000 + 30 * day)), "used or not, a month is its life");
    }

    #[test]
    fn only_our_own_pages_send_requests_with_cookies() {
        let base = "https://monitor.example.org";
        let own = |site, origin, host| is_own_page(base, site, origin, host);
        assert!(own(None, None, Some("127.0.0.1:8787")), "a program");
        assert!(own(None, Some("http://127.0.0.1:8787"), Some("127.0.0.1:8787")));
        assert!(own(None, Some("http://hub.lan"), Some("Hub.LAN")));
        assert!(own(None, Some("https://monitor.example.org"), Some("127.0.0.1:8787")), "a proxy that renames the host");
        assert!(own(Some("same-origin"), Some("http://[::1]:8787"), Some("[::1]:8787")));
        for origin in
            ["https://evil.example", "http://127.0.0.1:8788", "http://monitor.example.org", "null", "", "127.0.0.1:8787"]
        {
            assert!(!own(None, Some(origin), Some("127.0.0.1:8787")), "{origin}");
        }
        assert!(!own(None, Some("http://127.0.0.1:8787"), None));
        for site in ["cross-site", "same-site", "?"] {
            assert!(!own(Some(site), Some("http://127.0.0.1:8787"), Some("127.0.0.1:8787")), "{site}");
        }
    }
}
