//! What a sheet keeps and what it forgets.

use super::*;

#[test]
fn places_are_kept_and_names_change_only_with_them() {
    let mut sheet = Sheet::new(false);
    sheet.begin();
    sheet.put("cpu.usage_percent", Some(12.345));
    sheet.put_for("cpu.core.usage_percent", "0", None);
    let (names, row) = sheet.finish();
    assert_eq!(names.keys, ["cpu.usage_percent", "cpu.core.usage_percent{core=0}"]);
    assert_eq!((&*names.decimals, &*row), (&[2_u8, 2][..], &[1235_i64, MISSING][..]));

    sheet.begin();
    sheet.put_for("cpu.core.usage_percent", "0", Some(100.0));
    let (same, row) = sheet.finish();
    assert!(Arc::ptr_eq(&names, &same));
    assert_eq!(&*row, [MISSING, 10_000]);

    sheet.begin();
    sheet.put("load.avg_1m", Some(0.5));
    let (more, row) = sheet.finish();
    assert_eq!((more.id, more.keys.len()), (names.id + 1, 3));
    assert_eq!(&*row, [MISSING, MISSING, 50]);
}

#[test]
fn a_series_unwritten_for_an_hour_loses_its_place() {
    let mut sheet = Sheet::new(false);
    sheet.begin();
    sheet.put_for("temp.celsius", "gone", Some(30.0));
    sheet.put("load.avg_1m", Some(0.5));
    let mut last = sheet.finish();
    for _ in 0..=FORGET_AFTER {
        sheet.begin();
        sheet.put("load.avg_1m", Some(0.5));
        last = sheet.finish();
    }
    assert_eq!(last.0.keys, ["load.avg_1m"]);
    assert_eq!(&*last.1, [50]);
}

#[test]
fn what_a_metric_does_not_admit_is_missing_never_zero() {
    let mut sheet = Sheet::new(false);
    sheet.begin();
    for (core, value) in [f64::NAN, f64::INFINITY, -0.01, 100.01].into_iter().enumerate() {
        sheet.put_for("cpu.core.usage_percent", &core.to_string(), Some(value));
    }
    assert_eq!(&*sheet.finish().1, [MISSING; 4]);
}

#[test]
fn names_that_cannot_be_are_gaps() {
    let mut sheet = Sheet::new(false);
    sheet.begin();
    sheet.put_for("disk.used_bytes", &"m".repeat(300), Some(1.0));
    for core in 0..=MAX_SERIES {
        sheet.put_for("cpu.core.usage_percent", &core.to_string(), Some(1.0));
    }
    assert_eq!(sheet.gaps().len(), 2);
    assert_eq!(sheet.errors(), 2);
    assert_eq!(sheet.finish().1.len(), MAX_SERIES);
}

#[test]
fn every_scaled_value_reads_back_as_the_catalogue_rounds_it() {
    for metric in catalogue::ROWS {
        for value in [metric.min, 0.005, 1.0, 12.344_999, 71.355, 99.999, 9_007_199_254_740_991.0] {
            if metric.admits(value) {
                let read = unscaled(scaled(metric, Some(value)), metric.decimals);
                assert_eq!(read, Some(metric.round(value)), "{} {value}", metric.name);
            }
        }
    }
}
