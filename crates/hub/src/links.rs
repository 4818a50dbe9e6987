//! Where links in pages lead: the public address if one is configured, else the address the hub listens on.

/// The beginning of every link.
#[derive(Debug, Clone)]
pub struct Links {
    base: String,
}

impl Links {
    /// Links that begin with `base`, which has no slash at its end.
    #[must_use]
    pub fn new(base: &str) -> Self {
        Self { base: base.trim_end_matches('/').to_owned() }
    }

    /// The beginning itself.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The page of an incident.
    #[must_use]
    pub fn incident(&self, id: &str) -> String {
        format!("{}/incidents/{id}", self.base)
    }

    /// The picture of an incident.
    #[must_use]
    pub fn incident_chart(&self, id: &str) -> String {
        format!("{}/api/v1/incidents/{id}/chart.png", self.base)
    }
}
