//! A small mail relay (RFC 5321) on loopback, with STARTTLS, TLS and logins, that fails at the step a test names.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// What the relay does at a step instead of going on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Act {
    /// It answers this.
    Says(&'static str),
    /// It never answers.
    Hangs,
    /// It closes the connection.
    Drops,
}

/// How the relay encrypts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encrypts {
    Never,
    OnRequest,
    AtOnce,
}

/// How the relay behaves. A step is `CONNECT`, `BODY`, or the beginning of a command such as `RCPT TO:<b@`.
#[derive(Debug, Clone)]
pub(crate) struct Behaviour {
    pub(crate) encrypts: Encrypts,
    pub(crate) login: Option<(&'static str, &'static str)>,
    pub(crate) mechanisms: &'static str,
    pub(crate) faults: Vec<(&'static str, Act)>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self { encrypts: Encrypts::Never, login: None, mechanisms: "PLAIN LOGIN", faults: Vec::new() }
    }
}

/// A mail that the relay took.
#[derive(Debug, Clone, Default)]
pub(crate) struct Taken {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) data: String,
    pub(crate) encrypted: bool,
    pub(crate) login: Option<String>,
}

/// A running relay.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) port: u16,
    /// The authority that its certificate for `localhost` comes from.
    pub(crate) root_pem: String,
    taken: Arc<Mutex<Vec<Taken>>>,
    commands: Arc<Mutex<Vec<String>>>,
}

struct Shared {
    behaviour: Behaviour,
    taken: Arc<Mutex<Vec<Taken>>>,
    commands: Arc<Mutex<Vec<String>>>,
}

/// A certificate for `localhost` that is its own authority: its PEM, and the server side that shows it.
pub(crate) fn tls_server() -> (String, TlsAcceptor) {
    super::install_tls();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.der().clone()], private).unwrap();
    (certificate.pem(), TlsAcceptor::from(Arc::new(config)))
}

impl Relay {
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        let (root_pem, acceptor) = tls_server();
        let (taken, commands) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let shared = Arc::new(Shared { behaviour, taken: Arc::clone(&taken), commands: Arc::clone(&commands) });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, acceptor.clone(), Arc::clone(&shared)));
            }
        });
        Self { port, root_pem, taken, commands }
    }

    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }

    /// The commands it heard, logins without their secrets.
    pub(crate) fn commands(&self) -> Vec<String> {
        self.commands.lock().unwrap().clone()
    }
}

/// Why a conversation ended.
enum End {
    Over,
    StartTls,
}

async fn serve(stream: tokio::net::TcpStream, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    let mut taken = Taken::default();
    if shared.behaviour.encrypts == Encrypts::AtOnce {
        taken.encrypted = true;
        let Ok(stream) = acceptor.accept(stream).await else { return };
        converse(&mut BufReader::new(stream), &shared, &mut taken, true).await;
        return;
    }
    let mut stream = BufReader::new(stream);
    if matches!(converse(&mut stream, &shared, &mut taken, true).await, Some(End::StartTls)) {
        taken.encrypted = true;
        let Ok(stream) = acceptor.accept(stream.into_inner()).await else { return };
        converse(&mut BufReader::new(stream), &shared, &mut taken, false).await;
    }
}

/// One side of the conversation; `None` when the connection broke or was to be broken.
async fn converse<S>(stream: &mut BufReader<S>, shared: &Shared, taken: &mut Taken, greets: bool) -> Option<End>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if greets {
        reply(stream, shared, "CONNECT", "220 localhost ESMTP").await?;
    }
    loop {
        let line = read_line(stream).await?;
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        shared.commands.lock().unwrap().push(if verb == "AUTH" { "AUTH".to_owned() } else { line.clone() });
        match verb.as_str() {
            "EHLO" => {
                let greeting = extensions(shared, taken.encrypted);
                reply(stream, shared, &line, &greeting).await?;
            }
            "STARTTLS" => {
                reply(stream, shared, &line, "220 2.0.0 go ahead").await?;
                return Some(End::StartTls);
            }
            "AUTH" => login(stream, shared, taken, &line).await?,
            "MAIL" if shared.behaviour.login.is_some() && taken.login.is_none() => say(stream, "530 5.7.0 log in first").await?,
            "MAIL" => {
                taken.from = line;
                reply(stream, shared, "MAIL", "250 2.1.0 ok").await?;
            }
            "RCPT" => {
                if reply(stream, shared, &line, "250 2.1.5 ok").await? {
                    taken.to.push(line);
                }
            }
            "DATA" => {
                if reply(stream, shared, "DATA", "354 go on").await? {
                    taken.data = body(stream).await?;
                    if reply(stream, shared, "BODY", "250 2.0.0 queued as 42").await? {
                        shared.taken.lock().unwrap().push(taken.clone());
                    }
                }
            }
            "QUIT" => {
                say(stream, "221 2.0.0 bye").await?;
                return Some(End::Over);
            }
            _ => say(stream, "500 5.5.2 what?").await?,
        }
    }
}

fn extensions(shared: &Shared, encrypted: bool) -> String {
    let mut lines = vec!["localhost".to_owned(), "8BITMIME".to_owned()];
    if shared.behaviour.encrypts == Encrypts::OnRequest && !encrypted {
        lines.push("STARTTLS".to_owned());
    }
    // As good relays do, logins are offered where nobody listens, if they have the choice.
    if shared.behaviour.login.is_some() && (encrypted || shared.behaviour.encrypts == Encrypts::Never) {
        lines.push(format!("AUTH {}", shared.behaviour.mechanisms));
    }
    let last = lines.pop().unwrap();
    let mut greeting: String = lines.iter().map(|line| format!("250-{line}\r\n")).collect();
    greeting.push_str(&format!("250 {last}"));
    greeting
}

async fn login<S>(stream: &mut BufReader<S>, shared: &Shared, taken: &mut Taken, line: &str) -> Option<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut words = line.split(' ').skip(1);
    let (mechanism, initial) = (words.next()?, words.next());
    let decode = |text: &str| String::from_utf8(STANDARD.decode(text).unwrap()).unwrap();
    let given = if mechanism == "PLAIN" {
        decode(initial?).split('\0').skip(1).map(str::to_owned).collect::<Vec<_>>()
    } else {
        say(stream, "334 VXNlcm5hbWU6").await?;
        let username = decode(&read_line(stream).await?);
        say(stream, "334 UGFzc3dvcmQ6").await?;
        vec![username, decode(&read_line(stream).await?)]
    };
    let (username, password) = shared.behaviour.login?;
    let right = given == [username, password];
    if reply(stream, shared, "AUTH", if right { "235 2.7.0 welcome" } else { "535 5.7.8 wrong password" }).await? && right {
        taken.login = Some(format!("{mechanism} {username}"));
    }
    Some(())
}

async fn body<S>(stream: &mut BufReader<S>) -> Option<String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut lines = Vec::new();
    loop {
        let line = read_line(stream).await?;
        if line == "." {
            return Some(lines.join("\r\n"));
        }
        lines.push(line.strip_prefix('.').map_or(line.clone(), str::to_owned));
    }
}

/// Answers `usual`, or does what the behaviour says for `step`; tells whether the answer was the usual one.
async fn reply<S>(stream: &mut BufReader<S>, shared: &Shared, step: &str, usual: &str) -> Option<bool>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let fault = shared.behaviour.faults.iter().find(|(prefix, _)| step.starts_with(prefix));
    match fault.map(|(_, act)| *act) {
        None => say(stream, usual).await.map(|()| true),
        Some(Act::Says(text)) => say(stream, text).await.map(|()| false),
        Some(Act::Drops) => None,
        Some(Act::Hangs) => std::future::pending().await,
    }
}

async fn say<S>(stream: &mut BufReader<S>, text: &str) -> Option<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(format!("{text}\r\n").as_bytes()).await.ok()?;
    stream.flush().await.ok()
}

async fn read_line<S>(stream: &mut BufReader<S>) -> Option<String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut line = String::new();
    let read = stream.read_line(&mut line).await.ok()?;
    (read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
}
