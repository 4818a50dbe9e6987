//! The model in memory: both seams, as simply as they can be said. Engines are compared with it, and others test with it.
//! Nothing outlives it, and it forgets no history: what is "removed" is only not looked at any more.

mod history;
mod outbox;
mod state;

use crate::entities::{AuditEntry, Change, Commit, Delivery, DeliveryState, Loaded, Settled, Waiting};
use crate::fleet::{Steps, Sums};
use crate::mark::mark;
use crate::seams::{
    Attachment, Damaged, DeliveryCommand, DeliveryQuery, EventQuery, ExportPage, ExportQuery, FleetFrame, FleetQuery,
    Housekeeping, Imported, IncidentQuery, LeaseToken, LoggedEvent, MetricStore, Page, RangeQuery, Retention, ScrubPlace,
    ScrubReport, SealPolicy, StateStore, StoreError, StoreStats,
};
use crate::survey::FleetSurvey;
use history::History;
use nightbell_alerts::IncidentRecord;
use nightbell_model::{AgentId, Batch, Frame, IncidentId, SeriesKey, Tier, Timestamp, Ulid};
use state::State;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A store that lives as long as the program.
#[derive(Debug, Default)]
pub struct MemoryStore {
    model: Mutex<Model>,
}

#[derive(Debug, Default)]
struct Model {
    lease: Option<LeaseToken>,
    state: State,
    histories: BTreeMap<AgentId, History>,
    metrics: BTreeSet<String>,
    last_commit: Option<([u8; 16], Vec<LoggedEvent>)>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writable(&self, lease: LeaseToken) -> Result<MutexGuard<'_, Model>, StoreError> {
        let model = self.model();
        if model.lease == Some(lease) {
            return Ok(model);
        }
        Err(StoreError::Conflict("the right to write was taken over by another hub".to_owned()))
    }
}

impl Model {
    fn append(&mut self, batches: &[Batch]) {
        for batch in batches {
            if self.histories.entry(batch.agent).or_default().append(batch) {
                self.metrics.extend(batch.samples().map(|(key, _)| key.metric().to_owned()));
                if batch.boot_seq.is_none() {
                    self.state.seen_alive(batch.agent, batch.received);
                }
            }
        }
    }

    fn commit(&mut self, commit: &Commit) -> Vec<LoggedEvent> {
        let is_there = |state: &State, agent| !commit.enrolled_only || state.has_agent(agent);
        let kept: Vec<Batch> = commit.batches.iter().filter(|batch| is_there(&self.state, batch.agent)).cloned().collect();
        self.append(&kept);
        for row in commit.seen.iter().filter(|row| is_there(&self.state, row.agent)) {
            let stored_now = commit
                .batches
                .iter()
                .any(|batch| batch.agent == row.agent && batch.boot_seq.as_ref().is_some_and(|(boot, _)| *boot == row.boot));
            self.histories.entry(row.agent).or_default().note_seen(row, stored_now);
        }
        for (agent, received) in &commit.alive {
            self.state.seen_alive(*agent, *received);
        }
        self.state.write(&commit.effects);
        let Some(mark) = mark(commit) else { return Vec::new() };
        if let Some((last, lines)) = &self.last_commit
            && *last == mark
        {
            return lines.clone();
        }
        commit.audit.iter().for_each(|entry| self.state.write_audit(entry));
        let cancelled: Vec<_> = commit.outbox.iter().filter_map(|row| self.state.outbox.put(row)).collect();
        let lines: Vec<LoggedEvent> = commit.effects.events.iter().chain(&cancelled).map(|event| self.state.log(event)).collect();
        self.last_commit = Some((mark, lines.clone()));
        lines
    }
}

impl MetricStore for MemoryStore {
    fn append(&self, lease: LeaseToken, batches: &[Batch]) -> Result<(), StoreError> {
        self.writable(lease)?.append(batches);
        Ok(())
    }

    fn range_within(&self, query: &RangeQuery, most_values: usize) -> Result<Frame, StoreError> {
        let model = self.model();
        let empty = || Ok(Frame::empty(query.start, query.end));
        model.histories.get(&query.agent).map_or_else(empty, |history| history.range(query, most_values))
    }

    fn series(&self, agent: AgentId) -> Result<Vec<SeriesKey>, StoreError> {
        Ok(self.model().histories.get(&agent).map(History::series).unwrap_or_default())
    }

    fn knows_metric(&self, metric: &str) -> Result<bool, StoreError> {
        Ok(self.model().metrics.contains(metric))
    }

    fn roll_up(&self, lease: LeaseToken, now: Timestamp) -> Result<Housekeeping, StoreError> {
        let mut model = self.writable(lease)?;
        let mut buckets = 0;
        for tier in Tier::ROLLUPS {
            buckets += model.histories.values_mut().map(|history| history.roll_up(tier, now)).sum::<u64>();
        }
        Ok(Housekeeping { buckets, ..Housekeeping::default() })
    }

    fn retain(&self, lease: LeaseToken, now: Timestamp, keep: &Retention) -> Result<Housekeeping, StoreError> {
        let mut model = self.writable(lease)?;
        let Model { histories, state, .. } = &mut *model;
        let rows: u64 = histories.iter_mut().map(|(agent, history)| history.retain(now, keep, &state.spans(*agent))).sum();
        let removed = rows + state.retain(keep.logs_from(now), Retention::dead_from(now));
        Ok(Housekeeping { removed, ..Housekeeping::default() })
    }

    fn seal(&self, lease: LeaseToken, now: Timestamp, policy: &SealPolicy) -> Result<Housekeeping, StoreError> {
        let mut model = self.writable(lease)?;
        model.histories.values_mut().for_each(|history| history.seal(now, policy));
        Ok(Housekeeping::default())
    }

    fn scrub(&self, lease: LeaseToken, _now: Timestamp, place: &mut ScrubPlace) -> Result<ScrubReport, StoreError> {
        drop(self.writable(lease)?);
        *place = ScrubPlace::default();
        Ok(ScrubReport { is_round: true, ..ScrubReport::default() })
    }

    fn fleet(&self, query: &FleetQuery) -> Result<FleetFrame, StoreError> {
        let model = self.model();
        let (mut sums, mut steps) = (Sums::new(query), Steps::new(query));
        for agent in sums.agents() {
            steps.clear();
            let decimals = model.histories.get(&agent).and_then(|history| history.steps(query, &mut steps));
            if let Some(decimals) = decimals {
                sums.add(agent, &steps, decimals);
            }
        }
        Ok(sums.finish())
    }

    fn survey(&self, survey: &mut FleetSurvey, _most_rows: usize) -> Result<(), StoreError> {
        let Some(agent) = survey.next_agent() else { return Ok(()) };
        if let Some(history) = self.model().histories.get(&agent) {
            let metrics: BTreeSet<String> = history.series().iter().map(|key| key.metric().to_owned()).collect();
            for metric in metrics {
                let query = survey.of(&metric);
                let mut steps = Steps::new(&query);
                if let Some(decimals) = history.steps(&query, &mut steps) {
                    survey.add(&metric, &steps, decimals);
                }
            }
        }
        survey.pass();
        Ok(())
    }

    fn export_page(&self, query: &ExportQuery) -> Result<ExportPage, StoreError> {
        let model = self.model();
        let history = model.histories.get(&query.agent);
        Ok(history.map_or_else(|| History::default().export_page(query), |history| history.export_page(query)))
    }

    fn revision(&self, agent: AgentId, start: Timestamp, end: Timestamp) -> Result<Option<u64>, StoreError> {
        Ok(self.model().histories.get(&agent).and_then(|history| history.revision((start, end))))
    }

    fn import(&self, lease: LeaseToken, agent: AgentId, batches: &[Batch], keep: bool) -> Result<Imported, StoreError> {
        let mut model = self.writable(lease)?;
        let Model { histories, metrics, .. } = &mut *model;
        let history = histories.entry(agent).or_default();
        history.kept |= keep;
        Ok(history.import(agent, batches, metrics))
    }

    fn damage(&self, _agent: AgentId, _start: Timestamp, _end: Timestamp) -> Result<Vec<Damaged>, StoreError> {
        Ok(Vec::new())
    }

    fn stats(&self) -> Result<StoreStats, StoreError> {
        Ok(StoreStats::default())
    }
}

impl StateStore for MemoryStore {
    fn acquire(&self, owner: Ulid, _now: Timestamp) -> Result<LeaseToken, StoreError> {
        let mut model = self.model();
        let lease = LeaseToken { owner, epoch: model.lease.map_or(1, |lease| lease.epoch + 1) };
        model.lease = Some(lease);
        model.state.outbox.requeue_all();
        Ok(lease)
    }

    fn load(&self) -> Result<Loaded, StoreError> {
        let model = self.model();
        Ok(model.state.load(&model.histories))
    }

    fn commit(&self, lease: LeaseToken, commit: &Commit) -> Result<Vec<LoggedEvent>, StoreError> {
        Ok(self.writable(lease)?.commit(commit))
    }

    fn apply(&self, lease: LeaseToken, changes: &[Change], audit: Option<&AuditEntry>) -> Result<Vec<LoggedEvent>, StoreError> {
        let mut model = self.writable(lease)?;
        let mut changed = model.state.clone();
        let mut logged = Vec::new();
        for change in changes {
            changed.apply(change, &mut logged)?;
        }
        audit.into_iter().for_each(|entry| changed.write_audit(entry));
        model.state = changed;
        for change in changes {
            if let Change::DeleteAgent { id, purge } = change {
                if *purge {
                    model.histories.remove(id);
                } else if let Some(history) = model.histories.get_mut(id) {
                    history.forget_boots();
                }
            }
        }
        Ok(logged)
    }

    fn waiting(&self, until: Timestamp) -> Result<Vec<Waiting>, StoreError> {
        Ok(self.model().state.outbox.waiting(until))
    }

    fn claim(
        &self,
        lease: LeaseToken,
        now: Timestamp,
        until: Timestamp,
        messages: &[Vec<Ulid>],
    ) -> Result<Vec<Vec<Delivery>>, StoreError> {
        Ok(self.writable(lease)?.state.outbox.claim(now, until, messages))
    }

    fn shift_deliveries(&self, lease: LeaseToken, by_ms: i64) -> Result<(), StoreError> {
        self.writable(lease)?.state.outbox.shift(by_ms);
        Ok(())
    }

    fn pull_back_deliveries(&self, lease: LeaseToken, now: Timestamp, longest_ms: i64) -> Result<usize, StoreError> {
        Ok(self.writable(lease)?.state.outbox.pull_back(now, longest_ms))
    }

    fn note_progress(&self, lease: LeaseToken, id: Ulid, progress_json: &str) -> Result<(), StoreError> {
        self.writable(lease)?.state.outbox.note_progress(id, progress_json);
        Ok(())
    }

    fn settle(&self, lease: LeaseToken, results: &[(Ulid, Settled)], now: Timestamp) -> Result<(), StoreError> {
        let mut model = self.writable(lease)?;
        results.iter().for_each(|(id, settled)| model.state.outbox.settle(*id, settled, now));
        Ok(())
    }

    fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.model().state.outbox.next_due())
    }

    fn command_delivery(
        &self,
        lease: LeaseToken,
        id: Ulid,
        command: DeliveryCommand,
        now: Timestamp,
    ) -> Result<Delivery, StoreError> {
        self.writable(lease)?.state.outbox.command(id, command, now)
    }

    fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<Delivery>, StoreError> {
        Ok(self.model().state.outbox.list(query))
    }

    fn delivery(&self, id: Ulid) -> Result<Option<Delivery>, StoreError> {
        Ok(self.model().state.outbox.one(id))
    }

    fn delivery_counts(&self) -> Result<Vec<(DeliveryState, u64)>, StoreError> {
        Ok(self.model().state.outbox.counts())
    }

    fn incidents(&self, query: &IncidentQuery) -> Result<Page<IncidentRecord>, StoreError> {
        Ok(self.model().state.incidents_page(query))
    }

    fn incident(&self, id: IncidentId) -> Result<Option<(IncidentRecord, Vec<Attachment>)>, StoreError> {
        Ok(self.model().state.incident(id))
    }

    fn events(&self, query: &EventQuery) -> Result<Page<LoggedEvent>, StoreError> {
        Ok(self.model().state.events_page(query))
    }

    fn audit(&self, before: Option<u64>, limit: usize) -> Result<Page<AuditEntry>, StoreError> {
        Ok(self.model().state.audit_page(before, limit))
    }
}

/// Newest first: of rows numbered from 1, at most `limit` below `before`.
fn page<T: Clone>(rows: impl DoubleEndedIterator<Item = (u64, T)>, before: Option<u64>, limit: usize) -> Page<T> {
    let mut found: Vec<(u64, T)> =
        rows.rev().filter(|row| before.is_none_or(|before| row.0 < before)).take(limit.saturating_add(1)).collect();
    let has_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| has_more).map(|row| row.0);
    Page { items: found.into_iter().map(|row| row.1).collect(), next }
}
