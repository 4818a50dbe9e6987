//! Configuration of a real hub from outside: as files, with its secrets kept, and what a page's link opens.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

#[path = "configuration/apply.rs"]
mod apply;
#[path = "configuration/canary.rs"]
mod canary;
#[path = "configuration/keys.rs"]
mod keys;
#[path = "configuration/signed.rs"]
mod signed;
#[expect(dead_code, reason = "each of the test programs uses a part")]
mod support;
