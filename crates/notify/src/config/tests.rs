//! The forms a configuration may have, the faults that are named, and that secrets neither show nor get lost.

use super::*;
use serde_json::json;

fn faults(kind: &str, config: &Value) -> Vec<String> {
    match ChannelConfig::parse(kind, config) {
        Ok(parsed) => panic!("accepted as {parsed:?}"),
        Err(faults) => faults.into_iter().map(|fault| format!("{}: {}", fault.pointer, fault.detail)).collect(),
    }
}

fn accepted(kind: &str, config: &Value) -> ChannelConfig {
    ChannelConfig::parse(kind, config).unwrap_or_else(|faults| panic!("{faults:?}"))
}

const HOOK: &str = "https://discord.com/api/webhooks/123456789012345678/s3cr3t-token_X";

fn mail() -> Value {
    json!({"host": "mail.example.org", "port": 587, "tls": "starttls", "username": "nb", "password": "hunter22",
           "from": "Nightbell <nb@example.org>", "to": ["Ops <ops@example.org>", "b@example.org"]})
}

#[test]
fn every_documented_form_is_accepted() {
    accepted("webhook", &json!({"url": "https://example.org/hook"}));
    accepted(
        "webhook",
        &json!({"url": "http://10.0.0.1:9000/x", "secret": "raw secret", "format": "standard", "allow_private": true}),
    );
    accepted("webhook", &json!({"url": "https://example.org/am", "format": "alertmanager", "secret": null}));
    accepted(
        "webhook",
        &json!({"url": "https://e.example", "secret": "new", "previous_secret": "old", "headers": {"X-Api-Key": "k", "Authorization": "Bearer t"}}),
    );
    accepted("webhook", &json!({"format": "pagerduty", "routing_key": "0123456789abcdef0123456789abcdef"}));
    accepted("webhook", &json!({"url": "https://events.eu.pagerduty.com/v2/enqueue", "format": "pagerduty", "routing_key": "k"}));
    accepted("smtp", &mail());
    accepted(
        "smtp",
        &json!({"host": "::1", "port": 25, "tls": "none", "from": "a@b.example", "to": ["c@d.example"], "allow_private": false}),
    );
    accepted("discord", &json!({"webhook_url": HOOK}));
    accepted("discord", &json!({"webhook_url": "http://127.0.0.1:9/api/webhooks/1/t", "allow_private": true}));
    accepted("slack", &json!({"webhook_url": "https://hooks.slack.com/services/T0/B0/xyz"}));
    accepted("slack", &json!({"bot_token": "xoxb-1", "channel": "C012345"}));
}

#[test]
fn what_is_wrong_is_named_and_all_of_it() {
    assert_eq!(
        faults("webhook", &json!({"url": "ftp://example.org/x", "format": "xml", "allow_private": "yes", "colour": 1})),
        [
            "/format: is none of standard, alertmanager, pagerduty",
            "/url: begins with ftp: only http and https are spoken",
            "/colour: is not known here: there are url, secret, previous_secret, headers, format, routing_key, allow_private",
        ]
    );
    assert_eq!(faults("webhook", &json!({"url": "https://u:p@example.org/"})).len(), 1);
    assert_eq!(
        faults(
            "smtp",
            &json!({"host": "a b", "port": 70000, "tls": "ssl", "from": "nobody", "to": ["x@y.example", "a@b\r\nBcc: c@d.example", 7]})
        ),
        [
            "/host: is not a host's name or address: invalid international domain name",
            "/port: is not a port: a whole number from 1 to 65535",
            "/tls: is none of starttls, tls, none",
            "/from: is not a mail address, such as ops@example.org or Ops <ops@example.org>",
            "/to/1: contains a line break or another control character",
            "/to/2: is not a text",
        ]
    );
    assert_eq!(faults("pager", &json!({})), [": \"pager\" is no kind of channel: it is one of webhook, smtp, discord, slack"]);
    assert_eq!(faults("webhook", &json!([1])), [": is not an object"]);
}

#[test]
fn each_kind_has_its_own_traps() {
    let one = |kind: &str, config: Value| {
        let faults = faults(kind, &config);
        assert_eq!(faults.len(), 1, "{faults:?}");
        faults.into_iter().next().unwrap()
    };
    assert_eq!(one("webhook", json!({})), "/url: is missing");
    assert_eq!(
        one("webhook", json!({"url": "https://e.example", "routing_key": "k"})),
        "/routing_key: only the format \"pagerduty\" has a routing key"
    );
    assert_eq!(one("webhook", json!({"format": "pagerduty"})), "/routing_key: is missing");
    assert!(
        one("webhook", json!({"url": "https://e.example", "secret": "whsec_!"}))
            .starts_with("/secret: is not base64 after whsec_")
    );
    assert!(one("webhook", json!({"url": "https://e.example", "secret": "set"})).contains("give the secret itself"));
    assert!(one("webhook", json!({"url": "https://e.example", "previous_secret": "old"})).contains("without a secret"));
    assert!(one("webhook", json!({"format": "pagerduty", "routing_key": "k", "headers": {"x": "y"}})).starts_with("/headers: "));
    for (header, why) in [
        (json!({"a b": "x"}), "/headers/a b: is not a header's name"),
        (json!({"x/y": "x"}), "/headers/x~1y: is not a header's name"),
        (json!({"Content-Length": "0"}), "/headers/Content-Length: is set by us"),
        (json!({"webhook-id": "0"}), "/headers/webhook-id: is set by us"),
        (json!({"x": "a\r\nb: c"}), "/headers/x: is empty, begins"),
        (json!({"x": "ü"}), "/headers/x: is empty, begins"),
        (json!({"x": ""}), "/headers/x: is empty"),
        (json!({"x": 7}), "/headers/x: is not a text"),
        (json!({"x": "set"}), "/headers/x: \"set\" is what a hidden value"),
        (json!(["x"]), "/headers: is not an object"),
    ] {
        let fault = one("webhook", json!({"url": "https://e.example", "headers": header}));
        assert!(fault.starts_with(why), "{fault}");
    }
    assert!(one("discord", json!({"webhook_url": "http://discord.com/api/webhooks/1/t"})).contains("not https"));
    assert!(one("discord", json!({"webhook_url": "https://discord.com/channels/1/2"})).contains("/webhooks/<id>/<token>"));
    assert!(one("discord", json!({"bot_token": "t", "channel_id": "x"})).contains(if cfg!(feature = "discord-bot") {
        "no channel's id"
    } else {
        "no Discord bot"
    }));
    assert!(one("discord", json!({"webhook_url": "https://discord.com/…"})).contains("give the whole URL"));
    assert!(one("webhook", json!({"url": "https://f.example/…"})).contains("give the whole URL"), "of another host");
    assert_eq!(one("slack", json!({"bot_token": "xoxb-1"})), "/channel: is missing");
    assert!(one("slack", json!({"bot_token": "x", "channel": "c", "webhook_url": "https://h.example/x"})).contains("not both"));
    for (field, without) in [("username", "/username: is missing"), ("password", "/password: is missing")] {
        let mut config = mail();
        config.as_object_mut().unwrap().remove(field);
        assert!(one("smtp", config).starts_with(without));
    }
    let mut crowd = mail();
    crowd["to"] = json!(vec!["a@b.example"; 51]);
    assert!(one("smtp", crowd).starts_with("/to: has more than 50"));
}

#[test]
fn what_is_shown_has_no_secret_in_it() {
    for (kind, config) in [
        ("webhook", json!({"url": "https://e.example/x", "secret": "CANARY"})),
        (
            "webhook",
            json!({"url": "https://e.example/x", "secret": "CANARY", "previous_secret": "CANARY2", "headers": {"X-A": "CANARY", "X-B": "CANARY"}}),
        ),
        ("webhook", json!({"headers": "CANARY"})),
        ("webhook", json!({"url": "https://e.example/in/CANARY"})),
        ("webhook", json!({"url": "https://e.example?key=CANARY", "format": "alertmanager"})),
        ("webhook", json!({"url": "https://CANARY@e.example"})),
        ("webhook", json!({"format": "pagerduty", "routing_key": "CANARY"})),
        ("smtp", json!({"host": "h", "password": "CANARY"})),
        ("discord", json!({"webhook_url": "https://discord.com/api/webhooks/1/CANARY"})),
        ("slack", json!({"webhook_url": "https://hooks.slack.com/services/T/B/CANARY"})),
        ("slack", json!({"bot_token": "CANARY", "channel": "C"})),
        ("slack", json!({"webhook_url": "not a url CANARY"})),
        ("fax", json!({"secret": "CANARY", "webhook_url": {"deep": "CANARY"}})),
    ] {
        let shown = ChannelConfig::redacted(kind, &config);
        assert!(!shown.to_string().contains("CANARY"), "{shown}");
        assert_eq!(ChannelConfig::merge_secrets(kind, &config, shown), config, "what was shown may be put back");
    }
    let shown = ChannelConfig::redacted("discord", &json!({"webhook_url": HOOK}));
    assert_eq!(shown, json!({"webhook_url": "https://discord.com/…"}));
    for bare in ["https://e.example", "https://e.example:8443/"] {
        assert_eq!(ChannelConfig::redacted("webhook", &json!({"url": bare})), json!({"url": bare}));
    }
    assert!(!format!("{:?}", accepted("smtp", &mail())).contains("hunter22"));
    assert!(!format!("{:?}", accepted("discord", &json!({"webhook_url": HOOK}))).contains("s3cr3t"));
}

#[test]
fn an_address_in_a_file_is_hidden_where_it_looks_like_a_key() {
    for (url, plain) in [
        ("https://e.example/hook", true),
        ("http://10.0.0.1:9093/api/v2/alerts", true),
        ("https://e.example/alertmanager-webhook", true),
        ("https://e.example/in?channel=1", false),
        ("https://user@e.example/in", false),
        ("https://hooks.example/services/T024BE7LD/B01234567/a1b2c3d4e5f6g7h8i9j0k1l2", false),
    ] {
        assert_eq!(ChannelConfig::is_plain_address("webhook", "/url", url), plain, "{url}");
    }
    assert!(!ChannelConfig::is_plain_address("discord", "/webhook_url", "https://e.example/hook"));
}

#[test]
fn a_new_secret_replaces_the_old_and_a_left_out_one_is_gone() {
    let old = json!({"url": "https://e.example", "secret": "old"});
    let merged = |new: Value| ChannelConfig::merge_secrets("webhook", &old, new);
    assert_eq!(merged(json!({"url": "https://f.example", "secret": "set"}))["secret"], "old");
    assert_eq!(merged(json!({"url": "https://f.example", "secret": "new"}))["secret"], "new");
    assert_eq!(merged(json!({"url": "https://f.example"})).get("secret"), None);
    let old = json!({"headers": {"X-A": "a", "X-B": "b"}});
    let headers = ChannelConfig::merge_secrets("webhook", &old, json!({"headers": {"X-A": "set", "X-C": "c"}}));
    assert_eq!(headers, json!({"headers": {"X-A": "a", "X-C": "c"}}), "kept, gone, new");
    let without = json!({"url": "https://e.example"});
    let merged = ChannelConfig::merge_secrets("webhook", &without, json!({"secret": "set"}));
    assert_eq!(merged["secret"], "set", "nothing to put in its place: parsing names it");
}

#[test]
fn a_channel_that_is_led_elsewhere_takes_no_secret_along() {
    let merged = |kind: &str, old: &Value, field: &str, value: Value| {
        let mut new = ChannelConfig::redacted(kind, old);
        new[field] = value;
        ChannelConfig::merge_secrets(kind, old, new).to_string()
    };
    let mut hook = json!({"url": "https://e.example/a", "headers": {"X-Key": "CANARY"}});
    assert!(merged("webhook", &hook, "url", json!("https://e.example/b")).contains("CANARY"), "the same place");
    for elsewhere in ["https://evil.example/a", "http://e.example/a", "https://e.example:8443/a", "nonsense"] {
        assert!(!merged("webhook", &hook, "url", json!(elsewhere)).contains("CANARY"), "{elsewhere}");
    }
    hook = json!({"url": "https://e.example/a", "secret": "signs"});
    assert!(merged("webhook", &hook, "url", json!("https://f.example/a")).contains("signs"), "what only signs is not sent");
    for (field, value) in [("host", json!("evil.example")), ("port", json!(2525)), ("tls", json!("none"))] {
        assert!(!merged("smtp", &mail(), field, value).contains("hunter22"), "{field}");
    }
    assert!(merged("smtp", &mail(), "to", json!(["c@example.org"])).contains("hunter22"));
    let pager = json!({"format": "pagerduty", "routing_key": "CANARY"});
    assert!(!merged("webhook", &pager, "url", json!("https://evil.example/")).contains("CANARY"));
}

#[test]
fn pictures_and_folding_are_for_those_who_show_them() {
    let pictures = |kind: &str, config: Value| {
        let Pictures { light, dark } = accepted(kind, &config).pictures();
        (light, dark)
    };
    assert_eq!(pictures("slack", json!({"bot_token": "xoxb-1", "channel": "C0"})), (true, false));
    assert_eq!(pictures("slack", json!({"webhook_url": "https://hooks.slack.com/services/T0/B0/xyz"})), (false, false));
    assert_eq!(pictures("smtp", mail()), (true, true));
    assert_eq!(pictures("discord", json!({"webhook_url": HOOK})), (false, true));
    assert_eq!(pictures("webhook", json!({"url": "https://e.example"})), (false, false));
    assert!(!accepted("webhook", &json!({"url": "https://e.example"})).folds());
    assert!(accepted("webhook", &json!({"url": "https://e.example", "format": "alertmanager"})).folds());
}
