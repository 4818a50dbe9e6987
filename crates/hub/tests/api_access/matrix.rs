//! Every route of the OpenAPI document × everybody: what is answered equals the table of access.

use crate::inside::{Answer, Inside, Who};
use nightbell::api::access_table;
use nightbell::auth::Scope;
use nightbell_store::Role;
use reqwest::Method;
use serde_json::Value;
use std::collections::BTreeSet;

/// Somebody, and what the table's words mean for them.
struct Caller {
    name: String,
    who: Who,
    /// The refusal of those who are not known, or the scopes of those who are.
    scopes: Result<Vec<Scope>, u16>,
}

impl Caller {
    /// What they get for a route that asks for `need`: `Ok` is let in.
    fn expected(&self, need: &str) -> Result<(), u16> {
        if need == "public" {
            return Ok(());
        }
        let scopes = self.scopes.as_ref().map_err(|status| *status)?;
        let allowed = need == "known" || scopes.contains(&Scope::Admin) || scopes.iter().any(|scope| scope.name() == need);
        if allowed { Ok(()) } else { Err(403) }
    }
}

async fn callers(inside: &Inside) -> Vec<Caller> {
    let caller = |name: &str, who, scopes| Caller { name: name.to_owned(), who, scopes };
    let of_role = |role: Role| Scope::ALL.into_iter().filter(|scope| scope.is_in(role)).collect();
    let admin = inside.admin().await;
    let mut callers = vec![
        caller("anonymous", Who::Nobody, Err(401)),
        caller("an agent", inside.agent("db-01").await.1, Err(401)),
        caller("a wrong token", Who::Bearer("nb_api_00_00000000".to_owned()), Err(401)),
        caller("a wrong cookie", Who::Cookie("nightbell_session=nb_session_00_00000000".to_owned()), Err(401)),
        caller("a viewer", inside.person(&admin, "vera", "viewer").await, Ok(of_role(Role::Viewer))),
        caller("an editor", inside.person(&admin, "ed", "editor").await, Ok(of_role(Role::Editor))),
        caller("an admin", admin, Ok(of_role(Role::Admin))),
    ];
    for scope in Scope::ALL {
        callers.push(caller(scope.name(), inside.program(&[scope.name()]).await, Ok(vec![scope])));
    }
    callers
}

/// Method and path of every operation of the document, but for the agents' own.
fn documented(document: &Value) -> Vec<(String, String)> {
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().unwrap() {
            if !operation["tags"].as_array().unwrap().contains(&"ingest".into()) {
                routes.push((method.to_uppercase(), path.clone()));
            }
        }
    }
    routes
}

/// The table with paths as the document writes them.
fn table() -> Vec<(String, String, &'static str)> {
    access_table().map(|(method, path, need)| (method.to_owned(), path.replace("{*", "{"), need)).collect()
}

#[tokio::test]
async fn the_table_and_the_document_name_the_same_routes() {
    let inside = Inside::new().await;
    let document = inside.get(&Who::Nobody, "/openapi.json").await.fine();
    let documented: BTreeSet<_> = documented(&document).into_iter().collect();
    let listed: BTreeSet<_> = table().into_iter().map(|(method, path, _)| (method, path)).collect();
    assert_eq!(documented, listed);
    inside.hub.stop().await;
}

/// A request that would be refused for its body and its ids, if anybody looked at them.
async fn knock(inside: &Inside, base: &str, caller: &Caller, method: &str, path: &str) -> Answer {
    let path =
        path.replace("{id}", "not-an-id").replace("{chart}", "cpu.usage_percent.png").replace("{metric}", "cpu.usage_percent");
    let method: Method = method.parse().unwrap();
    let request = inside.request(&caller.who, method.clone(), &format!("/{base}{path}"));
    let writes = method != Method::GET;
    Answer::of(if writes { request.header("content-type", "application/json").body("{") } else { request }).await
}

async fn check(inside: &Inside, base: &str, caller: &Caller, route: &(String, String, &str)) {
    let (method, path, need) = route;
    let about = format!("{} {method} {base}{path} ({need})", caller.name);
    let answer = knock(inside, base, caller, method, path).await;
    match caller.expected(need) {
        Err(status) => {
            let code = if status == 401 { "unauthorized" } else { "forbidden" };
            assert_eq!(answer.status, status, "{about}: {}", answer.text());
            answer.problem(status, code);
        }
        Ok(()) => {
            assert!(
                !matches!(answer.status, 401 | 403 | 405) && answer.status < 500,
                "{about}: {} {}",
                answer.status,
                answer.text()
            );
            if answer.status == 404 {
                let detail = answer.problem(404, "not_found")["detail"].to_string();
                assert!(!detail.contains("such route"), "{about}: {detail}");
            }
        }
    }
}

#[tokio::test]
async fn everybody_may_what_the_table_says_and_nothing_else() {
    let inside = Inside::new().await;
    let callers = callers(&inside).await;
    // A logout that is allowed is carried out: it comes last.
    let mut routes = table();
    routes.sort_by_key(|(_, path, _)| path == "/auth/logout");
    for caller in &callers {
        for base in ["/api/v1", "/api"] {
            for route in routes.iter().filter(|(_, path, _)| base == "/api" || path != "/auth/logout") {
                check(&inside, base, caller, route).await;
            }
        }
    }
    inside.hub.stop().await;
}

#[tokio::test]
async fn the_agents_own_routes_know_agents_alone() {
    let inside = Inside::new().await;
    let (id, agent) = inside.agent("db-01").await;
    let admin = inside.admin().await;
    let root = inside.program(&["admin"]).await;
    for who in [&Who::Nobody, &admin, &root] {
        for path in ["/nodes", "/metrics/system"] {
            let answer = inside.send(who, Method::POST, path, &serde_json::json!({})).await;
            assert_eq!(answer.status, 401, "{who:?} {path}: {}", answer.text());
            let problem = answer.json();
            assert_eq!(problem["request_id"], answer.header("x-request-id"), "{problem}");
            assert!(problem["errors"].is_array(), "{problem}");
        }
    }
    let updated = inside.send(&agent, Method::POST, "/nodes", &serde_json::json!({"hostname": "db-01"})).await.fine();
    assert_eq!(updated["node_id"], *id);
    let now = chrono::Utc::now().timestamp_millis();
    let beat = serde_json::json!({"heartbeats": [{"timestamp": now, "metrics": {"load.avg_1m": 1}}]});
    for base in ["/", "//api/"] {
        let answer = inside.send(&agent, Method::POST, &format!("{base}metrics/system"), &beat).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("x-request-id").len(), 26);
        let asked = inside.send(&agent, Method::GET, &format!("{base}metrics/system"), &serde_json::json!({})).await;
        asked.problem(405, "method_not_allowed");
    }
    inside.hub.stop().await;
}

#[tokio::test]
async fn without_a_login_the_hub_says_that_it_lives_and_what_it_can_do() {
    let inside = Inside::new().await;
    for path in ["//healthz", "//readyz", "//metrics", "//", "//login", "/openapi.json", "/setup"] {
        let answer = inside.get(&Who::Nobody, path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
    }
    inside.hub.stop().await;
}
