//! Figures of the packed bytes: bytes for each sample of chunks and rows, and how quickly they are packed and read.
//!
//! `cargo bench -p nightbell-store --bench codec [-- FILE.csv…]`. Hosts are those of `common`; files of `timestamp,value` lines
//! are packed as well, in hours of 240 values.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a benchmark speaks and stops at the first fault"
)]

mod common;

use common::Host;
use nightbell_store::formats::{Buckets, Series, Unpacker, pack_chunk, pack_row};

const INTERVAL_MS: i64 = 15_000;
const BEGIN_MS: i64 = 20_000 * 86_400_000;
const HOUR: usize = 240;
const DAY: usize = 24 * HOUR;
const FIVE_MINUTES_MS: i64 = 300_000;
const DAY_MS: i64 = 86_400_000;

/// The rows of some hosts: times and series of each.
fn hosts(count: u64, rows: usize, jitter_ms: i64) -> Vec<(Vec<i64>, Vec<Series>)> {
    (0..count).map(|seed| rows_of(seed, rows, jitter_ms)).collect()
}

fn rows_of(seed: u64, rows: usize, jitter_ms: i64) -> (Vec<i64>, Vec<Series>) {
    let mut host = Host::new(seed + 1);
    let keys = (0..).zip(common::keys());
    let mut series: Vec<Series> = keys.map(|(id, (_, decimals))| Series { id, decimals, values: Vec::new() }).collect();
    let mut times = Vec::new();
    for row in (0..).take(rows) {
        let noise = (row * 7_919 + i64::try_from(seed).unwrap() * 104_729) % 10_007;
        times.push(BEGIN_MS + row * INTERVAL_MS + if jitter_ms > 0 { noise % (2 * jitter_ms) } else { 0 });
        series.iter_mut().zip(host.beat()).for_each(|(one, value)| one.values.push(*value));
    }
    (times, series)
}

fn samples(hosts: &[(Vec<i64>, Vec<Series>)]) -> f64 {
    hosts.iter().map(|(times, series)| times.len() * series.len()).sum::<usize>() as f64
}

/// Seconds that this process had a processor (`/proc/self/schedstat`, in nanoseconds): others on the machine do not count.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9
}

/// Runs `work` for half a second; seconds for one run.
fn time(mut work: impl FnMut()) -> f64 {
    work();
    let (begin, mut runs) = (cpu_seconds(), 0);
    while cpu_seconds() - begin < 0.5 {
        work();
        runs += 1;
    }
    (cpu_seconds() - begin) / f64::from(runs)
}

fn chunks(name: &str, hosts: &[(Vec<i64>, Vec<Series>)], dense: bool) {
    let decimals: Vec<u8> = common::keys().iter().map(|(_, decimals)| *decimals).collect();
    let pack = || -> Vec<Vec<u8>> { hosts.iter().map(|(times, series)| pack_chunk(times, series, dense)).collect() };
    let packed = pack();
    let all = samples(hosts);
    let bytes: usize = packed.iter().map(Vec::len).sum();
    let packing = time(|| drop(std::hint::black_box(pack())));
    let mut unpacker = Unpacker::default();
    let reading = time(|| {
        for bytes in &packed {
            assert!(unpacker.each(bytes, &decimals, |_, values| {
                std::hint::black_box(values);
            }));
        }
    });
    let column = time(|| {
        for bytes in &packed {
            std::hint::black_box(unpacker.values(bytes, 0, decimals[0]).unwrap());
        }
    });
    let times: usize = hosts.iter().map(|(times, _)| pack_chunk(times, &[], dense).len()).sum();
    println!(
        "{name:<28} {:.3} B/sample ({:.4} times), packed {:>4.0} M/s, read {:>4.0} M/s, one column {:.1} us",
        bytes as f64 / all,
        times as f64 / all,
        all / packing / 1e6,
        all / reading / 1e6,
        column / packed.len() as f64 * 1e6
    );
}

fn buckets(name: &str, hosts: &[(Vec<i64>, Vec<Series>)], width_ms: i64, dense: bool) -> f64 {
    let decimals: Vec<u8> = common::keys().iter().map(|(_, decimals)| *decimals).collect();
    let folded: Vec<Buckets> = hosts.iter().map(|(times, series)| Buckets::of(times, series, width_ms)).collect();
    let pack = || -> Vec<Vec<u8>> { folded.iter().map(|buckets| buckets.pack_chunk(dense)).collect() };
    let packed = pack();
    let bytes: usize = packed.iter().map(Vec::len).sum();
    let packing = time(|| drop(std::hint::black_box(pack())));
    let mut unpacker = Unpacker::default();
    let mut count = 0;
    let reading = time(|| count = packed.iter().map(|bytes| unpacker.count_buckets(bytes, &decimals).unwrap()).sum());
    let rate = bytes as f64 / samples(hosts);
    println!(
        "{name:<28} {rate:.3} B/raw sample, {:.2} B/bucket, packed {:>4.1} M/s, read {:>4.1} M/s",
        bytes as f64 / count as f64,
        count as f64 / packing / 1e6,
        count as f64 / reading / 1e6,
    );
    rate
}

/// Bytes of the rows that chunks replace.
fn rows(hosts: &[(Vec<i64>, Vec<Series>)]) {
    let raw: usize =
        hosts.iter().map(|(times, series)| (0..times.len()).map(|at| pack_row(series, at).len()).sum::<usize>()).sum();
    println!("{:<28} {:.3} B/sample", "heartbeat rows", raw as f64 / samples(hosts));
    let rolled: usize = hosts
        .iter()
        .map(|(times, series)| Buckets::of(times, series, FIVE_MINUTES_MS).pack_rows().iter().map(Vec::len).sum::<usize>())
        .sum();
    println!("{:<28} {:.3} B/raw sample", "5-minute rows", rolled as f64 / samples(hosts));
}

/// Bytes of each kind of metric in an hour and in a day.
fn kinds(hours: &[(Vec<i64>, Vec<Series>)], days: &[(Vec<i64>, Vec<Series>)]) {
    let keys = common::keys();
    for (at, (key, _)) in keys.iter().enumerate() {
        let size = |hosts: &[(Vec<i64>, Vec<Series>)], dense| {
            let bytes = |(times, series): &(Vec<i64>, Vec<Series>)| {
                (pack_chunk(times, &series[at..=at], dense).len() - pack_chunk(times, &[], dense).len()) as f64
            };
            hosts.iter().map(bytes).sum::<f64>() / hosts.iter().map(|host| host.0.len() as f64).sum::<f64>()
        };
        println!("  {key:<48} {:.3} {:.3} {:.3}", size(hours, false), size(days, false), size(days, true));
    }
}

/// A file of `timestamp,value` lines, as it is and rounded to two decimals.
fn file(path: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    let exact: Vec<f64> = text.lines().filter_map(|line| line.rsplit(',').next()?.trim().parse().ok()).collect();
    let rounded: Vec<f64> = exact.iter().map(|value| (value * 100.0).round() / 100.0).collect();
    let size = |values: &[f64], rows: usize, dense| {
        let chunk = |values: &[f64]| {
            let times: Vec<i64> = (0..).map(|row: i64| row * INTERVAL_MS).take(values.len()).collect();
            let series = Series { id: 0, decimals: 2, values: values.to_vec() };
            pack_chunk(&times, &[series], dense).len() - pack_chunk(&times, &[], dense).len()
        };
        values.chunks(rows).map(chunk).sum::<usize>() as f64 / values.len() as f64
    };
    let name = path.rsplit('/').next().unwrap_or(path);
    println!(
        "{name:<44} as it is: hour {:.2}, day dense {:.2}; rounded: hour {:.2}, day dense {:.2} B/sample",
        size(&exact, HOUR, false),
        size(&exact, DAY, true),
        size(&rounded, HOUR, false),
        size(&rounded, DAY, true)
    );
}

fn main() {
    let files: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    println!("{} series", common::keys().len());
    let (hours, jittering) = (hosts(20, HOUR, 0), hosts(20, HOUR, 50));
    let days = hosts(2, DAY, 50);
    rows(&hours);
    chunks("hour", &hours, false);
    chunks("hour, times +-50 ms", &jittering, false);
    chunks("hour, dense", &jittering, true);
    chunks("day, young", &days, false);
    chunks("day, dense", &days, true);
    let young = buckets("5-minute buckets, hour", &jittering, FIVE_MINUTES_MS, false);
    let dense = buckets("5-minute buckets, day dense", &days, FIVE_MINUTES_MS, true);
    let hourly = buckets("hourly buckets, day dense", &days, 3_600_000, true);
    let daily = buckets("daily buckets, day", &days, DAY_MS, false);
    println!("all rollups: young {:.3}, dense {:.3} B/raw sample", young + hourly + daily, dense + hourly + daily);
    if std::env::var_os("NIGHTBELL_BENCH_KINDS").is_some() {
        kinds(&hours, &days);
    }
    files.iter().for_each(|path| file(path));
}
