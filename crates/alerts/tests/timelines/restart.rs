//! What a new evaluator makes of stored records that the world has moved away from.

use crate::support::Hub;
use crate::support::store::Store;
use crate::support::text::{agent_id, rule, rule_id};
use nightbell_alerts::{AgentView, EndReason, EventKind, LevelTable, NoticeKind, State};
use nightbell_model::SeriesKey;

fn view() -> AgentView {
    AgentView {
        id: agent_id("a"),
        tags: Vec::new(),
        interval_ms: 30_000,
        paused: false,
        last_seen: None,
        closed: false,
        stopped_on_purpose: false,
    }
}

fn cpu() -> SeriesKey {
    "cpu.usage_percent".parse().unwrap()
}

/// A hub that has told of a firing alert.
fn firing() -> Hub {
    let rules = vec![rule("cpu cpu.usage_percent > 90 cooldown 5m")];
    let mut hub = Hub::new(rules, vec![view()], LevelTable::default(), Vec::new());
    hub.beat(agent_id("a"), 0, &[(cpu(), 95.0)]);
    assert_eq!(hub.state(rule_id("cpu"), agent_id("a"), None), State::Firing);
    hub.outputs.clear();
    hub
}

/// The notices and the ends of incidents since then.
fn said(hub: &Hub) -> Vec<NoticeKind> {
    hub.outputs
        .iter()
        .filter_map(|output| match output {
            crate::support::Output::Notice(_, notice) => Some(notice.kind),
            crate::support::Output::Event(..) => None,
        })
        .collect()
}

fn reasons(store: &Store) -> Vec<Option<EndReason>> {
    store.incidents.values().map(|incident| incident.end_reason).collect()
}

#[test]
fn a_rule_that_is_gone_ends_its_incident_with_the_first_tick() {
    let mut hub = firing();
    hub.rules.clear();
    hub.restart();
    assert!(hub.evaluator.next_deadline().is_some());
    hub.pass_to(1_000);
    assert_eq!(said(&hub), [NoticeKind::Resolved]);
    assert_eq!(reasons(&hub.store), [Some(EndReason::RuleRemoved)]);
    assert!(hub.store.instances.is_empty() && hub.store.told.is_empty(), "{:?}", hub.store);
}

#[test]
fn an_agent_that_is_gone_ends_its_incident_too() {
    let mut hub = firing();
    hub.agents.clear();
    hub.restart();
    hub.pass_to(1_000);
    assert_eq!(said(&hub), [NoticeKind::Resolved]);
    assert_eq!(reasons(&hub.store), [Some(EndReason::AgentRemoved)]);
}

#[test]
fn what_a_channel_was_told_of_is_ended_even_if_its_record_is_lost() {
    let mut hub = firing();
    let id = *hub.store.incidents.keys().next().unwrap();
    hub.store.incidents.clear();
    hub.store.instances.clear();
    hub.restart();
    hub.pass_to(1_000);
    let ends: Vec<_> = hub
        .outputs
        .iter()
        .filter_map(|output| match output {
            crate::support::Output::Notice(_, notice) => Some((notice.kind, notice.incident.id)),
            crate::support::Output::Event(..) => None,
        })
        .collect();
    assert_eq!(ends, [(NoticeKind::Resolved, id)]);
}

#[test]
fn a_firing_alert_whose_incident_is_lost_keeps_its_id() {
    let mut hub = firing();
    let id = *hub.store.incidents.keys().next().unwrap();
    hub.store.incidents.clear();
    hub.restart();
    hub.pass_to(30_000);
    hub.beat(agent_id("a"), 0, &[(cpu(), 10.0)]);
    assert_eq!(said(&hub), [NoticeKind::Resolved]);
    assert_eq!(hub.store.incidents[&id].end_reason, Some(EndReason::Cleared));
}

#[test]
fn a_clock_set_back_while_the_hub_was_down_stops_nothing() {
    let mut hub = firing();
    hub.beat(agent_id("a"), -1, &[(cpu(), 10.0)]);
    hub.offset -= 86_400_000;
    hub.restart();
    hub.pass_to(30_000);
    hub.beat(agent_id("a"), 0, &[(cpu(), 95.0)]);
    assert_eq!(hub.evaluator.late_ignored(), 0);
    assert_eq!(hub.state(rule_id("cpu"), agent_id("a"), None), State::Firing);
    hub.pass_to(301_000);
    assert_eq!(said(&hub), [NoticeKind::Resolved, NoticeKind::Fired]);
}

#[test]
fn agents_in_turn_between_two_sets_of_series_are_evaluated_alike() {
    let mut hub = firing();
    let other: SeriesKey = "custom.other".parse().unwrap();
    for turn in 1..10 {
        hub.pass_to(turn * 30_000);
        let value = if turn < 8 { 95.0 } else { 10.0 };
        if turn % 2 == 0 {
            hub.beat(agent_id("a"), 0, &[(cpu(), value)]);
        } else {
            hub.beat(agent_id("a"), 0, &[(other.clone(), 1.0), (cpu(), value)]);
        }
    }
    assert_eq!(said(&hub), [NoticeKind::Resolved]);
    assert_eq!(hub.evaluator.stats().evaluated, 10);
}

#[test]
fn series_that_come_and_go_under_a_rate_are_not_kept_for_ever() {
    let rules = vec![rule("io container.cpu_percent > 90 rate 1h/1h")];
    let mut hub = Hub::new(rules, vec![view()], LevelTable::default(), Vec::new());
    for number in 0..200_i64 {
        hub.pass_to(number * 600_000);
        let name = format!("container.cpu_percent{{container=job{number}}}");
        hub.beat(agent_id("a"), 0, &[(name.parse().unwrap(), 1.0)]);
    }
    // A container every ten minutes, each kept for a day.
    let kept = hub.evaluator.stats().instances;
    assert!((140..150).contains(&kept), "{kept} instances");
}

#[test]
fn series_that_never_come_twice_are_watched_up_to_a_bound_and_the_log_says_so_once() {
    let rules = vec![rule("job job.value > 90"), rule("cpu cpu.usage_percent > 90")];
    let other = AgentView { id: agent_id("b"), ..view() };
    let mut hub = Hub::new(rules, vec![view(), other], LevelTable::default(), Vec::new());
    let beat = |hub: &mut Hub, agent: &str, turn: i64, cpu_percent: f64| {
        let new = (0..3_000).map(|job| (format!("job.value{{job=j{turn}x{job}}}").parse().unwrap(), 1.0));
        let values: Vec<(SeriesKey, f64)> = [(cpu(), cpu_percent)].into_iter().chain(new).collect();
        hub.beat(agent_id(agent), 0, &values);
    };
    for turn in 1..=6 {
        hub.pass_to(turn * 30_000);
        beat(&mut hub, "a", turn, 10.0);
    }
    beat(&mut hub, "b", 1, 95.0);
    assert_eq!(hub.evaluator.stats().instances, 10_000 + 3_001, "others are not concerned");
    hub.pass_to(7 * 30_000);
    beat(&mut hub, "a", 7, 95.0);
    assert_eq!(hub.state(rule_id("cpu"), agent_id("a"), None), State::Firing, "what was watched still is");
    let notes: Vec<_> = hub
        .outputs
        .iter()
        .filter_map(|output| match output {
            crate::support::Output::Event(_, event) if event.kind == EventKind::Note => Some((event.agent, event.reason.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].0 == Some(agent_id("a")) && notes[0].1.contains("10000 series"), "{notes:?}");
}
