//! What no channel may do whatever it is given: mention people, make links or markup of what a host says, show a secret, or speak to
//! an address inside. Tests over all channels at once, beside each channel's own.

use crate::channels::{discord, slack, smtp};
use crate::config::ChannelConfig;
use crate::delivery::{Earlier, Message, Outcome};
use crate::http::Answer;
use crate::notification::{NoticeWord, Notification};
use crate::notifier::NotifierOptions;
use crate::testing::double::{Double, Reply};
use crate::testing::{any_notification, channel, charted, message, notification, notifier, notifier_with, vendors};
use chrono::Utc;
use discord::embed::{Picture, escape};
use proptest::prelude::*;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

/// Every text in a JSON value.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(fields) => fields.iter().filter(|(name, _)| *name != "url").flat_map(|(_, value)| texts(value)).collect(),
        _ => Vec::new(),
    }
}

/// Whether Discord would find formatting, a mention or a link in `text`: a special character without a backslash before it.
fn means_something(text: &str) -> bool {
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => {
                rest.next();
            }
            '*' | '_' | '~' | '`' | '|' | '[' | ']' | '<' => return true,
            _ => {}
        }
    }
    text.contains("http://") || text.contains("https://")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_escaped_means_anything_to_discord(text in any::<String>(), special in "[\\\\*_~`|\\[\\]<>@#:/!-]{0,40}") {
        prop_assert!(!means_something(&escape(&text)) && !means_something(&escape(&special)));
    }

    #[test]
    fn no_message_mentions_anybody(notification in any_notification(), folded in proptest::collection::vec(any_notification(), 0..3), plain: bool) {
        let message = Message { plain, folded, ..message(&notification) };
        for picture in [Picture::None, Picture::Kept("1".to_owned())] {
            let payload = discord::embed::payload(&message, &picture, true).unwrap();
            prop_assert_eq!(&payload["allowed_mentions"]["parse"], &json!([]));
            prop_assert!(payload["allowed_mentions"]["users"].as_array().is_none_or(Vec::is_empty));
        }
        let payload = slack::blocks::payload(&message);
        prop_assert_eq!(vendors::slack_payload(&payload), Ok(()));
        prop_assert!(payload["link_names"].is_null() && payload["parse"].is_null());
        let marked = payload["blocks"].as_array().into_iter().flatten().filter(|block| block["type"] != "header");
        for text in marked.flat_map(texts) {
            prop_assert!(!text.contains(['<', '>']), "{text:?}");
        }
    }

    #[test]
    fn a_mails_markup_is_ours_alone(notification in any_notification()) {
        let html = smtp::html_of(&message(&notification));
        let known = ["div", "span", "table", "tr", "td", "a ", "img", "picture", "source", "body", "html", "head", "meta", "title", "style", "!DOCTYPE"];
        for tag in html.split('<').skip(1) {
            let name = tag.strip_prefix('/').unwrap_or(tag);
            prop_assert!(known.iter().any(|known| name.starts_with(known.trim())), "<{}", &tag[..tag.floor_char_boundary(40)]);
        }
        for attribute in ["onerror=", "onload=", "javascript:"] {
            let inside = html.split('<').filter_map(|tag| tag.split('>').next()).any(|tag| tag.contains(attribute));
            prop_assert!(!inside, "{attribute}");
        }
    }

    #[test]
    fn no_outcome_shows_a_secret(before in "\\PC{0,200}", after in "\\PC{0,200}", secret in "[A-Za-z0-9+/=_.-]{8,40}", status in 200_u16..600) {
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: format!("{before}{secret}{after}{secret}").into_bytes(),
        };
        let said = format!("{:?}", answer.outcome("host.example", &[&secret], Utc::now()));
        prop_assert!(!said.contains(&secret), "{said}");
    }
}

/// A channel of every kind whose receiver is at `place`, an address of this machine, without leave to go there.
fn inward(place: &str) -> Vec<ChannelConfig> {
    let https = place.replace("http://", "https://");
    let mut all = vec![
        channel("webhook", &json!({"url": place})),
        channel("webhook", &json!({"url": place, "format": "alertmanager"})),
        channel("webhook", &json!({"url": place, "format": "pagerduty", "routing_key": "0123456789abcdef0123456789abcdef"})),
        channel("discord", &json!({"webhook_url": format!("{https}api/webhooks/1/token")})),
        channel("discord", &json!({"webhook_url": "https://discord.com/api/webhooks/1/token"})),
        channel("slack", &json!({"webhook_url": format!("{https}services/x")})),
        channel("slack", &json!({"bot_token": "xoxb-1", "channel": "C1"})),
    ];
    let url: url::Url = place.parse().unwrap();
    let relay = json!({"host": url.host_str(), "port": url.port(), "tls": "none", "from": "a@b.example", "to": ["c@d.example"], "allow_private": false});
    all.push(channel("smtp", &relay));
    if cfg!(feature = "discord-bot") {
        all.push(channel("discord", &json!({"bot_token": "t", "channel_id": "1"})));
    }
    all
}

#[tokio::test]
async fn no_channel_speaks_to_an_address_inside_without_leave() {
    let inside = Double::answering(Reply::of(200, "{\"ok\":true,\"id\":\"1\",\"ts\":\"1\",\"channel\":\"C1\"}")).await;
    let base = inside.url.to_string();
    let options =
        NotifierOptions { discord_base: base.clone(), slack_base: base.clone(), pagerduty_url: base, ..Default::default() };
    let notifier = notifier_with(options);
    // The second message is one that edits and answers the first.
    let posted = Some("{\"posted\":{\"id\":\"1\",\"channel\":\"C1\"}}".to_owned());
    let thread = vec![Earlier { delivery_id: "d".to_owned(), progress: posted }];
    let port = inside.url.port().unwrap();
    for host in ["127.0.0.1", "[::ffff:127.0.0.1]", "2130706433", "localhost"] {
        for config in inward(&format!("http://{host}:{port}/")) {
            for (kind, thread) in
                [(NoticeWord::Fired, Vec::new()), (NoticeWord::Resolved, thread.clone()), (NoticeWord::Acked, thread.clone())]
            {
                let page = notification(kind);
                let outcome = notifier.attempt(&config, Message { thread, charts: charted(), ..message(&page) }).await;
                assert!(
                    matches!(&outcome, Outcome::Broken { error } if error.contains("private network")),
                    "{config:?}: {outcome:?}"
                );
            }
        }
    }
    assert!(inside.received().is_empty());
}

#[tokio::test]
async fn no_receiver_gets_its_own_address_into_our_words() {
    let double = Double::start(|request| Reply::of(403, &format!("go away, {} {}", request.path, request.query))).await;
    for config in [
        channel("webhook", &json!({"url": double.at("hooks/CANARY-path-1?key=CANARY-query-1"), "allow_private": true})),
        channel("discord", &json!({"webhook_url": double.at("api/webhooks/1/CANARY-token?thread_id=7"), "allow_private": true})),
        channel("slack", &json!({"webhook_url": double.at("services/T0/B0/CANARY-token"), "allow_private": true})),
    ] {
        let page = notification(NoticeWord::Fired);
        let report = notifier().deliver(&config, message(&page)).await;
        let said = format!("{report:?} {config:?}");
        assert!(matches!(report.outcome, Outcome::Broken { .. }) && !said.contains("CANARY"), "{said}");
    }
}

#[test]
fn a_notification_of_a_digest_is_as_inert_as_its_items() {
    let mut digest = notification(NoticeWord::Digest);
    digest.items = vec![crate::testing::hostile(); 3];
    let payload = discord::embed::payload(&message(&digest), &Picture::None, false).unwrap();
    assert_eq!(vendors::discord_payload(&payload, &[]), Ok(()));
    assert!(!means_something(&payload["embeds"][0]["description"].as_str().unwrap().replace("**", "")), "{payload}");
    assert_eq!(vendors::slack_payload(&slack::blocks::payload(&message(&digest))), Ok(()));
    let ack = Notification {
        ack: Some(crate::AckFacts { by: "<@1> *x*".to_owned(), note: "<!here>".to_owned(), until: None }),
        ..notification(NoticeWord::Acked)
    };
    let payload = discord::embed::payload(&message(&ack), &Picture::None, false).unwrap();
    assert!(!means_something(payload["content"].as_str().unwrap()), "{payload}");
}
