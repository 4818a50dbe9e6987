//! The metric catalogue: one row per metric, compiled into agent and hub.
//!
//! Rounding at the agent, ranges at the door, badges, rules, charts, exports and docs all derive from these rows.
//! A new metric is a new row in `catalogue/rows.rs`; a name never changes its meaning. How a metric is read from the host
//! is the agent's business.

mod rows;

use crate::level::Worse;
pub use rows::ROWS;

/// What a value counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// 0 to 100 (CPU of a container: 100 per core).
    Percent,
    /// Bytes.
    Bytes,
    /// Bytes per second.
    BytesPerSecond,
    /// Events per second.
    PerSecond,
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Degrees Celsius.
    Celsius,
    /// Watts.
    Watts,
    /// Megahertz.
    Megahertz,
    /// Revolutions per minute.
    Rpm,
    /// A plain number of things.
    Count,
    /// 1 for yes, 0 for no.
    Bool,
    /// A number without unit (load averages, custom metrics).
    None,
}

impl Unit {
    /// The name used in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Percent => "percent",
            Self::Bytes => "bytes",
            Self::BytesPerSecond => "bytes_per_second",
            Self::PerSecond => "per_second",
            Self::Seconds => "seconds",
            Self::Milliseconds => "milliseconds",
            Self::Celsius => "celsius",
            Self::Watts => "watts",
            Self::Megahertz => "megahertz",
            Self::Rpm => "rpm",
            Self::Count => "count",
            Self::Bool => "bool",
            Self::None => "",
        }
    }

    /// A value in the unit that people read it in, and that unit: `1.5` and `GiB`. Memory and disks are counted in 1024s, what moves
    /// each second in 1000s.
    #[must_use]
    pub fn scaled(self, value: f64) -> (f64, &'static str) {
        let (step, units) = match self {
            Self::Bytes => (1024.0, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]),
            Self::BytesPerSecond => (1000.0, ["B/s", "kB/s", "MB/s", "GB/s", "TB/s", "PB/s"]),
            _ => return (value, self.symbol()),
        };
        let (mut scaled, mut at) = (value, 0);
        while scaled.abs() >= step && at + 1 < units.len() {
            scaled /= step;
            at += 1;
        }
        (scaled, units[at])
    }

    /// What follows a value for people: `97.2 %`.
    #[must_use]
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Percent => "%",
            Self::Bytes => "B",
            Self::BytesPerSecond => "B/s",
            Self::PerSecond => "/s",
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::Celsius => "°C",
            Self::Watts => "W",
            Self::Megahertz => "MHz",
            Self::Rpm => "rpm",
            Self::Count | Self::Bool | Self::None => "",
        }
    }
}

/// One row of the catalogue.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// The dotted name, its unit as the last word.
    pub name: &'static str,
    /// What its values count.
    pub unit: Unit,
    /// To how many decimals the agent rounds.
    pub decimals: u8,
    /// Which way is bad; `None` where neither is.
    pub worse: Option<Worse>,
    /// The one key label, if the metric has one.
    pub label: Option<&'static str>,
    /// The smallest value that makes sense; smaller ones are missing values.
    pub min: f64,
    /// The largest value that makes sense; larger ones are missing values.
    pub max: f64,
    /// How often the agent measures it, if slower than its heartbeat, in milliseconds.
    pub period_ms: Option<i64>,
    /// What it is, in one sentence for people.
    pub help: &'static str,
}

impl Metric {
    /// Whether a value lies within the metric's range (NaN and infinities do not).
    #[must_use]
    pub fn admits(&self, value: f64) -> bool {
        value.is_finite() && value >= self.min && value <= self.max
    }

    /// `value` rounded to the metric's decimals, half away from zero; -0.0 becomes 0.0.
    #[must_use]
    pub fn round(&self, value: f64) -> f64 {
        let scale = 10_f64.powi(i32::from(self.decimals));
        let rounded = (value * scale).round() / scale;
        if rounded.is_finite() { rounded + 0.0 } else { value }
    }

    /// The name in the Prometheus exposition: `nightbell_` and the name with underscores.
    #[must_use]
    pub fn prometheus_name(&self) -> String {
        format!("nightbell_{}", self.name.replace('.', "_"))
    }
}

/// The row of the metric called `name` (labels left out); `None` for custom metrics.
#[must_use]
pub fn find(name: &str) -> Option<&'static Metric> {
    ROWS.binary_search_by(|row| row.name.cmp(name)).ok().map(|at| &ROWS[at])
}

/// The catalogue's names nearest to `name`, best first, for error messages: by Damerau-free edit distance, at most `count`,
/// and only those that share at least half their letters with it.
#[must_use]
pub fn nearest(name: &str, count: usize) -> Vec<&'static str> {
    let mut scored: Vec<(usize, &'static str)> = ROWS
        .iter()
        .map(|row| (edit_distance(name, row.name), row.name))
        .filter(|(distance, row)| distance * 2 <= row.len().max(name.len()))
        .collect();
    scored.sort_unstable();
    scored.into_iter().take(count).map(|(_, row)| row).collect()
}

/// Levenshtein's distance over bytes, two rows of the table at a time.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    for (row, x) in a.bytes().enumerate() {
        let mut current = vec![row + 1];
        for (column, y) in b.bytes().enumerate() {
            let replace = previous[column] + usize::from(x != y);
            current.push(replace.min(previous[column + 1] + 1).min(current[column] + 1));
        }
        previous = current;
    }
    previous[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::is_metric_name;

    #[test]
    fn sizes_are_counted_in_1024s_and_rates_in_1000s() {
        let texts: Vec<String> = [
            (Unit::Bytes, 1023.0),
            (Unit::Bytes, 1_610_612_736.0),
            (Unit::Bytes, -2048.0),
            (Unit::Bytes, f64::MAX),
            (Unit::BytesPerSecond, 999.0),
            (Unit::BytesPerSecond, 94.41e6),
            (Unit::Percent, 1e9),
        ]
        .map(|(unit, value)| unit.scaled(value))
        .map(|(value, sign)| format!("{value:.5} {sign}"))
        .to_vec();
        assert_eq!(texts[..3], ["1023.00000 B", "1.50000 GiB", "-2.00000 KiB"]);
        assert!(texts[3].ends_with(" PiB"), "there is no larger one");
        assert_eq!(texts[4..], ["999.00000 B/s", "94.41000 MB/s", "1000000000.00000 %"]);
    }

    #[test]
    fn rows_are_sorted_unique_well_named_and_sane() {
        for pair in ROWS.windows(2) {
            assert!(pair[0].name < pair[1].name, "{} must stand after {}", pair[0].name, pair[1].name);
        }
        for row in ROWS {
            assert!(is_metric_name(row.name), "{}", row.name);
            assert!(row.min < row.max && row.decimals <= 6 && !row.help.is_empty(), "{}", row.name);
            assert!(find(row.name).is_some_and(|found| found.name == row.name));
        }
        assert!(find("cpu.usage").is_none());
    }

    #[test]
    fn values_are_rounded_to_the_metrics_decimals() {
        let Some(cpu) = find("cpu.usage_percent") else { panic!("the catalogue has no CPU") };
        assert_eq!(cpu.round(91.300_003_051).to_bits(), 91.3_f64.to_bits());
        assert_eq!(cpu.round(-0.000_1).to_bits(), 0.0_f64.to_bits());
        assert!(!cpu.admits(-1.0) && !cpu.admits(f64::NAN) && !cpu.admits(f64::INFINITY) && cpu.admits(100.0));
    }

    #[test]
    fn a_typing_error_finds_its_metric() {
        assert_eq!(nearest("cpu.usage_precent", 3).first(), Some(&"cpu.usage_percent"));
        assert_eq!(nearest("disk.use_percent", 3).first(), Some(&"disk.used_percent"));
        assert!(nearest("zzzz", 3).is_empty());
    }
}
