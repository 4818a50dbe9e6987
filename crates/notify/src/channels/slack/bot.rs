//! Slack's Web API: the message, and the picture as a reply to it. An incident is one thread: its first message is brought up to
//! date when it ends or somebody takes it, and what follows it answers it and is shown in the channel as well. Answers are
//! always 200 and say in JSON what happened (<https://api.slack.com/web#responses>).

use super::blocks;
use crate::delivery::{Message, Outcome, Report, with_receivers_words};
use crate::http::Answer;
use crate::notification::NoticeWord;
use crate::notifier::Notifier;
use crate::progress::{Posted, Progress, first_posted, replaced_by};
use chrono::Utc;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use url::Url;

/// Errors that mean the token or the channel is no good.
const BROKEN: [&str; 17] = [
    "invalid_auth",
    "not_authed",
    "account_inactive",
    "token_revoked",
    "token_expired",
    "no_permission",
    "missing_scope",
    "not_allowed_token_type",
    "org_login_required",
    "ekm_access_denied",
    "access_denied",
    "team_access_not_granted",
    "channel_not_found",
    "not_in_channel",
    "is_archived",
    "restricted_action",
    "two_factor_setup_required",
];
/// Errors that pass.
const PASSING: [&str; 7] = [
    "ratelimited",
    "rate_limited",
    "internal_error",
    "fatal_error",
    "service_unavailable",
    "request_timeout",
    "team_added_to_org",
];

/// One bot's way to speak.
pub(super) struct Bot<'a> {
    pub(super) notifier: &'a Notifier,
    pub(super) allow_private: bool,
    pub(super) token: &'a str,
}

impl Bot<'_> {
    /// Posts the message, then its picture; what comes after the message does not make the page fail.
    pub(super) async fn deliver(&self, channel: &str, message: &Message<'_>) -> Report {
        let first = first_posted(&message.thread);
        let posted = match self.call("chat.postMessage", &post(channel, message, first.as_ref())).await {
            Ok(posted) => posted,
            Err(outcome) => return outcome.into(),
        };
        let mut detail = "Slack took the message".to_owned();
        if let Some(png) = message.charts.light.as_ref().filter(|png| !png.is_empty() && !message.plain) {
            let upload = self.upload(&posted, first.as_ref(), png).await;
            detail.push_str(
                &upload.map_or_else(|why| format!(" but not its picture: {}", words(why)), |()| " and its picture".to_owned()),
            );
        }
        for first in if replaces(message) { replaced_by(message) } else { Vec::new() } {
            let mut update = blocks::payload(message);
            (update["channel"], update["ts"]) = (json!(first.channel), json!(first.id));
            if let Err(why) = self.call("chat.update", &update).await {
                detail.push_str(&format!("; its first message could not be brought up to date: {}", words(why)));
            }
        }
        let posted = posted["ts"].as_str().map(|ts| Posted {
            id: ts.to_owned(),
            channel: posted["channel"].as_str().unwrap_or(channel).to_owned(),
            picture: None,
            incidents: message.incidents(),
        });
        Report { outcome: Outcome::sent(detail), progress: Progress { posted, ..Progress::default() }.text(), owed: Vec::new() }
    }

    /// The three steps of an upload (<https://api.slack.com/messaging/files#uploading_files>), as a reply to the posted message.
    async fn upload(&self, posted: &Value, first: Option<&Posted>, png: &[u8]) -> Result<(), Outcome> {
        let slot =
            self.form("files.getUploadURLExternal", &[("filename", "chart.png"), ("length", &png.len().to_string())]).await?;
        let (Some(url), Some(file)) =
            (slot["upload_url"].as_str().and_then(|url| Url::parse(url).ok()), slot["file_id"].as_str())
        else {
            return Err(Outcome::unacceptable("Slack gave no place to upload to"));
        };
        let request = self.notifier.http.post(self.allow_private, &url).header(CONTENT_TYPE, "image/png").body(png.to_vec());
        let answer = self.notifier.http.send(self.allow_private, &url, request).await?;
        if !answer.status.is_success() {
            return Err(self.outcome(&answer));
        }
        let complete = json!({
            "files": [{"id": file, "title": "The last hour"}],
            "channel_id": posted["channel"],
            "thread_ts": first.map_or_else(|| posted["ts"].clone(), |first| json!(first.id)),
        });
        self.call("files.completeUploadExternal", &complete).await.map(|_completed| ())
    }

    async fn call(&self, method: &str, body: &Value) -> Result<Value, Outcome> {
        let url = self.method(method)?;
        let request = self.notifier.http.post(self.allow_private, &url).bearer_auth(self.token).json(body);
        self.judge(method, &self.notifier.http.send(self.allow_private, &url, request).await?)
    }

    /// The few methods that do not take JSON.
    async fn form(&self, method: &str, fields: &[(&str, &str)]) -> Result<Value, Outcome> {
        let url = self.method(method)?;
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.notifier.http.post(self.allow_private, &url).bearer_auth(self.token);
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
        self.judge(method, &self.notifier.http.send(self.allow_private, &url, request).await?)
    }

    fn method(&self, method: &str) -> Result<Url, Outcome> {
        self.notifier.services.slack.join(&format!("/api/{method}")).map_err(|why| Outcome::broken(why.to_string()))
    }

    fn outcome(&self, answer: &Answer) -> Outcome {
        answer.outcome(self.notifier.services.slack.host_str().unwrap_or_default(), &[self.token], Utc::now())
    }

    fn judge(&self, method: &str, answer: &Answer) -> Result<Value, Outcome> {
        if !answer.status.is_success() {
            return Err(self.outcome(answer));
        }
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if body["ok"] == json!(true) {
            return Ok(body);
        }
        let code = body["error"].as_str().unwrap_or("no answer in JSON");
        let error = with_receivers_words(&format!("Slack refuses {method}"), &crate::http::presentable(code, &[self.token]));
        Err(if BROKEN.contains(&code) {
            Outcome::Broken { error }
        } else if PASSING.contains(&code) || body["error"].is_null() {
            Outcome::Retry { error, after: answer.retry_after(Utc::now()), ambiguous: body["error"].is_null() }
        } else {
            Outcome::Unacceptable { error }
        })
    }
}

/// The message for `channel`, as an answer to the first one of its incident if there is one.
fn post(channel: &str, message: &Message<'_>, first: Option<&Posted>) -> Value {
    let mut body = blocks::payload(message);
    body["channel"] = json!(channel);
    if let Some(first) = first {
        // An answer is seen by those in the thread only; what somebody should get up for is shown to all.
        let is_quiet = message.notification.kind == NoticeWord::Acked;
        (body["channel"], body["thread_ts"], body["reply_broadcast"]) = (json!(first.channel), json!(first.id), json!(!is_quiet));
    }
    body
}

/// Whether `message` tells of a state that its incident's first message should show from now on.
const fn replaces(message: &Message<'_>) -> bool {
    !message.plain && (matches!(message.notification.kind, NoticeWord::Acked) || !message.notification.is_open())
}

/// What went wrong.
fn words(outcome: Outcome) -> String {
    match outcome {
        Outcome::Retry { error, .. } | Outcome::Unacceptable { error } | Outcome::Broken { error } => error,
        Outcome::Sent { detail } => detail,
    }
}
