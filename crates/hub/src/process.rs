//! What this process uses, from /proc/self.

/// Memory and CPU of the hub.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Usage {
    /// Resident memory in bytes.
    pub rss_bytes: u64,
    /// CPU time in user and kernel, in seconds.
    pub cpu_seconds: f64,
}

/// What this process uses now; zeros where /proc cannot be read.
#[must_use]
pub fn usage() -> Usage {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|field| field.parse().ok()).unwrap_or(0);
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Usage { rss_bytes: pages * rustix::param::page_size() as u64, cpu_seconds: seconds(time.tv_sec, time.tv_nsec) }
}

#[expect(clippy::cast_precision_loss, reason = "seconds of CPU time are far below 2^53")]
fn seconds(whole: i64, nanos: i64) -> f64 {
    whole as f64 + nanos as f64 / 1e9
}
