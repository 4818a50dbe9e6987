//! How long one picture of 1800 x 640 takes, in milliseconds: `cargo bench -p nightbell-charts`.
//!
//! The median of many runs is printed for the pictures that are asked for most; the budget is 15 ms.

use nightbell_charts::{ChartSpec, Span, Theme, ThresholdLine, render_png, render_svg, write_csv};
use nightbell_model::catalogue::Unit;
use nightbell_model::{Column, Frame, Tier, Timestamp};
use std::fmt::Write as _;
use std::io::Write as _;

type Failure = Box<dyn std::error::Error>;

const RUNS: usize = 60;

/// A frame of `count` noisy samples for each of `series` lines.
fn frame(count: u32, step_ms: i64, series: u32) -> Result<Frame, Failure> {
    let start = Timestamp::from_secs(1_793_876_400);
    let wave = |line: u32, i: u32| {
        let jitter = f64::from(i.wrapping_mul(2_654_435_761).wrapping_add(line * 97) >> 16 & 0xFF) / 16.0;
        30.0 + 5.0 * f64::from(line) + 20.0 * (f64::from(i) / f64::from(count) * 12.0 + f64::from(line)).sin() + jitter
    };
    let mut columns = Vec::new();
    for line in 0..series {
        let mean: Vec<f64> = (0..count).map(|i| wave(line, i)).collect();
        let key = format!("cpu.core.usage_percent{{core={line}}}").parse()?;
        columns.push(Column { key, min: mean.clone(), max: mean.clone(), mean });
    }
    let times = (0..i64::from(count)).map(|i| start.plus_millis(i * step_ms)).collect();
    let end = start.plus_millis(step_ms * i64::from(count));
    Ok(Frame { start, end, tiers: vec![Tier::Raw], step_ms: None, times, columns })
}

/// The median time of `work` in milliseconds.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures time; the crate itself never asks for it")]
fn median_ms<T>(mut work: impl FnMut() -> T) -> f64 {
    let mut times: Vec<f64> = (0..RUNS)
        .map(|_| {
            let before = std::time::Instant::now();
            std::hint::black_box(work());
            before.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[RUNS / 2]
}

fn main() -> Result<(), Failure> {
    let mut report = String::new();
    for (name, count, step_ms, series) in [
        ("1 h, 240 samples", 240, 15_000, 1),
        ("24 h, 5760 samples", 5_760, 15_000, 1),
        ("8 lines of 720", 720, 3_600_000, 8),
        ("20 lines of 11000", 11_000, 15_000, 20),
    ] {
        let frame = frame(count, step_ms, series)?;
        let mut spec = ChartSpec {
            width: 900,
            height: 320,
            scale: 2.0,
            theme: Theme::Dark,
            ..ChartSpec::new(&frame, "CPU usage", Unit::Percent)
        };
        spec.subtitle = "web-01.example.net".to_owned();
        spec.thresholds = vec![ThresholdLine { value: 85.0, label: "critical".to_owned(), is_mild: false }];
        spec.breaches = vec![Span { start: frame.start.plus_millis(step_ms * 100), end: frame.end }];
        let kib = render_png(&spec)?.len() / 1024;
        let dense = median_ms(|| render_png(&spec));
        let svg = median_ms(|| render_svg(&spec));
        (spec.width, spec.height, spec.scale) = (1800, 640, 1.0);
        let wide = median_ms(|| render_png(&spec));
        let csv = median_ms(|| write_csv(&frame, &mut std::io::sink()));
        writeln!(
            report,
            "{name:<20} PNG 1800x640 {wide:5.1} ms, as 900x320@2x {dense:5.1} ms ({kib} KiB), SVG {svg:5.2} ms, CSV {csv:5.2} ms"
        )?;
    }
    std::io::stdout().write_all(report.as_bytes())?;
    Ok(())
}
