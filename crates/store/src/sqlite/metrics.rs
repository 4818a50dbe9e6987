//! The history seam on SQLite. Housekeeping goes in slices and lets commits in between.

use super::cache::Cache;
use super::failure::{Answer, Met};
use super::retain::{DEAD, LOGS};
use super::{SqliteStore, commit, expire, held, import, prune, quarantine, questions, range, retain, rollups, survey};
use crate::entities::Commit;
use crate::seams::{
    Damaged, ExportPage, ExportQuery, FleetFrame, FleetQuery, Housekeeping, Imported, LeaseToken, MetricStore, RangeQuery,
    Retention, ScrubPlace, ScrubReport, SealPolicy, StoreError, StoreStats,
};
use crate::survey::FleetSurvey;
use nightbell_model::{AgentId, Batch, Frame, SeriesKey, Tier, Timestamp};
use rusqlite::{OptionalExtension, Transaction};
use std::sync::{MutexGuard, PoisonError};

/// So many agents' dictionaries are looked at while commits wait.
const AGENTS_AT_ONCE: usize = 20;

impl MetricStore for SqliteStore {
    fn append(&self, lease: LeaseToken, batches: &[Batch]) -> Result<(), StoreError> {
        let mut writer = self.gate.urgent();
        writer.check(lease)?;
        let only = Commit { batches: batches.to_vec(), ..Commit::default() };
        writer.write("store heartbeats", |connection, cache| commit::commit(connection, cache, &only)).map(drop)
    }

    fn range_within(&self, query: &RangeQuery, most_values: usize) -> Result<Frame, StoreError> {
        self.readers.read("read history", |connection| range::range(connection, &self.sight(), query, most_values))
    }

    fn series(&self, agent: AgentId) -> Result<Vec<SeriesKey>, StoreError> {
        self.readers.read("list series", |connection| range::series(connection, &self.sight(), agent))
    }

    fn knows_metric(&self, metric: &str) -> Result<bool, StoreError> {
        self.readers.read("look for a metric", |connection| {
            let mut select = connection.prepare_cached("SELECT 1 FROM metric_names WHERE name = ?1")?;
            Ok(select.query_row([metric], |_row| Ok(())).optional()?.is_some())
        })
    }

    fn roll_up(&self, lease: LeaseToken, now: Timestamp) -> Result<Housekeeping, StoreError> {
        let mut done = Housekeeping::default();
        let mut damaged = Ok(());
        for tier in Tier::ROLLUPS {
            let mut passed = rollups::Passed::default();
            loop {
                let _slice = self.housekeeping();
                let mut writer = self.gate.patient(lease)?;
                let work = |connection: &Transaction<'_>, cache: &mut Cache| {
                    rollups::slice(connection, cache, &self.sight(), (tier, now), &mut passed)
                };
                match writer.write("roll up history", work) {
                    Ok((buckets, more)) => {
                        done.buckets += buckets;
                        if !more {
                            break;
                        }
                    }
                    Err(error) => passed.over(error)?,
                }
            }
            let lost = passed.lost(now);
            if !lost.is_empty() {
                let mut writer = self.gate.patient(lease)?;
                writer.write("give buckets up", |connection, cache| {
                    rollups::give_up(connection, cache, &self.sight(), tier, &lost)
                })?;
            }
            damaged = damaged.and(passed.end());
        }
        damaged?;
        Ok(done)
    }

    fn retain(&self, lease: LeaseToken, now: Timestamp, keep: &Retention) -> Result<Housekeeping, StoreError> {
        let mut met = Met::default();
        let mut removed = self.remove_history(lease, now, keep, &mut met)?;
        let thinned = self.thin(lease, now, keep);
        removed += met.past(thinned)?.unwrap_or(0);
        removed += met.past(self.purge(lease))?.unwrap_or(0);
        let logs = LOGS.map(|sql| (sql, keep.logs_from(now)));
        for (sql, before) in logs.into_iter().chain([(DEAD, Retention::dead_from(now))]) {
            let cut = self.slices(lease, |connection| Ok(Some(retain::cut_log(connection, sql, before)?).filter(|cut| *cut > 0)));
            removed += met.past(cut)?.unwrap_or(0);
        }
        met.end()?;
        self.give_back_space(lease, keep.max_bytes)?;
        Ok(Housekeeping { removed, ..Housekeeping::default() })
    }

    fn seal(&self, lease: LeaseToken, now: Timestamp, policy: &SealPolicy) -> Result<Housekeeping, StoreError> {
        self.seal_due(lease, now, policy)
    }

    fn scrub(&self, lease: LeaseToken, now: Timestamp, place: &mut ScrubPlace) -> Result<ScrubReport, StoreError> {
        self.scrub_next(lease, now, place)
    }

    fn fleet(&self, query: &FleetQuery) -> Result<FleetFrame, StoreError> {
        self.readers.read("read the fleet's history", |connection| questions::fleet(connection, &self.sight(), query))
    }

    fn survey(&self, survey: &mut FleetSurvey, most_rows: usize) -> Result<(), StoreError> {
        self.readers.read("read the fleet's history", |connection| survey::some(connection, &self.sight(), survey, most_rows))
    }

    fn export_page(&self, query: &ExportQuery) -> Result<ExportPage, StoreError> {
        self.readers.read("read history", |connection| questions::export_page(connection, &self.sight(), query))
    }

    fn revision(&self, agent: AgentId, start: Timestamp, end: Timestamp) -> Result<Option<u64>, StoreError> {
        self.readers.read("look for changes of history", |connection| questions::revision(connection, agent, (start, end)))
    }

    fn import(&self, lease: LeaseToken, agent: AgentId, batches: &[Batch], keep: bool) -> Result<Imported, StoreError> {
        let mut done = Imported::default();
        if keep {
            let mut writer = self.gate.patient(lease)?;
            writer.write("keep history", |connection, cache| import::keep(connection, cache, agent))?;
        }
        for slice in batches.chunks(import::SLICE) {
            let mut writer = self.gate.patient(lease)?;
            let part = writer
                .write("import history", |connection, cache| import::slice(connection, cache, &self.noted, (agent, slice)))?;
            done.stored += part.stored;
            done.duplicates += part.duplicates;
            done.too_old += part.too_old;
        }
        Ok(done)
    }

    fn damage(&self, agent: AgentId, start: Timestamp, end: Timestamp) -> Result<Vec<Damaged>, StoreError> {
        self.readers.read("look for damage", |connection| {
            let Some(held) = held::of(connection, agent)? else { return Ok(Vec::new()) };
            let mut found = quarantine::of(connection, held.key, (start, end))?;
            found.extend(self.noted.of(held.key, start, end));
            found.sort_by_key(|damaged| (damaged.start, damaged.end));
            found.dedup_by_key(|damaged| (damaged.start, damaged.end));
            Ok(found)
        })
    }

    fn stats(&self) -> Result<StoreStats, StoreError> {
        Ok(StoreStats { bytes: self.size_bytes(), damaged: self.noted.count() })
    }
}

impl SqliteStore {
    /// The turn for a slice of housekeeping: slices of several jobs never overlap.
    pub(super) fn housekeeping(&self) -> MutexGuard<'_, ()> {
        self.housekeeping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Raises what tiers are whole from, agent by agent, then removes what lies before.
    pub(super) fn remove_history(
        &self,
        lease: LeaseToken,
        now: Timestamp,
        keep: &Retention,
        met: &mut Met,
    ) -> Result<u64, StoreError> {
        let cuts = self.raise(lease, now, keep, met)?;
        let horizon = now.plus_millis(-keep.raw_ms);
        let (mut next, mut removed) = (Some(0), 0);
        while let Some(after) = next {
            let oldest = self.slice(lease, |connection| retain::remove_oldest(connection, after, horizon));
            let (count, last) = met.past(oldest)?.unwrap_or((0, None));
            removed += count as u64;
            next = last;
        }
        for cut in cuts.iter().filter(|cut| Tier::ALL.into_iter().any(|tier| cut.before(tier).is_some())) {
            let gone = self.slices(lease, |connection| {
                let gone = expire::slice(connection, &self.noted, cut, now)?;
                Ok(Some(gone).filter(|gone| *gone > 0))
            });
            removed += met.past(gone)?.unwrap_or(0);
        }
        self.forget_series(lease, now, keep, (&cuts, met))?;
        Ok(removed)
    }

    /// Raises what the tiers of all agents are whole from, but of those of which that cannot be told.
    fn raise(&self, lease: LeaseToken, now: Timestamp, keep: &Retention, met: &mut Met) -> Result<Vec<retain::Cut>, StoreError> {
        let (mut after, mut most, mut cuts) = (0, retain::AGENTS, Vec::new());
        loop {
            let mut at = after;
            let mut writer = self.gate.patient(lease)?;
            let raised = writer
                .write("remove history", |connection, cache| retain::raise(connection, cache, (after, most, &mut at), now, keep));
            match met.past(raised)? {
                Some(raised) => {
                    let Some(last) = raised.last() else { return Ok(cuts) };
                    after = last.key();
                    cuts.extend(raised);
                }
                // From here on one by one, past those that fail.
                None if most > 1 => most = 1,
                None if at > after => after = at,
                None => return Ok(cuts),
            }
        }
    }

    /// Removes histories that are cut off from their agents.
    fn purge(&self, lease: LeaseToken) -> Result<u64, StoreError> {
        let mut removed = 0;
        loop {
            let _slice = self.housekeeping();
            let mut writer = self.gate.patient(lease)?;
            match writer.write("remove history", |connection, cache| retain::purge(connection, cache))? {
                Some(count) => removed += count as u64,
                None => return Ok(removed),
            }
        }
    }

    /// Forgets series of these agents that nothing refers to any more.
    fn forget_series(
        &self,
        lease: LeaseToken,
        now: Timestamp,
        keep: &Retention,
        (cuts, met): (&[retain::Cut], &mut Met),
    ) -> Result<(), StoreError> {
        for some in cuts.chunks(AGENTS_AT_ONCE) {
            let _slice = self.housekeeping();
            let mut writer = self.gate.patient(lease)?;
            let forgotten = writer.write("forget unused series", |connection, cache| {
                some.iter().try_for_each(|cut| prune::agent(connection, cache, cut.key(), now, keep).map(drop))
            });
            met.past(forgotten)?;
        }
        Ok(())
    }

    /// Does one slice of housekeeping in a transaction of its own.
    pub(super) fn slice<T>(
        &self,
        lease: LeaseToken,
        work: impl FnOnce(&rusqlite::Connection) -> Answer<T>,
    ) -> Result<T, StoreError> {
        let _slice = self.housekeeping();
        let mut writer = self.gate.patient(lease)?;
        writer.write("remove history", |connection, _| work(connection))
    }

    /// Does slices until there is nothing left to do; how many rows that were.
    pub(super) fn slices(
        &self,
        lease: LeaseToken,
        work: impl Fn(&rusqlite::Connection) -> Answer<Option<usize>>,
    ) -> Result<u64, StoreError> {
        let mut removed = 0;
        while let Some(count) = self.slice(lease, &work)? {
            removed += count as u64;
        }
        Ok(removed)
    }
}
