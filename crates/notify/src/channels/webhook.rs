//! HTTP endpoints: our own signed pages, or the form that a receiver already understands.

mod alertmanager;
pub(crate) mod pagerduty;
pub(crate) mod signature;
mod standard;
#[cfg(test)]
mod tests;

use crate::config::{WebhookConfig, WebhookFormat};
use crate::delivery::{Message, Outcome};
use crate::notifier::Notifier;
use chrono::Utc;
use reqwest::header::CONTENT_TYPE;

/// A part of an address that is no shorter than this may be a key, and is taken out of what a receiver says.
const SHORTEST_KEY: usize = 8;

/// Sends one message; what is folded into it travels along only in the `alertmanager` format.
pub(crate) async fn deliver(notifier: &Notifier, config: &WebhookConfig, message: &Message<'_>) -> Outcome {
    let body = match config.format {
        WebhookFormat::Standard => serde_json::to_string(&standard::body(message.notification)),
        WebhookFormat::Alertmanager => serde_json::to_string(&alertmanager::body(message)),
        WebhookFormat::PagerDuty => return pagerduty::deliver(notifier, config, message).await,
    };
    let (Some(url), Ok(body)) = (&config.url, body) else {
        return Outcome::broken("the channel has no URL");
    };
    let now = Utc::now();
    let mut request = notifier
        .http
        .post(config.allow_private, url)
        .header(CONTENT_TYPE, "application/json")
        .header("webhook-id", signature::id(&message.delivery_id))
        .header("webhook-timestamp", now.timestamp());
    if !config.secrets.is_empty() {
        match signatures(config, &signature::id(&message.delivery_id), now.timestamp(), &body) {
            Ok(signatures) => request = request.header("webhook-signature", signatures),
            Err(why) => return Outcome::broken(format!("the page cannot be signed: the secret {why}")),
        }
    }
    for (name, value) in &config.headers {
        request = request.header(name, value.expose());
    }
    let answer = match notifier.http.send(config.allow_private, url, request.body(body)).await {
        Ok(answer) => answer,
        Err(outcome) => return outcome,
    };
    let headers = config.headers.iter().map(|(_, value)| value);
    let mut secrets: Vec<&str> = config.secrets.iter().chain(headers).map(|secret| secret.expose()).collect();
    // Many services put a key into the address.
    secrets.extend(
        url.path_segments()
            .into_iter()
            .flatten()
            .chain(url.query().into_iter().flat_map(|query| query.split(['&', '='])))
            .filter(|part| part.len() >= SHORTEST_KEY),
    );
    answer.outcome(url.host_str().unwrap_or_default(), &secrets, now)
}

/// One signature for each secret, parted by spaces: a receiver that knows one of them is content.
fn signatures(config: &WebhookConfig, id: &str, timestamp: i64, body: &str) -> Result<String, String> {
    let signed = config.secrets.iter().map(|secret| signature::sign(secret.expose(), id, timestamp, body));
    Ok(signed.collect::<Result<Vec<_>, _>>()?.join(" "))
}
