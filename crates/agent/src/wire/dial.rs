//! A TCP connection to the hub, in TLS where the URL says so: verified against the system's roots and those the user names.

use crate::endpoint::Endpoint;
use crate::error::AgentError;
use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Resolving, connecting and the TLS handshake together.
const PATIENCE: Duration = Duration::from_secs(10);
/// The system's certificates in one file: Debian and Arch, Fedora, SUSE, Alpine.
const BUNDLES: [&str; 4] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"];
/// One hub needs few sessions remembered.
const SESSIONS: usize = 4;

/// Bytes to and from the hub, encrypted or not.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection that stands.
pub(crate) struct Dialed {
    pub(crate) stream: Box<dyn Stream>,
    pub(crate) local: Option<SocketAddr>,
    pub(crate) peer: Option<SocketAddr>,
}

/// How to get there.
#[derive(Clone)]
pub(crate) struct Dialer {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialer").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

impl Dialer {
    /// Reads the certificates, if TLS is used.
    ///
    /// # Errors
    /// If the user's certificates cannot be read, or no certificate is trusted at all.
    pub(crate) fn new(endpoint: &Endpoint, ca_file: Option<&Path>) -> Result<Self, AgentError> {
        let tls = if endpoint.secure { Some(tls(endpoint, ca_file)?) } else { None };
        Ok(Self { host: endpoint.host.clone(), port: endpoint.port, tls })
    }

    /// Connects.
    pub(crate) async fn dial(&self) -> Result<Dialed, String> {
        match tokio::time::timeout(PATIENCE, self.connect()).await {
            Ok(dialed) => dialed,
            Err(_elapsed) => Err(format!("{} does not answer within {} s", self.host, PATIENCE.as_secs())),
        }
    }

    async fn connect(&self) -> Result<Dialed, String> {
        let failed = |error: std::io::Error| format!("cannot connect to {} port {}: {error}", self.host, self.port);
        let tcp = TcpStream::connect((&*self.host, self.port)).await.map_err(failed)?;
        tcp.set_nodelay(true).map_err(failed)?;
        let (local, peer) = (tcp.local_addr().ok(), tcp.peer_addr().ok());
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(tcp),
            Some((connector, name)) => {
                let failed = |error| format!("TLS with {} failed: {error}", self.host);
                Box::new(connector.connect(name.clone(), tcp).await.map_err(failed)?)
            }
        };
        Ok(Dialed { stream, local, peer })
    }
}

fn tls(endpoint: &Endpoint, ca_file: Option<&Path>) -> Result<(TlsConnector, ServerName<'static>), AgentError> {
    let mut roots = RootCertStore::empty();
    add_system(&mut roots);
    ca_file.map_or(Ok(0), |file| add_file(&mut roots, file))?;
    if roots.is_empty() {
        let mend = "install the package ca-certificates, or name the hub's certificate with --ca-file";
        return Err(AgentError::config("--hub", "this system trusts no certificate, so no TLS connection can be verified", mend));
    }
    let name = ServerName::try_from(endpoint.host.clone()).map_err(|error| {
        AgentError::config("--hub", format!("{:?} is no host's name: {error}", endpoint.host), "write wss://HUB")
    })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| AgentError::System { action: "set up TLS", source: std::io::Error::other(error) })?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok((TlsConnector::from(Arc::new(config)), name))
}

/// The system's own certificates. One by one from the bundle that every distribution has (or `SSL_CERT_FILE` names), because the
/// general way reads a folder of hundreds of files as well and holds them all at once; that way is taken where nothing else is.
fn add_system(roots: &mut RootCertStore) {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let known = BUNDLES.iter().map(PathBuf::from).filter(|_| std::env::var_os("SSL_CERT_DIR").is_none());
    let bundle = named.into_iter().chain(known).find_map(|bundle| CertificateDer::pem_file_iter(bundle).ok());
    for certificate in bundle.into_iter().flatten().flatten() {
        // Bundles hold some that are too old to be understood.
        let _unusable = roots.add(certificate);
    }
    if roots.is_empty() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
}

fn add_file(roots: &mut RootCertStore, file: &Path) -> Result<usize, AgentError> {
    let wrong = |why: String| {
        let what = format!("--ca-file {}", file.display());
        AgentError::config(what, why, "name a file with certificates in PEM form")
    };
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let mut count = 0;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| wrong(format!("is no certificate: {error}")))?;
        roots.add(certificate).map_err(|error| wrong(format!("holds a certificate that cannot be used: {error}")))?;
        count += 1;
    }
    if count == 0 { Err(wrong("holds no certificate".to_owned())) } else { Ok(count) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(content: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        std::fs::write(&file, content).unwrap();
        let endpoint = Endpoint::parse("wss://hub", false).unwrap();
        Dialer::new(&endpoint, Some(&file)).unwrap_err().to_string()
    }

    #[test]
    fn certificates_that_cannot_be_used_are_named_at_the_start() {
        assert!(refused("").contains("holds no certificate"));
        assert!(refused("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").contains("cannot be used"));
        let endpoint = Endpoint::parse("wss://hub", false).unwrap();
        let error = Dialer::new(&endpoint, Some(Path::new("/nowhere.pem"))).unwrap_err();
        assert!(error.to_string().contains("/nowhere.pem: cannot be read"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
}
