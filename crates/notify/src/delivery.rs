//! One attempt: what is handed to a channel, and the four ways it can end. What follows from an end is decided in `retry`.

use crate::notification::Notification;
use std::time::Duration;

/// One message to be delivered.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    /// The id of the outbox row: the same on every attempt, sent along as the key by which a receiver can tell a repeat.
    pub delivery_id: String,
    /// What it is about.
    pub notification: &'a Notification,
    /// The picture, for channels that carry one.
    pub charts: Charts,
    /// Whether this is the plain second try after the receiver could not accept the first form.
    pub plain: bool,
    /// Earlier deliveries of this incident on this channel, oldest first: mail and threads refer to them, chats edit the first.
    pub thread: Vec<Earlier>,
    /// Further notifications that travel in this message; ignored where each has to be a request of its own.
    pub folded: Vec<Notification>,
    /// What earlier attempts at this delivery reported as [`Report::progress`].
    pub progress: Option<String>,
}

/// The picture of a page as PNG, in the colours that are wanted (see [`ChannelConfig::pictures`](crate::ChannelConfig::pictures)).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Charts {
    /// On white.
    pub light: Option<Vec<u8>>,
    /// On black.
    pub dark: Option<Vec<u8>>,
}

/// An earlier delivery that a message continues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    /// The id of its outbox row.
    pub delivery_id: String,
    /// What its attempts reported as [`Report::progress`].
    pub progress: Option<String>,
}

/// What one attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// What to keep with the delivery, for its next attempt and for later messages of the same incident (JSON object, the
    /// channel's own); `None` leaves what is kept as it is. To be stored whatever the outcome is.
    pub progress: Option<String>,
    /// Recipients who could not be reached now but may be later, while others were: each wants a delivery of its own, so that
    /// they hold up nobody else. The same notification with these as [`Notification::only_to`] reaches them and nobody again.
    pub owed: Vec<String>,
}

impl From<Outcome> for Report {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, progress: None, owed: Vec::new() }
    }
}

impl Message<'_> {
    /// All notifications of this message, the leading one first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Notification> {
        std::iter::once(self.notification).chain(&self.folded)
    }

    /// The incidents it speaks of.
    pub(crate) fn incidents(&self) -> Vec<String> {
        self.all().map(|one| one.incident_id.clone()).collect()
    }

    /// The same about `notification` alone, without pictures.
    pub(crate) fn about<'b>(&self, notification: &'b Notification) -> Message<'b> {
        Message {
            delivery_id: self.delivery_id.clone(),
            notification,
            charts: Charts::default(),
            plain: self.plain,
            thread: Vec::new(),
            folded: Vec::new(),
            progress: None,
        }
    }
}

/// Between the description of a failure and what the receiver said about it.
const RECEIVER_SAID: &str = "; it said: ";

/// How an attempt ended. No text carries a secret, and of a URL only its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has it.
    Sent {
        /// What the receiver answered, in a few words.
        detail: String,
    },
    /// It may work later: no connection, no answer, a busy or a failing receiver.
    Retry {
        /// What went wrong.
        error: String,
        /// How long the receiver asks to wait.
        after: Option<Duration>,
        /// Whether the receiver may have got it all the same.
        ambiguous: bool,
    },
    /// The receiver does not take this message in this form.
    Unacceptable {
        /// What went wrong.
        error: String,
    },
    /// The channel itself is refused: credentials, address, account.
    Broken {
        /// What went wrong.
        error: String,
    },
}

impl Outcome {
    pub(crate) fn sent(detail: impl Into<String>) -> Self {
        Self::Sent { detail: detail.into() }
    }

    pub(crate) fn retry(error: impl Into<String>) -> Self {
        Self::Retry { error: error.into(), after: None, ambiguous: false }
    }

    pub(crate) fn ambiguous(error: impl Into<String>) -> Self {
        Self::Retry { error: error.into(), after: None, ambiguous: true }
    }

    pub(crate) fn unacceptable(error: impl Into<String>) -> Self {
        Self::Unacceptable { error: error.into() }
    }

    pub(crate) fn broken(error: impl Into<String>) -> Self {
        Self::Broken { error: error.into() }
    }
}

/// `what` went wrong, followed by the receiver's own words where there are any.
pub(crate) fn with_receivers_words(what: &str, words: &str) -> String {
    if words.is_empty() { what.to_owned() } else { format!("{what}{RECEIVER_SAID}{words}") }
}

/// `error` without what the receiver said: for readers who may see that a delivery failed but not what an address inside the
/// network answered.
#[must_use]
pub fn without_receivers_words(error: &str) -> &str {
    error.split_once(RECEIVER_SAID).map_or(error, |(what, _words)| what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_receivers_words_can_be_taken_off_again() {
        assert_eq!(without_receivers_words(&with_receivers_words("503", "over capacity")), "503");
        assert_eq!(with_receivers_words("503", ""), "503");
    }
}
