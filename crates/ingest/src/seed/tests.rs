//! The first HTTP agents' payload, field by field.

use super::*;
use serde_json::json;

fn seed(system: Value, processes: Value, services: Value) -> Result<Vec<String>, Reject> {
    let mut named = NamedValues::default();
    add_seed(&mut named, &SeedPayload { node_id: None, system, processes, services })?;
    let mut lines: Vec<String> = named.iter().map(|(name, value)| format!("{name} {value}")).collect();
    lines.sort_unstable();
    Ok(lines)
}

#[test]
fn every_field_has_its_series() {
    let system = json!({
        "cpu_percent": 12.5, "cpu_cores": [{"core": 0, "percent": 10}, {"core": 1, "percent": 15.0}],
        "ram_used_percent": 50, "ram_used_bytes": 1024, "ram_total_bytes": 2048,
        "disk_used_percent": 61, "disk_free_bytes": 4096, "disk_read_bytes_sec": 1, "disk_write_bytes_sec": 2,
        "net_rx_bytes_sec": 3, "net_tx_bytes_sec": 4, "net_rx_errors": 5, "net_tx_errors": 6,
        "load_avg": [0.5, 0.25, 0.125], "tcp_established": 7, "tcp_time_wait": 8, "open_files": 9, "uptime_seconds": 10,
        "of_a_later_version": {"x": []},
    });
    let processes = json!({
        "postfix": {"status": "running", "pid": 77, "memory_mb": 1.5, "cpu_percent": 0.5},
        "rspamd": {"status": "not_found", "pid": null, "memory_mb": 0, "cpu_percent": 0},
        "redis": null,
    });
    let services = json!({"port_25": true, "port_587": false, "uptime": "x"});
    let expected = "cpu.core.usage_percent{core=0} 10
cpu.core.usage_percent{core=1} 15
cpu.usage_percent 12.5
disk.available_bytes{mount=/} 4096
disk.used_percent{mount=/} 61
diskio.read_bytes_per_second{device=total} 1
diskio.write_bytes_per_second{device=total} 2
fd.allocated 9
load.avg_15m 0.125
load.avg_1m 0.5
load.avg_5m 0.25
mem.total_bytes 2048
mem.used_bytes 1024
mem.used_percent 50
net.rx_bytes_per_second{iface=total} 3
net.rx_errors_total{iface=total} 5
net.tx_bytes_per_second{iface=total} 4
net.tx_errors_total{iface=total} 6
port.open{port=25} 1
port.open{port=587} 0
process.count{process=postfix} 1
process.count{process=rspamd} 0
process.cpu_percent{process=postfix} 0.5
process.cpu_percent{process=rspamd} NaN
process.rss_bytes{process=postfix} 1572864
process.rss_bytes{process=rspamd} NaN
sys.uptime_seconds 10
tcp.established 7
tcp.time_wait 8";
    assert_eq!(seed(system, processes, services).map(|lines| lines.join("\n")), Ok(expected.to_owned()));
}

#[test]
fn whatever_is_missing_is_missing() {
    assert_eq!(seed(Value::Null, Value::Null, Value::Null), Ok(vec![]));
    assert_eq!(
        seed(json!({"cpu_percent": null, "cpu_cores": null, "load_avg": []}), json!({}), json!({})),
        Ok(vec!["cpu.usage_percent NaN".to_owned()])
    );
    assert_eq!(seed(json!({"cpu_cores": [1, null]}), json!({}), json!({})).map(|lines| lines.len()), Ok(2));
}

#[test]
fn wrong_types_are_named() {
    #[track_caller]
    fn check(system: Value, processes: Value, services: Value, names: &str) {
        let reject = seed(system, processes, services).expect_err("refused");
        assert!(reject.code == "wrong_type" && reject.why.contains(names), "{reject:?}");
    }
    let none = || Value::Null;
    check(json!({"cpu_percent": "12"}), none(), none(), "cpu.usage_percent");
    check(json!({"cpu_cores": {"0": 1}}), none(), none(), "cpu.core.usage_percent");
    check(json!({"cpu_cores": [{"percent": 1}]}), none(), none(), "cpu.core.usage_percent");
    check(json!({"load_avg": 1}), none(), none(), "load.avg_1m");
    check(json!({"load_avg": [1, true]}), none(), none(), "load.avg_5m");
    check(json!([]), none(), none(), "system");
    check(none(), json!({"a": 1}), none(), "processes.a");
    check(none(), json!({"a": {"status": 1}}), none(), "process.count");
    check(none(), json!({"a": {"status": "running", "memory_mb": "1"}}), none(), "process.rss_bytes");
    check(none(), none(), json!({"port_25": "open"}), "port.open");
}
