//! A page as Discord's JSON, within Discord's limits (<https://discord.com/developers/docs/resources/message#embed-object-embed-limits>).

use super::CHART_NAME;
use crate::delivery::Message;
use crate::notification::NoticeWord;
use crate::page::Page;
use crate::press::Action;
use crate::truncate;
use serde_json::{Value, json};
use serenity::all::ButtonStyle;
use serenity::builder::{
    CreateActionRow, CreateAllowedMentions, CreateAttachment, CreateButton, CreateEmbed, CreateEmbedFooter, ExecuteWebhook,
};
use serenity::model::Timestamp;

/// The longest `content`.
pub(crate) const CONTENT_LIMIT: usize = 2_000;
/// The longest title of an embed.
pub(crate) const TITLE_LIMIT: usize = 256;
/// The longest description of an embed.
pub(crate) const DESCRIPTION_LIMIT: usize = 4_096;
/// How many fields an embed may have.
pub(crate) const FIELDS_LIMIT: usize = 25;
/// The longest name of a field.
pub(crate) const FIELD_NAME_LIMIT: usize = 256;
/// The longest value of a field.
pub(crate) const FIELD_VALUE_LIMIT: usize = 1_024;
/// The longest footer.
pub(crate) const FOOTER_LIMIT: usize = 2_048;
/// The most characters that title, description, fields and footer may have together.
pub(crate) const TOTAL_LIMIT: usize = 6_000;
/// The longest URL of a button.
pub(crate) const BUTTON_URL_LIMIT: usize = 512;
/// A value longer than this takes a line of its own.
const INLINE_LIMIT: usize = 40;

/// What is left of [`TOTAL_LIMIT`].
struct Budget(usize);

impl Budget {
    fn take(&mut self, text: &str, limit: usize) -> String {
        let text = truncate::to_chars(text, limit.min(self.0));
        self.0 = self.0.saturating_sub(truncate::length(&text));
        text
    }
}

/// What becomes of a message's picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Picture {
    /// There is none.
    None,
    /// It travels beside the JSON.
    Attached,
    /// It is there already, by this id.
    Kept(String),
}

/// The message as JSON; `has_buttons` for one whose buttons can be answered.
pub(crate) fn payload(message: &Message<'_>, picture: &Picture, has_buttons: bool) -> Result<Value, serde_json::Error> {
    let page = Page::of(message);
    let quiet = CreateAllowedMentions::new();
    if message.plain {
        let text = truncate::to_chars(&escape(&page.plain()), CONTENT_LIMIT);
        return serde_json::to_value(ExecuteWebhook::new().content(text).allowed_mentions(quiet));
    }
    // Phones show the content of a message and not its embed: the gist has to stand in both.
    let content = format!("{} {}", page.tone.symbol(), escape(&page.headline()));
    let mut execute = ExecuteWebhook::new()
        .content(truncate::to_chars(&content, CONTENT_LIMIT))
        .allowed_mentions(quiet)
        .embed(embed(message, &page, *picture != Picture::None));
    let buttons = buttons(message, &page, has_buttons);
    if !buttons.is_empty() {
        execute = execute.components(vec![CreateActionRow::Buttons(buttons)]);
    }
    if *picture == Picture::Attached {
        // The bytes travel beside the JSON.
        execute = execute.add_file(CreateAttachment::bytes(Vec::new(), CHART_NAME));
    }
    let mut payload = without_nulls(serde_json::to_value(execute)?);
    if let Picture::Kept(id) = picture {
        payload["attachments"] = json!([{"id": id}]);
    }
    // An edit keeps the buttons that it does not name.
    if payload.get("components").is_none() {
        payload["components"] = json!([]);
    }
    Ok(payload)
}

/// A link for everybody; and where they can be answered, what one would do at night with one thumb.
fn buttons(message: &Message<'_>, page: &Page, has_buttons: bool) -> Vec<CreateButton> {
    let mut buttons = Vec::new();
    let notification = message.notification;
    // Who is on it may want it silent all the same.
    let is_acked = notification.kind == NoticeWord::Acked;
    if has_buttons && (notification.is_firing() || is_acked) && message.folded.is_empty() {
        let id = |action: Action| action.custom_id(&notification.incident_id);
        if notification.kind != NoticeWord::NodataStart && !is_acked {
            buttons.push(CreateButton::new(id(Action::Acknowledge)).label("Acknowledge").style(ButtonStyle::Primary));
        }
        buttons.push(CreateButton::new(id(Action::SilenceHour)).label("Silence 1 h").style(ButtonStyle::Secondary));
    }
    if is_web(&page.url) && page.url.len() <= BUTTON_URL_LIMIT {
        buttons.push(CreateButton::new_link(&page.url).label(page.link));
    }
    buttons
}

/// The title, escaped and within its limit.
fn title(page: &Page) -> String {
    let mut room = TITLE_LIMIT;
    loop {
        let title = escape(&page.title_within(room));
        let excess = truncate::length(&title).saturating_sub(TITLE_LIMIT);
        if excess == 0 {
            return title;
        }
        // What is escaped takes two.
        room = room.saturating_sub(excess.div_ceil(2));
    }
}

fn embed(message: &Message<'_>, page: &Page, has_chart: bool) -> CreateEmbed {
    let mut budget = Budget(TOTAL_LIMIT);
    let title = budget.take(&title(page), TITLE_LIMIT);
    let footer = budget.take(&format!("Nightbell · times in {}", page.zone), FOOTER_LIMIT);
    let description = budget.take(&description(page), DESCRIPTION_LIMIT);
    let mut embed = CreateEmbed::new().title(title).description(description).colour(page.tone.colour());
    if is_web(&page.url) {
        embed = embed.url(&page.url);
    }
    if let Ok(at) = Timestamp::parse(&message.notification.timestamp) {
        embed = embed.timestamp(at);
    }
    for (name, value) in fields(page).into_iter().take(FIELDS_LIMIT) {
        let (name, value) = (budget.take(&name, FIELD_NAME_LIMIT), budget.take(&value, FIELD_VALUE_LIMIT));
        if name.is_empty() || value.is_empty() {
            break;
        }
        let inline = value.chars().count() <= INLINE_LIMIT;
        embed = embed.field(name, value, inline);
    }
    if has_chart {
        embed = embed.attachment(CHART_NAME);
    }
    embed.footer(CreateEmbedFooter::new(footer))
}

fn description(page: &Page) -> String {
    let mut lines = vec![escape(&page.sentence)];
    lines.extend(page.notes.iter().map(|note| format!("⚠️ {}", escape(note))));
    for list in &page.lists {
        lines.push(format!("**{}**", escape(&list.title)));
        lines.extend(list.lines.iter().map(|line| format!("• {}", escape(&line.text))));
    }
    lines.join("\n")
}

fn fields(page: &Page) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = page.facts.iter().map(|fact| (fact.name.to_owned(), escape(&fact.value))).collect();
    if !page.why.is_empty() {
        fields.push((page.why_name.to_owned(), escape(&page.why)));
    }
    if !page.processes.is_empty() {
        let lines = page.processes.iter().map(|line| format!("{} — {}", escape(&line.name), line.uses()));
        fields.push((page.processes_name.to_owned(), lines.collect::<Vec<_>>().join("\n")));
    }
    fields
}

/// What a builder leaves unset it writes as null, which Discord does not take everywhere.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name, without_nulls(value))).collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        value => value,
    }
}

fn is_web(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

/// `text` without any meaning for Discord: no formatting, no mention, no link.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    let mut rest = text.chars().peekable();
    let mut at_line_start = true;
    while let Some(c) = rest.next() {
        let special = match c {
            '\\' | '*' | '_' | '~' | '`' | '|' | '[' | ']' | '<' => true,
            '>' | '#' | '-' => at_line_start,
            ':' => rest.peek() == Some(&'/'),
            _ => false,
        };
        if special {
            escaped.push('\\');
        }
        escaped.push(c);
        at_line_start = c == '\n' || (at_line_start && c == ' ');
    }
    escaped
}
