//! Hosts that behave: a hundred series with the shapes that real ones have, rounded as an agent rounds them, the same for each seed.
//! The shapes follow the cloud series of the Numenta Anomaly Benchmark (<https://github.com/numenta/NAB>): CPU moves by some 2 to 6 %
//! of its mean from sample to sample, four in five samples of a disk's writes are what they were before. What is done with the
//! values is left to the benchmarks.

/// How a series goes on from sample to sample.
#[derive(Debug, Clone, Copy)]
enum Shape {
    /// Stays.
    Constant(f64),
    /// A share that wanders around its mean, by so much of it each time.
    Percent { mean: f64, step: f64 },
    /// A rate that scatters around its mean.
    Rate(f64),
    /// A rate that is 0 for most of the time; one in so many samples is not.
    Bursts { mean: f64, one_in: u64 },
    /// Bytes in pages of 4 KiB that go up and down by some pages.
    Pages { mean: f64, step: f64 },
    /// Bytes in pages of 4 KiB that only grow; one in so many samples.
    Growing { from: f64, step: f64, one_in: u64 },
    /// A sensor that shows multiples of its step.
    Sensor { mean: f64, step: f64 },
    /// A count that changes one time in so many.
    Count { mean: f64, one_in: u64 },
    /// Seconds since the host was started.
    Uptime,
    /// A mean over so many samples of what wanders around `mean`.
    Load { mean: f64, over: f64 },
    /// The share of the series so many places before in its total, two places before.
    Share { part: usize, total: f64 },
}

use Shape::{Bursts, Constant, Count, Growing, Load, Pages, Percent, Rate, Sensor, Share, Uptime};

/// Bytes of a GiB.
const GIB: f64 = 1024.0 * 1024.0 * 1024.0;
/// Bytes of a page.
const PAGE: f64 = 4096.0;
/// Seconds between samples.
const INTERVAL_S: f64 = 15.0;

/// A series: its key, its decimals, how it goes on.
#[derive(Debug, Clone)]
struct Series {
    key: String,
    decimals: u8,
    shape: Shape,
}

fn one(list: &mut Vec<Series>, key: impl Into<String>, decimals: u8, shape: Shape) {
    list.push(Series { key: key.into(), decimals, shape });
}

fn processor(list: &mut Vec<Series>) {
    for (name, mean) in [("usage", 24.0), ("user", 16.0), ("system", 6.0)] {
        one(list, format!("cpu.{name}_percent"), 2, Percent { mean, step: 0.05 });
    }
    one(list, "cpu.iowait_percent", 2, Percent { mean: 0.6, step: 0.2 });
    one(list, "cpu.irq_percent", 2, Percent { mean: 0.2, step: 0.1 });
    for core in 0..8 {
        one(list, format!("cpu.core.usage_percent{{core={core}}}"), 2, Percent { mean: 24.0, step: 0.08 });
    }
    for (name, over) in [("1m", 4.0), ("5m", 20.0), ("15m", 60.0)] {
        one(list, format!("load.avg_{name}"), 2, Load { mean: 2.2, over });
    }
}

fn memory(list: &mut Vec<Series>) {
    one(list, "mem.used_bytes", 0, Pages { mean: 11.0 * GIB, step: 120.0 });
    one(list, "mem.available_bytes", 0, Pages { mean: 20.0 * GIB, step: 120.0 });
    one(list, "mem.cached_bytes", 0, Pages { mean: 9.0 * GIB, step: 80.0 });
    one(list, "mem.free_bytes", 0, Pages { mean: 11.0 * GIB, step: 150.0 });
    one(list, "mem.total_bytes", 0, Constant(32.0 * GIB));
    one(list, "mem.used_percent", 2, Share { part: 5, total: 32.0 * GIB });
}

fn disks(list: &mut Vec<Series>) {
    for (mount, size) in [("/", 64.0), ("/srv", 512.0), ("/var", 128.0)] {
        one(list, format!("disk.used_bytes{{mount={mount}}}"), 0, Growing { from: size * 0.4 * GIB, step: 40.0, one_in: 2 });
        one(list, format!("disk.available_bytes{{mount={mount}}}"), 0, Pages { mean: size * 0.55 * GIB, step: 12.0 });
        one(list, format!("disk.total_bytes{{mount={mount}}}"), 0, Constant(size * GIB));
        one(list, format!("disk.used_percent{{mount={mount}}}"), 2, Share { part: 3, total: size * GIB });
    }
    for (device, busy) in [("nvme0n1", 3), ("nvme1n1", 5), ("sda", 12)] {
        one(list, format!("diskio.read_bytes_per_second{{device={device}}}"), 0, Bursts { mean: 60e3, one_in: 2 * busy });
        one(list, format!("diskio.write_bytes_per_second{{device={device}}}"), 0, Bursts { mean: 300e3, one_in: busy });
        one(list, format!("diskio.read_iops{{device={device}}}"), 2, Bursts { mean: 4.0, one_in: 2 * busy });
        one(list, format!("diskio.write_iops{{device={device}}}"), 2, Bursts { mean: 20.0, one_in: busy });
        one(list, format!("diskio.util_percent{{device={device}}}"), 2, Bursts { mean: 1.5, one_in: busy });
    }
}

fn network(list: &mut Vec<Series>) {
    for (iface, mean) in [("eth0", 180e3), ("eth1", 9e3)] {
        one(list, format!("net.rx_bytes_per_second{{iface={iface}}}"), 0, Rate(mean));
        one(list, format!("net.tx_bytes_per_second{{iface={iface}}}"), 0, Rate(mean * 0.7));
        one(list, format!("net.rx_packets_per_second{{iface={iface}}}"), 2, Rate(mean / 600.0));
        one(list, format!("net.tx_packets_per_second{{iface={iface}}}"), 2, Rate(mean / 700.0));
        one(list, format!("net.rx_drops_per_second{{iface={iface}}}"), 2, Constant(0.0));
    }
}

fn hardware(list: &mut Vec<Series>) {
    for (sensor, mean) in [("package", 52.0), ("core0", 49.0), ("core1", 50.0), ("nvme", 38.0)] {
        one(list, format!("temp.celsius{{sensor={sensor}}}"), 1, Sensor { mean, step: 1.0 });
    }
    one(list, "gpu.utilization_percent{gpu=0}", 1, Sensor { mean: 12.0, step: 1.0 });
    one(list, "gpu.mem_used_bytes{gpu=0}", 0, Growing { from: 2.0 * GIB, step: 256.0, one_in: 20 });
    one(list, "gpu.temperature_celsius{gpu=0}", 1, Sensor { mean: 45.0, step: 1.0 });
    one(list, "gpu.power_watts{gpu=0}", 2, Percent { mean: 40.0, step: 0.02 });
    one(list, "smart.healthy{device=sda}", 0, Constant(1.0));
    one(list, "smart.temperature_celsius{device=sda}", 1, Sensor { mean: 36.0, step: 1.0 });
    one(list, "smart.power_on_hours{device=sda}", 0, Constant(21_417.0));
}

fn software(list: &mut Vec<Series>) {
    for (name, mean) in [("web", 4.0), ("db", 9.0), ("cache", 1.5), ("jobs", 0.4)] {
        one(list, format!("container.cpu_percent{{container={name}}}"), 2, Percent { mean, step: 0.1 });
        one(list, format!("container.mem_used_bytes{{container={name}}}"), 0, Pages { mean: mean * GIB / 4.0, step: 30.0 });
        one(list, format!("container.up{{container={name}}}"), 0, Constant(1.0));
    }
    one(list, "proc.total", 0, Count { mean: 380.0, one_in: 3 });
    one(list, "proc.running", 0, Count { mean: 3.0, one_in: 2 });
    one(list, "proc.threads", 0, Count { mean: 1400.0, one_in: 2 });
    one(list, "tcp.established", 0, Count { mean: 90.0, one_in: 2 });
    one(list, "tcp.time_wait", 0, Count { mean: 30.0, one_in: 2 });
    one(list, "tcp.in_use", 0, Count { mean: 120.0, one_in: 3 });
    one(list, "unit.failed", 0, Constant(0.0));
    one(list, "sys.uptime_seconds", 0, Uptime);
    one(list, "sys.context_switches_per_second", 2, Rate(5200.0));
    one(list, "sys.interrupts_per_second", 2, Rate(3100.0));
    one(list, "sys.forks_per_second", 2, Percent { mean: 2.0, step: 0.3 });
    one(list, "fd.allocated", 0, Count { mean: 4100.0, one_in: 2 });
    one(list, "psi.cpu_some_percent", 2, Percent { mean: 0.5, step: 0.3 });
    one(list, "psi.io_some_percent", 2, Bursts { mean: 0.4, one_in: 6 });
    one(list, "psi.io_full_percent", 2, Bursts { mean: 0.2, one_in: 8 });
    one(list, "agent.rss_bytes", 0, Growing { from: 9e6, step: 4.0, one_in: 12 });
    one(list, "agent.cpu_percent", 3, Percent { mean: 0.3, step: 0.15 });
    one(list, "agent.collect_ms", 3, Percent { mean: 3.0, step: 0.08 });
}

fn catalogue() -> Vec<Series> {
    let mut list = Vec::new();
    for part in [processor, memory, disks, network, hardware, software] {
        part(&mut list);
    }
    list
}

/// The keys of a host's series, in the order of its values, with their decimals.
pub(crate) fn keys() -> Vec<(String, u8)> {
    catalogue().into_iter().map(|series| (series.key, series.decimals)).collect()
}

/// One host.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    series: Vec<Series>,
    values: Vec<f64>,
    /// What is behind each value and not rounded.
    inner: Vec<f64>,
    seed: u64,
    beats: f64,
}

impl Host {
    /// The host of a seed. Hosts differ in size as well as in chance.
    pub(crate) fn new(seed: u64) -> Self {
        let series = catalogue();
        let mut host = Self {
            values: vec![0.0; series.len()],
            inner: vec![f64::NAN; series.len()],
            series,
            seed: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            beats: 0.0,
        };
        for _ in 0..20 {
            host.beat();
        }
        host
    }

    /// The next values of all series.
    pub(crate) fn beat(&mut self) -> &[f64] {
        self.beats += 1.0;
        for at in 0..self.series.len() {
            let scale = 10_f64.powi(i32::from(self.series[at].decimals));
            let value = (self.step(at) * scale).round() / scale;
            self.values[at] = if value == 0.0 { 0.0 } else { value };
        }
        &self.values
    }

    fn step(&mut self, at: usize) -> f64 {
        let inner = self.inner[at];
        let shape = self.series[at].shape;
        let next = match shape {
            Constant(value) => value,
            Percent { mean, step } if inner.is_nan() => mean * (1.0 + step),
            Percent { mean, step } => (inner + (mean - inner) * 0.05 + self.normal() * step * mean).clamp(0.0, 100.0),
            Rate(mean) if inner.is_nan() => mean,
            Rate(mean) => return self.rate(at, mean),
            Bursts { mean, one_in } if self.is_one_in(one_in) => mean * self.normal().exp() * 4.0,
            Bursts { .. } if self.is_one_in(4) => 0.0,
            Bursts { .. } => inner.max(0.0),
            Pages { mean, .. } if inner.is_nan() => (mean / PAGE).round() * PAGE,
            Pages { step, .. } => inner + (self.normal() * step).round() * PAGE,
            Growing { from, .. } if inner.is_nan() => (from / PAGE).round() * PAGE,
            Growing { step, one_in, .. } if self.is_one_in(one_in) => inner + (self.normal().abs() * step).ceil() * PAGE,
            Growing { .. } => inner,
            Sensor { mean, .. } if inner.is_nan() => mean,
            Sensor { mean, step } => {
                self.inner[at] = inner + (mean - inner) * 0.05 + self.normal() * 0.5 * step;
                return (self.inner[at] / step).round() * step;
            }
            Count { mean, .. } if inner.is_nan() => mean,
            Count { mean, one_in } if self.is_one_in(one_in) => {
                (inner + (mean - inner) * 0.1 + self.normal() * mean.sqrt() * 0.3).round().max(0.0)
            }
            Count { .. } => inner,
            Uptime => 2.5e6 + self.beats * INTERVAL_S,
            Load { mean, .. } if inner.is_nan() => mean,
            Load { mean, over } => inner + (mean + self.normal() * 1.2 - inner) / over,
            Share { part, total } => self.values[at - part] / total * 100.0,
        };
        self.inner[at] = next;
        next
    }

    /// The logarithm of a rate wanders, and each sample scatters around it.
    fn rate(&mut self, at: usize, mean: f64) -> f64 {
        let level = self.inner[at];
        self.inner[at] = (level + (mean - level) * 0.05 + self.normal() * 0.04 * mean).max(mean * 0.1);
        self.inner[at] * (self.normal() * 0.2).exp()
    }

    /// Random numbers after Marsaglia's xorshift (<https://www.jstatsoft.org/v08/i14/>).
    fn random(&mut self) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed
    }

    fn is_one_in(&mut self, many: u64) -> bool {
        (self.random() >> 20).is_multiple_of(many)
    }

    /// Nearly normal: the sum of four that are uniform, with a deviation of 1.
    fn normal(&mut self) -> f64 {
        let uniform = |bits: u64| f64::from(u32::try_from(bits & 0xffff).unwrap_or(0)) / 65_536.0;
        let random = self.random();
        let sum = uniform(random) + uniform(random >> 16) + uniform(random >> 32) + uniform(random >> 48);
        (sum - 2.0) * 3.0_f64.sqrt()
    }
}
