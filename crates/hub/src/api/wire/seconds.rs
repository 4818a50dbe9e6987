//! Durations and moments as answers write them: seconds, whole where they are.

use crate::page;
use nightbell_model::Timestamp;
use serde::{Serialize, Serializer};

/// A duration, kept in milliseconds and written in seconds: `300`, or `0.25`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seconds(pub(crate) i64);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 % 1000 == 0 { serializer.serialize_i64(self.0 / 1000) } else { serializer.serialize_f64(page::seconds(self.0)) }
    }
}

/// A moment as epoch seconds, always a float.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Epoch(pub(crate) Timestamp);

impl Serialize for Epoch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_seconds_are_whole() {
        let both = (Seconds(300_000), Seconds(250), Epoch(Timestamp::from_millis(1_500)), Epoch(Timestamp::from_secs(2)));
        assert_eq!(serde_json::to_string(&both).expect("numbers are written"), "[300,0.25,1.5,2.0]");
    }
}
