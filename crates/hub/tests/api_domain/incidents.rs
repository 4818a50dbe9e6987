//! An incident from its first page to its end, with people's words on it, and the log of all that.

use crate::world::{Receiver, World};
use reqwest::Method;
use serde_json::{Value, json};

/// A hub with one open incident that one channel was told of.
async fn firing() -> (World, Receiver, crate::world::Poster, Value) {
    let (world, receiver) = (World::new().await, Receiver::new().await);
    let channel = world.channel("ops", &receiver.url).await;
    let agent = world.agent("db-01").await;
    let rule = json!({"name": "CPU hot", "metric": "cpu.usage_percent", "op": ">", "threshold": 90, "severity": "critical", "channels": [channel]});
    world.post("/rules", rule).await;
    agent.now(json!({"cpu.usage_percent": 97.2})).await;
    let incident = world.only("/incidents?state=open").await;
    world.until("the page", async || receiver.bodies().first().cloned()).await;
    (world, receiver, agent, incident)
}

fn types(events: &Value) -> Vec<String> {
    events["items"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_is_shown_with_everything_known_about_it() {
    let (world, _receiver, agent, incident) = firing().await;
    assert_eq!(incident["agent"], json!({"id": agent.id, "name": "db-01", "tags": ["db"]}));
    assert_eq!((&incident["rule"]["name"], &incident["rule"]["severity"]), (&json!("CPU hot"), &json!("critical")));
    assert_eq!(
        (&incident["metric"], &incident["labels"], &incident["series"]),
        (&json!("cpu.usage_percent"), &json!({}), &json!("cpu.usage_percent"))
    );
    assert_eq!(
        (&incident["op"], &incident["threshold"], &incident["value"], &incident["peak"]),
        (&json!(">"), &json!(90.0), &json!(97.2), &json!(97.2))
    );
    assert_eq!((&incident["state"], &incident["ack"], &incident["resolved_at"]), (&json!("open"), &json!(null), &json!(null)));
    assert_eq!(
        (&incident["why"], &incident["for_seconds"], &incident["samples"]),
        (&json!("97.2 % > 90 % (1 sample)"), &json!(0), &json!(1))
    );
    let path = format!("/incidents/{}", incident["id"].as_str().unwrap());
    let detail = world
        .until("the delivery", async || Some(world.get(&path).await).filter(|detail| detail["deliveries"][0]["state"] == "sent"))
        .await;
    for (field, value) in incident.as_object().unwrap() {
        assert_eq!(&detail[field], value, "{field}");
    }
    assert_eq!(detail["timeline"][0]["type"], "fired");
    assert_eq!((&detail["notes"], &detail["top_processes"]), (&json!([]), &json!([])));
    for (file, kind) in [("chart.png", "image/png"), ("chart.svg?theme=dark", "image/svg+xml")] {
        let picture = world.ask(Method::GET, &format!("{path}/{file}"), None).await;
        assert_eq!((picture.status, picture.header("content-type").as_str()), (200, kind), "{}", picture.text());
    }
    assert_eq!(world.ask(Method::GET, &format!("{path}/chart.png?scale=9"), None).await.pointers(), ["scale"]);
    assert_eq!(world.refusal(Method::GET, "/incidents/01JD8Y3W5M2K7Q9R4T6V8X0ZAB", None).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_acknowledge_take_it_back_and_write_notes() {
    let (world, receiver, agent, incident) = firing().await;
    let path = format!("/incidents/{}", incident["id"].as_str().unwrap());
    let acked = world.post(&format!("{path}/ack"), json!({"note": "on it", "for": "2h"})).await;
    assert_eq!((&acked["ack"]["by"], &acked["ack"]["note"]), (&json!("token:test"), &json!("on it")));
    assert!(acked["ack"]["until"].is_string());
    assert_eq!(world.post(&format!("{path}/unack"), json!({})).await["ack"], json!(null));
    assert_eq!(world.refusal(Method::POST, &format!("{path}/unack"), None).await.0, 409);
    let bare = world.ask(Method::POST, &format!("{path}/ack"), None).await;
    assert_eq!((bare.status, &bare.json()["ack"]["until"]), (200, &json!(null)));
    let noted = world.post(&format!("{path}/note"), json!({"text": " vacuumed "})).await;
    assert_eq!((&noted["notes"][0]["text"], &noted["notes"][0]["by"]), (&json!("vacuumed"), &json!("token:test")));
    assert_eq!(world.ask(Method::POST, &format!("{path}/note"), Some(json!({"text": " "}))).await.pointers(), ["/text"]);
    assert_eq!(world.ask(Method::POST, &format!("{path}/ack"), Some(json!({"for": "0s"}))).await.pointers(), ["/for"]);
    agent.now(json!({"cpu.usage_percent": 5})).await;
    let ended = world.only("/incidents?state=resolved").await;
    assert_eq!((&ended["state"], &ended["end_reason"]), (&json!("resolved"), &json!("cleared")));
    assert_eq!(world.get("/incidents?state=open").await["items"], json!([]));
    assert_eq!(world.refusal(Method::POST, &format!("{path}/ack"), None).await.0, 409);
    let timeline = world.get(&path).await["timeline"].clone();
    assert_eq!(types(&json!({"items": timeline})), ["fired", "ack", "unack", "ack", "note", "resolved"]);
    world.until("the last page", async || receiver.bodies().get(3).cloned()).await;
    let said: Vec<String> = receiver.bodies().iter().map(|body| body["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(
        said,
        ["incident.fired", "incident.acked", "incident.acked", "incident.resolved"],
        "who was told hears who is on it"
    );
    assert_eq!(receiver.bodies()[1]["data"]["ack"]["note"], "on it");
}

#[cfg(feature = "discord-bot")]
#[tokio::test(flavor = "multi_thread")]
async fn buttons_do_their_thing_once() {
    use nightbell::bot::HubButtons;
    use nightbell_notify::{Action, Buttons as _, Press};
    let (world, _receiver, agent, incident) = firing().await;
    let buttons = HubButtons::new(std::sync::Arc::clone(&world.hub.app));
    let press = async |action, by: &str| {
        let incident_id = incident["id"].as_str().unwrap().to_owned();
        buttons.press(Press { action, incident_id, by: format!("{by} (Discord)") }).await
    };
    let said = press(Action::Acknowledge, "Ana").await;
    assert!(said.starts_with("You are on ") && said.ends_with("no reminders until it is over."), "{said}");
    let path = format!("/incidents/{}", incident["id"].as_str().unwrap());
    assert_eq!(world.get(&path).await["ack"]["by"], "Ana (Discord)");
    let again = press(Action::Acknowledge, "Bo").await;
    assert!(again.starts_with("Ana (Discord) is on ") && again.ends_with(" already."), "{again}");
    assert!(press(Action::SilenceHour, "Ana").await.starts_with("No pages of "));
    assert!(press(Action::SilenceHour, "Bo").await.contains("is silent already, until "));
    let silence = world.only("/silences").await;
    assert_eq!((&silence["rule"], &silence["agent"]), (&incident["rule"]["id"], &json!(agent.id)));
    assert_eq!(silence["created_by"], "Ana (Discord)");
    agent.now(json!({"cpu.usage_percent": 5})).await;
    assert!(press(Action::Acknowledge, "Bo").await.ends_with("is over already."));
    let unknown = Press { action: Action::Acknowledge, incident_id: "01JD8Y3W5M2K7Q9R4T6V8X0ZAB".to_owned(), by: "x".to_owned() };
    assert_eq!(buttons.press(unknown).await, "This incident is not known any more.");
}

#[tokio::test(flavor = "multi_thread")]
async fn incidents_are_filtered() {
    let (world, _receiver, agent, incident) = firing().await;
    let rule = incident["rule"]["id"].as_str().unwrap();
    for (query, count) in [
        (format!("agent={}", agent.id), 1),
        (format!("rule={rule}&state=all"), 1),
        ("state=resolved".to_owned(), 0),
        ("agent=01JD8Y3W5M2K7Q9R4T6V8X0ZAB".to_owned(), 0),
    ] {
        assert_eq!(world.get(&format!("/incidents?{query}")).await["items"].as_array().unwrap().len(), count, "{query}");
    }
    for wrong in ["state=closed", "agent=x", "rule=x", "limit=0", "cursor=x"] {
        let pointer = wrong.split('=').next().unwrap();
        assert_eq!(world.ask(Method::GET, &format!("/incidents?{wrong}"), None).await.pointers(), [pointer], "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_can_be_followed() {
    let (world, _receiver, agent, incident) = firing().await;
    let fired = world.only("/events?type=fired").await;
    assert_eq!(fired["agent"], json!({"id": agent.id, "name": "db-01"}));
    assert_eq!((&fired["rule"]["name"], &fired["incident"]), (&json!("CPU hot"), &incident["id"]));
    assert_eq!(
        (&fired["metric"], &fired["labels"], &fired["value"], &fired["threshold"]),
        (&json!("cpu.usage_percent"), &json!({}), &json!(97.2), &json!(90.0))
    );
    assert!(
        fired["id"].as_str().unwrap().len() == 26 && fired["ts"].as_str().unwrap().ends_with('Z') && fired["reason"].is_string()
    );
    let seq = fired["seq"].as_u64().unwrap();
    agent.now(json!({"cpu.usage_percent": 5})).await;
    let later = world.until("the end", async || {
        Some(world.get(&format!("/events?after={seq}&type=fired,resolved")).await)
            .filter(|page| !page["items"].as_array().unwrap().is_empty())
    });
    assert_eq!(types(&later.await), ["resolved"]);
    let all = world.get("/events?after=0").await;
    let places: Vec<u64> = all["items"].as_array().unwrap().iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert!(places.is_sorted() && places.len() > 2, "{places:?}");
    let first = world.get("/events?after=0&limit=1").await;
    let rest = world.get(&format!("/events?after=0&limit=1&cursor={}", first["next_cursor"].as_str().unwrap())).await;
    assert_eq!((&first["items"][0]["seq"], &rest["items"][0]["seq"]), (&json!(places[0]), &json!(places[1])));
    let newest = world.get("/events?limit=1").await;
    assert_eq!(newest["items"][0]["seq"].as_u64(), places.last().copied());
    let csv = world.ask(Method::GET, "/events.csv?type=fired", None).await;
    let text = csv.text();
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(lines[0], "time_utc,type,agent,rule,series,value,threshold,reason,incident,seq");
    assert!(lines[1].contains(",fired,db-01,CPU hot,cpu.usage_percent,97.2,90,"), "{}", lines[1]);
    assert_eq!(world.ask(Method::GET, "/events?type=party", None).await.pointers(), ["type"]);
    assert_eq!(world.ask(Method::GET, "/events?after=x", None).await.pointers(), ["after"]);
}
