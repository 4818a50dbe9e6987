//! Passwords: how often they may be wrong, and what the answers give away.

use crate::inside::{Answer, Inside, PASSWORD, Who};
use nightbell::auth::attempts::FAILURES;
use reqwest::Method;
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test]
async fn after_ten_wrong_passwords_the_right_one_has_to_wait_too() {
    let (inside, other) = (Inside::new().await, Inside::new().await);
    inside.admin().await;
    other.admin().await;
    for _ in 0..FAILURES {
        inside.try_login("ada", "not the password").await.problem(401, "unauthorized");
    }
    let answer = inside.try_login("ada", PASSWORD).await;
    answer.problem(429, "too_many_requests");
    let wait: u64 = answer.header("retry-after").parse().expect("seconds");
    assert!((1..=900).contains(&wait), "{wait}");
    assert_eq!(other.try_login("ada", PASSWORD).await.status, 200, "another hub is not concerned");
    inside.hub.app.attempts.clear();
    assert_eq!(inside.try_login("ada", PASSWORD).await.status, 200);
    inside.hub.stop().await;
    other.hub.stop().await;
}

#[tokio::test]
async fn many_at_once_guess_no_more_often() {
    let inside = Inside::new().await;
    inside.admin().await;
    let guesses = (0..30).map(|number| {
        let body = json!({"username": "ada", "password": format!("guess number {number}")});
        tokio::spawn(Answer::of(inside.request(&Who::Nobody, Method::POST, "/auth/login").json(&body)))
    });
    let mut statuses = Vec::new();
    for guess in guesses.collect::<Vec<_>>() {
        statuses.push(guess.await.unwrap().status);
    }
    let looked_at = statuses.iter().filter(|status| **status == 401).count();
    // Two are hashed at a time: the tenth and the eleventh may both be.
    assert!((FAILURES..=FAILURES + 1).contains(&looked_at), "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 30 - looked_at, "{statuses:?}");
    inside.hub.stop().await;
}

#[tokio::test]
async fn an_account_is_guarded_from_many_addresses_and_forgets_after_the_right_one() {
    let inside = Inside::new().await;
    inside.admin().await;
    let account = nightbell::auth::attempts::account("ada");
    let now = nightbell::clock::now();
    for _ in 1..FAILURES {
        inside.hub.app.attempts.failed(&account, now);
    }
    assert_eq!(inside.try_login("ADA ", PASSWORD).await.status, 200, "nine failures are forgiven");
    assert_eq!(inside.hub.app.attempts.wait_ms(&account, now), None);
    for _ in 0..FAILURES {
        inside.hub.app.attempts.failed(&account, now);
    }
    inside.try_login("ada", PASSWORD).await.problem(429, "too_many_requests");
    inside.try_login("bob", PASSWORD).await.problem(401, "unauthorized");
    inside.hub.stop().await;
}

#[tokio::test]
async fn an_unknown_user_is_not_told_from_a_wrong_password() {
    let inside = Inside::new().await;
    inside.admin().await;
    let mut fastest = [Duration::MAX; 3];
    let mut details = Vec::new();
    // One hash takes some 20 ms, no hash less than one: half of it tells the two apart. On a busy machine it takes a few rounds
    // until each has had an undisturbed one; with no hash made, no number of rounds would help.
    for _ in 0..40 {
        for (kind, name) in ["ada", "nobody", "no name at all"].into_iter().enumerate() {
            let begun = Instant::now();
            let answer = inside.try_login(name, "not the password").await;
            fastest[kind] = fastest[kind].min(begun.elapsed());
            let problem = answer.problem(401, "unauthorized");
            details.push(problem["detail"].clone());
            inside.hub.app.attempts.clear();
        }
        if fastest[1..].iter().all(|unknown| *unknown * 2 > fastest[0]) {
            break;
        }
    }
    assert!(details.iter().all(|detail| *detail == details[0]), "{details:?}");
    let [known, rest @ ..] = fastest;
    assert!(rest.iter().all(|unknown| *unknown * 2 > known), "{fastest:?}");
    inside.hub.stop().await;
}
