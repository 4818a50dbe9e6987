//! Export, apply and check, beside a running hub and on a folder at rest.

use crate::support::house::House;
use crate::support::hub::{Hub, Start, on_data, program};
use crate::support::receiver::Receiver;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Runs a command; how it ended, and what it said on both ways out.
fn run(data: &Path, secret: &str, args: &[&str]) -> (i32, String) {
    let mut command = program();
    command.args(args).arg("--data").arg(data).env("PAGER_SECRET", secret);
    let output = command.output().expect("the program can be started");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.code().expect("it ended by itself"), said)
}

/// A folder with a channel that leads to `receiver`, a rule and a threshold.
fn declare(folder: &Path, receiver: &Value) {
    fs::create_dir_all(folder.join("team")).unwrap();
    let url = receiver["url"].as_str().unwrap();
    let channel = format!(
        "[[channel]]\nid = \"pager\"\nname = \"Pager\"\nkind = \"webhook\"\n\
         [channel.config]\nurl = \"{url}\"\nsecret = \"env:PAGER_SECRET\"\nallow_private = true\n"
    );
    fs::write(folder.join("channels.toml"), channel).unwrap();
    let rules = "[[rule]]\nid = \"cpu\"\nname = \"CPU hot\"\nmetric = \"cpu.usage_percent\"\nop = \">\"\nthreshold = 90\n\
                 severity = \"critical\"\nscope = { agent = \"db-01\" }\nchannels = [\"Pager\"]\n\
                 [[silence]]\nid = \"sunday\"\ncron = \"0 3 * * SUN\"\ntimezone = \"Europe/Berlin\"\nduration = \"2h\"\ntag = \"db\"\n\
                 [[threshold]]\nmetric = \"disk.used_percent\"\nwarn = 60\ncrit = 75.5\n";
    fs::write(folder.join("team/rules.toml"), rules).unwrap();
}

/// All files of a folder, by path.
fn contents(folder: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                all.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    all.sort_unstable();
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_applied_to_a_running_hub_which_then_refuses_to_change_them() {
    let house = House::start().await;
    let receiver = Receiver::start().await;
    let mut agent = house.json_agent("db-01").await;
    let (folder, config) = (house.room().join("config"), receiver.config());
    declare(&folder, &config);
    let (folder, secret) = (folder.to_str().unwrap(), config["secret"].as_str().unwrap());
    let data = house.hub.data();
    let (code, said) = run(data, "", &["apply", folder]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("channels.toml:7:1: config.secret: env:PAGER_SECRET cannot be read"), "{said}");
    let (code, said) = run(data, secret, &["apply", folder, "--dry-run"]);
    assert_eq!(code, 2, "{said}");
    assert!(
        said.contains("+ rule \"CPU hot\" (team/rules.toml:1)")
            && said.contains("+ silence \"sunday\" (team/rules.toml:10)")
            && said.contains("3 to add, 1 to change, 0 to remove"),
        "{said}"
    );
    assert_eq!(house.api.list("/channels").await, Vec::<Value>::new(), "a dry run changes nothing");
    assert_eq!(run(data, secret, &["apply", folder]).0, 0);
    assert_eq!(run(data, secret, &["apply", folder, "--dry-run"]), (0, "nothing to change\n".to_owned()));

    let channel = house.api.list("/channels").await.remove(0);
    assert_eq!((&channel["managed_by"], &channel["config"]["secret"]), (&json!("channels.toml"), &json!("set")));
    agent.beat(&json!({"cpu.usage_percent": 95})).await;
    let page = receiver.nth("incident.fired", 1).await;
    assert_eq!(page.metric(), "cpu.usage_percent", "what was applied is in force, and signed with the secret");

    let rules = house.api.list("/rules").await;
    let rule = rules.iter().find(|rule| rule["name"] == "CPU hot").unwrap();
    let silence = house.api.list("/silences").await.remove(0);
    assert_eq!((&rule["managed_by"], &silence["managed_by"]), (&json!("team/rules.toml"), &json!("team/rules.toml")));
    let refused = async |method: Method, path: String, body: Option<Value>| {
        let (status, problem) = house.api.ask(method, &path, body.as_ref()).await;
        assert_eq!((status, &problem["code"]), (409, &json!("managed")), "{path}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(".toml"), "{problem}");
    };
    for (object, path) in [(&channel, "channels"), (rule, "rules"), (&silence, "silences")] {
        let path = format!("/{path}/{}", object["id"].as_str().unwrap());
        refused(Method::PATCH, path.clone(), Some(json!({"comment": "x"}))).await;
        refused(Method::DELETE, path, None).await;
    }
    refused(Method::PUT, "/thresholds".to_owned(), Some(json!({"items": {}}))).await;
    assert!(house.api.events("config").await.iter().any(|event| event["reason"] == "command line: files.apply"));

    fs::write(Path::new(folder).join("team/rules.toml"), "").unwrap();
    let (code, said) = run(data, secret, &["apply", folder]);
    assert!(code == 0 && said.ends_with("0 to add, 0 to change, 3 to remove\n"), "{said}");
    assert!(house.api.list("/rules").await.len() == rules.len() - 1, "what files did not declare stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_makes_another_hub_the_same() {
    let mut house = House::untouched(&[]).await;
    let receiver = Receiver::start().await;
    let channel = house.api.make("/channels", &receiver.channel("On call")).await;
    let rule = json!({"name": "Memory", "metric": "mem.used_percent", "op": ">=", "threshold": 91.5, "clear": {"margin": 2},
        "channels": [channel], "escalation": [{"after": "10m", "channels": [channel]}], "matchers": [], "allow_unknown": true});
    house.api.make("/rules", &rule).await;
    house.api.make("/rules", &json!({"name": "Down", "kind": "port_closed"})).await;
    house.api.make("/silences", &json!({"duration": "2h", "tag": "db", "comment": "move"})).await;
    let [first, second] = ["first", "second"].map(|name| house.room().join(name));
    let said = on_data(house.hub.data(), &["export", "config", first.to_str().unwrap()]);
    assert!(said.starts_with("4 files written"), "{said}");
    let (code, said) = run(house.hub.data(), "", &["export", "config", first.to_str().unwrap()]);
    assert!(code == 1 && said.contains("has TOML files already"), "{said}");
    let exported = contents(&first);
    assert!(exported[0].1.contains("secret = \"env:ON_CALL_SECRET\""), "{}", exported[0].1);
    let secret = receiver.config()["secret"].as_str().unwrap().to_owned();
    assert!(!exported.iter().any(|(_, text)| text.contains(&secret[6..])), "no secret leaves");

    let data = house.room().join("other");
    Hub::start(Start::serve(&data)).await.end(Signal::TERM).await;
    let mut apply = program();
    apply.args(["apply", first.to_str().unwrap(), "--data"]).arg(&data).env("ON_CALL_SECRET", &secret);
    let output = apply.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    on_data(&data, &["export", "config", second.to_str().unwrap()]);
    assert_eq!(contents(&second), exported);
    house.hub.end(Signal::TERM).await;
    let (code, said) = run(house.hub.data(), "", &["export", "config", second.to_str().unwrap(), "--force"]);
    assert!(code == 0, "also at rest: {said}");
    assert_eq!(contents(&second), exported);
}

#[test]
fn a_check_needs_no_hub_and_names_every_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let nowhere = folder.path().join("nowhere");
    let (code, said) = run(&nowhere, "", &["check", path]);
    assert!(code == 1 && said.contains("there is no .toml file in"), "{said}");
    declare(folder.path(), &json!({"url": "https://example.org/in"}));
    assert_eq!(run(&nowhere, "", &["check", path]), (0, "4 objects in 2 files in order\n".to_owned()));
    let file = folder.path().join("channels.toml");
    let broken =
        fs::read_to_string(&file).unwrap().replace("\"Pager\"", "\"Pagr\"").replace("kind = \"webhook\"", "kind = \"webhok\"");
    fs::write(file, broken).unwrap();
    let (code, said) = run(&nowhere, "", &["check", path]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("channels.toml:4:1: kind: \"webhok\" is no kind of channel"), "{said}");
    assert!(
        said.contains("team/rules.toml:9:13: channels.0: there is no channel called \"Pager\"; did you mean Pagr?"),
        "{said}"
    );
    assert!(!nowhere.exists(), "a check makes nothing");
}
