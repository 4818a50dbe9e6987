//! What a new hub begins with: default levels and five rules worth having everywhere. They are ordinary objects from then on.

use crate::ids;
use nightbell_alerts::{
    Aggregate, Clear, Comparison, Missing, OFFLINE_METRIC, Rule, RuleKind, Scope, Selector, Severity, Threshold, Transform,
};
use nightbell_model::{Levels, RuleId, Timestamp};
use nightbell_store::Change;

/// The setting that says a hub has been furnished once; what was deleted since stays deleted.
const FURNISHED: &str = "furnished";
/// Warn and crit of CPU, memory and disk (MISSION Z11).
const LEVELS: Levels = Levels { warn: 70.0, crit: 85.0 };
const MINUTE: i64 = 60_000;

/// The changes that furnish a new hub; none if it was furnished before.
#[must_use]
pub fn changes(settings: &[(String, String)], now: Timestamp) -> Vec<Change> {
    if settings.iter().any(|(key, _)| key == FURNISHED) {
        return Vec::new();
    }
    let levels = ["cpu.usage_percent", "mem.used_percent", "disk.used_percent"].map(|metric| Change::PutLevels {
        agent: None,
        key: metric.to_owned(),
        levels: LEVELS,
    });
    let mut changes = levels.to_vec();
    changes.extend(rules().into_iter().map(|rule| Change::PutRule { rule, created_at: now }));
    changes.push(Change::PutSetting { key: FURNISHED.to_owned(), value: "1".to_owned() });
    changes
}

fn rules() -> [Rule; 5] {
    let offline = rule("Agent offline", OFFLINE_METRIC, 0.0, 0, Severity::Critical);
    let disk = rule("Disk nearly full", "disk.used_percent", 90.0, 5 * MINUTE, Severity::Critical);
    let memory = rule("Memory nearly used up", "mem.used_percent", 95.0, 10 * MINUTE, Severity::Warning);
    let cpu = rule("CPU saturated", "cpu.usage_percent", 95.0, 15 * MINUTE, Severity::Warning);
    let killed = rule("Out of memory: a process was killed", "sys.oom_kills_per_second", 0.0, 0, Severity::Critical);
    [
        offline,
        Rule { clear: Some(Clear::Value(87.0)), ..disk },
        Rule { clear: Some(Clear::Value(90.0)), ..memory },
        Rule { clear: Some(Clear::Value(85.0)), ..cpu },
        Rule { keep_firing_ms: 5 * MINUTE, ..killed },
    ]
}

fn rule(name: &str, metric: &str, above: f64, hold_ms: i64, severity: Severity) -> Rule {
    Rule {
        id: RuleId(ids::fresh()),
        version: 1,
        name: name.to_owned(),
        key: None,
        kind: if metric == OFFLINE_METRIC { RuleKind::Offline } else { RuleKind::Threshold },
        selector: Selector { metric: metric.to_owned(), labels: Vec::new(), matchers: Vec::new(), aggregate: Aggregate::Each },
        transform: Transform::None,
        comparison: Comparison::Greater,
        threshold: Threshold::Value(above),
        clear: None,
        hold_ms,
        keep_firing_ms: 0,
        cooldown_ms: 30 * MINUTE,
        repeat_ms: 0,
        missing: Missing::Keep,
        missing_after_ms: None,
        severity,
        scope: Scope::Global,
        channels: Vec::new(),
        escalation: Vec::new(),
        fold_late: true,
        enabled: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_is_furnished_once_and_its_rules_are_sound() {
        let all = changes(&[], Timestamp::from_secs(1));
        for change in &all {
            if let Change::PutRule { rule, .. } = change {
                assert_eq!(rule.faults(), Vec::new(), "{}", rule.name);
            }
        }
        assert_eq!(all.iter().filter(|change| matches!(change, Change::PutRule { .. })).count(), 5);
        assert!(changes(&[("furnished".to_owned(), "1".to_owned())], Timestamp::from_secs(1)).is_empty());
    }
}
