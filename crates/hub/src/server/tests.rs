//! Connections between their requests: who rests is parked and goes on where it was, and nobody else is.

use super::*;
use axum::Router;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, DuplexStream, duplex};
use tokio::time::{Instant, sleep, timeout};

const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);
const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: hub\r\n\r\n";
/// Longer than anything takes here but what never happens.
const LONG: Duration = Duration::from_secs(30);

fn router() -> Router {
    let trickle = async || {
        let pieces = futures_util::stream::unfold(0, async |n: u8| {
            sleep(Duration::from_secs(3)).await;
            (n < 3).then(|| (Ok::<_, std::io::Error>(n.to_string()), n + 1))
        });
        Body::from_stream(pieces)
    };
    Router::new()
        .route("/", get(async || "hello").post(async |body: String| body))
        .route("/refuse", post(async || "no"))
        .route("/slow", get(async || sleep(Duration::from_secs(5)).await))
        .route("/trickle", get(trickle))
}

/// A connection that is served in the background, until it rests or ends.
fn begin(stream: DuplexStream) -> tokio::task::JoinHandle<Option<Patient<DuplexStream>>> {
    let rest = Arc::new(Rest::default());
    go_on(Patient::new(stream, Arc::clone(&rest)), rest)
}

fn go_on(stream: Patient<DuplexStream>, rest: Arc<Rest>) -> tokio::task::JoinHandle<Option<Patient<DuplexStream>>> {
    let (keep, mut stop) = watch::channel(false);
    tokio::spawn(async move {
        let talked = talk(stream, &rest, PEER, &router(), &mut stop).await;
        drop(keep);
        talked
    })
}

/// Asks, and gives the body of the answer, which ends with `end`.
async fn ask(far: &mut DuplexStream, request: &[u8], end: &str) -> String {
    far.write_all(request).await.expect("somebody reads");
    let mut answer = String::new();
    while !answer.ends_with(end) {
        let mut room = [0; 1024];
        let read = timeout(LONG, far.read(&mut room)).await.expect("an answer").expect("a connection");
        assert!(read > 0, "closed after {answer:?}");
        answer.push_str(str::from_utf8(&room[..read]).expect("text"));
    }
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer
}

/// What is said before the connection ends.
async fn end(far: &mut DuplexStream) -> Vec<u8> {
    let mut rest = Vec::new();
    timeout(LONG, far.read_to_end(&mut rest)).await.expect("an end").expect("a clean one");
    rest
}

#[tokio::test(start_paused = true)]
async fn a_connection_at_rest_is_parked_and_goes_on() {
    let (near, mut far) = duplex(4096);
    let mut serving = begin(near);
    for _ in 0..3 {
        ask(&mut far, GET, "hello").await;
        ask(&mut far, b"POST / HTTP/1.1\r\nhost: hub\r\ncontent-length: 4\r\n\r\nbeat", "beat").await;
        let begun = Instant::now();
        let parked = serving.await.expect("no panic").expect("parked");
        assert!(begun.elapsed() >= PARK_AFTER && begun.elapsed() <= 2 * PARK_AFTER, "{:?}", begun.elapsed());
        sleep(LONG).await;
        let rest = Arc::clone(parked.rest());
        serving = go_on(parked, rest);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_is_not_parked() {
    for (request, end) in [("/slow", "\r\n\r\n"), ("/trickle", "1\r\n2\r\n0\r\n\r\n")] {
        let (near, mut far) = duplex(4096);
        let serving = begin(near);
        let head = format!("GET {request} HTTP/1.1\r\nhost: hub\r\n\r\n");
        ask(&mut far, head.as_bytes(), end).await;
        ask(&mut far, GET, "hello").await;
        assert!(serving.await.expect("no panic").is_some(), "{request}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_comes_in_two_is_whole() {
    let (near, mut far) = duplex(4096);
    let serving = begin(near);
    ask(&mut far, GET, "hello").await;
    far.write_all(&GET[..9]).await.expect("somebody reads");
    sleep(Duration::from_secs(5)).await;
    assert!(!serving.is_finished());
    ask(&mut far, &GET[9..], "hello").await;
    let two = [GET, GET].concat();
    let both = ask(&mut far, &two, "hello").await;
    if both.matches("hello").count() == 1 {
        ask(&mut far, b"", "hello").await;
    }
    assert!(serving.await.expect("no panic").is_some());
}

/// What comes after an answer to half a request is the other half, and no request.
#[tokio::test(start_paused = true)]
async fn who_was_answered_early_is_not_parked() {
    let (near, mut far) = duplex(4096);
    let serving = begin(near);
    ask(&mut far, b"POST /refuse HTTP/1.1\r\nhost: hub\r\ncontent-length: 33\r\n\r\nhalf", "no").await;
    sleep(Duration::from_secs(5)).await;
    far.write_all(GET).await.expect("somebody reads it away");
    assert_eq!(end(&mut far).await, b"");
    drop(far);
    assert!(serving.await.expect("no panic").is_none());
}

/// Whether a connection is parked or may not be, somebody who says nothing more is not waited for for ever.
#[tokio::test(start_paused = true)]
async fn who_is_silent_for_too_long_is_left() {
    for may_rest in [true, false] {
        let (near, mut far) = duplex(4096);
        let (keep, mut stop) = watch::channel(false);
        let serving = tokio::spawn(async move {
            if may_rest {
                return serve(near, PEER, router(), stop).await;
            }
            let rest = Arc::new(Rest::default());
            drop(Watched::request(Body::from("unread"), Arc::clone(&rest)));
            drop(Watched::answer(Body::empty(), Arc::clone(&rest)));
            assert!(talk(Patient::new(near, Arc::clone(&rest)), &rest, PEER, &router(), &mut stop).await.is_none());
        });
        for _ in 0..2 {
            ask(&mut far, GET, "hello").await;
            sleep(IDLE_TIMEOUT - 2 * PARK_AFTER).await;
        }
        assert!(!serving.is_finished());
        ask(&mut far, GET, "hello").await;
        let begun = Instant::now();
        assert_eq!(timeout(2 * IDLE_TIMEOUT, far.read(&mut [0; 64])).await.expect("an end").expect("a clean one"), 0);
        assert!((IDLE_TIMEOUT..=IDLE_TIMEOUT + 2 * PARK_AFTER).contains(&begun.elapsed()), "{may_rest}: {:?}", begun.elapsed());
        drop(far);
        timeout(LONG, serving).await.expect("ended").expect("no panic");
        drop(keep);
    }
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_an_end_gets_it() {
    let (near, mut far) = duplex(4096);
    let serving = begin(near);
    ask(&mut far, b"GET / HTTP/1.1\r\nhost: hub\r\nconnection: close\r\n\r\n", "hello").await;
    assert_eq!(end(&mut far).await, b"");
    assert!(timeout(LONG, serving).await.expect("ended").expect("no panic").is_none());
}

/// What arrives while nobody reads is not lost, in whatever pieces.
#[tokio::test(start_paused = true)]
async fn a_request_begins_while_parked_however_it_is_cut() {
    let long = format!("GET / HTTP/1.1\r\nhost: hub\r\nx-long: {}\r\n\r\n", "x".repeat(3000));
    for cut in [1, 10, 63, 64, 65, 200] {
        let (near, mut far) = duplex(4096);
        let (keep, stop) = watch::channel(false);
        let serving = tokio::spawn(serve(near, PEER, router(), stop));
        for _ in 0..2 {
            let (beginning, rest) = long.split_at(cut);
            far.write_all(beginning.as_bytes()).await.expect("somebody reads");
            sleep(Duration::from_secs(3)).await;
            ask(&mut far, rest.as_bytes(), "hello").await;
            sleep(Duration::from_secs(3)).await;
        }
        ask(&mut far, GET, "hello").await;
        sleep(Duration::from_secs(3)).await;
        drop(far);
        serving.await.expect("no panic");
        drop(keep);
    }
}

/// TLS reads ahead: it has the request already when it has read the end of the handshake, and the socket says nothing more.
#[tokio::test]
async fn a_request_that_comes_with_the_end_of_the_handshake_is_answered() {
    crate::wiring::install_tls_provider();
    let folder = tempfile::tempdir().expect("a folder");
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let acceptor = TlsAcceptor::from(TlsMaterial::read(&cert, &key).expect("they fit").0);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a root");
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let (near, far) = duplex(64 * 1024);
    let (keep, stop) = watch::channel(false);
    let serving =
        tokio::spawn(async move { serve(acceptor.accept(near).await.expect("shaken hands"), PEER, router(), stop).await });
    let name = rustls_pki_types::ServerName::try_from("localhost").expect("a name");
    let mut far = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, far).await.expect("shaken hands");
    // The server has not run since the client's last word.
    far.write_all(GET).await.expect("written");
    let mut room = [0; 1024];
    let read = timeout(Duration::from_secs(8), far.read(&mut room)).await.expect("an answer soon").expect("an answer");
    assert!(room[..read].ends_with(b"hello"));
    drop(far);
    serving.await.expect("no panic");
    drop(keep);
}

/// A real socket, served until the hub stops.
#[tokio::test]
async fn a_parked_socket_hears_its_client_and_the_end() {
    let server = Server::bind(SocketAddr::new(PEER.ip(), 0), None).await.expect("bound");
    let address = server.address().expect("an address");
    let (end, stop) = watch::channel(false);
    let running = tokio::spawn(server.run(router(), stop, LONG));
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(TcpStream::connect(address).await.expect("connected"));
    }
    for pause in [PARK_AFTER * 5 / 2, Duration::ZERO] {
        for client in &mut clients {
            client.write_all(GET).await.expect("sent");
            let mut room = [0; 1024];
            let read = timeout(LONG, client.read(&mut room)).await.expect("an answer").expect("an answer");
            assert!(room[..read].ends_with(b"hello"), "{}", String::from_utf8_lossy(&room[..read]));
        }
        sleep(pause).await;
    }
    sleep(PARK_AFTER * 5 / 2).await;
    drop(clients.pop());
    end.send(true).expect("it runs");
    for client in &mut clients {
        assert_eq!(timeout(LONG, client.read(&mut [0; 64])).await.expect("an end").expect("an end"), 0);
    }
    drop(clients);
    timeout(LONG, running).await.expect("ended").expect("no panic");
}
