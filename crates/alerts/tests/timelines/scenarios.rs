//! Timelines as text: what goes in and what has to come out, one file for each thought of the law.
//!
//! A file first names rules, agents and mutes, then tells what happens. Each line that begins with a time is something that
//! happens then; each line that begins with `=>` is something that has to come out, in order, and nothing else may. Between two
//! lines the evaluator is ticked at each of its deadlines.
//!
//! ```text
//! rule NAME METRIC OP THRESHOLD [for 2m] [cooldown 30m] [channels ops,dev] …
//! agent NAME [interval 30s] [tags db,prod]
//! TIME AGENT series=value …          a heartbeat; `-` has no values, `nan` is a missing one
//! TIME..TIME/EVERY AGENT series=…    many
//! TIME AGENT @TIME series=…          a heartbeat that was measured earlier
//! TIME AGENT @TIME..TIME/EVERY …     a whole buffer of them
//! TIME silence|maintenance|quiet_hours NAME until TIME [rule R] [agent A] [tag T] [channel C] [series S] [up_to SEVERITY]
//! TIME unmute NAME
//! TIME state RULE/AGENT STATE        TIME online AGENT yes|no        TIME muted RULE/AGENT REASONS|-
//! TIME ack RULE/AGENT [until TIME]   TIME unack RULE/AGENT
//! TIME open|close|cut|stop AGENT     close is clean, cut is not, stop is announced
//! TIME rule …                        adds or edits        TIME delete RULE
//! TIME agent …                       adds or edits        TIME pause|remove AGENT
//! TIME levels AGENT|all METRIC WARN CRIT
//! TIME trend RULE/AGENT/SERIES short|unclear|+0.8/1h@0.87
//! TIME prime                         stored history for rules on rates; a restart does that by itself
//! TIME restart                       TIME clock +3600     TIME wait
//! ```

use crate::support::text::{agent_id, bits, channel_id, duration, name, rule, rule_id, time, time_text};
use crate::support::{Hub, Output, START};
use nightbell_alerts::{
    AgentView, Event, LevelTable, Mute, MuteKind, Notice, NoticeKind, Outlook, Severity, State, Trend, TrendRow,
};
use nightbell_model::{IncidentId, Levels, SeriesKey, Ulid};

#[test]
fn every_scenario_comes_out_as_written() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut failed = Vec::new();
    for file in &files {
        let title = file.file_stem().unwrap().to_string_lossy().into_owned();
        if let Err(difference) = check(&std::fs::read_to_string(file).unwrap()) {
            failed.push(format!("{title}\n{difference}"));
        }
    }
    assert!(files.len() >= 25, "{} scenarios", files.len());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Runs one scenario; the difference if it does not come out as written.
fn check(text: &str) -> Result<(), String> {
    let lines = || text.lines().map(|line| line.split('#').next().unwrap_or("").trim()).filter(|line| !line.is_empty());
    let is_timed = |line: &&str| line.starts_with(|c: char| c.is_ascii_digit());
    let expected: Vec<String> = lines().filter_map(|line| line.strip_prefix("=>")).map(|line| line.trim().to_owned()).collect();
    let mut hub = Hub::new(Vec::new(), Vec::new(), LevelTable::default(), Vec::new());
    for line in lines().filter(|line| !is_timed(line) && !line.starts_with("=>")) {
        run(&mut hub, line);
    }
    let mut wrong = Vec::new();
    for line in lines().filter(is_timed) {
        let (when, what) = line.split_once(char::is_whitespace).unwrap();
        for at in moments(when) {
            hub.pass_to(at);
            wrong.extend(run(&mut hub, what).map(|problem| format!("{line}: {problem}")));
        }
    }
    let actual: Vec<String> = hub.outputs.iter().map(shown).collect();
    if actual != expected {
        let at = actual.iter().zip(&expected).take_while(|(a, b)| a == b).count();
        wrong.push(format!(
            "from line {} on, expected\n  => {}\nbut got\n  => {}",
            at + 1,
            expected[at..].join("\n  => "),
            actual[at..].join("\n  => ")
        ));
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// `1:00`, or `1:00..2:00/30s`.
fn moments(text: &str) -> Vec<i64> {
    let Some((from, rest)) = text.split_once("..") else { return vec![time(text)] };
    let (to, every) = rest.split_once('/').unwrap();
    let (from, to, every) = (time(from), time(to), duration(every));
    (0..=(to - from) / every).map(|step| from + step * every).collect()
}

/// Does one thing; what is wrong if it was a check.
fn run(hub: &mut Hub, what: &str) -> Option<String> {
    let words: Vec<&str> = what.split_whitespace().collect();
    match words[0] {
        "rule" => {
            let mut new = rule(what.strip_prefix("rule").unwrap());
            let mut rules = hub.rules.clone();
            if let Some(at) = rules.iter().position(|old| old.id == new.id) {
                new.version = rules[at].version + 1;
                rules.remove(at);
            }
            rules.push(new);
            hub.set_rules(rules);
        }
        "delete" => hub.set_rules(hub.rules.iter().filter(|rule| rule.name != words[1]).cloned().collect()),
        "agent" => hub.upsert_agent(agent(&words[1..])),
        "pause" => {
            let paused = hub.agents.iter().find(|agent| agent.id == agent_id(words[1])).unwrap();
            hub.upsert_agent(AgentView { paused: true, ..paused.clone() });
        }
        "remove" => hub.remove_agent(agent_id(words[1])),
        "silence" | "maintenance" | "quiet_hours" => {
            let mut mutes = hub.mutes.clone();
            mutes.push(mute(hub, &words));
            hub.set_mutes(mutes);
        }
        "unmute" => {
            let id = Ulid::from_bits(bits(words[1]));
            hub.set_mutes(hub.mutes.iter().filter(|mute| mute.id != id).cloned().collect());
        }
        "levels" => hub.set_levels(levels(hub.levels.clone(), &words)),
        "ack" => {
            let until = words.get(3).map(|until| hub.at(time(until)));
            return (!hub.ack(open_incident(hub, words[1])?, "joe", until)).then(|| "not open".to_owned());
        }
        "unack" => {
            let incident = open_incident(hub, words[1])?;
            hub.act(|evaluator, now, out| evaluator.unacknowledge(incident, "joe", now, out));
        }
        "trend" => trend(hub, &words),
        "prime" => hub.prime(),
        "open" => hub.evaluator.connection_opened(agent_id(words[1]), hub.now()),
        "close" => hub.close(agent_id(words[1]), true, false),
        "cut" => hub.close(agent_id(words[1]), false, false),
        "stop" => hub.close(agent_id(words[1]), true, true),
        "restart" => hub.restart(),
        "clock" => hub.step_clock(words[1].parse::<i64>().unwrap() * 1000),
        "wait" => {}
        "state" | "online" | "muted" => return ask(hub, &words),
        _ => beats(hub, &words),
    }
    None
}

fn ask(hub: &Hub, words: &[&str]) -> Option<String> {
    let actual = match words[0] {
        "state" => {
            let (rule, agent, series) = target(words[1]);
            hub.state(rule_id(&rule), agent_id(&agent), series.as_ref()).name().to_owned()
        }
        "online" => if hub.evaluator.is_online(agent_id(words[1]), hub.now()) { "yes" } else { "no" }.to_owned(),
        _ => {
            let (rule, agent, _) = target(words[1]);
            let view =
                hub.evaluator.instances().find(|view| view.key.rule == rule_id(&rule) && view.key.agent == agent_id(&agent));
            let reasons = view.map_or_else(Vec::new, |view| view.muted);
            if reasons.is_empty() { "-".to_owned() } else { reasons.join(",") }
        }
    };
    (actual != words[2]).then(|| format!("it is {actual}"))
}

fn beats(hub: &mut Hub, words: &[&str]) {
    let agent = agent_id(words[0]);
    assert!(hub.agents.iter().any(|known| known.id == agent), "{} is neither a command nor an agent", words[0]);
    let (times, values) = match words[1].strip_prefix('@') {
        Some(times) => (moments(times), &words[2..]),
        None => (vec![hub.elapsed], &words[1..]),
    };
    let value = |word: &&str| {
        let (series, value) = word.rsplit_once('=').unwrap();
        (series.parse::<SeriesKey>().unwrap(), value.parse::<f64>().unwrap())
    };
    let values: Vec<_> = values.iter().filter(|word| **word != "-").map(value).collect();
    for at in times {
        hub.beat(agent, hub.elapsed - at, &values);
    }
}

fn trend(hub: &mut Hub, words: &[&str]) {
    let (rule, agent, series) = target(words[1]);
    let outlook = match words[2] {
        "short" => Outlook::TooShort,
        "unclear" => Outlook::Unclear,
        line => {
            let (slope, confidence) = line.split_once('@').unwrap();
            let (change, per) = slope.split_once('/').unwrap();
            #[expect(clippy::cast_precision_loss, reason = "durations of scenarios are small")]
            let per_ms = change.parse::<f64>().unwrap() / duration(per) as f64;
            Outlook::Clear(Trend { per_ms, confidence: confidence.parse().unwrap() })
        }
    };
    let row = TrendRow { agent: agent_id(&agent), rule: rule_id(&rule), series: series.unwrap(), outlook };
    hub.evaluator.set_trends(vec![row]);
}

fn agent(words: &[&str]) -> AgentView {
    let mut agent = AgentView {
        id: agent_id(words[0]),
        tags: Vec::new(),
        interval_ms: 30_000,
        paused: false,
        last_seen: None,
        closed: false,
        stopped_on_purpose: false,
    };
    for pair in words[1..].chunks(2) {
        match pair[0] {
            "interval" => agent.interval_ms = duration(pair[1]),
            "tags" => agent.tags = pair[1].split(',').map(str::to_owned).collect(),
            other => panic!("an agent has no {other:?}"),
        }
    }
    agent
}

fn mute(hub: &Hub, words: &[&str]) -> Mute {
    let kind = MuteKind::from_name(words[0]).unwrap();
    let mut mute = Mute {
        id: Ulid::from_bits(bits(words[1])),
        kind,
        start: hub.now(),
        end: hub.now(),
        rule: None,
        agent: None,
        tag: None,
        series: None,
        labels: nightbell_alerts::LabelConditions::default(),
        channel: None,
        up_to: None,
        defers_resolved: kind == MuteKind::QuietHours,
    };
    for pair in words[2..].chunks(2) {
        match pair[0] {
            "from" => mute.start = hub.at(time(pair[1])),
            "until" => mute.end = hub.at(time(pair[1])),
            "rule" => mute.rule = Some(rule_id(pair[1])),
            "agent" => mute.agent = Some(agent_id(pair[1])),
            "tag" => mute.tag = Some(pair[1].to_owned()),
            "series" => mute.series = Some(pair[1].to_owned()),
            "channel" => mute.channel = Some(channel_id(pair[1])),
            "up_to" => mute.up_to = Severity::from_name(pair[1]),
            other => panic!("a mute has no {other:?}"),
        }
    }
    mute
}

fn levels(mut table: LevelTable, words: &[&str]) -> LevelTable {
    let levels = Levels { warn: words[3].parse().unwrap(), crit: words[4].parse().unwrap() };
    let own = if words[1] == "all" { &mut table.global } else { table.agents.entry(agent_id(words[1])).or_default() };
    own.insert(words[2].to_owned(), levels);
    table
}

/// `rule/agent` or `rule/agent/series`.
fn target(text: &str) -> (String, String, Option<SeriesKey>) {
    let mut parts = text.splitn(3, '/');
    let (rule, agent) = (parts.next().unwrap().to_owned(), parts.next().unwrap().to_owned());
    (rule, agent, parts.next().map(|series| series.parse().unwrap()))
}

fn open_incident(hub: &Hub, text: &str) -> Option<IncidentId> {
    let (rule, agent, _) = target(text);
    let is_it = |key: &nightbell_alerts::InstanceKey| key.rule == rule_id(&rule) && key.agent == agent_id(&agent);
    hub.evaluator.open_incidents().find(|incident| is_it(&incident.key)).map(|incident| incident.id)
}

fn shown(output: &Output) -> String {
    match output {
        Output::Event(at, event) => format!("{} {}", time_text(*at), event_text(event)),
        Output::Notice(at, notice) => format!("{} {}", time_text(*at), notice_text(notice)),
    }
}

fn event_text(event: &Event) -> String {
    let mut text = event.kind.name().to_owned();
    let agent = event.agent.map(|agent| name(agent.bits()));
    match (event.rule, agent) {
        (Some(rule), Some(agent)) => text.push_str(&format!(" {}/{agent}", name(rule.bits()))),
        (None, Some(agent)) => text.push_str(&format!(" {agent}")),
        _ => {}
    }
    text.push_str(&labels_text(event.series.as_ref()));
    if !event.reason.is_empty() {
        text.push_str(&format!(": {}", event.reason));
    }
    text
}

fn notice_text(notice: &Notice) -> String {
    let letter = match notice.kind {
        NoticeKind::Fired => 'F',
        NoticeKind::Resolved => 'R',
        NoticeKind::NoDataStart => 'N',
        NoticeKind::NoDataEnd => 'E',
        NoticeKind::Repeat => 'P',
        NoticeKind::Escalated => 'S',
        NoticeKind::HubDoubt => 'D',
        NoticeKind::HubDoubtEnd => 'd',
        NoticeKind::Acked => 'A',
        NoticeKind::Test | NoticeKind::Digest | NoticeKind::ChannelBroken => '?',
    };
    let key = &notice.incident.key;
    let mut text = format!("{letter} {} {}/{}", name(notice.channel.bits()), name(key.rule.bits()), name(key.agent.bits()));
    text.push_str(&labels_text(Some(&key.series)));
    if matches!(notice.kind, NoticeKind::Repeat | NoticeKind::Escalated) {
        text.push_str(&format!(" n{}", notice.n));
    }
    match notice.not_before.millis_since(notice.at) {
        10_000 => {}
        wait => text.push_str(&format!(" in {}s", wait / 1000)),
    }
    if notice.suppressed > 0 {
        text.push_str(&format!(" +{}", notice.suppressed));
    }
    if notice.late {
        let of = |at: Option<nightbell_model::Timestamp>| at.map_or_else(String::new, |at| time_text(at.millis_since(START)));
        text.push_str(&format!(" late {}..{}", of(Some(notice.incident.fired_at)), of(notice.incident.resolved_at)));
    }
    assert!(notice.kind != NoticeKind::Fired || notice.incident.resolved_at.is_none());
    text
}

fn labels_text(series: Option<&SeriesKey>) -> String {
    let text = series.map_or("", SeriesKey::as_str);
    text.find('{').map_or_else(String::new, |brace| text[brace..].to_owned())
}

#[test]
fn states_have_the_names_that_scenarios_use() {
    assert_eq!([State::Ok, State::Pending, State::Firing, State::NoData].map(State::name), ["ok", "pending", "firing", "nodata"]);
}
