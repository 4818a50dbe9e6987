//! Each reason for a page, and for none, is found and said by its name.

use crate::support::Hub;
use crate::support::text::{agent_id, channel_id, rule, rule_id};
use nightbell_alerts::explain::{absence, reasons};
use nightbell_alerts::{AgentView, LevelTable, Mute, MuteKind, Outlook, Reason, Rule, Standing, TrendRow};
use nightbell_model::{SeriesKey, Ulid};

fn view(name: &str, tags: &[&str]) -> AgentView {
    AgentView {
        id: agent_id(name),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
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

fn hub(rules: Vec<Rule>) -> Hub {
    Hub::new(rules, vec![view("a", &[])], LevelTable::default(), Vec::new())
}

/// A hub with one rule after these values of CPU, one every 30 s.
fn after(line: &str, values: &[f64]) -> Hub {
    let mut hub = hub(vec![rule(line)]);
    beats(&mut hub, values);
    hub
}

fn beats(hub: &mut Hub, values: &[f64]) {
    for value in values {
        let next = hub.elapsed + 30_000;
        hub.pass_to(next);
        hub.beat(agent_id("a"), 0, &[(cpu(), *value)]);
    }
}

fn all(hub: &Hub, name: &str) -> Vec<Reason> {
    let view = hub.evaluator.instances().find(|view| view.key.rule == rule_id(name)).unwrap();
    reasons(&view, hub.now(), hub.evaluator.doubts_itself())
}

fn codes(hub: &Hub, name: &str) -> Vec<&'static str> {
    all(hub, name).into_iter().map(|reason| reason.code).collect()
}

fn mute(hub: &Hub, kind: MuteKind) -> Mute {
    Mute {
        id: Ulid::from_bits(7),
        kind,
        start: hub.now(),
        end: hub.now().plus_millis(600_000),
        rule: None,
        agent: None,
        tag: None,
        series: None,
        labels: nightbell_alerts::LabelConditions::default(),
        channel: None,
        up_to: None,
        defers_resolved: kind == MuteKind::QuietHours,
    }
}

#[test]
fn states_say_why_they_are_what_they_are() {
    assert_eq!(codes(&after("cpu cpu.usage_percent > 90", &[45.0]), "cpu"), ["not_breaching"]);
    let pending = after("cpu cpu.usage_percent > 90 for 5m", &[95.0; 7]);
    let reason = &all(&pending, "cpu")[0];
    assert_eq!((reason.code, reason.text.as_str()), ("pending", "breaching for 3 m 0 s of 5 m 0 s"));
    assert_eq!(reason.until, Some(pending.now().plus_millis(120_000)));
    assert_eq!(codes(&after("cpu cpu.usage_percent > 90", &[95.0]), "cpu"), ["firing"]);
    assert_eq!(codes(&after("cpu cpu.usage_percent > 90 clear 80", &[95.0, 85.0]), "cpu"), ["firing", "in_band"]);
    let mut calm = after("cpu cpu.usage_percent > 90 cooldown 10m", &[95.0, 10.0]);
    beats(&mut calm, &[20.0, 30.0]);
    assert_eq!(all(&calm, "cpu")[0].text, "30 % is not > 90 %", "the newest value, also while a cooldown is remembered");
    let easing = after("cpu cpu.usage_percent > 90 keep 2m", &[95.0, 50.0, 50.0]);
    assert_eq!(all(&easing, "cpu")[1].text, "clear for 30 s of 2 m 0 s");
    assert_eq!(codes(&after("cpu cpu.usage_percent > 90 repeat 10m", &[95.0]), "cpu"), ["firing", "next_notice"]);
}

#[test]
fn what_cannot_be_compared_is_named() {
    assert_eq!(codes(&after("cpu cpu.usage_percent > crit", &[95.0]), "cpu"), ["no_threshold", "not_breaching"]);
    assert_eq!(codes(&after("cpu cpu.usage_percent > 9 rate 10m/1h", &[95.0]), "cpu")[0], "no_rate");
    let mut hub = after("cpu cpu.usage_percent > 99 forecast 1d/1d", &[95.0]);
    assert_eq!(codes(&hub, "cpu")[0], "no_trend");
    let row = TrendRow { agent: agent_id("a"), rule: rule_id("cpu"), series: cpu(), outlook: Outlook::Unclear };
    hub.evaluator.set_trends(vec![row]);
    beats(&mut hub, &[95.0]);
    assert_eq!(codes(&hub, "cpu"), ["no_clear_trend", "not_breaching"]);
    assert_eq!(all(&hub, "cpu")[1].text, "95 % is not > 99 %");
}

#[test]
fn what_withholds_a_page_is_named_with_its_end() {
    for kind in [MuteKind::Silence, MuteKind::Maintenance, MuteKind::QuietHours] {
        let mut hub = after("cpu cpu.usage_percent > 90", &[50.0]);
        hub.set_mutes(vec![mute(&hub, kind)]);
        beats(&mut hub, &[95.0]);
        let held = all(&hub, "cpu").into_iter().find(|reason| reason.code == kind.name()).unwrap();
        assert_eq!((held.silence, held.channel), (Some(Ulid::from_bits(7)), Some(channel_id("ops"))));
        assert_eq!(held.until, Some(hub.now().plus_millis(570_000)));
    }
    let cooling = after("cpu cpu.usage_percent > 90 cooldown 10m", &[95.0, 10.0, 95.0]);
    let held = all(&cooling, "cpu").into_iter().find(|reason| reason.code == "cooldown").unwrap();
    assert_eq!(held.until, Some(cooling.now().plus_millis(540_000)));
    let mut acked = after("cpu cpu.usage_percent > 90 repeat 1m", &[95.0]);
    let id = acked.evaluator.open_incidents().next().unwrap().id;
    assert!(acked.ack(id, "joe", None));
    assert!(codes(&acked, "cpu").contains(&"acked"));
    let mut escalating = after("cpu cpu.usage_percent > 90 escalate 5m:boss", &[95.0]);
    assert_eq!(codes(&escalating, "cpu"), ["firing", "next_notice"]);
    let id = escalating.evaluator.open_incidents().next().unwrap().id;
    let until = escalating.now().plus_millis(600_000);
    assert!(escalating.ack(id, "joe", Some(until)));
    let next = all(&escalating, "cpu").into_iter().find(|reason| reason.code == "next_notice").unwrap();
    assert_eq!(next.until, Some(until), "nothing is said while somebody is on it");
    let mut silent = rule("cpu cpu.usage_percent > 90");
    silent.channels.clear();
    let mut nobody = hub(vec![silent]);
    beats(&mut nobody, &[95.0]);
    assert!(codes(&nobody, "cpu").contains(&"no_channel"));
}

#[test]
fn silence_is_explained_too() {
    let mut hub = hub(vec![
        rule("cpu cpu.usage_percent > 90"),
        rule("off agent.offline == 1"),
        rule("gap cpu.usage_percent > 90 missing nodata"),
    ]);
    beats(&mut hub, &[95.0]);
    let later = hub.elapsed + 120_000;
    hub.pass_to(later);
    let found = codes(&hub, "cpu");
    assert!(found.contains(&"stale") && found.contains(&"host_offline"), "{found:?}");
    assert_eq!(codes(&hub, "off"), ["firing"]);
    hub.beat(agent_id("a"), 0, &[("custom.other".parse().unwrap(), 1.0)]);
    for _ in 0..6 {
        let next = hub.elapsed + 30_000;
        hub.pass_to(next);
        hub.beat(agent_id("a"), 0, &[("custom.other".parse().unwrap(), 1.0)]);
    }
    assert_eq!(codes(&hub, "gap")[0], "no_data");
    hub.beat(agent_id("a"), 100_000, &[(cpu(), 95.0)]);
    let next = hub.elapsed + 1_200_000;
    hub.pass_to(next);
    hub.beat(agent_id("a"), 600_000, &[(cpu(), 95.0)]);
    assert!(codes(&hub, "cpu").contains(&"late_burst"), "{:?}", codes(&hub, "cpu"));
}

#[test]
fn a_doubt_is_the_reason_of_those_it_holds() {
    let agents = ["a", "b", "c", "d", "e"];
    let views = agents.iter().map(|name| view(name, &[])).collect();
    let mut hub = Hub::new(vec![rule("off agent.offline == 1")], views, LevelTable::default(), Vec::new());
    agents.iter().for_each(|name| hub.beat(agent_id(name), 0, &[]));
    hub.pass_to(120_000);
    assert!(hub.evaluator.doubts_itself());
    assert_eq!(codes(&hub, "off"), ["pending", "self_doubt"]);
    let pending = &all(&hub, "off")[0];
    assert_eq!(pending.text, "no heartbeat for 2 m 0 s of 1 m 30 s");
}

#[test]
fn why_a_rule_does_not_apply_is_named() {
    let mut disabled = rule("dis cpu.usage_percent > 90");
    disabled.enabled = false;
    let rules = vec![
        disabled,
        rule("wide cpu.usage_percent > 90 key cpu"),
        rule("near cpu.usage_percent > 95 key cpu scope agent:a"),
        rule("db cpu.usage_percent > 90 scope tag:db"),
    ];
    let mut hub = hub(rules);
    hub.upsert_agent(AgentView { paused: true, ..view("p", &[]) });
    let standing = |rule, agent| hub.evaluator.standing(rule_id(rule), agent_id(agent));
    assert_eq!(standing("near", "a"), Standing::Applies);
    assert_eq!(standing("wide", "a"), Standing::ReplacedBy(rule_id("near")));
    assert_eq!(standing("dis", "a"), Standing::Disabled);
    assert_eq!(standing("db", "a"), Standing::OutOfScope);
    assert_eq!(standing("wide", "p"), Standing::Paused);
    assert_eq!(standing("wide", "x"), Standing::NoAgent);
    assert_eq!(standing("x", "a"), Standing::NoRule);
    let code = |standing| absence(standing).code;
    assert_eq!(code(Standing::Applies), "no_sample");
    assert_eq!(absence(Standing::ReplacedBy(rule_id("near"))).rule, Some(rule_id("near")));
    for (standing, expected) in [
        (Standing::NoRule, "no_rule"),
        (Standing::NoAgent, "no_agent"),
        (Standing::Paused, "paused"),
        (Standing::OutOfScope, "out_of_scope"),
        (Standing::Disabled, "disabled"),
    ] {
        assert_eq!(code(standing), expected);
    }
}
