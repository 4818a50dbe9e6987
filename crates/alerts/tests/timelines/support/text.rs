//! Rules, times and names as the scenarios write them.

use nightbell_alerts::{
    Aggregate, Clear, Comparison, EscalationStep, MatchKind, Matcher, Missing, Rule, RuleKind, Scope, Selector, Severity,
    Threshold, Transform,
};
use nightbell_model::{AgentId, ChannelId, Level, RuleId, SeriesKey};

/// The number behind a name: its letters.
pub(crate) fn bits(name: &str) -> u128 {
    assert!(name.len() <= 16, "{name} is too long for a name");
    name.bytes().fold(0, |bits, byte| (bits << 8) | u128::from(byte))
}

/// The name behind a number.
pub(crate) fn name(bits: u128) -> String {
    let bytes = bits.to_be_bytes().into_iter().filter(|byte| *byte != 0).collect();
    String::from_utf8(bytes).unwrap()
}

pub(crate) fn rule_id(name: &str) -> RuleId {
    RuleId::from_bits(bits(name))
}

pub(crate) fn agent_id(name: &str) -> AgentId {
    AgentId::from_bits(bits(name))
}

pub(crate) fn channel_id(name: &str) -> ChannelId {
    ChannelId::from_bits(bits(name))
}

pub(crate) fn channels(list: &str) -> Vec<ChannelId> {
    list.split(',').map(channel_id).collect()
}

/// `90s`, `5m`, `2h`, `250ms`, `1d`, `0`.
pub(crate) fn duration(text: &str) -> i64 {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let number: f64 = text[..split].parse().unwrap_or_else(|_| panic!("{text:?} is no duration"));
    let unit = match &text[split..] {
        "ms" => 1.0,
        "s" | "" => 1000.0,
        "m" => 60_000.0,
        "h" => 3_600_000.0,
        "d" => 86_400_000.0,
        other => panic!("{other:?} is no unit of time"),
    };
    whole(number * unit)
}

/// `1:30` is 90 s, `2:00:00` two hours, `0:00.250` a quarter of a second.
pub(crate) fn time(text: &str) -> i64 {
    let mut total = 0.0;
    for part in text.split(':') {
        total = total * 60.0 + part.parse::<f64>().unwrap_or_else(|_| panic!("{text:?} is no time"));
    }
    whole(total * 1000.0)
}

pub(crate) fn time_text(ms: i64) -> String {
    let (seconds, part) = (ms / 1000, ms % 1000);
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let whole = if hours > 0 { format!("{hours}:{minutes:02}:{rest:02}") } else { format!("{minutes}:{rest:02}") };
    if part == 0 { whole } else { format!("{whole}.{part:03}") }
}

#[expect(clippy::cast_possible_truncation, reason = "times of scenarios are small")]
fn whole(ms: f64) -> i64 {
    ms.round() as i64
}

/// `name metric op threshold`, then `option value` in any order.
pub(crate) fn rule(line: &str) -> Rule {
    let words: Vec<&str> = line.split_whitespace().collect();
    let series: SeriesKey = words[1].parse().unwrap();
    let mut rule = Rule {
        id: rule_id(words[0]),
        version: 1,
        name: words[0].to_owned(),
        key: None,
        kind: if words[1] == "agent.offline" { RuleKind::Offline } else { RuleKind::Threshold },
        transform: Transform::None,
        selector: Selector {
            metric: series.metric().to_owned(),
            labels: series.labels(),
            matchers: Vec::new(),
            aggregate: Aggregate::Each,
        },
        comparison: Comparison::from_name(words[2]).unwrap(),
        threshold: level(words[3]).map_or_else(|| Threshold::Value(words[3].parse().unwrap()), Threshold::Level),
        clear: None,
        hold_ms: 0,
        keep_firing_ms: 0,
        cooldown_ms: 0,
        repeat_ms: 0,
        missing: Missing::Keep,
        missing_after_ms: None,
        severity: Severity::Warning,
        scope: Scope::Global,
        channels: channels("ops"),
        escalation: Vec::new(),
        fold_late: true,
        enabled: true,
    };
    for pair in words[4..].chunks(2) {
        set(&mut rule, pair[0], pair[1]);
    }
    assert_eq!(rule.faults(), [], "{line}");
    rule
}

fn set(rule: &mut Rule, option: &str, value: &str) {
    match option {
        "for" => rule.hold_ms = duration(value),
        "keep" => rule.keep_firing_ms = duration(value),
        "cooldown" => rule.cooldown_ms = duration(value),
        "repeat" => rule.repeat_ms = duration(value),
        "after" => rule.missing_after_ms = Some(duration(value)),
        "missing" => rule.missing = Missing::from_name(value).unwrap(),
        "severity" => rule.severity = Severity::from_name(value).unwrap(),
        "aggregate" => rule.selector.aggregate = Aggregate::from_name(value).unwrap(),
        "channels" => rule.channels = channels(value),
        "key" => rule.key = Some(value.to_owned()),
        "fold" => rule.fold_late = value == "on",
        "enabled" => rule.enabled = value == "yes",
        "rate" => {
            let (window, per) = value.split_once('/').unwrap();
            (rule.kind, rule.transform) =
                (RuleKind::Rate, Transform::Rate { window_ms: duration(window), per_ms: duration(per) });
        }
        "forecast" => {
            let (horizon, window) = value.split_once('/').unwrap();
            (rule.kind, rule.transform) =
                (RuleKind::Forecast, Transform::Forecast { horizon_ms: duration(horizon), window_ms: duration(window) });
        }
        "kind" => {
            rule.kind = RuleKind::from_name(value).unwrap();
            rule.transform = rule.kind.preset(!rule.selector.labels.is_empty()).unwrap().transform;
        }
        "clear" => rule.clear = Some(clear(value)),
        "scope" => {
            let (kind, name) = value.split_once(':').unwrap();
            rule.scope = if kind == "tag" { Scope::Tag(name.to_owned()) } else { Scope::Agent(agent_id(name)) };
        }
        "match" => {
            let (label, pattern) = value.split_once("=~").unwrap();
            rule.selector.matchers.push(Matcher { label: label.into(), kind: MatchKind::Regex, value: pattern.into() });
        }
        "escalate" => {
            let (after, names) = value.split_once(':').unwrap();
            rule.escalation.push(EscalationStep { after_ms: duration(after), channels: channels(names) });
        }
        other => panic!("a rule has no {other:?}"),
    }
}

fn clear(value: &str) -> Clear {
    match (level(value), value.strip_prefix("margin:")) {
        (Some(level), _) => Clear::Level(level),
        (None, Some(margin)) => Clear::Margin(margin.parse().unwrap()),
        (None, None) => Clear::Value(value.parse().unwrap()),
    }
}

fn level(word: &str) -> Option<Level> {
    [Level::Warn, Level::Crit].into_iter().find(|level| level.name() == word)
}
