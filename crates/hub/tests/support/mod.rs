//! A real hub process and everything that stands around one: agents of other makes, receivers, mail relays, vendors.
//!
//! What is tested is left to the test files. The doubles of the vendors are those that `nightbell-notify` is tested against.

pub(crate) mod agents;
pub(crate) mod api;
#[path = "../../../notify/src/testing/double.rs"]
pub(crate) mod double;
pub(crate) mod house;
pub(crate) mod hub;
pub(crate) mod mail;
pub(crate) mod pictures;
pub(crate) mod receiver;
#[path = "../../../notify/src/testing/vendors.rs"]
pub(crate) mod vendors;
pub(crate) mod wait;

use std::time::{SystemTime, UNIX_EPOCH};

/// The wall clock in milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// Whether what takes long is wanted, too.
pub(crate) fn slow() -> bool {
    std::env::var("NIGHTBELL_SLOW").is_ok_and(|value| value == "1")
}
