//! The history of one agent: all its rows for ever, and every bucket computed from them whenever it is asked for.

use crate::entities::SeenRow;
use crate::export;
use crate::fleet::Steps;
use crate::frame::{Assembly, Wanted};
use crate::query::{clip, names, revision_of};
use crate::ranges::Ranges;
use crate::resolution::{self, Question};
use crate::retention::{self, GRACE_MS, WholeFrom};
use crate::rollup::Bucket;
use crate::seams::{ExportPage, ExportQuery, FleetQuery, Imported, RangeQuery, Retention, SealPolicy, StoreError};
use crate::vector::{Sample, decimals_of};
use nightbell_model::{AgentId, Batch, BootId, Frame, SeriesKey, Tier, Timestamp};
use std::collections::BTreeSet;
use std::convert::Infallible;

/// What is known of an agent process.
#[derive(Debug, Clone)]
struct Boot {
    name: BootId,
    used_at: Timestamp,
    seen: Ranges,
    stored: Ranges,
}

/// The history of one agent.
#[derive(Debug, Default)]
pub(super) struct History {
    /// By time, those of the same time in the order they came.
    rows: Vec<Batch>,
    boots: Vec<Boot>,
    whole_from: WholeFrom,
    /// Buckets that an engine would have to write.
    pending: BTreeSet<(Tier, Timestamp)>,
    /// Raw before this has been sealed.
    sealed_to: Option<Timestamp>,
    /// How often something that was sealed has changed.
    revision: i64,
    /// Whether it is never removed by age.
    pub(super) kept: bool,
    /// Stretches of raw that are kept for incidents before what raw is whole from.
    pinned: Vec<(Timestamp, Timestamp)>,
}

/// The tier's bucket that `ts` lies in; on raw itself.
fn floor(ts: Timestamp, tier: Tier) -> Timestamp {
    tier.width_ms().map_or(ts, |width| ts.floor_to(width))
}

impl History {
    /// Stores a heartbeat, unless it is stored already or closed; whether it did.
    pub(super) fn append(&mut self, batch: &Batch) -> bool {
        if batch.ts < self.whole_from.of(Tier::Raw) {
            return false;
        }
        let is_new = match &batch.boot_seq {
            Some((boot, seq)) => {
                let boot = self.boot(boot, batch.received);
                boot.used_at = boot.used_at.max(batch.received);
                boot.stored.insert(*seq)
            }
            None => self.rows.iter().all(|row| row.ts != batch.ts),
        };
        if is_new {
            self.put(batch.clone());
        }
        is_new
    }

    fn put(&mut self, batch: Batch) {
        let at = self.rows.partition_point(|row| row.ts <= batch.ts);
        self.pending.insert((Tier::FiveMinutes, floor(batch.ts, Tier::FiveMinutes)));
        self.revision += i64::from(self.sealed_to.is_some_and(|sealed_to| batch.ts < sealed_to));
        self.rows.insert(at, batch);
    }

    /// Whether a series has a value at exactly this time.
    fn has(&self, ts: Timestamp, key: &SeriesKey) -> bool {
        self.rows.iter().any(|row| row.ts == ts && row.value(key).is_some())
    }

    /// Stores heartbeats from elsewhere, and the names of their metrics.
    pub(super) fn import(&mut self, agent: AgentId, batches: &[Batch], metrics: &mut BTreeSet<String>) -> Imported {
        let mut done = Imported::default();
        for batch in batches {
            let mut batch = Batch { agent, boot_seq: None, ..batch.clone() };
            if batch.ts < self.whole_from.of(Tier::Raw) {
                done.too_old += 1;
                continue;
            }
            for (key, value) in batch.schema.keys().iter().zip(&mut batch.values) {
                if self.has(batch.ts, key) {
                    *value = f64::NAN;
                }
            }
            if batch.samples().next().is_some() {
                metrics.extend(batch.samples().map(|(key, _)| key.metric().to_owned()));
                done.stored += 1;
                self.put(batch);
            } else {
                done.duplicates += 1;
            }
        }
        done
    }

    /// Notes which quarters of hours an engine would pack.
    pub(super) fn seal(&mut self, now: Timestamp, policy: &SealPolicy) {
        let ends = self.rows.iter().map(|row| row.ts.floor_to(SealPolicy::YOUNG_MS).plus_millis(SealPolicy::YOUNG_MS));
        let due = ends.filter(|end| end.plus_millis(policy.settle_ms) <= now).max();
        self.sealed_to = self.sealed_to.max(due);
    }

    /// What answers over a span depend on, unless it still grows.
    pub(super) fn revision(&self, span: (Timestamp, Timestamp)) -> Option<u64> {
        let (start, end) = clip(span, self.extent().filter(|_| self.sealed_to.is_some_and(|to| span.1 <= to))?)?;
        let [raw, five, hourly, daily] = Tier::ALL.map(|tier| self.whole_from.of(tier).as_millis());
        Some(revision_of(&[self.revision, start.as_millis(), end.as_millis(), raw, five, hourly, daily]))
    }

    fn boot(&mut self, name: &BootId, at: Timestamp) -> &mut Boot {
        let position = self.boots.iter().position(|boot| boot.name == *name).unwrap_or_else(|| {
            let (seen, stored) = (Ranges::default(), Ranges::default());
            self.boots.push(Boot { name: name.clone(), used_at: at, seen, stored });
            self.boots.len() - 1
        });
        &mut self.boots[position]
    }

    /// Notes what the door has seen of a process, or that it has forgotten it.
    pub(super) fn note_seen(&mut self, row: &SeenRow, stored_now: bool) {
        if row.ranges.is_empty() {
            self.boots.retain(|boot| stored_now || boot.name != row.boot);
            return;
        }
        let boot = self.boot(&row.boot, row.used_at);
        boot.used_at = boot.used_at.max(row.used_at);
        boot.seen = Ranges::new(row.ranges.clone());
    }

    /// Forgets all processes.
    pub(super) fn forget_boots(&mut self) {
        self.boots.clear();
    }

    /// When the newest of its processes was last heard of.
    pub(super) fn boots_seen(&self) -> Option<Timestamp> {
        self.boots.iter().map(|boot| boot.used_at).max()
    }

    /// What was seen of its processes, the longest unused first.
    pub(super) fn seen(&self, agent: AgentId) -> Vec<SeenRow> {
        let mut boots: Vec<&Boot> = self.boots.iter().collect();
        boots.sort_by_key(|boot| boot.used_at);
        let row = |boot: &Boot| SeenRow {
            agent,
            boot: boot.name.clone(),
            used_at: boot.used_at,
            ranges: boot.seen.union(&boot.stored).as_slice().to_vec(),
        };
        boots.into_iter().map(row).collect()
    }

    /// The newest heartbeat with those of its series that have a value.
    pub(super) fn newest(&self) -> Option<Batch> {
        let row = self.rows.iter().rev().find(|row| row.ts >= self.whole_from.of(Tier::Raw))?;
        let (keys, values): (Vec<SeriesKey>, Vec<f64>) = row.samples().map(|(key, value)| (key.clone(), value)).unzip();
        Some(Batch { schema: nightbell_model::Schema::new(keys), values: values.into(), ..row.clone() })
    }

    /// When `series`, or any series of that metric, had its last sample.
    pub(super) fn last_ts(&self, series: &SeriesKey) -> Option<Timestamp> {
        let feeds = |key: &SeriesKey| key == series || key.metric() == series.as_str();
        let open = self.rows.iter().rev().take_while(|row| row.ts >= self.whole_from.of(Tier::Raw));
        open.into_iter().find(|row| row.samples().any(|(key, _)| feeds(key))).map(|row| row.ts)
    }

    /// All series that ever had a sample, sorted.
    pub(super) fn series(&self) -> Vec<SeriesKey> {
        let all: BTreeSet<&SeriesKey> = self.rows.iter().flat_map(|row| row.samples().map(|(key, _)| key)).collect();
        all.into_iter().cloned().collect()
    }

    /// Does with the marks what an engine does when it writes buckets; how many.
    pub(super) fn roll_up(&mut self, tier: Tier, now: Timestamp) -> u64 {
        let Some(width) = tier.width_ms() else { return 0 };
        let is_due = |mark: &&(Tier, Timestamp)| mark.0 == tier && mark.1.plus_millis(width + GRACE_MS) <= now;
        let due: Vec<(Tier, Timestamp)> = self.pending.iter().filter(is_due).copied().collect();
        for mark in &due {
            self.pending.remove(mark);
            if let Some(coarser) = Tier::ROLLUPS.into_iter().find(|other| *other > tier) {
                self.pending.insert((coarser, floor(mark.1, coarser)));
            }
        }
        due.len() as u64
    }

    /// Stops looking at what is older than it is kept, but for raw around incidents that fired and ended at these moments; how many
    /// rows that were.
    pub(super) fn retain(&mut self, now: Timestamp, keep: &Retention, incidents: &[(Timestamp, Timestamp)]) -> u64 {
        self.pinned.retain(|span| !retention::pinned(incidents, *span).is_empty());
        if self.kept {
            return 0;
        }
        let before = self.held();
        let old = self.whole_from;
        let pending = self.pending.iter().map(|mark| mark.1).min();
        for (tier, cut) in retention::cuts(now, keep, pending) {
            let is_too_old = |row: &Batch| (old.of(tier)..cut).contains(&floor(row.ts, tier));
            if self.rows.iter().any(is_too_old) {
                self.whole_from.raise(tier, cut);
            }
        }
        self.pinned.extend(retention::pinned(incidents, (old.of(Tier::Raw), self.whole_from.of(Tier::Raw))));
        before - self.held()
    }

    /// The part of a span in which there may be anything, and what is whole there: see the engine's.
    fn span(&self, span: (Timestamp, Timestamp)) -> Option<((Timestamp, Timestamp), WholeFrom)> {
        let (oldest, newest) = self.extent()?;
        let whole_from = self.whole_from.of(Tier::Raw);
        let (mut covered, needed) = (span.0, span.1.min(whole_from));
        for (start, end) in &self.pinned {
            if *start <= covered {
                covered = covered.max(*end);
            }
        }
        if span.0 < whole_from && whole_from > Timestamp::MIN && covered >= needed {
            let pinned = (span.0, span.1.min(newest.plus_millis(1)).max(needed));
            return Some((pinned, self.whole_from.with_raw_from(span.0)));
        }
        clip(span, (oldest, newest)).map(|span| (span, self.whole_from))
    }

    /// The stretches of raw that are kept for incidents, joined where they touch.
    fn kept(&self) -> Vec<(Timestamp, Timestamp)> {
        let mut pinned = self.pinned.clone();
        pinned.sort_unstable();
        retention::joined(pinned)
    }

    /// How many raw rows are held, those kept for incidents left out.
    fn held(&self) -> u64 {
        self.rows.iter().filter(|row| row.ts >= self.whole_from.of(Tier::Raw)).count() as u64
    }

    /// Answers a range query, if the answer has no more than `most_values`.
    pub(super) fn range(&self, query: &RangeQuery, most_values: usize) -> Result<Frame, StoreError> {
        let wanted: Vec<Wanted> = self
            .series()
            .into_iter()
            .filter(|key| query.wants(key))
            .map(|key| Wanted { decimals: decimals_of(key.metric()), key })
            .collect();
        let Some(((start, end), whole_from)) = self.span((query.start, query.end)) else {
            return Ok(Frame::empty(query.start, query.end));
        };
        let raw_points = self.within(start.max(whole_from.of(Tier::Raw)), end).len();
        let (tier, max_points) = (query.tier, query.max_points);
        let read = |raw_points| {
            let mut plan = resolution::plan(&Question { start, end, tier, max_points, raw_points, whole_from });
            if plan.step_ms.is_none() {
                plan.segments = resolution::with_kept(plan.segments, &self.kept());
            }
            let mut assembly = Assembly::new(wanted.clone(), plan.step_ms, end.millis_since(start));
            for segment in &plan.segments {
                self.read(segment.tier, (segment.start, segment.end), &wanted, |time, row| {
                    assembly.row(segment.tier, time, row);
                });
            }
            if assembly.values() > most_values {
                return Err(StoreError::TooMuch { most: most_values });
            }
            Ok(assembly.finish(query.start, query.end))
        };
        resolution::within_budget(tier, max_points, raw_points, read)
    }

    /// Adds what there is of one metric; its decimals, if there is any.
    pub(super) fn steps(&self, query: &FleetQuery, steps: &mut Steps) -> Option<u8> {
        let keys = self.series().into_iter().filter(|key| names(&query.series, key));
        let wanted: Vec<Wanted> = keys.map(|key| Wanted { decimals: decimals_of(key.metric()), key }).collect();
        // Steps are whole, whatever of the first and the last one was asked for.
        let step_ms = query.step_ms.max(1);
        let whole = (query.start.floor_to(step_ms), query.end.plus_millis(step_ms - 1).floor_to(step_ms));
        let span = clip(whole, self.extent()?)?;
        for segment in planned(span, self.whole_from, Some(step_ms)) {
            self.read(segment.tier, (segment.start, segment.end), &wanted, |time, row| {
                row.iter().for_each(|bucket| steps.add(time, bucket));
            });
        }
        wanted.first().map(|wanted| wanted.decimals)
    }

    /// The next page of a long answer.
    pub(super) fn export_page(&self, query: &ExportQuery) -> ExportPage {
        let wanted: Vec<Wanted> =
            query.series.iter().map(|key| Wanted { key: key.clone(), decimals: decimals_of(key.metric()) }).collect();
        let decimals: Vec<u8> = wanted.iter().map(|wanted| wanted.decimals).collect();
        let span = self.span((query.start, query.end));
        let mut segments = span.map(|(span, whole)| planned(span, whole, query.tier.width_ms())).unwrap_or_default();
        if query.tier == Tier::Raw {
            segments = resolution::with_kept(segments, &self.kept());
        }
        let done: Result<ExportPage, Infallible> = export::page(query, &segments, &decimals, |tier, span, rows| {
            self.read(tier, span, &wanted, |time, row| {
                let Ok(()) = rows(time, row);
            });
            Ok(())
        });
        let Ok(page) = done;
        page
    }

    /// Gives the rows or buckets of a tier that start within `span` to `sink`.
    fn read(&self, tier: Tier, span: (Timestamp, Timestamp), wanted: &[Wanted], mut sink: impl FnMut(Timestamp, &[Bucket])) {
        let rows = self.within(span.0, span.1);
        if tier == Tier::Raw {
            return rows.iter().for_each(|row| sink(row.ts, &samples(row, wanted)));
        }
        for bucket in rows.iter().map(|row| floor(row.ts, tier)).collect::<BTreeSet<_>>() {
            if bucket >= span.0 {
                sink(bucket, &self.bucket(tier, bucket, wanted));
            }
        }
    }

    /// Rows with `from <= ts < to`.
    fn within(&self, from: Timestamp, to: Timestamp) -> &[Batch] {
        let edge = |moment: Timestamp| self.rows.partition_point(|row| row.ts < moment);
        self.rows.get(edge(from)..edge(to)).unwrap_or_default()
    }

    /// The oldest and the newest moment at which a tier that is still looked at has something.
    fn extent(&self) -> Option<(Timestamp, Timestamp)> {
        let starts = Tier::ALL.into_iter().flat_map(|tier| {
            let all = self.rows.iter().map(move |row| floor(row.ts, tier));
            all.filter(move |start| *start >= self.whole_from.of(tier))
        });
        let starts: BTreeSet<Timestamp> = starts.collect();
        starts.first().copied().zip(starts.last().copied())
    }

    /// One bucket, from the next finer ones.
    fn bucket(&self, tier: Tier, start: Timestamp, wanted: &[Wanted]) -> Vec<Bucket> {
        let mut columns = vec![Bucket::default(); wanted.len()];
        let rows = self.within(start, start.plus_millis(tier.width_ms().unwrap_or(0)));
        let parts: Vec<Vec<Bucket>> = match Tier::ROLLUPS.into_iter().rfind(|finer| *finer < tier) {
            None => rows.iter().map(|row| samples(row, wanted)).collect(),
            Some(finer) => {
                let starts: BTreeSet<Timestamp> = rows.iter().map(|row| floor(row.ts, finer)).collect();
                starts.into_iter().map(|start| self.bucket(finer, start, wanted)).collect()
            }
        };
        for part in parts {
            columns.iter_mut().zip(&part).for_each(|(column, part)| column.merge(part));
        }
        columns
    }
}

fn planned((start, end): (Timestamp, Timestamp), whole_from: WholeFrom, step_ms: Option<i64>) -> Vec<resolution::Segment> {
    let question = Question { start, end, tier: None, max_points: 0, raw_points: 0, whole_from };
    resolution::segments(&question, step_ms)
}

/// The samples of one row as buckets of at most one.
fn samples(row: &Batch, wanted: &[Wanted]) -> Vec<Bucket> {
    let bucket = |wanted: &Wanted| {
        let value = row.value(&wanted.key)?;
        Some(Bucket::of(Sample::of(value, wanted.decimals), wanted.decimals))
    };
    wanted.iter().map(|wanted| bucket(wanted).unwrap_or_default()).collect()
}
