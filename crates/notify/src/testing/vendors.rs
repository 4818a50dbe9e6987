//! What the services check before they take a message, written down from their documentation and apart from the code that writes
//! the messages, with their own numbers.

use super::double::{Double, Received, Reply};
use serde_json::{Value, json};

type Checked = Result<(), String>;

fn ensure(holds: bool, what: impl Into<String>) -> Checked {
    if holds { Ok(()) } else { Err(what.into()) }
}

/// A text of at least one character and at most `limit`, counted as the services count at their strictest.
fn text(value: &Value, limit: usize, what: &str) -> Checked {
    let text = value.as_str().ok_or_else(|| format!("{what} is no text: {value}"))?;
    let length = text.encode_utf16().count();
    ensure(!text.trim().is_empty() && length <= limit, format!("{what} has {length} characters of {limit}"))
}

/// A Discord server with one webhook, `1/token`.
pub(crate) async fn discord() -> Double {
    Double::start(discord_answer).await
}

/// What Discord answers: the message as it keeps it, or what is wrong with it.
pub(crate) fn discord_answer(request: &Received) -> Reply {
    match discord_request(request) {
        Ok(files) => {
            let attachments: Vec<Value> =
                (0..files).map(|at| json!({"id": (2001 + at).to_string(), "filename": "chart.png"})).collect();
            let kept = json!({"id": "1001", "channel_id": "42", "attachments": attachments});
            Reply::of(200, &kept.to_string()).with("content-type", "application/json")
        }
        Err(why) => Reply::of(400, &json!({"code": 50035, "message": "Invalid Form Body", "errors": why}).to_string()),
    }
}

/// Checks a request to post or to edit; how many files came with it.
fn discord_request(request: &Received) -> Result<usize, String> {
    let edits = request.method == "PATCH";
    let path = if edits { "/api/v10/webhooks/1/token/messages/1001" } else { "/api/v10/webhooks/1/token" };
    ensure(request.path == path, format!("unknown path {}", request.path))?;
    let query = if edits { "with_components=true" } else { "wait=true&with_components=true" };
    ensure(request.query == query, format!("query {}", request.query))?;
    let parts = request.parts();
    if parts.is_empty() {
        return discord_payload(&request.json(), &[]).map(|()| 0);
    }
    let payload = parts.iter().find(|part| part.name == "payload_json").ok_or("no payload_json")?;
    let mut files = Vec::new();
    for part in parts.iter().filter(|part| part.name != "payload_json") {
        ensure(part.name == format!("files[{}]", files.len()), format!("part {}", part.name))?;
        ensure(part.content_type.as_deref() == Some("image/png") && part.bytes.starts_with(b"\x89PNG\r\n"), "no PNG")?;
        files.push(part.file_name.clone().ok_or("a file without name")?);
    }
    let payload: Value = serde_json::from_slice(&payload.bytes).map_err(|why| why.to_string())?;
    discord_payload(&payload, &files).map(|()| files.len())
}

/// Discord's rules for a message of a webhook with `files` beside it.
pub(crate) fn discord_payload(payload: &Value, files: &[String]) -> Checked {
    discord_message(payload, files, false)
}

/// Discord's rules for a message of a bot, whose buttons may do something.
#[cfg(feature = "discord-bot")]
pub(crate) fn discord_bot_payload(payload: &Value) -> Checked {
    discord_message(payload, &[], true)
}

/// One button: a link has an address and no name, another has a name of up to 100 characters and no address.
fn discord_button(button: &Value, is_bot: bool) -> Checked {
    ensure(button["type"] == 2, "no button")?;
    text(&button["label"], 80, "label")?;
    match button["style"].as_u64() {
        Some(5) => text(&button["url"], 512, "button url").and_then(|()| ensure(button["custom_id"].is_null(), "a named link")),
        Some(1..=4) if is_bot => {
            text(&button["custom_id"], 100, "custom_id").and_then(|()| ensure(button["url"].is_null(), "a link that acts"))
        }
        style => Err(format!("a webhook may have link buttons only, not style {style:?}")),
    }
}

fn discord_message(payload: &Value, files: &[String], is_bot: bool) -> Checked {
    let embeds = payload["embeds"].as_array().cloned().unwrap_or_default();
    ensure(!payload["content"].is_null() || !embeds.is_empty(), "an empty message")?;
    text(&payload["content"], 2_000, "content")?;
    ensure(payload["allowed_mentions"]["parse"] == json!([]), "mentions are on")?;
    ensure(embeds.len() <= 10, "too many embeds")?;
    // What an edit keeps has the id that Discord gave it, a number in a text; what is new has its place in the list.
    let attachments = payload["attachments"].as_array().cloned().unwrap_or_default();
    let kept = attachments.iter().filter(|attachment| attachment["id"].is_string()).count();
    let mut total = 0;
    for embed in &embeds {
        total += discord_embed(embed)?;
        if let Some(image) = embed["image"]["url"].as_str() {
            let file = image.strip_prefix("attachment://").ok_or("an image from elsewhere")?;
            ensure(files.iter().any(|name| name == file) || kept > 0, format!("no file {file}"))?;
        }
    }
    ensure(total <= 6_000, format!("{total} characters in all embeds"))?;
    ensure(attachments.len() - kept == files.len(), "attachments and files differ")?;
    for (index, attachment) in attachments.iter().skip(kept).enumerate() {
        ensure(attachment["id"] == index && attachment["filename"] == files[index], format!("attachment {attachment}"))?;
    }
    for row in payload["components"].as_array().into_iter().flatten() {
        ensure(row["type"] == 1, "no action row")?;
        let buttons = row["components"].as_array().ok_or("an empty row")?;
        ensure((1..=5).contains(&buttons.len()), "an action row has 1 to 5 buttons")?;
        for button in buttons {
            discord_button(button, is_bot)?;
        }
    }
    Ok(())
}

fn discord_embed(embed: &Value) -> Result<usize, String> {
    text(&embed["title"], 256, "title")?;
    text(&embed["description"], 4_096, "description")?;
    text(&embed["footer"]["text"], 2_048, "footer")?;
    let fields = embed["fields"].as_array().cloned().unwrap_or_default();
    ensure(fields.len() <= 25, "too many fields")?;
    let length = |value: &Value| value.as_str().map_or(0, |text| text.encode_utf16().count());
    let mut total = length(&embed["title"]) + length(&embed["description"]) + length(&embed["footer"]["text"]);
    for field in &fields {
        text(&field["name"], 256, "field name")?;
        text(&field["value"], 1_024, "field value")?;
        total += length(&field["name"]) + length(&field["value"]);
    }
    ensure(embed["color"].as_u64().is_some_and(|colour| colour <= 0x00FF_FFFF), "no colour")?;
    Ok(total)
}

/// A Slack workspace with one incoming webhook.
pub(crate) async fn slack() -> Double {
    Double::start(|request| {
        if request.path != "/services/T0/B0/token" {
            return Reply::of(404, "no_service");
        }
        match slack_payload(&request.json()) {
            Ok(()) => Reply::of(200, "ok"),
            Err(why) => Reply::of(400, &format!("invalid_blocks: {why}")),
        }
    })
    .await
}

/// Slack's rules for a message.
pub(crate) fn slack_payload(payload: &Value) -> Checked {
    text(&payload["text"], 4_000, "text")?;
    inert(&payload["text"])?;
    let blocks = payload["blocks"].as_array().cloned().unwrap_or_default();
    ensure(blocks.len() <= 50, "too many blocks")?;
    for block in &blocks {
        match block["type"].as_str().unwrap_or_default() {
            "header" => text(&block["text"]["text"], 150, "header")?,
            "section" => slack_section(block)?,
            "context" => {
                for element in block["elements"].as_array().ok_or("an empty context")? {
                    mrkdwn(element, 2_000)?;
                }
            }
            "actions" => {
                let button = &block["elements"][0];
                text(&button["text"]["text"], 75, "button")?;
                text(&button["url"], 3_000, "button url")?;
            }
            other => return Err(format!("unknown block {other}")),
        }
    }
    let total = payload.to_string().encode_utf16().count();
    ensure(total <= 13_200 * 2, format!("{total} characters of JSON"))?;
    ensure(texts(payload) <= 10_000, format!("{} characters in all texts", texts(payload)))
}

fn slack_section(block: &Value) -> Checked {
    let fields = block["fields"].as_array();
    ensure(fields.is_some() || !block["text"].is_null(), "a section of nothing")?;
    if !block["text"].is_null() {
        mrkdwn(&block["text"], 3_000)?;
    }
    ensure(fields.is_none_or(|fields| (1..=10).contains(&fields.len())), "fields of a section")?;
    for field in fields.into_iter().flatten() {
        mrkdwn(field, 2_000)?;
    }
    Ok(())
}

fn mrkdwn(object: &Value, limit: usize) -> Checked {
    ensure(object["type"] == "mrkdwn" && object["verbatim"] == true, "no mrkdwn taken as it is")?;
    text(&object["text"], limit, "mrkdwn")?;
    inert(&object["text"])
}

/// No link, mention or command: those stand in angle brackets.
fn inert(text: &Value) -> Checked {
    ensure(!text.as_str().unwrap_or_default().contains(['<', '>']), "angle brackets in a text")
}

fn texts(value: &Value) -> usize {
    match value {
        Value::String(text) => text.encode_utf16().count(),
        Value::Array(items) => items.iter().map(texts).sum(),
        Value::Object(fields) => fields.values().map(texts).sum(),
        _ => 0,
    }
}

/// PagerDuty's door for events.
pub(crate) async fn pagerduty() -> Double {
    Double::start(|request| match pagerduty_event(&request.json()) {
        Ok(()) => Reply::of(202, "{\"status\":\"success\",\"message\":\"Event processed\",\"dedup_key\":\"x\"}"),
        Err(why) => Reply::of(400, &json!({"status": "invalid event", "errors": [why]}).to_string()),
    })
    .await
}

/// PagerDuty's rules for an event.
pub(crate) fn pagerduty_event(event: &Value) -> Checked {
    ensure(event["routing_key"].as_str().is_some_and(|key| key.len() == 32), "routing_key")?;
    ensure(["trigger", "acknowledge", "resolve"].contains(&event["event_action"].as_str().unwrap_or_default()), "event_action")?;
    text(&event["dedup_key"], 255, "dedup_key")?;
    let payload = &event["payload"];
    text(&payload["summary"], 1_024, "summary")?;
    text(&payload["source"], 4_096, "source")?;
    ensure(["critical", "error", "warning", "info"].contains(&payload["severity"].as_str().unwrap_or_default()), "severity")?;
    for image in event["images"].as_array().into_iter().flatten() {
        ensure(image["src"].as_str().is_some_and(|src| src.starts_with("https://")), "an image without https")?;
    }
    ensure(event.to_string().len() <= 512 * 1024, "larger than 512 KB")
}
