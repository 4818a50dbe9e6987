//! The time axis over quiet days, clock changes and odd zones.

use super::*;

fn frame(start: &str, end: &str) -> Frame {
    let at = |text: &str| Timestamp::from_millis(DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis());
    Frame::empty(at(start), at(end))
}

fn check(range: (&str, &str), zone: &str, count: usize, labels: &str) {
    let frame = frame(range.0, range.1);
    let found = ticks(&frame, zone.parse().unwrap(), count);
    for pair in found.windows(2) {
        assert!(pair[0].at < pair[1].at, "{pair:?}");
    }
    for tick in &found {
        assert!(tick.at >= frame.start && tick.at <= frame.end, "{tick:?}");
    }
    assert_eq!(found.iter().map(|tick| tick.label.as_str()).collect::<Vec<_>>().join(" | "), labels);
}

#[test]
fn an_hour_reads_in_minutes() {
    check(
        ("2026-11-05T12:00:00Z", "2026-11-05T13:00:00Z"),
        "Europe/Berlin",
        6,
        "13:00 | 13:10 | 13:20 | 13:30 | 13:40 | 13:50 | 14:00",
    );
}

#[test]
fn a_short_span_reads_in_seconds() {
    check(("2026-11-05T12:00:03Z", "2026-11-05T12:02:00Z"), "UTC", 4, "12:00:30 | 12:01:00 | 12:01:30 | 12:02:00");
}

#[test]
fn midnight_reads_as_the_new_day() {
    let range = ("2026-11-05T12:00:00Z", "2026-11-06T12:00:00Z");
    check(range, "UTC", 4, "12:00 | 18:00 | 6 Nov | 06:00 | 12:00");
    let strong: Vec<bool> = ticks(&frame(range.0, range.1), Tz::UTC, 4).iter().map(|tick| tick.strong).collect();
    assert_eq!(strong, [false, false, true, false, false]);
}

#[test]
fn long_spans_read_in_days_weeks_months_and_years() {
    check(("2026-10-06T00:00:00Z", "2026-11-05T00:00:00Z"), "UTC", 8, "12 Oct | 19 Oct | 26 Oct | 2 Nov");
    check(("2026-10-06T00:00:00Z", "2027-02-05T00:00:00Z"), "UTC", 6, "Nov | Dec | 2027 | Feb");
    check(("2000-10-06T00:00:00Z", "2026-02-05T00:00:00Z"), "UTC", 6, "2005 | 2010 | 2015 | 2020 | 2025");
}

#[test]
fn the_hour_that_comes_twice_is_named_twice() {
    check(("2026-10-24T23:00:00Z", "2026-10-25T03:00:00Z"), "Europe/Berlin", 5, "01:00 | 02:00 | 02:00 | 03:00 | 04:00");
}

#[test]
fn the_hour_that_is_skipped_is_not_named() {
    check(("2026-03-28T23:00:00Z", "2026-03-29T04:00:00Z"), "Europe/Berlin", 5, "29 Mar | 01:00 | 03:00 | 04:00 | 05:00 | 06:00");
}

#[test]
fn days_stay_days_over_a_clock_change() {
    check(("2026-10-24T00:00:00Z", "2026-10-27T12:00:00Z"), "Europe/Berlin", 4, "25 Oct | 26 Oct | 27 Oct");
    let at = ticks(&frame("2026-10-24T00:00:00Z", "2026-10-27T12:00:00Z"), "Europe/Berlin".parse().unwrap(), 4);
    assert_eq!(at[1].at.millis_since(at[0].at), 25 * 3_600_000);
}

#[test]
fn odd_zones_have_round_hours_too() {
    check(("2026-11-05T12:00:00Z", "2026-11-05T14:00:00Z"), "Asia/Kathmandu", 4, "18:00 | 18:30 | 19:00 | 19:30");
    // Clocks in Beirut went from 00:00 to 01:00: the day begins at one.
    check(("2025-03-29T12:00:00Z", "2025-03-31T12:00:00Z"), "Asia/Beirut", 2, "30 Mar | 31 Mar");
}

#[test]
fn a_range_without_a_round_moment_has_no_ticks_and_extremes_do_not_hang() {
    check(("2026-11-05T12:00:00.100Z", "2026-11-05T12:00:00.900Z"), "UTC", 5, "");
    assert!(!ticks(&frame("0001-01-03T00:00:00Z", "9999-12-29T00:00:00Z"), "America/New_York".parse().unwrap(), 8).is_empty());
}

#[test]
fn the_range_is_told_in_words() {
    let told = |start, end, zone: &str| range_text(&frame(start, end), zone.parse().unwrap());
    assert_eq!(told("2026-11-05T12:00:00Z", "2026-11-05T13:00:00Z", "Europe/Berlin"), "5 Nov 2026, 13:00 – 14:00");
    assert_eq!(told("2026-11-05T12:00:00Z", "2026-11-06T12:00:00Z", "UTC"), "5 Nov, 12:00 – 6 Nov 2026, 12:00");
    assert_eq!(told("2026-10-06T12:00:00Z", "2026-11-05T12:00:00Z", "UTC"), "6 Oct – 5 Nov 2026");
    assert_eq!(told("2025-12-06T12:00:00Z", "2026-01-05T12:00:00Z", "UTC"), "6 Dec 2025 – 5 Jan 2026");
    assert_eq!(told("2026-11-05T12:00:00Z", "2026-11-05T12:01:00Z", "UTC"), "5 Nov 2026, 12:00:00 – 12:01:00");
}
