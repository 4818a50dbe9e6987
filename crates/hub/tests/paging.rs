//! When and to whom, with real processes: storms, quiet hours, silences that come again, routes, broken channels, secrets, files.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

#[path = "paging/down.rs"]
mod down;
#[path = "paging/kinds.rs"]
mod kinds;
#[path = "paging/quiet.rs"]
mod quiet;
#[path = "paging/routes.rs"]
mod routes;
#[path = "paging/storm.rs"]
mod storm;
#[expect(dead_code, reason = "each of the test programs uses a part")]
mod support;
#[path = "paging/top.rs"]
mod top;
