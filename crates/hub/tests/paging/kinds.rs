//! What a page of each kind of rule says, as it arrives: the headline for the locked phone, and the sentence under it.

use crate::support::house::{House, rule, with};
use crate::support::mail::{Mail, Relay};
use crate::support::receiver::Receiver;
use crate::support::wait::until;
use serde_json::{Value, json};

/// A rule of a kind that names its metric itself, critical and without a wait.
fn kind(kind: &str, name: &str, fields: &Value, channel: &str) -> Value {
    let rule = json!({"name": name, "kind": kind, "for": "0s", "cooldown": "0s", "severity": "critical", "scope": "global",
        "channels": [channel]});
    with(rule, fields)
}

fn rules(channel: &str) -> Vec<Value> {
    let window = json!({"metric": "disk.used_percent", "op": ">", "threshold": 30, "window": "10m"});
    let horizon = json!({"metric": "disk.used_percent", "op": ">=", "threshold": 100, "horizon": "3d", "window": "1h"});
    vec![
        rule("CPU hot", "cpu.usage_percent", 90.0, &[channel]),
        kind("rate", "Disk fills", &window, channel),
        kind("forecast", "Disk full soon", &horizon, channel),
        kind("unit_failed", "Unit down", &json!({"labels": {"unit": "nginx.service"}}), channel),
        kind("unit_failed", "Units", &json!({}), channel),
        kind("container_down", "Container down", &json!({}), channel),
        kind("container_unhealthy", "Container ill", &json!({}), channel),
        kind("process_missing", "Process missing", &json!({}), channel),
        kind("port_closed", "Port closed", &json!({}), channel),
        kind("smart_failing", "Disk failing", &json!({}), channel),
        kind("reboot", "Rebooted", &json!({}), channel),
        kind("clock_step", "Clock set", &json!({}), channel),
    ]
}

/// A host on which everything is well, or nothing.
fn host(is_well: bool, disk: f64) -> Value {
    let state = f64::from(u8::from(is_well));
    json!({
        "cpu.usage_percent": if is_well { 5.0 } else { 97.3 },
        "disk.used_percent{mount=/data}": disk,
        "unit.active{unit=nginx.service}": state, "unit.failed": if is_well { 0 } else { 2 },
        "container.up{container=db}": state, "container.health{container=web}": state,
        "process.count{process=cron}": state, "port.open{port=25}": state, "smart.healthy{device=sda}": state,
        "sys.uptime_seconds": if is_well { 86_400 } else { 34 }, "clock.offset_seconds": if is_well { 0.001 } else { 7.5 },
    })
}

/// The text of a mail, without the marks where long lines were broken for the way (RFC 2045, 6.7).
fn text(mail: &Mail) -> String {
    String::from_utf8_lossy(&mail.parts("text/plain").concat()).replace("=\r\n", "").replace("=3D", "=")
}

/// The headline and the sentence of the page of a rule.
fn said<'a>(mails: &'a [String], rule: &str) -> (&'a str, &'a str) {
    let mail = mails.iter().find(|mail| mail.lines().next().is_some_and(|line| line.contains(&format!(": {rule} on "))));
    let mail = mail.unwrap_or_else(|| panic!("no page of {rule}: {mails:#?}"));
    let mut lines = mail.lines().filter(|line| !line.is_empty());
    (lines.next().unwrap(), lines.next().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_rule_says_in_words_what_is_the_matter() {
    let house = House::start().await;
    let relay = Relay::start().await;
    let channel = house.api.make("/channels", &relay.channel("mail")).await;
    for rule in rules(&channel) {
        house.api.make("/rules", &rule).await;
    }
    let mut agent = house.json_agent("web-01").await;
    for n in 0..60_u32 {
        agent.beat_ago(&host(true, 20.0 + f64::from(n) / 2.0), 3_600_000 - i64::from(n) * 60_000).await;
    }
    let count = rules(&channel).len();
    // Where a disk is heading is looked at beside the samples: it may take another one until that is known.
    until("a page of every rule", async || {
        agent.beat(&host(false, 92.0)).await;
        (relay.taken().len() >= count).then_some(())
    })
    .await;
    let mails: Vec<String> = relay.taken().iter().map(text).collect();
    let headlines: Vec<&str> = mails.iter().filter_map(|mail| mail.lines().next()).collect();
    assert_eq!(headlines.len(), count, "{headlines:#?}");
    let expected = [
        ("CPU hot", "97.3 % > 90 %", "cpu.usage_percent on web-01 is 97.3 %, above 90 %"),
        ("Unit down", "unit nginx.service is not active", "Unit nginx.service is not active on web-01"),
        ("Units", "2 units have failed", "2 units have failed on web-01"),
        ("Container down", "container db is not running", "Container db is not running on web-01"),
        ("Container ill", "container web is unhealthy", "Container web is unhealthy on web-01"),
        ("Process missing", "no process of cron runs", "No process of cron runs on web-01"),
        ("Port closed", "nothing answers on port 25", "Nothing answers on port 25 on web-01"),
        ("Disk failing", "disk sda says that it is failing", "Disk sda says that it is failing on web-01"),
        ("Rebooted", "up for 34 s", "web-01 has started again: it has been up for 34 s."),
        ("Clock set", "+7.5 s in 10 m", "The clock of web-01 was set: +7.5 s in 10 m"),
        ("Disk fills", "%/h over 10 m", "disk.used_percent{mount=/data} on web-01: +"),
        ("Disk full soon", "/data reaches 100 % in", "(confidence "),
    ];
    for (rule, gist, sentence) in expected {
        let (headline, told) = said(&mails, rule);
        assert!(headline.starts_with(&format!("Critical: {rule} on web-01 (")) && headline.contains(gist), "{headline}");
        assert!(told.contains(sentence), "{told}");
    }
    assert!(!house.hub.log().contains("cannot be filled"), "drawing a flat line fills the log: {}", house.hub.log());
    for mail in &mails {
        let body = mail.replace(&house.hub.url, "");
        assert!(!body.contains("NaN") && !body.contains("null") && !body.contains("None"), "{mail}");
        let named: Vec<&str> = body.lines().filter(|line| !line.contains("/i/")).collect();
        assert!(!named.join(" ").contains(&agent.identity.id), "an id instead of a name: {mail}");
        if std::env::var_os("NIGHTBELL_SHOW").is_some() {
            eprintln!("{mail}\n------");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_page_leads_to_a_page_that_exists() {
    let house = House::start().await;
    let receiver = Receiver::start().await;
    let channel = house.api.make("/channels", &receiver.channel("hook")).await;
    house.api.post(&format!("/channels/{channel}/test"), &json!({})).await;
    let page = receiver.nth("test", 1).await;
    assert_eq!(page.data["url"], format!("{}/", house.hub.url), "{:#}", page.data);
    let link = page.data["url"].as_str().unwrap();
    assert_eq!(crate::support::api::http().get(link).send().await.unwrap().status(), 200, "{link}");
}
