//! Declarations held against hubs that are kept in memory.

use super::*;
use crate::starter;
use nightbell_model::{AgentId, ChannelId};
use nightbell_store::{AgentRow, Change};
use std::collections::BTreeMap;

const NOW: Timestamp = Timestamp::from_millis(1_760_000_000_000);

/// A hub as it is after its first start, with two agents.
fn hub() -> Holdings {
    let mut holdings = Holdings::default();
    let agents = [(1, "web-1"), (2, "db-1")].map(|(bits, name)| Change::PutAgent(agent(bits, name)));
    take(&mut holdings, agents.into_iter().chain(starter::changes(&[], NOW)));
    holdings
}

fn agent(bits: u128, name: &str) -> AgentRow {
    AgentRow {
        id: AgentId::from_bits(bits),
        name: name.to_owned(),
        tags: Vec::new(),
        created_at: NOW,
        last_seen: None,
        interval_ms: 15_000,
        paused: false,
        version: String::new(),
        facts_json: "{}".to_owned(),
        credential: [u8::try_from(bits).expect("small"); 32],
        enrolled_as: String::new(),
    }
}

fn take(holdings: &mut Holdings, changes: impl IntoIterator<Item = Change>) {
    let mut topics = Vec::new();
    for change in changes {
        holdings.take(change, &mut topics);
    }
}

fn file(path: &str, text: &str) -> SourceFile {
    SourceFile { path: path.to_owned(), text: text.to_owned() }
}

fn secrets() -> BTreeMap<String, String> {
    [
        ("env:OPS_SECRET", "whsec_b3BzLXNlY3JldC1vcHMtc2VjcmV0LW9wcw=="),
        ("env:OPS_SECRET_2", "whsec_b3RoZXItc2VjcmV0LW9wcy1zZWNyZXQtb3Bz"),
        ("file:mail.password", "correct horse"),
        ("env:DISCORD", "https://discord.com/api/webhooks/12/abcdef"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}

fn world(holdings: &Holdings, release: bool) -> World<'_> {
    World { holdings, secrets: Secrets::known(secrets()), now: NOW, release, is_hub: true }
}

/// Applies files; what is said of it.
fn apply(holdings: &mut Holdings, files: &[SourceFile]) -> String {
    let plan = plan(files, &world(holdings, false)).unwrap_or_else(|faults| panic!("{faults:#?}"));
    let text = plan.to_string();
    take(holdings, plan.changes);
    text
}

/// The faults of applying files, as they are printed.
fn faults(holdings: &Holdings, files: &[SourceFile]) -> Vec<String> {
    let faults = plan(files, &world(holdings, false)).expect_err("it is at fault");
    faults.iter().map(Fault::to_string).collect()
}

const CHANNELS: &str = r#"
[[channel]]
id = "ops"
name = "Operations"
kind = "webhook"
[channel.config]
url = "https://example.org/in"
secret = "env:OPS_SECRET"

[[channel]]
name = "mail"
kind = "smtp"
config = { host = "mail.example.org", port = 25, tls = "none", username = "u", password = "file:mail.password", from = "a@example.org", to = ["b@example.org"] }
"#;

const RULES: &str = r#"
[[rule]]
id = "cpu"
name = "CPU hot on web-1"
metric = "cpu.usage_percent"
op = ">"
threshold = 90
for = "5m"
scope = { agent = "web-1" }
channels = ["Operations", "mail"]
escalation = [{ after = "15m", channels = ["mail"] }]

[[silence]]
id = "weekend"
rule = "CPU hot on web-1"
starts_at = 2026-01-01T00:00:00Z
ends_at = 2026-02-01T00:00:00Z
comment = "quiet"

[[threshold]]
agent = "db-1"
metric = "disk.used_percent{mount=/}"
warn = 80
crit = 90.5
"#;

fn files() -> [SourceFile; 2] {
    [file("channels.toml", CHANNELS), file("team/rules.toml", RULES)]
}

#[test]
fn what_is_declared_is_made_once_and_names_become_ids() {
    let mut holdings = hub();
    let said = apply(&mut holdings, &files());
    assert!(said.ends_with("5 to add, 0 to change, 0 to remove"), "{said}");
    assert!(said.contains("+ rule \"CPU hot on web-1\" (team/rules.toml:2)"), "{said}");
    assert!(!said.contains("correct horse") && !said.contains("whsec_"), "{said}");
    let ops = holdings.channels.values().find(|row| row.name == "Operations").expect("made");
    assert!(ops.config_json.contains("whsec_b3Bz"), "the secret itself is kept");
    let (rule, _) = holdings.rules.values().find(|(rule, _)| rule.name.starts_with("CPU hot")).expect("made");
    assert_eq!(rule.scope, nightbell_alerts::Scope::Agent(AgentId::from_bits(1)));
    assert_eq!((rule.channels.len(), rule.channels[0], rule.version), (2, ops.id, 1));
    let silence = holdings.silences.values().next().expect("made");
    assert_eq!((silence.rule, silence.created_by.as_str(), silence.created_at), (Some(rule.id), "files", NOW));
    assert_eq!(holdings.levels.agents[&AgentId::from_bits(2)]["disk.used_percent{mount=/}"].crit.to_string(), "90.5");
    assert_eq!(holdings.settings.managed.file(Kind::Rule, rule.id).as_deref(), Some("team/rules.toml"));
    let again = plan(&files(), &world(&holdings, false)).expect("good");
    assert_eq!((again.to_string(), again.changes), ("nothing to change".to_owned(), Vec::new()));
}

#[test]
fn a_change_is_shown_field_by_field_and_keeps_the_id() {
    let mut holdings = hub();
    apply(&mut holdings, &files());
    let before: Vec<ChannelId> = holdings.channels.keys().copied().collect();
    let changed = CHANNELS.replace("\"Operations\"", "\"Ops\"").replace("OPS_SECRET", "OPS_SECRET_2").replace("/in", "/new");
    let rules = RULES.replace("Operations", "Ops").replace("threshold = 90", "threshold = 95");
    let said = apply(&mut holdings, &[file("channels.toml", &changed), file("team/rules.toml", &rules)]);
    assert_eq!(
        said,
        "~ channel \"Ops\" (channels.toml:2)\n\
         \x20   config.url: \"https://example.org/in\" -> \"https://example.org/new\"\n\
         \x20   name: \"Operations\" -> \"Ops\"\n\
         \x20   config.secret: a secret -> another secret\n\
         ~ rule \"CPU hot on web-1\" (team/rules.toml:2)\n\
         \x20   channels: [\"Operations\", \"mail\"] -> [\"Ops\", \"mail\"]\n\
         \x20   threshold: 90 -> 95\n\
         0 to add, 2 to change, 0 to remove"
    );
    assert_eq!(holdings.channels.keys().copied().collect::<Vec<_>>(), before);
    let (rule, _) = holdings.rules.values().find(|(rule, _)| rule.name.starts_with("CPU hot")).expect("there");
    assert_eq!(rule.version, 2);
}

#[test]
fn only_what_files_declared_is_removed() {
    let mut holdings = hub();
    let started = holdings.rules.len();
    apply(&mut holdings, &files());
    let left = apply(&mut holdings, &[file("channels.toml", CHANNELS)]);
    assert!(left.ends_with("0 to add, 0 to change, 3 to remove"), "{left}");
    assert_eq!((holdings.rules.len(), holdings.silences.len(), holdings.channels.len()), (started, 0, 2));
    assert!(holdings.levels.global.len() == 3, "the levels a hub starts with are nobody's");
    apply(&mut holdings, &files());
    let world = world(&holdings, true);
    let released = plan(&[file("empty.toml", "")], &world).expect("good");
    assert_eq!(released.changes.len(), 1, "it is only forgotten who manages them: {:?}", released.changes);
    assert!(released.to_string().contains("is not managed by files any more"), "{released}");
}

#[test]
fn what_others_still_need_is_not_removed() {
    let mut holdings = hub();
    apply(&mut holdings, &files());
    let ops = holdings.channels.values().find(|row| row.name == "Operations").expect("made").id;
    let (mut rule, at) = holdings.rules.values().find(|(rule, _)| rule.name == "CPU saturated").expect("a start").clone();
    rule.channels = vec![ops];
    take(&mut holdings, [Change::PutRule { rule, created_at: at }]);
    let said = faults(&holdings, &[file("channels.toml", "")]);
    assert_eq!(
        said,
        ["channels.toml:1:1: the channel \"Operations\" is gone from here, but the rule \"CPU saturated\" names it"]
    );
}

#[test]
fn what_is_exported_is_applied_without_a_change_and_exported_again_as_it_was() {
    let mut first = hub();
    apply(&mut first, &files());
    let exported = export(&first, NOW);
    let paths: Vec<_> = exported.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["channels.toml", "rules.toml", "team/rules.toml", "thresholds.toml"]);
    assert!(
        exported[0].text.contains("secret = \"env:OPS_SECRET\"") && exported[0].text.contains("id = \"ops\""),
        "{}",
        exported[0].text
    );
    assert!(!exported.iter().any(|file| file.text.contains("whsec_") || file.text.contains("correct horse")));
    let taken_over = plan(&exported, &world(&first, false)).expect("good");
    let touched = taken_over.differences.iter().flat_map(|difference| &difference.fields).all(|(name, ..)| name == "managed by");
    assert!(touched, "{taken_over}");
    let mut second = hub();
    apply(&mut second, &exported);
    assert_eq!(second.rules.len(), first.rules.len(), "the rules a hub starts with are taken over by their names");
    assert_eq!(export(&second, NOW), exported);
    assert_eq!(apply(&mut second, &exported), "nothing to change");
}

#[test]
fn each_fault_has_its_place_and_what_may_have_been_meant() {
    let holdings = hub();
    for (text, expected) in [
        ("[[rule]\n", "x.toml:1:8: not TOML: "),
        (
            "[[rul]]\nname = \"a\"",
            "x.toml:1:3: \"rul\" is nothing that files declare: there are channel, rule, silence, threshold, route; did you mean rule?",
        ),
        ("[rule]\nname = \"a\"", "x.toml:1:2: write [[rule]]: there may be several"),
        ("\n[[rule]]\nmetric = \"cpu.usage_percent\"", "x.toml:2:1: name is missing"),
        (
            "[[rule]]\nname = \"a\"\nmetric = \"cpu.usage_percent\"\nop = \">\"\nthreshhold = 3",
            "x.toml:5:1: threshhold: unknown field; known ones are name, ",
        ),
        (
            "[[rule]]\nname = \"a\"\nmetric = \"cpu.usage_percnt\"\nop = \">\"\nthreshold = 3",
            "x.toml:3:1: metric: cpu.usage_percnt is not in the catalogue; did you mean cpu.usage_percent",
        ),
        (
            "[[rule]]\nname = \"a\"\nmetric = \"cpu.usage_percent\"\nop = \">\"\nthreshold = \"3\"",
            "x.toml:5:1: threshold: must be a number",
        ),
        (
            "[[rule]]\nname = \"a\"\nmetric = \"cpu.usage_percent\"\nop = \">\"\nthreshold = 3\nscope = { agent = \"web1\" }",
            "x.toml:6:11: scope.agent: there is no agent called \"web1\"; did you mean web-1?",
        ),
        (
            "[[rule]]\nname = \"a\"\nmetric = \"cpu.usage_percent\"\nop = \">\"\nthreshold = 3\nchannels = [\n  \"pager\"]",
            "x.toml:7:3: channels.0: there is no channel called \"pager\"",
        ),
        (
            "[[rule]]\nname = \"a\"\nmetric = \"cpu.usage_percent\"\nop = \">\"\nthreshold = 3\nfor = 300",
            "x.toml:6:1: for: 300 is no duration",
        ),
        ("[[silence]]\nends_at = 2030-01-01T00:00:00Z", "x.toml:1:1: id is missing"),
        ("[[silence]]\nid = \"a b\"", "x.toml:2:1: id: must be a text of 1 to 64"),
        ("[[silence]]\nid = \"a\"", "x.toml:1:1: ends_at: is missing"),
        (
            "[[threshold]]\nmetric = \"cpu.usage_percent\"\nwarn = 90\ncrit = 80",
            "x.toml:4:1: crit: of cpu.usage_percent high values are bad",
        ),
        ("[[threshold]]\nmetric = \"cpu.usage_percent\"\nwarn = nan\ncrit = 80", "x.toml:3:8: is not a finite number"),
        ("[[threshold]]\nmetric = \"cpu.usage_percent\"\nwran = 70\ncrit = 80", "x.toml:1:1: warn: must be a number"),
        (
            "[[channel]]\nname = \"c\"\nkind = \"webhook\"\n[channel.config]\nurl = \"nowhere\"",
            "x.toml:5:1: config.url: is not a URL",
        ),
        ("[[channel]]\nname = \"c\"\nkind = \"pager\"\nconfig = {}", "x.toml:3:1: kind: \"pager\" is no kind"),
        (
            "[[channel]]\nname = \"c\"\nkind = \"discord\"\n[channel.config]\nwebhook_url = \"https://discord.com/api/webhooks/1/x\"",
            "x.toml:5:1: config.webhook_url: is a secret, which has no place in a file",
        ),
        (
            "[[channel]]\nname = \"c\"\nkind = \"discord\"\n[channel.config]\nwebhook_url = \"env:NOT_SET\"",
            "x.toml:5:1: config.webhook_url: env:NOT_SET cannot be read: this variable is not set",
        ),
        (
            "[[channel]]\nname = \"c\"\nkind = \"discord\"\nconfig.webhook_url = \"env:DISCORD\"\n[[channel]]\nname = \"c\"\nkind = \"discord\"\nconfig.webhook_url = \"env:DISCORD\"",
            "x.toml:5:1: the channel \"c\" is declared at x.toml:1 already",
        ),
    ] {
        let said = faults(&holdings, &[file("x.toml", text)]);
        assert!(said.iter().any(|fault| fault.starts_with(expected)), "{text}\n{said:#?}\nexpected {expected}");
        assert!(!said.iter().any(|fault| fault.contains("webhooks/1/x")), "{said:#?}");
    }
}

const ROUTES: &str = r#"
[[route]]
severities = ["critical"]
channels = ["Operations", "mail"]
continue = true
[[route]]
rules = ["CPU hot on web-1"]
when = { weekdays = ["sat", "sun"], from = "08:00", to = "20:00", timezone = "Europe/Berlin" }
channels = []
"#;

#[test]
fn routes_are_one_object_in_their_order() {
    let mut holdings = hub();
    let all = [files().to_vec(), vec![file("z/routes.toml", ROUTES)]].concat();
    let said = apply(&mut holdings, &all);
    assert!(said.contains("+ route \"routes\" (z/routes.toml:2)"), "{said}");
    let routes = &holdings.settings.routes;
    assert_eq!((routes.len(), routes[0].channels.len(), routes[0].goes_on, routes[1].rules.len()), (2, 2, true, 1));
    assert_eq!(apply(&mut holdings, &all), "nothing to change");
    let exported = export(&holdings, NOW);
    assert_eq!(
        plan(&exported, &world(&holdings, false)).expect("good").differences.iter().filter(|d| d.kind == Kind::Route).count(),
        0
    );
    let text = &exported.iter().find(|file| file.path == "z/routes.toml").expect("where it was").text;
    assert!(text.contains("channels = [\"Operations\", \"mail\"]\ncontinue = true"), "{text}");
    let changed = ROUTES.replace("\"critical\"", "\"warning\"");
    let said = apply(&mut holdings, &[files().to_vec(), vec![file("z/routes.toml", &changed)]].concat());
    assert!(said.contains("~ route") && said.contains("    1: {") && !said.contains("    2: {"), "{said}");
    let gone = faults(&holdings, &[file("r.toml", RULES), file("z/routes.toml", ROUTES)]);
    assert!(gone.contains(&"z/routes.toml:4:13: channels.0: there is no channel called \"Operations\"".to_owned()), "{gone:#?}");
    let wrong = ROUTES.replace("08:00", "25:00");
    let said = faults(&holdings, &[files().to_vec(), vec![file("z/routes.toml", &wrong)]].concat());
    assert!(said.len() == 1 && said[0].starts_with("z/routes.toml:8:37: when.from: "), "{said:#?}");
    let said = apply(&mut holdings, &files());
    assert!(said.contains("- route \"routes\" (z/routes.toml)") && holdings.settings.routes.is_empty(), "{said}");
}

#[test]
fn a_check_needs_no_hub() {
    assert_eq!(check(&files(), BTreeMap::new(), NOW), Ok(5));
    let missing = [file("rules.toml", RULES)];
    let said = check(&missing, BTreeMap::new(), NOW).expect_err("the channels are not there");
    assert_eq!(said[0].to_string(), "rules.toml:10:13: channels.0: there is no channel called \"Operations\"");
    let declared = format!("external_channels = [\"Operations\", \"mail\"]\n{RULES}");
    assert_eq!(check(&[file("rules.toml", &declared)], BTreeMap::new(), NOW), Ok(3));
    let wanted = references(&files());
    assert_eq!(wanted.into_iter().collect::<Vec<_>>(), ["env:OPS_SECRET", "file:mail.password"]);
}
