//! How the numbers of one list of names become values of series: made once for each list of names, then applied to every
//! heartbeat that has the same. Agents with the same names share one plan, so ten thousand of them cost one.

use nightbell_model::catalogue::{self, Metric};
use nightbell_model::{Schema, SeriesKey};
use nightbell_protocol::{Lenient, NamedValues, PLAIN_DECIMALS, unscaled};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Why a heartbeat or schema is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Stable, for programs.
    pub code: &'static str,
    /// For people; names the metric.
    pub why: String,
    /// The field of a description that is wrong, as a JSON pointer (RFC 6901); empty where that does not apply.
    pub pointer: String,
}

impl Reject {
    pub(crate) fn new(code: &'static str, why: impl Into<String>) -> Self {
        Self { code, why: why.into(), pointer: String::new() }
    }

    /// The same, about a field.
    pub(crate) fn of(self, field: &str) -> Self {
        Self { pointer: format!("/{field}"), ..self }
    }
}

/// MB and GB of the short names are powers of two.
const MEBI: f64 = 1_048_576.0;
const GIBI: f64 = 1_073_741_824.0;

/// What the short names of the first agents mean, and in which unit they come.
const SHORT_NAMES: [(&str, &str, f64); 5] = [
    ("cpuPercent", "cpu.usage_percent", 1.0),
    ("memoryUsedMB", "mem.used_bytes", MEBI),
    ("memoryTotalMB", "mem.total_bytes", MEBI),
    ("diskUsedGB", "disk.used_bytes{mount=/}", GIBI),
    ("diskTotalGB", "disk.total_bytes{mount=/}", GIBI),
];

/// Which percentages follow from two short names, if the agent does not send them itself.
const DERIVED: [(&str, &str, &str); 2] =
    [("mem.used_percent", "memoryUsedMB", "memoryTotalMB"), ("disk.used_percent{mount=/}", "diskUsedGB", "diskTotalGB")];

/// Where one number goes.
#[derive(Debug, Clone, Copy)]
struct Input {
    target: usize,
    decimals: u8,
    factor: f64,
    min: f64,
    max: f64,
}

impl Input {
    /// The value of the series: NaN where the number is missing or outside the metric's range.
    fn value(&self, raw: f64) -> f64 {
        let mut value = unscaled(raw, self.decimals);
        if self.factor > 1.0 {
            value = (value * self.factor).round();
        }
        if value >= self.min && value <= self.max { value } else { f64::NAN }
    }
}

/// A percentage that the hub computes.
#[derive(Debug, Clone, Copy)]
struct Share {
    target: usize,
    used: usize,
    total: usize,
}

/// A list of names, understood.
#[derive(Debug)]
pub(crate) struct Plan {
    names: NamedValues,
    decimals: Box<[u8]>,
    schema: Arc<Schema>,
    inputs: Box<[Input]>,
    shares: Box<[Share]>,
}

/// The values of one heartbeat against their schema.
#[derive(Debug, Clone)]
pub struct Flat {
    /// Which series.
    pub schema: Arc<Schema>,
    /// Their values; NaN is missing.
    pub values: Box<[f64]>,
    /// Whether any value is there.
    pub has_values: bool,
}

impl Plan {
    /// Understands a list of names; `decimals` is as long, or empty for plain numbers.
    pub(crate) fn new(names: NamedValues, decimals: &[u8]) -> Result<Self, Reject> {
        let mut building = Building::default();
        let mut inputs = Vec::with_capacity(names.len());
        for (index, name) in names.names().enumerate() {
            let decimals = decimals.get(index).copied().unwrap_or(PLAIN_DECIMALS);
            inputs.push(building.input(name, decimals)?);
        }
        let shares = building.shares(&names);
        let schema = Schema::new(building.keys);
        Ok(Self { names, decimals: decimals.into(), schema, inputs: inputs.into(), shares: shares.into() })
    }

    pub(crate) const fn names(&self) -> &NamedValues {
        &self.names
    }

    /// How many numbers it takes.
    pub(crate) fn len(&self) -> usize {
        self.inputs.len()
    }

    fn is_of(&self, names: &NamedValues, decimals: &[u8]) -> bool {
        self.names.same_names(names) && *self.decimals == *decimals
    }

    /// The values of one heartbeat. A name that stands twice has the value that came last.
    pub(crate) fn apply(&self, numbers: impl Iterator<Item = f64>) -> Flat {
        let mut values = vec![f64::NAN; self.schema.keys().len()].into_boxed_slice();
        for (input, raw) in self.inputs.iter().zip(numbers) {
            values[input.target] = input.value(raw);
        }
        for share in &self.shares {
            let percent = values[share.used] / values[share.total] * 100.0;
            values[share.target] = if (0.0..=100.0).contains(&percent) { (percent * 100.0).round() / 100.0 } else { f64::NAN };
        }
        let has_values = values.iter().any(|value| !value.is_nan());
        Flat { schema: Arc::clone(&self.schema), values, has_values }
    }

    /// The numbers of a packed heartbeat as plain ones, under their names.
    pub(crate) fn named(&self, numbers: &[f64]) -> NamedValues {
        let plain = |(input, raw): (&Input, &f64)| Lenient(unscaled(*raw, input.decimals));
        self.names.names().zip(self.inputs.iter().zip(numbers).map(plain)).collect()
    }
}

#[derive(Default)]
struct Building {
    keys: Vec<SeriesKey>,
    places: HashMap<SeriesKey, usize>,
}

impl Building {
    fn place(&mut self, key: SeriesKey) -> usize {
        let keys = &mut self.keys;
        *self.places.entry(key).or_insert_with_key(|key| {
            keys.push(key.clone());
            keys.len() - 1
        })
    }

    fn input(&mut self, name: &str, decimals: u8) -> Result<Input, Reject> {
        let short = SHORT_NAMES.iter().find(|(short, _, _)| *short == name);
        let (long, factor) = short.map_or((name, 1.0), |(_, long, factor)| (*long, *factor));
        let key: SeriesKey = long.parse().map_err(|why| {
            let shown: String = name.chars().take(80).collect();
            Reject::new("invalid_metric", format!("{shown}: {why}"))
        })?;
        let (min, max) = catalogue::find(key.metric()).map_or((f64::MIN, f64::MAX), |metric: &Metric| (metric.min, metric.max));
        Ok(Input { target: self.place(key), decimals, factor, min, max })
    }

    fn shares(&mut self, names: &NamedValues) -> Vec<Share> {
        let mut shares = Vec::new();
        for (derived, used, total) in DERIVED {
            let has = |wanted: &str| names.names().any(|name| name == wanted);
            let place = |short: &str| {
                let (_, long, _) = SHORT_NAMES.iter().find(|(name, _, _)| *name == short)?;
                self.places.get(*long).copied()
            };
            let (true, true, Some(used), Some(total)) = (has(used), has(total), place(used), place(total)) else { continue };
            let Ok(key) = derived.parse::<SeriesKey>() else { continue };
            if !self.places.contains_key(&key) {
                shares.push(Share { target: self.place(key), used, total });
            }
        }
        shares
    }
}

/// The plans in use, by their names.
#[derive(Debug)]
pub(crate) struct PlanPool {
    plans: Mutex<HashMap<u64, Weak<Plan>>>,
    empty: Arc<Schema>,
}

impl Default for PlanPool {
    fn default() -> Self {
        Self { plans: Mutex::default(), empty: Schema::new(Vec::new()) }
    }
}

impl PlanPool {
    /// The schema of a heartbeat without values.
    pub(crate) fn empty(&self) -> Flat {
        Flat { schema: Arc::clone(&self.empty), values: Box::new([]), has_values: false }
    }

    /// The plan of these names, made unless somebody uses the same.
    pub(crate) fn plan(&self, names: NamedValues, decimals: &[u8]) -> Result<Arc<Plan>, Reject> {
        let mut hasher = DefaultHasher::new();
        names.names().for_each(|name| name.hash(&mut hasher));
        decimals.hash(&mut hasher);
        let hash = hasher.finish();
        let known = self.lock().get(&hash).and_then(Weak::upgrade);
        if let Some(plan) = known.filter(|plan| plan.is_of(&names, decimals)) {
            return Ok(plan);
        }
        let plan = Arc::new(Plan::new(names, decimals)?);
        let mut plans = self.lock();
        if plans.len() == plans.capacity() {
            plans.retain(|_, plan| plan.strong_count() > 0);
        }
        plans.insert(hash, Arc::downgrade(&plan));
        Ok(plan)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Weak<Plan>>> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
