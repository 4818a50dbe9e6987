//! Messages as Discord's checks see them, its limits at n and n + 1, and its answers.

use super::embed::{
    BUTTON_URL_LIMIT, CONTENT_LIMIT, DESCRIPTION_LIMIT, FIELD_NAME_LIMIT, FIELD_VALUE_LIMIT, FIELDS_LIMIT, FOOTER_LIMIT,
    TITLE_LIMIT, TOTAL_LIMIT, escape, payload,
};
use super::*;
use crate::config::ChannelConfig;
use crate::notification::NoticeWord;
use crate::notifier::NotifierOptions;
use crate::testing::double::{Double, Reply};
use crate::testing::{
    KINDS, any_notification, channel, hostile, message, notification, notifier, notifier_with, picture, vendors,
};
use proptest::prelude::*;
use serde_json::json;
use std::time::Duration;

fn files(has_chart: bool) -> Vec<String> {
    if has_chart { vec![CHART_NAME.to_owned()] } else { Vec::new() }
}

fn at(double: &Double) -> ChannelConfig {
    channel("discord", &json!({"webhook_url": double.at("api/v10/webhooks/1/token"), "allow_private": true}))
}

#[test]
fn every_kind_looks_as_agreed() {
    for (name, kind) in KINDS {
        let payload = payload(&message(&notification(kind)), true).unwrap();
        assert_eq!(vendors::discord_payload(&payload, &files(true)), Ok(()), "{name}");
        insta::assert_json_snapshot!(format!("discord_{name}"), payload);
    }
}

#[test]
fn nothing_that_an_agent_says_means_anything_to_discord() {
    let payload = payload(&message(&hostile()), false).unwrap();
    assert_eq!(vendors::discord_payload(&payload, &[]), Ok(()));
    insta::assert_json_snapshot!("discord_hostile", payload);
    assert_eq!(
        escape("*a* _b_ `c` [d](http://e) <@1> || x\n# y > z"),
        "\\*a\\* \\_b\\_ \\`c\\` \\[d\\](http\\://e) \\<@1> \\|\\| x\n\\# y > z"
    );
}

#[test]
fn our_limits_are_discords() {
    let limits = [
        CONTENT_LIMIT,
        TITLE_LIMIT,
        DESCRIPTION_LIMIT,
        FIELDS_LIMIT,
        FIELD_NAME_LIMIT,
        FIELD_VALUE_LIMIT,
        FOOTER_LIMIT,
        TOTAL_LIMIT,
    ];
    assert_eq!(limits, [2_000, 256, 4_096, 25, 256, 1_024, 2_048, 6_000]);
    assert_eq!(BUTTON_URL_LIMIT, 512);
}

#[test]
fn a_title_is_whole_at_the_limit_and_cut_beyond_it() {
    let title = |length: usize| {
        let mut long = notification(NoticeWord::Fired);
        // "Critical: " before, " on db-01" after.
        long.rule.name = "ä".repeat(length - 10 - 9);
        let payload = payload(&message(&long), false).unwrap();
        assert_eq!(vendors::discord_payload(&payload, &[]), Ok(()));
        payload["embeds"][0]["title"].as_str().unwrap().to_owned()
    };
    assert!(title(TITLE_LIMIT).ends_with("ä on db-01") && title(TITLE_LIMIT).chars().count() == TITLE_LIMIT);
    assert!(title(TITLE_LIMIT + 1).ends_with("ä on db-…"));
    assert_eq!(title(TITLE_LIMIT + 1).chars().count(), TITLE_LIMIT);
}

#[test]
fn the_checks_refuse_what_is_one_too_long() {
    let good = payload(&message(&notification(NoticeWord::Fired)), false).unwrap();
    for (pointer, limit) in [
        ("/content", CONTENT_LIMIT),
        ("/embeds/0/title", TITLE_LIMIT),
        ("/embeds/0/description", DESCRIPTION_LIMIT),
        ("/embeds/0/footer/text", FOOTER_LIMIT),
        ("/embeds/0/fields/0/name", FIELD_NAME_LIMIT),
        ("/embeds/0/fields/0/value", FIELD_VALUE_LIMIT),
    ] {
        let with = |length: usize| {
            let mut payload = good.clone();
            *payload.pointer_mut(pointer).unwrap() = json!("x".repeat(length));
            vendors::discord_payload(&payload, &[])
        };
        assert_eq!(with(limit), Ok(()), "{pointer}");
        assert!(with(limit + 1).is_err() && with(0).is_err(), "{pointer}");
    }
}

#[test]
fn everything_together_stays_within_the_total() {
    let mut huge = hostile();
    huge.why = "w".repeat(9_000);
    huge.agent.name = "n".repeat(9_000);
    huge.metric = "m".repeat(9_000);
    let message = Message { folded: vec![huge.clone(); 30], ..message(&huge) };
    let payload = payload(&message, true).unwrap();
    assert_eq!(vendors::discord_payload(&payload, &files(true)), Ok(()));
    let embed = &payload["embeds"][0];
    assert!(embed["footer"]["text"].as_str().unwrap().ends_with("Europe/Berlin"), "what is short and last is not lost");
}

proptest! {
    #[test]
    fn whatever_the_notification_the_message_is_accepted(notification in any_notification(), plain: bool, has_chart: bool) {
        let has_chart = has_chart && !plain;
        let payload = payload(&Message { plain, ..message(&notification) }, has_chart).unwrap();
        prop_assert_eq!(vendors::discord_payload(&payload, &files(has_chart)), Ok(()));
    }
}

#[tokio::test]
async fn the_picture_travels_with_the_message() {
    let discord = vendors::discord().await;
    let notification = notification(NoticeWord::Fired);
    let message = Message { chart_png: Some(picture()), ..message(&notification) };
    assert_eq!(notifier().deliver(&at(&discord), message).await, Outcome::sent("127.0.0.1 answered 200 OK"));
    let parts = discord.only().parts();
    assert_eq!(parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(), ["payload_json", "files[0]"]);
    assert_eq!(parts[1].file_name.as_deref(), Some("chart.png"));
    assert_eq!(parts[1].bytes, picture());
}

#[tokio::test]
async fn the_second_try_is_plain_text() {
    let discord = vendors::discord().await;
    let notification = notification(NoticeWord::Fired);
    let message = Message { chart_png: Some(picture()), plain: true, ..message(&notification) };
    assert!(matches!(notifier().deliver(&at(&discord), message).await, Outcome::Sent { .. }));
    let payload = discord.only().json();
    assert!(payload["embeds"].as_array().is_none_or(Vec::is_empty), "{payload}");
    assert!(payload["content"].as_str().unwrap().contains("97.2 %"));
}

#[tokio::test]
async fn discords_own_urls_lead_to_the_api_wherever_it_is() {
    let discord = vendors::discord().await;
    let notifier = notifier_with(NotifierOptions { discord_base: discord.url.to_string(), ..Default::default() });
    for url in ["https://discord.com/api/webhooks/1/token", "https://ptb.discord.com/api/v9/webhooks/1/token/?wait=false#x"] {
        let channel = channel("discord", &json!({"webhook_url": url, "allow_private": true}));
        let outcome = notifier.deliver(&channel, message(&notification(NoticeWord::Fired))).await;
        assert!(matches!(outcome, Outcome::Sent { .. }), "{outcome:?}");
    }
    let base = Url::parse("https://discord.com").unwrap();
    let (url, token) = endpoint("https://discord.com/api/webhooks/7/t0k?thread_id=9", &base).unwrap();
    assert_eq!(url.as_str(), "https://discord.com/api/v10/webhooks/7/t0k?thread_id=9&wait=true&with_components=true");
    assert_eq!(token, "t0k");
}

#[tokio::test]
async fn refusals_mean_what_they_mean_everywhere_and_hide_the_token() {
    let wait = |seconds: f64| Some(Duration::from_secs_f64(seconds));
    for (reply, expected) in [
        (Reply::of(429, "{\"retry_after\":0.65,\"global\":false}"), wait(0.65)),
        (Reply::of(429, "{\"retry_after\":0.65}").with("retry-after", "1"), wait(1.0)),
        (Reply::of(429, "{\"retry_after\":2.5}").with("retry-after", "1"), wait(2.5)),
        (Reply::of(429, "<html>1015</html>").with("retry-after", "120"), wait(120.0)),
        (Reply::of(429, "{\"retry_after\":-1}"), None),
        (Reply::of(500, "{\"retry_after\":7}"), None),
    ] {
        let double = Double::answering(reply).await;
        let outcome = notifier().deliver(&at(&double), message(&notification(NoticeWord::Fired))).await;
        assert!(matches!(&outcome, Outcome::Retry { after, ambiguous: false, .. } if *after == expected), "{outcome:?}");
    }
    for (status, body) in
        [(404, "{\"message\":\"Unknown Webhook\",\"code\":10015}"), (401, "{\"message\":\"Invalid Webhook Token token\"}")]
    {
        let double = Double::answering(Reply::of(status, body)).await;
        let outcome = notifier().deliver(&at(&double), message(&notification(NoticeWord::Fired))).await;
        let Outcome::Broken { error } = outcome else { panic!("{outcome:?}") };
        assert!(error.contains("Webhook") && !error.contains("token"), "{error}");
    }
    let double = Double::answering(Reply::of(400, "{\"code\":50035}")).await;
    let outcome = notifier().deliver(&at(&double), message(&notification(NoticeWord::Fired))).await;
    assert!(matches!(outcome, Outcome::Unacceptable { .. }), "{outcome:?}");
}
