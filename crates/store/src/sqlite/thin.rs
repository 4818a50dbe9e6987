//! Keeps the file under its cap: what would make it larger goes before its age, oldest raw first, then ever coarser buckets, and last
//! what is kept for incidents.

use super::failure::{Answer, Met};
use super::upkeep::room_under;
use super::{SqliteStore, expire};
use crate::seams::{LeaseToken, Retention, StoreError};
use nightbell_model::{Tier, Timestamp};

const HOUR_MS: i64 = 3_600_000;

/// So much of a tier is always kept, in milliseconds.
const fn least_ms(tier: Tier) -> i64 {
    match tier {
        Tier::Raw => 2 * HOUR_MS,
        Tier::FiveMinutes => 24 * HOUR_MS,
        Tier::Hourly => 48 * HOUR_MS,
        Tier::Daily => 7 * 24 * HOUR_MS,
    }
}

/// The ages of `keep` with less of a tier: an eighth less, and at least an hour; `None` if no less of it is allowed.
fn less(keep: &Retention, tier: Tier) -> Option<Retention> {
    let old = keep.of(tier);
    let new = (old - (old / 8).max(HOUR_MS)).max(least_ms(tier));
    let mut less = *keep;
    *match tier {
        Tier::Raw => &mut less.raw_ms,
        Tier::FiveMinutes => &mut less.five_minutes_ms,
        Tier::Hourly => &mut less.hourly_ms,
        Tier::Daily => &mut less.daily_ms,
    } = new;
    (new < old).then_some(less)
}

impl SqliteStore {
    /// Removes history early until the file fits its cap; how many rows.
    pub(super) fn thin(&self, lease: LeaseToken, now: Timestamp, keep: &Retention) -> Result<u64, StoreError> {
        let Some(cap) = keep.max_bytes.map(room_under) else { return Ok(0) };
        let (mut removed, mut keep) = (0, *keep);
        let mut used = self.used_bytes()?;
        if used <= cap {
            return Ok(0);
        }
        for tier in Tier::ALL {
            keep = self.younger(now, keep, tier)?;
            while used > cap
                && let Some(less) = less(&keep, tier)
            {
                keep = less;
                // What damage keeps from going is not to be made up for by what is sound.
                let mut met = Met::default();
                removed += self.remove_history(lease, now, &keep, &mut met)?;
                met.end()?;
                used = self.used_bytes()?;
            }
        }
        while used > cap {
            let gone = self.slice(lease, expire::give_up_pins)?;
            if gone == 0 {
                tracing::warn!(used, room = cap, "the file is larger than its cap and holds nothing more that may go");
                break;
            }
            removed += gone as u64;
            used = self.used_bytes()?;
        }
        tracing::warn!(
            room = cap,
            used,
            removed,
            raw_ms = keep.raw_ms,
            "history was removed before its age: the file has reached its cap"
        );
        Ok(removed)
    }

    /// The ages of `keep` with no more of a tier than there is.
    fn younger(&self, now: Timestamp, mut keep: Retention, tier: Tier) -> Result<Retention, StoreError> {
        if tier == Tier::Raw {
            let oldest = self.readers.read("look for the oldest history", |connection| {
                let sql = "SELECT min(start) FROM (SELECT (SELECT min(start) FROM agent_chunks WHERE agent = key AND pinned = 0) \
                           AS start FROM agent_keys)";
                let oldest: Option<i64> = connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
                Ok(oldest)
            })?;
            if let Some(oldest) = oldest {
                keep.raw_ms = keep.raw_ms.min(now.as_millis().saturating_sub(oldest)).max(least_ms(tier));
            }
        }
        Ok(keep)
    }

    /// The bytes of all pages in use.
    fn used_bytes(&self) -> Result<u64, StoreError> {
        self.readers.read("measure the store", |connection| {
            let ask = |sql| -> Answer<i64> { Ok(connection.query_row(sql, [], |row| row.get(0))?) };
            let pages = ask("PRAGMA page_count")? - ask("PRAGMA freelist_count")?;
            Ok((pages.saturating_mul(ask("PRAGMA page_size")?)).unsigned_abs())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_ever_less_of_a_tier_until_its_least() {
        let mut keep = Retention::default();
        let mut steps = 0;
        while let Some(less) = less(&keep, Tier::Raw) {
            assert!(less.raw_ms < keep.raw_ms && less.five_minutes_ms == keep.five_minutes_ms);
            keep = less;
            steps += 1;
        }
        assert_eq!((keep.raw_ms, steps < 60), (2 * HOUR_MS, true), "{steps}");
    }
}
