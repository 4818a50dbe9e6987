//! Gaps stay gaps, and thinning keeps every peak.

use super::*;
use nightbell_model::Timestamp;
use proptest::prelude::*;

const NAN: f64 = f64::NAN;

fn frame(times_s: &[i64], values: &[f64], tiers: &[Tier]) -> Frame {
    let key = "cpu.usage_percent".parse().unwrap();
    Frame {
        start: Timestamp::from_secs(0),
        end: Timestamp::from_secs(100_000),
        tiers: tiers.to_vec(),
        step_ms: None,
        times: times_s.iter().copied().map(Timestamp::from_secs).collect(),
        columns: vec![Column { key, mean: values.to_vec(), min: values.to_vec(), max: values.to_vec() }],
    }
}

/// The runs as seconds: `0 15 30 / 60 75`.
fn check(times_s: &[i64], values: &[f64], tiers: &[Tier], expected: &str) {
    let frame = frame(times_s, values, tiers);
    let told: Vec<String> = runs(&frame, &frame.columns[0])
        .iter()
        .map(|run| run.iter().map(|row| (row.at / 1000.0).to_string()).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(told.join(" / "), expected);
}

#[test]
fn a_missing_value_and_a_long_pause_break_the_line() {
    let raw = &[Tier::Raw];
    check(&[0, 15, 30, 45, 60], &[1.0, 2.0, NAN, 3.0, 4.0], raw, "0 15 / 45 60");
    check(&[0, 15, 30, 75, 90, 150, 165], &[1.0; 7], raw, "0 15 30 75 90 / 150 165");
    check(&[0, 15, 30], &[f64::INFINITY, 1.0, f64::NEG_INFINITY], raw, "15");
    check(&[0, 15], &[NAN, NAN], raw, "");
    check(&[], &[], raw, "");
}

#[test]
fn a_slow_series_in_a_quick_frame_is_one_line() {
    let times: Vec<i64> = (0..13).map(|i| i * 15).collect();
    let values: Vec<f64> = (0..13).map(|i| if i % 4 == 0 { 1.0 } else { NAN }).collect();
    check(&times, &values, &[Tier::Raw], "0 60 120 180");
}

#[test]
fn stitched_tiers_are_one_line_where_nothing_is_missing() {
    let stitched = [Tier::Raw, Tier::FiveMinutes];
    let times = [0, 300, 600, 900, 1200, 1215, 1230, 1245, 1260, 1275, 1290, 1305];
    check(&times, &[1.0; 12], &stitched, "0 300 600 900 1200 1215 1230 1245 1260 1275 1290 1305");
    let pause = [0, 300, 600, 1800, 1815, 1830, 1845, 1860, 2100, 2115, 2130];
    check(&pause, &[1.0; 11], &stitched, "0 300 600 / 1800 1815 1830 1845 1860 / 2100 2115 2130");
}

#[test]
fn the_bucket_around_the_start_is_drawn_at_the_start_and_later_ones_are_cut() {
    let mut frame = frame(&[-300, -200, 100_000, 100_001], &[1.0, 2.0, 3.0, 4.0], &[Tier::FiveMinutes]);
    frame.step_ms = Some(300_000);
    let kept: Vec<f64> = runs(&frame, &frame.columns[0]).concat().iter().map(|row| row.mean).collect();
    assert_eq!(kept, [2.0, 3.0]);
}

fn rows_of(values: &[f64]) -> Vec<Row> {
    let row = |(index, v): (u32, &f64)| Row { at: f64::from(index) * 10.0, mean: *v, min: v - 1.0, max: v + 1.0 };
    (0..).zip(values).map(row).collect()
}

proptest! {
    #[test]
    fn thinning_keeps_the_extremes_of_every_column(values in prop::collection::vec(-1e6..1e6_f64, 1..600), columns in 1..80_usize) {
        let run = rows_of(&values);
        let span = f64::from(u32::try_from(run.len()).unwrap()) * 10.0;
        let points = thin(&run, span, columns);
        let band = thin_band(&run, span, columns);
        prop_assert!(points.len() <= run.len() && points.len() <= (4 * columns).max(columns));
        prop_assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0));
        prop_assert_eq!(points[0], (run[0].at, run[0].mean));
        prop_assert_eq!(points[points.len() - 1], (run[run.len() - 1].at, run[run.len() - 1].mean));
        if let Some(dense) = condense(&run, span, columns) {
            let edges = |row: &Row, upper: bool| {
                let over = |edge: &&[(f64, f64)]| {
                    let (from, to) = if upper { (edge[0].0, edge[1].0) } else { (edge[1].0, edge[0].0) };
                    from - 1e-6 <= row.at && row.at <= to + 1e-6
                };
                dense.outline.windows(2).filter(over).map(|edge| edge[0].1).collect::<Vec<_>>()
            };
            let inside = |row: &Row| edges(row, true).iter().any(|y| *y >= row.mean) && edges(row, false).iter().any(|y| *y <= row.mean);
            prop_assert!(run.iter().all(inside), "a value outside the outline");
            prop_assert!(dense.course.len() < run.len() + 2);
        }
        for stretch in stretches(&run, span, columns) {
            let (from, to) = (stretch[0].at, stretch[stretch.len() - 1].at);
            let inside: Vec<f64> = points.iter().filter(|p| p.0 >= from && p.0 <= to).map(|p| p.1).collect();
            for (extreme, edge) in [
                (stretch.iter().map(|row| row.mean).fold(f64::MIN, f64::max), "max"),
                (stretch.iter().map(|row| row.mean).fold(f64::MAX, f64::min), "min"),
            ] {
                prop_assert!(inside.iter().any(|v| v.to_bits() == extreme.to_bits()), "{} {} lost", edge, extreme);
            }
            prop_assert!(stretch.iter().all(|row| band.iter().any(|(_, min, max)| *min <= row.min && *max >= row.max)));
        }
    }
}
