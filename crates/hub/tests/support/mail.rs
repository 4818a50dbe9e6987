//! A mail relay on loopback (RFC 5321, in clear) that keeps what it takes and refuses or hangs when it is told to.

use super::wait::until;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What a conversation meets when its mail has been said.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Act {
    /// This answer.
    Says(&'static str),
    /// None.
    Hangs,
}

/// A mail, or an attempt at one.
#[derive(Debug, Clone)]
pub(crate) struct Mail {
    pub(crate) at: Instant,
    pub(crate) to: Vec<String>,
    pub(crate) text: String,
    /// Whether the relay took it.
    pub(crate) taken: bool,
}

impl Mail {
    /// The value of a header, unfolded.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let head = self.text.split("\r\n\r\n").next()?.replace("\r\n ", " ").replace("\r\n\t", " ");
        let prefix = format!("{name}: ");
        head.lines().find_map(|line| line.strip_prefix(&prefix).map(str::to_owned))
    }

    /// The bodies of all parts of a type, with their transfer encoding undone if it is base64.
    pub(crate) fn parts(&self, kind: &str) -> Vec<Vec<u8>> {
        let wanted = format!("Content-Type: {kind}");
        let after = self.text.match_indices(&wanted).map(|(at, _)| &self.text[at..]);
        after
            .filter_map(|part| {
                let (head, rest) = part.split_once("\r\n\r\n")?;
                let body = rest.split("\r\n--").next()?;
                let base64 = head.contains("base64");
                let packed: String = body.split_whitespace().collect();
                Some(if base64 { STANDARD.decode(packed).expect("base64") } else { body.as_bytes().to_vec() })
            })
            .collect()
    }
}

#[derive(Debug, Default)]
struct Shared {
    /// How long each recipient is thought about.
    thinks: Duration,
    mails: Mutex<Vec<Mail>>,
    script: Mutex<VecDeque<Act>>,
}

/// A running relay.
#[derive(Debug)]
pub(crate) struct Relay {
    port: u16,
    shared: Arc<Shared>,
}

impl Relay {
    /// One that takes everything.
    pub(crate) async fn start() -> Self {
        Self::scripted(&[]).await
    }

    /// One that acts so for its first mails and then takes everything.
    pub(crate) async fn scripted(acts: &[Act]) -> Self {
        Self::with(Shared { script: Mutex::new(acts.iter().copied().collect()), ..Shared::default() }).await
    }

    /// One that thinks so long about each recipient.
    pub(crate) async fn thinking(thinks: Duration) -> Self {
        Self::with(Shared { thinks, ..Shared::default() }).await
    }

    async fn with(shared: Shared) -> Self {
        let shared = Arc::new(shared);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(BufReader::new(stream), Arc::clone(&served)));
            }
        });
        Self { port, shared }
    }

    /// The body that makes a channel which leads here.
    pub(crate) fn channel(&self, name: &str) -> Value {
        let config = json!({"host": "127.0.0.1", "port": self.port, "tls": "none", "from": "Nightbell <nb@example.org>",
            "to": ["ops@example.org"]});
        json!({"name": name, "kind": "smtp", "config": config})
    }

    /// Every mail that was said so far, taken or not.
    pub(crate) fn all(&self) -> Vec<Mail> {
        self.shared.mails.lock().unwrap().clone()
    }

    /// The mails that were taken.
    pub(crate) fn taken(&self) -> Vec<Mail> {
        self.all().into_iter().filter(|mail| mail.taken).collect()
    }

    /// Waits for the mail number `n` (from 1) that is taken.
    pub(crate) async fn nth(&self, n: usize) -> Mail {
        until(format!("mail {n}"), async || self.taken().get(n - 1).cloned()).await
    }
}

async fn converse(mut stream: BufReader<TcpStream>, shared: Arc<Shared>) -> Option<()> {
    say(&mut stream, "220 localhost ESMTP").await?;
    let mut to = Vec::new();
    loop {
        let line = read_line(&mut stream).await?;
        match line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase().as_str() {
            "EHLO" => say(&mut stream, "250-localhost\r\n250 8BITMIME").await?,
            "RCPT" => {
                to.push(line);
                tokio::time::sleep(shared.thinks).await;
                say(&mut stream, "250 2.1.5 ok").await?;
            }
            "DATA" => {
                say(&mut stream, "354 go on").await?;
                let text = body(&mut stream).await?;
                let act = shared.script.lock().unwrap().pop_front();
                let mail = Mail { at: Instant::now(), to: std::mem::take(&mut to), text, taken: act.is_none() };
                shared.mails.lock().unwrap().push(mail);
                match act {
                    None => say(&mut stream, "250 2.0.0 queued").await?,
                    Some(Act::Says(answer)) => say(&mut stream, answer).await?,
                    Some(Act::Hangs) => std::future::pending().await,
                }
            }
            "QUIT" => return say(&mut stream, "221 2.0.0 bye").await,
            "MAIL" | "RSET" | "NOOP" => say(&mut stream, "250 2.0.0 ok").await?,
            _ => say(&mut stream, "500 5.5.2 what?").await?,
        }
    }
}

async fn body(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut lines = Vec::new();
    loop {
        let line = read_line(stream).await?;
        if line == "." {
            return Some(lines.join("\r\n"));
        }
        lines.push(line.strip_prefix('.').unwrap_or(&line).to_owned());
    }
}

async fn say(stream: &mut BufReader<TcpStream>, text: &str) -> Option<()> {
    stream.write_all(format!("{text}\r\n").as_bytes()).await.ok()
}

async fn read_line(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    let read = stream.read_line(&mut line).await.ok()?;
    (read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
}
