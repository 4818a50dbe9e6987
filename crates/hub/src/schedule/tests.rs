//! Wall clocks in Berlin, where 02:00 to 03:00 is missing on 2026-03-29 and comes twice on 2026-10-25, and elsewhere.

use super::*;
use chrono_tz::{America::New_York, Asia::Kolkata, Europe::Berlin, UTC};

fn at(text: &str) -> Timestamp {
    Timestamp::from_millis(DateTime::parse_from_rfc3339(&format!("{text}:00Z")).unwrap().timestamp_millis())
}

fn span(from: &str, to: &str) -> Window {
    Window { start: at(from), end: at(to) }
}

fn shown(windows: &[Window]) -> Vec<String> {
    let text = |at: Timestamp| local(UTC, at).format("%m-%dT%H:%M").to_string();
    windows.iter().map(|window| format!("{}..{}", text(window.start), text(window.end))).collect()
}

fn cron(expression: &str, zone: Tz, from: &str, to: &str) -> Vec<String> {
    let cron: Cron = expression.parse().unwrap();
    shown(&cron.windows(zone, 1_800_000, span(from, to), 100))
}

fn begins(expression: &str, from: &str, to: &str) -> Vec<String> {
    cron(expression, Berlin, from, to).into_iter().map(|window| window[..11].to_owned()).collect()
}

#[test]
fn an_hour_that_is_missing_begins_after_the_gap_and_one_that_comes_twice_begins_once() {
    let spring = begins("30 2 * * *", "2026-03-27T12:00", "2026-03-31T12:00");
    assert_eq!(spring, ["03-28T01:30", "03-29T01:00", "03-30T00:30", "03-31T00:30"]);
    let autumn = begins("30 2 * * *", "2026-10-23T12:00", "2026-10-27T12:00");
    assert_eq!(autumn, ["10-24T00:30", "10-25T00:30", "10-26T01:30", "10-27T01:30"]);
}

#[test]
fn every_hour_is_every_hour_whatever_the_clock_does() {
    let hours = begins("0 * * * *", "2026-10-24T23:30", "2026-10-25T03:30");
    assert_eq!(hours, ["10-25T00:00", "10-25T01:00", "10-25T02:00", "10-25T03:00"]);
    assert_eq!(begins("0 * * * *", "2026-03-29T00:30", "2026-03-29T02:30").len(), 2);
}

#[test]
fn days_of_the_week_are_counted_as_everywhere_else() {
    // 2026-06-01 is a Monday.
    let days = |field: &str| -> Vec<String> {
        let week = cron(&format!("0 12 * * {field}"), UTC, "2026-06-01T00:00", "2026-06-08T00:00");
        week.into_iter().map(|window| window[3..5].to_owned()).collect()
    };
    for (field, expected) in [
        ("1-5", "01 02 03 04 05"),
        ("0", "07"),
        ("7", "07"),
        ("sun", "07"),
        ("5-7", "05 06 07"),
        ("sat-mon", "01 06 07"),
        ("mon,3,FRI", "01 03 05"),
        ("*/2", "02 04 06 07"),
        ("1-5/2", "01 03 05"),
        ("*", "01 02 03 04 05 06 07"),
    ] {
        assert_eq!(days(field).join(" "), expected, "{field}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_reason() {
    let fault = |text: &str| text.parse::<Cron>().unwrap_err();
    assert_eq!(fault("30 2 * *"), CronError::Fields(4));
    assert_eq!(fault("0 30 2 * * *"), CronError::Fields(6));
    assert_eq!(fault("30 2 * * 8"), CronError::Weekday("8".to_owned()));
    assert_eq!(fault("30 2 * * 1/0"), CronError::Weekday("1/0".to_owned()));
    for (wrong, said) in [
        ("60 2 * * *", "\"60\" is no minute: use 0 to 59, or *, lists, ranges and steps of them"),
        ("0,x 2 * * *", "\"x\" is no minute: use 0 to 59, or *, lists, ranges and steps of them"),
        ("0 22-6 * * *", "\"22-6\" is no hour: use 0 to 23, or *, lists, ranges and steps of them"),
        ("0 2 0 * *", "\"0\" is no day of the month: use 1 to 31, or *, lists, ranges and steps of them"),
        ("0 2 * foo *", "\"foo\" is no month: use 1 to 12, or *, lists, ranges and steps of them"),
        ("*/0 2 * * *", "\"*/0\" is no minute: use 0 to 59, or *, lists, ranges and steps of them"),
    ] {
        assert_eq!(fault(wrong).to_string(), said);
    }
    for right in ["*/15 2-5,22/1 1-15/2 jan,Mar-may *", "0 0 31 12 ?", "59 23 * */2 *"] {
        assert!(right.parse::<Cron>().is_ok(), "{right}");
    }
    let never: Cron = "0 0 30 2 *".parse().unwrap();
    assert!(never.windows(UTC, 1_000, span("2026-01-01T00:00", "2027-01-01T00:00"), 5).is_empty());
}

#[test]
fn a_stretch_that_began_before_is_not_missed() {
    let nights: Cron = "0 22 * * *".parse().unwrap();
    let found = nights.windows(Kolkata, 8 * 3_600_000, span("2026-06-02T18:00", "2026-06-02T20:00"), 9);
    assert_eq!(shown(&found), ["06-02T16:30..06-03T00:30"]);
    assert_eq!(nights.windows(Kolkata, 3_600_000, span("2026-06-01T00:00", "2026-07-01T00:00"), 3).len(), 3);
}

#[test]
fn stretches_that_touch_are_one_and_their_number_is_bounded() {
    let minutes: Cron = "* * * * *".parse().unwrap();
    let day = span("2026-06-01T00:00", "2026-06-02T00:00");
    assert_eq!(shown(&minutes.windows(UTC, 60_000, day, 1)), ["06-01T00:00..06-02T00:00"]);
    assert_eq!(minutes.windows(UTC, 30_000, day, 7).len(), 7);
}

fn quiet(json: &str) -> QuietHours {
    serde_json::from_str(json).unwrap()
}

#[test]
fn nights_go_over_midnight_and_over_the_days_on_which_clocks_change() {
    let nights = quiet(r#"{"from":"22:00","to":"07:00","timezone":"Europe/Berlin"}"#);
    let windows = |from, to| shown(&nights.windows(UTC, span(from, to)));
    assert_eq!(windows("2026-03-28T12:00", "2026-03-30T12:00"), ["03-28T21:00..03-29T05:00", "03-29T20:00..03-30T05:00"]);
    assert_eq!(windows("2026-10-24T12:00", "2026-10-26T12:00"), ["10-24T20:00..10-25T06:00", "10-25T21:00..10-26T06:00"]);
    assert_eq!(windows("2026-06-02T00:00", "2026-06-02T01:00"), ["06-01T20:00..06-02T05:00"], "it began the day before");
    assert!(nights.holds(UTC, at("2026-06-02T04:59")) && !nights.holds(UTC, at("2026-06-02T05:00")));
}

#[test]
fn quiet_hours_that_begin_or_end_where_the_clock_jumps_cover_it() {
    let odd = quiet(r#"{"from":"02:30","to":"02:45"}"#);
    assert_eq!(shown(&odd.windows(Berlin, span("2026-10-25T00:00", "2026-10-25T12:00"))), ["10-25T00:30..10-25T01:45"]);
    let gap = shown(&odd.windows(Berlin, span("2026-03-29T00:00", "2026-03-29T12:00")));
    assert_eq!(gap, Vec::<String>::new(), "a quarter of an hour that does not exist is none");
    let into = quiet(r#"{"from":"01:30","to":"02:30"}"#);
    assert_eq!(shown(&into.windows(Berlin, span("2026-03-29T00:00", "2026-03-29T12:00"))), ["03-29T00:30..03-29T01:00"]);
}

#[test]
fn quiet_hours_keep_to_their_days_and_their_zone() {
    let weekend = quiet(r#"{"weekdays":["sat","sun"],"from":"00:00","to":"00:00","critical_passes":true}"#);
    let found = merged(weekend.windows(New_York, span("2026-06-05T00:00", "2026-06-12T00:00")));
    assert_eq!(shown(&found), ["06-06T04:00..06-08T04:00"]);
    let workdays = quiet(r#"{"weekdays":["fri"],"from":"18:00","to":"09:00"}"#);
    assert_eq!(shown(&workdays.windows(UTC, span("2026-06-01T00:00", "2026-06-08T00:00"))), ["06-05T18:00..06-06T09:00"]);
    for wrong in [
        r#"{"from":"25:00","to":"07:00"}"#,
        r#"{"from":"22:00"}"#,
        r#"{"from":"22:00","to":"07:00","timezone":"Mars"}"#,
        r#"{"weekdays":["funday"],"from":"22:00","to":"07:00"}"#,
    ] {
        assert!(serde_json::from_str::<QuietHours>(wrong).is_err(), "{wrong}");
    }
    let text = r#"{"weekdays":["sat"],"from":"22:00","to":"07:30","timezone":"Europe/Berlin","critical_passes":false}"#;
    assert_eq!(serde_json::to_string(&quiet(text)).unwrap(), text);
}

#[test]
fn an_hour_that_is_shown_twice_is_known_whenever_it_is_asked_for() {
    let offset = |zone: Tz, at: Timestamp| local(zone, at).and_utc().timestamp_millis() - at.as_millis();
    let year: Vec<Timestamp> = (0..9_000).map(|hour| at("2026-01-01T00:00").plus_millis(hour * 3_600_000)).collect();
    for zone in [New_York, Berlin, chrono_tz::Antarctica::Troll, chrono_tz::Australia::Lord_Howe, chrono_tz::America::St_Johns] {
        let changes = year.windows(2).filter(|pair| offset(zone, pair[0]) != offset(zone, pair[1])).map(|pair| pair[1]);
        for change in changes {
            for expression in ["0 * * * *", "*/30 * * * *", "15 */2 * * *", "30 2 * * *"] {
                let (cron, end) = (expression.parse::<Cron>().unwrap(), change.plus_millis(6 * 3_600_000));
                let asked = |start| cron.windows(zone, 1_800_000, Window { start, end }, 100);
                let whole = asked(change.plus_millis(-86_400_000));
                for minutes in -240..240 {
                    let now = change.plus_millis(minutes * 60_000);
                    let holds = |windows: &[Window]| windows.iter().any(|window| window.holds(now));
                    assert_eq!(holds(&asked(now)), holds(&whole), "{expression} in {zone} {minutes} min from {change:?}");
                }
            }
        }
    }
}
