//! Who gets in and who may do what, on a hub inside the test's process: the matrix of routes and callers, set-up, logins,
//! sessions, and how refusals look.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

#[expect(dead_code, reason = "each of the test programs uses a part")]
mod inside;
#[path = "api_access/logins.rs"]
mod logins;
#[path = "api_access/matrix.rs"]
mod matrix;
#[path = "api_access/people.rs"]
mod people;
#[path = "api_access/problems.rs"]
mod problems;
#[path = "api_access/sessions.rs"]
mod sessions;
#[path = "api_access/setup.rs"]
mod setup;
