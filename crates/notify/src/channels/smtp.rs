//! Mail: a text and an HTML part with the picture inside, threaded by incident, over a relay that is spoken to step by step, so
//! that it is known at which step and for whom it refused.
//!
//! Each recipient has an outcome of its own. Who is accepted has the mail and never gets it again; who is refused for good is
//! noted; who may be accepted later is owed it, and holds up nobody else.

mod html;
mod letter;
mod session;
#[cfg(test)]
mod tests;

use crate::config::{SmtpConfig, SmtpTls};
use crate::delivery::{Message, Outcome, Report, with_receivers_words};
use crate::guard::{Place, place};
use crate::http::unresolved;
use crate::notifier::Notifier;
use crate::progress::{Progress, Refused};
use lettre::Address;
use session::Handover;
use std::time::SystemTime;

/// Sends one mail to those recipients of the channel who are to have it and do not yet.
pub(crate) async fn deliver(notifier: &Notifier, config: &SmtpConfig, message: &Message<'_>) -> Report {
    let progress = Progress::of(message);
    let to = wanted(config, message, &progress);
    if to.is_empty() {
        return Outcome::sent("nobody is left who is to have it").into();
    }
    match hand_over(notifier, config, message, &to).await {
        Ok(handover) => judge(config, message, progress, handover),
        Err(outcome) => outcome.into(),
    }
}

/// Who is to have the mail and was neither reached nor refused before.
fn wanted<'a>(config: &'a SmtpConfig, message: &Message<'_>, progress: &Progress) -> Vec<&'a Address> {
    let only = &message.notification.only_to;
    let is_wanted = |address: &&Address| {
        let text = address.to_string();
        (only.is_empty() || only.contains(&text))
            && !progress.reached.contains(&text)
            && !progress.refused.iter().any(|refused| refused.address == text)
    };
    config.to.iter().map(|mailbox| &mailbox.email).filter(is_wanted).collect()
}

async fn hand_over(
    notifier: &Notifier,
    config: &SmtpConfig,
    message: &Message<'_>,
    to: &[&Address],
) -> Result<Handover, Outcome> {
    let letter = letter::build(config, message, &notifier.options.message_id_domain, SystemTime::now())
        .map_err(|error| Outcome::broken(format!("the mail cannot be written: {error}")))?;
    let addresses =
        notifier.guard(config.allow_private).resolve(&config.host, config.port).await.map_err(|error| unresolved(&error))?;
    let in_clear = config.tls == SmtpTls::None && config.login.is_some();
    if in_clear && addresses.iter().any(|address| place(address.ip()) == Place::Public) {
        return Err(Outcome::broken(format!(
            "{} is on the internet: the password would travel in clear, set tls to \"starttls\" or \"tls\"",
            config.host
        )));
    }
    session::send(notifier, config, &addresses, &letter.formatted(), to).await
}

/// What a handover means for the delivery, and what is to be remembered of it.
fn judge(config: &SmtpConfig, message: &Message<'_>, mut progress: Progress, handover: Handover) -> Report {
    let Handover { reached, refused, later, reply } = handover;
    let has_reached = !reached.is_empty();
    progress.reached.extend(reached);
    if !refused.is_empty() {
        tracing::warn!(host = config.host, count = refused.len(), "a relay refuses some recipients of a mail for good");
    }
    if progress.reached.is_empty() && later.is_empty() {
        // Nobody at all: it is the channel that is refused, and once it is mended everybody is tried again.
        let what = format!("{} refuses every recipient: {}", config.host, addresses(&refused));
        return Outcome::broken(with_receivers_words(&what, &words(&refused))).into();
    }
    progress.refused.extend(refused);
    let took = with_receivers_words(&format!("{} took the mail", config.host), &reply);
    let waits = with_receivers_words(&format!("{} does not take it for {} yet", config.host, addresses(&later)), &words(&later));
    let is_remainder = !message.notification.only_to.is_empty();
    let (outcome, owed) = match (later.is_empty(), has_reached && !is_remainder) {
        (true, _) => (Outcome::sent(took), Vec::new()),
        (false, true) => (Outcome::sent(took), later.into_iter().map(|refused| refused.address).collect()),
        (false, false) => (Outcome::retry(waits), Vec::new()),
    };
    Report { outcome, progress: progress.text(), owed }
}

fn addresses(refused: &[Refused]) -> String {
    refused.iter().map(|refused| refused.address.as_str()).collect::<Vec<_>>().join(", ")
}

/// What the relay said, each text once.
fn words(refused: &[Refused]) -> String {
    let mut words: Vec<&str> = refused.iter().map(|refused| refused.why.as_str()).collect();
    words.dedup();
    words.join("; ")
}

/// The HTML of a message with both pictures, for tests that look at all channels.
#[cfg(test)]
pub(crate) fn html_of(message: &Message<'_>) -> String {
    html::render(&crate::page::Page::of(message), vec!["chart", "chart-dark"]).unwrap_or_default()
}
