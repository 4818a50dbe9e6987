//! Settings that people change at run time.

/// The name of the setting that says in which time zone pages are written.
pub const TIMEZONE: &str = "timezone";

/// What people have set; everything has a default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The time zone in which pages and pictures show times.
    pub timezone: chrono_tz::Tz,
}

impl Default for Settings {
    fn default() -> Self {
        Self { timezone: chrono_tz::UTC }
    }
}

impl Settings {
    /// Takes a stored setting; what is unknown or unreadable is left at its value (a newer hub may have written it).
    pub fn set(&mut self, key: &str, value: &str) {
        if key == TIMEZONE
            && let Ok(zone) = value.parse()
        {
            self.timezone = zone;
        }
    }
}
