//! What an agent measures more seldom than it sends heartbeats (its disks' own health, once an hour): remembered beside its newest
//! heartbeat, each value with its own time, until it is too old for its own period.

use nightbell_model::{Batch, Schema, SeriesKey, Timestamp, catalogue};
use std::sync::Arc;

/// So many periods, or intervals if those are longer, may pass without a new value: the hole of ALERTING.md, section 1.
pub(crate) const PERIODS: i64 = 3;

/// A value that may be older than the newest heartbeat.
#[derive(Debug, Clone, PartialEq)]
pub struct Older {
    /// Of which series.
    pub key: SeriesKey,
    /// When it was measured.
    pub at: Timestamp,
    /// What was measured.
    pub value: f64,
    /// How often the metric is measured, in milliseconds.
    period_ms: i64,
}

/// The newest values of an agent's slow series.
#[derive(Debug, Clone, Default)]
pub struct Slow {
    known: Arc<[Older]>,
    /// The last schema that was looked at, and where it has slow series: agents send the same one again and again.
    seen: Option<(Arc<Schema>, Box<[Place]>)>,
}

/// Where a slow series stands in a schema, and how often it is measured, in milliseconds.
type Place = (usize, i64);

impl Slow {
    /// Takes what a heartbeat of the host says of slow series, and forgets what is too old by its time. Of containers nothing is
    /// slow; their own messages between those of the host would have each schema looked through every time.
    pub(crate) fn take(&mut self, batch: &Batch, interval_ms: i64) {
        let is_seen = self.seen.as_ref().is_some_and(|(schema, _)| Arc::ptr_eq(schema, &batch.schema));
        if !is_seen {
            self.seen = Some((Arc::clone(&batch.schema), places(&batch.schema)));
        }
        let places = self.seen.as_ref().map(|(_, places)| &**places).unwrap_or_default();
        let allowed = |older: &Older| PERIODS * older.period_ms.max(interval_ms);
        let is_stale = |older: &Older| batch.ts.millis_since(older.at) > allowed(older);
        if places.is_empty() && !self.known.iter().any(is_stale) {
            return;
        }
        let mut known: Vec<Older> = self.known.iter().filter(|older| !is_stale(older)).cloned().collect();
        for (at, period_ms) in places {
            let (Some(key), Some(value)) = (batch.schema.keys().get(*at), batch.values.get(*at)) else { continue };
            if value.is_nan() || known.iter().any(|older| older.key == *key && older.at > batch.ts) {
                continue;
            }
            known.retain(|older| older.key != *key);
            known.push(Older { key: key.clone(), at: batch.ts, value: *value, period_ms: *period_ms });
        }
        self.known = known.into();
    }

    /// What the heartbeat `latest` does not say itself.
    pub(crate) fn beside<'a>(&'a self, latest: Option<&'a Batch>) -> impl Iterator<Item = &'a Older> {
        let is_said = move |key: &SeriesKey| latest.and_then(|batch| batch.value(key)).is_some_and(|value| !value.is_nan());
        self.known.iter().filter(move |older| !is_said(&older.key))
    }

    /// The clock was set by `step_ms`.
    pub(crate) fn shift(&mut self, step_ms: i64) {
        let moved = |older: &Older| Older { at: older.at.plus_millis(step_ms), ..older.clone() };
        self.known = self.known.iter().map(moved).collect();
    }
}

/// How often a series is measured that has a period of its own, in milliseconds.
pub(crate) fn period_ms(key: &SeriesKey) -> Option<i64> {
    catalogue::find(key.metric())?.period_ms
}

/// Where a schema has series that are measured at periods of their own.
fn places(schema: &Schema) -> Box<[Place]> {
    schema.keys().iter().enumerate().filter_map(|(at, key)| Some((at, period_ms(key)?))).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use nightbell_model::AgentId;

    /// A heartbeat measured so many seconds after the epoch.
    pub(crate) fn batch(secs: i64, values: &[(&str, f64)]) -> Batch {
        let keys = values.iter().map(|(key, _)| key.parse().expect("a key")).collect();
        Batch {
            agent: AgentId::from_bits(1),
            ts: Timestamp::from_secs(secs),
            received: Timestamp::from_secs(secs),
            boot_seq: None,
            schema: Schema::new(keys),
            values: values.iter().map(|(_, value)| *value).collect(),
        }
    }

    #[test]
    fn what_is_measured_by_the_hour_is_known_for_three() {
        const SDA: &str = "smart.healthy{device=sda}";
        let mut slow = Slow::default();
        let mut check = |taken: Batch, expected: &[(i64, f64)]| {
            slow.take(&taken, 15_000);
            let shown: Vec<(i64, f64)> =
                slow.beside(Some(&taken)).map(|older| (older.at.as_millis() / 1000, older.value)).collect();
            assert_eq!(shown, expected, "{taken:?}");
        };
        check(batch(0, &[("cpu.usage_percent", 1.0)]), &[]);
        check(batch(15, &[("cpu.usage_percent", 1.0), (SDA, 1.0)]), &[]);
        check(batch(30, &[("cpu.usage_percent", 1.0)]), &[(15, 1.0)]);
        check(batch(45, &[("cpu.usage_percent", 1.0), (SDA, f64::NAN)]), &[(15, 1.0)]);
        check(batch(3615, &[(SDA, 0.0)]), &[]);
        check(batch(10, &[(SDA, 1.0)]), &[]);
        check(batch(3630, &[]), &[(3615, 0.0)]);
        check(batch(3615 + 3 * 3600, &[]), &[(3615, 0.0)]);
        check(batch(3616 + 3 * 3600, &[]), &[]);
    }
}
