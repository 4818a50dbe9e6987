//! A hub by hand: an evaluator, a store that keeps what it hands out, and a clock that moves when told.

pub(crate) mod store;
pub(crate) mod text;

use nightbell_alerts::{Ack, AgentView, Config, Effects, Evaluator, Event, LevelTable, Mute, Notice, Rule, State, Transform};
use nightbell_model::{AgentId, Batch, IncidentId, Schema, SeriesKey, Timestamp};
use std::collections::BTreeMap;
use store::Store;

/// When every timeline begins.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_763_769_600_000);

/// What came out, with the elapsed time in milliseconds at which it did.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Output {
    /// A line for the log.
    Event(i64, Event),
    /// Something a channel is told.
    Notice(i64, Notice),
}

/// One evaluator with its surroundings. Times are milliseconds elapsed since the start, whatever the hub's clock shows.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) evaluator: Evaluator,
    pub(crate) store: Store,
    pub(crate) rules: Vec<Rule>,
    pub(crate) agents: Vec<AgentView>,
    pub(crate) levels: LevelTable,
    pub(crate) mutes: Vec<Mute>,
    pub(crate) outputs: Vec<Output>,
    pub(crate) elapsed: i64,
    /// By how much the hub's clock was set.
    pub(crate) offset: i64,
    schemas: BTreeMap<Vec<SeriesKey>, std::sync::Arc<Schema>>,
}

impl Hub {
    pub(crate) fn new(rules: Vec<Rule>, agents: Vec<AgentView>, levels: LevelTable, mutes: Vec<Mute>) -> Self {
        let store = Store::default();
        let evaluator = restored(&store, (&rules, &agents, &levels, &mutes), START);
        Self {
            evaluator,
            store,
            rules,
            agents,
            levels,
            mutes,
            outputs: Vec::new(),
            elapsed: 0,
            offset: 0,
            schemas: BTreeMap::new(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.at(self.elapsed)
    }

    pub(crate) fn at(&self, elapsed: i64) -> Timestamp {
        START.plus_millis(elapsed + self.offset)
    }

    /// Lets time pass, ticking at every deadline on the way and at the end.
    pub(crate) fn pass_to(&mut self, elapsed: i64) {
        let mut ticks = 0;
        while let Some(due) = self.evaluator.next_deadline().filter(|due| *due <= self.at(elapsed)) {
            self.elapsed = self.elapsed.max(due.millis_since(START) - self.offset);
            self.act(|evaluator, now, out| evaluator.tick(now, out));
            ticks += 1;
            assert!(ticks < 100_000, "the evaluator asks to be woken for ever at {due:?}");
        }
        self.elapsed = elapsed;
        self.act(|evaluator, now, out| evaluator.tick(now, out));
    }

    /// A heartbeat of `agent`, measured `age_ms` before it is received now.
    pub(crate) fn beat(&mut self, agent: AgentId, age_ms: i64, values: &[(SeriesKey, f64)]) {
        let keys: Vec<SeriesKey> = values.iter().map(|(key, _)| key.clone()).collect();
        let schema = self.schemas.entry(keys.clone()).or_insert_with(|| Schema::new(keys)).clone();
        let now = self.now();
        let values = values.iter().map(|(_, value)| *value).collect();
        let batch = Batch { agent, ts: now.plus_millis(-age_ms), received: now, boot_seq: None, schema, values };
        self.store.append(&batch);
        self.act(|evaluator, now, out| evaluator.observe(&batch, now, out));
    }

    /// Does something to the evaluator and stores what comes of it.
    pub(crate) fn act<T>(&mut self, act: impl FnOnce(&mut Evaluator, Timestamp, &mut Effects) -> T) -> T {
        let (now, mut out) = (self.now(), Effects::default());
        let result = act(&mut self.evaluator, now, &mut out);
        self.store.apply(&out);
        let elapsed = self.elapsed;
        self.outputs.extend(out.events.into_iter().map(|event| Output::Event(elapsed, event)));
        self.outputs.extend(out.notices.into_iter().map(|notice| Output::Notice(elapsed, notice)));
        result
    }

    /// Stops the evaluator and starts another from what was stored.
    pub(crate) fn restart(&mut self) {
        for agent in &mut self.agents {
            if let Some(seen) = self.store.last_seen.get(&agent.id) {
                agent.last_seen = Some(*seen);
            }
            (agent.closed, agent.stopped_on_purpose) = self.store.closed.get(&agent.id).copied().unwrap_or_default();
        }
        self.evaluator = restored(&self.store, (&self.rules, &self.agents, &self.levels, &self.mutes), self.now());
        self.prime();
    }

    /// Hands stored history to rules on rates, as the hub does.
    pub(crate) fn prime(&mut self) {
        for want in self.evaluator.history_wants() {
            if matches!(want.transform, Transform::Rate { .. }) {
                self.evaluator.prime(want.agent, want.rule, &self.store.frame(want.agent));
            }
        }
    }

    pub(crate) fn close(&mut self, agent: AgentId, clean: bool, on_purpose: bool) {
        self.store.closed.insert(agent, (clean || on_purpose, on_purpose));
        self.act(|evaluator, now, out| evaluator.connection_closed(agent, clean, on_purpose, now, out));
    }

    pub(crate) fn set_rules(&mut self, rules: Vec<Rule>) {
        self.rules = rules.clone();
        self.act(|evaluator, now, out| evaluator.set_rules(rules, now, out));
    }

    pub(crate) fn set_mutes(&mut self, mutes: Vec<Mute>) {
        self.mutes = mutes.clone();
        self.act(|evaluator, now, out| evaluator.set_mutes(mutes, now, out));
    }

    pub(crate) fn upsert_agent(&mut self, agent: AgentView) {
        self.agents.retain(|other| other.id != agent.id);
        self.agents.push(agent.clone());
        self.act(|evaluator, now, out| evaluator.upsert_agent(agent, now, out));
    }

    pub(crate) fn remove_agent(&mut self, id: AgentId) {
        self.agents.retain(|agent| agent.id != id);
        self.act(|evaluator, now, out| evaluator.remove_agent(id, now, out));
    }

    pub(crate) fn set_levels(&mut self, levels: LevelTable) {
        self.levels = levels.clone();
        self.evaluator.set_levels(levels);
    }

    pub(crate) fn step_clock(&mut self, by_ms: i64) {
        self.offset += by_ms;
        self.store.shift(by_ms);
        self.act(|evaluator, now, out| evaluator.clock_stepped(by_ms, now, out));
    }

    pub(crate) fn ack(&mut self, incident: IncidentId, by: &str, until: Option<Timestamp>) -> bool {
        let ack = Ack { by: by.to_owned(), at: self.now(), note: String::new(), until };
        self.act(|evaluator, now, out| evaluator.acknowledge(incident, ack, now, out))
    }

    /// The state of an instance; one that is not there is fine.
    pub(crate) fn state(&self, rule: nightbell_model::RuleId, agent: AgentId, series: Option<&SeriesKey>) -> State {
        self.evaluator
            .instances()
            .find(|view| view.key.rule == rule && view.key.agent == agent && series.is_none_or(|key| *key == view.key.series))
            .map_or(State::Ok, |view| view.state)
    }
}

fn restored(
    store: &Store,
    (rules, agents, levels, mutes): (&[Rule], &[AgentView], &LevelTable, &[Mute]),
    now: Timestamp,
) -> Evaluator {
    let config = Config {
        rules: rules.to_vec(),
        agents: agents.to_vec(),
        levels: levels.clone(),
        mutes: mutes.to_vec(),
        group_wait_ms: 10_000,
        offline_group_wait_ms: 5_000,
    };
    Evaluator::restore(config, store.saved(), now)
}
