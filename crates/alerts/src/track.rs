//! What a rule looks at in an agent's history: one track for each of its instances.

use crate::matching::Filter;
use crate::rule::{Aggregate, Rule};
use nightbell_model::{Column, Frame, SeriesKey};

/// The values of one instance, as many as the frame has times; NaN is missing.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    /// The series; of an aggregate the bare metric.
    pub key: SeriesKey,
    /// Its values.
    pub values: Vec<f64>,
}

/// The tracks of `rule`, whose selector is `filter`: the mean of each bucket, on raw the samples.
#[must_use]
pub fn tracks(rule: &Rule, filter: &Filter, frame: &Frame) -> Vec<Track> {
    tracks_by(rule, filter, frame, |column| &column.mean)
}

/// The same with the values that `pick` takes of a column.
#[must_use]
pub fn tracks_by(rule: &Rule, filter: &Filter, frame: &Frame, pick: impl Fn(&Column) -> &Vec<f64>) -> Vec<Track> {
    let is_seen = |column: &&Column| column.key.metric() == rule.selector.metric && filter.admits(&column.key);
    let columns = frame.columns.iter().filter(is_seen);
    if rule.selector.aggregate == Aggregate::Each {
        return columns.map(|column| Track { key: column.key.clone(), values: pick(column).clone() }).collect();
    }
    let columns: Vec<&Vec<f64>> = columns.map(pick).collect();
    let Some(key) = SeriesKey::new(&rule.selector.metric, &[]).ok().filter(|_| !columns.is_empty()) else { return Vec::new() };
    let row = |at: usize| rule.selector.aggregate.of(columns.iter().filter_map(|column| column.get(at).copied()));
    vec![Track { key, values: (0..frame.times.len()).map(row).collect() }]
}

impl Aggregate {
    /// What several values make; missing ones do not count, and of nothing comes NaN.
    #[must_use]
    pub fn of(self, values: impl Iterator<Item = f64>) -> f64 {
        let usable = values.filter(|value| !value.is_nan());
        match self {
            Self::Max | Self::Each => usable.fold(f64::NAN, f64::max),
            Self::Min => usable.fold(f64::NAN, f64::min),
            Self::Avg => {
                let (sum, count) = usable.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
                sum / count
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use nightbell_model::{Tier, Timestamp};

    #[test]
    fn each_series_is_a_track_and_an_aggregate_is_one() {
        let column = |key: &str, values: [f64; 2]| Column {
            key: key.parse().unwrap(),
            mean: values.to_vec(),
            min: values.to_vec(),
            max: values.iter().map(|value| value + 1.0).collect(),
        };
        let frame = Frame {
            start: Timestamp::from_secs(0),
            end: Timestamp::from_secs(2),
            tiers: vec![Tier::Raw],
            step_ms: None,
            times: vec![Timestamp::from_secs(0), Timestamp::from_secs(1)],
            columns: vec![
                column("disk.used_percent{mount=/}", [10.0, f64::NAN]),
                column("disk.used_percent{mount=/srv}", [30.0, 50.0]),
            ],
        };
        let mut rule = fixtures::rule(1, "disk.used_percent");
        let keys = |rule: &Rule| {
            tracks(rule, &Filter::new(&rule.selector), &frame).into_iter().map(|track| track.key.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(keys(&rule), ["disk.used_percent{mount=/}", "disk.used_percent{mount=/srv}"]);
        for (aggregate, expected) in
            [(Aggregate::Max, [30.0, 50.0]), (Aggregate::Min, [10.0, 50.0]), (Aggregate::Avg, [20.0, 50.0])]
        {
            rule.selector.aggregate = aggregate;
            let found = tracks(&rule, &Filter::new(&rule.selector), &frame);
            assert_eq!((found.len(), found[0].key.as_str(), found[0].values.as_slice()), (1, "disk.used_percent", &expected[..]));
        }
        let found = tracks_by(&rule, &Filter::new(&rule.selector), &frame, |column| &column.max);
        assert_eq!(found[0].values, [21.0, 51.0]);
        assert!(Aggregate::Avg.of(std::iter::empty()).is_nan());
    }
}
