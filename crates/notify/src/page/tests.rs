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
fn a_forecast_and_a_rate_are_told_by_their_reason() {
    let mut forecast = notification(NoticeWord::Fired);
    (forecast.rule.name, forecast.metric) = ("Disk full soon".to_owned(), "disk.used_percent".to_owned());
    forecast.labels.insert("mount".to_owned(), "/data".to_owned());
    forecast.shape = "forecast".to_owned();
    forecast.why = "at +0.8 %/h /data reaches 100 % in 2 d 4 h (confidence 87 %) for 15 m 0 s (60 samples)".to_owned();
    insta::assert_snapshot!("text_forecast", read(&forecast));
    let mut rate = notification(NoticeWord::Escalated);
    (rate.shape, rate.why) = ("rate".to_owned(), "+40 % in 10 m 0 s > 30 %".to_owned());
    insta::assert_snapshot!("text_rate", read(&rate));
    let ended = Notification { kind: NoticeWord::Resolved, resolved_at: Some("2026-11-22T02:31:45.000Z".to_owned()), ..forecast };
    assert_eq!(
        Page::of(&message(&ended)).sentence,
        "disk.used_percent{mount=/data} on db-01 is back to normal. It lasted 27 m 40 s.",
        "no value that was never measured"
    );
}

#[test]
fn a_state_is_told_in_words_and_not_as_a_number() {
    let told = |kind, metric: &str, label: (&str, &str), (value, op, threshold): (f64, &str, f64)| {
        let mut one = notification(kind);
        (one.metric, one.op, one.unit) = (metric.to_owned(), op.to_owned(), "bool".to_owned());
        (one.value, one.threshold, one.peak) = (Some(value), Some(threshold), Some(value));
        if !label.0.is_empty() {
            one.labels.insert(label.0.to_owned(), label.1.to_owned());
        }
        let page = Page::of(&message(&one));
        let numbers = page.facts.iter().any(|fact| ["Value", "Threshold", "Peak"].contains(&fact.name));
        format!("{} | {}{}", page.gist, page.sentence, if numbers { " | numbers" } else { "" })
    };
    let off = (0.0, "<", 1.0);
    let (fired, resolved) = (NoticeWord::Fired, NoticeWord::Resolved);
    let all = [
        told(fired, "unit.active", ("unit", "nginx.service"), off),
        told(resolved, "unit.active", ("unit", "nginx.service"), (1.0, "<", 1.0)),
        told(NoticeWord::Repeat, "unit.failed", ("", ""), (1.0, ">", 0.0)),
        told(fired, "unit.failed", ("", ""), (3.0, ">", 0.0)),
        told(resolved, "unit.failed", ("", ""), (0.0, ">", 0.0)),
        told(NoticeWord::Escalated, "container.up", ("container", "db"), off),
        told(resolved, "container.up", ("container", "db"), (1.0, "<", 1.0)),
        told(fired, "container.health", ("container", "db"), off),
        told(fired, "process.count", ("process", "cron"), off),
        told(fired, "process.count", ("process", "php-fpm"), (3.0, "<", 8.0)),
        told(resolved, "process.count", ("process", "cron"), (1.0, "<", 1.0)),
        told(fired, "port.open", ("port", "25"), off),
        told(fired, "smart.healthy", ("device", "sda"), off),
        told(fired, "zpool.healthy", ("pool", "tank"), off),
        // What asks for something else is a comparison like any other.
        told(fired, "unit.failed", ("", ""), (9.0, ">", 5.0)),
        told(fired, "container.up", ("container", "db"), (1.0, ">=", 1.0)),
    ];
    insta::assert_snapshot!("states", all.join("\n"));
}

#[test]
fn what_is_worse_when_it_is_low_has_no_peak() {
    let mut low = notification(NoticeWord::Resolved);
    (low.metric, low.op, low.threshold, low.peak) = ("battery.charge_percent".to_owned(), "<".to_owned(), Some(20.0), Some(7.0));
    let page = Page::of(&message(&low));
    let worst = page.facts.iter().find(|fact| fact.value == "7 %").map(|fact| fact.name);
    assert_eq!(worst, Some("Lowest"));
}

#[test]
fn of_memory_the_largest_processes_are_named() {
    let mut full = notification(NoticeWord::Fired);
    assert!(Page::of(&message(&full)).plain().contains("Busiest processes:"));
    full.metric = "mem.used_percent".to_owned();
    assert!(Page::of(&message(&full)).plain().contains("Largest processes:"));
}

#[test]
fn everything_special_is_said_and_nothing_breaks_out_of_its_line() {
    insta::assert_snapshot!("text_hostile", read(&hostile()));
}

#[test]
fn what_happens_at_one_moment_is_told_as_such() {
    let mut reboot = notification(NoticeWord::Fired);
    (reboot.rule.name, reboot.metric, reboot.op) = ("Rebooted".to_owned(), "sys.uptime_seconds".to_owned(), "<".to_owned());
    (reboot.unit, reboot.value, reboot.threshold, reboot.peak) = ("seconds".to_owned(), Some(34.0), Some(600.0), Some(34.0));
    (reboot.why, reboot.for_seconds) = ("34 s < 600 s (1 sample)".to_owned(), 0.0);
    (reboot.started_at, reboot.top_processes) = (reboot.timestamp.clone(), vec![]);
    insta::assert_snapshot!("text_reboot", read(&reboot));
    let end = |one: &Notification, value| Notification {
        kind: NoticeWord::Resolved,
        resolved_at: Some("2026-11-22T02:19:05.000Z".to_owned()),
        value,
        ..one.clone()
    };
    let up = Page::of(&message(&end(&reboot, Some(604.0))));
    assert_eq!(up.headline(), "Resolved: Rebooted on db-01 (after 10 m)");
    assert_eq!(up.sentence, "db-01 has been up for 10 m 4 s since it started again.");
    let mut clock = reboot.clone();
    (clock.rule.name, clock.metric, clock.op) = ("Clock set".to_owned(), "clock.offset_seconds".to_owned(), ">".to_owned());
    (clock.shape, clock.why) = ("rate".to_owned(), "+5.2 s in 10 m 0 s > 2 s (2 samples)".to_owned());
    insta::assert_snapshot!("text_clock_step", read(&clock));
    assert_eq!(Page::of(&message(&end(&clock, None))).sentence, "The clock of db-01 keeps time again.");
    // What asks for something else is a comparison like any other.
    let young = Notification { op: ">".to_owned(), ..reboot };
    assert!(Page::of(&message(&young)).sentence.starts_with("sys.uptime_seconds on db-01 is"));
}

#[test]
fn a_late_incident_says_from_when_to_when() {
    let mut late = notification(NoticeWord::Resolved);
    late.late = true;
    let page = Page::of(&message(&late));
    assert_eq!(page.notes, ["Reported late: this was firing from 03:09:05 CET to 03:31:45 CET, before the hub could be told."]);
}

/// The words of many hosts' notifications in one message; `change` makes each its own.
fn folded(count: usize, kind: NoticeWord, change: impl Fn(usize, &mut Notification)) -> Page {
    let mut all: Vec<Notification> = (1..=count)
        .map(|number| {
            let mut one = notification(kind);
            one.incident_id = format!("I{number}");
            one.agent.name = format!("db-{number:02}");
            change(number, &mut one);
            one
        })
        .collect();
    let lead = all.remove(0);
    Page::of(&Message { folded: all, ..message(&lead) })
}

fn goes_offline(_number: usize, one: &mut Notification) {
    one.metric = OFFLINE_METRIC.to_owned();
    (one.rule.name, one.value, one.threshold) = ("Agent offline".to_owned(), None, None);
}

#[test]
fn a_storm_is_one_page_that_names_everybody() {
    let storm = folded(14, NoticeWord::Fired, goes_offline);
    assert_eq!(storm.headline(), "Critical: 14 hosts tagged db are offline (db-01, db-02, db-03 and 11 more)");
    insta::assert_snapshot!("text_storm", storm.plain());
    let end = folded(14, NoticeWord::Resolved, goes_offline);
    assert_eq!(end.headline(), "Back online: 14 hosts tagged db (db-01, db-02, db-03 and 11 more)");
    insta::assert_snapshot!("text_storm_end", end.plain());
    let part = folded(3, NoticeWord::Fired, |number, one| {
        goes_offline(number, one);
        if number == 2 {
            (one.kind, one.resolved_at) = (NoticeWord::Resolved, Some("2026-11-22T02:31:45.000Z".to_owned()));
        }
    });
    assert_eq!(part.title(), "Critical: 2 of 3 hosts tagged db are offline, 1 back");
    assert_eq!(
        part.lists.iter().map(|list| (list.title.as_str(), list.lines.len())).collect::<Vec<_>>(),
        [("Offline", 2), ("Over", 1)]
    );
}

#[test]
fn one_rule_on_many_hosts_says_which_is_worst() {
    let warm = |number: usize, one: &mut Notification| one.value = Some(if number == 7 { 99.1 } else { 95.0 });
    insta::assert_snapshot!("text_folded", folded(12, NoticeWord::Fired, warm).plain());
    insta::assert_snapshot!("text_folded_resolved", folded(12, NoticeWord::Resolved, warm).plain());
    insta::assert_snapshot!("text_folded_escalated", folded(2, NoticeWord::Escalated, warm).plain());
}

#[test]
fn what_differs_is_what_is_named() {
    let disks = folded(4, NoticeWord::Fired, |number, one| {
        one.agent.name = "db-01".to_owned();
        one.rule.name = "Disk full".to_owned();
        one.labels.insert("mount".to_owned(), format!("/srv/{number}"));
    });
    assert_eq!(disks.headline(), "Critical: Disk full on db-01 (/srv/1, /srv/2, /srv/3 and 1 more)");
    assert_eq!(disks.processes.len(), 3, "on one host they are everybody's");
    let rules = |number: usize, one: &mut Notification| {
        (one.rule.id, one.rule.name) = (number.to_string(), format!("Rule {number}"));
        one.rule.severity = if number == 2 { "critical" } else { "info" }.to_owned();
    };
    let mixed = folded(3, NoticeWord::Fired, rules);
    assert_eq!(mixed.headline(), "Critical: 3 alerts on 3 hosts tagged db (db-01, db-02, db-03)");
    assert_eq!(mixed.tone, Tone::Critical, "as bad as the worst");
    let one_host = folded(2, NoticeWord::Fired, |number, one| {
        rules(number, one);
        one.agent.name = "db-01".to_owned();
    });
    assert_eq!(one_host.title(), "Critical: 2 alerts on db-01");
}

#[test]
fn a_crowd_is_listed_by_name_up_to_a_number() {
    let lines = |count: usize| folded(count, NoticeWord::Fired, goes_offline).lists[0].lines.clone();
    assert_eq!(lines(30).len(), 30);
    assert_eq!(lines(33)[30].text, "db-31, db-32, db-33");
    assert_eq!(lines(330).len(), 60);
    assert_eq!(lines(340).last().map(|line| line.text.as_str()), Some("… and 10 more"));
}

#[test]
fn only_the_busiest_processes_are_named() {
    let mut crowded = notification(NoticeWord::Fired);
    crowded.top_processes =
        vec![TopProcess { name: "x".to_owned(), pid: None, cpu_percent: 1.0, rss_bytes: 1, io_bytes_per_second: None }; 9];
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

#[test]
fn a_headline_that_has_to_be_cut_keeps_how_bad_it_is_and_where() {
    let mut long = notification(NoticeWord::Fired);
    long.rule.name = "CPU_usage of the primary ".repeat(8);
    assert_eq!(long.rule.name.len(), 200);
    let page = Page::of(&message(&long));
    let subject = page.headline_within(200);
    assert_eq!(truncate::length(&subject), 200);
    assert!(subject.starts_with("Critical: CPU_usage of the") && subject.ends_with("… on db-01 (97.2 % > 90 %)"), "{subject}");
    assert!(page.title_within(60).ends_with("… on db-01"), "{}", page.title_within(60));
    assert_eq!(page.headline_within(1000), page.headline());
    long.agent.name = "host".repeat(100);
    let page = Page::of(&message(&long));
    let subject = page.headline_within(200);
    assert!(subject.starts_with("Critical: CPU_usage of the primar… on hosthost"), "{subject}");
    assert_eq!(truncate::length(&subject), 200, "the rest of the room is the host's");
    let short = Page::of(&message(&notification(NoticeWord::Fired)));
    assert_eq!(short.headline_within(20), truncate::to_chars(&short.headline(), 20), "a short name is no help");
}
