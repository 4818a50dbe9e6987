//! History as JSON and CSV, and the pictures of it.

use crate::world::{Answer, Poster, World, encode, now_ms};
use nightbell_model::{Tier, Timestamp};
use nightbell_store::RangeQuery;
use reqwest::Method;
use serde_json::{Value, json};

/// Ten minutes of heartbeats every 15 s that ended a minute ago, with a hole of three minutes in the middle; and when they began.
async fn fed(world: &World) -> (Poster, i64) {
    let poster = world.agent("db-01").await;
    let start = (now_ms() - 660_000) / 1000 * 1000;
    let beats: Vec<(i64, Value)> = (0..40_i64)
        .filter(|i| !(14..26).contains(i))
        .map(|i| {
            (
                start + i * 15_000,
                json!({"cpu.usage_percent": i, "disk.used_percent{mount=/}": 60.5, "net.rx_bytes_per_second{iface=eth0}": 1000}),
            )
        })
        .collect();
    poster.post(&beats).await;
    (poster, start)
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_stand_over_one_time_axis_and_gaps_are_null() {
    let world = World::new().await;
    let (poster, start) = fed(&world).await;
    let base = format!("/agents/{}/metrics/history", poster.id);
    let metrics = encode("cpu.usage_percent,disk.used_percent{mount=/},cpu.user_percent");
    let history = world.get(&format!("{base}?metrics={metrics}&start=-1h&end=now")).await;
    assert_eq!((&history["agent"], &history["tier"], &history["step_seconds"]), (&json!(poster.id), &json!("raw"), &json!(null)));
    let t: Vec<i64> = history["t"].as_array().unwrap().iter().map(|t| t.as_i64().unwrap()).collect();
    assert_eq!((t[0], t[t.len() - 1], history["points"].as_u64().unwrap()), (start, start + 39 * 15_000, t.len() as u64));
    let series = history["series"].as_array().unwrap();
    assert_eq!(series.len(), 2, "a series without data is left out");
    assert_eq!(
        (&series[0]["metric"], &series[0]["labels"], &series[0]["unit"]),
        (&json!("cpu.usage_percent"), &json!({}), &json!("percent"))
    );
    assert_eq!(series[1]["labels"], json!({"mount": "/"}));
    let gap = t.iter().position(|t| *t == start + 14 * 15_000).expect("a row that marks the hole");
    assert_eq!((t.len(), &series[0]["v"][gap]), (29, &Value::Null));
    for column in ["v", "min", "max"] {
        assert_eq!((&series[0][column][13], &series[0][column].as_array().unwrap().len()), (&json!(13.0), &29), "{column}");
    }
    let narrow = world.get(&format!("{base}?metrics=cpu.usage_percent&from={}&to={}", start + 15_000, start + 45_000)).await;
    assert_eq!(narrow["t"], json!([start + 15_000, start + 30_000]), "the end is not in it");
    let seconds = world.get(&format!("{base}?metrics=cpu.usage_percent&start={}&end={}", start / 1000, start / 1000 + 1)).await;
    assert_eq!(seconds["series"][0]["v"], json!([0.0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_in_the_answer_however_fast_it_came() {
    let world = World::new().await;
    let poster = world.agent("db-01").await;
    let beats: Vec<Value> = (1..=900).map(|seq| json!({"boot_id": "b", "seq": seq, "metrics": {"custom.n": seq}})).collect();
    let answer = poster.send("/metrics/system", &json!({"heartbeats": beats})).await;
    assert_eq!(answer.json()["accepted"], 900);
    let base = format!("/agents/{}/metrics/history?metrics=custom.n", poster.id);
    let all: Vec<f64> = (1..=900).map(f64::from).collect();
    assert_eq!(world.get(&base).await["series"][0]["v"], json!(all));
    let hour = world.get(&format!("{base}&tier=daily")).await;
    assert_eq!(hour["series"][0]["max"].as_array().unwrap().last(), Some(&json!(900.0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_that_is_missing_or_stands_twice_is_named() {
    let world = World::new().await;
    let poster = world.agent("db-01").await;
    let twice = format!("/agents/{}/metrics/history?start=-1h&from=-2h", poster.id);
    for (path, name) in [("/metrics/top", "metric"), (&*twice, "start")] {
        let answer = world.ask(Method::GET, path, None).await;
        assert_eq!((answer.status, answer.pointers()), (422, vec![name.to_owned()]), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_keep_their_extremes() {
    let world = World::new().await;
    let (poster, start) = fed(&world).await;
    let base = format!("/agents/{}/metrics/history?metrics=cpu.usage_percent", poster.id);
    let history = world.get(&format!("{base}&tier=5m")).await;
    assert_eq!((&history["tier"], &history["step_seconds"]), (&json!("5m"), &json!(300)));
    let all =
        |name: &str| -> Vec<f64> { history["series"][0][name].as_array().unwrap().iter().filter_map(Value::as_f64).collect() };
    assert_eq!((all("min").first(), all("max").last()), (Some(&0.0), Some(&39.0)));
    assert!(all("v").iter().zip(all("max")).all(|(mean, max)| *mean <= max));
    let few = world.get(&format!("{base}&start={start}&max_points=2")).await;
    assert!(few["points"].as_u64().unwrap() <= 3 && few["tier"] != "raw", "{few}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_is_named() {
    let world = World::new().await;
    let poster = world.agent("db-01").await;
    let base = format!("/agents/{}/metrics/history", poster.id);
    for (query, pointer, word) in [
        ("metrics=cpu.usage_percent,CPU", "metrics", "CPU"),
        ("metrics=", "metrics", "name"),
        ("metrics=cpu.usage_percent&start=now&end=-1h", "start", "before"),
        ("metrics=cpu.usage_percent&start=yesterday", "start", "yesterday"),
        ("metrics=cpu.usage_percent&max_points=0", "max_points", "11000"),
        ("metrics=cpu.usage_percent&max_points=11001", "max_points", "11000"),
        ("metrics=cpu.usage_percent&tier=weekly", "tier", "weekly"),
    ] {
        let answer = world.ask(Method::GET, &format!("{base}?{query}"), None).await;
        assert_eq!((answer.status, answer.pointers()), (422, vec![pointer.to_owned()]), "{query}");
        assert!(answer.text().contains(word), "{query}: {}", answer.text());
    }
    let empty = world.get(&format!("{base}?metrics=cpu.usage_percent")).await;
    assert_eq!((&empty["t"], &empty["series"], &empty["points"]), (&json!([]), &json!([]), &json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_have_empty_cells_for_gaps() {
    let world = World::new().await;
    let (poster, _) = fed(&world).await;
    let query = format!("metrics={}", encode("cpu.usage_percent,disk.used_percent{mount=/}"));
    let file = world.ask(Method::GET, &format!("/agents/{}/metrics/history.csv?{query}", poster.id), None).await;
    assert_eq!((file.status, file.header("content-type").as_str()), (200, "text/csv; charset=utf-8"));
    assert!(
        file.header("content-disposition").starts_with("attachment; filename=\"db-01_history_"),
        "{}",
        file.header("content-disposition")
    );
    let text = file.text();
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(lines[0], "time_utc,cpu.usage_percent,disk.used_percent{mount=/}");
    assert!(lines[1].ends_with("Z,0,60.5"), "{}", lines[1]);
    assert!(lines[15].ends_with("Z,,"), "{}", lines[15]);
    let request =
        world.request(Method::GET, &format!("/agents/{}/metrics/history?{query}", poster.id)).header("accept", "text/csv");
    assert_eq!(crate::world::send(request).await.text(), text);
}

/// What the writer of whole tables makes of the same history.
fn whole(world: &World, agent: &str, series: &[&str], tier: Tier) -> String {
    let query = RangeQuery {
        agent: agent.parse().unwrap(),
        series: series.iter().map(|text| (*text).to_owned()).collect(),
        start: Timestamp::from_millis(now_ms() - 86_400_000),
        end: Timestamp::from_millis(now_ms() + 1),
        tier: Some(tier),
        max_points: 1,
        now: Timestamp::from_millis(now_ms()),
    };
    let mut bytes = Vec::new();
    nightbell_charts::write_csv(&world.hub.app.metrics.range(&query).unwrap(), &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_streamed_is_the_same_to_the_byte() {
    let world = World::new().await;
    let poster = world.agent("db-01").await;
    let begin = now_ms() - 6 * 3_600_000;
    let beats: Vec<(i64, Value)> = (0..1_400_i64)
        .filter(|i| !(500..620).contains(i))
        .map(|i| {
            let mut values = json!({"cpu.usage_percent": i % 97, "load.avg_1m": f64::from(i32::try_from(i).unwrap()) / 7.0, "disk.used_percent{mount=\"/a,b\"}": -0.5});
            if i % 5 == 0 {
                values.as_object_mut().unwrap().remove("load.avg_1m");
            }
            (begin + i * 15_000 + i % 40, values)
        })
        .collect();
    poster.post(&beats).await;
    let keys = ["cpu.usage_percent", "load.avg_1m", "disk.used_percent{mount=\"/a,b\"}"];
    for (series, tier) in [
        (&keys[..], Tier::Raw),
        (&keys[..1], Tier::Raw),
        (&keys[..], Tier::FiveMinutes),
        (&keys[1..], Tier::Hourly),
        (&[], Tier::Raw),
    ] {
        let metrics = if series.is_empty() { String::new() } else { format!("metrics={}&", encode(&series.join(","))) };
        let path = format!("/agents/{}/metrics/history.csv?{metrics}tier={}", poster.id, tier.name());
        let (file, whole) = (world.ask(Method::GET, &path, None).await, whole(&world, &poster.id, series, tier));
        assert_eq!((file.status, file.header("content-type").as_str()), (200, "text/csv; charset=utf-8"));
        assert_eq!(file.text(), whole, "{path}");
        assert!(whole.lines().count() > 4, "{whole}");
        let is_one = file.header("content-disposition").contains("_cpu.usage_percent_");
        assert_eq!(is_one, series.len() == 1, "{}", file.header("content-disposition"));
    }
    let nothing =
        world.ask(Method::GET, &format!("/agents/{}/metrics/history.csv?tier=raw&start=-30d&end=-20d", poster.id), None).await;
    assert_eq!((nothing.status, nothing.text().as_str()), (200, "time_utc\r\n"));
}

fn size(png: &Answer) -> (u32, u32) {
    let reader = png::Decoder::new(std::io::Cursor::new(&png.bytes)).read_info().unwrap();
    (reader.info().width, reader.info().height)
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_are_drawn_by_path_and_by_parameter() {
    let world = World::new().await;
    let (poster, _) = fed(&world).await;
    let base = format!("/agents/{}", poster.id);
    let key = encode("disk.used_percent{mount=/}");
    let whole = world.ask(Method::GET, &format!("{base}/charts/{key}.png"), None).await;
    assert_eq!((whole.status, whole.header("content-type").as_str(), size(&whole)), (200, "image/png", (1200, 400)));
    let raw_slash = world
        .ask(
            Method::GET,
            &format!("{base}/charts/disk.used_percent%7Bmount=/%7D.png?width=300&height=200&scale=2&theme=dark"),
            None,
        )
        .await;
    assert_eq!((raw_slash.status, size(&raw_slash)), (200, (600, 400)));
    let both = world
        .ask(Method::GET, &format!("{base}/charts/cpu.usage_percent.svg?metrics={key}&tz=Europe/Berlin&start=-30m"), None)
        .await;
    assert_eq!((both.status, both.header("content-type").as_str()), (200, "image/svg+xml"));
    assert!(both.text().starts_with("<svg"), "{}", &both.text()[..60]);
    let one = world.ask(Method::GET, &format!("{base}/chart.svg?series=cpu.usage_percent"), None).await;
    assert!(one.text().contains("crit 85"), "the levels of one series are drawn");
    let table = world.ask(Method::GET, &format!("{base}/chart.csv?series={key}"), None).await;
    assert!(table.text().starts_with("time_utc,disk.used_percent{mount=/}\r\n"));
    let nothing = world.ask(Method::GET, &format!("{base}/chart.png?series=cpu.user_percent"), None).await;
    assert_eq!(nothing.status, 200, "no data is a picture, too");
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_that_cannot_be_are_refused_by_parameter() {
    let world = World::new().await;
    let poster = world.agent("db-01").await;
    let base = format!("/agents/{}/chart.png", poster.id);
    for (query, pointer) in [
        ("", "series"),
        ("series=CPU", "metrics"),
        ("series=cpu.usage_percent&width=199", "width"),
        ("series=cpu.usage_percent&height=2001", "height"),
        ("series=cpu.usage_percent&scale=4", "scale"),
        ("series=cpu.usage_percent&width=4000&height=2000&scale=3", "scale"),
        ("series=cpu.usage_percent&theme=red", "theme"),
        ("series=cpu.usage_percent&tz=Mars", "tz"),
        ("series=cpu.usage_percent,mem.used_bytes", "metrics"),
        ("series=cpu.usage_percent&start=now&end=-1h", "start"),
    ] {
        let answer = world.ask(Method::GET, &format!("{base}?{query}"), None).await;
        assert_eq!((answer.status, answer.pointers()), (422, vec![pointer.to_owned()]), "{query}");
    }
    for path in ["charts/cpu.usage_percent.gif", "charts/nothing"] {
        assert_eq!(world.refusal(Method::GET, &format!("/agents/{}/{path}", poster.id), None).await.0, 404, "{path}");
    }
}
