//! A fleet to measure the evaluator with, and an allocator that counts.

use nightbell_alerts::{
    AgentView, Aggregate, Comparison, Config, Effects, Evaluator, LevelTable, Missing, Rule, RuleKind, Saved, Scope, Selector,
    Severity, Threshold, Transform,
};
use nightbell_model::{AgentId, Batch, ChannelId, RuleId, Schema, SeriesKey, Timestamp};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};

/// How often an agent sends, in milliseconds.
pub(crate) const INTERVAL_MS: i64 = 15_000;
/// How many series an agent has.
pub(crate) const SERIES: usize = 100;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicIsize = AtomicIsize::new(0);

/// The system's allocator, counting.
#[derive(Debug)]
pub(crate) struct Counting;

// SAFETY: every call is passed on unchanged to the system's allocator; the counters beside it are atomic.
#[expect(unsafe_code, reason = "an allocator cannot be written without")]
#[expect(clippy::cast_possible_wrap, reason = "no object is larger than isize::MAX")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// How often memory was asked for so far.
pub(crate) fn allocations() -> usize {
    ALLOCATIONS.load(Ordering::Relaxed)
}

/// How many bytes are in use.
pub(crate) fn bytes() -> isize {
    BYTES.load(Ordering::Relaxed)
}

/// An evaluator with agents that all have `rules` rules, each on a series of its own.
pub(crate) struct Fleet {
    pub(crate) evaluator: Evaluator,
    batches: Vec<Batch>,
    pub(crate) now: Timestamp,
    pub(crate) out: Effects,
}

impl Fleet {
    pub(crate) fn new(agents: usize, rules: usize) -> Self {
        let now = Timestamp::from_secs(1_763_769_600);
        let ids = || (1..=agents as u128).map(AgentId::from_bits);
        let config = Config {
            rules: (0..rules).map(rule).chain([offline()]).collect(),
            agents: ids().map(view).collect(),
            levels: LevelTable::default(),
            mutes: Vec::new(),
            group_wait_ms: 10_000,
            offline_group_wait_ms: 5_000,
        };
        let batches = ids().map(|agent| batch(agent, now)).collect();
        Self { evaluator: Evaluator::restore(config, Saved::default(), now), batches, now, out: Effects::default() }
    }

    /// One heartbeat of every agent, each value multiplied by `factor`, and what is due.
    pub(crate) fn round(&mut self, factor: f64) {
        self.now = self.now.plus_millis(INTERVAL_MS);
        for batch in &mut self.batches {
            (batch.ts, batch.received) = (self.now, self.now);
            batch.values.iter_mut().for_each(|value| *value = 50.0 * factor);
            self.evaluator.observe(batch, self.now, &mut self.out);
        }
        self.evaluator.tick(self.now, &mut self.out);
    }
}

fn view(id: AgentId) -> AgentView {
    AgentView {
        id,
        tags: Vec::new(),
        interval_ms: INTERVAL_MS,
        paused: false,
        last_seen: None,
        closed: false,
        stopped_on_purpose: false,
    }
}

fn batch(agent: AgentId, now: Timestamp) -> Batch {
    let key = |at: usize| metric(at).parse::<SeriesKey>().ok();
    let schema: Arc<Schema> = Schema::new((0..SERIES).filter_map(key).collect());
    Batch { agent, ts: now, received: now, boot_seq: None, schema, values: vec![50.0; SERIES].into() }
}

fn metric(at: usize) -> String {
    format!("bench.metric_{at}")
}

fn rule(at: usize) -> Rule {
    Rule {
        id: RuleId::from_bits(1 + at as u128),
        version: 1,
        name: format!("rule {at}"),
        key: None,
        kind: RuleKind::Threshold,
        transform: Transform::None,
        selector: Selector {
            metric: metric(at * SERIES / 20 % SERIES),
            labels: vec![],
            matchers: vec![],
            aggregate: Aggregate::Each,
        },
        comparison: Comparison::Greater,
        threshold: Threshold::Value(90.0),
        clear: None,
        hold_ms: 0,
        keep_firing_ms: 0,
        cooldown_ms: 600_000,
        repeat_ms: 0,
        missing: Missing::Keep,
        missing_after_ms: None,
        severity: Severity::Warning,
        scope: Scope::Global,
        channels: vec![ChannelId::from_bits(1)],
        escalation: vec![],
        fold_late: true,
        enabled: true,
    }
}

fn offline() -> Rule {
    let selector = Selector { metric: "agent.offline".to_owned(), labels: vec![], matchers: vec![], aggregate: Aggregate::Each };
    Rule {
        id: RuleId::from_bits(u128::MAX),
        selector,
        comparison: Comparison::Equal,
        threshold: Threshold::Value(1.0),
        ..rule(0)
    }
}
