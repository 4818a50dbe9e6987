//! The agent from outside: against a hub over real sockets, and the program itself.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests and what they share")]

mod common;
mod http;
mod program;
mod websocket;
