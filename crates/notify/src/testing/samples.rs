//! Notifications as a hub makes them: the stages of one incident, and the kinds that speak of no single series.

use crate::notification::{
    AckFacts, AgentFacts, BrokenFacts, DoubtFacts, NoticeWord, Notification, QuietFacts, RuleFacts, TopProcess,
};

const ENDED: &str = "2026-11-22T02:31:45.000Z";

/// A CPU rule on a database host, at the stage of its incident that `kind` tells of.
pub(super) fn incident(kind: NoticeWord) -> Notification {
    let timestamp = match kind {
        NoticeWord::Resolved | NoticeWord::NodataEnd => ENDED,
        NoticeWord::Repeat | NoticeWord::Escalated => "2026-11-22T03:09:05.000Z",
        NoticeWord::Acked => "2026-11-22T02:12:40.000Z",
        _ => "2026-11-22T02:09:05.000Z",
    };
    let ended = matches!(kind, NoticeWord::Resolved | NoticeWord::NodataEnd);
    let ack = AckFacts { by: "Ana".to_owned(), note: "vacuum is running".to_owned(), until: None };
    Notification {
        timestamp: timestamp.to_owned(),
        incident_id: "01KANB0000000000000000000A".to_owned(),
        rule: RuleFacts {
            id: "01KANB0000000000000000000R".to_owned(),
            name: "CPU hot".to_owned(),
            severity: "critical".to_owned(),
        },
        agent: AgentFacts { id: "01KANB0000000000000000000G".to_owned(), name: "db-01".to_owned(), tags: vec!["db".to_owned()] },
        metric: "cpu.usage_percent".to_owned(),
        unit: "percent".to_owned(),
        value: Some(if ended { 61.3 } else { 97.2 }),
        op: ">".to_owned(),
        threshold: Some(90.0),
        for_seconds: 300.0,
        started_at: "2026-11-22T02:04:05.000Z".to_owned(),
        fired_at: Some("2026-11-22T02:09:05.000Z".to_owned()),
        resolved_at: ended.then(|| timestamp.to_owned()),
        peak: Some(99.0),
        why: "97.2 % > 90 % for 5 m 0 s (20 samples)".to_owned(),
        top_processes: if ended || kind == NoticeWord::Acked { Vec::new() } else { busiest() },
        url: "https://nightbell.example/i/01KANB0000000000000000000A".to_owned(),
        chart_url: "https://nightbell.example/i/01KANB0000000000000000000A/chart.png".to_owned(),
        timezone: "Europe/Berlin".to_owned(),
        ack: (kind == NoticeWord::Acked).then_some(ack),
        ..Notification::new(kind)
    }
}

fn busiest() -> Vec<TopProcess> {
    let top = |name: &str, pid, (cpu_percent, rss_bytes, io_bytes_per_second)| TopProcess {
        name: name.to_owned(),
        pid,
        cpu_percent,
        rss_bytes,
        io_bytes_per_second,
    };
    vec![
        top("postgres", Some(4312), (81.0, 3_221_225_472, Some(4_404_019))),
        top("walwriter", Some(4320), (9.5, 41_943_040, Some(50_331_648))),
        top("node_exporter", None, (0.4, 20_971_520, None)),
    ]
}

/// A test, as the hub makes it when somebody asks for one.
pub(super) fn test() -> Notification {
    Notification {
        rule: RuleFacts { name: "Test".to_owned(), severity: "info".to_owned(), ..incident(NoticeWord::Test).rule },
        agent: AgentFacts { id: String::new(), name: "nightbell".to_owned(), tags: Vec::new() },
        value: None,
        threshold: None,
        peak: None,
        for_seconds: 0.0,
        why: "Ana sent a test to the channel ops.".to_owned(),
        top_processes: Vec::new(),
        url: "https://nightbell.example/".to_owned(),
        chart_url: String::new(),
        ..incident(NoticeWord::Test)
    }
}

/// A kind that speaks of no single series.
pub(super) fn other(kind: NoticeWord) -> Notification {
    let ended = kind == NoticeWord::HubDoubtEnd;
    let timestamp = if ended { ENDED } else { "2026-11-22T02:09:05.000Z" };
    let mut notification = Notification {
        timestamp: timestamp.to_owned(),
        incident_id: "01KANB0000000000000000000A".to_owned(),
        started_at: "2026-11-22T02:09:05.000Z".to_owned(),
        fired_at: Some("2026-11-22T02:09:05.000Z".to_owned()),
        resolved_at: ended.then(|| timestamp.to_owned()),
        url: "https://nightbell.example/".to_owned(),
        timezone: "Europe/Berlin".to_owned(),
        ..Notification::new(kind)
    };
    match kind {
        NoticeWord::Digest => {
            notification.quiet =
                Some(QuietFacts { from: "2026-11-21T21:00:00.000Z".to_owned(), until: "2026-11-22T06:00:00.000Z".to_owned() });
            notification.timestamp = "2026-11-22T06:00:00.000Z".to_owned();
            notification.items = items();
        }
        NoticeWord::ChannelBroken => {
            notification.broken = Some(BrokenFacts {
                id: "01KANB0000000000000000000C".to_owned(),
                name: "ops".to_owned(),
                kind: "slack".to_owned(),
                error: "hooks.slack.com answered 404 Not Found".to_owned(),
                undelivered: 2,
            });
        }
        _ => notification.doubt = Some(DoubtFacts { overdue: 58, agents: 100 }),
    }
    notification
}

fn items() -> Vec<Notification> {
    let item = |kind, rule: &str, severity: &str, agent: &str, metric: &str| {
        let mut item = incident(kind);
        (item.rule.name, item.rule.severity, item.agent.name) = (rule.to_owned(), severity.to_owned(), agent.to_owned());
        item.metric = metric.to_owned();
        item.top_processes.clear();
        item
    };
    let offline = nightbell_alerts::OFFLINE_METRIC;
    let mut disk = item(NoticeWord::Fired, "Disk full", "critical", "db-01", "disk.used_percent");
    disk.labels.insert("mount".to_owned(), "/var".to_owned());
    vec![
        disk,
        item(NoticeWord::Repeat, "Agent offline", "critical", "web-07", offline),
        item(NoticeWord::NodataStart, "Temperature", "warning", "ci-2", "sensor.temperature_celsius"),
        item(NoticeWord::Resolved, "CPU hot", "warning", "ci-2", "cpu.usage_percent"),
        item(NoticeWord::Resolved, "Agent offline", "critical", "web-01", offline),
    ]
}

/// Many hosts of one tag fell silent: the leading notification and those that travel with it.
pub(crate) fn storm(kind: NoticeWord) -> (Notification, Vec<Notification>) {
    let host = |number: usize| {
        let mut one = incident(kind);
        (one.incident_id, one.agent.name) = (format!("01KANB00000000000000000{number:03}"), format!("db-{number:02}"));
        one.metric = nightbell_alerts::OFFLINE_METRIC.to_owned();
        (one.rule.name, one.value, one.threshold, one.peak) = ("Agent offline".to_owned(), None, None, None);
        one.top_processes.clear();
        one
    };
    (host(1), (2..=14).map(host).collect())
}
