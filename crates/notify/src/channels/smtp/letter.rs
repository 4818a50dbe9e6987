//! The mail itself: headers that thread and filter well, a text part, an HTML part, the picture inside it.

use super::html;
use crate::config::SmtpConfig;
use crate::delivery::{Charts, Earlier, Message};
use crate::notification::{NoticeWord, Notification};
use crate::page::Page;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, MultiPart, SinglePart};
use nightbell_alerts::Severity;
use std::time::SystemTime;

/// No subject needs more; longer ones are cut by readers anyway.
const SUBJECT_LIMIT: usize = 200;
/// How many earlier mails a mail refers to.
const REFERENCES_LIMIT: usize = 10;
/// The names under which the HTML part finds the pictures.
pub(super) const CHART_CIDS: (&str, &str) = ("chart", "chart-dark");

/// Writes the mail of `message`. `now` becomes its date.
pub(super) fn build(
    config: &SmtpConfig,
    message: &Message<'_>,
    domain: &str,
    now: SystemTime,
) -> Result<lettre::Message, lettre::error::Error> {
    let page = Page::of(message);
    let domain = if token(domain).is_empty() { "nightbell.invalid" } else { domain };
    let id = |delivery: &str| format!("<{}@{}>", token(delivery), token(domain));
    let mut builder = lettre::Message::builder()
        .from(config.from.clone())
        .subject(page.headline_within(SUBJECT_LIMIT))
        .date(now)
        .message_id(Some(id(&message.delivery_id)));
    for mailbox in &config.to {
        builder = builder.to(mailbox.clone());
    }
    if let Some(previous) = message.thread.last() {
        let thread: Vec<String> = references(&message.thread).map(|earlier| id(&earlier.delivery_id)).collect();
        builder = builder.in_reply_to(id(&previous.delivery_id)).references(thread.join(" "));
    }
    let mut letter = match parts(message, &page) {
        Some(parts) => builder.multipart(parts)?,
        None => builder.singlepart(SinglePart::plain(page.plain()))?,
    };
    for (name, value) in headers(message, domain) {
        letter.headers_mut().insert_raw(HeaderValue::new(HeaderName::new_from_ascii_str(name), value));
    }
    Ok(letter)
}

/// The first of a thread and its last ones: readers thread by these, and the header stays short (RFC 5537, 3.4.4 prunes likewise).
fn references(thread: &[Earlier]) -> impl Iterator<Item = &Earlier> {
    let tail = thread.len().saturating_sub(REFERENCES_LIMIT - 1).max(1).min(thread.len());
    thread.iter().take(1).chain(&thread[tail..])
}

/// Text, HTML and picture; `None` where plain text is asked for or all there is.
fn parts(message: &Message<'_>, page: &Page) -> Option<MultiPart> {
    if message.plain {
        return None;
    }
    let pictures = pictures(&message.charts);
    let html = match html::render(page, pictures.iter().map(|(cid, _)| *cid).collect()) {
        Ok(html) => html,
        Err(error) => {
            tracing::error!(%error, "a mail goes out as plain text");
            return None;
        }
    };
    // Boundaries come from the delivery's id, so that the same mail is written the same way again.
    let boundary = |level: &str| format!("{level}-{}", token(&message.delivery_id));
    let alternative = MultiPart::builder().kind(lettre::message::MultiPartKind::Alternative).boundary(boundary("alternative"));
    let alternative = alternative.singlepart(SinglePart::plain(page.plain()));
    if pictures.is_empty() {
        return Some(alternative.singlepart(SinglePart::html(html)));
    }
    let related = MultiPart::builder().kind(lettre::message::MultiPartKind::Related).boundary(boundary("related"));
    let related = pictures.into_iter().fold(related.singlepart(SinglePart::html(html)), |related, (cid, png)| {
        let picture = Attachment::new_inline_with_name(cid.to_owned(), format!("{cid}.png"));
        related.singlepart(picture.body(png.clone(), image_png()))
    });
    Some(alternative.multipart(related))
}

/// The pictures there are: the one for every reader first, then the one for readers that are dark. Where only a dark one could be
/// drawn it serves both.
fn pictures(charts: &Charts) -> Vec<(&'static str, &Vec<u8>)> {
    let there = |png: &'_ &Vec<u8>| !png.is_empty();
    let (light, dark) = (charts.light.as_ref().filter(there), charts.dark.as_ref().filter(there));
    let named = [light.map(|png| (CHART_CIDS.0, png)), dark.map(|png| (CHART_CIDS.1, png))];
    named.into_iter().flatten().collect()
}

fn image_png() -> ContentType {
    ContentType::parse("image/png").unwrap_or(ContentType::TEXT_PLAIN)
}

/// Headers for machines: no holiday replies (RFC 3834), a list to filter by (RFC 2919), our own ids, and what is urgent.
fn headers(message: &Message<'_>, domain: &str) -> Vec<(&'static str, String)> {
    let notification = message.notification;
    let mut headers = vec![
        ("Auto-Submitted", "auto-generated".to_owned()),
        ("X-Auto-Response-Suppress", "All".to_owned()),
        ("List-Id", format!("Nightbell <pages.{}>", token(domain))),
        ("X-Nightbell-Id", token(&message.delivery_id)),
        ("X-Nightbell-Incident", token(&notification.incident_id)),
        ("X-Nightbell-Severity", notification.severity().name().to_owned()),
    ];
    if is_urgent(notification) {
        headers.push(("Importance", "high".to_owned()));
        headers.push(("X-Priority", "1".to_owned()));
    }
    headers
}

fn is_urgent(notification: &Notification) -> bool {
    notification.severity() == Severity::Critical
        && matches!(notification.kind, NoticeWord::Fired | NoticeWord::Repeat | NoticeWord::Escalated)
}

/// `text` as it may stand in an id: nothing that could end a header or an address.
fn token(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).collect()
}
