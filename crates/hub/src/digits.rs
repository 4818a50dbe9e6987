//! Numbers, moments and texts as bytes of JSON and CSV, written straight into the answer: history is mostly digits, and general
//! ways of writing them cost more than reading them from the store. Pure; which cells stand where is the caller's.
//!
//! A measured value is nearly always an integer times a power of ten, and the shortest decimal of such a value is that integer
//! with a point in it, as long as it has at most 15 digits: two such decimals are never the same double. Everything else takes the
//! general way.

use chrono::{DateTime, SecondsFormat};
use nightbell_model::Timestamp;
use serde::Serialize;
use std::io::Write as _;

/// Powers of ten that doubles hold exactly, as far as values are tried.
const POWERS: [f64; 6] = [1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0];
/// Integers below this have at most 15 digits.
const PLAIN_LIMIT: f64 = 1e15;
/// A day in milliseconds.
const DAY_MS: i64 = 86_400_000;
/// The days of the years 0001 to 9999, which have four digits each.
const FOUR_DIGIT_DAYS: std::ops::RangeInclusive<i64> = -719_162..=2_932_896;

/// The integer and the decimals that are `value`, with as few decimals as it takes; `None` if it is no such number. The decimals
/// that were right last are tried first.
#[inline]
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "bounded by 10^15")]
fn plain(value: f64, decimals: &mut u8) -> Option<(i64, u8)> {
    for candidate in std::iter::once(*decimals).chain(0..6) {
        let power = POWERS[usize::from(candidate)];
        let scaled = value * power;
        // NaN is in no range.
        if !(-PLAIN_LIMIT..=PLAIN_LIMIT).contains(&scaled) {
            return None;
        }
        let mut integer = (scaled + 0.5_f64.copysign(scaled)) as i64;
        if (integer as f64 / power).to_bits() == value.to_bits() {
            *decimals = candidate;
            let mut least = candidate;
            while least > 0 && integer % 10 == 0 {
                (integer, least) = (integer / 10, least - 1);
            }
            return Some((integer, least));
        }
    }
    None
}

/// Writes `integer` with its last `decimals` digits behind a point.
#[inline]
fn push_scaled(out: &mut Vec<u8>, integer: i64, decimals: u8) {
    let mut text = [0_u8; 24];
    let mut at = text.len();
    let mut put = |digit: u8| {
        at -= 1;
        text[at] = digit;
    };
    let mut rest = integer.unsigned_abs();
    for _ in 0..decimals {
        put(digit(rest));
        rest /= 10;
    }
    if decimals > 0 {
        put(b'.');
    }
    loop {
        put(digit(rest));
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if integer < 0 {
        put(b'-');
    }
    out.extend_from_slice(&text[at..]);
}

#[inline]
const fn digit(number: u64) -> u8 {
    b'0' + (number % 10) as u8
}

/// A whole number.
#[inline]
pub(crate) fn push_integer(out: &mut Vec<u8>, integer: i64) {
    push_scaled(out, integer, 0);
}

/// A value as JSON: always with a point or an exponent, `null` where there is none. `decimals` remembers what was right last.
#[inline]
pub(crate) fn push_json_number(out: &mut Vec<u8>, value: f64, decimals: &mut u8) {
    match plain(value, decimals) {
        Some((integer, 0)) => {
            push_scaled(out, integer, 0);
            out.extend_from_slice(b".0");
        }
        Some((integer, places)) => push_scaled(out, integer, places),
        None if value.is_finite() => push_json(out, &value),
        None => out.extend_from_slice(b"null"),
    }
}

/// A value as a cell: the fewest digits that read back as the same number, nothing where there is none, `+Inf` and `-Inf`.
#[inline]
pub(crate) fn push_cell(out: &mut Vec<u8>, value: f64, decimals: &mut u8) {
    match plain(value, decimals) {
        Some((integer, places)) => push_scaled(out, integer, places),
        None if value.is_nan() => {}
        None => push_odd_cell(out, value),
    }
}

#[cold]
fn push_odd_cell(out: &mut Vec<u8>, value: f64) {
    // Writing into memory cannot fail.
    let _written = if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
        Ok(())
    } else if value.abs() >= 1e21 || (value.abs() < 1e-7 && value.abs() > 0.0) {
        write!(out, "{value:e}")
    } else {
        write!(out, "{value}")
    };
}

/// Anything as JSON.
pub(crate) fn push_json<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // Texts, numbers and what is made of them can always be written into memory.
    let _written = serde_json::to_writer(out, value);
}

/// Writes moments as RFC 3339 in UTC with milliseconds; the date is worked out once a day.
#[derive(Debug, Clone, Default)]
pub(crate) struct Moments {
    day: Option<i64>,
    date: [u8; 10],
}

impl Moments {
    /// Writes `at`. Moments beyond the year 9999 become their milliseconds, so that nothing is lost.
    pub(crate) fn push(&mut self, out: &mut Vec<u8>, at: Timestamp) {
        let (day, time) = (at.as_millis().div_euclid(DAY_MS), at.as_millis().rem_euclid(DAY_MS));
        if self.day != Some(day) && !self.turn_to(day) {
            return push_integer(out, at.as_millis());
        }
        let two = |number: i64| [digit((number / 10).unsigned_abs()), digit(number.unsigned_abs())];
        let ([h, hh], [m, mm], [s, ss]) = (two(time / 3_600_000), two(time / 60_000 % 60), two(time / 1_000 % 60));
        let (a, [b, c]) = (digit((time % 1_000 / 100).unsigned_abs()), two(time % 100));
        out.extend_from_slice(&self.date);
        out.extend_from_slice(&[b'T', h, hh, b':', m, mm, b':', s, ss, b'.', a, b, c, b'Z']);
    }

    /// Works out the date of a day; false if it has none of four digits.
    fn turn_to(&mut self, day: i64) -> bool {
        if !FOUR_DIGIT_DAYS.contains(&day) {
            return false;
        }
        let text = DateTime::from_timestamp_millis(day * DAY_MS).map(|date| date.to_rfc3339_opts(SecondsFormat::Millis, true));
        let Some(date) = text.as_deref().and_then(|text| text.as_bytes().first_chunk()) else { return false };
        (self.day, self.date) = (Some(day), *date);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nightbell_charts::write_csv;
    use nightbell_model::{Column, Frame};
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("text")
    }

    fn cell(value: f64) -> String {
        written(|out| push_cell(out, value, &mut 2))
    }

    fn json(value: f64) -> String {
        written(|out| push_json_number(out, value, &mut 2))
    }

    /// The same number by the writer of tables that takes the general way.
    fn table_cell(value: f64) -> String {
        let key = "a.b".parse().expect("a key");
        let column = Column { key, mean: vec![value], min: vec![value], max: vec![value] };
        let frame =
            Frame { times: vec![Timestamp::from_secs(0)], columns: vec![column], ..Frame::empty(Timestamp::MIN, Timestamp::MAX) };
        let mut out = Vec::new();
        write_csv(&frame, &mut out).expect("memory");
        let text = String::from_utf8(out).expect("text");
        text.split("\r\n").nth(1).and_then(|row| row.split_once(',')).expect("a row").1.to_owned()
    }

    #[test]
    fn cells_are_what_the_general_way_writes() {
        for value in [0.0, -0.0, 1.0, -1.5, 0.1, 12.34, 100.0, 0.001, 1e-5, 1e-6, 1e-7, 9e-8, 1e15, 1e16, 1e20, 1e21, 1e300] {
            assert_eq!(cell(value), table_cell(value), "{value}");
        }
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, f64::MAX, 0.1 + 0.2, 2.0_f64.powi(53)] {
            assert_eq!(cell(value), table_cell(value), "{value}");
        }
        assert_eq!(
            (cell(97.2), cell(-0.5), cell(512e9), cell(f64::NAN)),
            ("97.2".into(), "-0.5".into(), "512000000000".into(), String::new())
        );
    }

    #[test]
    fn json_numbers_are_floats_or_null() {
        assert_eq!(
            (json(13.0), json(-12.5), json(0.0), json(-0.0)),
            ("13.0".into(), "-12.5".into(), "0.0".into(), "-0.0".into())
        );
        assert_eq!((json(f64::NAN), json(f64::INFINITY), json(1e300)), ("null".into(), "null".into(), "1e+300".into()));
    }

    #[test]
    fn moments_have_four_digits_for_the_year_or_are_milliseconds() {
        let mut moments = Moments::default();
        let mut write = |ms| written(|out| moments.push(out, Timestamp::from_millis(ms)));
        assert_eq!(write(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(write(1_700_006_399_999), "2023-11-14T23:59:59.999Z");
        assert_eq!(write(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(write(253_402_300_799_999), "9999-12-31T23:59:59.999Z");
        assert_eq!(write(253_402_300_800_000), "253402300800000");
        assert_eq!(write(i64::MIN), i64::MIN.to_string());
    }

    proptest! {
        #[test]
        fn any_number_is_written_as_the_general_ways_write_it(bits in any::<u64>(), integer in -2_000_000_000_000_i64..2_000_000_000_000, decimals in 0_i32..7) {
            #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
            let rounded = integer as f64 / 10_f64.powi(decimals);
            for value in [f64::from_bits(bits), rounded] {
                prop_assert_eq!(cell(value), table_cell(value));
                prop_assert_eq!(json(value), serde_json::to_string(&value).expect("a number"));
            }
        }

        #[test]
        fn any_moment_is_written_as_the_calendar_has_it(ms in -62_135_596_800_000_i64..253_402_300_800_000) {
            let text = written(|out| Moments::default().push(out, Timestamp::from_millis(ms)));
            prop_assert_eq!(text, crate::page::rfc3339(Timestamp::from_millis(ms)));
        }
    }
}
