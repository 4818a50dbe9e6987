//! Discord: one embed with the picture inside, sent to a channel's webhook or by a bot. When an incident ends or somebody takes it,
//! its first message is edited, so that nobody who scrolls by takes it for open; the end is a new message too, since an edit
//! pings nobody. Written with serenity's builders, posted by our own client, because serenity's waits out rate limits by itself
//! and knows no limit of its own patience. Buttons are answered in `bot`.

pub(crate) mod embed;
mod endpoint;
#[cfg(test)]
mod tests;

pub(crate) use endpoint::webhook_path;

use crate::config::DiscordConfig;
use crate::delivery::{Message, Outcome, Report};
use crate::http::{Answer, seconds_to_wait};
use crate::notification::NoticeWord;
use crate::notifier::Notifier;
use crate::progress::{Posted, Progress, replaced_by};
use chrono::Utc;
use embed::Picture;
use endpoint::Endpoint;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, StatusCode};
use serde_json::Value;

/// What the picture is called.
pub(crate) const CHART_NAME: &str = "chart.png";

/// One channel's way to Discord.
struct Way<'a> {
    notifier: &'a Notifier,
    endpoint: Endpoint,
    allow_private: bool,
}

/// Sends one message, and edits the first ones of its incidents where those are over or taken.
pub(crate) async fn deliver(notifier: &Notifier, config: &DiscordConfig, message: &Message<'_>) -> Report {
    let Some(endpoint) = Endpoint::of(&config.target, &notifier.services.discord) else {
        return Outcome::broken("the webhook's URL cannot be read").into();
    };
    let way = Way { notifier, endpoint, allow_private: config.allow_private };
    let begun = if message.plain { Vec::new() } else { replaced_by(message) };
    if let (NoticeWord::Acked, Some(first)) = (message.notification.kind, begun.first()) {
        let outcome = way.edit(message, first).await;
        if !matches!(outcome, Outcome::Broken { .. } | Outcome::Unacceptable { .. }) {
            return outcome.into();
        }
        // Somebody removed the message: then it is said anew.
    }
    let mut report = way.post(message).await;
    if let (Outcome::Sent { detail }, false) = (&mut report.outcome, message.notification.is_open())
        && !way.edit_all(message, &begun).await
    {
        detail.push_str(", but its first message could not be edited");
    }
    report
}

impl Way<'_> {
    async fn post(&self, message: &Message<'_>) -> Report {
        let charts = &message.charts;
        let chart = charts.dark.as_ref().or(charts.light.as_ref()).filter(|png| !png.is_empty() && !message.plain);
        let picture = if chart.is_some() { Picture::Attached } else { Picture::None };
        let payload = match embed::payload(message, &picture, self.endpoint.has_buttons()) {
            Ok(payload) => payload,
            Err(error) => return Outcome::unacceptable(format!("the message cannot be written: {error}")).into(),
        };
        match self.request(Method::POST, None, &payload, chart).await {
            Ok(answer) => {
                let outcome = self.outcome(&answer);
                let posted = matches!(outcome, Outcome::Sent { .. }).then(|| posted(&answer, message)).flatten();
                Report { outcome, progress: Progress { posted, ..Progress::default() }.text(), owed: Vec::new() }
            }
            Err(outcome) => outcome.into(),
        }
    }

    /// Brings earlier messages up to date; false if one of them cannot be.
    async fn edit_all(&self, message: &Message<'_>, begun: &[Posted]) -> bool {
        let mut all = true;
        for first in begun {
            if let Outcome::Retry { error, .. } | Outcome::Unacceptable { error } | Outcome::Broken { error } =
                self.edit(message, first).await
            {
                tracing::debug!(error, "the first message of an incident cannot be edited");
                all = false;
            }
        }
        all
    }

    async fn edit(&self, message: &Message<'_>, first: &Posted) -> Outcome {
        let picture = first.picture.clone().map_or(Picture::None, Picture::Kept);
        let payload = match embed::payload(message, &picture, false) {
            Ok(payload) => payload,
            Err(error) => return Outcome::unacceptable(format!("the message cannot be written: {error}")),
        };
        match self.request(Method::PATCH, Some(&first.id), &payload, None).await {
            Ok(answer) => self.outcome(&answer),
            Err(outcome) => outcome,
        }
    }

    async fn request(
        &self,
        method: Method,
        id: Option<&str>,
        payload: &Value,
        chart: Option<&Vec<u8>>,
    ) -> Result<Answer, Outcome> {
        let url = self.endpoint.url(id);
        let mut request = self.notifier.http.request(self.allow_private, method, &url);
        if let Some(authorization) = self.endpoint.authorization() {
            request = request.header(reqwest::header::AUTHORIZATION, authorization);
        }
        let request = match chart {
            None => request.json(payload),
            Some(png) => {
                let typed = |part: Part, kind: &str| part.mime_str(kind).map_err(|why| Outcome::unacceptable(why.to_string()));
                let picture = typed(Part::bytes(png.clone()).file_name(CHART_NAME), "image/png")?;
                let json = typed(Part::text(payload.to_string()), "application/json")?;
                request.multipart(Form::new().part("payload_json", json).part("files[0]", picture))
            }
        };
        self.notifier.http.send(self.allow_private, &url, request).await
    }

    /// What an answer means: as everywhere, but the pause is also written in the body, in broken seconds
    /// (<https://discord.com/developers/docs/topics/rate-limits>).
    fn outcome(&self, answer: &Answer) -> Outcome {
        let outcome = answer.outcome(&self.endpoint.host(), &[self.endpoint.secret()], Utc::now());
        match outcome {
            Outcome::Retry { error, after, ambiguous } if answer.status == StatusCode::TOO_MANY_REQUESTS => {
                let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
                let in_body = body.and_then(|body| body.get("retry_after")?.as_f64()).and_then(seconds_to_wait);
                Outcome::Retry { error, after: after.max(in_body), ambiguous }
            }
            outcome => outcome,
        }
    }
}

/// What Discord called the message, if it said so.
fn posted(answer: &Answer, message: &Message<'_>) -> Option<Posted> {
    let body: Value = serde_json::from_slice(&answer.body).ok()?;
    let text =
        |value: &Value| value.as_str().filter(|id| id.len() <= 32 && id.bytes().all(|b| b.is_ascii_digit())).map(str::to_owned);
    Some(Posted {
        id: text(&body["id"])?,
        channel: text(&body["channel_id"]).unwrap_or_default(),
        picture: text(&body["attachments"][0]["id"]),
        incidents: message.incidents(),
    })
}
