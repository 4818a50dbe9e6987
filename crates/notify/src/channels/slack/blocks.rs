//! A page as Block Kit, within Slack's limits (<https://api.slack.com/reference/block-kit/blocks>).

use crate::delivery::Message;
use crate::page::Page;
use crate::truncate;
use serde_json::{Value, json};

/// How many blocks a message may have.
pub(crate) const BLOCKS_LIMIT: usize = 50;
/// The longest header.
pub(crate) const HEADER_LIMIT: usize = 150;
/// The longest text of a section.
pub(crate) const SECTION_LIMIT: usize = 3_000;
/// How many fields a section may have.
pub(crate) const FIELDS_LIMIT: usize = 10;
/// The longest field.
pub(crate) const FIELD_LIMIT: usize = 2_000;
/// The longest URL of a button.
pub(crate) const BUTTON_URL_LIMIT: usize = 3_000;
/// The longest text beside the blocks (longer ones are cut by Slack, <https://api.slack.com/methods/chat.postMessage#truncating>).
pub(crate) const TEXT_LIMIT: usize = 4_000;
/// The most characters of all texts together: a message of 13,200 was refused as a whole
/// (<https://github.com/slackapi/bolt-js/issues/2509>), so we stay well below.
pub(crate) const TOTAL_LIMIT: usize = 9_500;

/// What is left of [`TOTAL_LIMIT`].
struct Budget(usize);

impl Budget {
    fn take(&mut self, text: &str, limit: usize) -> String {
        let text = truncate::to_chars(text, limit.min(self.0));
        self.0 = self.0.saturating_sub(truncate::length(&text));
        text
    }
}

/// The message as JSON.
pub(crate) fn payload(message: &Message<'_>) -> Value {
    let page = Page::of(message);
    if message.plain {
        return json!({"text": truncate::to_chars(&escape(&page.plain()), TEXT_LIMIT)});
    }
    let mut budget = Budget(TOTAL_LIMIT);
    let text = budget.take(&format!("{} {}", page.tone.symbol(), escape(&page.headline())), TEXT_LIMIT);
    json!({"text": text, "blocks": blocks(&page, &mut budget), "unfurl_links": false, "unfurl_media": false})
}

fn blocks(page: &Page, budget: &mut Budget) -> Vec<Value> {
    let symbol = page.tone.symbol();
    let title = page.title_within(HEADER_LIMIT - truncate::length(symbol) - 1);
    let header = budget.take(&format!("{symbol} {title}"), HEADER_LIMIT);
    let mut blocks = vec![
        json!({"type": "header", "text": {"type": "plain_text", "text": header, "emoji": false}}),
        section(&escape(&page.sentence), budget),
    ];
    if !page.notes.is_empty() {
        let notes: Vec<String> = page.notes.iter().map(|note| format!("⚠️ {}", escape(note))).collect();
        blocks.push(section(&notes.join("\n"), budget));
    }
    let facts = page.facts.iter().map(|fact| budget.take(&format!("*{}*\n{}", fact.name, escape(&fact.value)), FIELD_LIMIT));
    let facts: Vec<Value> = facts.filter(|text| !text.is_empty()).map(|text| mrkdwn(&text)).collect();
    blocks.extend(facts.chunks(FIELDS_LIMIT).map(|fields| json!({"type": "section", "fields": fields})));
    if !page.why.is_empty() {
        blocks.push(section(&format!("*{}*\n{}", page.why_name, escape(&page.why)), budget));
    }
    if !page.processes.is_empty() {
        let lines: Vec<String> = page.processes.iter().map(|line| format!("{} — {}", escape(&line.name), line.uses())).collect();
        blocks.push(section(&format!("*{}*\n{}", page.processes_name, lines.join("\n")), budget));
    }
    for list in &page.lists {
        let lines: Vec<String> = list.lines.iter().map(|line| format!("• {}", escape(&line.text))).collect();
        blocks.push(section(&format!("*{}*\n{}", escape(&list.title), lines.join("\n")), budget));
    }
    if page.url.starts_with("http") && page.url.len() <= BUTTON_URL_LIMIT {
        let label = json!({"type": "plain_text", "text": page.link, "emoji": false});
        blocks.push(json!({"type": "actions", "elements": [{"type": "button", "text": label, "url": page.url}]}));
    }
    let footer = mrkdwn(&format!("Nightbell · {} · times in {}", escape(&page.at), page.zone));
    blocks.push(json!({"type": "context", "elements": [footer]}));
    // A section whose text found no room any more would make Slack refuse the whole message.
    blocks.retain(|block| block["text"]["text"].as_str().is_none_or(|text| !text.is_empty()));
    blocks.truncate(BLOCKS_LIMIT);
    blocks
}

fn section(text: &str, budget: &mut Budget) -> Value {
    json!({"type": "section", "text": mrkdwn(&budget.take(text, SECTION_LIMIT))})
}

/// Text in which Slack makes no links or mentions of its own accord.
fn mrkdwn(text: &str) -> Value {
    json!({"type": "mrkdwn", "text": text, "verbatim": true})
}

/// `text` without commands, mentions and links (<https://api.slack.com/reference/surfaces/formatting#escaping>).
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
