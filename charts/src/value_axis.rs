//! The value axis: from where to where it goes, and which round numbers stand on it. Where it stands is the layout's business.

use crate::number::Scale;
use nightbell_model::catalogue::Unit;

/// From where to where values reach; `None` at both ends when there are none.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Extent {
    bounds: Option<(f64, f64)>,
}

impl Extent {
    /// Widens the extent so that `value` lies within.
    pub(crate) fn include(&mut self, value: f64) {
        if value.is_finite() {
            let (low, high) = self.bounds.unwrap_or((value, value));
            self.bounds = Some((low.min(value), high.max(value)));
        }
    }
}

/// One number on the axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ValueTick {
    /// Where, in base units.
    pub(crate) value: f64,
    /// How it reads.
    pub(crate) label: String,
}

/// The axis.
#[derive(Debug, Clone)]
pub(crate) struct ValueAxis {
    /// The value at the bottom.
    pub(crate) low: f64,
    /// The value at the top, above `low`.
    pub(crate) high: f64,
    /// The numbers that are named, from the bottom up; none if there is nothing to show.
    pub(crate) ticks: Vec<ValueTick>,
}

/// Values of one axis that lie closer than this share of their size are one value: floats cannot tell more apart.
const FLAT: f64 = 1e-9;

/// A range whose lowest value is at most this share of the highest starts at zero.
const NEAR_ZERO: f64 = 0.5;

/// Loops over ticks stop here, whatever the numbers are; no axis asks for more than a dozen.
const MOST_TICKS: usize = 50;

impl ValueAxis {
    /// The axis of `unit` that shows `extent` with about `count` ticks.
    pub(crate) fn new(unit: Unit, extent: Extent, pin_percent: bool, count: f64) -> Self {
        if unit == Unit::Bool && extent.bounds.is_none_or(|(low, high)| low >= 0.0 && high <= 1.0) {
            return Self::of_bool();
        }
        if pin_percent && extent.bounds.is_none_or(|(low, high)| low >= 0.0 && high <= 100.0) {
            return Self::between(unit, (0.0, 100.0), nice_step(100.0 / count, false));
        }
        let Some((low, high)) = extent.bounds else {
            return Self { low: 0.0, high: 1.0, ticks: Vec::new() };
        };
        if high - low <= FLAT * low.abs().max(high.abs()) {
            return Self::around(unit, low, count);
        }
        Self::snapped(unit, low, high, count)
    }

    fn of_bool() -> Self {
        let tick = |value, label: &str| ValueTick { value, label: label.to_owned() };
        Self { low: -0.15, high: 1.15, ticks: vec![tick(0.0, "no"), tick(1.0, "yes")] }
    }

    /// One value only: it stands in the middle, between zero and its double. Zero itself stands on the ground where
    /// nothing can be below it.
    fn around(unit: Unit, value: f64, count: f64) -> Self {
        let signed = matches!(unit, Unit::None | Unit::Celsius | Unit::Seconds | Unit::Watts);
        let (low, high) = match value {
            v if v > 0.0 => (0.0, 2.0 * v),
            v if v < 0.0 => (2.0 * v, 0.0),
            _ if signed => (-1.0, 1.0),
            _ => (0.0, 1.0),
        };
        let scale = Scale::of(unit, high.max(-low));
        Self::between(unit, (low, high), nice_step((high - low) / scale.factor / count, is_whole(unit)) * scale.factor)
    }

    /// The range widened to round numbers at both ends, and to zero if it is near.
    fn snapped(unit: Unit, low: f64, high: f64, count: f64) -> Self {
        let low = if low > 0.0 && low <= NEAR_ZERO * high { 0.0 } else { low };
        let high = if high < 0.0 && high >= NEAR_ZERO * low { 0.0 } else { high };
        let scale = Scale::of(unit, high.abs().max(low.abs()));
        let step = nice_step((high - low) / scale.factor / count, is_whole(unit)) * scale.factor;
        // A hair's breadth of tolerance, or 0.3 / 0.1 would ask for a fourth step.
        let ends = ((low / step + 1e-9).floor() * step, (high / step - 1e-9).ceil() * step);
        Self::between(unit, ends, step)
    }

    fn between(unit: Unit, (low, high): (f64, f64), step: f64) -> Self {
        let scale = Scale::of(unit, high.abs().max(low.abs()));
        let decimals = decimals_of(step / scale.factor);
        let first = (low / step - 1e-9).ceil();
        let ticks = (0..MOST_TICKS)
            .map(|index| (first + f64::from(u32::try_from(index).unwrap_or(u32::MAX))) * step)
            .take_while(|value| *value <= high + step * 1e-6)
            .map(|value| ValueTick { value, label: scale.print(value, decimals) })
            .collect();
        Self { low, high, ticks }
    }
}

/// Things that are counted have no halves.
const fn is_whole(unit: Unit) -> bool {
    matches!(unit, Unit::Count)
}

/// The round number (1, 2, 2.5 or 5 times a power of ten) that is at least `rough`.
fn nice_step(rough: f64, whole: bool) -> f64 {
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|digit| digit * power).into_iter().find(|step| *step >= rough * (1.0 - 1e-9));
    let step = step.unwrap_or(10.0 * power);
    if whole { step.ceil().max(1.0) } else { step }
}

/// How many digits after the point `step` needs.
fn decimals_of(step: f64) -> usize {
    let exact = |decimals: &usize| {
        let shifted = step * 10_f64.powi(i32::try_from(*decimals).unwrap_or(0));
        (shifted - shifted.round()).abs() < 1e-6 * shifted.abs().max(1e-3)
    };
    (0..=9).find(exact).unwrap_or(9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn axis(unit: Unit, values: &[f64], pin: bool) -> ValueAxis {
        let mut extent = Extent::default();
        values.iter().for_each(|v| extent.include(*v));
        ValueAxis::new(unit, extent, pin, 5.0)
    }

    fn check(unit: Unit, values: &[f64], labels: &[&str]) {
        let found: Vec<String> = axis(unit, values, unit == Unit::Percent).ticks.into_iter().map(|tick| tick.label).collect();
        assert_eq!(found, labels, "{unit:?} {values:?}");
    }

    #[test]
    fn ticks_are_round_in_the_unit_that_is_read() {
        const GIB: f64 = 1024.0 * 1024.0 * 1024.0;
        check(Unit::Percent, &[3.0, 97.2], &["0 %", "20 %", "40 %", "60 %", "80 %", "100 %"]);
        check(Unit::Percent, &[3.0, 180.0], &["0 %", "50 %", "100 %", "150 %", "200 %"]);
        check(Unit::Bytes, &[1.0 * GIB, 7.3 * GIB], &["0 GiB", "2 GiB", "4 GiB", "6 GiB", "8 GiB"]);
        check(Unit::BytesPerSecond, &[0.0, 320e6], &["0 MB/s", "100 MB/s", "200 MB/s", "300 MB/s", "400 MB/s"]);
        check(Unit::Celsius, &[70.1, 74.2], &["70 °C", "71 °C", "72 °C", "73 °C", "74 °C", "75 °C"]);
        check(Unit::Count, &[0.0, 2.0], &["0", "1", "2"]);
        check(Unit::None, &[0.0, 0.3], &["0.0", "0.1", "0.2", "0.3"]);
        check(Unit::None, &[-2.0, 3.0], &["-2", "-1", "0", "1", "2", "3"]);
        check(Unit::Bool, &[0.0, 1.0], &["no", "yes"]);
        check(Unit::Seconds, &[0.0, 30_000.0], &["0 h", "2 h", "4 h", "6 h", "8 h", "10 h"]);
        check(Unit::Bytes, &[f64::NAN, f64::INFINITY], &[]);
    }

    #[test]
    fn percent_is_pinned_only_while_all_values_lie_within() {
        let pinned = axis(Unit::Percent, &[40.0, 41.0], true);
        assert_eq!((pinned.low.to_bits(), pinned.high.to_bits()), (0.0_f64.to_bits(), 100.0_f64.to_bits()));
        assert!(axis(Unit::Percent, &[40.0, 141.0], true).high >= 141.0);
        assert!(axis(Unit::Percent, &[40.0, 41.0], false).high < 50.0);
    }

    #[test]
    fn one_value_stands_in_the_middle() {
        for value in [7.0, -3.0, 1e-9, 1e40] {
            let axis = axis(Unit::None, &[value, value], false);
            assert!((f64::midpoint(axis.low, axis.high) - value).abs() <= value.abs() * 1e-9, "{value}");
            assert!(axis.ticks.len() >= 2, "{value}: {:?}", axis.ticks);
        }
    }

    proptest! {
        #[test]
        fn every_value_lies_on_its_axis(a in -1e90..1e90_f64, b in -1e90..1e90_f64, power in -60..0_i32) {
            let (a, b) = (a * 10_f64.powi(power), b * 10_f64.powi(power));
            let axis = axis(Unit::BytesPerSecond, &[a, b], false);
            let tolerance = (axis.high - axis.low) * 1e-6;
            prop_assert!(axis.low < axis.high);
            prop_assert!(axis.low <= a.min(b) + tolerance && axis.high >= a.max(b) - tolerance, "{axis:?}");
            prop_assert!((1..=12).contains(&axis.ticks.len()), "{axis:?}");
            for tick in &axis.ticks {
                prop_assert!(tick.value >= axis.low - tolerance && tick.value <= axis.high + tolerance);
            }
        }
    }
}
