//! What must be seen on a PNG, by its pixels: no picture is compared as a whole, so a nicer one breaks nothing.

#[cfg(test)]
mod common;

use common::{BLUE, Picture, RED, START, WHITE, frame};
use nightbell_charts::{ChartSpec, Line, Marker, Span, Theme, ThresholdLine, render_png};
use nightbell_model::catalogue::Unit;
use nightbell_model::{Column, Frame, Tier};

#[test]
fn a_picture_has_the_size_and_the_ground_that_were_asked_for() {
    let frame = frame(15, 240, &[("cpu.usage_percent", &|i| f64::from(i % 90))]);
    for (theme, ground) in [(Theme::Light, WHITE), (Theme::Dark, [15, 19, 26])] {
        for (scale, size) in [(1.0, (900, 320)), (1.5, (1350, 480)), (3.0, (2700, 960))] {
            let picture = Picture::of(&ChartSpec { theme, scale, ..ChartSpec::new(&frame, "CPU", Unit::Percent) });
            assert_eq!((picture.width, picture.height), size);
            for corner in [(0, 0), (size.0 - 1, 0), (0, size.1 - 1), (size.0 - 1, size.1 - 1)] {
                assert_eq!(picture.pixel(corner.0, corner.1), ground, "{theme:?} {scale} {corner:?}");
            }
        }
    }
}

#[test]
fn the_same_question_gives_the_same_bytes() {
    let frame = frame(15, 240, &[("cpu.usage_percent", &|i| f64::from(i % 90))]);
    let spec = ChartSpec::new(&frame, "CPU", Unit::Percent);
    assert_eq!(render_png(&spec).unwrap(), render_png(&spec).unwrap());
}

#[test]
fn a_threshold_is_one_dashed_row_at_its_value() {
    let frame = frame(15, 240, &[("cpu.usage_percent", &|_| 20.0)]);
    let row_of = |value: f64| {
        let mut spec = ChartSpec::new(&frame, "CPU", Unit::Percent);
        spec.thresholds = vec![ThresholdLine { value, label: "limit".to_owned(), is_mild: false }];
        let picture = Picture::of(&spec);
        let rows: Vec<usize> = (0..picture.height)
            .filter(|y| (0..picture.width).filter(|x| picture.pixel(*x, *y) == RED).count() > picture.width / 3)
            .collect();
        assert_eq!(rows.len(), 1, "{rows:?}");
        let dashes =
            (1..picture.width).filter(|x| picture.pixel(*x, rows[0]) == RED && picture.pixel(x - 1, rows[0]) != RED).count();
        assert!(dashes > 50, "{dashes}");
        i32::try_from(rows[0]).unwrap()
    };
    let (high, middle, low) = (row_of(90.0), row_of(60.0), row_of(30.0));
    assert!(((low - middle) - (middle - high)).abs() <= 1, "{high} {middle} {low}");
    assert!(low - high > 100);
}

#[test]
fn a_breach_is_shaded_from_its_start_to_its_end() {
    let frame = frame(15, 240, &[("cpu.usage_percent", &|_| 20.0)]);
    let mut spec = ChartSpec::new(&frame, "CPU", Unit::Percent);
    spec.breaches = vec![Span { start: START.plus_millis(1_200_000), end: START.plus_millis(2_400_000) }];
    let picture = Picture::of(&spec);
    let reddish = |x: usize| {
        let [r, g, b] = picture.pixel(x, 120);
        r > 240 && g < 240 && b < 240
    };
    let shaded: Vec<usize> = (0..picture.width).filter(|x| reddish(*x)).collect();
    let (first, last) = (shaded[0], shaded[shaded.len() - 1]);
    assert_eq!(shaded.len(), last - first + 1, "the shade has holes");
    // A third of the hour is a third of the plot.
    let third = (picture.width - 200) / 3;
    assert!(shaded.len().abs_diff(third) < 50, "{} against {third}", shaded.len());
    assert_eq!(picture.pixel(first - 3, 120), WHITE);
    assert_eq!(picture.pixel(last + 3, 120), WHITE);
}

#[test]
fn breaches_outside_the_range_are_not_drawn_and_short_ones_are_seen() {
    let frame = frame(15, 240, &[("cpu.usage_percent", &|_| 20.0)]);
    let shaded = |breach: Span| {
        let mut spec = ChartSpec::new(&frame, "CPU", Unit::Percent);
        spec.breaches = vec![breach];
        let picture = Picture::of(&spec);
        (0..picture.width).filter(|x| picture.pixel(*x, 120)[1] < 240).count()
    };
    assert_eq!(shaded(Span { start: START.plus_millis(-2000), end: START.plus_millis(-1000) }), 0);
    assert_eq!(shaded(Span { start: frame.end.plus_millis(1000), end: frame.end.plus_millis(2000) }), 0);
    assert_eq!(shaded(Span { start: START.plus_millis(2000), end: START.plus_millis(1000) }), 0);
    let short = shaded(Span { start: START.plus_millis(600_000), end: START.plus_millis(600_001) });
    assert!((1..=3).contains(&short), "{short}");
}

#[test]
fn a_gap_has_no_line() {
    for (name, drop) in [("missing values", false), ("missing rows", true)] {
        let gone = |i: u32| (80..160).contains(&i);
        let mut frame = frame(15, 240, &[("cpu.usage_percent", &|i| if gone(i) { f64::NAN } else { 50.0 })]);
        if drop {
            frame.times.drain(80..160);
            let column = &mut frame.columns[0];
            for values in [&mut column.mean, &mut column.min, &mut column.max] {
                values.drain(80..160);
            }
        }
        let picture = Picture::of(&ChartSpec { pin_percent: false, ..ChartSpec::new(&frame, "CPU", Unit::Percent) });
        let drawn: Vec<usize> = (60..700).filter(|x| picture.bluest(*x, 80..280) > 100).collect();
        let (width, last) = drawn.windows(2).map(|pair| (pair[1] - pair[0], pair[0])).max().unwrap();
        assert!(width > 200 && drawn.len() > 350, "{name}: {width}, {}", drawn.len());
        for x in last + 3..last + width - 3 {
            assert!(picture.bluest(x, 80..280) < 12, "{name}: column {x}");
        }
    }
}

#[test]
fn a_single_peak_among_thousands_is_seen() {
    for spike in [17, 5_500, 10_983] {
        let frame = frame(15, 11_000, &[("mem.used_bytes", &|i| if i == spike { 100.0 } else { 10.0 })]);
        let picture = Picture::of(&ChartSpec { pin_percent: true, ..ChartSpec::new(&frame, "Spike", Unit::Percent) });
        // The peak reaches up to the highest grid line, far above everything else of its colour.
        let peak: Vec<usize> = (60..840).filter(|x| picture.bluest(*x, 100..140) > 25).collect();
        assert!((1..=6).contains(&peak.len()), "{spike}: {peak:?}");
    }
}

#[test]
fn a_sample_alone_is_a_dot_and_nothing_is_no_line() {
    let one = frame(60, 1, &[("cpu.usage_percent", &|_| 50.0)]);
    let dot = Picture::of(&ChartSpec::new(&one, "CPU", Unit::Percent)).all(BLUE);
    assert!(dot.len() > 15, "{}", dot.len());
    let none = Picture::of(&ChartSpec::new(&Frame::empty(one.start, one.end), "CPU", Unit::Percent));
    assert!(none.all(BLUE).is_empty());
    let holes = frame(60, 10, &[("cpu.usage_percent", &|i| if i % 2 == 0 { f64::NAN } else { f64::INFINITY })]);
    assert!(Picture::of(&ChartSpec::new(&holes, "CPU", Unit::Percent)).all(BLUE).is_empty());
}

#[test]
fn nothing_is_cut_at_the_right_edge() {
    let memory = frame(15, 240, &[("mem.used_bytes", &|i| 1.234e12 + f64::from(i) * 1e9)]);
    let uptime = frame(60, 60, &[("uptime.seconds", &|i| 8_640_000.0 + f64::from(i))]);
    for (frame, unit) in [(&memory, Unit::Bytes), (&uptime, Unit::Seconds), (&memory, Unit::None)] {
        for (width, height) in [(200, 100), (320, 160), (900, 320)] {
            let mut spec = ChartSpec {
                width,
                height,
                ..ChartSpec::new(frame, "A title that is as long as some rules are named by people", unit)
            };
            spec.subtitle = "a-host-with-a-long-name.example.net".to_owned();
            spec.markers = vec![Marker { at: frame.end, label: "reboot after an update".to_owned() }];
            let picture = Picture::of(&spec);
            for y in 0..picture.height {
                assert_eq!(picture.pixel(picture.width - 1, y), WHITE, "{unit:?} {width} x {height}: row {y}");
            }
        }
    }
}

#[test]
fn twenty_lines_have_twenty_colours() {
    let key = |n: u32| format!("cpu.core.usage_percent{{core={n}}}").parse().unwrap();
    let frame = frame(60, 60, &[("cpu.usage_percent", &|_| 0.0)]);
    let columns: Vec<Column> = (0..20)
        .map(|n| {
            let values = vec![f64::from(n) * 5.0; 60];
            Column { key: key(n), mean: values.clone(), min: values.clone(), max: values }
        })
        .collect();
    for theme in [Theme::Light, Theme::Dark] {
        let mut spec = ChartSpec { theme, height: 800, ..ChartSpec::new(&frame, "Cores", Unit::Percent) };
        spec.lines = columns.iter().map(|column| Line { label: column.key.to_string(), column }).collect();
        let picture = Picture::of(&spec);
        let mut colors: Vec<[u8; 3]> = (300..picture.height).map(|y| picture.pixel(400, y)).collect();
        colors.sort_unstable();
        colors.dedup();
        assert!(colors.len() >= 21, "{theme:?}: {}", colors.len());
    }
}

#[test]
fn rolled_up_frames_show_their_extremes() {
    let mut frame = frame(300, 48, &[("cpu.usage_percent", &|_| 50.0)]);
    frame.tiers = vec![Tier::FiveMinutes];
    frame.step_ms = Some(300_000);
    frame.columns[0].max[24] = 95.0;
    let banded = Picture::of(&ChartSpec::new(&frame, "CPU", Unit::Percent));
    frame.columns[0].max[24] = 50.0;
    let plain = Picture::of(&ChartSpec::new(&frame, "CPU", Unit::Percent));
    // Above the line, in the middle of the plot, only the band has colour.
    let tinted = |picture: &Picture| (80..150).filter(|y| picture.blueness(451, *y) > 20).count();
    assert!(tinted(&banded) > 20, "{}", tinted(&banded));
    assert_eq!(tinted(&plain), 0);
}
