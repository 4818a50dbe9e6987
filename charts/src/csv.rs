//! Frames as CSV by RFC 4180, and the quoting of text for any other table. What stands in which file is the caller's choice.

use chrono::{DateTime, SecondsFormat};
use nightbell_model::{Frame, Timestamp};
use std::io::{self, Write};

/// Writes `frame` as CSV: `time_utc` and one column for each series, a row for each moment, lines ended by CR LF.
///
/// Times are RFC 3339 in UTC with milliseconds. Values are the mean of a bucket, on raw the value itself, with the fewest
/// digits that read back as the same number; a gap is an empty cell, an infinity `+Inf` or `-Inf`.
///
/// # Errors
/// If `out` refuses the bytes.
pub fn write_csv(frame: &Frame, out: &mut dyn Write) -> io::Result<()> {
    let mut line = String::from("time_utc");
    for column in &frame.columns {
        line.push(',');
        line.push_str(&csv_field(column.key.as_str()));
    }
    line.push_str("\r\n");
    out.write_all(line.as_bytes())?;
    for (row, time) in frame.times.iter().enumerate() {
        line.clear();
        line.push_str(&rfc3339(*time));
        for column in &frame.columns {
            line.push(',');
            push_number(&mut line, column.mean.get(row).copied().unwrap_or(f64::NAN));
        }
        line.push_str("\r\n");
        out.write_all(line.as_bytes())?;
    }
    Ok(())
}

/// `text` as one cell: quoted where RFC 4180 asks for it, and led by an apostrophe where a spreadsheet would take it for a
/// formula (`=`, `+`, `-`, `@`, tab, carriage return; <https://owasp.org/www-community/attacks/CSV_Injection>).
///
/// It is meant for text. Numbers need no guarding and would lose their minus sign's meaning.
#[must_use]
pub fn csv_field(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if !formula && !text.contains([',', '"', '\r', '\n']) {
        return text.to_owned();
    }
    let guard = if formula { "'" } else { "" };
    if text.contains([',', '"', '\r', '\n']) {
        format!("\"{guard}{}\"", text.replace('"', "\"\""))
    } else {
        format!("{guard}{text}")
    }
}

/// RFC 3339 with milliseconds; moments beyond the calendar become their milliseconds, so that nothing is lost.
fn rfc3339(time: Timestamp) -> String {
    DateTime::from_timestamp_millis(time.as_millis())
        .map_or_else(|| time.as_millis().to_string(), |date| date.to_rfc3339_opts(SecondsFormat::Millis, true))
}

fn push_number(line: &mut String, value: f64) {
    use std::fmt::Write as _;
    if value.is_nan() {
        return;
    }
    let infinite = if value > 0.0 { "+Inf" } else { "-Inf" };
    // Writing into a string cannot fail.
    let _ = if value.is_infinite() {
        line.write_str(infinite)
    } else if value.abs() >= 1e21 || (value.abs() < 1e-7 && value.abs() > 0.0) {
        write!(line, "{value:e}")
    } else {
        write!(line, "{value}")
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use nightbell_model::{Column, Tier};
    use proptest::prelude::*;

    fn frame(keys: &[&str], times: Vec<i64>, values: &[Vec<f64>]) -> Frame {
        let columns = keys
            .iter()
            .zip(values)
            .map(|(key, v)| Column { key: key.parse().unwrap(), mean: v.clone(), min: v.clone(), max: v.clone() })
            .collect();
        Frame {
            start: Timestamp::from_millis(0),
            end: Timestamp::from_millis(60_000),
            tiers: vec![Tier::Raw],
            step_ms: None,
            times: times.into_iter().map(Timestamp::from_millis).collect(),
            columns,
        }
    }

    fn text(frame: &Frame) -> String {
        let mut out = Vec::new();
        write_csv(frame, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_frame_is_written_by_the_rules() {
        let frame = frame(
            &["cpu.usage_percent", "disk.used_percent{mount=\"/a, b\"}"],
            vec![1_700_000_000_123, 1_700_000_015_000],
            &[vec![97.2, f64::NAN], vec![-0.5, 1e300]],
        );
        assert_eq!(
            text(&frame),
            "time_utc,cpu.usage_percent,\"disk.used_percent{mount=\"\"/a, b\"\"}\"\r\n\
             2023-11-14T22:13:20.123Z,97.2,-0.5\r\n\
             2023-11-14T22:13:35.000Z,,1e300\r\n"
        );
    }

    #[test]
    fn an_empty_frame_is_its_header() {
        let empty = Frame::empty(Timestamp::from_millis(0), Timestamp::from_millis(1));
        assert_eq!(text(&empty), "time_utc\r\n");
    }

    #[test]
    fn cells_cannot_become_formulas_or_break_the_table() {
        for (cell, expected) in [
            ("plain", "plain"),
            ("", ""),
            ("=1+1", "'=1+1"),
            ("+49", "'+49"),
            ("-x", "'-x"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("two\r\nlines", "\"two\r\nlines\""),
            ("=cmd,\"x\"", "\"'=cmd,\"\"x\"\"\""),
        ] {
            assert_eq!(csv_field(cell), expected, "{cell:?}");
        }
    }

    proptest! {
        #[test]
        fn numbers_read_back_bit_for_bit(values in prop::collection::vec(any::<f64>(), 1..40)) {
            let times = (0..i64::try_from(values.len()).unwrap()).map(|i| i * 1000).collect();
            let table = text(&frame(&["a.b"], times, std::slice::from_ref(&values)));
            let cells: Vec<&str> = table.split("\r\n").skip(1).filter(|l| !l.is_empty()).map(|l| l.split_once(',').unwrap().1).collect();
            prop_assert_eq!(cells.len(), values.len());
            for (cell, value) in cells.iter().zip(&values) {
                match value.is_nan() {
                    true => prop_assert_eq!(*cell, ""),
                    false => prop_assert_eq!(cell.parse::<f64>().unwrap().to_bits(), value.to_bits()),
                }
            }
        }
    }
}
