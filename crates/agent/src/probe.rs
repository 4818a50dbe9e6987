//! Readings taken on a helper thread, one at a time, so that a kernel that hangs holds up nothing but measurements.

use crate::clock::Moment;
use crate::collect::{Collector, Dealings, Reading, Roots, Top};
use crate::watch::Watch;
use tokio::task::JoinHandle;

/// A reading that takes longer is given up.
pub(crate) const LIMIT_MS: i64 = 5_000;

/// What is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// A heartbeat.
    pub(crate) beat: bool,
    /// The processes that use most: no, if there are not too many, or in any case.
    pub(crate) rank: Rank,
}

/// Whether processes are ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rank {
    /// No.
    No,
    /// Yes, unless the host has thousands of them.
    Routine,
    /// Yes: somebody wants to know.
    Asked,
}

/// What was read.
#[derive(Debug)]
pub(crate) struct Done {
    /// The heartbeat, if it was wanted.
    pub(crate) reading: Option<Reading>,
    /// The ranking, if it was wanted, and whether somebody asked for it.
    pub(crate) top: Option<(Top, bool)>,
}

/// What a helper thread gives back.
type Outcome = (Box<Collector>, Done);

/// The collector, here or with the helper thread.
#[derive(Debug)]
pub(crate) struct Probe {
    roots: Roots,
    watch: Watch,
    idle: Option<Box<Collector>>,
    running: Option<JoinHandle<Outcome>>,
    started_ms: i64,
    given_up: bool,
    /// What is read now, or was read last, is for a heartbeat.
    beat: bool,
}

impl Probe {
    /// A probe of the host below `roots` and of what is watched on it.
    pub(crate) fn new(roots: &Roots, watch: &Watch) -> Self {
        let collector = Box::new(Collector::new(roots, watch, false));
        Self {
            roots: roots.clone(),
            watch: watch.clone(),
            idle: Some(collector),
            running: None,
            started_ms: 0,
            given_up: false,
            beat: false,
        }
    }

    /// Whether nothing is being read.
    pub(crate) fn is_idle(&self) -> bool {
        self.running.is_none()
    }

    /// Whether what is being read is for a heartbeat.
    pub(crate) fn reads_beat(&self) -> bool {
        !self.is_idle() && self.beat
    }

    /// Whether the reading under way was given up.
    pub(crate) fn is_given_up(&self) -> bool {
        self.given_up
    }

    /// When the reading under way is to be given up.
    pub(crate) fn gives_up_at(&self) -> Option<i64> {
        (!self.is_idle() && !self.given_up).then_some(self.started_ms + LIMIT_MS)
    }

    /// The reading under way will not be waited for.
    pub(crate) fn give_up(&mut self) {
        self.given_up = true;
    }

    /// Starts to read, if nothing is being read.
    pub(crate) fn start(&mut self, now: Moment, dealings: Dealings, wanted: Wanted) {
        let Some(mut collector) = self.idle.take() else { return };
        (self.started_ms, self.given_up, self.beat) = (now.boot_ms, false, wanted.beat);
        self.running = Some(tokio::task::spawn_blocking(move || {
            let reading = wanted.beat.then(|| collector.collect(now, &dealings));
            let asked = wanted.rank == Rank::Asked;
            let top = if wanted.rank == Rank::No { None } else { collector.rank_processes(now, asked) };
            let top = top.map(|top| (top, asked));
            (collector, Done { reading, top })
        }));
    }

    /// Waits for the reading under way; for ever, if there is none. Gives nothing for one that was given up.
    pub(crate) async fn finished(&mut self) -> Option<Done> {
        let Some(running) = &mut self.running else { return std::future::pending().await };
        let outcome = running.await;
        self.running = None;
        let given_up = std::mem::take(&mut self.given_up);
        match outcome {
            Ok((collector, done)) => {
                self.idle = Some(collector);
                (!given_up).then_some(done)
            }
            Err(error) => {
                // A bug in a parser: the next heartbeat begins with a new collector.
                tracing::error!(%error, "a reading has failed");
                self.idle = Some(Box::new(Collector::new(&self.roots, &self.watch, false)));
                None
            }
        }
    }
}
