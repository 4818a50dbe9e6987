//! Agents as they are shown, found, renamed and removed; their levels.

use crate::world::{World, encode, now_ms};
use nightbell::clock;
use nightbell_alerts::Evaluator;
use nightbell_model::AgentId;
use nightbell_store::AgentRow;
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_shown_as_the_contract_says() {
    let world = World::new().await;
    let poster = world.agent("db-01").await;
    poster.now(json!({"cpu.usage_percent": 12.1, "disk.used_percent{mount=/}": 96.4, "mem.used_percent": null})).await;
    let agent = world.get(&format!("/agents/{}", poster.id)).await;
    assert_eq!(agent["id"], poster.id);
    assert_eq!((&agent["name"], &agent["status"], &agent["version"]), (&json!("db-01"), &json!("online"), &json!("9.9")));
    assert_eq!((&agent["tags"], &agent["paused"]), (&json!(["db"]), &json!(false)));
    assert_eq!(agent["metrics"], json!({"cpu.usage_percent": 12.1, "disk.used_percent{mount=/}": 96.4}));
    assert_eq!(agent["thresholds"]["cpu.usage_percent"], json!({"warn": 70.0, "crit": 85.0, "custom": false}));
    for time in ["last_seen", "created_at"] {
        let text = agent[time].as_str().unwrap();
        assert!(text.len() == 24 && text.ends_with('Z'), "{time}: {text}");
    }
    assert_eq!((&agent["facts"]["os"], &agent["facts"]["cores"]), (&json!("Testix"), &json!(8)));
    for fact in ["kernel", "cpu_model", "memory_bytes"] {
        assert!(agent["facts"].as_object().unwrap().contains_key(fact), "{fact}: {agent}");
    }
    let listed = world.only("/agents").await;
    assert_eq!(listed["id"], agent["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_filtered_sorted_and_paged() {
    let world = World::new().await;
    for name in ["charlie", "Alpha", "bravo"] {
        world.agent(name).await;
    }
    let names = async |query: &str| -> Vec<String> {
        let page = world.get(&format!("/agents?{query}")).await;
        page["items"].as_array().unwrap().iter().map(|agent| agent["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("limit=200").await, ["Alpha", "bravo", "charlie"]);
    assert_eq!(names("sort=-name").await, ["charlie", "bravo", "Alpha"]);
    assert_eq!(names("sort=created_at").await, ["charlie", "Alpha", "bravo"]);
    assert_eq!(names("q=RAV").await, ["bravo"]);
    assert_eq!(names("tag=db&status=offline").await.len(), 3);
    assert_eq!(names("tag=web").await.len(), 0);
    assert_eq!(names("filter=tags:DB%20a&sort=-name").await, ["charlie", "bravo", "Alpha"]);
    assert_eq!(names("filter=name:alpha").await, ["Alpha"]);
    assert_eq!(names("filter=offline%20rav").await, ["bravo"]);
    assert_eq!(names("filter=tags:web").await.len(), 0);
    let first = world.get("/agents?limit=2").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    assert_eq!(names(&format!("limit=2&cursor={cursor}")).await, ["charlie"]);
    for wrong in ["limit=0", "limit=501", "limit=x", "sort=age", "status=up", "cursor=x", "colour=red"] {
        let answer = world.ask(Method::GET, &format!("/agents?{wrong}"), None).await;
        assert_eq!((answer.status, answer.pointers()), (422, vec![wrong.split('=').next().unwrap().to_owned()]), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_knows_limit_sort_and_filter() {
    let world = World::new().await;
    for (name, severity) in [("Beta", "info"), ("alpha", "critical"), ("gamma", "info")] {
        let rule = json!({"name": name, "metric": "cpu.usage_percent", "op": ">", "threshold": 90, "severity": severity});
        world.post("/rules", rule).await;
    }
    let names = async |query: &str| -> Vec<String> {
        let page = world.get(&format!("/rules?{query}")).await;
        page["items"].as_array().unwrap().iter().map(|rule| rule["name"].as_str().unwrap().to_owned()).collect()
    };
    let all = names("").await;
    let starters = all.len() - 3;
    assert_eq!(
        names("filter=severity:info%20a&sort=name")
            .await
            .iter()
            .filter(|name| ["Beta", "gamma"].contains(&name.as_str()))
            .count(),
        2
    );
    assert_eq!(names("filter=name:alpha").await, ["alpha"]);
    let mut sorted = all.clone();
    sorted.sort_unstable_by_key(|name| name.to_lowercase());
    assert_eq!(names("sort=name").await, sorted);
    let first = world.get("/rules?sort=name&limit=2").await;
    let rest = names(&format!("sort=name&cursor={}", first["next_cursor"].as_str().unwrap())).await;
    assert_eq!(rest, sorted[2..], "{starters} rules of the beginning");
    let newest = [("events", "-ts"), ("incidents", "-fired_at"), ("outbox", "-created_at"), ("audit", "-at")];
    let own = ["channels", "silences", "tokens", "enrolment-tokens", "users", "metrics/catalog", "agents", "rules"];
    for (list, sort) in newest.into_iter().chain(own.map(|list| (list, ""))) {
        let sort = if sort.is_empty() { String::new() } else { format!("sort={sort}&") };
        world.get(&format!("/{list}?{sort}limit=1&filter=nothing-has-this")).await;
        for (wrong, pointer) in [("sort=colour", "sort"), (&*format!("filter={}", "x".repeat(257)), "filter")] {
            let answer = world.ask(Method::GET, &format!("/{list}?{wrong}"), None).await;
            assert_eq!((answer.status, answer.pointers()), (422, vec![pointer.to_owned()]), "{list}");
        }
    }
    let found = world.get("/events?filter=type:config%20gamma").await;
    assert_eq!(found["items"].as_array().unwrap().len(), 1, "{found}");
    let ascending = world.get("/events?after=0&sort=ts&limit=1").await;
    assert_eq!(ascending["items"][0]["seq"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_host_says_of_its_place_is_there_when_it_is_answered() {
    let world = World::new().await;
    let poster = world.agent("db-01").await;
    let path = format!("/agents/{}", poster.id);
    assert_eq!(world.get(&path).await["facts"]["hostname"], "db-01");
    for (at, address) in ["10.0.0.7", "10.0.0.8"].into_iter().enumerate() {
        let body = json!({"hostname": "db-01", "ip": address, "role": "db", "version": format!("1.{at}"), "interval_ms": 30_000});
        let answer = poster.send("/nodes", &body).await;
        assert_eq!((answer.status, &answer.json()["node_id"]), (200, &json!(poster.id)));
        let agent = world.get(&path).await;
        assert_eq!((&agent["version"], &agent["interval_seconds"]), (&json!(format!("1.{at}")), &json!(30)));
        let facts = ["ip", "role", "os"].map(|fact| agent["facts"][fact].as_str().unwrap_or_default().to_owned());
        assert_eq!(facts, [address, "db", "Testix"]);
    }
    for wrong in [json!({"interval_ms": 0}), json!({"interval_ms": u64::MAX}), json!({"role": "x".repeat(300)})] {
        let answer = poster.send("/nodes", &wrong).await;
        assert_eq!((answer.status, answer.json()["code"].as_str()), (422, Some("invalid_message")), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_tags_are_changed_and_what_was_read_may_be_sent_back() {
    let world = World::new().await;
    let (one, other) = (world.agent("one").await, world.agent("other").await);
    let path = format!("/agents/{}", one.id);
    let mut changed = world.patch(&path, json!({"name": " uno ", "tags": ["web", "db", "web"], "paused": true})).await;
    assert_eq!((&changed["name"], &changed["tags"], &changed["paused"]), (&json!("uno"), &json!(["db", "web"]), &json!(true)));
    changed["tags"] = json!([]);
    assert_eq!(world.patch(&path, changed).await["tags"], json!([]));
    let faults = world.ask(Method::PATCH, &path, Some(json!({"name": "", "tags": ["a b", "fine"]}))).await;
    assert_eq!((faults.status, faults.pointers()), (422, vec!["/name".to_owned(), "/tags/0".to_owned()]));
    assert_eq!(world.ask(Method::PATCH, &path, Some(json!({"nmae": "x"}))).await.pointers(), ["/nmae"]);
    let taken = world.refusal(Method::PATCH, &format!("/agents/{}", other.id), Some(json!({"name": "uno"}))).await;
    assert_eq!(taken, (409, "conflict".to_owned()));
    assert_eq!(world.refusal(Method::GET, "/agents/nonsense", None).await, (404, "not_found".to_owned()));
    let audit = world.get("/audit").await;
    assert_eq!((&audit["items"][0]["action"], &audit["items"][0]["actor"]), (&json!("agent.change"), &json!("token:test")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_agent_is_gone_with_its_credential() {
    let world = World::new().await;
    let poster = world.agent("gone").await;
    poster.now(json!({"cpu.usage_percent": 1})).await;
    world.delete(&format!("/agents/{}?purge=true", poster.id)).await;
    assert_eq!(world.refusal(Method::GET, &format!("/agents/{}", poster.id), None).await.0, 404);
    assert_eq!(world.refusal(Method::DELETE, &format!("/agents/{}", poster.id), None).await.0, 404);
    let (other, reader) = (world.agent("other").await, world.token(&["metrics:read"]).await);
    let refused = world.as_token(&reader, Method::DELETE, &format!("/agents/{}", other.id)).await;
    assert_eq!(refused.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn levels_of_an_agent_come_and_go() {
    let world = World::new().await;
    let poster = world.agent("db-01").await;
    let base = format!("/agents/{}/thresholds", poster.id);
    let set = world.put(&format!("{base}/cpu.usage_percent"), json!({"warn": 50, "crit": 60})).await;
    assert_eq!(set, json!({"warn": 50.0, "crit": 60.0, "custom": true}));
    let series = format!("{base}/{}", encode("disk.used_percent{mount=/srv}"));
    world.put(&series, json!({"warn": 1, "crit": 2, "custom": true})).await;
    let all = world.get(&base).await;
    assert_eq!(all["items"]["cpu.usage_percent"]["custom"], true);
    assert_eq!(all["items"]["mem.used_percent"]["custom"], false);
    assert_eq!(all["items"]["disk.used_percent{mount=/srv}"]["crit"], 2.0);
    let agent = world.get(&format!("/agents/{}", poster.id)).await;
    assert_eq!(agent["thresholds"], all["items"]);
    world.delete(&format!("{base}/cpu.usage_percent")).await;
    world.delete(&series).await;
    let restored = world.get(&base).await;
    assert_eq!(restored["items"]["cpu.usage_percent"], json!({"warn": 70.0, "crit": 85.0, "custom": false}));
    assert_eq!(restored["items"].get("disk.used_percent{mount=/srv}"), None);
    assert_eq!(world.refusal(Method::DELETE, &series, None).await.0, 404);
    for (metric, body, pointer) in [
        ("cpu.usage_percent", json!({"warn": 80, "crit": 70}), "/crit"),
        ("cpu.usage_percent", json!({"warn": 80, "crit": 170}), "/crit"),
        ("cpu.usage_percent", json!({"warn": 80}), "/crit"),
        ("cpu.usage_percent", json!({"warn": "80", "crit": 90}), "/warn"),
        ("cpu.usage_percent", json!({"warn": 80, "crit": 90, "max": 5}), "/max"),
        ("cpu.usage_precent", json!({"warn": 80, "crit": 90}), "metric"),
        ("cpu", json!({"warn": 80, "crit": 90}), "metric"),
    ] {
        let answer = world.ask(Method::PUT, &format!("{base}/{metric}"), Some(body.clone())).await;
        assert_eq!((answer.status, answer.pointers()), (422, vec![pointer.to_owned()]), "{metric} {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_defaults_are_replaced_as_a_whole() {
    let world = World::new().await;
    let defaults = world.get("/thresholds").await;
    assert_eq!(defaults["items"]["cpu.usage_percent"], json!({"warn": 70.0, "crit": 85.0}));
    assert_eq!(world.put("/thresholds", defaults.clone()).await, defaults);
    let tag = world.ask(Method::GET, "/thresholds", None).await.header("etag");
    let stale = crate::world::send(world.request(Method::PUT, "/thresholds").header("if-match", "\"old\"").json(&defaults)).await;
    assert_eq!((stale.status, &stale.json()["code"]), (412, &json!("stale")));
    let fresh = crate::world::send(world.request(Method::PUT, "/thresholds").header("if-match", &tag).json(&defaults)).await;
    assert_eq!((fresh.status, fresh.header("etag")), (200, tag));
    let wanted = json!({"items": {"mem.available_bytes": {"warn": 2e9, "crit": 1e9}}});
    assert_eq!(world.put("/thresholds", wanted.clone()).await, wanted);
    assert_eq!(world.get("/thresholds").await, wanted);
    let wrong: Value =
        json!({"items": {"disk.used_percent{mount=/a}": {"warn": 9, "crit": 1}, "nonsense": {"warn": 1, "crit": 2}}});
    let answer = world.ask(Method::PUT, "/thresholds", Some(wrong)).await;
    assert_eq!(answer.pointers(), ["/items/disk.used_percent{mount=~1a}/crit", "/items/nonsense"]);
    assert_eq!(world.get("/thresholds").await, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_does_not_say_how_often_it_sends_is_listened_to() {
    let world = World::new().await;
    let agent = world.agent("slow-01").await;
    let path = format!("/agents/{}", agent.id);
    assert_eq!(world.get(&path).await["interval_seconds"], 15);
    let now = now_ms();
    for ago in [300, 240, 180, 120, 60] {
        agent.post(&[(now - ago * 1_000, json!({"cpu.usage_percent": 5}))]).await;
    }
    agent.post(&[(now, json!({"cpu.usage_percent": 5}))]).await;
    world.until("the hub knows its rhythm", async || (world.get(&path).await["interval_seconds"] == 60).then_some(())).await;
    agent.post(&[(now_ms(), json!({"cpu.usage_percent": 5}))]).await;
    let id = agent.id.parse().unwrap();
    let online =
        move |evaluator: &Evaluator| [170, 190].map(|later| evaluator.is_online(id, clock::now().plus_millis(later * 1_000)));
    let asked = world.hub.app.pipeline.ask(online);
    assert_eq!(asked.await, Some([true, false]), "offline after three of its own intervals");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_changes_an_agent_undoes_nothing_that_it_says_of_itself_meanwhile() {
    let world = World::new().await;
    let poster = world.agent("db-01").await;
    let (registry, id) = (Arc::clone(&world.hub.app.registry), poster.id.parse::<AgentId>().unwrap());
    let enough = Arc::new(AtomicBool::new(false));
    let describing = tokio::task::spawn_blocking({
        let enough = Arc::clone(&enough);
        move || {
            let mut said = registry.read().agents[&id].version.clone();
            for number in 1.. {
                let say = |row: &mut AgentRow| {
                    assert_eq!(row.version, said, "it was undone before change {number}");
                    row.version = format!("1.{number}");
                    said.clone_from(&row.version);
                    Vec::new()
                };
                registry.alter_agent_blocking(id, None, say).unwrap();
                if enough.load(Ordering::Relaxed) {
                    break;
                }
            }
        }
    });
    for number in 0..20 {
        let agent = world.patch(&format!("/agents/{id}"), json!({"tags": [format!("t{number}")]})).await;
        assert_eq!(agent["tags"], json!([format!("t{number}")]));
    }
    enough.store(true, Ordering::Relaxed);
    describing.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_an_agent_that_is_removed_while_its_heartbeats_wait() {
    let world = World::new().await;
    let (poster, app) = (world.agent("db-01").await, Arc::clone(&world.hub.app));
    poster.now(json!({"cpu.usage_percent": 1})).await;
    let id: AgentId = poster.id.parse().unwrap();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (here, is_held) = tokio::sync::oneshot::channel();
    let held = tokio::spawn({
        let app = Arc::clone(&app);
        async move { app.pipeline.ask(move |_| (here.send(()), wait.recv())).await }
    });
    is_held.await.unwrap();
    let posting = tokio::spawn(async move {
        let body = json!({"metrics": {"cpu.usage_percent": 2}});
        poster.send("/metrics/system", &body).await.status
    });
    world.until("a heartbeat that waits", async || (app.pipeline.queued() == 1).then_some(())).await;
    world.delete(&format!("/agents/{id}?purge=true")).await;
    go.send(()).unwrap();
    held.await.unwrap();
    posting.await.unwrap();
    // A turn may end after a question in it was answered: the one after that has ended with the second answer.
    for _ in 0..3 {
        app.pipeline.ask(|_| ()).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(app.fleet.get(id).is_none(), "it is deleted");
}
