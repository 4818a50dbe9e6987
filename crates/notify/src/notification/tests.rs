//! What stands in an outbox that another version has written.

use super::*;
use crate::testing::{KINDS, any_notification, notification};
use proptest::prelude::*;

/// The outbox rows of each release, oldest first.
const SHIPPED: [&str; 1] = [include_str!("../../tests/fixtures/notification-1.json")];

#[test]
fn what_every_release_has_written_is_read() {
    for text in SHIPPED {
        let read: Notification = serde_json::from_str(text).unwrap();
        assert_eq!((read.kind, read.agent.name.as_str(), read.value), (NoticeWord::Fired, "db-01", Some(97.2)));
        assert_eq!((read.labels["mount"].as_str(), read.top_processes[0].pid), ("/var", Some(4312)));
        assert_eq!((read.suppressed_count, read.ack, read.items.len()), (2, None, 0));
    }
}

#[test]
fn a_word_in_the_outbox_is_the_evaluators_own() {
    use nightbell_alerts::NoticeKind as Kind;
    let all = [
        Kind::Fired,
        Kind::Resolved,
        Kind::NoDataStart,
        Kind::NoDataEnd,
        Kind::Repeat,
        Kind::Escalated,
        Kind::Test,
        Kind::Acked,
        Kind::Digest,
        Kind::HubDoubt,
        Kind::HubDoubtEnd,
        Kind::ChannelBroken,
    ];
    for kind in all {
        assert_eq!(serde_json::to_value(NoticeWord::from(kind)).unwrap(), kind.name());
    }
    assert_eq!(KINDS.len(), all.len());
}

#[test]
fn what_a_kind_does_not_need_is_not_written() {
    let text = serde_json::to_string(&notification(NoticeWord::Fired)).unwrap();
    for name in ["ack", "items", "quiet", "doubt", "broken", "hub_note"] {
        assert!(!text.contains(&format!("\"{name}\"")), "{name}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(notification in any_notification()) {
        let text = serde_json::to_string(&notification).unwrap();
        let read: Notification = serde_json::from_str(&text).unwrap();
        // A number that JSON cannot say comes back as none.
        prop_assert_eq!(serde_json::to_string(&read).unwrap(), text);
    }
}
