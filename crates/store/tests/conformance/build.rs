//! Rows to put in, with all that does not matter left at one value.

use nightbell_alerts::{
    Aggregate, Clear, Comparison, Event, EventKind, IncidentRecord, InstanceKey, MatchKind, Matcher, Missing, NoticeKind, Rule,
    RuleKind, Scope, Selector, Severity, Threshold, Transform,
};
use nightbell_model::{AgentId, Batch, BootId, ChannelId, IncidentId, Level, RuleId, Schema, SeriesKey, Tier, Timestamp, Ulid};
use nightbell_store::{AgentRow, AuditEntry, ChannelRow, NewDelivery, RangeQuery, Role, UserRow};
use std::sync::Arc;

/// Midnight of a day long after 1970, in milliseconds: times of tests count from here.
pub(crate) const MIDNIGHT: i64 = 20_000 * 86_400_000;
pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;

/// A moment after midnight.
pub(crate) fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(MIDNIGHT + ms)
}

pub(crate) fn agent(n: u128) -> AgentId {
    AgentId::from_bits(n)
}

pub(crate) fn key(text: &str) -> SeriesKey {
    text.parse().unwrap()
}

pub(crate) fn schema(keys: &[&str]) -> Arc<Schema> {
    Schema::new(keys.iter().map(|text| key(text)).collect())
}

/// A heartbeat of agent 1 without boot and number.
pub(crate) fn beat(ms: i64, schema: &Arc<Schema>, values: &[f64]) -> Batch {
    Batch { agent: agent(1), ts: at(ms), received: at(ms), boot_seq: None, schema: Arc::clone(schema), values: values.into() }
}

/// A heartbeat of agent 1 with a number of its process.
pub(crate) fn numbered(seq: u64, ms: i64, schema: &Arc<Schema>, values: &[f64]) -> Batch {
    Batch { boot_seq: Some((BootId("boot".into()), seq)), ..beat(ms, schema, values) }
}

/// Everything of agent 1 at a tier.
pub(crate) fn all(tier: Tier) -> RangeQuery {
    let (start, end) = (Timestamp::MIN, Timestamp::MAX);
    RangeQuery { agent: agent(1), series: Vec::new(), start, end, tier: Some(tier), max_points: 1000, now: at(0) }
}

pub(crate) fn agent_row(n: u128) -> AgentRow {
    AgentRow {
        id: agent(n),
        name: format!("host-{n}"),
        tags: vec!["a \"quoted\" tag".to_owned(), "web".to_owned()],
        created_at: at(0),
        last_seen: None,
        interval_ms: 15_000,
        paused: false,
        version: "1.0".to_owned(),
        facts_json: "{}".to_owned(),
        credential: [u8::try_from(n).unwrap(); 32],
        enrolled_as: "host".to_owned(),
    }
}

pub(crate) fn user_row(n: u128) -> UserRow {
    UserRow {
        id: Ulid::from_bits(n),
        username: format!("user{n}"),
        password_phc: "$argon2id$".to_owned(),
        role: Role::Admin,
        created_at: at(0),
    }
}

pub(crate) fn channel_row(n: u128) -> ChannelRow {
    ChannelRow {
        id: ChannelId::from_bits(n),
        name: format!("channel-{n}"),
        kind: "webhook".to_owned(),
        config_json: "{}".to_owned(),
        enabled: true,
        broken: None,
        created_at: at(0),
        version: 1,
        quiet_json: r#"[{"from":"22:00"}]"#.to_owned(),
    }
}

/// A rule with every field set to something that is easy to lose.
pub(crate) fn rule(n: u128) -> Rule {
    Rule {
        id: RuleId::from_bits(n),
        version: 3,
        name: "disk full".to_owned(),
        key: Some("disk".to_owned()),
        kind: RuleKind::Forecast,
        selector: Selector {
            metric: "disk.used_percent".to_owned(),
            labels: vec![("mount".to_owned(), "/srv, \"x\"".to_owned())],
            matchers: vec![Matcher { label: "fs".to_owned(), kind: MatchKind::NotRegex, value: "tmp.*".to_owned() }],
            aggregate: Aggregate::Max,
        },
        transform: Transform::Forecast { horizon_ms: 7, window_ms: 8 },
        comparison: Comparison::GreaterOrEqual,
        threshold: Threshold::Level(Level::Crit),
        clear: Some(Clear::Margin(2.5)),
        hold_ms: 120_000,
        keep_firing_ms: 1,
        cooldown_ms: 2,
        repeat_ms: 3,
        missing: Missing::NoData,
        missing_after_ms: Some(4),
        severity: Severity::Critical,
        scope: Scope::Tag("web".to_owned()),
        channels: vec![ChannelId::from_bits(1), ChannelId::from_bits(2)],
        escalation: vec![
            nightbell_alerts::EscalationStep { after_ms: 5, channels: vec![ChannelId::from_bits(3)] },
            nightbell_alerts::EscalationStep { after_ms: 6, channels: Vec::new() },
        ],
        fold_late: true,
        enabled: true,
    }
}

pub(crate) fn instance() -> InstanceKey {
    InstanceKey { rule: RuleId::from_bits(1), agent: agent(1), series: key("cpu.usage_percent") }
}

pub(crate) fn incident(n: u128) -> IncidentRecord {
    IncidentRecord {
        id: IncidentId::from_bits(n),
        key: instance(),
        rule_name: "busy".to_owned(),
        severity: Severity::Warning,
        comparison: Comparison::Greater,
        threshold: 90.0,
        hold_ms: 0,
        started_at: at(0),
        fired_at: at(0),
        resolved_at: None,
        end_reason: None,
        value: 91.5,
        peak: 99.0,
        samples: 4,
        ack: None,
        why: String::new(),
        late: false,
    }
}

pub(crate) fn event(ms: i64, kind: EventKind) -> Event {
    Event {
        at: at(ms),
        kind,
        agent: Some(agent(1)),
        rule: Some(RuleId::from_bits(1)),
        incident: Some(IncidentId::from_bits(1)),
        series: Some(key("cpu.usage_percent")),
        value: Some(91.5),
        threshold: Some(90.0),
        reason: String::new(),
    }
}

/// A delivery of incident 1 to channel 1, due when it is made.
pub(crate) fn delivery(id: u128, kind: NoticeKind, n: u32, ms: i64) -> NewDelivery {
    let InstanceKey { rule, agent, series } = instance();
    NewDelivery {
        id: Ulid::from_bits(id),
        channel: ChannelId::from_bits(1),
        instance: format!("{rule}/{agent}/{series}"),
        incident: IncidentId::from_bits(1),
        kind,
        n,
        payload_json: "{}".to_owned(),
        created_at: at(ms),
        not_before: at(ms),
        fold: None,
    }
}

/// A line of the audit log.
pub(crate) fn audit_line(n: i64) -> AuditEntry {
    AuditEntry {
        at: at(n),
        actor: "user:ann".to_owned(),
        action: "setting.put".to_owned(),
        object: format!("setting {n}"),
        detail_json: "{}".to_owned(),
        address: "127.0.0.1".to_owned(),
    }
}
