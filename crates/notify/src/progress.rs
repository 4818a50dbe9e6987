//! What a channel wants remembered of a delivery: whom it reached, and what the service called the message. Stored as JSON beside
//! the delivery; a text of another version or channel reads as nothing known.

use crate::delivery::{Earlier, Message, with_receivers_words};
use serde::{Deserialize, Serialize};

/// What is known of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Progress {
    /// Mail addresses that have it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) reached: Vec<String>,
    /// Mail addresses that will not take it, with the relay's words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) refused: Vec<Refused>,
    /// The message that a chat made of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) posted: Option<Posted>,
}

/// An address that is refused for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refused {
    pub(crate) address: String,
    pub(crate) why: String,
}

/// A message in a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Posted {
    /// The chat's name for it: Discord's message id, Slack's `ts`.
    pub(crate) id: String,
    /// In which channel.
    #[serde(default)]
    pub(crate) channel: String,
    /// The picture on it, by the chat's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) picture: Option<String>,
    /// The incidents it speaks of; of one that an older hub posted none, where it is one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) incidents: Vec<String>,
}

impl Posted {
    /// Whether all that this message speaks of is spoken of in `message` too, so that the latter may take its place.
    pub(crate) fn is_all_of(&self, message: &Message<'_>) -> bool {
        self.incidents.iter().all(|incident| message.all().any(|one| one.incident_id == *incident))
    }
}

impl Progress {
    fn read(text: Option<&String>) -> Self {
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    /// What earlier attempts at `message` left.
    pub(crate) fn of(message: &Message<'_>) -> Self {
        Self::read(message.progress.as_ref())
    }

    /// As it is stored; nothing known is nothing stored.
    pub(crate) fn text(&self) -> Option<String> {
        if *self == Self::default() { None } else { serde_json::to_string(self).ok() }
    }
}

/// Whom a delivery that was sent did not reach for good, in words; `None` for nobody. The relay's own words can be taken off again
/// by [`crate::without_receivers_words`].
#[must_use]
pub fn unreached(progress: &str) -> Option<String> {
    let refused = Progress::read(Some(&progress.to_owned())).refused;
    let names: Vec<&str> = refused.iter().map(|refused| refused.address.as_str()).collect();
    let why = refused.first()?.why.as_str();
    Some(with_receivers_words(&format!("not to {}", names.join(", not to ")), why))
}

/// The messages of these incidents that a chat holds and whose place `message` may take, oldest first.
pub(crate) fn replaced_by(message: &Message<'_>) -> Vec<Posted> {
    let posted = message.thread.iter().filter_map(|earlier| Progress::read(earlier.progress.as_ref()).posted);
    let mut replaced: Vec<Posted> = Vec::new();
    for one in posted.filter(|one| one.is_all_of(message)) {
        // What was posted of the same incidents later is no beginning, and stays what it is.
        let is_known = |incident: &String| replaced.iter().any(|other| other.incidents.contains(incident));
        let is_first = if one.incidents.is_empty() { replaced.is_empty() } else { !one.incidents.iter().all(is_known) };
        if is_first {
            replaced.push(one);
        }
    }
    replaced
}

/// The first message of this incident that a chat holds.
pub(crate) fn first_posted(thread: &[Earlier]) -> Option<Posted> {
    thread.iter().find_map(|earlier| Progress::read(earlier.progress.as_ref()).posted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_back_and_what_is_foreign_is_nothing() {
        let posted = Some(Posted { id: "1".to_owned(), channel: "2".to_owned(), picture: None, incidents: Vec::new() });
        let progress = Progress { reached: vec!["a@b.example".to_owned()], posted: posted.clone(), ..Default::default() };
        let text = progress.text();
        assert_eq!(text.as_deref(), Some(r#"{"reached":["a@b.example"],"posted":{"id":"1","channel":"2"}}"#));
        assert_eq!(Progress::read(text.as_ref()), progress);
        assert_eq!(Progress::default().text(), None);
        for foreign in ["", "null", "[1]", r#"{"posted":7}"#, r#"{"later":true}"#] {
            assert_eq!(Progress::read(Some(&foreign.to_owned())), Progress::default(), "{foreign}");
        }
        let earlier = |progress| Earlier { delivery_id: String::new(), progress };
        assert_eq!(first_posted(&[earlier(None), earlier(text)]), posted);
    }
}
