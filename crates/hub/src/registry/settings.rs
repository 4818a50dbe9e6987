//! Settings that people change at run time.

use crate::files::managed::{self, Managed};
use crate::routing::{self, Route};
use nightbell_model::ChannelId;

/// The name of the setting that says in which time zone pages are written.
pub const TIMEZONE: &str = "timezone";
/// The name of the setting that says which channel is told of others' trouble; empty for none.
pub const FALLBACK_CHANNEL: &str = "fallback_channel";

/// The name of the setting that says whom rules without channels of their own tell.
pub const ROUTES: &str = "routes";

/// What people have set; everything has a default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The time zone in which pages and pictures show times.
    pub timezone: chrono_tz::Tz,
    /// The channel that is told when another refuses its pages.
    pub fallback: Option<ChannelId>,
    /// What files declare.
    pub managed: Managed,
    /// Whom rules without channels of their own tell, in order.
    pub routes: Vec<Route>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { timezone: chrono_tz::UTC, fallback: None, managed: Managed::default(), routes: Vec::new() }
    }
}

impl Settings {
    /// Takes a stored setting; what is unknown or unreadable is left at its value (a newer hub may have written it).
    pub fn set(&mut self, key: &str, value: &str) {
        match key {
            TIMEZONE => {
                if let Ok(zone) = value.parse() {
                    self.timezone = zone;
                }
            }
            managed::SETTING => self.managed = Managed::read(value),
            FALLBACK_CHANNEL => self.fallback = value.parse().ok(),
            ROUTES => self.routes = routing::read(value),
            _ => {}
        }
    }
}
