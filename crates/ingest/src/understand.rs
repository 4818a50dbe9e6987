//! A heartbeat of an authenticated agent becomes something heard, or the reason why not.

use crate::admission::HOUR_PREFIX;
use crate::flatten::{Flattener, Reject};
use crate::heard::{Heard, SampleClock};
use crate::plan::{Flat, PlanPool};
use crate::seed::add_seed;
use nightbell_model::{AgentId, BootId, Timestamp};
use nightbell_protocol::http::{Entry, SeedPayload};
use nightbell_protocol::{ContainerMetrics, Heartbeat, NamedValues, SchemaMsg, Values};
use std::sync::Arc;

/// What the values of containers that come after their heartbeat are numbered under: they are a heartbeat of their own then.
const CONTAINERS_SUFFIX: &str = "+containers";

/// Which heartbeat something is said about: what the sender called it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Mark {
    pub(crate) boot: Option<BootId>,
    pub(crate) seq: Option<u64>,
}

/// Understands the heartbeats of one agent, one sender's after the other.
#[derive(Debug)]
pub(crate) struct Listener {
    agent: AgentId,
    flattener: Flattener,
    boot: Option<BootId>,
    /// Values of containers that came before their heartbeat.
    parked: Option<ContainerMetrics>,
}

impl Listener {
    pub(crate) const fn new(agent: AgentId, pool: Arc<PlanPool>) -> Self {
        Self { agent, flattener: Flattener::new(pool), boot: None, parked: None }
    }

    pub(crate) fn declare(&mut self, schema: &SchemaMsg) -> Result<(), Reject> {
        self.flattener.declare(schema)
    }

    /// What the sender calls this heartbeat, for acknowledgements and refusals.
    pub(crate) fn mark(&mut self, boot: Option<&str>, seq: Option<u64>) -> Mark {
        let boot = boot.filter(|boot| !boot.is_empty() && boot.len() <= BootId::MAX_LEN).map(|boot| self.intern(boot));
        Mark { boot, seq }
    }

    /// The boot id, without a new allocation if it is the same as before.
    fn intern(&mut self, boot: &str) -> BootId {
        match &self.boot {
            Some(known) if &*known.0 == boot => known.clone(),
            _ => self.boot.insert(BootId(boot.into())).clone(),
        }
    }

    /// Understands one heartbeat; `sent_by` is the envelope's timestamp, which stands in where the heartbeat has no time.
    pub(crate) fn hear(&mut self, heartbeat: &Heartbeat, sent_by: Option<i64>, received: Timestamp) -> Result<Heard, Reject> {
        self.check(heartbeat)?;
        let flat = match self.parked.take_if(|parked| belongs(parked, heartbeat)) {
            Some(containers) => {
                let values = self.flattener.with_containers(&heartbeat.values, &containers)?;
                self.flattener.flatten(&values)?
            }
            None => self.flattener.flatten(&heartbeat.values)?,
        };
        Ok(self.heard(heartbeat, flat, sent_by, received))
    }

    /// Understands one entry of an HTTP body.
    pub(crate) fn hear_entry(&mut self, entry: &Entry, received: Timestamp) -> Result<Heard, Reject> {
        let Some(seed) = &entry.seed else { return self.hear(&entry.heartbeat, None, received) };
        self.check(&entry.heartbeat)?;
        if let Some(node) = &seed.node_id {
            self.check_agent(node)?;
        }
        let flat = self.flattener.flatten(&seed_values(&entry.heartbeat.values, seed)?)?;
        Ok(self.heard(&entry.heartbeat, flat, None, received))
    }

    /// Values of containers: kept until the heartbeat they belong to comes (`None`), or a heartbeat of their own if it has
    /// come already (`last` is the newest that has) or they belong to none.
    pub(crate) fn hear_containers(
        &mut self,
        containers: ContainerMetrics,
        last: Option<&Mark>,
        received: Timestamp,
    ) -> Result<Option<Heard>, Reject> {
        if let Some(claimed) = &containers.agent_id {
            self.check_agent(claimed)?;
        }
        let mark = self.mark(containers.boot_id.as_deref(), containers.seq);
        let numbered = mark.boot.is_some() && mark.seq.is_some();
        let came = last.is_some_and(|last| last.boot == mark.boot && last.seq >= mark.seq);
        if numbered && !came {
            self.parked = Some(containers);
            return Ok(None);
        }
        let values = self.flattener.with_containers(&Values::None, &containers)?;
        let flat = self.flattener.flatten(&values)?;
        let boot_id = containers.boot_id.filter(|_| numbered).map(|boot| boot + CONTAINERS_SUFFIX);
        let seq = containers.seq.filter(|_| numbered);
        let alone = Heartbeat { boot_id, seq, age_ms: containers.age_ms, ..Heartbeat::default() };
        Ok(Some(self.heard(&alone, flat, None, received)))
    }

    fn check(&self, heartbeat: &Heartbeat) -> Result<(), Reject> {
        if let Some(fault) = &heartbeat.fault {
            return Err(Reject::new("invalid_heartbeat", fault.to_string()));
        }
        if let Some(claimed) = &heartbeat.agent_id {
            self.check_agent(claimed)?;
        }
        let Some(boot) = &heartbeat.boot_id else { return Ok(()) };
        if boot.is_empty() || boot.len() > BootId::MAX_LEN || boot.starts_with(HOUR_PREFIX) || boot.contains('\0') {
            let why = format!(
                "boot_id must be 1 to {} bytes of text, without NUL and not starting with {HOUR_PREFIX}",
                BootId::MAX_LEN
            );
            return Err(Reject::new("invalid_boot_id", why));
        }
        Ok(())
    }

    fn check_agent(&self, claimed: &str) -> Result<(), Reject> {
        if claimed.parse() == Ok(self.agent) {
            return Ok(());
        }
        Err(Reject::new("wrong_agent", "the agent id is not that of the credential"))
    }

    fn heard(&mut self, heartbeat: &Heartbeat, flat: Flat, sent_by: Option<i64>, received: Timestamp) -> Heard {
        let boot_seq = match (&heartbeat.boot_id, heartbeat.seq) {
            (Some(boot), Some(seq)) => Some((self.intern(boot), seq)),
            _ => None,
        };
        let clock = match (heartbeat.age_ms, heartbeat.timestamp, sent_by) {
            (Some(age), _, _) => SampleClock::AgeMs(age),
            (None, Some(ts), _) => {
                SampleClock::Timestamp { ts: Timestamp::from_millis(ts), sent_at: heartbeat.sent_at.map(Timestamp::from_millis) }
            }
            (None, None, Some(ts)) => SampleClock::Timestamp { ts: Timestamp::from_millis(ts), sent_at: None },
            (None, None, None) => SampleClock::Receipt,
        };
        let Flat { schema, values, has_values } = flat;
        Heard { agent: self.agent, boot_seq, clock, received, schema, values, has_values }
    }
}

fn belongs(containers: &ContainerMetrics, heartbeat: &Heartbeat) -> bool {
    containers.boot_id == heartbeat.boot_id && containers.seq == heartbeat.seq
}

fn seed_values(values: &Values, seed: &SeedPayload) -> Result<Values, Reject> {
    let mut named = match values {
        Values::Named(named) => named.clone(),
        Values::None => NamedValues::default(),
        Values::Packed { .. } => return Err(Reject::new("unknown_schema", "packed values need a connection with a schema")),
    };
    add_seed(&mut named, seed)?;
    Ok(Values::Named(named))
}
