//! The whole main job with real processes: agents, hub, receivers. Each test begins with an empty folder and speaks to the hub
//! as the world does: over its sockets and its command line.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

#[path = "e2e/company.rs"]
mod company;
#[path = "e2e/doubt.rs"]
mod doubt;
#[path = "e2e/history.rs"]
mod history;
#[path = "e2e/host.rs"]
mod host;
#[path = "e2e/notices.rs"]
mod notices;
#[path = "e2e/page.rs"]
mod page;
#[path = "e2e/restart.rs"]
mod restart;
#[expect(dead_code, reason = "each of the test programs uses a part")]
mod support;
#[path = "e2e/tls.rs"]
mod tls;
