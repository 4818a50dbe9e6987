//! Numbers with their units for people, in the words of the web UI: `97.2 %`, `3.42 GiB`, `9.12 MB/s`, `41 d 3 h`.
//! Which numbers stand on an axis is the value axis' choice.

use nightbell_model::catalogue::Unit;

/// One rung of a ladder of units: from which magnitude it is used, how many base units it holds, and its sign.
type Rung = (f64, f64, &'static str);

const KIB: f64 = 1024.0;

const BYTES: &[Rung] = &[
    (0.0, 1.0, "B"),
    (KIB, KIB, "KiB"),
    (KIB * KIB, KIB * KIB, "MiB"),
    (KIB * KIB * KIB, KIB * KIB * KIB, "GiB"),
    (KIB * KIB * KIB * KIB, KIB * KIB * KIB * KIB, "TiB"),
    (KIB * KIB * KIB * KIB * KIB, KIB * KIB * KIB * KIB * KIB, "PiB"),
];
const BYTES_PER_SECOND: &[Rung] =
    &[(0.0, 1.0, "B/s"), (1e3, 1e3, "kB/s"), (1e6, 1e6, "MB/s"), (1e9, 1e9, "GB/s"), (1e12, 1e12, "TB/s")];
const PER_SECOND: &[Rung] = &[(0.0, 1.0, "/s"), (1e4, 1e3, "k/s"), (1e6, 1e6, "M/s"), (1e9, 1e9, "G/s")];
const PLAIN: &[Rung] = &[(0.0, 1.0, ""), (1e4, 1e3, "k"), (1e6, 1e6, "M"), (1e9, 1e9, "G"), (1e12, 1e12, "T")];
const SECONDS: &[Rung] = &[
    (0.0, 1e-6, "µs"),
    (1e-3, 1e-3, "ms"),
    (1.0, 1.0, "s"),
    (120.0, 60.0, "min"),
    (7_200.0, 3_600.0, "h"),
    (172_800.0, 86_400.0, "d"),
];

/// The unit in which all numbers of one axis are said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    /// How many base units it holds.
    pub(crate) factor: f64,
    /// Its sign; empty for plain numbers.
    pub(crate) sign: &'static str,
}

impl Scale {
    /// The unit in which an axis that reaches to `magnitude` reads best.
    pub(crate) fn of(unit: Unit, magnitude: f64) -> Self {
        let ladder = match unit {
            Unit::Bytes => BYTES,
            Unit::BytesPerSecond => BYTES_PER_SECOND,
            Unit::PerSecond => PER_SECOND,
            Unit::Seconds if magnitude > 0.0 => SECONDS,
            Unit::Count | Unit::None => PLAIN,
            other => return Self { factor: 1.0, sign: other.symbol() },
        };
        rung(ladder, magnitude.abs())
    }

    /// `value` (in base units) on this scale, with `decimals` digits after the point: `1.5 GiB`.
    pub(crate) fn print(self, value: f64, decimals: usize) -> String {
        // Adding zero turns -0 into 0.
        let number = grouped(value / self.factor + 0.0, decimals);
        with_sign(&number, self.sign)
    }
}

fn rung(ladder: &[Rung], magnitude: f64) -> Scale {
    let (_, factor, sign) = ladder.iter().rfind(|(from, _, _)| magnitude >= *from).copied().unwrap_or((0.0, 1.0, ""));
    Scale { factor, sign }
}

fn with_sign(number: &str, sign: &str) -> String {
    if sign.is_empty() { number.to_owned() } else { format!("{number} {sign}") }
}

/// One value with its unit, short.
pub(crate) fn print_value(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Bytes => sized(value, BYTES),
        Unit::BytesPerSecond => sized(value, BYTES_PER_SECOND),
        Unit::Seconds if value.abs() >= 60.0 => print_span(value),
        Unit::Seconds if value.abs() < 1.0 && value.abs() > 0.0 => sized(value, SECONDS),
        Unit::Percent => format!("{} %", grouped(value, usize::from(value.abs() < 99.95))),
        Unit::Bool if value.to_bits() == 1.0_f64.to_bits() => "yes".to_owned(),
        Unit::Bool if value.abs() <= 0.0 => "no".to_owned(),
        _ => with_sign(&digits(value), unit.symbol()),
    }
}

/// Three significant digits on the fitting rung of a ladder.
fn sized(value: f64, ladder: &[Rung]) -> String {
    let scale = rung(ladder, value.abs());
    let number = value / scale.factor;
    let whole = scale.factor.to_bits() == 1.0_f64.to_bits();
    let text = if whole { digits(number) } else { grouped(number, decimals_by_size(number)) };
    with_sign(&text, scale.sign)
}

fn decimals_by_size(number: f64) -> usize {
    match number.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    }
}

/// Whole numbers as they are, others with as many digits as matter.
fn digits(value: f64) -> String {
    let whole = value.fract().abs() <= 0.0;
    match value.abs() {
        _ if whole => grouped(value, 0),
        size if size >= 1000.0 => grouped(value, 0),
        size if size >= 100.0 => grouped(value, 1),
        _ => grouped(value, 2),
    }
}

/// `value` with commas between thousands; numbers beyond 10^15 in scientific notation.
fn grouped(value: f64, decimals: usize) -> String {
    if value.abs() >= 1e15 {
        return format!("{value:.2e}");
    }
    let text = format!("{value:.decimals$}");
    let (sign, unsigned) = text.strip_prefix('-').map_or(("", text.as_str()), |rest| ("-", rest));
    let (whole, fraction) = unsigned.split_once('.').map_or((unsigned, None), |(w, f)| (w, Some(f)));
    let zero = whole == "0" && fraction.is_none_or(|f| f.bytes().all(|b| b == b'0'));
    let mut out = String::from(if zero { "" } else { sign });
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(fraction) = fraction {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

/// Seconds in their two largest steps: `41 d 3 h`.
#[expect(clippy::cast_possible_truncation, reason = "the cast saturates far beyond any uptime")]
fn print_span(seconds: f64) -> String {
    let mut rest = seconds.abs().round() as i64;
    let mut parts = Vec::new();
    for (size, name) in [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")] {
        let count = rest / size;
        rest -= count * size;
        if count > 0 {
            parts.push(format!("{count} {name}"));
        }
        if parts.len() == 2 || (parts.len() == 1 && count == 0) {
            break;
        }
    }
    let sign = if seconds < 0.0 { "-" } else { "" };
    format!("{sign}{}", parts.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_as_in_the_web_ui() {
        for (value, unit, expected) in [
            (97.23, Unit::Percent, "97.2 %"),
            (100.0, Unit::Percent, "100 %"),
            (0.0, Unit::Percent, "0.0 %"),
            (-0.0, Unit::Percent, "0.0 %"),
            (3_672_119_296.0, Unit::Bytes, "3.42 GiB"),
            (34_359_738_368.0, Unit::Bytes, "32.0 GiB"),
            (512.0, Unit::Bytes, "512 B"),
            (9_123_456.0, Unit::BytesPerSecond, "9.12 MB/s"),
            (320e6, Unit::BytesPerSecond, "320 MB/s"),
            (0.0, Unit::BytesPerSecond, "0 B/s"),
            (1234.0, Unit::Count, "1,234"),
            (1_234_567.8, Unit::None, "1,234,568"),
            (0.42, Unit::None, "0.42"),
            (-12.5, Unit::Celsius, "-12.50 °C"),
            (3_553_200.0, Unit::Seconds, "41 d 3 h"),
            (860.0, Unit::Seconds, "14 min 20 s"),
            (3600.0, Unit::Seconds, "1 h"),
            (-90.0, Unit::Seconds, "-1 min 30 s"),
            (0.0034, Unit::Seconds, "3.40 ms"),
            (0.0, Unit::Seconds, "0 s"),
            (3400.0, Unit::Megahertz, "3,400 MHz"),
            (1.0, Unit::Bool, "yes"),
            (0.0, Unit::Bool, "no"),
            (0.5, Unit::Bool, "0.50"),
            (1e300, Unit::None, "1.00e300"),
        ] {
            assert_eq!(print_value(value, unit), expected);
        }
    }

    #[test]
    fn an_axis_speaks_in_one_unit() {
        let gib = KIB * KIB * KIB;
        assert_eq!(Scale::of(Unit::Bytes, 8.0 * gib).print(2.5 * gib, 1), "2.5 GiB");
        assert_eq!(Scale::of(Unit::BytesPerSecond, 9e6).print(250e3, 2), "0.25 MB/s");
        assert_eq!(Scale::of(Unit::Count, 25_000.0).print(5_000.0, 0), "5 k");
        assert_eq!(Scale::of(Unit::Seconds, 7200.0).print(3600.0, 0), "1 h");
        assert_eq!(Scale::of(Unit::Percent, 100.0).print(-0.0, 0), "0 %");
    }
}
