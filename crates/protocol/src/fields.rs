//! Taking fields out of a tree of values, with the field's name in every complaint: for the rare messages, where clarity
//! counts and speed does not.

use crate::error::DecodeError;
use serde_json::{Map, Value};

/// The fields of one object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'v>(&'v Map<String, Value>);

pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn wrong(name: &str, wanted: &str, found: &Value) -> DecodeError {
    DecodeError::invalid(format!("{name} must be {wanted}, not {}", kind(found))).at(format!("/{name}"))
}

impl<'v> Fields<'v> {
    /// The fields of `value`; `what` names it in complaints.
    pub(crate) fn of(value: &'v Value, what: &str) -> Result<Self, DecodeError> {
        value.as_object().map(Self).ok_or_else(|| wrong(what, "an object", value).at(""))
    }

    /// The value of the first of `names` that is there and not null.
    pub(crate) fn get(self, names: &[&str]) -> Option<&'v Value> {
        names.iter().find_map(|name| self.0.get(*name)).filter(|value| !value.is_null())
    }

    pub(crate) fn text(self, names: &[&str]) -> Result<Option<String>, DecodeError> {
        self.get(names).map(|value| value.as_str().map(str::to_owned).ok_or_else(|| wrong(names[0], "text", value))).transpose()
    }

    pub(crate) fn required_text(self, names: &[&str]) -> Result<String, DecodeError> {
        self.text(names)?.ok_or_else(|| DecodeError::invalid(format!("{} is missing", names[0])).at(format!("/{}", names[0])))
    }

    pub(crate) fn number(self, names: &[&str]) -> Result<Option<f64>, DecodeError> {
        self.get(names).map(|value| value.as_f64().ok_or_else(|| wrong(names[0], "a number", value))).transpose()
    }

    /// A whole number that is not negative; one that came as a float without fraction is taken too.
    pub(crate) fn whole(self, names: &[&str]) -> Result<Option<u64>, DecodeError> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, not negative and below 2^53")]
        let read = |value: &Value| {
            let real = || value.as_f64().filter(|real| real.fract() == 0.0 && (0.0..9e15).contains(real)).map(|real| real as u64);
            value.as_u64().or_else(real).ok_or_else(|| {
                let wanted = "a whole number that is not negative";
                if value.is_number() {
                    DecodeError::invalid(format!("{} must be {wanted}", names[0])).at(format!("/{}", names[0]))
                } else {
                    wrong(names[0], wanted, value)
                }
            })
        };
        self.get(names).map(read).transpose()
    }

    pub(crate) fn flag(self, names: &[&str]) -> Result<Option<bool>, DecodeError> {
        self.get(names).map(|value| value.as_bool().ok_or_else(|| wrong(names[0], "true or false", value))).transpose()
    }

    pub(crate) fn list(self, names: &[&str]) -> Result<&'v [Value], DecodeError> {
        match self.get(names) {
            None => Ok(&[]),
            Some(Value::Array(items)) => Ok(items),
            Some(other) => Err(wrong(names[0], "a list", other)),
        }
    }

    pub(crate) fn texts(self, names: &[&str]) -> Result<Vec<String>, DecodeError> {
        let text = |(index, value): (usize, &Value)| {
            let wrong = || wrong(&format!("{}[{index}]", names[0]), "text", value).at(format!("/{}/{index}", names[0]));
            value.as_str().map(str::to_owned).ok_or_else(wrong)
        };
        self.list(names)?.iter().enumerate().map(text).collect()
    }

    pub(crate) fn object(self, names: &[&str]) -> Result<Option<&'v Map<String, Value>>, DecodeError> {
        self.get(names).map(|value| value.as_object().ok_or_else(|| wrong(names[0], "an object", value))).transpose()
    }
}
