//! Where the series that questions name stand in agents' schemas, remembered from one question to the next: a fleet of a thousand
//! agents has a hundred thousand names to compare, and they hardly ever change.

use nightbell_model::{Schema, SeriesKey};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// So many different questions are remembered.
const QUESTIONS: usize = 32;
/// So many schemas are remembered before those that are not in use any more are looked for.
const SCHEMAS: usize = 1_024;

/// What is remembered.
#[derive(Debug, Default)]
pub struct Lookup {
    questions: Mutex<HashMap<Box<str>, Places>>,
}

/// A series of a schema that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where its value stands in a batch.
    pub position: u32,
    /// Its key as the name of a field in JSON: quoted, with the colon.
    pub field: Box<[u8]>,
}

/// The places of the series of one question.
#[derive(Debug)]
pub struct Places {
    wanted: Box<[String]>,
    /// By the address of the schema, which the weak pointer keeps from being used again.
    known: HashMap<usize, (Weak<Schema>, Box<[Place]>)>,
    /// Beyond so many, those that are not in use any more are looked for.
    room: usize,
}

/// Whether `key` is the series `wanted`, or one of the metric `wanted`.
#[must_use]
pub fn is_wanted(key: &SeriesKey, wanted: &str) -> bool {
    key.as_str().strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
}

impl Lookup {
    /// Answers a question for these series keys and metric names; none is all of them.
    pub fn ask<T>(&self, wanted: &[String], answer: impl FnOnce(&mut Places) -> T) -> T {
        let mut questions = self.questions.lock().unwrap_or_else(PoisonError::into_inner);
        let name = wanted.join(",").into_boxed_str();
        if questions.len() >= QUESTIONS && !questions.contains_key(&name) {
            questions.clear();
        }
        answer(questions.entry(name).or_insert_with(|| Places::new(wanted)))
    }
}

impl Places {
    fn new(wanted: &[String]) -> Self {
        Self { wanted: wanted.into(), known: HashMap::new(), room: SCHEMAS }
    }

    /// Whether the question asks for a series.
    #[must_use]
    pub fn wants(&self, key: &SeriesKey) -> bool {
        self.wanted.is_empty() || self.wanted.iter().any(|wanted| is_wanted(key, wanted))
    }

    /// The places in `schema`, in its order.
    pub fn of(&mut self, schema: &Arc<Schema>) -> &[Place] {
        if self.known.len() > self.room {
            self.known.retain(|_, (schema, _)| schema.strong_count() > 0);
            self.room = SCHEMAS.max(2 * self.known.len());
        }
        let Self { wanted, known, .. } = self;
        let (_, places) = known.entry(Arc::as_ptr(schema) as usize).or_insert_with(|| {
            let places = (0_u32..)
                .zip(schema.keys())
                .filter(|(_, key)| wanted.is_empty() || wanted.iter().any(|wanted| is_wanted(key, wanted)));
            (Arc::downgrade(schema), places.map(|(position, key)| Place { position, field: field(key) }).collect())
        });
        places
    }
}

fn field(key: &SeriesKey) -> Box<[u8]> {
    let mut text = Vec::with_capacity(key.as_str().len() + 3);
    crate::digits::push_json(&mut text, key.as_str());
    text.push(b':');
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(keys: &[&str]) -> Arc<Schema> {
        Schema::new(keys.iter().map(|key| key.parse().expect("a key")).collect())
    }

    fn found(lookup: &Lookup, wanted: &[&str], schema: &Arc<Schema>) -> Vec<u32> {
        let wanted: Vec<String> = wanted.iter().map(|text| (*text).to_owned()).collect();
        lookup.ask(&wanted, |places| places.of(schema).iter().map(|place| place.position).collect())
    }

    #[test]
    fn a_metric_is_all_its_series_and_a_key_is_one() {
        let (lookup, keys) =
            (Lookup::default(), schema(&["disk.used{mount=/}", "disk.used{mount=/b}", "disk.used_percent{mount=/}", "cpu.x"]));
        for _again in 0..2 {
            assert_eq!(found(&lookup, &["disk.used"], &keys), [0, 1]);
            assert_eq!(found(&lookup, &["disk.used{mount=/b}", "cpu.x"], &keys), [1, 3]);
            assert_eq!(found(&lookup, &["cpu"], &keys), [0_u32; 0]);
            assert_eq!(found(&lookup, &[], &keys), [0, 1, 2, 3]);
        }
        assert_eq!(found(&lookup, &["cpu.x"], &schema(&["cpu.x"])), [0], "another schema has its own places");
    }

    #[test]
    fn what_is_remembered_is_bounded_and_a_new_schema_is_never_taken_for_an_old_one() {
        let lookup = Lookup::default();
        for number in 0..3 * SCHEMAS {
            let keys = if number % 2 == 0 { schema(&["a.b", "c.d"]) } else { schema(&["c.d", "a.b"]) };
            assert_eq!(found(&lookup, &["a.b"], &keys), [u32::from(number % 2 == 1)]);
        }
        lookup.ask(&["a.b".to_owned()], |places| assert!(places.known.len() <= SCHEMAS + 1, "{}", places.known.len()));
        for number in 0..2 * QUESTIONS {
            found(&lookup, &[&format!("m.n{number}")], &schema(&["a.b"]));
        }
        assert!(lookup.questions.lock().expect("unbroken").len() <= QUESTIONS);
    }

    #[test]
    fn a_field_is_written_as_json_has_it() {
        let keys = schema(&["a.b{x=\"q \\\" r\"}"]);
        Lookup::default().ask(&[], |places| {
            let text = format!("{{{}1}}", std::str::from_utf8(&places.of(&keys)[0].field).expect("text"));
            let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).expect(&text);
            assert_eq!(object.keys().next().map(String::as_str), Some(keys.keys()[0].as_str()));
        });
    }
}
