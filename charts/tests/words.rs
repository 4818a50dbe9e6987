//! What must be read on an SVG, and which questions are refused.

#[cfg(test)]
mod common;

use common::{START, assert_well_formed, frame, texts};
use nightbell_charts::limits::{MAX_LINES, MAX_MARKS};
use nightbell_charts::{ChartError, ChartSpec, Line, Marker, Span, Theme, ThresholdLine, render_png, render_svg};
use nightbell_model::catalogue::Unit;
use nightbell_model::{Column, Frame, Tier, Timestamp};
use proptest::prelude::*;

fn hour() -> Frame {
    frame(15, 240, &[("cpu.usage_percent", &|i| f64::from(i % 90))])
}

#[test]
fn a_chart_says_what_when_where_and_how_much() {
    let frame = hour();
    let mut spec = ChartSpec::new(&frame, "CPU usage", Unit::Percent);
    spec.subtitle = "web-01".to_owned();
    spec.tz = chrono_tz::Europe::Berlin;
    spec.thresholds = vec![
        ThresholdLine { value: 85.0, label: "critical".to_owned(), is_mild: false },
        ThresholdLine { value: 30.5, label: String::new(), is_mild: false },
    ];
    spec.markers = vec![Marker { at: START.plus_millis(1_800_000), label: "reboot".to_owned() }];
    let svg = render_svg(&spec).unwrap();
    assert_well_formed(&svg);
    let texts = texts(&svg);
    for expected in [
        "CPU usage",
        "web-01",
        "5 Nov 2026, 12:00 – 13:00 · Europe/Berlin",
        "0 %",
        "100 %",
        "12:30",
        "13:00",
        "critical",
        "30.5 %",
        "reboot",
        "59.0 %",
    ] {
        assert!(texts.iter().any(|text| text == expected), "{expected} is not among {texts:?}");
    }
    assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"900\" height=\"320\" viewBox=\"0 0 900 320\""));
}

#[test]
fn hostile_labels_stay_text() {
    let frame = hour();
    let hostile = "<script>alert('&\"]]>\u{0}\u{1f}\n</svg>";
    let mut spec = ChartSpec::new(&frame, hostile, Unit::Percent);
    spec.subtitle = hostile.to_owned();
    spec.thresholds = vec![ThresholdLine { value: 85.0, label: hostile.to_owned(), is_mild: false }];
    spec.markers = vec![Marker { at: START.plus_millis(1_800_000), label: hostile.to_owned() }];
    spec.lines = vec![
        Line { label: hostile.to_owned(), column: &frame.columns[0] },
        Line { label: hostile.to_owned(), column: &frame.columns[0] },
    ];
    let svg = render_svg(&spec).unwrap();
    assert_well_formed(&svg);
    assert!(!svg.contains("<script") && svg.contains("&lt;script&gt;"));
    render_png(&spec).unwrap();
}

#[test]
fn a_legend_comes_with_the_second_line() {
    let one = frame(15, 240, &[("cpu.core.usage_percent{core=7}", &|_| 40.0)]);
    let two = frame(15, 240, &[("cpu.core.usage_percent{core=7}", &|_| 40.0), ("cpu.core.usage_percent{core=9}", &|_| 60.0)]);
    let mixed = frame(15, 240, &[("cpu.core.usage_percent{core=7}", &|_| 40.0), ("cpu.usage_percent", &|_| 60.0)]);
    let of = |frame: &Frame| texts(&render_svg(&ChartSpec::new(frame, "CPU", Unit::Percent)).unwrap());
    assert!(!of(&one).iter().any(|text| text == "7" || text.contains("core=7")));
    for (frame, names) in [(&two, ["7", "9"]), (&mixed, ["cpu.core.usage_percent{core=7}", "cpu.usage_percent"])] {
        for name in names.into_iter().chain(["40.0 %", "60.0 %"]) {
            assert!(of(frame).iter().any(|text| text == name), "{name}: {:?}", of(frame));
        }
    }
}

#[test]
fn a_long_legend_wraps_and_counts_what_it_leaves_out() {
    let keys: Vec<String> = (0..20).map(|n| format!("container.cpu_percent{{container=some-service-{n}}}")).collect();
    let values = |_: u32| 10.0;
    let series: Vec<(&str, &dyn Fn(u32) -> f64)> =
        keys.iter().map(|key| (key.as_str(), &values as &dyn Fn(u32) -> f64)).collect();
    let frame = frame(15, 10, &series);
    let spec = ChartSpec { width: 400, height: 220, ..ChartSpec::new(&frame, "Containers", Unit::Percent) };
    let texts = texts(&render_svg(&spec).unwrap());
    let named = texts.iter().filter(|text| text.starts_with("some-service-")).count();
    assert!(named >= 4 && texts.contains(&format!("+{} more", 20 - named)), "{texts:?}");
}

#[test]
fn nothing_is_said_to_be_nothing() {
    let empty = Frame::empty(START, START.plus_millis(3_600_000));
    let svg = render_svg(&ChartSpec::new(&empty, "Disk", Unit::BytesPerSecond)).unwrap();
    assert_well_formed(&svg);
    assert!(texts(&svg).iter().any(|text| text == "no data in this range"));
    assert!(
        !texts(&render_svg(&ChartSpec::new(&hour(), "CPU", Unit::Percent)).unwrap())
            .iter()
            .any(|text| text.starts_with("no data"))
    );
}

#[test]
fn a_band_is_drawn_only_where_buckets_have_one() {
    let mut frame = hour();
    let polygons = |frame: &Frame| render_svg(&ChartSpec::new(frame, "CPU", Unit::Percent)).unwrap().matches("<polygon").count();
    assert_eq!(polygons(&frame), 1);
    frame.columns[0].max.iter_mut().for_each(|max| *max += 1.0);
    assert_eq!(polygons(&frame), 2);
}

#[test]
fn the_scale_enlarges_an_svg_without_changing_its_drawing() {
    let frame = hour();
    let spec = ChartSpec::new(&frame, "CPU", Unit::Percent);
    let double = render_svg(&ChartSpec { scale: 2.0, ..spec.clone() }).unwrap();
    assert!(double.contains("width=\"1800\" height=\"640\" viewBox=\"0 0 900 320\""));
    assert_eq!(render_svg(&spec).unwrap().matches("<text").count(), double.matches("<text").count());
}

#[test]
fn what_is_out_of_limits_is_refused_by_name() {
    let frame = hour();
    let spec = || ChartSpec::new(&frame, "CPU", Unit::Percent);
    let line = || Line { label: String::new(), column: &frame.columns[0] };
    let check = |spec: ChartSpec<'_>, expected: &str| {
        let said = render_png(&spec).unwrap_err().to_string();
        assert_eq!(said, expected);
        assert_eq!(render_svg(&spec).unwrap_err().to_string(), said);
    };
    check(ChartSpec { width: 199, ..spec() }, "width must be between 200 and 4000, not 199");
    check(ChartSpec { width: 4001, ..spec() }, "width must be between 200 and 4000, not 4001");
    check(ChartSpec { height: 99, ..spec() }, "height must be between 100 and 2000, not 99");
    check(ChartSpec { height: u32::MAX, ..spec() }, "height must be between 100 and 2000, not 4294967295");
    check(ChartSpec { scale: 0.5, ..spec() }, "scale must be between 1 and 3, not 0.5");
    check(ChartSpec { scale: f64::NAN, ..spec() }, "scale must be between 1 and 3, not NaN");
    check(
        ChartSpec { width: 4000, height: 2000, scale: 1.5, ..spec() },
        "width x height at this scale is 18000000 pixels; at most 16000000 are drawn",
    );
    check(ChartSpec { lines: vec![line(); MAX_LINES + 1], ..spec() }, "lines: 21 were asked for; at most 20 fit on one chart");
    check(
        ChartSpec { breaches: vec![Span { start: START, end: START }; MAX_MARKS + 1], ..spec() },
        "breaches: 501 were asked for; at most 500 fit on one chart",
    );
    assert!(render_png(&ChartSpec { lines: vec![line(); MAX_LINES], ..spec() }).is_ok());
}

#[test]
fn malformed_frames_are_refused_by_name() {
    let refused = |frame: &Frame| render_png(&ChartSpec::new(frame, "CPU", Unit::Percent)).unwrap_err();
    let mut ragged = hour();
    ragged.columns[0].max.pop();
    assert!(matches!(refused(&ragged), ChartError::Ragged { series, expected: 240, got: 239 } if series == "cpu.usage_percent"));
    assert!(matches!(refused(&Frame::empty(START, START)), ChartError::EmptyRange));
    assert!(matches!(refused(&Frame::empty(Timestamp::MIN, Timestamp::MAX)), ChartError::DateOutOfRange));
    assert!(matches!(refused(&Frame::empty(START, Timestamp::from_secs(253_402_300_799))), ChartError::DateOutOfRange));
}

/// Values as they come, and as they should not.
fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![4 => -1e3..1e3_f64, 1 => any::<f64>(), 1 => Just(f64::NAN), 1 => Just(0.0), 1 => Just(f64::MAX), 1 => Just(1e-300)]
}

const UNITS: [Unit; 13] = [
    Unit::Percent,
    Unit::Bytes,
    Unit::BytesPerSecond,
    Unit::PerSecond,
    Unit::Seconds,
    Unit::Milliseconds,
    Unit::Celsius,
    Unit::Watts,
    Unit::Megahertz,
    Unit::Rpm,
    Unit::Count,
    Unit::Bool,
    Unit::None,
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(120) })]

    #[test]
    fn any_well_formed_frame_can_be_drawn(
        rows in prop::collection::vec((1..500_000_i64, any_value(), any_value()), 0..120),
        (start, span) in (-60_000_000_000_000..250_000_000_000_000_i64, 1..4_000_000_000_000_i64),
        (width, height) in (200..700_u32, 100..400_u32),
        (unit, zone, pin) in (0..UNITS.len(), 0..chrono_tz::TZ_VARIANTS.len(), any::<bool>()),
        marks in prop::collection::vec((any_value(), any::<i64>(), ".{0,12}"), 0..4),
    ) {
        let start = Timestamp::from_millis(start);
        let mut at = start.plus_millis(-1000);
        let times: Vec<Timestamp> = rows.iter().map(|row| { at = at.plus_millis(row.0); at }).collect();
        let mean: Vec<f64> = rows.iter().map(|row| row.1).collect();
        let max: Vec<f64> = rows.iter().map(|row| row.1.max(row.2)).collect();
        let column = Column { key: "a.b".parse().unwrap(), min: mean.clone(), mean, max };
        let frame = Frame { start, end: start.plus_millis(span), tiers: vec![Tier::Raw, Tier::Hourly], step_ms: None, times, columns: vec![column] };
        let mut spec = ChartSpec { width, height, tz: chrono_tz::TZ_VARIANTS[zone], pin_percent: pin, ..ChartSpec::new(&frame, "Any", UNITS[unit]) };
        spec.theme = if pin { Theme::Dark } else { Theme::Light };
        spec.thresholds = marks.iter().map(|mark| ThresholdLine { value: mark.0, label: mark.2.clone(), is_mild: false }).collect();
        spec.markers = marks.iter().map(|mark| Marker { at: start.plus_millis(mark.1.rem_euclid(span)), label: mark.2.clone() }).collect();
        spec.breaches = marks.iter().map(|mark| Span { start: start.plus_millis(mark.1), end: start.plus_millis(mark.1.wrapping_mul(3)) }).collect();
        let svg = render_svg(&spec).unwrap();
        assert_well_formed(&svg);
        prop_assert!(!svg.contains("NaN") && !svg.contains("inf"));
        render_png(&spec).unwrap();
    }
}
