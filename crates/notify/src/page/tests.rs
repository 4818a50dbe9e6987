//! What people read, for every kind of notification and for what makes one special.

use super::*;
use crate::notification::TopProcess;
use crate::testing::{KINDS, any_notification, hostile, message, notification};
use proptest::prelude::*;

fn read(notification: &Notification) -> String {
    Page::of(&message(notification)).plain()
}

#[test]
fn every_kind_says_what_where_how_bad_since_when_and_why() {
    for (name, kind) in KINDS {
        insta::assert_snapshot!(format!("text_{name}"), read(&notification(kind)));
    }
}

#[test]
fn an_agent_that_fell_silent_is_called_offline() {
    for (name, kind) in KINDS.into_iter().filter(|(name, _)| ["fired", "resolved", "repeat", "escalated"].contains(name)) {
        let mut silent = notification(kind);
        silent.rule.name = "Agent offline".to_owned();
        silent.metric = OFFLINE_METRIC.to_owned();
        silent.unit = String::new();
        silent.value = Some(60.0);
        silent.why = "no heartbeat for 5 m 0 s".to_owned();
        silent.top_processes = vec![];
        insta::assert_snapshot!(format!("text_offline_{name}"), read(&silent));
    }
}

#[test]
fn everything_special_is_said_and_nothing_breaks_out_of_its_line() {
    insta::assert_snapshot!("text_hostile", read(&hostile()));
}

#[test]
fn a_late_incident_says_from_when_to_when() {
    let mut late = notification(NoticeWord::Resolved);
    late.late = true;
    let page = Page::of(&message(&late));
    assert_eq!(page.notes, ["Reported late: this was firing from 03:09:05 CET to 03:31:45 CET, before the hub could be told."]);
}

#[test]
fn folded_notifications_have_a_line_each_up_to_a_number() {
    let leading = notification(NoticeWord::Fired);
    let mut other = notification(NoticeWord::Resolved);
    other.agent.name = "db-02".to_owned();
    let with = |count: usize| Page::of(&Message { folded: vec![other.clone(); count], ..message(&leading) });
    let page = with(2);
    assert_eq!(page.headline(), "Critical: CPU hot on db-01 and 2 more (97.2 % > 90 %)");
    assert_eq!(page.lists[0].lines, ["Resolved: CPU hot on db-02 (after 27 m 40 s)"; 2]);
    assert_eq!(with(20).lists[0].lines.len(), 20);
    assert_eq!(with(25).lists[0].lines.last().map(String::as_str), Some("… and 5 more"));
}

#[test]
fn only_the_busiest_processes_are_named() {
    let mut crowded = notification(NoticeWord::Fired);
    crowded.top_processes = vec![TopProcess { name: "x".to_owned(), pid: None, cpu_percent: 1.0, rss_bytes: 1 }; 9];
    assert_eq!(Page::of(&message(&crowded)).processes.len(), PROCESSES_SHOWN);
}

#[test]
fn a_page_without_numbers_is_still_a_sentence() {
    let mut bare = notification(NoticeWord::Fired);
    (bare.value, bare.threshold, bare.peak) = (None, None, None);
    let page = Page::of(&message(&bare));
    assert_eq!(page.headline(), "Critical: CPU hot on db-01");
    assert_eq!(page.sentence, "cpu.usage_percent on db-01 breaks its rule for 5 m, since 03:04:05 CET on 22 Nov 2026.");
    bare.value = Some(f64::NAN);
    assert_eq!(Page::of(&message(&bare)).headline(), "Critical: CPU hot on db-01 (no number)");
}

#[test]
fn labels_are_said_in_the_headline() {
    let mut disk = notification(NoticeWord::Fired);
    disk.rule.name = "Disk full".to_owned();
    disk.metric = "disk.used_percent".to_owned();
    disk.labels.insert("mount".to_owned(), "/var".to_owned());
    assert_eq!(Page::of(&message(&disk)).headline(), "Critical: Disk full on db-01 (/var: 97.2 % > 90 %)");
    assert!(Page::of(&message(&disk)).sentence.starts_with("disk.used_percent{mount=/var} on db-01 is 97.2 %, above 90 %"));
}

proptest! {
    #[test]
    fn no_text_of_a_page_has_a_second_line(notification in any_notification()) {
        let page = Page::of(&message(&notification));
        let facts = page.facts.iter().map(|fact| &fact.value);
        let names = page.processes.iter().map(|process| &process.name);
        let all = [&page.status, &page.subject, &page.gist, &page.sentence, &page.why, &page.at, &page.url];
        for text in all.into_iter().chain(facts).chain(names).chain(&page.notes) {
            prop_assert!(!text.chars().any(char::is_control), "{text:?}");
        }
    }
}
