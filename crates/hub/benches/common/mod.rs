//! What the benchmarks share: their flags, percentiles, and hosts that do not exist but measure like real ones.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

/// The value behind a flag of the benchmark, or what it is by default. Cargo's own flags are passed over.
pub(crate) fn flag<T: FromStr>(name: &str, default: T) -> T {
    let words: Vec<String> = std::env::args().collect();
    let Some(at) = words.iter().position(|word| word == name) else { return default };
    let value = words.get(at + 1).unwrap_or_else(|| panic!("{name} wants a value"));
    value.parse().unwrap_or_else(|_| panic!("{name} cannot be {value:?}"))
}

/// One figure of the report.
pub(crate) fn report(what: &str, figure: impl Display) {
    println!("{what:<44} {figure}");
}

/// The nearest-rank percentile; the list is sorted on the way.
pub(crate) fn percentile(durations: &mut [Duration], percent: usize) -> Duration {
    durations.sort_unstable();
    let rank = (durations.len() * percent).div_ceil(100).max(1);
    durations.get(rank - 1).copied().unwrap_or_default()
}

/// Milliseconds with two decimals.
pub(crate) fn ms(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1000.0)
}

/// How the values of a series move.
#[derive(Debug, Clone, Copy)]
enum Course {
    /// Nearly never: sizes, limits, states.
    Steady,
    /// In small steps: percentages, temperatures.
    Gauge,
    /// Freely: rates.
    Rate,
}

/// The metrics of a host beside its three headline ones: name, label, decimals, course, start as it is scaled.
const METRICS: [(&str, &str, u8, Course, i64); 12] = [
    ("cpu.core.usage_percent", "core", 2, Course::Gauge, 2_150),
    ("diskio.read_bytes_per_second", "device", 0, Course::Rate, 40_960),
    ("diskio.write_bytes_per_second", "device", 0, Course::Rate, 122_880),
    ("diskio.util_percent", "device", 2, Course::Gauge, 320),
    ("net.rx_bytes_per_second", "iface", 0, Course::Rate, 80_000),
    ("net.tx_bytes_per_second", "iface", 0, Course::Rate, 30_000),
    ("net.up", "iface", 0, Course::Steady, 1),
    ("disk.total_bytes", "mount", 0, Course::Steady, 512_000_000_000),
    ("disk.used_bytes", "mount", 0, Course::Steady, 201_500_000_000),
    ("temp.celsius", "sensor", 1, Course::Gauge, 415),
    ("container.mem_used_bytes", "container", 0, Course::Steady, 268_435_456),
    ("container.cpu_percent", "container", 2, Course::Gauge, 130),
];

/// A host that does not exist.
#[derive(Debug)]
pub(crate) struct Host {
    /// The series it measures.
    pub(crate) names: Vec<String>,
    /// The decimals that values are scaled by.
    pub(crate) decimals: Vec<u8>,
    courses: Vec<Course>,
    values: Vec<i64>,
    chance: u64,
}

impl Host {
    /// One with so many series; `number` makes its values its own.
    pub(crate) fn new(number: u64, series: usize) -> Self {
        let headline = [("cpu.usage_percent", 2_310), ("mem.used_percent", 4_800), ("disk.used_percent{mount=/}", 3_935)];
        let mut host =
            Self { names: Vec::new(), decimals: Vec::new(), courses: Vec::new(), values: Vec::new(), chance: number + 1 };
        for (name, start) in headline.into_iter().take(series) {
            host.add(name.to_owned(), 2, Course::Gauge, start);
        }
        for at in 0..series.saturating_sub(headline.len()) {
            let (metric, label, decimals, course, start) = METRICS[at % METRICS.len()];
            host.add(format!("{metric}{{{label}=x{}}}", at / METRICS.len()), decimals, course, start);
        }
        host
    }

    fn add(&mut self, name: String, decimals: u8, course: Course, start: i64) {
        self.names.push(name);
        self.decimals.push(decimals);
        self.courses.push(course);
        self.values.push(start);
    }

    /// The next values, scaled.
    pub(crate) fn measure(&mut self) -> &[i64] {
        for (value, course) in self.values.iter_mut().zip(&self.courses) {
            // Knuth's MMIX generator: its high bits are random enough for values.
            self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let chance = i64::try_from(self.chance >> 40).unwrap();
            match course {
                Course::Steady if chance % 50 == 0 => *value += *value / 1000 * (chance % 3 - 1),
                Course::Steady => {}
                Course::Gauge => *value = (*value + chance % 41 - 20).clamp(0, 6_000),
                Course::Rate => *value = chance % 250_000,
            }
        }
        &self.values
    }

    /// The values of one of many hosts at one of its moments, without a memory of the last ones.
    pub(crate) fn at(&self, host: u64, moment: u64) -> Box<[f64]> {
        let own = host.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let value = |(series, start): (usize, &i64)| {
            // Knuth's multiplier again; the high bits are the random ones.
            let chance = (own ^ moment << 20 ^ series as u64).wrapping_mul(6_364_136_223_846_793_005) >> 40;
            let chance = i64::try_from(chance).unwrap();
            let scaled = match self.courses[series] {
                Course::Steady => *start + i64::try_from(own >> 60).unwrap(),
                Course::Gauge => *start + chance % 41,
                Course::Rate => chance % 250_000,
            };
            scaled as f64 / 10_f64.powi(i32::from(self.decimals[series]))
        };
        self.values.iter().enumerate().map(value).collect()
    }
}
