//! Which addresses may be spoken to. A channel's host comes from a user, and what it resolves to from whoever owns the name, so
//! every address is judged after it is known and before it is connected to; nothing is looked up a second time.

#[cfg(test)]
mod tests;

use ipnet::IpNet;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use url::Host;

/// What kind of place an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The internet.
    Public,
    /// This machine or a network of one's own: loopback, RFC 1918, carrier-grade NAT, unique local. Some channels live here.
    Private,
    /// Never a receiver: metadata services, link-local, multicast, unspecified, reserved. The text says which.
    Forbidden(&'static str),
}

/// Addresses that clouds answer credentials on, beside 169.254.0.0/16: AWS over IPv6, Alibaba, Oracle, Azure.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192), Ipv4Addr::new(168, 63, 129, 16)];

/// What kind of place `address` is (IANA special-purpose registries, RFC 6890 and its updates). An IPv6 address that only
/// carries an IPv4 address is judged by that one.
pub(crate) fn place(address: IpAddr) -> Place {
    match address {
        IpAddr::V4(v4) => place_v4(v4),
        IpAddr::V6(v6) => embedded(v6).map_or_else(|| place_v6(v6), place_v4),
    }
}

fn place_v4(address: Ipv4Addr) -> Place {
    let [a, b, c, _] = address.octets();
    if METADATA_V4.contains(&address) {
        return Place::Forbidden("a metadata service");
    }
    match (a, b, c) {
        (0, ..) => Place::Forbidden("an unspecified address"),
        (169, 254, _) => Place::Forbidden("a link-local address"),
        (224..=239, ..) => Place::Forbidden("a multicast address"),
        (240..=255, ..) | (192, 0, 0 | 2) | (198, 51, 100) | (203, 0, 113) | (192, 88, 99) => {
            Place::Forbidden("a reserved address")
        }
        (10 | 127, ..) | (172, 16..=31, _) | (192, 168, _) | (100, 64..=127, _) | (198, 18..=19, _) => Place::Private,
        _ => Place::Public,
    }
}

fn place_v6(address: Ipv6Addr) -> Place {
    let [first, second, ..] = address.segments();
    if address == METADATA_V6 {
        return Place::Forbidden("a metadata service");
    }
    if address.is_loopback() {
        return Place::Private;
    }
    match (first, second) {
        (0, _) => Place::Forbidden("an unspecified address"),
        (0x64, 0xff9b) => Place::Forbidden("a local translation prefix"),
        (0xfc00..=0xfdff, _) | (0xfec0..=0xfeff, _) => Place::Private,
        (0xfe80..=0xfebf, _) => Place::Forbidden("a link-local address"),
        (0xff00..=0xffff, _) => Place::Forbidden("a multicast address"),
        (0x2001, 0..=0x01ff | 0xdb8) | (0x3fff, 0..=0x0fff) | (0x5f00 | 0x0100, _) => Place::Forbidden("a reserved address"),
        (0x2000..=0x3fff, _) => Place::Public,
        _ => Place::Forbidden("a reserved address"),
    }
}

/// The IPv4 address inside an IPv6 address: mapped and compatible (RFC 4291), NAT64 (RFC 6052), 6to4 (RFC 3056).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let low = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, rest] | [0, 0, 0, 0, 0xffff, 0, high, rest] => Some(low(high, rest)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, rest] => Some(low(high, rest)),
        [0x2002, high, rest, ..] => Some(low(high, rest)),
        [0, 0, 0, 0, 0, 0, high, rest] if high != 0 => Some(low(high, rest)),
        _ => None,
    }
}

/// What one channel may reach.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pub(crate) allow_private: bool,
    /// Networks that the hub's own configuration allows, whatever they are.
    pub(crate) allowed: Arc<[IpNet]>,
}

/// An address or name that may not be spoken to, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// A private network, which the channel does not allow.
    #[error("{0} is in a private network: set allow_private on the channel, or allow the network in the hub's configuration")]
    Private(String),
    /// A place where no receiver lives.
    #[error("{0} is {1}: it is never spoken to unless the hub's configuration allows its network")]
    Forbidden(String, &'static str),
}

/// Why a host gives no address to connect to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    /// It has addresses, and none may be used.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It cannot be looked up.
    #[error("the name {0} cannot be looked up: {1}")]
    Lookup(String, #[source] std::io::Error),
    /// It has no address.
    #[error("the name {0} has no address")]
    Nothing(String),
}

impl Policy {
    /// Judges one address that `host` stands for.
    pub(crate) fn check(&self, host: &str, address: IpAddr) -> Result<(), Refusal> {
        let plain = match address {
            IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
            IpAddr::V4(_) => address,
        };
        if self.allowed.iter().any(|network| network.contains(&plain)) {
            return Ok(());
        }
        match place(address) {
            Place::Public => Ok(()),
            Place::Private if self.allow_private => Ok(()),
            Place::Private => Err(Refusal::Private(host.to_owned())),
            Place::Forbidden(what) => Err(Refusal::Forbidden(host.to_owned(), what)),
        }
    }

    /// Judges a URL's host if it is an address; a name is judged when it is resolved.
    pub(crate) fn check_literal(&self, host: Option<Host<&str>>) -> Result<(), Refusal> {
        match host {
            Some(Host::Ipv4(address)) => self.check(&address.to_string(), IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => self.check(&address.to_string(), IpAddr::V6(address)),
            Some(Host::Domain(_)) | None => Ok(()),
        }
    }

    /// Those addresses of `host` that may be spoken to; an error if there is none.
    pub(crate) fn filter(&self, host: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, ResolveError> {
        let mut refusal = None;
        let mut allowed = Vec::with_capacity(found.len());
        for address in found {
            match self.check(host, address.ip()) {
                Ok(()) => allowed.push(address),
                Err(why) => refusal = Some(why),
            }
        }
        match refusal {
            _ if !allowed.is_empty() => Ok(allowed),
            Some(why) => Err(why.into()),
            None => Err(ResolveError::Nothing(host.to_owned())),
        }
    }
}

/// Looks names up: the system's resolver, or a test's.
pub(crate) trait Lookup: Send + Sync + std::fmt::Debug {
    /// All addresses of `host`.
    fn lookup(&self, host: String, port: u16) -> Found;
}

/// The answer of a [`Lookup`].
pub(crate) type Found = Pin<Box<dyn Future<Output = std::io::Result<Vec<SocketAddr>>> + Send>>;

/// The system's resolver.
#[derive(Debug)]
pub(crate) struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, host: String, port: u16) -> Found {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

/// A resolver that only answers with addresses the policy lets through.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    pub(crate) policy: Policy,
    pub(crate) lookup: Arc<dyn Lookup>,
}

impl Guard {
    /// The addresses of `host` that may be connected to.
    pub(crate) async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ResolveError> {
        if let Ok(address) = host.parse::<IpAddr>() {
            self.policy.check(host, address)?;
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let found = self.lookup.lookup(host.to_owned(), port).await;
        self.policy.filter(host, found.map_err(|cause| ResolveError::Lookup(host.to_owned(), cause))?)
    }
}

impl reqwest::dns::Resolve for Guard {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found = Self::resolve(&guard, name.as_str(), 0).await?;
            Ok(Box::new(found.into_iter()) as reqwest::dns::Addrs)
        })
    }
}
