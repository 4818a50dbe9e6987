//! Reads a series from CSV: a time and a value on each line, mostly below a header.

use crate::api::time;
use anyhow::{Context, bail};
use nightbell_model::{SeriesKey, Timestamp};
use std::collections::BTreeMap;

/// The samples in the order of their times, a missing value as `None`; of several at one time the last counts.
///
/// # Errors
/// Naming the line that cannot be understood.
pub(super) fn read(text: &str, key: &SeriesKey) -> anyhow::Result<Vec<(Timestamp, Option<f64>)>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let Some((_, first)) = lines.clone().next() else { bail!("the file is empty") };
    let header = cells(first).context("line 1")?;
    let has_header = time::moment_in_file(&header[0]).is_err();
    if has_header {
        lines.next();
    }
    let column = value_column(&header, has_header, key)?;
    let mut samples = BTreeMap::new();
    for (index, line) in lines {
        let (at, value) = sample(line, (column, header.len())).with_context(|| format!("line {}: {line:?}", index + 1))?;
        samples.insert(at, value);
    }
    Ok(samples.into_iter().collect())
}

/// Which column holds the values: the only one, or the one called after the series.
fn value_column(first: &[String], has_header: bool, key: &SeriesKey) -> anyhow::Result<usize> {
    let named = |name: &String| name.trim().parse::<SeriesKey>().is_ok_and(|named| named == *key);
    match first.len() {
        2 => Ok(1),
        0 | 1 => bail!("line 1: there is no column of values; write time_utc,value"),
        _ if !has_header => bail!("line 1: of several columns a header must say which is {key}"),
        _ => first.iter().position(named).with_context(|| format!("line 1: of several columns none is called {key}")),
    }
}

fn sample(line: &str, (column, width): (usize, usize)) -> anyhow::Result<(Timestamp, Option<f64>)> {
    let cells = cells(line)?;
    if cells.len() > width {
        bail!("it has {} cells and the first line {width}", cells.len());
    }
    let at = time::moment_in_file(&cells[0]).map_err(anyhow::Error::msg)?;
    let Some(text) = cells.get(column) else { bail!("there is no value; write a comma for a missing one") };
    Ok((at, value(text.trim())?))
}

/// A value; nothing and NaN are missing.
fn value(text: &str) -> anyhow::Result<Option<f64>> {
    if text.is_empty() {
        return Ok(None);
    }
    // Names such as "infinity" are numbers to the standard library as well.
    let number: f64 = text.parse().with_context(|| format!("{text:?} is no number"))?;
    Ok(Some(number).filter(|number| !number.is_nan()))
}

/// The cells of a line by RFC 4180; a cell does not reach over the end of its line.
pub(crate) fn cells(line: &str) -> anyhow::Result<Vec<String>> {
    let (mut cells, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = line.trim_end_matches('\r').chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => cell.extend(chars.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(std::mem::take(&mut cell)),
            c => cell.push(c),
        }
    }
    if quoted {
        bail!("a quotation mark is not closed");
    }
    cells.push(cell);
    Ok(cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(i64, Option<f64>)]) {
        let key = "disk.used_percent{mount=/}".parse().expect("a key");
        let found: Vec<_> = read(text, &key).expect(text).into_iter().map(|(at, value)| (at.as_millis(), value)).collect();
        assert_eq!(found, expected, "{text}");
    }

    fn refusal(text: &str) -> String {
        let key = "a.b".parse().expect("a key");
        match read(text, &key) {
            Ok(samples) => panic!("{text:?} is read as {samples:?}"),
            Err(error) => format!("{error:#}"),
        }
    }

    #[test]
    fn times_and_values_come_in_several_forms() {
        check("time_utc,value\n1763769600,1\n1763769601.5,\n", &[(1_763_769_600_000, Some(1.0)), (1_763_769_601_500, None)]);
        check(
            "timestamp,value\r\n2025-11-22T00:00:00Z,+Inf\r\n2025-11-22 00:00:15,-Inf\r\n",
            &[(1_763_769_600_000, Some(f64::INFINITY)), (1_763_769_615_000, Some(f64::NEG_INFINITY))],
        );
        check("1763769600,1\n", &[(1_763_769_600_000, Some(1.0))]);
        check("\u{feff}time_utc,value\n\n1763769600,NaN", &[(1_763_769_600_000, None)]);
    }

    #[test]
    fn samples_are_put_in_order_and_the_last_of_one_time_counts() {
        check("time_utc,value\n30,3\n10,1\n20,2\n10,9\n", &[(10_000, Some(9.0)), (20_000, Some(2.0)), (30_000, Some(3.0))]);
    }

    #[test]
    fn of_several_columns_the_one_called_after_the_series_is_read() {
        check("time_utc,cpu.usage_percent,\"disk.used_percent{mount=\"\"/\"\"}\"\n10,5,7\n", &[(10_000, Some(7.0))]);
    }

    #[test]
    fn what_cannot_be_read_is_named_by_its_line() {
        assert!(refusal("time_utc,value\n10,1\n20,high\n").contains("line 3"));
        assert!(refusal("time_utc,value\nyesterday,1\n").contains("line 2"));
        assert!(refusal("time_utc,value\n10\n").contains("line 2"));
        assert!(refusal("time_utc,value\n10,\"1\n").contains("line 2"));
        assert!(refusal("time_utc,value\n10,1,2\n").contains("3 cells"));
        assert!(refusal("10,1,2\n").contains("header"));
        assert!(refusal("time_utc\n10\n").contains("line 1"));
        assert!(refusal("time_utc,x,y\n").contains("a.b"));
        assert!(refusal("").contains("empty"));
    }
}
