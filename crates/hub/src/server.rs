//! The listening socket: plain HTTP or TLS, HTTP/1.1 with upgrades, slow clients cut off, resting ones parked, a clean end.
//!
//! What is answered is the business of whoever is given to it.

mod heads;
mod patient;
mod rest;
#[cfg(test)]
mod tests;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use patient::Patient;
use rest::{Rest, Watched};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tower::{Service, ServiceExt};

/// How long a connection may be idle between two requests: longer than agents usually wait between two heartbeats.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// A connection at which nothing moved for so long is parked.
const PARK_AFTER: Duration = Duration::from_secs(1);
/// How long a client may take for its TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait after the system refused a connection (no file descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Read buffer of an HTTP connection: most are agents that idle.
const READ_BUFFER: usize = 16 * 1024;

/// Why the hub cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address cannot be bound.
    #[error("cannot listen on {address}: {source}; {mend}")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
        /// What to do.
        mend: &'static str,
    },
    /// Certificate or key cannot be used.
    #[error("{path}: {why}")]
    Tls {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// Whoever answers requests, a router for one.
pub trait Answers:
    Service<Request, Response = Response, Error = Infallible, Future: Send + 'static> + Clone + Send + Sync + 'static
{
}

impl<A> Answers for A where
    A: Service<Request, Response = Response, Error = Infallible, Future: Send + 'static> + Clone + Send + Sync + 'static
{
}

/// A bound socket.
pub struct Server {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("listener", &self.listener).field("tls", &self.tls.is_some()).finish()
    }
}

impl std::fmt::Debug for TlsMaterial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsMaterial")
    }
}

/// Certificate and key, read and checked.
#[derive(Clone)]
pub struct TlsMaterial(Arc<rustls::ServerConfig>);

impl TlsMaterial {
    /// Reads PEM files.
    ///
    /// # Errors
    /// When one cannot be read, holds nothing usable, or the two do not fit.
    pub fn read(cert: &Path, key: &Path) -> Result<Self, ListenError> {
        let wrong = |path: &Path, why: String| ListenError::Tls { path: path.to_owned(), why };
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(cert)
            .and_then(Iterator::collect)
            .map_err(|error| wrong(cert, format!("cannot read the certificate: {error}; --tls-cert wants a PEM file")))?;
        if chain.is_empty() {
            return Err(wrong(cert, "holds no certificate; --tls-cert wants a PEM file with the whole chain".to_owned()));
        }
        let private = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| wrong(key, format!("cannot read the private key: {error}; --tls-key wants a PEM file")))?;
        let mut config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .map_err(|error| wrong(key, format!("does not fit the certificate: {error}")))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }
}

impl Server {
    /// Binds `address`.
    ///
    /// # Errors
    /// When it is taken or not ours.
    pub async fn bind(address: SocketAddr, tls: Option<TlsMaterial>) -> Result<Self, ListenError> {
        let listener = TcpListener::bind(address).await.map_err(|source| {
            let mend = match source.kind() {
                std::io::ErrorKind::AddrInUse => {
                    "another program (perhaps another hub) uses it: stop that one or choose another port with --listen"
                }
                std::io::ErrorKind::PermissionDenied => "ports below 1024 need privileges: choose a higher one with --listen",
                _ => "choose an address of this host with --listen",
            };
            ListenError::Bind { address, source, mend }
        })?;
        Ok(Self { listener, tls: tls.map(|material| TlsAcceptor::from(material.0)) })
    }

    /// Where it really listens.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The beginning of its URLs.
    ///
    /// # Errors
    /// When the system does not say where it listens.
    pub fn url(&self) -> std::io::Result<String> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let address = self.address()?;
        let host = if address.ip().is_unspecified() { SocketAddr::new([127, 0, 0, 1].into(), address.port()) } else { address };
        Ok(format!("{scheme}://{host}"))
    }

    /// Serves until `stop` turns true, then lets requests in hand finish for at most `grace`.
    pub async fn run(self, answers: impl Answers, mut stop: watch::Receiver<bool>, grace: Duration) {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            tokio::select! {
                () = stopped(&mut stop) => break,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        let serve = connection(stream, peer, self.tls.clone(), answers.clone(), stop.clone());
                        connections.spawn(serve);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_ended) = connections.join_next(), if !connections.is_empty() => {}
            }
        }
        drop(self.listener);
        let _late = tokio::time::timeout(grace, async { while connections.join_next().await.is_some() {} }).await;
    }
}

/// Waits until the hub is told to stop.
pub async fn stopped(stop: &mut watch::Receiver<bool>) {
    // The sender is gone only when the hub is, which is the same.
    drop(stop.wait_for(|stop| *stop).await);
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    answers: impl Answers,
    stop: watch::Receiver<bool>,
) {
    let _fine = stream.set_nodelay(true);
    match tls {
        None => serve(stream, peer, answers, stop).await,
        // In a box: thousands of plain connections need no room for the state of TLS.
        Some(acceptor) => Box::pin(secured(stream, peer, acceptor, answers, stop)).await,
    }
}

async fn secured(stream: TcpStream, peer: SocketAddr, acceptor: TlsAcceptor, answers: impl Answers, stop: watch::Receiver<bool>) {
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => serve(stream, peer, answers, stop).await,
        Ok(Err(error)) => tracing::debug!(%error, %peer, "TLS handshake failed"),
        Err(_late) => tracing::debug!(%peer, "TLS handshake took too long"),
    }
}

/// Talks to a client until either side has enough; before its first request and between them the connection is parked.
async fn serve<S>(stream: S, peer: SocketAddr, answers: impl Answers, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let rest = Arc::new(Rest::default());
    let (mut stream, mut patience) = (Patient::new(stream, Arc::clone(&rest)), heads::TIMEOUT);
    loop {
        let goes_on = tokio::select! {
            arrival = stream.arrival() => arrival.unwrap_or(false),
            () = tokio::time::sleep(patience) => false,
            () = stopped(&mut stop) => false,
        };
        if !goes_on {
            let _gone = stream.shutdown().await;
            return;
        }
        let Some(parked) = talk(stream, &rest, peer, &answers, &mut stop).await else { return };
        (stream, patience) = (parked, IDLE_TIMEOUT);
    }
}

/// Answers the requests of a connection until it rests, and gives it back; or until it ends.
async fn talk<S>(
    stream: Patient<S>,
    rest: &Arc<Rest>,
    peer: SocketAddr,
    answers: &impl Answers,
    stop: &mut watch::Receiver<bool>,
) -> Option<Patient<S>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (asked, answered) = (Arc::clone(rest), Arc::clone(rest));
    let service = answers
        .clone()
        .map_request(move |mut request: http::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            request.map(|body| Body::new(Watched::request(body, Arc::clone(&asked))))
        })
        .map_response(move |response: Response| response.map(|body| Watched::answer(body, Arc::clone(&answered))));
    let connection = hyper::server::conn::http1::Builder::new()
        // One would begin when the connection is idle, with a timer for each request. What a head may take is bounded by the stream.
        .header_read_timeout(None)
        .max_buf_size(READ_BUFFER)
        // A client may close its half once it has asked. And to notice an end in the middle of a request, hyper would fetch a
        // second buffer beside the one that the request lies in, for every heartbeat.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades();
    // In a box, so that a parked connection has no room for it.
    let mut connection = Box::new(connection);
    let mut quiet = Duration::ZERO;
    let ended = loop {
        let moves = rest.moves();
        tokio::select! {
            ended = &mut connection => break ended,
            () = stopped(stop) => {
                Pin::new(&mut *connection).graceful_shutdown();
                break connection.await;
            }
            () = tokio::time::sleep(PARK_AFTER) => {}
        }
        quiet = if rest.moves() == moves { quiet + PARK_AFTER } else { Duration::ZERO };
        if quiet >= IDLE_TIMEOUT && rest.is_idle() {
            Pin::new(&mut *connection).graceful_shutdown();
            break connection.await;
        }
        if quiet.is_zero() || !rest.is_at_rest() {
            continue;
        }
        rest.set_parking(true);
        Pin::new(&mut *connection).graceful_shutdown();
        let parked = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *connection).poll(cx))).await;
        rest.set_parking(false);
        match parked {
            Poll::Ready(Ok(())) => {
                // There is none where a request to upgrade was refused: that connection is let go.
                let parts = connection.into_parts()?;
                let mut stream = parts.io.into_inner();
                stream.unread(&parts.read_buf);
                return Some(stream);
            }
            Poll::Ready(Err(error)) => break Err(error),
            // The last bytes are on their way: the connection ends with them.
            Poll::Pending => break connection.await,
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "connection ended");
    }
    None
}
