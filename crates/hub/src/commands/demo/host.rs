//! One made-up host: loads that wander, days that swing, disks that fill, and now and then something wrong.

use nightbell_model::{Timestamp, catalogue};
use serde_json::{Map, Value, json};
use std::f64::consts::TAU;

/// What the hosts are for, in turn.
const ROLES: [&str; 5] = ["web", "db", "cache", "worker", "ci"];
/// Every so many hosts one has a full disk, so that there is an incident to look at.
const SICK_EVERY: u32 = 17;
/// Every so many hosts one fills its disk within the day, so that there is a forecast to look at.
const FILLING_EVERY: u32 = 9;
/// By how much a disk grows that neither is full nor fills, in percent an hour.
const GROWTH: f64 = 0.05;
const HOUR_MS: f64 = 3_600_000.0;
const DAY_MS: f64 = 86_400_000.0;

/// The state of a made-up host.
#[derive(Debug)]
pub(super) struct Host {
    number: u32,
    chance: u64,
    cpu: f64,
    memory: f64,
    disk: f64,
    /// By how much its disk grows, in percent an hour.
    growth: f64,
    /// When its last heartbeat was.
    last: Option<Timestamp>,
    seq: u64,
}

impl Host {
    pub(super) fn new(number: u32) -> Self {
        let mut host = Self {
            number,
            chance: u64::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            cpu: 0.0,
            memory: 0.0,
            disk: 0.0,
            growth: GROWTH,
            last: None,
            seq: 0,
        };
        host.cpu = 8.0 + 50.0 * host.uniform();
        host.memory = 25.0 + 45.0 * host.uniform();
        host.disk = 20.0 + 55.0 * host.uniform();
        if number % SICK_EVERY == 3 {
            (host.disk, host.growth) = (91.5, 0.4 + 0.2 * host.uniform());
        } else if number % FILLING_EVERY == 4 {
            host.growth = (100.0 - host.disk) / (10.0 + 10.0 * host.uniform());
        }
        host
    }

    pub(super) fn role(&self) -> &'static str {
        ROLES[self.number as usize % ROLES.len()]
    }

    pub(super) fn name(&self) -> String {
        format!("{}-{:02}", self.role(), self.number / 5 + 1)
    }

    pub(super) fn address(&self) -> String {
        format!("10.20.{}.{}", self.number / 250, self.number % 250 + 1)
    }

    /// The heartbeat of a moment, as the plain HTTP way takes it.
    pub(super) fn heartbeat(&mut self, at: Timestamp) -> Value {
        self.seq += 1;
        let day = (day_fraction(at) * TAU - 2.0).sin();
        self.cpu = (self.cpu + 6.0 * (self.uniform() - 0.5)).clamp(2.0, 88.0);
        self.memory = (self.memory + 0.8 * (self.uniform() - 0.5)).clamp(10.0, 90.0);
        #[expect(clippy::cast_precision_loss, reason = "the time between two heartbeats is small")]
        let hours = self.last.map_or(0.0, |last| at.millis_since(last) as f64 / HOUR_MS);
        self.last = Some(at);
        self.disk = (self.disk + self.growth * hours).min(99.0);
        let cpu = (self.cpu + 8.0 * day).clamp(1.0, 100.0);
        let total = 16.0 * 1_073_741_824.0;
        let (read, write) = (2e6 * self.uniform() * cpu, 9e5 * self.uniform() * cpu);
        let (rx, tx) = (4e5 * self.uniform() * cpu, 3e5 * self.uniform() * cpu);
        let mut metrics = Map::new();
        let mut put = |key: &str, value: f64| {
            let rounded = key.split('{').next().and_then(catalogue::find).map_or(value, |metric| metric.round(value));
            metrics.insert(key.to_owned(), json!(rounded));
        };
        put("cpu.usage_percent", cpu);
        put("load.avg_1m", cpu / 14.0);
        put("load.avg_5m", cpu / 15.0);
        put("mem.used_percent", self.memory);
        put("mem.total_bytes", total);
        put("mem.used_bytes", total * self.memory / 100.0);
        put("disk.used_percent{mount=/}", self.disk);
        put("diskio.read_bytes_per_second{device=nvme0n1}", read);
        put("diskio.write_bytes_per_second{device=nvme0n1}", write);
        put("net.rx_bytes_per_second{iface=eth0}", rx);
        put("net.tx_bytes_per_second{iface=eth0}", tx);
        put("sys.uptime_seconds", 86_400.0 * f64::from(self.number + 1));
        json!({"timestamp": at.as_millis(), "metrics": metrics})
    }

    /// A number in [0, 1) from a small generator (xorshift64*): the same host always wanders the same way.
    #[expect(clippy::cast_precision_loss, reason = "the upper 53 bits are exact")]
    fn uniform(&mut self) -> f64 {
        self.chance ^= self.chance >> 12;
        self.chance ^= self.chance << 25;
        self.chance ^= self.chance >> 27;
        (self.chance.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of a day are small")]
fn day_fraction(at: Timestamp) -> f64 {
    at.as_millis().rem_euclid(86_400_000) as f64 / DAY_MS
}
