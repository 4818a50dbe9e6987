//! The first admin: made once, with the key, by whoever comes first.

use crate::inside::{Answer, Inside, PASSWORD, Who};
use nightbell::operations::Operation;
use reqwest::Method;
use serde_json::{Value, json};

fn body(key: &str, username: &str) -> Value {
    json!({"key": key, "username": username, "password": PASSWORD})
}

async fn needed(inside: &Inside) -> Value {
    inside.get(&Who::Nobody, "/setup").await.fine()["needed"].clone()
}

#[tokio::test]
async fn of_twenty_who_race_for_it_exactly_one_is_the_admin() {
    let inside = Inside::new().await;
    assert_eq!(needed(&inside).await, true);
    let key = inside.hub.app.setup.mint().unwrap();
    let racing = (0..20).map(|number| {
        let request = inside.request(&Who::Nobody, Method::POST, "/setup").json(&body(&key, &format!("user{number}")));
        tokio::spawn(Answer::of(request))
    });
    let mut won = Vec::new();
    for answer in racing.collect::<Vec<_>>() {
        let answer = answer.await.unwrap();
        match answer.status {
            201 => won.push(answer),
            _ => drop(answer.problem(409, "conflict")),
        }
    }
    let [winner] = &won[..] else { panic!("{} won", won.len()) };
    let user = &winner.json()["user"];
    let cookie = Who::Cookie(winner.cookie().0);
    assert_eq!(inside.get(&cookie, "/auth/me").await.fine()["user"], *user);
    assert_eq!((&user["role"], needed(&inside).await), (&json!("admin"), json!(false)));
    assert_eq!(inside.get(&cookie, "/users").await.fine()["items"].as_array().unwrap().len(), 1);
    // The key is spent.
    inside.send(&Who::Nobody, Method::POST, "/setup", &body(&key, "late")).await.problem(409, "conflict");
    inside.hub.stop().await;
}

#[tokio::test]
async fn a_wrong_key_or_a_weak_password_sets_nothing_up() {
    let inside = Inside::new().await;
    let key = inside.hub.app.setup.mint().unwrap();
    let set_up = async |body: Value| inside.send(&Who::Nobody, Method::POST, "/setup", &body).await;
    set_up(body("nb_setup_00_00000000", "ada")).await.problem(403, "forbidden");
    let stale = key;
    let key = inside.hub.app.setup.mint().unwrap();
    set_up(body(&stale, "ada")).await.problem(403, "forbidden");
    for (field, value) in [("password", "short"), ("username", ""), ("username", "a b")] {
        let mut body = body(&key, "ada");
        body[field] = json!(value);
        assert_eq!(set_up(body).await.pointers(), [format!("/{field}")]);
    }
    let mut unknown = body(&key, "ada");
    unknown["role"] = json!("viewer");
    assert_eq!(set_up(unknown).await.pointers(), ["/role"]);
    assert_eq!(set_up(json!({"key": key})).await.pointers(), ["/username"]);
    assert_eq!(needed(&inside).await, true);
    assert_eq!(set_up(body(&key, " Ada ")).await.fine()["user"]["username"], "ada");
    inside.hub.stop().await;
}

#[tokio::test]
async fn guessing_the_key_has_an_end() {
    let inside = Inside::new().await;
    let key = inside.hub.app.setup.mint().unwrap();
    for _ in 0..10 {
        inside.send(&Who::Nobody, Method::POST, "/setup", &body("guess", "eve")).await.problem(403, "forbidden");
    }
    let answer = inside.send(&Who::Nobody, Method::POST, "/setup", &body(&key, "eve")).await;
    answer.problem(429, "too_many_requests");
    inside.hub.stop().await;
}

#[tokio::test]
async fn a_person_made_elsewhere_needs_no_setup() {
    let inside = Inside::new().await;
    let operation = Operation::PasswordReset { username: "ada".to_owned(), password: PASSWORD.to_owned() };
    assert_eq!(inside.operate(operation).await, "ada is a new admin");
    let key = inside.hub.app.setup.mint().unwrap();
    inside.send(&Who::Nobody, Method::POST, "/setup", &body(&key, "eve")).await.problem(409, "conflict");
    let admin = inside.login("ada").await;
    assert_eq!(inside.get(&admin, "/users").await.fine()["items"].as_array().unwrap().len(), 1);
    inside.hub.stop().await;
}
