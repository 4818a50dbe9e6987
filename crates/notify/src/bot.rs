//! The Discord bot's ear: buttons pressed on pages come in over Discord's gateway, so that no address of the hub has to be public.
//! Serenity keeps the connection; answers go out through our own guarded client. What a button does is the hub's
//! (see [`Buttons`]).
//!
//! Discord shows a page's buttons only to people who may see its channel, and says who pressed one; a press that names another
//! channel, a bot or nobody at all is turned down. Every press is answered at once, to the presser alone, and a press that
//! Discord sends twice counts once.

#[cfg(test)]
mod tests;

use crate::channels::discord::embed::{CONTENT_LIMIT, escape};
use crate::config::{ChannelConfig, DiscordTarget, Secret};
use crate::delivery::Outcome;
use crate::http::Http;
use crate::notifier::Notifier;
use crate::page::clean;
use crate::press::Action;
use crate::truncate;
use chrono::Utc;
use reqwest::Method;
use serde_json::{Value, json};
use serenity::all::{
    Client, ComponentInteraction, Context, EventHandler, GatewayIntents, HttpBuilder, Interaction, Ready, ShardManager,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use url::Url;

/// How long doing what a button asks may take; Discord lets an answer be filled in for 15 minutes.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many presses are remembered, should Discord send one again after a reconnect.
const REMEMBERED: usize = 512;
/// An answer that only the presser sees (<https://discord.com/developers/docs/resources/message#message-object-message-flags>).
const EPHEMERAL: u32 = 1 << 6;
/// "I am thinking": the answer that Discord wants within 3 seconds
/// (<https://discord.com/developers/docs/interactions/receiving-and-responding#interaction-response-object-interaction-callback-type>).
const DEFERRED: u8 = 5;

/// Somebody pressed a button.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Press {
    /// What they ask for.
    pub action: Action,
    /// Of which incident.
    pub incident_id: String,
    /// Their name there: `Ana (Discord)`.
    pub by: String,
}

/// What came of a press, in one sentence for the presser.
pub type Pressed<'a> = Pin<Box<dyn Future<Output = String> + Send + 'a>>;

/// Does what buttons ask for. The same press a second time must change nothing.
pub trait Buttons: fmt::Debug + Send + Sync + 'static {
    /// Does it and says what came of it.
    fn press(&self, press: Press) -> Pressed<'_>;
}

/// Why a bot does not listen any more.
#[derive(Debug, thiserror::Error)]
pub enum BotError {
    /// Its HTTP client cannot be set up.
    #[error("the bot's HTTP client cannot be set up: {0}")]
    Client(String),
    /// Discord refuses it, or cannot be reached.
    #[error("the connection to Discord's gateway ended: {0}")]
    Gateway(String),
}

/// One bot and the channels it listens for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscordBot {
    token: Secret,
    channels: BTreeSet<String>,
    allow_private: bool,
}

impl DiscordBot {
    /// The bots of these channels: one for each token, since a second connection would hear of each press once more.
    #[must_use]
    pub fn all<'a>(channels: impl IntoIterator<Item = &'a ChannelConfig>) -> Vec<Self> {
        let mut bots: BTreeMap<&str, Self> = BTreeMap::new();
        for config in channels {
            let ChannelConfig::Discord(config) = config else { continue };
            let DiscordTarget::Bot { token, channel } = &config.target else { continue };
            let bot = bots.entry(token.expose()).or_insert_with(|| Self {
                token: token.clone(),
                channels: BTreeSet::new(),
                allow_private: config.allow_private,
            });
            bot.channels.insert(channel.clone());
        }
        bots.into_values().collect()
    }

    /// Listens until Discord refuses the bot, or this is dropped. A lost connection is taken up again where it broke.
    ///
    /// # Errors
    /// When there is no connection and none can be made.
    pub async fn run(&self, notifier: &Notifier, buttons: Arc<dyn Buttons>) -> Result<(), BotError> {
        let base = notifier.services.discord.clone();
        let answers = Answers { http: notifier.http.clone(), base: base.clone(), allow_private: self.allow_private };
        let ear = Ear { channels: self.channels.clone(), buttons, answers, heard: Mutex::new(VecDeque::new()) };
        // Serenity asks but for the gateway's address; like everything else of ours, past the environment's proxies.
        let client = reqwest_012::Client::builder()
            .use_rustls_tls()
            .no_proxy()
            .redirect(reqwest_012::redirect::Policy::none())
            .timeout(notifier.options.timeout)
            .build();
        let client = client.map_err(|why| BotError::Client(why.without_url().to_string()))?;
        // Its limiter waits without end, and there is one request to limit.
        let http = HttpBuilder::new(self.token.expose()).client(client).proxy(base.as_str()).ratelimiter_disabled(true).build();
        // Presses come without any intent: the bot reads no message.
        let client = serenity::client::ClientBuilder::new_with_http(http, GatewayIntents::empty()).event_handler(ear).await;
        let mut client: Client = client.map_err(|why| self.ended(&why))?;
        let _open = Open(Arc::clone(&client.shard_manager));
        client.start().await.map_err(|why| self.ended(&why))
    }

    fn ended(&self, why: &serenity::Error) -> BotError {
        BotError::Gateway(crate::http::presentable(&why.to_string(), &[self.token.expose()]))
    }
}

/// The connection, which serenity keeps in tasks of its own; dropping this ends them.
struct Open(Arc<ShardManager>);

impl Drop for Open {
    fn drop(&mut self) {
        let shards = Arc::clone(&self.0);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { shards.shutdown_all().await });
        }
    }
}

/// Hears of presses.
struct Ear {
    channels: BTreeSet<String>,
    buttons: Arc<dyn Buttons>,
    answers: Answers,
    heard: Mutex<VecDeque<u64>>,
}

#[serenity::async_trait]
impl EventHandler for Ear {
    async fn ready(&self, _context: Context, ready: Ready) {
        tracing::info!(bot = clean(&ready.user.name), "the Discord bot listens");
    }

    async fn interaction_create(&self, _context: Context, interaction: Interaction) {
        if let Interaction::Component(component) = interaction {
            self.hear(&component).await;
        }
    }
}

impl Ear {
    async fn hear(&self, component: &ComponentInteraction) {
        let Some((action, incident)) = Action::of_custom_id(&component.data.custom_id) else { return };
        if !self.is_first(component.id.get()) {
            return;
        }
        if let Err(error) = self.answers.think(component).await {
            // What was asked for is done all the same: a second press finds it done.
            tracing::warn!(error, "a pressed button could not be answered at once");
        }
        let said = match self.refusal(component) {
            Some(refusal) => refusal.to_owned(),
            None => {
                let press = Press { action, incident_id: incident.to_owned(), by: presser(component) };
                tokio::time::timeout(PATIENCE, self.buttons.press(press))
                    .await
                    .unwrap_or_else(|_late| "This takes longer than usual: look whether it was done.".to_owned())
            }
        };
        if let Err(error) = self.answers.say(component, &said).await {
            tracing::warn!(error, "a pressed button could not be answered");
        }
    }

    /// Whether this press was not heard before.
    fn is_first(&self, id: u64) -> bool {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.contains(&id) {
            return false;
        }
        if heard.len() == REMEMBERED {
            heard.pop_front();
        }
        heard.push_back(id);
        true
    }

    fn refusal(&self, component: &ComponentInteraction) -> Option<&'static str> {
        let is_member = component.member.is_some() && !component.user.bot;
        if !self.channels.contains(&component.channel_id.to_string()) {
            Some("This button belongs to another channel.")
        } else if is_member {
            None
        } else {
            Some("Only members of this channel may do that.")
        }
    }
}

/// Who pressed, as people call them.
fn presser(component: &ComponentInteraction) -> String {
    let nick = component.member.as_ref().and_then(|member| member.nick.clone());
    let name = nick.or_else(|| component.user.global_name.clone()).unwrap_or_else(|| component.user.name.clone());
    format!("{} (Discord)", truncate::to_chars(&clean(&name), 64))
}

/// The way answers go.
struct Answers {
    http: Http,
    base: Url,
    allow_private: bool,
}

impl Answers {
    /// Tells Discord that the press was heard.
    async fn think(&self, component: &ComponentInteraction) -> Result<(), String> {
        let path = format!("/api/v10/interactions/{}/{}/callback", component.id, component.token);
        self.send(Method::POST, &path, &component.token, &json!({"type": DEFERRED, "data": {"flags": EPHEMERAL}})).await
    }

    /// Fills the answer in.
    async fn say(&self, component: &ComponentInteraction, text: &str) -> Result<(), String> {
        let path = format!("/api/v10/webhooks/{}/{}/messages/@original", component.application_id, component.token);
        let text = truncate::to_chars(&escape(&clean(text)), CONTENT_LIMIT);
        let body = json!({"content": text, "allowed_mentions": {"parse": []}});
        self.send(Method::PATCH, &path, &component.token, &body).await
    }

    async fn send(&self, method: Method, path: &str, token: &str, body: &Value) -> Result<(), String> {
        let url = self.base.join(path).map_err(|why| why.to_string())?;
        let request = self.http.request(self.allow_private, method, &url).json(body);
        let outcome = match self.http.send(self.allow_private, &url, request).await {
            Ok(answer) => answer.outcome(url.host_str().unwrap_or_default(), &[token], Utc::now()),
            Err(outcome) => outcome,
        };
        match outcome {
            Outcome::Sent { .. } => Ok(()),
            Outcome::Retry { error, .. } | Outcome::Unacceptable { error } | Outcome::Broken { error } => Err(error),
        }
    }
}
