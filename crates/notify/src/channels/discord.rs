//! Discord: one embed with the picture inside, sent to a channel's webhook. Written with serenity's builders, posted by our own
//! client, because serenity's waits out rate limits by itself and knows no limit of its own patience.

pub(crate) mod embed;
#[cfg(test)]
mod tests;

use crate::config::DiscordConfig;
use crate::delivery::{Message, Outcome};
use crate::http::{Answer, seconds_to_wait};
use crate::notifier::Notifier;
use chrono::Utc;
use reqwest::StatusCode;
use reqwest::multipart::{Form, Part};
use serde_json::Value;
use url::Url;

/// Hosts whose webhook URLs all lead to the same API.
const HOSTS: [&str; 4] = ["discord.com", "discordapp.com", "ptb.discord.com", "canary.discord.com"];
/// The version of the API that we speak.
const API: &str = "/api/v10/webhooks";
/// What the picture is called.
pub(crate) const CHART_NAME: &str = "chart.png";

/// Sends one message to the channel's webhook.
pub(crate) async fn deliver(notifier: &Notifier, config: &DiscordConfig, message: &Message<'_>) -> Outcome {
    let Some((url, token)) = endpoint(config.webhook_url.expose(), &notifier.services.discord) else {
        return Outcome::broken("the webhook's URL cannot be read");
    };
    let chart = message.chart_png.as_ref().filter(|png| !png.is_empty() && !message.plain);
    let payload = match embed::payload(message, chart.is_some()) {
        Ok(payload) => payload,
        Err(error) => return Outcome::unacceptable(format!("the message cannot be written: {error}")),
    };
    let request = notifier.http.post(config.allow_private, &url);
    let request = match chart {
        None => request.json(&payload),
        Some(png) => {
            let picture = Part::bytes(png.clone()).file_name(CHART_NAME).mime_str("image/png");
            let Ok(picture) = picture else { return Outcome::unacceptable("the picture has no type") };
            let json = Part::text(payload.to_string()).mime_str("application/json");
            let Ok(json) = json else { return Outcome::unacceptable("the message has no type") };
            request.multipart(Form::new().part("payload_json", json).part("files[0]", picture))
        }
    };
    let answer = match notifier.http.send(config.allow_private, &url, request).await {
        Ok(answer) => answer,
        Err(outcome) => return outcome,
    };
    outcome(&answer, url.host_str().unwrap_or_default(), &token)
}

/// What an answer means: as everywhere, but the pause is also written in the body, in broken seconds
/// (<https://discord.com/developers/docs/topics/rate-limits>).
fn outcome(answer: &Answer, host: &str, token: &str) -> Outcome {
    let outcome = answer.outcome(host, &[token], Utc::now());
    match outcome {
        Outcome::Retry { error, after, ambiguous } if answer.status == StatusCode::TOO_MANY_REQUESTS => {
            let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
            let in_body = body.and_then(|body| body.get("retry_after")?.as_f64()).and_then(seconds_to_wait);
            Outcome::Retry { error, after: after.max(in_body), ambiguous }
        }
        outcome => outcome,
    }
}

/// Id and token of a webhook's URL.
pub(crate) fn webhook_path(url: &Url) -> Option<(String, String)> {
    let segments: Vec<&str> = url.path_segments()?.filter(|segment| !segment.is_empty()).collect();
    match segments.as_slice() {
        [.., "webhooks", id, token] => Some(((*id).to_owned(), (*token).to_owned())),
        _ => None,
    }
}

/// Where to post, and the token in it: Discord's own URLs lead to the API at `base`, others (a proxy) are taken as they are.
fn endpoint(webhook_url: &str, base: &Url) -> Option<(Url, String)> {
    let configured = Url::parse(webhook_url).ok()?;
    let (id, token) = webhook_path(&configured)?;
    let is_discord = configured.host_str().is_some_and(|host| HOSTS.contains(&host));
    let mut url = if is_discord { base.join(&format!("{API}/{id}/{token}")).ok()? } else { configured.clone() };
    url.set_fragment(None);
    let kept = configured.query_pairs().filter(|(name, _)| name != "wait" && name != "with_components");
    // A posted message is answered with the message, and link buttons are shown, only if both are asked for.
    let ours = [("wait".into(), "true".into()), ("with_components".into(), "true".into())];
    let pairs: Vec<(String, String)> = kept.map(|(name, value)| (name.into_owned(), value.into_owned())).chain(ours).collect();
    url.query_pairs_mut().clear().extend_pairs(pairs);
    Some((url, token))
}
