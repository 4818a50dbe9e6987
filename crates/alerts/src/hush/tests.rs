//! Which notices a mute withholds.

use super::*;
use crate::context::{LabelConditions, MuteKind};
use crate::fixtures;
use crate::rule::{MatchKind, Matcher};
use nightbell_model::{AgentId, RuleId, Ulid};

fn at(s: i64) -> Timestamp {
    Timestamp::from_secs(s)
}

fn mute() -> Mute {
    Mute {
        id: Ulid::from_bits(1),
        kind: MuteKind::Silence,
        start: at(100),
        end: at(200),
        rule: None,
        agent: None,
        tag: None,
        series: None,
        labels: LabelConditions::default(),
        channel: None,
        up_to: None,
        defers_resolved: false,
    }
}

fn mount(kind: MatchKind, value: &str) -> LabelConditions {
    vec![Matcher { label: "mount".to_owned(), kind, value: value.to_owned() }].into()
}

fn is_muted(mute: Mute) -> bool {
    let (rule, agent) = (fixtures::rule(7, "disk.used_percent"), fixtures::agent(8, &["db"]));
    let series = "disk.used_percent{mount=/}".parse().unwrap();
    let target = Target { rule: &rule, severity: rule.severity, agent: &agent, series: &series };
    muted(&[mute], &target, ChannelId::from_bits(9), (at(150), false)).is_some()
}

#[test]
fn a_mute_without_conditions_withholds_everything_and_each_condition_narrows_it() {
    assert!(is_muted(mute()));
    for (matching, other) in [
        (Mute { rule: Some(RuleId::from_bits(7)), ..mute() }, Mute { rule: Some(RuleId::from_bits(1)), ..mute() }),
        (Mute { agent: Some(AgentId::from_bits(8)), ..mute() }, Mute { agent: Some(AgentId::from_bits(1)), ..mute() }),
        (Mute { tag: Some("db".into()), ..mute() }, Mute { tag: Some("web".into()), ..mute() }),
        (Mute { series: Some("disk.used_percent".into()), ..mute() }, Mute { series: Some("disk.used".into()), ..mute() }),
        (
            Mute { series: Some("disk.used_percent{mount=/}".into()), ..mute() },
            Mute { series: Some("disk.used_percent{mount=/srv}".into()), ..mute() },
        ),
        (
            Mute { labels: mount(MatchKind::Regex, "/|/srv"), ..mute() },
            Mute { labels: mount(MatchKind::Regex, "/srv.*"), ..mute() },
        ),
        (
            Mute { labels: mount(MatchKind::NotEqual, "/srv"), ..mute() },
            Mute { labels: mount(MatchKind::NotEqual, "/"), ..mute() },
        ),
        (Mute { channel: Some(ChannelId::from_bits(9)), ..mute() }, Mute { channel: Some(ChannelId::from_bits(1)), ..mute() }),
        (Mute { up_to: Some(Severity::Warning), ..mute() }, Mute { up_to: Some(Severity::Info), ..mute() }),
        (Mute { start: at(150), ..mute() }, Mute { start: at(151), ..mute() }),
        (Mute { end: at(151), ..mute() }, Mute { end: at(150), ..mute() }),
    ] {
        assert!(is_muted(matching.clone()), "{matching:?}");
        assert!(!is_muted(other.clone()), "{other:?}");
    }
}
