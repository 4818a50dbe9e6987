//! People and tokens as admins keep them.

use crate::inside::live::Listener;
use crate::inside::{Answer, Inside, PASSWORD, Who, until};
use nightbell::{auth::token, clock};
use nightbell_store::{ApiTokenRow, Change};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn there_is_always_an_admin() {
    let inside = Inside::new().await;
    let admin = inside.admin().await;
    let ada = inside.get(&admin, "/auth/me").await.fine()["user"]["id"].as_str().unwrap().to_owned();
    let path = format!("/users/{ada}");
    inside.send(&admin, Method::PATCH, &path, &json!({"role": "viewer"})).await.problem(409, "conflict");
    Answer::of(inside.request(&admin, Method::DELETE, &path)).await.problem(409, "conflict");
    let made =
        inside.send(&admin, Method::POST, "/users", &json!({"username": "Bea", "password": PASSWORD, "role": "admin"})).await;
    assert_eq!((made.status, &made.json()["username"]), (201, &json!("bea")));
    // Two admins who demote each other at the same time leave one.
    let bea = inside.login("bea").await;
    let bea_path = format!("/users/{}", made.json()["id"].as_str().unwrap());
    let viewer = json!({"role": "viewer"});
    let (one, two) =
        tokio::join!(inside.send(&admin, Method::PATCH, &bea_path, &viewer), inside.send(&bea, Method::PATCH, &path, &viewer));
    assert!([one.status, two.status].contains(&200), "{} {}", one.text(), two.text());
    let admins = inside.hub.app.registry.read().users.values().filter(|user| user.role.name() == "admin").count();
    assert_eq!(admins, 1);
    inside.hub.stop().await;
}

#[tokio::test]
async fn people_are_renamed_and_names_are_not_shared() {
    let inside = Inside::new().await;
    let admin = inside.admin().await;
    let vera = inside.person(&admin, "vera", "viewer").await;
    let people = inside.get(&admin, "/users?limit=1").await.fine();
    assert_eq!(people["items"][0]["username"], "ada");
    let cursor = people["next_cursor"].as_str().expect("one more");
    let people = inside.get(&admin, &format!("/users?limit=1&cursor={cursor}")).await.fine();
    assert_eq!((&people["items"][0]["username"], &people["next_cursor"]), (&json!("vera"), &json!(null)));
    let mut person = people["items"][0].clone();
    let path = format!("/users/{}", person["id"].as_str().unwrap());
    // What a GET gave may be sent back, and changes nothing: the session goes on.
    assert_eq!(inside.send(&admin, Method::PATCH, &path, &person).await.fine(), person);
    assert_eq!(inside.get(&vera, "/auth/me").await.status, 200);
    person["username"] = json!("ada");
    inside.send(&admin, Method::PATCH, &path, &person).await.problem(409, "conflict");
    assert_eq!(inside.send(&admin, Method::PATCH, &path, &json!({"role": "king"})).await.pointers(), ["/role"]);
    assert_eq!(inside.send(&admin, Method::PATCH, &path, &json!({"nick": "v"})).await.pointers(), ["/nick"]);
    assert_eq!(inside.send(&admin, Method::PATCH, &path, &json!({"username": "Verena"})).await.fine()["username"], "verena");
    assert_eq!(inside.get(&vera, "/auth/me").await.status, 401);
    let twice = json!({"username": "verena", "password": PASSWORD, "role": "viewer"});
    inside.send(&admin, Method::POST, "/users", &twice).await.problem(409, "conflict");
    inside.hub.stop().await;
}

#[tokio::test]
async fn a_token_is_shown_once_and_does_what_it_carries() {
    let inside = Inside::new().await;
    let admin = inside.admin().await;
    let wanted = json!({"name": "ci", "scopes": ["metrics:read", "metrics:read"], "expires": "90d"});
    let made = inside.send(&admin, Method::POST, "/tokens", &wanted).await.fine();
    let text = made["token"].as_str().expect("its text").to_owned();
    assert!(text.starts_with("nb_api_") && made["expires_at"].is_string(), "{made}");
    assert_eq!((&made["scopes"], &made["used_at"]), (&json!(["metrics:read"]), &json!(null)));
    let program = Who::Bearer(text.clone());
    assert_eq!(inside.get(&program, "/agents").await.status, 200);
    inside.get(&program, "/rules").await.problem(403, "forbidden");
    let me = inside.get(&program, "/auth/me").await.fine();
    assert_eq!((&me["user"]["username"], &me["user"]["role"]), (&json!("ci"), &json!("token")));
    let listed = inside.get(&admin, "/tokens").await;
    assert!(!listed.text().contains(&text) && listed.json()["items"][0].get("token").is_none());
    for (body, pointer) in [
        (json!({"name": "", "scopes": ["admin"]}), "/name"),
        (json!({"name": "x", "scopes": []}), "/scopes"),
        (json!({"name": "x", "scopes": ["root"]}), "/scopes"),
        (json!({"name": "x", "scopes": "admin"}), "/scopes"),
        (json!({"name": "x", "scopes": ["admin"], "expires": "-1h"}), "/expires"),
        (json!({"name": "x", "scopes": ["admin"], "expires": "0s"}), "/expires"),
        (json!({"name": "x", "scopes": ["admin"], "owner": "me"}), "/owner"),
    ] {
        assert_eq!(inside.send(&admin, Method::POST, "/tokens", &body).await.pointers(), [pointer], "{body}");
    }
    let path = format!("/tokens/{}", made["id"].as_str().unwrap());
    assert_eq!(Answer::of(inside.request(&admin, Method::DELETE, &path)).await.status, 204);
    assert_eq!(inside.get(&program, "/agents").await.status, 401);
    Answer::of(inside.request(&admin, Method::DELETE, &path)).await.problem(404, "not_found");
    inside.hub.stop().await;
}

#[tokio::test]
async fn a_token_ends_with_its_time_and_so_does_what_it_opened() {
    let inside = Inside::new().await;
    let Who::Bearer(text) = inside.program(&["metrics:read"]).await else { panic!() };
    let program = Who::Bearer(text.clone());
    let mut listener = Listener::connect(&inside, &program).await;
    let held = || inside.hub.app.registry.read().tokens[&token::hash(&text)].clone();
    // Its use is written down beside the answers, and would be written over what follows.
    until("the use of a token", async || held().used_at.is_some()).await;
    let ended = ApiTokenRow { expires_at: Some(clock::now()), ..held() };
    inside.hub.app.registry.apply(vec![Change::PutToken(ended)], None).await.unwrap();
    assert_eq!((inside.get(&program, "/agents").await.status, listener.end().await), (401, 1008));
    inside.hub.stop().await;
}

#[tokio::test]
async fn an_enrolment_token_serves_once_however_many_come() {
    let inside = Inside::new().await;
    let admin = inside.admin().await;
    let made = inside.send(&admin, Method::POST, "/enrolment-tokens", &json!({"tags": ["db"]})).await.fine();
    assert_eq!((&made["uses_left"], &made["tags"]), (&json!(1), &json!(["db"])));
    for (body, pointer) in
        [(json!({"uses": 0}), "/uses"), (json!({"tags": ["a b"]}), "/tags"), (json!({"expires": "soon"}), "/expires")]
    {
        assert_eq!(inside.send(&admin, Method::POST, "/enrolment-tokens", &body).await.pointers(), [pointer], "{body}");
    }
    let token = Who::Bearer(made["token"].as_str().unwrap().to_owned());
    let racing = (0..50).map(|number| {
        let body = json!({"hostname": format!("host-{number}")});
        tokio::spawn(Answer::of(inside.request(&token, Method::POST, "/nodes").json(&body)))
    });
    let mut enrolled = 0;
    for answer in racing.collect::<Vec<_>>() {
        let answer = answer.await.unwrap();
        assert!(matches!(answer.status, 200 | 401), "{} {}", answer.status, answer.text());
        enrolled += u32::from(answer.status == 200);
    }
    assert_eq!(enrolled, 1);
    assert_eq!(inside.hub.app.registry.read().agents.len(), 1);
    inside.hub.stop().await;
}

#[tokio::test]
async fn the_audit_log_says_who_did_what_without_secrets() {
    let inside = Inside::new().await;
    let admin = inside.admin().await;
    inside.person(&admin, "vera", "viewer").await;
    let made = inside.send(&admin, Method::POST, "/tokens", &json!({"name": "ci", "scopes": ["admin"]})).await.fine();
    inside.send(&admin, Method::PUT, "/settings", &json!({"timezone": "Europe/Berlin"})).await.fine();
    let log = inside.get(&admin, "/audit?limit=2").await.fine();
    let actions = |log: &serde_json::Value| -> Vec<String> {
        log["items"].as_array().unwrap().iter().map(|line| line["action"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(actions(&log), ["settings.change", "token.create"]);
    let rest = inside.get(&admin, &format!("/audit?cursor={}", log["next_cursor"].as_str().unwrap())).await.fine();
    assert_eq!(actions(&rest), ["login", "user.create", "setup"]);
    assert_eq!((&log["items"][0]["actor"], &log["items"][0]["address"]), (&json!("user:ada"), &json!("127.0.0.1")));
    let text = format!("{log}{rest}");
    assert!(!text.contains(PASSWORD) && !text.contains(made["token"].as_str().unwrap()), "{text}");
    inside.hub.stop().await;
}
