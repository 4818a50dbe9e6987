//! A store in memory that keeps effects as a real one would, and checks what a real one would refuse.

use nightbell_alerts::{Effects, Event, IncidentRecord, InstanceKey, InstanceRecord, NoticeKind, Saved, State, ToldRecord};
use nightbell_model::{AgentId, Batch, ChannelId, IncidentId, SeriesKey, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

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

    /// What a new evaluator is given.
    pub(crate) fn saved(&self) -> Saved {
        let last_ts = |key: &InstanceKey| self.newest.get(&(key.agent, key.series.clone())).copied();
        let named = |id: IncidentId| self.told.values().any(|told| told.told == Some(id));
        let wanted = |incident: &&IncidentRecord| incident.resolved_at.is_none() || named(incident.id);
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
    }
}
