//! Where links in pages lead: the public address if one is configured, else the address the hub listens on.

use crate::clock;
use crate::signing::Signer;

/// The beginning of every link.
#[derive(Debug, Clone)]
pub struct Links {
    base: String,
    signer: Option<Signer>,
}

impl Links {
    /// Links that begin with `base`, which has no slash at its end.
    #[must_use]
    pub fn new(base: &str) -> Self {
        Self { base: base.trim_end_matches('/').to_owned(), signer: None }
    }

    /// The same, where those to incidents open them without a login.
    #[must_use]
    pub fn signed(self, signer: Option<Signer>) -> Self {
        Self { signer, ..self }
    }

    /// Who signs links to incidents; nobody if they need a login.
    #[must_use]
    pub const fn signer(&self) -> Option<&Signer> {
        self.signer.as_ref()
    }

    /// The beginning itself.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The name of the host that links lead to; `None` where that is an address.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        let rest = self.base.split_once("://")?.1;
        let host = rest.split(['/', ':']).next().filter(|host| host.contains('.') && host.ends_with(char::is_alphabetic));
        host.filter(|host| host.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-'))
    }

    /// The fleet, for what speaks of no incident.
    #[must_use]
    pub fn home(&self) -> String {
        format!("{}/", self.base)
    }

    /// The page of an incident, as notifications lead to it.
    #[must_use]
    pub fn incident(&self, id: &str) -> String {
        match &self.signer {
            Some(signer) => format!("{}/i/{id}?{}", self.base, signer.query(id, clock::now())),
            None => self.login(id),
        }
    }

    /// The page of an incident for those who log in.
    #[must_use]
    pub fn login(&self, id: &str) -> String {
        format!("{}/incidents/{id}", self.base)
    }

    /// The picture of an incident.
    #[must_use]
    pub fn incident_chart(&self, id: &str) -> String {
        match &self.signer {
            Some(signer) => format!("{}/i/{id}/chart.png?{}", self.base, signer.query(id, clock::now())),
            None => format!("{}/api/v1/incidents/{id}/chart.png", self.base),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_are_hosts_of_links() {
        assert_eq!(Links::new("https://monitor.example.org:8443/night/").host(), Some("monitor.example.org"));
        assert_eq!(Links::new("http://127.0.0.1:8787").host(), None);
        assert_eq!(Links::new("http://[::1]:8787").host(), None);
        assert_eq!(Links::new("https://a.example/").incident("01J"), "https://a.example/incidents/01J");
    }
}
