//! One conversation with a relay (RFC 5321), each step under its own time limit, and what its failure means.
//!
//! A recipient that is refused does not keep the page from the others: it is enough that one is accepted, and the outcome names
//! who was not.

use crate::config::{SmtpConfig, SmtpTls};
use crate::delivery::{Outcome, with_receivers_words};
use crate::http::{causes, presentable};
use crate::notifier::Notifier;
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

/// The conversation so far.
struct Session<'a> {
    config: &'a SmtpConfig,
    timeout: Duration,
}

/// Hands `letter` to the relay at one of `addresses`.
pub(super) async fn send(notifier: &Notifier, config: &SmtpConfig, addresses: &[SocketAddr], letter: &[u8]) -> Outcome {
    let session = Session { config, timeout: notifier.options.timeout };
    let tls = match tls_parameters(notifier, config) {
        Ok(tls) => tls,
        // Missing certificates are this machine's fault and not the channel's.
        Err(error) => return Outcome::retry(format!("encryption cannot be set up: {}", session.words(&error))),
    };
    let mut connection = match session.open(addresses, tls).await {
        Ok(connection) => connection,
        Err(outcome) => return outcome,
    };
    let outcome = session.converse(&mut connection, letter).await;
    let goodbye = tokio::time::timeout(GOODBYE.min(session.timeout), connection.abort()).await;
    if goodbye.is_err() {
        tracing::debug!(host = config.host, "the relay does not say goodbye");
    }
    outcome
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
    async fn converse(&self, connection: &mut AsyncSmtpConnection, letter: &[u8]) -> Outcome {
        let sent = async {
            let parameters = self.parameters(connection)?;
            let sender = Mail::new(Some(self.config.from.email.clone()), parameters);
            self.step(Step::Sender, self.timeout, connection.command(sender)).await?;
            let refused = self.recipients(connection).await?;
            self.step(Step::Data, self.timeout, connection.command(Data)).await?;
            let reply = self.step(Step::Body, self.timeout * BODY_PATIENCE, connection.message(letter)).await?;
            let reply = presentable(reply.first_line().unwrap_or_default(), &self.secrets());
            let mut detail = with_receivers_words(&format!("{} took the mail", self.config.host), &reply);
            if !refused.is_empty() {
                tracing::warn!(host = self.config.host, ?refused, "a mail went out without some of its recipients");
                detail = format!("not to {}; {detail}", refused.join(", not to "));
            }
            Ok(Outcome::Sent { detail })
        };
        sent.await.unwrap_or_else(|outcome: Outcome| outcome)
    }

    /// Addresses beyond ASCII need a relay that knows them (RFC 6531); the mail itself is ASCII.
    fn parameters(&self, connection: &AsyncSmtpConnection) -> Result<Vec<MailParameter>, Outcome> {
        let ascii = self.config.to.iter().chain([&self.config.from]).all(|mailbox| mailbox.email.to_string().is_ascii());
        if ascii {
            return Ok(Vec::new());
        }
        if connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            return Ok(vec![MailParameter::SmtpUtfEight]);
        }
        Err(Outcome::broken(format!("{} takes no addresses beyond ASCII (SMTPUTF8)", self.config.host)))
    }

    /// Names the recipients; those that were refused, unless all were.
    async fn recipients(&self, connection: &mut AsyncSmtpConnection) -> Result<Vec<String>, Outcome> {
        let (mut refused, mut worst) = (Vec::new(), None);
        for mailbox in &self.config.to {
            let answer = self.attempt(self.timeout, connection.command(recipient(&mailbox.email))).await;
            match answer {
                Ok(_) => {}
                Err(Failure::Relay(error)) if error.status().is_some() => {
                    refused.push(format!("{} ({})", mailbox.email, self.words(&error)));
                    // One that may be accepted later is reason enough to come back.
                    if worst.as_ref().is_none_or(|worst: &Error| worst.is_permanent()) {
                        worst = Some(error);
                    }
                }
                Err(failure) => return Err(self.outcome(Step::Recipient, failure)),
            }
        }
        match worst {
            Some(error) if refused.len() == self.config.to.len() => Err(self.outcome(Step::Recipient, Failure::Relay(error))),
            _ => Ok(refused),
        }
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

fn recipient(address: &Address) -> Rcpt {
    Rcpt::new(address.clone(), Vec::new())
}
