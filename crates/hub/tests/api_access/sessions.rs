//! Sessions: the cookie, how they end, and from which pages they may be used.

use crate::inside::live::Listener;
use crate::inside::{Answer, Inside, PASSWORD, Who, until};
use nightbell::operations::Operation;
use nightbell::{auth::token, clock};
use nightbell_store::{Change, SessionRow};
use reqwest::Method;
use serde_json::json;

/// The close code of those who were let in and are no longer welcome.
const POLICY: u16 = 1008;

async fn status(inside: &Inside, who: &Who) -> u16 {
    inside.get(who, "/auth/me").await.status
}

#[tokio::test]
async fn the_cookie_is_for_this_host_and_no_script() {
    let inside = Inside::new().await;
    inside.admin().await;
    let (pair, attributes) = inside.try_login("ada", PASSWORD).await.cookie();
    assert!(pair.starts_with("nightbell_session=nb_session_"), "{pair}");
    assert_eq!(attributes, ["httponly", "max-age=2592000", "path=/", "samesite=lax"]);
    inside.hub.stop().await;

    let behind = Inside::with(&[("public_url", "https://monitor.example.org")]).await;
    behind.admin().await;
    let (pair, attributes) = behind.try_login("ada", PASSWORD).await.cookie();
    assert!(pair.starts_with("__Host-nightbell=nb_session_"), "{pair}");
    assert_eq!(attributes, ["httponly", "max-age=2592000", "path=/", "samesite=lax", "secure"]);
    let plain = pair.replacen("__Host-nightbell", "nightbell_session", 1);
    assert_eq!((status(&behind, &Who::Cookie(pair)).await, status(&behind, &Who::Cookie(plain)).await), (200, 401));
    behind.hub.stop().await;
}

#[tokio::test]
async fn only_hashes_are_stored() {
    let inside = Inside::new().await;
    let (Who::Cookie(admin), Who::Bearer(program)) = (inside.admin().await, inside.program(&["admin"]).await) else { panic!() };
    let (_, Who::Bearer(agent)) = inside.agent("db-01").await else { panic!() };
    let secrets = [admin.split_once('=').unwrap().1, &program, &agent, PASSWORD];
    inside.hub.app.engine.checkpoint().unwrap();
    for entry in std::fs::read_dir(inside.data()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap_or_default();
        for secret in secrets {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{} holds a secret", path.display());
        }
    }
    inside.hub.stop().await;
}

#[tokio::test]
async fn an_old_session_is_nobody() {
    let inside = Inside::new().await;
    inside.admin().await;
    let user = inside.hub.app.registry.read().users.keys().next().copied().unwrap();
    let now = clock::now();
    let day = 86_400_000;
    for (used_ago, left, expected) in [(day, day, 200), (7 * day, day, 401), (day, 0, 401), (6 * day, 1_000_000, 200)] {
        let (text, hash) = token::mint(token::Kind::Session).unwrap();
        let (used_at, expires_at) = (now.plus_millis(-used_ago), now.plus_millis(left));
        let row = SessionRow { hash, user, created_at: used_at, used_at, expires_at };
        inside.hub.app.registry.apply(vec![Change::PutSession(row)], None).await.unwrap();
        assert_eq!(status(&inside, &Who::Cookie(format!("nightbell_session={text}"))).await, expected, "{used_ago} {left}");
    }
    // The next login clears away those that have ended.
    inside.login("ada").await;
    assert_eq!(inside.hub.app.registry.read().sessions.len(), 4);
    inside.hub.stop().await;
}

#[tokio::test]
async fn whoever_logs_out_is_out() {
    let inside = Inside::new().await;
    let (first, second) = (inside.admin().await, inside.login("ada").await);
    let mut listener = Listener::connect(&inside, &first).await;
    let answer = Answer::of(inside.request(&first, Method::POST, "/auth/logout")).await;
    let (pair, attributes) = answer.cookie();
    assert_eq!((answer.status, pair.as_str()), (204, "nightbell_session="));
    assert!(attributes.contains(&"max-age=0".to_owned()), "{attributes:?}");
    assert_eq!((status(&inside, &first).await, status(&inside, &second).await), (401, 200));
    assert_eq!(listener.end().await, POLICY);
    inside.hub.stop().await;
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions_and_their_live_connections() {
    let inside = Inside::new().await;
    let (mine, other) = (inside.admin().await, inside.login("ada").await);
    let mut listener = Listener::connect(&inside, &other).await;
    let change = async |current: &str, new: &str| {
        inside.send(&mine, Method::PUT, "/auth/password", &json!({"current": current, "new": new})).await
    };
    assert_eq!(change("wrong password", "a new password").await.pointers(), ["/current"]);
    assert_eq!(change(PASSWORD, "short").await.pointers(), ["/new"]);
    assert_eq!(status(&inside, &other).await, 200);
    let answer = change(PASSWORD, "a new password").await;
    let fresh = Who::Cookie(answer.cookie().0);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!((status(&inside, &mine).await, status(&inside, &other).await, status(&inside, &fresh).await), (401, 401, 200));
    assert_eq!(listener.end().await, POLICY);
    assert_eq!(inside.try_login("ada", PASSWORD).await.status, 401);
    assert_eq!(inside.try_login("ada", "a new password").await.status, 200);
    inside.hub.stop().await;
}

#[tokio::test]
async fn a_changed_role_a_removal_and_a_revoked_token_close_what_is_open() {
    let inside = Inside::new().await;
    let admin = inside.admin().await;
    let (vera, ed) = (inside.person(&admin, "vera", "viewer").await, inside.person(&admin, "ed", "editor").await);
    let program = inside.program(&["metrics:read"]).await;
    let id = |list: serde_json::Value, name: &str, field: &str| {
        let items = list["items"].as_array().unwrap().clone();
        items.iter().find(|item| item[field] == name).unwrap()["id"].as_str().unwrap().to_owned()
    };
    let user = async |name: &str| id(inside.get(&admin, "/users").await.fine(), name, "username");
    let mut listeners = Vec::new();
    for who in [&vera, &ed, &program] {
        listeners.push(Listener::connect(&inside, who).await);
    }
    let (vera_id, ed_id) = (user("vera").await, user("ed").await);
    inside.send(&admin, Method::PATCH, &format!("/users/{vera_id}"), &json!({"role": "editor"})).await.fine();
    let token = id(inside.get(&admin, "/tokens").await.fine(), "a program", "name");
    for path in [format!("/users/{ed_id}"), format!("/tokens/{token}")] {
        assert_eq!(Answer::of(inside.request(&admin, Method::DELETE, &path)).await.status, 204);
    }
    for (who, mut listener) in [&vera, &ed, &program].into_iter().zip(listeners) {
        assert_eq!((status(&inside, who).await, listener.end().await), (401, POLICY), "{who:?}");
    }
    inside.hub.stop().await;
}

#[tokio::test]
async fn a_reset_from_the_command_line_ends_the_sessions() {
    let inside = Inside::new().await;
    let admin = inside.admin().await;
    inside.operate(Operation::PasswordReset { username: "ADA".to_owned(), password: "a new password".to_owned() }).await;
    assert_eq!(status(&inside, &admin).await, 401);
    assert_eq!(inside.try_login("ada", "a new password").await.status, 200);
    inside.hub.stop().await;
}

#[tokio::test]
async fn other_sites_may_not_use_a_session() {
    let inside = Inside::new().await;
    let (admin, program) = (inside.admin().await, inside.program(&["admin"]).await);
    let own = inside.hub.url.clone();
    let foreign = [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ];
    let write = async |who: &Who, header: &str, value: &str| {
        let request = inside.request(who, Method::PUT, "/settings").header(header, value);
        Answer::of(request.json(&json!({"timezone": "UTC"}))).await
    };
    for (header, value) in foreign {
        write(&admin, header, value).await.problem(403, "forbidden");
        assert_eq!(write(&program, header, value).await.status, 200, "a token is no cookie");
        assert_eq!(Listener::connect_with(&inside, &admin, &[(header, value)]).await.err(), Some(403));
        let login = inside.request(&Who::Nobody, Method::POST, "/auth/login").header(header, value);
        Answer::of(login.json(&json!({"username": "ada", "password": PASSWORD}))).await.problem(403, "forbidden");
        let read = inside.request(&admin, Method::GET, "/settings").header(header, value);
        assert_eq!(Answer::of(read).await.status, 200, "another page sees nothing of what a link leads to");
    }
    assert_eq!(write(&admin, "origin", &own).await.status, 200);
    assert_eq!(write(&admin, "sec-fetch-site", "same-origin").await.status, 200);
    assert!(Listener::connect_with(&inside, &admin, &[("origin", &own)]).await.is_ok());
    assert_eq!(Listener::connect_with(&inside, &Who::Nobody, &[("origin", &own)]).await.err(), Some(401));
    inside.hub.stop().await;
}

#[tokio::test]
async fn what_is_revoked_while_it_is_used_stays_revoked() {
    let inside = Inside::new().await;
    inside.admin().await;
    let app = &inside.hub.app;
    let user = app.registry.read().users.keys().next().copied().unwrap();
    for _ in 0..10 {
        let (text, hash) = token::mint(token::Kind::Session).unwrap();
        // Long enough ago that each request wants to write its use down.
        let used_at = clock::now().plus_millis(-3_600_000);
        let row = SessionRow { hash, user, created_at: used_at, used_at, expires_at: clock::now().plus_millis(3_600_000) };
        app.registry.apply(vec![Change::PutSession(row)], None).await.unwrap();
        let who = Who::Cookie(format!("nightbell_session={text}"));
        let uses = (0..8).map(|_| tokio::spawn(Answer::of(inside.request(&who, Method::GET, "/auth/me")))).collect::<Vec<_>>();
        let out = Answer::of(inside.request(&who, Method::POST, "/auth/logout")).await;
        for used in uses {
            used.await.unwrap();
        }
        assert!(matches!(out.status, 204 | 401), "{}", out.status);
        // A change that comes after all of these has been applied when it is seen.
        let marker = app.registry.read().tokens.len();
        inside.program(&["admin"]).await;
        until("the marker", async || app.registry.read().tokens.len() > marker).await;
        assert!(!app.registry.read().sessions.contains_key(&hash), "the session came back");
        assert_eq!(status(&inside, &who).await, 401);
    }
    inside.hub.stop().await;
}
