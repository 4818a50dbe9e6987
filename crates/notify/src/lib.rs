//! Renders a notification for each channel and delivers it: webhook, mail, Discord, Slack.
//!
//! One call is one attempt and ends in a [`Report`]; [`retry`] says what follows from it and [`limiter`] how fast a channel
//! may be spoken to. Queueing, claiming and settling deliveries is left to the hub, deciding what to say to the evaluator.
//! Every address is judged before it is connected to, and no secret stands in any text that comes out of here.

#[cfg(feature = "discord-bot")]
mod bot;
mod channels;
mod config;
mod delivery;
mod guard;
mod http;
#[cfg(test)]
mod inert;
pub mod limiter;
mod notification;
mod notifier;
mod page;
mod press;
mod progress;
pub mod retry;
#[cfg(test)]
mod testing;
mod truncate;
mod words;

#[cfg(feature = "discord-bot")]
pub use bot::{BotError, Buttons, DiscordBot, Press, Pressed};
pub use config::{ChannelConfig, ConfigFault, DiscordConfig, KINDS, Pictures, SlackConfig, SmtpConfig, WebhookConfig};
pub use delivery::{Charts, Earlier, Message, Outcome, Report, without_receivers_words};
pub use limiter::{ChannelRate, TokenBucket};
pub use notification::{
    AckFacts, AgentFacts, BrokenFacts, DoubtFacts, NoticeWord, Notification, QuietFacts, Resource, RuleFacts, TopProcess,
};
pub use notifier::{Notifier, NotifierError, NotifierOptions};
pub use press::Action;
pub use progress::unreached;
