//! The link in a page: it opens its incident without a login, and nothing else.

use crate::support::api::http;
use crate::support::house::{House, rule};
use crate::support::receiver::Receiver;
use serde_json::json;

/// Status, headers in short, and body of a URL, asked by somebody who has nothing but it.
async fn open(url: &str) -> (u16, String, Vec<u8>) {
    let answer = http().get(url).send().await.unwrap();
    let header = |name: &str| answer.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let headers = ["content-type", "cache-control", "content-security-policy", "referrer-policy"].map(header).join(" | ");
    (answer.status().as_u16(), headers, answer.bytes().await.unwrap().to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_link_in_a_page_opens_this_incident_alone() {
    let house = House::start_with(&["--log", "trace"]).await;
    let receiver = Receiver::start().await;
    let channel = house.api.make("/channels", &receiver.channel("pager")).await;
    house.api.make("/rules", &rule("CPU <hot>", "cpu.usage_percent", 90.0, &[&channel])).await;
    let (mut one, mut two) = (house.json_agent("db-01").await, house.json_agent("web-02").await);
    one.beat(&json!({"cpu.usage_percent": 95.5})).await;
    let first = receiver.nth("incident.fired", 1).await;
    two.beat(&json!({"cpu.usage_percent": 99})).await;
    let second = receiver.nth("incident.fired", 2).await;
    let url = first.data["url"].as_str().unwrap();
    assert!(url.starts_with(&format!("{}/i/{}?e=", house.hub.url, first.incident())), "{url}");
    let (status, headers, body) = open(url).await;
    let text = String::from_utf8(body).unwrap();
    assert_eq!(status, 200, "{text}");
    assert!(text.contains("CPU &lt;hot&gt; on db-01") && text.contains("95.5 percent") && !text.contains("web-02"), "{text}");
    assert!(
        headers.contains("private, no-store") && headers.contains("default-src 'none'") && headers.contains("no-referrer"),
        "{headers}"
    );
    let (status, headers, picture) = open(first.data["chart_url"].as_str().unwrap()).await;
    assert!(status == 200 && headers.starts_with("image/png") && picture.starts_with(b"\x89PNG"), "{status} {headers}");
    let dark = open(&format!("{}&theme=dark", first.data["chart_url"].as_str().unwrap())).await;
    assert!(dark.0 == 200 && dark.2 != picture);

    let key = url.split_once('?').unwrap().1;
    let (end, signature) = key.strip_prefix("e=").and_then(|rest| rest.split_once("&s=")).unwrap();
    let later = end.parse::<i64>().unwrap() + 86_400;
    for (path, expected) in [
        (format!("/i/{}", first.incident()), 404),
        (format!("/i/{}?{key}", second.incident()), 404),
        (format!("/i/{}?e={later}&s={signature}", first.incident()), 404),
        (format!("/i/{}?e={end}&s=", first.incident()), 404),
        (format!("/i/nothing?{key}"), 404),
        (format!("/i/{}/chart.png?{key}", second.incident()), 404),
        (format!("/i/{}/chart.png", first.incident()), 404),
        (format!("/api/v1/incidents/{}?{key}", first.incident()), 401),
        (format!("/api/v1/incidents/{}/chart.png?{key}", first.incident()), 401),
    ] {
        let (status, _, body) = open(&format!("{}{path}", house.hub.url)).await;
        assert_eq!(status, expected, "{path}: {}", String::from_utf8_lossy(&body));
        assert!(!String::from_utf8_lossy(&body).contains("CPU"), "{path}");
    }
    assert!(!house.hub.log().contains(signature), "a link is a right, and rights are not logged");
}

#[tokio::test(flavor = "multi_thread")]
async fn links_ask_for_a_login_where_that_is_wished() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("hub.toml");
    std::fs::write(&config, "[notify]\nlink_lifetime = \"0s\"\n").unwrap();
    let house = House::start_with(&["--config", config.to_str().unwrap()]).await;
    let receiver = Receiver::start().await;
    let channel = house.api.make("/channels", &receiver.channel("pager")).await;
    house.api.make("/rules", &rule("Hot", "cpu.usage_percent", 90.0, &[&channel])).await;
    house.json_agent("db-01").await.beat(&json!({"cpu.usage_percent": 95})).await;
    let page = receiver.nth("incident.fired", 1).await;
    assert_eq!(page.data["url"], format!("{}/incidents/{}", house.hub.url, page.incident()));
    assert_eq!(open(&format!("{}/i/{}?e=9999999999&s=AAAA", house.hub.url, page.incident())).await.0, 404);
}
