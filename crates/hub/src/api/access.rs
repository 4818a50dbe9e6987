//! Who may do what: one table over all routes, held against each request before its body or an id is looked at.
//!
//! What is not in the table is refused. A test compares the table with the OpenAPI document, route by route.

use super::problem::Problem;
use crate::app::App;
use crate::auth::token::{self, Kind};
use crate::auth::{Principal, Scope};
use crate::clock;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use nightbell_model::Timestamp;
use nightbell_store::{ApiTokenRow, Change, SessionRow};
use std::sync::Arc;

/// A session that nobody uses for so long has ended.
pub(crate) const IDLE_MS: i64 = 7 * 86_400_000;
/// A session ends after this in any case.
pub(crate) const ABSOLUTE_MS: i64 = 30 * 86_400_000;
/// How often the use of a session or token is written down.
const USED_EVERY_MS: i64 = 60_000;

/// What a route asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing.
    Public,
    /// To be somebody.
    Known,
    /// To be allowed this.
    May(Scope),
}

use Need::{Known, May, Public};
use Scope::{
    Admin, AgentsEnroll, AgentsWrite, AlertsAck, AlertsRead, ChannelsWrite, MetricsRead, RulesWrite, SilencesWrite,
};

/// The table: method, path below the base, need.
#[rustfmt::skip]
pub(crate) static TABLE: &[(&str, &str, Need)] = &[
    ("GET",    "/setup", Public),
    ("POST",   "/setup", Public),
    ("POST",   "/auth/login", Public),
    ("POST",   "/auth/logout", Known),
    ("GET",    "/auth/me", Known),
    ("PUT",    "/auth/password", Known),
    ("GET",    "/openapi.json", Public),
    ("GET",    "/users", May(Admin)),
    ("POST",   "/users", May(Admin)),
    ("PATCH",  "/users/{id}", May(Admin)),
    ("DELETE", "/users/{id}", May(Admin)),
    ("GET",    "/tokens", May(Admin)),
    ("POST",   "/tokens", May(Admin)),
    ("DELETE", "/tokens/{id}", May(Admin)),
    ("GET",    "/enrolment-tokens", May(AgentsEnroll)),
    ("POST",   "/enrolment-tokens", May(AgentsEnroll)),
    ("DELETE", "/enrolment-tokens/{id}", May(AgentsEnroll)),
    ("GET",    "/settings", May(AlertsRead)),
    ("PUT",    "/settings", May(Admin)),
    ("GET",    "/audit", May(Admin)),
    ("GET",    "/system", May(MetricsRead)),
    ("GET",    "/metrics/catalog", May(MetricsRead)),
    ("GET",    "/ws", Known),
    ("GET",    "/agents", May(MetricsRead)),
    ("GET",    "/agents/{id}", May(MetricsRead)),
    ("PATCH",  "/agents/{id}", May(AgentsWrite)),
    ("DELETE", "/agents/{id}", May(AgentsWrite)),
    ("GET",    "/agents/{id}/metrics/history", May(MetricsRead)),
    ("GET",    "/agents/{id}/metrics/history.csv", May(MetricsRead)),
    ("GET",    "/agents/{id}/charts/{*chart}", May(MetricsRead)),
    ("GET",    "/agents/{id}/chart.png", May(MetricsRead)),
    ("GET",    "/agents/{id}/chart.svg", May(MetricsRead)),
    ("GET",    "/agents/{id}/chart.csv", May(MetricsRead)),
    ("GET",    "/agents/{id}/thresholds", May(MetricsRead)),
    ("PUT",    "/agents/{id}/thresholds/{*metric}", May(RulesWrite)),
    ("DELETE", "/agents/{id}/thresholds/{*metric}", May(RulesWrite)),
    ("GET",    "/thresholds", May(MetricsRead)),
    ("PUT",    "/thresholds", May(RulesWrite)),
    ("GET",    "/rules", May(AlertsRead)),
    ("POST",   "/rules", May(RulesWrite)),
    ("POST",   "/rules/validate", May(AlertsRead)),
    ("POST",   "/rules/preview", May(AlertsRead)),
    ("GET",    "/rules/{id}", May(AlertsRead)),
    ("PUT",    "/rules/{id}", May(RulesWrite)),
    ("PATCH",  "/rules/{id}", May(RulesWrite)),
    ("DELETE", "/rules/{id}", May(RulesWrite)),
    ("GET",    "/rules/{id}/explain", May(AlertsRead)),
    ("GET",    "/channels", May(AlertsRead)),
    ("POST",   "/channels", May(ChannelsWrite)),
    ("GET",    "/channels/{id}", May(AlertsRead)),
    ("PUT",    "/channels/{id}", May(ChannelsWrite)),
    ("PATCH",  "/channels/{id}", May(ChannelsWrite)),
    ("DELETE", "/channels/{id}", May(ChannelsWrite)),
    ("POST",   "/channels/{id}/test", May(ChannelsWrite)),
    ("GET",    "/silences", May(AlertsRead)),
    ("POST",   "/silences", May(SilencesWrite)),
    ("GET",    "/silences/{id}", May(AlertsRead)),
    ("PATCH",  "/silences/{id}", May(SilencesWrite)),
    ("DELETE", "/silences/{id}", May(SilencesWrite)),
    ("GET",    "/incidents", May(AlertsRead)),
    ("GET",    "/incidents/{id}", May(AlertsRead)),
    ("GET",    "/incidents/{id}/chart.png", May(AlertsRead)),
    ("GET",    "/incidents/{id}/chart.svg", May(AlertsRead)),
    ("POST",   "/incidents/{id}/ack", May(AlertsAck)),
    ("POST",   "/incidents/{id}/unack", May(AlertsAck)),
    ("POST",   "/incidents/{id}/note", May(AlertsAck)),
    ("GET",    "/events", May(AlertsRead)),
    ("GET",    "/events.csv", May(AlertsRead)),
    ("GET",    "/outbox", May(AlertsRead)),
    ("GET",    "/outbox/{id}", May(AlertsRead)),
    ("POST",   "/outbox/{id}/retry", May(ChannelsWrite)),
    ("POST",   "/outbox/{id}/cancel", May(ChannelsWrite)),
];

/// What a route asks for; `None` when it is not in the table.
pub(crate) fn need(method: &Method, path: &str) -> Option<Need> {
    let below = path.strip_prefix("/api/v1").or_else(|| path.strip_prefix("/api")).unwrap_or(path);
    let wanted = if method == Method::HEAD { "GET" } else { method.as_str() };
    TABLE.iter().find(|(method, path, _)| *method == wanted && *path == below).map(|(.., need)| *need)
}

/// The middleware: finds out who asks, and whether they may.
pub(crate) async fn check(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let Some(need) = need(request.method(), path) else {
        // The router answers 405 for a known path; here the method is not in the table either.
        return match identify(&app, request.headers()) {
            Ok(_) => next.run(request).await,
            Err(problem) => problem.into_response(),
        };
    };
    match admit(&app, &request, need) {
        Ok(Some(principal)) => {
            request.extensions_mut().insert(principal);
            next.run(request).await
        }
        Ok(None) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn admit(app: &Arc<App>, request: &Request, need: Need) -> Result<Option<Principal>, Problem> {
    if need == Public {
        return Ok(None);
    }
    let principal = identify(app, request.headers())?;
    let by_cookie = matches!(principal, Principal::User { .. });
    let writes = !matches!(*request.method(), Method::GET | Method::HEAD);
    let upgrades = request.headers().contains_key(header::UPGRADE);
    if by_cookie && (writes || upgrades) && !same_origin(app, request.headers()) {
        return Err(Problem::forbidden("this request comes from another site"));
    }
    match need {
        May(scope) if !principal.may(scope) => Err(Problem::forbidden(format!("this needs the scope {}", scope.name()))),
        _ => Ok(Some(principal)),
    }
}

/// Who sends these headers: a bearer of an API token, or a browser with a session.
pub(crate) fn identify(app: &Arc<App>, headers: &HeaderMap) -> Result<Principal, Problem> {
    let now = clock::now();
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let bearer = value.to_str().ok().and_then(|text| text.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
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
    if row.expires_at.is_some_and(|at| at <= now) {
        return None;
    }
    if row.used_at.is_none_or(|used| now.millis_since(used) >= USED_EVERY_MS) {
        note_use(app, Change::PutToken(ApiTokenRow { used_at: Some(now), ..row.clone() }));
    }
    let scopes = row.scopes.iter().filter_map(|name| Scope::from_name(name)).collect();
    Some(Principal::Token { id: row.id, name: row.name, scopes })
}

fn by_session(app: &Arc<App>, text: &str, now: Timestamp) -> Option<Principal> {
    let holdings = app.registry.read();
    let session = holdings.sessions.get(&token::hash(text))?.clone();
    let user = holdings.users.get(&session.user)?.clone();
    drop(holdings);
    if session.expires_at <= now || now.millis_since(session.used_at) >= IDLE_MS {
        return None;
    }
    if now.millis_since(session.used_at) >= USED_EVERY_MS {
        note_use(app, Change::PutSession(SessionRow { used_at: now, ..session.clone() }));
    }
    Some(Principal::User { id: user.id, name: user.username, role: user.role, session: session.hash })
}

/// Whether whoever was let in is still welcome: asked again by connections that stay open.
pub(crate) fn still_welcome(app: &App, principal: &Principal) -> bool {
    let (holdings, now) = (app.registry.read(), clock::now());
    match principal {
        Principal::User { id, role, session, .. } => {
            holdings.sessions.get(session).is_some_and(|row| row.expires_at > now)
                && holdings.users.get(id).is_some_and(|user| user.role == *role)
        }
        Principal::Token { id, .. } => {
            holdings.tokens.values().any(|row| row.id == *id && row.expires_at.is_none_or(|at| at > now))
        }
    }
}

fn note_use(app: &Arc<App>, change: Change) {
    let registry = Arc::clone(&app.registry);
    tokio::spawn(async move {
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
pub(crate) fn same_origin(app: &App, headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if let Some(site) = text(header::HeaderName::from_static("sec-fetch-site"))
        && !matches!(site, "same-origin" | "none")
    {
        return false;
    }
    let Some(origin) = text(header::ORIGIN) else { return true };
    let Ok(origin) = url::Url::parse(origin) else { return false };
    let public = url::Url::parse(app.links.base()).is_ok_and(|base| base.origin() == origin.origin());
    let authority = origin.host_str().map(|host| origin.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")));
    public || (authority.is_some() && authority.as_deref() == text(header::HOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_each_route_once() {
        for (index, (method, path, _)) in TABLE.iter().enumerate() {
            let again = TABLE[index + 1..].iter().any(|(other, elsewhere, _)| other == method && elsewhere == path);
            assert!(!again, "{method} {path} stands twice");
        }
        assert_eq!(need(&Method::GET, "/api/v1/agents/{id}"), Some(May(MetricsRead)));
        assert_eq!(need(&Method::HEAD, "/api/agents"), Some(May(MetricsRead)));
        assert_eq!(need(&Method::PUT, "/api/v1/agents"), None);
    }
}
