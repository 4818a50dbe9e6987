//! A store in memory that keeps effects as a real one would, and checks what a real one would refuse.

use nightbell_alerts::{Effects, Event, IncidentRecord, InstanceKey, InstanceRecord, NoticeKind, Saved, State, ToldRecord};
use nightbell_model::{AgentId, Batch, ChannelId, Column, Frame, IncidentId, SeriesKey, Tier, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// The time of a heartbeat and what was measured.
type Row = (Timestamp, Vec<(SeriesKey, f64)>);

/// Everything that survives a restart.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Store {
    pub(crate) instances: BTreeMap<InstanceKey, InstanceRecord>,
    pub(crate) told: BTreeMap<(InstanceKey, ChannelId), ToldRecord>,
    pub(crate) incidents: BTreeMap<IncidentId, IncidentRecord>,
    pub(crate) events: Vec<Event>,
    /// The keys of the outbox: unique by (incident, kind, n, channel).
    outbox: BTreeSet<(IncidentId, NoticeKind, u32, ChannelId)>,
    /// The newest usable sample of each series.
    newest: BTreeMap<(AgentId, SeriesKey), Timestamp>,
    last_ts: BTreeMap<AgentId, Timestamp>,
    /// Everything that was measured, for rules that look back.
    history: BTreeMap<AgentId, Vec<Row>>,
    pub(crate) last_seen: BTreeMap<AgentId, Timestamp>,
    /// Whether the newest connection was closed cleanly, and on purpose.
    pub(crate) closed: BTreeMap<AgentId, (bool, bool)>,
}

impl Store {
    pub(crate) fn append(&mut self, batch: &Batch) {
        let later = |slot: &mut Timestamp, at: Timestamp| *slot = (*slot).max(at);
        for (series, _) in batch.samples() {
            let bare = SeriesKey::new(series.metric(), &[]).unwrap();
            later(self.newest.entry((batch.agent, series.clone())).or_insert(batch.ts), batch.ts);
            later(self.newest.entry((batch.agent, bare)).or_insert(batch.ts), batch.ts);
        }
        let samples = batch.samples().map(|(key, value)| (key.clone(), value)).collect();
        self.history.entry(batch.agent).or_default().push((batch.ts, samples));
        later(self.last_ts.entry(batch.agent).or_insert(batch.ts), batch.ts);
        later(self.last_seen.entry(batch.agent).or_insert(batch.received), batch.received);
        self.closed.remove(&batch.agent);
    }

    pub(crate) fn apply(&mut self, effects: &Effects) {
        for record in &effects.instances {
            let open = record.state == State::Firing || record.was_firing;
            assert_eq!(open, record.incident.is_some(), "only an open alert has an incident: {record:?}");
            self.instances.insert(record.key.clone(), InstanceRecord { last_ts: None, ..record.clone() });
        }
        for told in &effects.told {
            let blank = ToldRecord {
                told: None,
                told_nodata: None,
                last_fired_at: None,
                last_said_at: None,
                suppressed: 0,
                repeats: 0,
                ..told.clone()
            };
            let slot = (told.key.clone(), told.channel);
            if *told == blank { drop(self.told.remove(&slot)) } else { drop(self.told.insert(slot, told.clone())) }
        }
        for key in &effects.forgotten {
            self.instances.remove(key);
            let left = self.told.keys().any(|(other, _)| other == key);
            assert!(!left, "something was told of {key:?}, which is forgotten");
        }
        for incident in &effects.incidents {
            self.incidents.insert(incident.id, incident.clone());
        }
        for notice in &effects.notices {
            let row = (notice.incident.id, notice.kind, notice.n, notice.channel);
            assert!(self.outbox.insert(row), "the outbox has this row already: {notice:?}");
            assert!(notice.not_before >= notice.at);
        }
        self.events.extend(effects.events.iter().cloned());
    }

    /// The history of an agent as a range query answers it.
    pub(crate) fn frame(&self, agent: AgentId) -> Frame {
        let mut rows = self.history.get(&agent).cloned().unwrap_or_default();
        rows.sort_by_key(|(ts, _)| *ts);
        let keys: BTreeSet<SeriesKey> = rows.iter().flat_map(|(_, samples)| samples.iter().map(|(key, _)| key.clone())).collect();
        let column = |key: SeriesKey| {
            let value = |samples: &Vec<(SeriesKey, f64)>| {
                samples.iter().find(|(other, _)| *other == key).map_or(f64::NAN, |found| found.1)
            };
            let values: Vec<f64> = rows.iter().map(|(_, samples)| value(samples)).collect();
            Column { mean: values.clone(), min: values.clone(), max: values, key }
        };
        Frame {
            start: Timestamp::MIN,
            end: Timestamp::MAX,
            tiers: vec![Tier::Raw],
            step_ms: None,
            columns: keys.into_iter().map(column).collect(),
            times: rows.iter().map(|(ts, _)| *ts).collect(),
        }
    }

    /// What a new evaluator is given.
    pub(crate) fn saved(&self) -> Saved {
        let last_ts = |key: &InstanceKey| self.newest.get(&(key.agent, key.series.clone())).copied();
        let named = |id: IncidentId| self.told.values().any(|told| told.told == Some(id));
        let wanted = |incident: &&IncidentRecord| incident.resolved_at.is_none() || incident.late || named(incident.id);
        Saved {
            instances: self
                .instances
                .values()
                .map(|record| InstanceRecord { last_ts: last_ts(&record.key), ..record.clone() })
                .collect(),
            told: self.told.values().cloned().collect(),
            incidents: self.incidents.values().filter(wanted).cloned().collect(),
            last_ts: self.last_ts.iter().map(|(agent, ts)| (*agent, *ts)).collect(),
        }
    }

    /// The hub's clock was set: what is told of times of samples moves along.
    pub(crate) fn shift(&mut self, by_ms: i64) {
        for at in self.newest.values_mut().chain(self.last_ts.values_mut()).chain(self.last_seen.values_mut()) {
            *at = at.plus_millis(by_ms);
        }
        for (at, _) in self.history.values_mut().flatten() {
            *at = at.plus_millis(by_ms);
        }
    }
}
