//! Who may do what: one table over all routes, held against each request before its body or an id is looked at.
//!
//! What is not in the table is refused. A test compares the table with the OpenAPI document, route by route. How callers prove
//! who they are is [`identity`]'s business.

mod identity;

pub(super) use identity::{ABSOLUTE_MS, cookie_name, is_alive, is_secure, still_welcome};

use super::problem::Problem;
use crate::app::App;
use crate::auth::{Principal, Scope};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use identity::{identify, same_origin};
use std::sync::Arc;

/// What a route asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing.
    Public,
    /// To be somebody.
    Known,
    /// To be allowed this.
    May(Scope),
}

use Need::{Known, May, Public};
use Scope::{Admin, AgentsEnroll, AgentsWrite, AlertsAck, AlertsRead, ChannelsWrite, MetricsRead, RulesWrite, SilencesWrite};

/// The table: method, path below the base, need.
#[rustfmt::skip]
static TABLE: &[(&str, &str, Need)] = &[
    ("GET",    "/setup", Public),
    ("POST",   "/setup", Public),
    ("POST",   "/auth/login", Public),
    ("POST",   "/auth/logout", Known),
    ("GET",    "/auth/me", Known),
    ("PUT",    "/auth/password", Known),
    ("GET",    "/openapi.json", Public),
    ("GET",    "/healthz", Public),
    ("GET",    "/readyz", Public),
    ("GET",    "/metrics", Public),
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
    ("GET",    "/metrics/fleet", May(MetricsRead)),
    ("GET",    "/metrics/top", May(MetricsRead)),
    ("GET",    "/forecasts", May(MetricsRead)),
    ("GET",    "/ws", Known),
    ("GET",    "/agents", May(MetricsRead)),
    ("GET",    "/agents/latest", May(MetricsRead)),
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
    ("GET",    "/routes", May(AlertsRead)),
    ("PUT",    "/routes", May(ChannelsWrite)),
    ("GET",    "/banner", May(AlertsRead)),
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
pub(super) fn need(method: &Method, path: &str) -> Option<Need> {
    let below = path.strip_prefix("/api/v1").or_else(|| path.strip_prefix("/api")).unwrap_or(path);
    let wanted = if method == Method::HEAD { "GET" } else { method.as_str() };
    TABLE.iter().find(|(method, path, _)| *method == wanted && *path == below).map(|(.., need)| *need)
}

/// The table for tests and documents: method, path below the base, and what is asked: `public`, `known`, or a scope.
pub fn access_table() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    TABLE.iter().map(|(method, path, need)| {
        let asked = match need {
            Public => "public",
            Known => "known",
            May(scope) => scope.name(),
        };
        (*method, *path, asked)
    })
}

/// The middleware: finds out who asks, and whether they may.
pub(super) async fn check(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    match admit(&app, &request) {
        Ok(principal) => {
            if let Some(principal) = principal {
                request.extensions_mut().insert(principal);
            }
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

fn admit(app: &Arc<App>, request: &Request) -> Result<Option<Principal>, Problem> {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let need = need(request.method(), path);
    let principal = if need == Some(Public) { None } else { Some(identify(app, request.headers())?) };
    let writes = !matches!(*request.method(), Method::GET | Method::HEAD);
    let upgrades = request.headers().contains_key(header::UPGRADE);
    let by_token = matches!(principal, Some(Principal::Token { .. }));
    if !by_token && (writes || upgrades) && !same_origin(app, request.headers()) {
        return Err(Problem::forbidden(
            "this request comes from another site; if it does not, set public_url to the address in the browser",
        ));
    }
    match (need, &principal) {
        (None, _) => {
            tracing::error!(method = %request.method(), path, "a route is not in the table of access");
            Err(Problem::forbidden("nobody may do this"))
        }
        (Some(May(scope)), Some(principal)) if !principal.may(scope) => {
            Err(Problem::forbidden(format!("this needs the scope {}", scope.name())))
        }
        _ => Ok(principal),
    }
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
