//! Names and numbers by the catalogue, the short names, packed heartbeats, containers.

use super::*;
use nightbell_protocol::{Container, PLAIN_DECIMALS};
use std::sync::Arc;

fn shown(flat: &Flat) -> Vec<String> {
    let keys = flat.schema.keys().iter();
    keys.zip(&flat.values)
        .map(|(key, value)| if value.is_nan() { format!("{key} -") } else { format!("{key} {value}") })
        .collect()
}

#[track_caller]
fn check(values: &[(&str, Option<f64>)], expected: &[&str]) {
    let flat = Flattener::default().flatten(&Values::named(values.iter().copied())).expect("flattens");
    assert_eq!(shown(&flat), expected);
    assert_eq!(flat.has_values, expected.iter().any(|line| !line.ends_with(" -")));
}

#[track_caller]
fn refused(values: &[(&str, f64)], code: &str, names: &str) {
    let values = Values::named(values.iter().map(|(name, value)| (*name, Some(*value))));
    let reject = Flattener::default().flatten(&values).expect_err("refused");
    assert_eq!(reject.code, code);
    assert!(reject.why.contains(names), "{}", reject.why);
}

#[test]
fn the_catalogue_decides_what_a_value_may_be() {
    check(
        &[("cpu.usage_percent", Some(45.2)), ("disk.used_percent{mount=/}", Some(61.0))],
        &["cpu.usage_percent 45.2", "disk.used_percent{mount=/} 61"],
    );
    check(&[("cpu.usage_percent", Some(100.01))], &["cpu.usage_percent -"]);
    check(&[("cpu.usage_percent", Some(-0.1))], &["cpu.usage_percent -"]);
    check(&[("cpu.usage_percent", None)], &["cpu.usage_percent -"]);
    check(&[("mem.used_bytes", Some(1e300))], &["mem.used_bytes -"]);
    check(&[("temp.celsius{sensor=cpu}", Some(f64::INFINITY))], &["temp.celsius{sensor=cpu} -"]);
    check(&[("load.avg_1m", Some(f64::NAN)), ("load.avg_5m", Some(-0.0))], &["load.avg_1m -", "load.avg_5m -0"]);
    check(&[], &[]);
}

#[test]
fn custom_metrics_take_any_number() {
    check(
        &[("shop.orders{zone=\"a b\"}", Some(-1e20)), ("shop.queue", Some(f64::NEG_INFINITY))],
        &["shop.orders{zone=\"a b\"} -100000000000000000000", "shop.queue -"],
    );
}

#[test]
fn a_name_that_is_none_refuses_the_heartbeat_by_name() {
    refused(&[("cpu.usage_percent", 1.0), ("CPU Usage", 1.0)], "invalid_metric", "CPU Usage");
    refused(&[("disk.used_percent{mount=/", 1.0)], "invalid_metric", "disk.used_percent{mount=/");
    refused(&[("", 1.0)], "invalid_metric", "lower-case words");
}

#[test]
fn one_series_has_one_value_the_last() {
    check(&[("a.b{y=2,x=1}", Some(1.0)), ("c.d", Some(2.0)), ("a.b{x=1,y=2}", Some(3.0))], &["a.b{x=1,y=2} 3", "c.d 2"]);
}

#[test]
fn short_names_are_units_of_two_and_their_percentages_derived() {
    check(
        &[
            ("cpuPercent", Some(45.2)),
            ("memoryUsedMB", Some(8192.0)),
            ("memoryTotalMB", Some(16384.0)),
            ("diskUsedGB", Some(1.0)),
            ("diskTotalGB", Some(3.0)),
        ],
        &[
            "cpu.usage_percent 45.2",
            "mem.used_bytes 8589934592",
            "mem.total_bytes 17179869184",
            "disk.used_bytes{mount=/} 1073741824",
            "disk.total_bytes{mount=/} 3221225472",
            "mem.used_percent 50",
            "disk.used_percent{mount=/} 33.33",
        ],
    );
    check(&[("memoryUsedMB", Some(0.1))], &["mem.used_bytes 104858"]);
    check(
        &[("memoryUsedMB", Some(1.0)), ("memoryTotalMB", Some(0.0))],
        &["mem.used_bytes 1048576", "mem.total_bytes 0", "mem.used_percent -"],
    );
    check(
        &[("memoryUsedMB", Some(1.0)), ("memoryTotalMB", Some(4.0)), ("mem.used_percent", Some(26.0))],
        &["mem.used_bytes 1048576", "mem.total_bytes 4194304", "mem.used_percent 26"],
    );
}

fn schema(id: u32, names: &[(&str, u8)]) -> SchemaMsg {
    SchemaMsg {
        id,
        names: names.iter().map(|(name, _)| (*name).to_owned()).collect(),
        decimals: names.iter().map(|(_, decimals)| *decimals).collect(),
    }
}

fn packed(schema: u32, v: &[f64]) -> Values {
    Values::Packed { schema, v: v.to_vec() }
}

#[test]
fn packed_values_are_unscaled_by_their_schema() {
    let mut flattener = Flattener::default();
    flattener
        .declare(&schema(1, &[("cpu.usage_percent", 2), ("mem.used_bytes", 0), ("load.avg_1m", PLAIN_DECIMALS)]))
        .expect("declared");
    let flat = flattener.flatten(&packed(1, &[4525.0, 12.0, 0.125])).expect("flattens");
    assert_eq!(shown(&flat), ["cpu.usage_percent 45.25", "mem.used_bytes 12", "load.avg_1m 0.125"]);
    let again = flattener.flatten(&packed(1, &[f64::NAN, 13.0, f64::NAN])).expect("flattens");
    assert_eq!(shown(&again), ["cpu.usage_percent -", "mem.used_bytes 13", "load.avg_1m -"]);
    assert!(Arc::ptr_eq(&flat.schema, &again.schema));
    assert!(!flattener.flatten(&packed(1, &[f64::NAN; 3])).expect("flattens").has_values);
}

#[test]
fn packed_values_need_the_schema_they_name() {
    let mut flattener = Flattener::default();
    let code = |result: Result<Flat, Reject>| result.map(|flat| shown(&flat)).map_err(|reject| reject.code);
    assert_eq!(code(flattener.flatten(&packed(1, &[1.0]))), Err("unknown_schema"));
    assert_eq!(flattener.declare(&schema(1, &[("no name", 0)])).map_err(|reject| reject.code), Err("invalid_metric"));
    for id in 1..=5 {
        flattener.declare(&schema(id, &[("a.b", 0)])).expect("declared");
    }
    assert_eq!(code(flattener.flatten(&packed(1, &[1.0]))), Err("unknown_schema"));
    assert_eq!(code(flattener.flatten(&packed(2, &[1.0]))), Ok(vec!["a.b 1".to_owned()]));
    assert_eq!(code(flattener.flatten(&packed(2, &[1.0, 2.0]))), Err("wrong_length"));
    flattener.declare(&schema(2, &[("c.d", 1)])).expect("declared");
    assert_eq!(code(flattener.flatten(&packed(2, &[1.0]))), Ok(vec!["c.d 0.1".to_owned()]));
}

#[test]
fn agents_with_the_same_names_share_their_schema() {
    let pool = Arc::new(PlanPool::default());
    let (mut one, mut two) = (Flattener::new(Arc::clone(&pool)), Flattener::new(pool));
    let values = |value| Values::named([("cpu.usage_percent", Some(value)), ("a.b", Some(1.0))]);
    let first = one.flatten(&values(1.0)).expect("flattens");
    assert!(Arc::ptr_eq(&first.schema, &one.flatten(&values(2.0)).expect("flattens").schema));
    assert!(Arc::ptr_eq(&first.schema, &two.flatten(&values(3.0)).expect("flattens").schema));
    let other = two.flatten(&Values::named([("cpu.usage_percent", Some(1.0)), ("a.c", Some(1.0))])).expect("flattens");
    assert_ne!(first.schema.keys(), other.schema.keys());
}

#[test]
fn containers_stand_beside_the_hosts_values() {
    let containers = ContainerMetrics {
        containers: vec![Container {
            name: "web 1".into(),
            values: vec![("cpu_percent".into(), 150.0), ("mem_used_bytes".into(), f64::NAN)],
        }],
        ..ContainerMetrics::default()
    };
    let mut flattener = Flattener::default();
    flattener.declare(&schema(1, &[("load.avg_1m", 2)])).expect("declared");
    let both = flattener.with_containers(&packed(1, &[125.0]), &containers).expect("joins");
    assert_eq!(
        shown(&flattener.flatten(&both).expect("flattens")),
        ["load.avg_1m 1.25", "container.cpu_percent{container=\"web 1\"} 150", "container.mem_used_bytes{container=\"web 1\"} -",]
    );
    let bad =
        ContainerMetrics { containers: vec![Container { name: "x".into(), values: vec![("CPU".into(), 1.0)] }], ..containers };
    assert_eq!(flattener.with_containers(&Values::None, &bad).map_err(|reject| reject.code), Err("invalid_metric"));
}
