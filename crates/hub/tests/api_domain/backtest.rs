//! The backtest on the command line.

use serde_json::{Value, json};
use std::process::{Command, Output};

fn run(rule: &Value, csv: &str, flags: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let (rule_file, series_file) = (folder.path().join("rule.json"), folder.path().join("series.csv"));
    std::fs::write(&rule_file, rule.to_string()).unwrap();
    std::fs::write(&series_file, csv).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_nightbell"));
    command.arg("backtest").arg("--rule").arg(&rule_file).arg("--series").arg(&series_file).args(flags);
    command.output().unwrap()
}

fn rule() -> Value {
    json!({"metric": "cpu.usage_percent", "op": ">", "threshold": 90, "for": "1m"})
}

/// 30 s apart from epoch second 1000 on.
fn csv(values: &[&str]) -> String {
    let lines = values.iter().enumerate().map(|(i, value)| format!("{},{value}\n", 1000 + 30 * i));
    std::iter::once("time_utc,value\n".to_owned()).chain(lines).collect()
}

#[test]
fn one_object_says_what_would_have_happened() {
    let output = run(&rule(), &csv(&["10", "95", "95", "99.5", "50", "", "+Inf", "+Inf", "+Inf"]), &["--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        found["transitions"],
        json!([[1000.0, "ok"], [1030.0, "pending"], [1090.0, "firing"], [1120.0, "ok"], [1180.0, "pending"], [1240.0, "firing"]])
    );
    assert_eq!(
        found["incidents"],
        json!([{"fired_at": 1090.0, "resolved_at": 1120.0, "peak": 99.5}, {"fired_at": 1240.0, "resolved_at": null, "peak": null}])
    );
    let kinds: Vec<&str> = found["notices"].as_array().unwrap().iter().map(|notice| notice["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["fired", "resolved"], "the second is held by the cooldown");
}

#[test]
fn people_get_lines() {
    let output = run(&rule(), &csv(&["95", "95", "95", "5"]), &["--interval", "30s"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("1 incidents, 2 pages") && text.contains("firing"), "{text}");
}

#[test]
fn what_cannot_be_read_is_said_with_its_place() {
    for (rule, csv, words) in [
        (rule(), "time_utc,value\n1000,1\n1030,high\n", &["line 3", "high"][..]),
        (rule(), "", &["empty"]),
        (rule(), "time_utc,value\n", &["no sample"]),
        (
            json!({"metric": "cpu.usage_percent", "op": ">", "for": "x", "colour": 1}),
            "time_utc,value\n1,1\n",
            &["/threshold", "/for", "/colour"],
        ),
        (json!({"metric": "cpu.usage_percent", "op": ">", "threshold": {"level": "crit"}}), "time_utc,value\n1,1\n", &["level"]),
        (json!([]), "time_utc,value\n1,1\n", &["object"]),
    ] {
        let output = run(&rule, csv, &["--json"]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && output.stdout.is_empty(), "{rule} {csv}");
        assert!(words.iter().all(|word| text.contains(word)), "{words:?} not in {text}");
    }
}
