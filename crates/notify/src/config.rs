//! What a channel is configured with: read from the API's JSON with every fault named, shown without its secrets, and merged
//! again with the secrets it was shown without. Storing it is left to others; reaching out is left to the channels.

mod fields;
mod secrets;
#[cfg(test)]
mod tests;

use fields::Fields;
pub(crate) use fields::Secret;
use lettre::message::Mailbox;
use reqwest::header::HeaderName;
use serde_json::Value;
use url::Url;

/// One thing that is wrong with a channel's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFault {
    /// Where, as a JSON pointer into the configuration: `/url`, `/to/1`; empty for the whole.
    pub pointer: String,
    /// What, and how to mend it.
    pub detail: String,
}

/// Where and how a channel delivers, checked.
#[derive(Debug, Clone, PartialEq)]
pub enum ChannelConfig {
    /// An HTTP endpoint.
    Webhook(WebhookConfig),
    /// A mail relay.
    Smtp(SmtpConfig),
    /// A Discord channel.
    Discord(DiscordConfig),
    /// A Slack channel.
    Slack(SlackConfig),
}

/// The body a webhook is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WebhookFormat {
    /// Our own, after the Standard Webhooks specification.
    Standard,
    /// Prometheus Alertmanager's webhook, version 4.
    Alertmanager,
    /// PagerDuty's Events API, version 2.
    PagerDuty,
}

/// An HTTP endpoint and what it expects.
#[derive(Clone, PartialEq)]
pub struct WebhookConfig {
    /// `None` is the service's own address (PagerDuty).
    pub(crate) url: Option<Url>,
    /// What pages are signed with: the secret, and while receivers change over the one before it.
    pub(crate) secrets: Vec<Secret>,
    /// Further headers; their values may be secrets.
    pub(crate) headers: Vec<(HeaderName, Secret)>,
    pub(crate) format: WebhookFormat,
    pub(crate) routing_key: Option<Secret>,
    pub(crate) allow_private: bool,
}

/// Of the address only the host: many services put a key into the rest.
impl std::fmt::Debug for WebhookConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookConfig")
            .field("host", &self.url.as_ref().and_then(Url::host_str))
            .field("format", &self.format)
            .field("secrets", &self.secrets)
            .field("headers", &self.headers)
            .field("routing_key", &self.routing_key)
            .field("allow_private", &self.allow_private)
            .finish()
    }
}

/// How a mail relay is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SmtpTls {
    /// In clear first, then encrypted or not at all.
    StartTls,
    /// Encrypted from the first byte.
    Tls,
    /// In clear.
    None,
}

/// A mail relay, and who writes to whom.
#[derive(Debug, Clone, PartialEq)]
pub struct SmtpConfig {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: SmtpTls,
    pub(crate) login: Option<(String, Secret)>,
    pub(crate) from: Mailbox,
    pub(crate) to: Vec<Mailbox>,
    pub(crate) allow_private: bool,
}

/// How Discord is reached.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum DiscordTarget {
    /// A channel's webhook.
    Webhook(Secret),
    /// A bot, whose buttons can be answered.
    Bot { token: Secret, channel: String },
}

/// A Discord channel.
#[derive(Debug, Clone, PartialEq)]
pub struct DiscordConfig {
    pub(crate) target: DiscordTarget,
    pub(crate) allow_private: bool,
}

/// How Slack is reached.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SlackTarget {
    /// An incoming webhook.
    Webhook(Secret),
    /// A bot, which can upload pictures as well.
    Bot { token: Secret, channel: String },
}

/// A Slack channel.
#[derive(Debug, Clone, PartialEq)]
pub struct SlackConfig {
    pub(crate) target: SlackTarget,
    pub(crate) allow_private: bool,
}

/// Which pictures a channel shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pictures {
    /// The one on white.
    pub light: bool,
    /// The one on black.
    pub dark: bool,
}

/// The kinds of channels there are.
pub const KINDS: [&str; 4] = ["webhook", "smtp", "discord", "slack"];

impl ChannelConfig {
    /// Reads the configuration of a channel of `kind`.
    ///
    /// # Errors
    /// Every fault there is, not only the first.
    pub fn parse(kind: &str, config: &Value) -> Result<Self, Vec<ConfigFault>> {
        let mut fields = Fields::new(config, fields_of(kind).ok_or_else(|| vec![unknown_kind(kind)])?);
        let parsed = match kind {
            "webhook" => webhook(&mut fields).map(Self::Webhook),
            "smtp" => smtp(&mut fields).map(Self::Smtp),
            "discord" => discord(&mut fields).map(Self::Discord),
            _ => slack(&mut fields).map(Self::Slack),
        };
        let faults = fields.finish();
        match parsed {
            Some(parsed) if faults.is_empty() => Ok(parsed),
            _ => Err(faults),
        }
    }

    /// `config` as it may be shown: each secret that is set reads `"set"`, and of a URL that is or may hold a secret only the host
    /// is left.
    #[must_use]
    pub fn redacted(kind: &str, config: &Value) -> Value {
        secrets::redacted(kind, config)
    }

    /// `new` with the secrets of `old` wherever `new` only repeats what [`Self::redacted`] shows of them; a secret that `new`
    /// leaves out is gone.
    #[must_use]
    pub fn merge_secrets(kind: &str, old: &Value, new: Value) -> Value {
        secrets::merge(kind, old, new)
    }

    /// Whether the text at a JSON pointer of a configuration is an address that may stand in a file in clear: a webhook's URL, unless
    /// it looks as if it had a key in it.
    #[must_use]
    pub fn is_plain_address(kind: &str, pointer: &str, text: &str) -> bool {
        kind == "webhook" && pointer == "/url" && !secrets::bears_a_key(text)
    }

    /// The pictures that this channel shows, so that only those are drawn.
    #[must_use]
    pub const fn pictures(&self) -> Pictures {
        match self {
            Self::Webhook(_) => Pictures { light: false, dark: false },
            Self::Smtp(_) => Pictures { light: true, dark: true },
            // Most people see Discord dark, and on a light one a dark picture dazzles nobody.
            Self::Discord(_) => Pictures { light: false, dark: true },
            Self::Slack(slack) => Pictures { light: matches!(slack.target, SlackTarget::Bot { .. }), dark: false },
        }
    }

    /// Whether several notifications may travel in one message; otherwise each is a request of its own.
    #[must_use]
    pub const fn folds(&self) -> bool {
        match self {
            Self::Webhook(webhook) => matches!(webhook.format, WebhookFormat::Alertmanager),
            Self::Smtp(_) | Self::Discord(_) | Self::Slack(_) => true,
        }
    }
}

/// The fields a channel of `kind` may have.
fn fields_of(kind: &str) -> Option<&'static [&'static str]> {
    match kind {
        "webhook" => Some(&["url", "secret", "previous_secret", "headers", "format", "routing_key", "allow_private"]),
        "smtp" => Some(&["host", "port", "tls", "username", "password", "from", "to", "allow_private"]),
        "discord" => Some(&["webhook_url", "bot_token", "channel_id", "allow_private"]),
        "slack" => Some(&["webhook_url", "bot_token", "channel", "allow_private"]),
        _ => None,
    }
}

fn unknown_kind(kind: &str) -> ConfigFault {
    ConfigFault { pointer: String::new(), detail: format!("\"{kind}\" is no kind of channel: it is one of {}", KINDS.join(", ")) }
}

fn webhook(fields: &mut Fields<'_>) -> Option<WebhookConfig> {
    let format = match fields.one_of("format", &["standard", "alertmanager", "pagerduty"]) {
        Some("alertmanager") => WebhookFormat::Alertmanager,
        Some("pagerduty") => WebhookFormat::PagerDuty,
        _ => WebhookFormat::Standard,
    };
    let pagerduty = format == WebhookFormat::PagerDuty;
    let url = if pagerduty && !fields.has("url") { None } else { Some(fields.whole_url("url")?) };
    let secrets = webhook_secrets(fields);
    let headers = fields.headers("headers");
    let routing_key = if pagerduty { Some(fields.secret("routing_key")?) } else { fields.optional_secret("routing_key") };
    if !pagerduty && routing_key.is_some() {
        fields.fault("routing_key", "only the format \"pagerduty\" has a routing key");
    }
    if pagerduty && !secrets.is_empty() {
        fields.fault("secret", "the format \"pagerduty\" is not signed: its routing key is the secret");
    }
    if pagerduty && !headers.is_empty() {
        fields.fault("headers", "the format \"pagerduty\" has no headers of one's own");
    }
    Some(WebhookConfig { url, secrets, headers, format, routing_key, allow_private: fields.flag("allow_private", false) })
}

/// The secret, and while receivers change over the one before it: each page then bears both signatures.
fn webhook_secrets(fields: &mut Fields<'_>) -> Vec<Secret> {
    let mut secrets = Vec::new();
    for name in ["secret", "previous_secret"] {
        let Some(secret) = fields.optional_secret(name) else { continue };
        if let Err(why) = crate::channels::webhook::signature::key_of(secret.expose()) {
            fields.fault(name, why);
        }
        secrets.push(secret);
    }
    if fields.has("previous_secret") && !fields.has("secret") {
        fields.fault(
            "previous_secret",
            "stands beside secret while receivers change over: without a secret there is none before it",
        );
    }
    secrets
}

fn smtp(fields: &mut Fields<'_>) -> Option<SmtpConfig> {
    let host = fields.host("host");
    let port = fields.port("port");
    let tls = match fields.required_one_of("tls", &["starttls", "tls", "none"]) {
        Some("tls") => SmtpTls::Tls,
        Some("none") => SmtpTls::None,
        _ => SmtpTls::StartTls,
    };
    let username = fields.optional_text("username");
    let password = fields.optional_secret("password");
    let login = match (username, password) {
        (Some(username), Some(password)) => Some((username, password)),
        (Some(_), None) => {
            fields.fault("password", "is missing: a username needs its password");
            None
        }
        (None, Some(_)) => {
            fields.fault("username", "is missing: a password needs its username");
            None
        }
        (None, None) => None,
    };
    let from = fields.mailbox("from");
    let to = fields.mailboxes("to");
    let allow_private = fields.flag("allow_private", true);
    Some(SmtpConfig { host: host?, port: port?, tls, login, from: from?, to: to?, allow_private })
}

fn discord(fields: &mut Fields<'_>) -> Option<DiscordConfig> {
    let allow_private = fields.flag("allow_private", false);
    if fields.has("bot_token") || fields.has("channel_id") {
        return discord_bot(fields, allow_private);
    }
    let url = fields.secret_url("webhook_url", allow_private)?;
    if crate::channels::discord::webhook_path(&url).is_none() {
        fields.fault("webhook_url", "does not end in /webhooks/<id>/<token>: copy it from the channel's integrations");
        return None;
    }
    Some(DiscordConfig { target: DiscordTarget::Webhook(Secret::new(url.as_str())), allow_private })
}

fn discord_bot(fields: &mut Fields<'_>, allow_private: bool) -> Option<DiscordConfig> {
    if !cfg!(feature = "discord-bot") {
        fields.fault("bot_token", "this build has no Discord bot (cargo feature discord-bot): give the channel's webhook_url");
        return None;
    }
    if fields.has("webhook_url") {
        fields.fault("webhook_url", "give either webhook_url or bot_token with channel_id, not both");
    }
    let (token, channel) = (fields.secret("bot_token"), fields.text("channel_id"));
    let channel = channel.filter(|channel| {
        let is_id = (1..=20).contains(&channel.len()) && channel.bytes().all(|b| b.is_ascii_digit());
        if !is_id {
            fields.fault("channel_id", "is no channel's id: a number of up to 20 digits, as \"Copy Channel ID\" gives it");
        }
        is_id
    });
    let token = token.filter(|token| {
        let is_token = token.expose().bytes().all(|b| b.is_ascii_graphic());
        if !is_token {
            fields.fault("bot_token", "is no bot's token: it has no spaces and nothing beyond ASCII");
        }
        is_token
    });
    Some(DiscordConfig { target: DiscordTarget::Bot { token: token?, channel: channel? }, allow_private })
}

fn slack(fields: &mut Fields<'_>) -> Option<SlackConfig> {
    let allow_private = fields.flag("allow_private", false);
    if fields.has("bot_token") || fields.has("channel") {
        if fields.has("webhook_url") {
            fields.fault("webhook_url", "give either webhook_url or bot_token with channel, not both");
        }
        let (token, channel) = (fields.secret("bot_token"), fields.text("channel"));
        return Some(SlackConfig { target: SlackTarget::Bot { token: token?, channel: channel? }, allow_private });
    }
    let url = fields.secret_url("webhook_url", allow_private)?;
    Some(SlackConfig { target: SlackTarget::Webhook(Secret::new(url.as_str())), allow_private })
}
