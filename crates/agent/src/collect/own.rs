//! The agent's figures about itself.

use super::scan::{self, Unparsable, float, missing};
use super::source::{Reader, Source};
use crate::clock::{self, Moment};
use crate::sheet::Sheet;
use std::path::Path;

/// What only the rest of the agent knows: how it fares with the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dealings {
    /// Size of the last heartbeat on the wire, if one was sent.
    pub beat_bytes: Option<u64>,
    /// Heartbeats waiting for the hub's word.
    pub buffered: u64,
    /// Heartbeats given up because the buffer was full.
    pub dropped: u64,
    /// Connections made after the first.
    pub reconnects: u64,
    /// The host's clock against the hub's in milliseconds, if the hub told its time.
    pub clock_offset_ms: Option<i64>,
}

/// The last reading of our own CPU time.
#[derive(Debug)]
pub(crate) struct Own {
    memory: Source,
    last: Option<(Moment, i64)>,
}

impl Own {
    /// Always of this very process, wherever the host's tree is.
    pub(crate) fn new() -> Self {
        Self { memory: Source::proc(Path::new("/proc"), "self/statm"), last: None }
    }

    /// Writes `agent.*` and `clock.offset_seconds`.
    #[expect(clippy::cast_precision_loss, reason = "times of a process are far below 2^53")]
    pub(crate) fn collect(&mut self, reader: &mut Reader, now: Moment, dealings: &Dealings, sheet: &mut Sheet) {
        let cpu_ns = clock::process_cpu_ns();
        let used = self.last.and_then(|(then, before)| Some((cpu_ns - before) as f64 / 1e9 / now.seconds_since(then)?));
        self.last = Some((now, cpu_ns));
        sheet.put("agent.cpu_percent", used.map(|used| 100.0 * used));
        let pages = self.memory.parse(reader, sheet, resident_pages);
        let page = float(u64::try_from(rustix::param::page_size()).unwrap_or(4096));
        sheet.put("agent.rss_bytes", pages.map(|pages| float(pages) * page));
        sheet.put("agent.beat_bytes", dealings.beat_bytes.map(float));
        sheet.put("agent.buffered_beats", Some(float(dealings.buffered)));
        sheet.put("agent.dropped_beats", Some(float(dealings.dropped)));
        sheet.put("agent.reconnects", Some(float(dealings.reconnects)));
        sheet.put("agent.collector_errors", Some(float(sheet.errors())));
        sheet.put("agent.counter_resets", Some(float(sheet.resets())));
        sheet.put("clock.offset_seconds", dealings.clock_offset_ms.map(|ms| ms.unsigned_abs() as f64 / 1000.0));
        sheet.put("agent.collect_ms", Moment::now().seconds_since(now).map(|seconds| 1000.0 * seconds));
    }
}

fn resident_pages(bytes: &[u8]) -> Result<u64, Unparsable> {
    scan::words(bytes).nth(1).and_then(scan::number).ok_or_else(|| missing("the resident size"))
}
