//! Routes as a table, and who hears of an end after they changed.

use super::*;
use nightbell_alerts::{Comparison, InstanceKey};
use nightbell_model::AgentId;
use std::sync::Arc;

const OPS: ChannelId = ChannelId::from_bits(1);
const DBA: ChannelId = ChannelId::from_bits(2);
const NIGHT: ChannelId = ChannelId::from_bits(3);

/// An incident of a rule.
pub(crate) fn incident(severity: Severity, fired_at: &str) -> IncidentRecord {
    let at = Timestamp::from_millis(chrono::DateTime::parse_from_rfc3339(fired_at).unwrap().timestamp_millis());
    IncidentRecord {
        id: IncidentId::from_bits(5),
        key: InstanceKey { rule: RuleId::from_bits(7), agent: AgentId::from_bits(8), series: "m.a".parse().unwrap() },
        rule_name: "hot".to_owned(),
        severity,
        comparison: Comparison::Greater,
        threshold: 1.0,
        hold_ms: 0,
        started_at: at,
        fired_at: at,
        resolved_at: None,
        end_reason: None,
        value: 2.0,
        peak: 2.0,
        samples: 1,
        ack: None,
        why: String::new(),
        late: false,
    }
}

fn hours(from: &str, to: &str) -> Option<Hours> {
    Some(Hours { weekdays: Vec::new(), from: from.parse().unwrap(), to: to.parse().unwrap(), timezone: None })
}

fn routes() -> Vec<Route> {
    vec![
        Route { tags: vec!["db".to_owned()], channels: vec![DBA], goes_on: true, ..Route::default() },
        Route { when: hours("22:00", "06:00"), severities: vec![Severity::Critical], channels: vec![NIGHT], ..Route::default() },
        Route { when: hours("22:00", "06:00"), ..Route::default() },
        Route { channels: vec![OPS, DBA], ..Route::default() },
    ]
}

#[test]
fn the_first_route_that_fits_decides_unless_it_says_to_go_on() {
    use Severity::{Critical, Warning};
    let (day, night) = ("2026-06-01T12:00:00Z", "2026-06-01T23:00:00Z");
    for (severity, at, tags, expected) in [
        (Warning, day, &[][..], vec![OPS, DBA]),
        (Critical, day, &["db"][..], vec![DBA, OPS]),
        (Critical, night, &[][..], vec![NIGHT]),
        (Critical, night, &["db"][..], vec![DBA, NIGHT]),
        (Warning, night, &[][..], vec![]),
        (Warning, night, &["db"][..], vec![DBA]),
        (Warning, "2026-06-01T06:00:00Z", &[][..], vec![OPS, DBA]),
    ] {
        let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
        assert_eq!(choose(&routes(), &incident(severity, at), &tags, chrono_tz::UTC), expected, "{severity:?} {at} {tags:?}");
    }
    let berlin = choose(&routes(), &incident(Critical, "2026-06-01T20:30:00Z"), &[], chrono_tz::Europe::Berlin);
    assert_eq!(berlin, [NIGHT], "hours are the hub's");
}

/// A channel that is enough of one for routes.
fn channel(id: ChannelId) -> nightbell_store::ChannelRow {
    nightbell_store::ChannelRow {
        id,
        name: id.to_string(),
        kind: "webhook".to_owned(),
        config_json: "{}".to_owned(),
        enabled: true,
        created_at: Timestamp::from_secs(1),
        version: 1,
        broken: None,
        quiet_json: "[]".to_owned(),
    }
}

#[test]
fn without_any_route_every_channel_is_told() {
    let mut holdings = without_channels();
    let told = |holdings: &Holdings| {
        let known: Vec<Vec<ChannelId>> = holdings.routed_rules().map(|rule| rule.channels).collect();
        (told_to(holdings, &incident(Severity::Info, "2026-06-01T12:00:00Z")), known[0].clone())
    };
    assert_eq!(told(&holdings), (vec![], vec![]), "there is none yet");
    for (id, topics) in [(OPS, 2), (DBA, 2), (DBA, 1)] {
        let mut changed = Vec::new();
        holdings.take(nightbell_store::Change::PutChannel(channel(id)), &mut changed);
        assert_eq!(changed.len(), topics, "the evaluator hears of a new channel, not of each change to it");
    }
    assert_eq!(told(&holdings), (vec![OPS, DBA], vec![OPS, DBA]));
    holdings.settings.routes = vec![Route::default()];
    assert_eq!(told(&holdings), (vec![], vec![]), "nobody, where a route says so");
}

#[test]
fn routes_are_read_as_they_were_written() {
    let mut all = routes();
    all[3].rules = vec![RuleId::from_bits(7)];
    assert_eq!(read(&write(&all)), all);
    assert_eq!(read("from the future"), Vec::new());
}

fn without_channels() -> Holdings {
    let mut holdings = Holdings::default();
    let rules = crate::starter::changes(&[], Timestamp::from_secs(1)).into_iter();
    for change in rules {
        if let nightbell_store::Change::PutRule { rule, created_at } = change {
            let id = RuleId::from_bits(7);
            holdings.rules.insert(id, (Rule { id, ..rule }, created_at));
        }
    }
    holdings
}

fn notice(kind: NoticeKind, channel: ChannelId) -> Notice {
    let incident = incident(Severity::Warning, "2026-06-01T12:00:00Z");
    Notice {
        kind,
        n: 0,
        channel,
        value: None,
        at: incident.fired_at,
        not_before: incident.fired_at,
        suppressed: 0,
        late: false,
        incident: Arc::new(incident),
    }
}

#[test]
fn who_was_told_hears_of_the_end_whatever_the_routes_say_by_then() {
    let mut holdings = without_channels();
    holdings.settings.routes = routes();
    let mut routed = Routed::default();
    assert!(routed.passes(&holdings, &notice(NoticeKind::Fired, OPS)));
    assert!(!routed.passes(&holdings, &notice(NoticeKind::Fired, NIGHT)));
    assert!(routed.passes(&holdings, &notice(NoticeKind::Escalated, NIGHT)), "an escalation names its channels");
    holdings.settings.routes = Vec::new();
    assert!(routed.passes(&holdings, &notice(NoticeKind::Repeat, OPS)));
    for channel in [OPS, NIGHT] {
        assert!(routed.passes(&holdings, &notice(NoticeKind::Resolved, channel)));
        assert!(!routed.passes(&holdings, &notice(NoticeKind::Resolved, channel)), "once");
    }
    let mut restored = Routed::restore([(IncidentId::from_bits(5), DBA)].into_iter());
    assert!(restored.passes(&holdings, &notice(NoticeKind::Resolved, DBA)));
    assert!(!restored.passes(&holdings, &notice(NoticeKind::Resolved, OPS)));
}

#[test]
fn the_end_of_a_deleted_rule_goes_where_its_beginning_went() {
    let mut holdings = without_channels();
    holdings.settings.routes = routes();
    let mut routed = Routed::default();
    assert!(routed.passes(&holdings, &notice(NoticeKind::Fired, OPS)));
    assert!(!routed.passes(&holdings, &notice(NoticeKind::Fired, NIGHT)));
    holdings.rules.clear();
    assert!(!routed.passes(&holdings, &notice(NoticeKind::Resolved, NIGHT)));
    assert!(routed.passes(&holdings, &notice(NoticeKind::Resolved, OPS)));
    let mut own = Routed::default();
    assert!(own.passes(&holdings, &notice(NoticeKind::Resolved, OPS)), "of a rule with channels of its own nothing is kept here");
}
