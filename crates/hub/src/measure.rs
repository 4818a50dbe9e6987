//! The hub's own measurements: counted where things happen, read by `/metrics`, the system page and the live view.

use nightbell_model::Batch;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many of the newest request times percentiles are taken from.
const RECENT: usize = 1_024;

/// Upper bounds of the time histograms, in seconds: half a millisecond to ten seconds.
const BUCKETS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Labels of a request counter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabel {
    class: &'static str,
}

/// Labels of a job counter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct JobLabel {
    job: &'static str,
    outcome: &'static str,
}

/// Labels of a delivery counter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeliveryLabel {
    outcome: &'static str,
}

/// All counters of the hub.
#[derive(Debug)]
pub struct Measure {
    started: Instant,
    registry: Registry,
    requests: Family<StatusLabel, Counter>,
    request_time: Histogram,
    recent_requests: Mutex<VecDeque<f64>>,
    websockets: Gauge,
    heartbeats: Counter,
    samples: Counter,
    commit_time: Histogram,
    recent_commits: Mutex<VecDeque<f64>>,
    jobs: Family<JobLabel, Counter>,
    deliveries: Family<DeliveryLabel, Counter>,
    active_jobs: Gauge,
    writable: AtomicBool,
    last_turn_ms: AtomicU64,
}

/// Numbers of the hub itself at one moment, for the live view and the system page (MISSION S1 to S5).
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Snapshot {
    /// Requests answered since the start.
    pub http_requests: u64,
    /// Of these with 4xx.
    pub http_4xx: u64,
    /// Of these with 5xx.
    pub http_5xx: u64,
    /// Mean time of the newest requests, in milliseconds.
    pub http_mean_ms: f64,
    /// Median of them.
    pub http_p50_ms: f64,
    /// 95th percentile of them.
    pub http_p95_ms: f64,
    /// 99th percentile of them.
    pub http_p99_ms: f64,
    /// WebSocket connections open now.
    pub ws_connections: i64,
    /// Heartbeats stored since the start.
    pub heartbeats: u64,
    /// Samples stored since the start.
    pub samples: u64,
    /// 99th percentile of the newest commits, in milliseconds.
    pub commit_p99_ms: f64,
    /// Resident memory, in bytes.
    pub rss_bytes: u64,
    /// CPU time used since the start, in seconds.
    pub cpu_seconds: f64,
    /// Tasks of the asynchronous runtime.
    pub tasks: usize,
    /// Time since the start, in seconds.
    pub uptime_seconds: f64,
    /// Jobs running now.
    pub jobs_active: i64,
    /// Jobs that ended well.
    pub jobs_completed: u64,
    /// Jobs that failed.
    pub jobs_failed: u64,
    /// Whether the store can write.
    pub writable: bool,
}

impl Default for Measure {
    fn default() -> Self {
        let mut measure = Self {
            started: Instant::now(),
            registry: Registry::with_prefix("nightbell_hub"),
            requests: Family::default(),
            request_time: Histogram::new(BUCKETS),
            recent_requests: Mutex::default(),
            websockets: Gauge::default(),
            heartbeats: Counter::default(),
            samples: Counter::default(),
            commit_time: Histogram::new(BUCKETS),
            recent_commits: Mutex::default(),
            jobs: Family::default(),
            deliveries: Family::default(),
            active_jobs: Gauge::default(),
            writable: AtomicBool::new(true),
            last_turn_ms: AtomicU64::new(0),
        };
        measure.register();
        measure
    }
}

impl Measure {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("http_requests", "HTTP requests answered, by class of status", self.requests.clone());
        registry.register_with_unit("http_request_duration", "Time HTTP requests took", Unit::Seconds, self.request_time.clone());
        registry.register("websocket_connections", "WebSocket connections open now", self.websockets.clone());
        registry.register("heartbeats", "Heartbeats stored", self.heartbeats.clone());
        registry.register("samples", "Samples stored", self.samples.clone());
        registry.register_with_unit("commit_duration", "Time commits took", Unit::Seconds, self.commit_time.clone());
        registry.register("jobs", "Housekeeping jobs ended, by outcome", self.jobs.clone());
        registry.register("deliveries", "Attempts to deliver, by outcome", self.deliveries.clone());
        registry.register("jobs_active", "Housekeeping jobs running now", self.active_jobs.clone());
    }

    /// Counts an answered request.
    pub fn request(&self, status: u16, took: Duration) {
        let class = match status {
            0..=199 => "1xx",
            200..=299 => "2xx",
            300..=399 => "3xx",
            400..=499 => "4xx",
            _ => "5xx",
        };
        self.requests.get_or_create(&StatusLabel { class }).inc();
        self.request_time.observe(took.as_secs_f64());
        remember(&self.recent_requests, took);
    }

    /// Counts an open WebSocket until the guard is dropped.
    #[must_use]
    pub fn websocket(&self) -> Gauged {
        Gauged::new(&self.websockets)
    }

    /// Counts a commit and what it stored.
    pub fn committed(&self, took: Duration, batches: &[Batch]) {
        self.commit_time.observe(took.as_secs_f64());
        remember(&self.recent_commits, took);
        self.heartbeats.inc_by(batches.len() as u64);
        self.samples.inc_by(batches.iter().map(|batch| batch.values.len() as u64).sum());
    }

    /// Notes whether the store can write.
    pub fn writable(&self, writable: bool) {
        self.writable.store(writable, Ordering::Relaxed);
    }

    /// Notes that the pipeline took a turn at this moment.
    pub fn turned(&self) {
        self.last_turn_ms.store(millis(self.started.elapsed()), Ordering::Relaxed);
    }

    /// How long ago the pipeline took its last turn.
    #[must_use]
    pub fn since_turn(&self) -> Duration {
        Duration::from_millis(millis(self.started.elapsed()).saturating_sub(self.last_turn_ms.load(Ordering::Relaxed)))
    }

    /// Whether the store can write.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.writable.load(Ordering::Relaxed)
    }

    /// Counts a job as running until the guard is dropped.
    #[must_use]
    pub fn job(&self) -> Gauged {
        Gauged::new(&self.active_jobs)
    }

    /// Counts an ended job.
    pub fn job_ended(&self, job: &'static str, well: bool) {
        self.jobs.get_or_create(&JobLabel { job, outcome: if well { "completed" } else { "failed" } }).inc();
    }

    /// Counts an attempt to deliver.
    pub fn delivery(&self, outcome: &'static str) {
        self.deliveries.get_or_create(&DeliveryLabel { outcome }).inc();
    }

    /// The counters as Prometheus text.
    #[must_use]
    pub fn prometheus_text(&self) -> String {
        let mut out = String::new();
        // Writing into a string cannot fail.
        let _written = text::encode(&mut out, &self.registry);
        out
    }

    /// The numbers of this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let requests = sorted(&self.recent_requests);
        let commits = sorted(&self.recent_commits);
        let class = |class| self.requests.get_or_create(&StatusLabel { class }).get();
        let (http_4xx, http_5xx) = (class("4xx"), class("5xx"));
        let process = crate::process::usage();
        let ended = |outcome| {
            ["roll_up", "retain", "checkpoint"].iter().map(|job| self.jobs.get_or_create(&JobLabel { job, outcome }).get()).sum()
        };
        Snapshot {
            http_requests: class("1xx") + class("2xx") + class("3xx") + http_4xx + http_5xx,
            http_4xx,
            http_5xx,
            http_mean_ms: mean(&requests),
            http_p50_ms: percentile(&requests, 50),
            http_p95_ms: percentile(&requests, 95),
            http_p99_ms: percentile(&requests, 99),
            ws_connections: self.websockets.get(),
            heartbeats: self.heartbeats.get(),
            samples: self.samples.get(),
            commit_p99_ms: percentile(&commits, 99),
            rss_bytes: process.rss_bytes,
            cpu_seconds: process.cpu_seconds,
            tasks: tokio::runtime::Handle::try_current().map_or(0, |handle| handle.metrics().num_alive_tasks()),
            uptime_seconds: self.started.elapsed().as_secs_f64(),
            jobs_active: self.active_jobs.get(),
            jobs_completed: ended("completed"),
            jobs_failed: ended("failed"),
            writable: self.is_writable(),
        }
    }
}

/// Holds a gauge one higher while it lives.
#[derive(Debug)]
pub struct Gauged(Gauge);

impl Gauged {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Gauged {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn remember(recent: &Mutex<VecDeque<f64>>, took: Duration) {
    let mut recent = recent.lock().unwrap_or_else(PoisonError::into_inner);
    if recent.len() == RECENT {
        recent.pop_front();
    }
    recent.push_back(took.as_secs_f64() * 1000.0);
}

fn sorted(recent: &Mutex<VecDeque<f64>>) -> Vec<f64> {
    let mut values: Vec<f64> = recent.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The nearest-rank percentile of sorted values; 0 of none.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0.0)
}

#[expect(clippy::cast_precision_loss, reason = "at most RECENT values")]
fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_rank() {
        let values: Vec<f64> = (1..=200).map(f64::from).collect();
        assert!((percentile(&values, 50) - 100.0).abs() < f64::EPSILON);
        assert!((percentile(&values, 99) - 198.0).abs() < f64::EPSILON);
        assert!(percentile(&[], 99).abs() < f64::EPSILON);
    }

    #[test]
    fn what_happened_is_counted_and_shown() {
        let measure = Measure::default();
        measure.request(200, Duration::from_millis(2));
        measure.request(404, Duration::from_millis(4));
        let open = measure.websocket();
        let snapshot = measure.snapshot();
        assert_eq!((snapshot.http_requests, snapshot.http_4xx, snapshot.ws_connections), (2, 1, 1));
        assert!((snapshot.http_mean_ms - 3.0).abs() < 1e-9);
        drop(open);
        let text = measure.prometheus_text();
        assert!(text.contains("nightbell_hub_http_requests_total{class=\"4xx\"} 1"), "{text}");
        assert!(text.contains("nightbell_hub_websocket_connections 0"), "{text}");
    }
}
