//! Reads tables of history: a time and values on each line, below a header or without one. A line that cannot be read is refused by
//! its number, and the others are read all the same.

use crate::api::time;
use crate::commands::backtest::cells;
use crate::page::rfc3339;
use anyhow::{Context, bail, ensure};
use nightbell_model::{SeriesKey, Timestamp, catalogue};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// What is said of bytes that are no text.
const NOT_TEXT: &str = "it is no UTF-8 text: save the table as UTF-8";

/// The rows of one or several tables, by time.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// The columns.
    pub(super) series: Vec<SeriesKey>,
    /// The values at each time, as many as there were columns when it was first met; NaN where there is none.
    pub(super) values: BTreeMap<Timestamp, Vec<f64>>,
    /// How many rows were read, empty ones and refused ones included.
    pub(super) read: u64,
    /// Rows that say at a time again what was said before.
    pub(super) duplicates: u64,
    /// Rows that say a time and no value.
    pub(super) empty: u64,
    /// The last moment that there can be history of; none while the rows are still to be moved in time.
    pub(super) up_to: Option<Timestamp>,
    /// Why rows were refused, each beginning with its file and line.
    pub(super) refused: Vec<String>,
}

impl Rows {
    /// Adds a table called `file`. Its columns are called by its header; `metric` names the only one, or chooses one of several.
    ///
    /// # Errors
    /// When its columns cannot be told.
    pub(super) fn add(&mut self, file: &str, text: &str, metric: Option<&SeriesKey>) -> anyhow::Result<()> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let Some((_, first)) = lines.clone().next() else { bail!("the file is empty") };
        ensure!(!first.contains(char::REPLACEMENT_CHARACTER), "line 1: {NOT_TEXT}");
        let first = cells(first).context("line 1")?;
        let has_header = time::moment_in_file(&first[0]).is_err();
        if has_header {
            lines.next();
        }
        let columns = columns(file, &first, has_header, metric)?;
        let places: Vec<(usize, usize)> = columns.into_iter().map(|(cell, key)| (cell, self.place(key))).collect();
        for (index, line) in lines {
            self.read += 1;
            match row(line, first.len(), &places, &self.series).and_then(|row| self.of_the_past(row)) {
                Ok((_, values)) if values.is_empty() => self.empty += 1,
                Ok((at, values)) => self.duplicates += u64::from(!self.take(at, &values)),
                Err(why) => self.refused.push(format!("{file}:{}: {why:#}", index + 1)),
            }
        }
        Ok(())
    }

    /// The column of a series.
    fn place(&mut self, key: SeriesKey) -> usize {
        self.series.iter().position(|known| *known == key).unwrap_or_else(|| {
            self.series.push(key);
            self.series.len() - 1
        })
    }

    /// Takes the values of a time; false when each of them was there before: what was said first stands.
    fn take(&mut self, at: Timestamp, values: &[(usize, f64)]) -> bool {
        let width = self.series.len();
        let row = match self.values.entry(at) {
            Entry::Vacant(free) => free.insert(vec![f64::NAN; width]),
            Entry::Occupied(known) => known.into_mut(),
        };
        row.resize(width, f64::NAN);
        let mut is_new = false;
        for (place, value) in values {
            if row[*place].is_nan() {
                row[*place] = *value;
                is_new = true;
            }
        }
        is_new
    }

    /// Moves everything in time so that the last row is at `now`.
    pub(super) fn shift_to(&mut self, now: Timestamp) {
        let Some((last, _)) = self.values.last_key_value() else { return };
        let by = now.millis_since(*last);
        self.values = std::mem::take(&mut self.values).into_iter().map(|(at, row)| (at.plus_millis(by), row)).collect();
    }

    /// A row, unless it lies in the future: history is what has been.
    fn of_the_past(&self, row: (Timestamp, Values)) -> anyhow::Result<(Timestamp, Values)> {
        if self.up_to.is_some_and(|up_to| row.0 > up_to) {
            bail!("{} lies in the future: check the clock it was written by, or move it with --shift-to-now", rfc3339(row.0));
        }
        Ok(row)
    }

    /// The median distance between rows.
    pub(super) fn spacing_ms(&self) -> Option<i64> {
        let times: Vec<Timestamp> = self.values.keys().copied().collect();
        nightbell_alerts::median_spacing(&times)
    }
}

/// The values of a row and the columns they belong to.
type Values = Vec<(usize, f64)>;

/// The cells that hold values, and their series.
fn columns(
    file: &str,
    first: &[String],
    has_header: bool,
    metric: Option<&SeriesKey>,
) -> anyhow::Result<Vec<(usize, SeriesKey)>> {
    let named = |cell: &String| cell.trim().parse::<SeriesKey>();
    match (first.len(), metric) {
        (0 | 1, _) if first.iter().any(|cell| cell.contains([';', '\t'])) => {
            bail!("line 1: there is no column of values: separate cells with commas, not with semicolons or tabs")
        }
        (0 | 1, _) => bail!("line 1: there is no column of values; write timestamp,value"),
        (2, Some(metric)) => Ok(vec![(1, metric.clone())]),
        (2, None) => {
            let own = has_header.then(|| named(&first[1]).ok()).flatten();
            Ok(vec![(1, own.map_or_else(|| by_file(file), Ok)?)])
        }
        _ if !has_header => bail!("line 1: of several columns a header must say which is which"),
        (_, Some(metric)) => {
            let found = (1..first.len()).find(|cell| named(&first[*cell]).is_ok_and(|key| key == *metric));
            let cell = found.with_context(|| format!("line 1: of several columns none is called {metric}"))?;
            Ok(vec![(cell, metric.clone())])
        }
        (_, None) => (1..first.len())
            .map(|cell| {
                let why = || format!("line 1: column {} is called {:?}, which is no series", cell + 1, first[cell]);
                Ok((cell, named(&first[cell]).with_context(why)?))
            })
            .collect(),
    }
}

/// A metric called after the file.
fn by_file(file: &str) -> anyhow::Result<SeriesKey> {
    let stem = std::path::Path::new(file).file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default();
    let word: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    format!("import.{word}").parse().with_context(|| format!("{file:?} gives no name to a metric; say one with --metric"))
}

/// The time of a line and the values in it.
fn row(line: &str, width: usize, places: &[(usize, usize)], series: &[SeriesKey]) -> anyhow::Result<(Timestamp, Values)> {
    if line.contains(char::REPLACEMENT_CHARACTER) {
        bail!("{NOT_TEXT}");
    }
    let cells = cells(line)?;
    if cells.len() != width {
        let what = if cells.len() == 1 { "cell" } else { "cells" };
        let mend =
            if cells.len() > width { ": decimals need a point, and a cell with a comma in it quotation marks" } else { "" };
        bail!("it has {} {what} and the first line {width}{mend}", cells.len());
    }
    let at = time::moment_in_file(&cells[0]).map_err(anyhow::Error::msg)?;
    let mut values = Vec::with_capacity(places.len());
    for (cell, place) in places {
        if let Some(value) = value(cells[*cell].trim(), &series[*place])? {
            values.push((*place, value));
        }
    }
    Ok((at, values))
}

/// A value; nothing, NaN and infinities are missing, as they are from agents.
fn value(text: &str, series: &SeriesKey) -> anyhow::Result<Option<f64>> {
    if text.is_empty() {
        return Ok(None);
    }
    let Ok(number) = text.parse::<f64>() else {
        bail!("{text:?} is no number: write it as 12.5 or 1.25e1, or leave the cell empty where there is no value");
    };
    if !number.is_finite() {
        return Ok(None);
    }
    if let Some(metric) = catalogue::find(series.metric()).filter(|metric| !(metric.min..=metric.max).contains(&number)) {
        bail!("{text} is not between {} and {}, as {} is", metric.min, metric.max, metric.name);
    }
    Ok(Some(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of tables as `seconds: values`, one line each, below the series; then what was refused.
    fn check(tables: &[(&str, &str, Option<&str>)], expected: &str) {
        let mut rows = Rows::default();
        for (file, text, metric) in tables {
            let metric = metric.map(|metric| metric.parse().expect("a key"));
            rows.add(file, text, metric.as_ref()).expect(text);
        }
        let mut found: Vec<String> = vec![rows.series.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")];
        found.extend(rows.values.iter().map(|(at, row)| format!("{}: {row:?}", at.as_millis() / 1000)));
        let empty = if rows.empty > 0 { format!(", empty {}", rows.empty) } else { String::new() };
        found.push(format!("read {}, duplicates {}{empty}", rows.read, rows.duplicates));
        found.extend(rows.refused);
        assert_eq!(found.join("\n"), expected.replace("\n    ", "\n"), "{tables:?}");
    }

    #[test]
    fn a_plain_series_is_called_as_it_is_told_or_after_its_file() {
        let nab = "timestamp,value\n2014-02-14 14:27:00,51.846000000000004\n2014-02-14 14:32:00,44.508\n";
        let rows = "1392388020: [51.846000000000004]\n    1392388320: [44.508]\n    read 2, duplicates 0";
        check(&[("/x/EC2 cpu-1.csv", nab, None)], &format!("import.ec2_cpu_1\n    {rows}"));
        check(&[("a.csv", nab, Some("cpu.usage_percent"))], &format!("cpu.usage_percent\n    {rows}"));
        check(&[("a.csv", "time_utc,load.avg_1m\n10,1\n", None)], "load.avg_1m\n    10: [1.0]\n    read 1, duplicates 0");
        check(
            &[("a.csv", "1763769600000,1\r\n1763769615,2\r\n", None)],
            "import.a\n    1763769600: [1.0]\n    1763769615: [2.0]\n    read 2, duplicates 0",
        );
    }

    #[test]
    fn our_own_tables_are_read_back() {
        let text = "time_utc,cpu.usage_percent,\"disk.used_percent{mount=\"\"/a,b\"\"}\"\r\n2025-11-22T00:00:00.000Z,5,-0\r\n2025-11-22T00:00:15.000Z,,\r\n2025-11-22T00:00:30.000Z,,7.5\r\n";
        let name = "cpu.usage_percent disk.used_percent{mount=\"/a,b\"}";
        check(
            &[("a.csv", text, None)],
            &format!("{name}\n    1763769600: [5.0, -0.0]\n    1763769630: [NaN, 7.5]\n    read 3, duplicates 0, empty 1"),
        );
        check(
            &[("a.csv", text, Some("cpu.usage_percent"))],
            "cpu.usage_percent\n    1763769600: [5.0]\n    read 3, duplicates 0, empty 2",
        );
    }

    #[test]
    fn rows_come_in_any_order_once_and_tables_are_joined_by_time() {
        check(
            &[("a.csv", "t,v\n30,3\n10,1\n30,9\n20,\n", Some("a.b")), ("c.csv", "t,v\n10,7\n40,8\n", Some("c.d"))],
            "a.b c.d\n    10: [1.0, 7.0]\n    30: [3.0]\n    40: [NaN, 8.0]\n    read 6, duplicates 1, empty 1",
        );
    }

    #[test]
    fn what_cannot_be_read_is_named_by_file_and_line_and_the_rest_is_read() {
        check(
            &[(
                "x.csv",
                "t,v\n10,1\nyesterday,2\n20,high\n\n30\n40,101\n50,5\n60,inf\n70,2,5\n80,\u{fffd}1\n",
                Some("cpu.usage_percent"),
            )],
            "cpu.usage_percent\n    10: [1.0]\n    50: [5.0]\n    read 9, duplicates 0, empty 1\n    \
             x.csv:3: \"yesterday\" is no time: write epoch seconds, 2026-11-22T03:04:05Z or 2026-11-22 03:04:05\n    \
             x.csv:4: \"high\" is no number: write it as 12.5 or 1.25e1, or leave the cell empty where there is no value\n    \
             x.csv:6: it has 1 cell and the first line 2\n    \
             x.csv:7: 101 is not between 0 and 100, as cpu.usage_percent is\n    \
             x.csv:10: it has 3 cells and the first line 2: decimals need a point, and a cell with a comma in it quotation marks\n    \
             x.csv:11: it is no UTF-8 text: save the table as UTF-8",
        );
        let refusals = [
            ("", "empty"),
            ("10\n", "no column"),
            ("10,1,2\n", "header"),
            ("t,a.b,Other\n", "\"Other\""),
            ("t;v\n1;2\n", "commas"),
            ("\u{fffd}\u{fffd}t\n", "UTF-8"),
        ];
        for (text, word) in refusals {
            let said = Rows::default().add("x.csv", text, None).expect_err(text);
            assert!(format!("{said:#}").contains(word), "{said:#}");
        }
    }

    #[test]
    fn everything_is_moved_to_the_present_or_refused_after_it() {
        let mut rows = Rows::default();
        rows.add("x.csv", "t,v\n100,1\n160,2\n220,3\n", None).expect("a table");
        assert_eq!(rows.spacing_ms(), Some(60_000));
        rows.shift_to(Timestamp::from_secs(1_000));
        assert_eq!(rows.values.keys().map(|at| at.as_millis() / 1000).collect::<Vec<_>>(), [880, 940, 1_000]);
        let mut rows = Rows { up_to: Some(Timestamp::from_secs(160)), ..Rows::default() };
        rows.add("x.csv", "t,v\n100,1\n160,2\n220,3\n", None).expect("a table");
        assert_eq!(rows.values.len(), 2);
        assert!(rows.refused.len() == 1 && rows.refused[0].starts_with("x.csv:4: 1970-01-01T00:03:40.000Z lies in the future"));
    }
}
