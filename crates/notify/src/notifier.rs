//! The one door to all channels: what they share is set up once, and each message goes to the channel it is for.

use crate::channels::{discord, slack, smtp, webhook};
use crate::config::{ChannelConfig, ConfigFault, DiscordTarget, SlackTarget};
use crate::delivery::{Message, Report};
use crate::guard::{Guard, Lookup, Policy, SystemLookup};
use crate::http::Http;
use ipnet::IpNet;
use lettre::transport::smtp::client::Certificate;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// What all channels share.
#[derive(Debug, Clone)]
pub struct NotifierOptions {
    /// Where Discord's API is.
    pub discord_base: String,
    /// Where Slack's Web API is, for bots.
    pub slack_base: String,
    /// Where PagerDuty takes events, unless a channel names another place.
    pub pagerduty_url: String,
    /// Networks that channels may reach although they are private or otherwise closed.
    pub allow_networks: Vec<IpNet>,
    /// How long a receiver may take to answer.
    pub timeout: Duration,
    /// What the hub is called where it introduces itself.
    pub hub_name: String,
    /// The hub's version.
    pub version: String,
    /// What stands right of the `@` in the Message-IDs of mails.
    pub message_id_domain: String,
    /// Certificates (PEM) of authorities to trust beside the system's.
    pub extra_roots_pem: Vec<String>,
}

impl Default for NotifierOptions {
    fn default() -> Self {
        Self {
            discord_base: "https://discord.com".to_owned(),
            slack_base: "https://slack.com".to_owned(),
            pagerduty_url: "https://events.pagerduty.com/v2/enqueue".to_owned(),
            allow_networks: Vec::new(),
            timeout: Duration::from_secs(20),
            hub_name: "Nightbell".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            message_id_domain: "nightbell.invalid".to_owned(),
            extra_roots_pem: Vec::new(),
        }
    }
}

impl NotifierOptions {
    pub(crate) fn user_agent(&self) -> String {
        let name: String = self.hub_name.chars().filter(|c| c.is_ascii_graphic() && !"()".contains(*c)).collect();
        let version: String = self.version.chars().filter(char::is_ascii_graphic).collect();
        if name.is_empty() || name == "Nightbell" {
            format!("Nightbell/{version}")
        } else {
            format!("Nightbell/{version} ({name})")
        }
    }
}

/// Why there can be no notifier.
#[derive(Debug, thiserror::Error)]
pub enum NotifierError {
    /// The program has to choose its cryptography before.
    #[error("no TLS provider is installed in this process")]
    NoTlsProvider,
    /// The address of a service is none.
    #[error("{0} is not a URL")]
    Url(String, #[source] url::ParseError),
    /// The HTTP client cannot be set up.
    #[error("the HTTP client cannot be set up")]
    Http(#[source] reqwest::Error),
    /// A text that should hold a certificate holds none.
    #[error("a certificate to trust is not in PEM: it has no line BEGIN CERTIFICATE")]
    NoCertificate,
    /// A certificate cannot be read.
    #[error("a certificate to trust cannot be read")]
    Certificate(#[source] lettre::transport::smtp::Error),
}

/// Where the services are.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) discord: Url,
    pub(crate) slack: Url,
    pub(crate) pagerduty: Url,
}

impl Services {
    fn of(options: &NotifierOptions) -> Result<Self, NotifierError> {
        let url = |text: &str| Url::parse(text).map_err(|cause| NotifierError::Url(text.to_owned(), cause));
        Ok(Self {
            discord: url(&options.discord_base)?,
            slack: url(&options.slack_base)?,
            pagerduty: url(&options.pagerduty_url)?,
        })
    }
}

/// A certificate for the mail library, which takes a text without any for an empty list.
fn certificate(pem: &str) -> Result<Certificate, NotifierError> {
    if !pem.contains("-----BEGIN CERTIFICATE-----") {
        return Err(NotifierError::NoCertificate);
    }
    Certificate::from_pem(pem.as_bytes()).map_err(NotifierError::Certificate)
}

/// Delivers messages to channels. Cheap to share, safe to use from many tasks.
#[derive(Debug)]
pub struct Notifier {
    pub(crate) options: NotifierOptions,
    pub(crate) services: Services,
    pub(crate) http: Http,
    pub(crate) strict: Guard,
    pub(crate) lenient: Guard,
    pub(crate) roots: Vec<Certificate>,
}

impl Notifier {
    /// Sets up what all channels share.
    ///
    /// # Errors
    /// When no TLS provider is installed in this process, or an address or a certificate in the options cannot be read.
    pub fn new(options: NotifierOptions) -> Result<Self, NotifierError> {
        Self::with_lookup(options, Arc::new(SystemLookup))
    }

    pub(crate) fn with_lookup(options: NotifierOptions, lookup: Arc<dyn Lookup>) -> Result<Self, NotifierError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(NotifierError::NoTlsProvider);
        }
        let allowed: Arc<[IpNet]> = options.allow_networks.clone().into();
        let guard = |allow_private| Guard {
            policy: Policy { allow_private, allowed: Arc::clone(&allowed) },
            lookup: Arc::clone(&lookup),
        };
        let (strict, lenient) = (guard(false), guard(true));
        let roots = options.extra_roots_pem.iter().map(|pem| certificate(pem)).collect::<Result<_, _>>()?;
        let http = Http::new(&options, strict.clone(), lenient.clone())?;
        Ok(Self { services: Services::of(&options)?, options, http, strict, lenient, roots })
    }

    pub(crate) const fn guard(&self, allow_private: bool) -> &Guard {
        if allow_private { &self.lenient } else { &self.strict }
    }

    /// What is wrong with the address a channel is configured with, as far as it can be told without looking its name up:
    /// a word while it is being configured, instead of a channel that is found broken at night.
    #[must_use]
    pub fn check_address(&self, channel: &ChannelConfig) -> Option<ConfigFault> {
        let fault = |pointer: &str, detail: String| Some(ConfigFault { pointer: pointer.to_owned(), detail });
        let check_url = |pointer: &str, url: &Url, allow_private: bool| {
            let refusal = self.guard(allow_private).policy.check_literal(url.host()).err()?;
            fault(pointer, refusal.to_string())
        };
        match channel {
            ChannelConfig::Webhook(webhook) => check_url("/url", webhook.url.as_ref()?, webhook.allow_private),
            ChannelConfig::Discord(discord) => match &discord.target {
                DiscordTarget::Webhook(url) => check_url("/webhook_url", &Url::parse(url.expose()).ok()?, discord.allow_private),
                DiscordTarget::Bot { .. } => None,
            },
            ChannelConfig::Slack(slack) => match &slack.target {
                SlackTarget::Webhook(url) => check_url("/webhook_url", &Url::parse(url.expose()).ok()?, slack.allow_private),
                SlackTarget::Bot { .. } => None,
            },
            ChannelConfig::Smtp(smtp) => {
                let refusal = self.guard(smtp.allow_private).policy.check(&smtp.host, smtp.host.parse().ok()?).err()?;
                fault("/host", refusal.to_string())
            }
        }
    }

    /// Makes one attempt to deliver `message`.
    pub async fn deliver(&self, channel: &ChannelConfig, message: Message<'_>) -> Report {
        let report = match channel {
            ChannelConfig::Webhook(config) => webhook::deliver(self, config, &message).await.into(),
            ChannelConfig::Smtp(config) => smtp::deliver(self, config, &message).await,
            ChannelConfig::Discord(config) => discord::deliver(self, config, &message).await,
            ChannelConfig::Slack(config) => slack::deliver(self, config, &message).await,
        };
        tracing::debug!(delivery = message.delivery_id, outcome = ?report.outcome, "one attempt");
        report
    }
}
