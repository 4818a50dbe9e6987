//! Takes the fields of a JSON object one by one and collects everything that is wrong with them, instead of stopping at the first.

use crate::api::problem::Fault;
use crate::api::time;
use crate::files::hint;
use serde_json::{Map, Value};

/// The fields of an object and the faults found so far.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    object: &'a Map<String, Value>,
    faults: Vec<Fault>,
}

impl<'a> Fields<'a> {
    /// The fields of `object`; those that are neither `known` nor `read_only` are faults.
    pub(super) fn new(object: &'a Map<String, Value>, known: &[&str], read_only: &[&str]) -> Self {
        let mut fields = Self { object, faults: Vec::new() };
        for name in object.keys().filter(|name| !known.contains(&name.as_str()) && !read_only.contains(&name.as_str())) {
            let hint = hint(name, known.iter().copied());
            fields.fault(name, format!("unknown field; known ones are {}{hint}", known.join(", ")));
        }
        fields
    }

    /// Notes a fault at `path` (without its leading slash).
    pub(super) fn fault(&mut self, path: &str, detail: impl Into<String>) {
        self.faults.push(Fault::new(format!("/{path}"), detail));
    }

    /// Whether `field` or anything in it is at fault.
    pub(super) fn is_bad(&self, field: &str) -> bool {
        self.faults.iter().any(|fault| fault.pointer[1..].split('/').next() == Some(field))
    }

    /// All that is wrong.
    pub(super) fn into_faults(self) -> Vec<Fault> {
        self.faults
    }

    /// What a field says; `null` says nothing.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.object.get(name).filter(|value| !value.is_null())
    }

    /// A text, or `default`; without a default it must be there.
    pub(super) fn text(&mut self, name: &str, default: Option<&str>) -> String {
        match (self.get(name), default) {
            (Some(Value::String(text)), _) => text.clone(),
            (Some(_), _) => {
                self.fault(name, "must be a text");
                String::new()
            }
            (None, Some(default)) => default.to_owned(),
            (None, None) => {
                self.fault(name, "is missing");
                String::new()
            }
        }
    }

    /// A duration in milliseconds, or `default`.
    pub(super) fn duration(&mut self, name: &str, default: i64) -> i64 {
        self.optional_duration(name).unwrap_or(default)
    }

    /// A duration in milliseconds, if there is one.
    pub(super) fn optional_duration(&mut self, name: &str) -> Option<i64> {
        let read = match self.get(name)? {
            Value::String(text) => time::duration_ms(text),
            other => Err(format!("{other} is no duration: write it as a text such as \"5m\"")),
        };
        read.map_err(|why| self.fault(name, why)).ok()
    }

    /// Yes or no, or `default`.
    pub(super) fn flag(&mut self, name: &str, default: bool) -> bool {
        match self.get(name) {
            None => default,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => {
                self.fault(name, "must be true or false");
                default
            }
        }
    }

    /// One of a few words, understood by `parse`; without a default it must be there.
    pub(super) fn choice<T: Copy>(&mut self, name: &str, words: &str, parse: fn(&str) -> Option<T>, default: Result<T, T>) -> T {
        let placeholder = default.unwrap_or_else(|placeholder| placeholder);
        let found = match self.get(name) {
            Some(Value::String(word)) => parse(word),
            Some(_) => None,
            None => {
                if default.is_err() {
                    self.fault(name, format!("is missing: one of {words}"));
                }
                return placeholder;
            }
        };
        found.unwrap_or_else(|| {
            self.fault(name, format!("must be one of {words}"));
            placeholder
        })
    }

    /// The items of a list; none if it is not there.
    pub(super) fn list(&mut self, name: &str) -> &'a [Value] {
        match self.get(name) {
            Some(Value::Array(items)) => items,
            None => &[],
            Some(_) => {
                self.fault(name, "must be a list");
                &[]
            }
        }
    }
}
