//! Names and numbers of one sender become series and values: by the catalogue, or as custom metrics.
//!
//! Numbers outside a metric's range, NaN and infinities are missing values. The plan of the last names is kept, so a
//! heartbeat with the same names costs one comparison and one pass over its numbers.

pub use crate::plan::{Flat, Reject};
use crate::plan::{Plan, PlanPool};
use nightbell_protocol::{ContainerMetrics, Lenient, NamedValues, SchemaMsg, Values};
use std::sync::Arc;

/// How many schemas of one sender are remembered: heartbeats of a replaced one may still be on their way.
const MAX_SCHEMAS: usize = 4;

/// Flattens the heartbeats of one sender.
#[derive(Debug, Default)]
pub struct Flattener {
    pool: Arc<PlanPool>,
    /// The newest last.
    schemas: Vec<(u32, Arc<Plan>)>,
    named: Option<Arc<Plan>>,
}

impl Flattener {
    pub(crate) const fn new(pool: Arc<PlanPool>) -> Self {
        Self { pool, schemas: Vec::new(), named: None }
    }

    /// Takes note of the names that packed heartbeats will refer to.
    ///
    /// # Errors
    /// If a name is no series key.
    pub fn declare(&mut self, schema: &SchemaMsg) -> Result<(), Reject> {
        let names: NamedValues = schema.names.iter().map(|name| (name, Lenient(0.0))).collect();
        let plan = self.pool.plan(names, &schema.decimals)?;
        self.schemas.retain(|(id, _)| *id != schema.id);
        if self.schemas.len() >= MAX_SCHEMAS {
            self.schemas.remove(0);
        }
        self.schemas.push((schema.id, plan));
        Ok(())
    }

    /// The values of one heartbeat.
    ///
    /// # Errors
    /// If a name is no series key, or a packed heartbeat does not fit a schema that was sent before.
    pub fn flatten(&mut self, values: &Values) -> Result<Flat, Reject> {
        match values {
            Values::None => Ok(self.pool.empty()),
            Values::Named(named) if named.is_empty() => Ok(self.pool.empty()),
            Values::Named(named) => Ok(self.named_plan(named)?.apply(named.values())),
            Values::Packed { schema, v } => Ok(self.packed_plan(*schema, v)?.apply(v.iter().copied())),
        }
    }

    /// The same values with those of containers added: `container.<field>{container=<name>}`.
    ///
    /// # Errors
    /// As [`Flattener::flatten`].
    pub fn with_containers(&self, values: &Values, containers: &ContainerMetrics) -> Result<Values, Reject> {
        let mut named = match values {
            Values::None => NamedValues::default(),
            Values::Named(named) => named.clone(),
            Values::Packed { schema, v } => self.packed_plan(*schema, v)?.named(v),
        };
        for container in &containers.containers {
            for (field, value) in &container.values {
                let metric = format!("container.{field}");
                let key = nightbell_model::SeriesKey::new(&metric, &[("container", &container.name)])
                    .map_err(|why| Reject::new("invalid_metric", format!("{metric} of container {}: {why}", container.name)))?;
                named.push(key.as_str(), Lenient(*value));
            }
        }
        Ok(Values::Named(named))
    }

    fn named_plan(&mut self, named: &NamedValues) -> Result<&Plan, Reject> {
        if !self.named.as_ref().is_some_and(|plan| plan.names().same_names(named)) {
            self.named = Some(self.pool.plan(named.clone(), &[])?);
        }
        self.named.as_deref().ok_or_else(|| Reject::new("internal", "no plan"))
    }

    fn packed_plan(&self, id: u32, v: &[f64]) -> Result<&Plan, Reject> {
        let Some((_, plan)) = self.schemas.iter().rev().find(|(known, _)| *known == id) else {
            return Err(Reject::new("unknown_schema", format!("schema {id} was not sent on this connection")));
        };
        if plan.len() != v.len() {
            let why = format!("{} values for the {} series of schema {id}", v.len(), plan.len());
            return Err(Reject::new("wrong_length", why));
        }
        Ok(plan)
    }
}

#[cfg(test)]
#[path = "flatten/tests.rs"]
mod tests;
