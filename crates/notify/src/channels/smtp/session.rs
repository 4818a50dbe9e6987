//! One conversation with a relay (RFC 5321), each step under its own time limit, and what its failure means.
//!
//! A recipient that is refused does not keep the page from the others: it is enough that one is accepted. Who was not, and whether
//! for good, is told beside it; what follows from that is left to `smtp`.

use crate::config::{SmtpConfig, SmtpTls};
use crate::delivery::{Outcome, with_receivers_words};
use crate::http::{causes, presentable};
use crate::notifier::Notifier;
use crate::progress::Refused;
use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use std::error::Error as StdError;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

/// A relay may think this much longer about a whole mail than about a single step (RFC 5321, 4.5.3.2 asks for patience here).
const BODY_PATIENCE: u32 = 3;
/// How long a relay may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// How far the conversation had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Connect,
    StartTls,
    Login,
    Sender,
    Recipient,
    Data,
    Body,
}

impl Step {
    /// In words that follow the relay's name.
    const fn failing(self) -> &'static str {
        match self {
            Self::Connect => "cannot be spoken to",
            Self::StartTls => "does not begin encryption",
            Self::Login => "refuses the login",
            Self::Sender => "refuses the sender",
            Self::Recipient => "refuses the recipient",
            Self::Data => "does not take the mail",
            Self::Body => "did not take the mail",
        }
    }
}

/// Why a step failed.
enum Failure {
    /// The relay said so, or the connection broke.
    Relay(Error),
    /// Nothing was heard in time.
    Silence,
}

/// What a relay made of a mail: whom it accepted it for, whom not.
#[derive(Debug, Default)]
pub(super) struct Handover {
    /// Who has it. Nobody: the mail was not handed over.
    pub(super) reached: Vec<String>,
    /// Who is refused for good.
    pub(super) refused: Vec<Refused>,
    /// Who may be accepted later.
    pub(super) later: Vec<Refused>,
    /// What the relay said when it took the mail.
    pub(super) reply: String,
}

/// The conversation so far.
struct Session<'a> {
    config: &'a SmtpConfig,
    timeout: Duration,
}

/// Hands `letter` for `to` to the relay at one of `addresses`.
///
/// # Errors
/// The outcome, where it is the same for all of them.
pub(super) async fn send(
    notifier: &Notifier,
    config: &SmtpConfig,
    addresses: &[SocketAddr],
    letter: &[u8],
    to: &[&Address],
) -> Result<Handover, Outcome> {
    let session = Session { config, timeout: notifier.options.timeout };
    // Missing certificates are this machine's fault and not the channel's.
    let tls = tls_parameters(notifier, config)
        .map_err(|error| Outcome::retry(format!("encryption cannot be set up: {}", session.words(&error))))?;
    let mut connection = session.open(addresses, tls).await?;
    let handover = session.converse(&mut connection, letter, to).await;
    let goodbye = tokio::time::timeout(GOODBYE.min(session.timeout), connection.abort()).await;
    if goodbye.is_err() {
        tracing::debug!(host = config.host, "the relay does not say goodbye");
    }
    handover
}

fn tls_parameters(notifier: &Notifier, config: &SmtpConfig) -> Result<Option<TlsParameters>, Error> {
    if config.tls == SmtpTls::None {
        return Ok(None);
    }
    let mut builder = TlsParameters::builder(config.host.clone());
    for root in &notifier.roots {
        builder = builder.add_root_certificate(root.clone());
    }
    builder.build().map(Some)
}

impl Session<'_> {
    /// Connects, encrypts and logs in, as configured.
    async fn open(&self, addresses: &[SocketAddr], tls: Option<TlsParameters>) -> Result<AsyncSmtpConnection, Outcome> {
        let hello = ClientId::default();
        let (at_once, later) = if self.config.tls == SmtpTls::Tls { (tls, None) } else { (None, tls) };
        let connect = AsyncSmtpConnection::connect_tokio1(addresses, Some(self.timeout), &hello, at_once, None);
        let mut connection = self.step(Step::Connect, self.timeout * 2, connect).await?;
        if let Some(tls) = later {
            if !connection.can_starttls() {
                connection.abort().await;
                let error =
                    format!("{} offers no STARTTLS: set tls to \"tls\", or to \"none\" in a network you trust", self.config.host);
                return Err(Outcome::Broken { error });
            }
            self.step(Step::StartTls, self.timeout, connection.starttls(tls, &hello)).await?;
        }
        if let Some((username, password)) = &self.config.login {
            let credentials = Credentials::new(username.clone(), password.expose().to_owned());
            self.step(Step::Login, self.timeout, connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials)).await?;
        }
        Ok(connection)
    }

    /// Sender, recipients, mail.
    async fn converse(&self, connection: &mut AsyncSmtpConnection, letter: &[u8], to: &[&Address]) -> Result<Handover, Outcome> {
        let sender = Mail::new(Some(self.config.from.email.clone()), self.parameters(connection, to)?);
        self.step(Step::Sender, self.timeout, connection.command(sender)).await?;
        let mut handover = self.recipients(connection, to).await?;
        if handover.reached.is_empty() {
            return Ok(handover);
        }
        self.step(Step::Data, self.timeout, connection.command(Data)).await?;
        let reply = self.step(Step::Body, self.timeout * BODY_PATIENCE, connection.message(letter)).await?;
        handover.reply = presentable(reply.first_line().unwrap_or_default(), &self.secrets());
        Ok(handover)
    }

    /// Addresses beyond ASCII need a relay that knows them (RFC 6531); the mail itself is ASCII.
    fn parameters(&self, connection: &AsyncSmtpConnection, to: &[&Address]) -> Result<Vec<MailParameter>, Outcome> {
        if to.iter().copied().chain([&self.config.from.email]).all(|address| address.to_string().is_ascii()) {
            return Ok(Vec::new());
        }
        if connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            return Ok(vec![MailParameter::SmtpUtfEight]);
        }
        Err(Outcome::broken(format!("{} takes no addresses beyond ASCII (SMTPUTF8)", self.config.host)))
    }

    /// Names the recipients and hears of each. A relay that stops speaking ends it for all: the mail has gone to nobody.
    async fn recipients(&self, connection: &mut AsyncSmtpConnection, to: &[&Address]) -> Result<Handover, Outcome> {
        let mut handover = Handover::default();
        for address in to {
            match self.attempt(self.timeout, connection.command(recipient(address))).await {
                Ok(_) => handover.reached.push(address.to_string()),
                // 421 is the relay's goodbye (RFC 5321, 3.8), not about this recipient.
                Err(Failure::Relay(error)) if error.status().is_some() && !is_goodbye(&error) => {
                    let refused = Refused { address: address.to_string(), why: self.words(&error) };
                    if error.is_permanent() { handover.refused.push(refused) } else { handover.later.push(refused) }
                }
                Err(failure) => return Err(self.outcome(Step::Recipient, failure)),
            }
        }
        Ok(handover)
    }

    async fn attempt<T>(&self, limit: Duration, work: impl Future<Output = Result<T, Error>>) -> Result<T, Failure> {
        match tokio::time::timeout(limit, work).await {
            Ok(result) => result.map_err(Failure::Relay),
            Err(_elapsed) => Err(Failure::Silence),
        }
    }

    async fn step<T>(&self, step: Step, limit: Duration, work: impl Future<Output = Result<T, Error>>) -> Result<T, Outcome> {
        self.attempt(limit, work).await.map_err(|failure| self.outcome(step, failure))
    }

    /// What a failure at `step` means: 4yz, silence and broken connections pass; 5yz is about this mail once the mail is being
    /// handed over, and about the account before.
    fn outcome(&self, step: Step, failure: Failure) -> Outcome {
        let host = &self.config.host;
        let error = match failure {
            Failure::Silence => {
                return Outcome::Retry {
                    error: format!("{host} did not answer in time"),
                    after: None,
                    ambiguous: step == Step::Body,
                };
            }
            Failure::Relay(error) => error,
        };
        let what = with_receivers_words(&format!("{host} {}", step.failing()), &self.words(&error));
        if error.is_permanent() {
            return match step {
                Step::Data | Step::Body => Outcome::Unacceptable { error: what },
                _ => Outcome::Broken { error: what },
            };
        }
        if error.is_client() && step == Step::Login {
            return Outcome::broken(format!("{host} offers no login by password (PLAIN or LOGIN) on this connection"));
        }
        Outcome::Retry { error: what, after: None, ambiguous: step == Step::Body && !error.is_transient() }
    }

    fn secrets(&self) -> Vec<&str> {
        self.config.login.iter().map(|(_, password)| password.expose()).collect()
    }

    /// The relay's own words, or the system's.
    fn words(&self, error: &Error) -> String {
        let innermost = error.source().and_then(|cause| causes(cause).last());
        let text = match (error.status(), innermost) {
            (Some(code), Some(text)) => format!("{code} {text}"),
            (Some(code), None) => code.to_string(),
            (None, Some(text)) => text.to_string(),
            (None, None) => error.to_string(),
        };
        presentable(&text, &self.secrets())
    }
}

fn is_goodbye(error: &Error) -> bool {
    error.status().is_some_and(|code| code.to_string() == "421")
}

fn recipient(address: &Address) -> Rcpt {
    Rcpt::new(address.clone(), Vec::new())
}
