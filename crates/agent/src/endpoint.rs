//! Where the hub is: the URL a user wrote, checked once and taken apart. Pure.

use crate::error::AgentError;
use std::net::IpAddr;
use url::{Host, Url};

/// The hub's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Whether TLS protects the way.
    pub(crate) secure: bool,
    /// A name or an address, the latter without brackets.
    pub(crate) host: String,
    /// The TCP port.
    pub(crate) port: u16,
    /// What stands before `/api/v1`, without a slash at its end.
    prefix: String,
    /// Whether the host is this one.
    pub(crate) loopback: bool,
}

impl Endpoint {
    /// Reads `wss://hub.example`, `ws://127.0.0.1:8787`, or the same with https and http.
    ///
    /// # Errors
    /// If it is no such URL, or plain text would leave this host without being allowed to.
    pub(crate) fn parse(text: &str, allow_plaintext: bool) -> Result<Self, AgentError> {
        const MEND: &str = "write it like wss://hub.example.org or ws://127.0.0.1:8787";
        let wrong = |why: &str| AgentError::config("the hub's URL", format!("{text:?} {why}"), MEND);
        let url = Url::parse(text).map_err(|error| wrong(&format!("is no URL ({error})")))?;
        let secure = match url.scheme() {
            "wss" | "https" => true,
            "ws" | "http" => false,
            _ => return Err(wrong("has a scheme that is neither wss nor ws")),
        };
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("must hold no user, password, query or fragment"));
        }
        let (host, loopback) = match url.host() {
            Some(Host::Domain(name)) => (name.to_owned(), name.eq_ignore_ascii_case("localhost")),
            Some(Host::Ipv4(ip)) => (ip.to_string(), ip.is_loopback()),
            Some(Host::Ipv6(ip)) => (ip.to_string(), ip.is_loopback()),
            None => return Err(wrong("names no host")),
        };
        if !secure && !loopback && !allow_plaintext {
            let why = format!("{text:?} would send the credential over the network in plain text");
            return Err(AgentError::config(
                "the hub's URL",
                why,
                "use wss://, or add --allow-plaintext if the network is trusted",
            ));
        }
        let port = url.port_or_known_default().unwrap_or(if secure { 443 } else { 80 });
        let path = url.path().trim_end_matches('/');
        let prefix = path.strip_suffix("/api/v1/agents/connect").or(path.strip_suffix("/api/v1")).unwrap_or(path);
        Ok(Self { secure, host, port, prefix: prefix.to_owned(), loopback })
    }

    /// The URL of the WebSocket.
    pub(crate) fn websocket(&self) -> String {
        let scheme = if self.secure { "wss" } else { "ws" };
        format!("{scheme}://{}{}/api/v1/agents/connect", self.authority(), self.prefix)
    }

    /// The path of an HTTP route below `/api/v1`.
    pub(crate) fn path(&self, route: &str) -> String {
        format!("{}/api/v1/{route}", self.prefix)
    }

    /// Host and port as a header or URL names them.
    pub(crate) fn authority(&self) -> String {
        let bracketed = self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6());
        let default = self.port == if self.secure { 443 } else { 80 };
        let host = if bracketed { format!("[{}]", self.host) } else { self.host.clone() };
        if default { host } else { format!("{host}:{}", self.port) }
    }

    /// The name a credential is bound to: the host, and one name for all of this host's loopback addresses and ports.
    pub(crate) fn identity(&self) -> String {
        if self.loopback { "localhost".to_owned() } else { self.host.to_lowercase() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Endpoint {
        Endpoint::parse(text, false).unwrap()
    }

    #[test]
    fn urls_are_taken_apart() {
        let hub = parsed("wss://hub.example.org");
        assert_eq!(hub.websocket(), "wss://hub.example.org/api/v1/agents/connect");
        assert_eq!((hub.port, hub.secure, hub.path("nodes").as_str()), (443, true, "/api/v1/nodes"));
        let local = parsed("ws://127.0.0.1:8787/");
        assert_eq!(local.websocket(), "ws://127.0.0.1:8787/api/v1/agents/connect");
        assert_eq!((local.identity().as_str(), parsed("http://localhost:1").identity().as_str()), ("localhost", "localhost"));
        assert_eq!(parsed("https://proxy/nightbell/").websocket(), "wss://proxy/nightbell/api/v1/agents/connect");
        assert_eq!(parsed("wss://hub:9/api/v1/agents/connect").websocket(), "wss://hub:9/api/v1/agents/connect");
        assert_eq!(parsed("ws://[::1]:8787").authority(), "[::1]:8787");
    }

    #[test]
    fn what_cannot_be_used_says_why_and_what_to_write() {
        for (text, part) in [
            ("hub.example.org", "is no URL"),
            ("ftp://hub", "neither wss nor ws"),
            ("wss://user:secret@hub", "no user"),
            ("ws://10.0.0.5:8787", "plain text"),
            ("http://hub.example.org", "plain text"),
        ] {
            let error = Endpoint::parse(text, false).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(Endpoint::parse("ws://10.0.0.5:8787", true).is_ok());
    }
}
