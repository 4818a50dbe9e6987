//! Values against thresholds, levels and bands.

use super::*;
use nightbell_model::Level;

fn rule(metric: &str, comparison: Comparison, threshold: Threshold, clear: Option<Clear>) -> Rule {
    Rule { comparison, threshold, clear, ..crate::fixtures::rule(1, metric) }
}

fn table(key: &str, warn: f64, crit: f64) -> LevelTable {
    let mut levels = LevelTable::default();
    levels.global.insert(key.to_owned(), Levels { warn, crit });
    levels
}

/// The verdicts of values against a rule, one letter each; `-` is none.
fn verdicts(rule: &Rule, levels: &LevelTable, series: &str, values: &[f64]) -> String {
    let limits = Limits::resolve(rule, levels, AgentId::default(), &series.parse().unwrap());
    let letter = |value: &f64| match limits.judge(*value) {
        Some(Verdict::Breach) => 'B',
        Some(Verdict::Between) => 'M',
        Some(Verdict::Clear) => 'C',
        None => '-',
    };
    values.iter().map(letter).collect()
}

#[test]
fn every_comparison_is_exact_and_infinities_compare() {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    let values = [89.999_999_999_999_99, 90.0, 90.000_000_000_000_01, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
    for (comparison, expected) in [
        (Greater, "CCBBC-"),
        (GreaterOrEqual, "CBBBC-"),
        (Less, "BCCCB-"),
        (LessOrEqual, "BBCCB-"),
        (Equal, "CBCCC-"),
        (NotEqual, "BCBBB-"),
    ] {
        let rule = rule("custom.value", comparison, Threshold::Value(90.0), None);
        assert_eq!(verdicts(&rule, &LevelTable::default(), "custom.value", &values), expected, "{comparison:?}");
    }
}

#[test]
fn between_threshold_and_clear_nothing_is_said() {
    let high = rule("cpu.usage_percent", Comparison::Greater, Threshold::Value(90.0), Some(Clear::Value(80.0)));
    assert_eq!(verdicts(&high, &LevelTable::default(), "cpu.usage_percent", &[91.0, 90.0, 85.0, 80.0, 79.9]), "BMMMC");
    let low = rule("battery.percent", Comparison::LessOrEqual, Threshold::Value(10.0), Some(Clear::Margin(5.0)));
    assert_eq!(verdicts(&low, &LevelTable::default(), "battery.percent", &[9.0, 10.0, 12.0, 15.0, 15.1]), "BBMMC");
}

#[test]
fn levels_are_the_agents_own_before_the_fleets_and_the_series_before_the_metric() {
    let rule = rule("disk.used_percent", Comparison::GreaterOrEqual, Threshold::Level(Level::Crit), None);
    let mut levels = table("disk.used_percent", 70.0, 85.0);
    levels.global.insert("disk.used_percent{mount=/}".into(), Levels { warn: 80.0, crit: 95.0 });
    assert_eq!(verdicts(&rule, &levels, "disk.used_percent{mount=/}", &[90.0, 95.0]), "CB");
    assert_eq!(verdicts(&rule, &levels, "disk.used_percent{mount=/srv}", &[84.0, 90.0]), "CB");
    let own = levels.agents.entry(AgentId::default()).or_default();
    own.insert("disk.used_percent".into(), Levels { warn: 40.0, crit: 50.0 });
    assert_eq!(verdicts(&rule, &levels, "disk.used_percent{mount=/}", &[49.0, 50.0]), "CB");
}

#[test]
fn without_a_level_or_with_one_that_lies_the_other_way_the_value_is_missing() {
    let level = Threshold::Level(Level::Warn);
    let missing = rule("cpu.usage_percent", Comparison::Greater, level, None);
    assert_eq!(verdicts(&missing, &LevelTable::default(), "cpu.usage_percent", &[99.0]), "-");
    let disagreeing = rule("cpu.usage_percent", Comparison::Less, level, None);
    assert_eq!(verdicts(&disagreeing, &table("cpu.usage_percent", 70.0, 85.0), "cpu.usage_percent", &[1.0, 99.0]), "--");
    let equal = rule("cpu.usage_percent", Comparison::Equal, level, None);
    assert_eq!(verdicts(&equal, &table("cpu.usage_percent", 70.0, 85.0), "cpu.usage_percent", &[70.0]), "-");
    let neutral = rule("cpu.frequency_mhz", Comparison::Greater, level, None);
    assert_eq!(verdicts(&neutral, &table("cpu.frequency_mhz", 1.0, 2.0), "cpu.frequency_mhz", &[3.0]), "-");
    let custom_low = rule("custom.free", Comparison::Less, level, None);
    assert_eq!(verdicts(&custom_low, &table("custom.free", 30.0, 10.0), "custom.free", &[29.0, 31.0]), "BC");
}

#[test]
fn clear_can_be_the_lower_level() {
    let rule =
        rule("cpu.usage_percent", Comparison::GreaterOrEqual, Threshold::Level(Level::Crit), Some(Clear::Level(Level::Warn)));
    assert_eq!(verdicts(&rule, &table("cpu.usage_percent", 70.0, 85.0), "cpu.usage_percent", &[85.0, 84.0, 70.0, 69.0]), "BMMC");
}
