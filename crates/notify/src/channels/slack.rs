//! Slack: blocks with a text for notifications, through an incoming webhook, or as a bot that can upload the picture as well.

pub(crate) mod blocks;
mod bot;
#[cfg(test)]
mod tests;

use crate::config::{SlackConfig, SlackTarget};
use crate::delivery::{Message, Outcome, Report};
use crate::notifier::Notifier;
use chrono::Utc;
use url::Url;

/// Sends one message.
pub(crate) async fn deliver(notifier: &Notifier, config: &SlackConfig, message: &Message<'_>) -> Report {
    match &config.target {
        SlackTarget::Webhook(url) => webhook(notifier, config.allow_private, url.expose(), message).await.into(),
        SlackTarget::Bot { token, channel } => {
            bot::Bot { notifier, allow_private: config.allow_private, token: token.expose() }.deliver(channel, message).await
        }
    }
}

/// Incoming webhooks answer with a status and a word (<https://api.slack.com/messaging/webhooks#handling_errors>).
async fn webhook(notifier: &Notifier, allow_private: bool, url: &str, message: &Message<'_>) -> Outcome {
    let Ok(url) = Url::parse(url) else {
        return Outcome::broken("the webhook's URL cannot be read");
    };
    let request = notifier.http.post(allow_private, &url).json(&blocks::payload(message));
    let answer = match notifier.http.send(allow_private, &url, request).await {
        Ok(answer) => answer,
        Err(outcome) => return outcome,
    };
    let token = url.path_segments().and_then(Iterator::last).unwrap_or_default();
    answer.outcome(url.host_str().unwrap_or_default(), &[url.path(), token], Utc::now())
}
