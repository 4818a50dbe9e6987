//! Draws one chart of each kind into a folder, to be looked at: `cargo run -p nightbell-charts --example gallery -- out/`.
//!
//! The two weeks of a real database host come from `tests/data`; what is finer than its five minutes is made up from a fixed
//! recipe, so that the same pictures come out each time.

use chrono::NaiveDateTime;
use nightbell_charts::{ChartSpec, Marker, Span, Theme, ThresholdLine, render_png, render_svg};
use nightbell_model::catalogue::Unit;
use nightbell_model::{Column, Frame, Tier, Timestamp};
use std::path::Path;

type Failure = Box<dyn std::error::Error>;

const REAL: &str = include_str!("../tests/data/rds_cpu_utilization_cc0c53.csv");
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
/// 5 November 2026, 12:00 UTC.
const NOON: i64 = 1_793_880_000_000;

fn main() -> Result<(), Failure> {
    let folder = std::env::args().nth(1).ok_or("say into which folder")?;
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    breach(folder)?;
    day_with_gap(folder)?;
    rolled_up(folder)?;
    many_lines(folder)?;
    real(folder)?;
    small_and_odd(folder)
}

fn save(folder: &Path, name: &str, spec: &ChartSpec<'_>) -> Result<(), Failure> {
    for (theme, suffix) in [(Theme::Light, "light"), (Theme::Dark, "dark")] {
        let spec = ChartSpec { theme, ..spec.clone() };
        std::fs::write(folder.join(format!("{name}-{suffix}.png")), render_png(&spec)?)?;
        std::fs::write(folder.join(format!("{name}-{suffix}@2x.png")), render_png(&ChartSpec { scale: 2.0, ..spec.clone() })?)?;
        std::fs::write(folder.join(format!("{name}-{suffix}.svg")), render_svg(&spec)?)?;
    }
    Ok(())
}

/// Numbers between 0 and 1 that look random and never change.
fn noise(seed: u64) -> f64 {
    let mut x = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    f64::from(u32::try_from((x ^ (x >> 31)) >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

fn frame(start: i64, step: i64, count: u32, series: &[(&str, &dyn Fn(f64) -> f64)]) -> Result<Frame, Failure> {
    let mut columns = Vec::new();
    for (key, value) in series {
        let values: Vec<f64> = (0..count).map(|i| value(f64::from(i))).collect();
        columns.push(Column { key: key.parse()?, mean: values.clone(), min: values.clone(), max: values });
    }
    Ok(Frame {
        start: Timestamp::from_millis(start),
        end: Timestamp::from_millis(start + step * i64::from(count)),
        tiers: vec![Tier::Raw],
        step_ms: None,
        times: (0..i64::from(count)).map(|i| Timestamp::from_millis(start + i * step)).collect(),
        columns,
    })
}

fn seed(i: f64) -> u64 {
    i.to_bits()
}

fn breach(folder: &Path) -> Result<(), Failure> {
    let load = |i: f64| {
        let rise = 1.0 / (1.0 + (-(i - 165.0) / 5.0).exp());
        34.0 + 4.0 * (i / 17.0).sin() + 9.0 * noise(seed(i)) + rise * (52.0 + 3.0 * (i / 9.0).sin())
    };
    let frame = frame(NOON - HOUR, 15_000, 240, &[("cpu.usage_percent", &|i| load(i).min(99.0))])?;
    let mut spec = ChartSpec::new(&frame, "CPU usage above 90 % for 5 minutes", Unit::Percent);
    spec.subtitle = "db-01.example.net · cpu.usage_percent".to_owned();
    spec.tz = chrono_tz::Europe::Berlin;
    spec.thresholds = vec![ThresholdLine { value: 90.0, label: "critical 90 %".to_owned(), is_mild: false }];
    spec.breaches = vec![Span { start: Timestamp::from_millis(NOON - 17 * MINUTE), end: frame.end }];
    save(folder, "hour-breach", &spec)
}

fn day_with_gap(folder: &Path) -> Result<(), Failure> {
    let memory = |i: f64| {
        let grown = 6.2e9 + i * 1.1e6 + 2.0e8 * noise(seed(i)) + 6e8 * (i / 420.0).sin();
        if (2700.0..3300.0).contains(&i) {
            f64::NAN
        } else if i >= 3300.0 {
            grown - 3.9e9
        } else {
            grown
        }
    };
    let frame = frame(NOON - 24 * HOUR, 15_000, 5760, &[("mem.used_bytes", &memory)])?;
    let mut spec = ChartSpec::new(&frame, "Memory used", Unit::Bytes);
    spec.subtitle = "web-01.example.net".to_owned();
    spec.tz = chrono_tz::Europe::Berlin;
    spec.markers = vec![
        Marker { at: Timestamp::from_millis(NOON - 24 * HOUR + 2700 * 15_000), label: "OOM kill: java".to_owned() },
        Marker { at: Timestamp::from_millis(NOON - 24 * HOUR + 3290 * 15_000), label: "reboot".to_owned() },
    ];
    save(folder, "day-gap", &spec)
}

fn rolled_up(folder: &Path) -> Result<(), Failure> {
    let daily = |i: f64| {
        180e6 + 120e6 * (i / 24.0 * std::f64::consts::TAU).sin() * (0.6 + 0.4 * (i / 168.0 * std::f64::consts::TAU).cos())
    };
    let mut frame = frame(
        NOON - 30 * 24 * HOUR,
        HOUR,
        720,
        &[("net.rx_bytes_per_second{interface=eth0}", &|i| daily(i) + 30e6 * noise(seed(i)))],
    )?;
    frame.tiers = vec![Tier::Hourly];
    frame.step_ms = Some(HOUR);
    let column = &mut frame.columns[0];
    for (index, mean) in (0_u32..).zip(column.mean.clone()) {
        let spread = 30e6 + 160e6 * noise(seed(f64::from(index) + 0.5)).powi(4);
        column.min[index as usize] = (mean - spread * 0.6).max(0.0);
        column.max[index as usize] = mean + spread;
    }
    let mut spec = ChartSpec::new(&frame, "Network received", Unit::BytesPerSecond);
    spec.subtitle = "edge-01.example.net · eth0 · hourly mean with minimum and maximum".to_owned();
    save(folder, "month-rolled-up", &spec)
}

fn many_lines(folder: &Path) -> Result<(), Failure> {
    let core = |shift: f64| {
        move |i: f64| {
            22.0 + shift * 7.0 + 13.0 * ((i + shift * 40.0) / (30.0 + shift * 3.0)).sin() + 6.0 * noise(seed(i + shift * 1e4))
        }
    };
    let cores: Vec<_> = (0..8).map(|n| core(f64::from(n))).collect();
    let names: Vec<String> = (0..8).map(|n| format!("cpu.core.usage_percent{{core={n}}}")).collect();
    let series: Vec<(&str, &dyn Fn(f64) -> f64)> =
        names.iter().zip(&cores).map(|(name, f)| (name.as_str(), f as &dyn Fn(f64) -> f64)).collect();
    let frame = frame(NOON - 6 * HOUR, MINUTE, 360, &series)?;
    let mut spec = ChartSpec::new(&frame, "CPU by core", Unit::Percent);
    spec.subtitle = "build-03.example.net".to_owned();
    for (index, line) in spec.lines.iter_mut().enumerate() {
        line.label = format!("core {index}");
    }
    spec.height = 380;
    save(folder, "eight-lines", &spec)
}

fn real(folder: &Path) -> Result<(), Failure> {
    let (mut times, mut values) = (Vec::new(), Vec::new());
    for line in REAL.lines().skip(1) {
        let (time, value) = line.split_once(',').ok_or("a line without a comma")?;
        let time = NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M:%S")?;
        times.push(Timestamp::from_millis(time.and_utc().timestamp_millis()));
        values.push(value.parse::<f64>()?);
    }
    let (start, end) = (times[0], times[times.len() - 1].plus_millis(5 * MINUTE));
    let column = Column { key: "cpu.usage_percent".parse()?, mean: values.clone(), min: values.clone(), max: values };
    let frame = Frame { start, end, tiers: vec![Tier::FiveMinutes], step_ms: Some(5 * MINUTE), times, columns: vec![column] };
    let mut spec = ChartSpec::new(&frame, "Database CPU", Unit::Percent);
    spec.subtitle = "rds cc0c53 · two weeks of a real host".to_owned();
    spec.pin_percent = false;
    spec.thresholds = vec![
        ThresholdLine { value: 15.0, label: "warning 15 %".to_owned(), is_mild: true },
        ThresholdLine { value: 20.0, label: "critical 20 %".to_owned(), is_mild: false },
    ];
    save(folder, "two-weeks-real", &spec)?;
    (spec.width, spec.height) = (1800, 640);
    save(folder, "two-weeks-real-wide", &spec)
}

fn small_and_odd(folder: &Path) -> Result<(), Failure> {
    let full = frame(NOON - HOUR, 15_000, 240, &[("cpu.usage_percent", &|i| 40.0 + 20.0 * (i / 20.0).sin())])?;
    let mut spec = ChartSpec::new(&full, "CPU usage of a host with a rather long name", Unit::Percent);
    spec.subtitle = "db-01.example.net".to_owned();
    spec.thresholds = vec![ThresholdLine { value: 85.0, label: "critical".to_owned(), is_mild: false }];
    (spec.width, spec.height) = (200, 100);
    save(folder, "tiny", &spec)?;
    (spec.width, spec.height) = (420, 180);
    save(folder, "small", &spec)?;
    let nothing = Frame::empty(full.start, full.end);
    save(folder, "nothing", &ChartSpec::new(&nothing, "Disk reads", Unit::BytesPerSecond))?;
    let one = frame(NOON - MINUTE, MINUTE, 1, &[("temp.celsius", &|_| 45.5)])?;
    let one = Frame { start: Timestamp::from_millis(NOON - 4 * MINUTE), ..one };
    save(folder, "one-sample", &ChartSpec::new(&one, "Temperature", Unit::Celsius))?;
    let flips = frame(NOON - HOUR, 30_000, 120, &[("agent.offline", &|i| f64::from(u8::from((40.0..65.0).contains(&i))))])?;
    save(folder, "yes-no", &ChartSpec::new(&flips, "Agent offline", Unit::Bool))?;
    let names: Vec<String> = (0..20).map(|n| format!("container.cpu_percent{{container=a-long-service-name-{n}}}")).collect();
    let waves: Vec<_> =
        (0..20).map(|n| move |i: f64| 10.0 + f64::from(n) * 12.0 + 8.0 * (i / (9.0 + f64::from(n))).sin()).collect();
    let series: Vec<(&str, &dyn Fn(f64) -> f64)> =
        names.iter().zip(&waves).map(|(name, f)| (name.as_str(), f as &dyn Fn(f64) -> f64)).collect();
    let crowd = frame(NOON - HOUR, 15_000, 240, &series)?;
    save(folder, "twenty-lines", &ChartSpec::new(&crowd, "Containers", Unit::Percent))
}
