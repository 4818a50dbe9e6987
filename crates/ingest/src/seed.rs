//! The payload of the first HTTP agents (`system`, `processes`, `services`) under the names of the catalogue.

use crate::plan::Reject;
use nightbell_model::SeriesKey;
use nightbell_protocol::http::SeedPayload;
use nightbell_protocol::{Lenient, NamedValues};
use serde_json::{Map, Value};

/// Fields of `system` that are one number each, and the series they become.
const SYSTEM: [(&str, &str); 16] = [
    ("cpu_percent", "cpu.usage_percent"),
    ("ram_used_percent", "mem.used_percent"),
    ("ram_used_bytes", "mem.used_bytes"),
    ("ram_total_bytes", "mem.total_bytes"),
    ("disk_used_percent", "disk.used_percent{mount=/}"),
    ("disk_free_bytes", "disk.available_bytes{mount=/}"),
    ("disk_read_bytes_sec", "diskio.read_bytes_per_second{device=total}"),
    ("disk_write_bytes_sec", "diskio.write_bytes_per_second{device=total}"),
    ("net_rx_bytes_sec", "net.rx_bytes_per_second{iface=total}"),
    ("net_tx_bytes_sec", "net.tx_bytes_per_second{iface=total}"),
    ("net_rx_errors", "net.rx_errors_total{iface=total}"),
    ("net_tx_errors", "net.tx_errors_total{iface=total}"),
    ("tcp_established", "tcp.established"),
    ("tcp_time_wait", "tcp.time_wait"),
    ("open_files", "fd.allocated"),
    ("uptime_seconds", "sys.uptime_seconds"),
];

/// The places of `load_avg`.
const LOAD: [&str; 3] = ["load.avg_1m", "load.avg_5m", "load.avg_15m"];

/// `memory_mb` counts units of 2^20 bytes.
const MEBI: f64 = 1_048_576.0;

/// Adds the seed's values to `named`. Unknown fields are ignored.
///
/// # Errors
/// If a value has the wrong type; the message names the field and the metric.
pub(crate) fn add_seed(named: &mut NamedValues, seed: &SeedPayload) -> Result<(), Reject> {
    add_system(named, object("system", &seed.system)?)?;
    for (name, process) in object("processes", &seed.processes)?.into_iter().flatten() {
        add_process(named, name, process)?;
    }
    for (name, open) in object("services", &seed.services)?.into_iter().flatten() {
        let Some(port) = name.strip_prefix("port_") else { continue };
        let value = match open {
            Value::Bool(open) => f64::from(u8::from(*open)),
            other => number(&format!("services.{name}"), "port.open", other)?,
        };
        push(named, "port.open", "port", port, value)?;
    }
    Ok(())
}

fn object<'v>(name: &str, value: &'v Value) -> Result<Option<&'v Map<String, Value>>, Reject> {
    match value {
        Value::Null => Ok(None),
        Value::Object(fields) => Ok(Some(fields)),
        _ => Err(Reject::new("wrong_type", format!("{name} must be an object"))),
    }
}

fn number(field: &str, metric: &str, value: &Value) -> Result<f64, Reject> {
    match value {
        Value::Null => Ok(f64::NAN),
        Value::Number(number) => Ok(number.as_f64().unwrap_or(f64::NAN)),
        _ => Err(Reject::new("wrong_type", format!("{field} ({metric}) must be a number or null"))),
    }
}

fn push(named: &mut NamedValues, metric: &str, label: &str, of: &str, value: f64) -> Result<(), Reject> {
    let key = SeriesKey::new(metric, &[(label, of)]);
    let key = key.map_err(|why| Reject::new("invalid_metric", format!("{metric} of {label} {of}: {why}")))?;
    named.push(key.as_str(), Lenient(value));
    Ok(())
}

fn add_system(named: &mut NamedValues, system: Option<&Map<String, Value>>) -> Result<(), Reject> {
    for (name, value) in system.into_iter().flatten() {
        let field = format!("system.{name}");
        match name.as_str() {
            "cpu_cores" => add_cores(named, value)?,
            "load_avg" => add_load(named, value)?,
            _ => {
                if let Some((_, metric)) = SYSTEM.iter().find(|(known, _)| known == name) {
                    named.push(metric, Lenient(number(&field, metric, value)?));
                }
            }
        }
    }
    Ok(())
}

/// `[{"core": 0, "percent": 12.5}, …]`; plain numbers are taken in the order of the cores.
fn add_cores(named: &mut NamedValues, cores: &Value) -> Result<(), Reject> {
    const METRIC: &str = "cpu.core.usage_percent";
    let wrong = || Reject::new("wrong_type", format!("system.cpu_cores ({METRIC}) must be a list of {{core, percent}}"));
    let list = match cores {
        Value::Null => return Ok(()),
        Value::Array(list) => list,
        _ => return Err(wrong()),
    };
    for (index, item) in list.iter().enumerate() {
        let (core, percent) = match item {
            Value::Object(fields) => {
                let core = fields.get("core").and_then(Value::as_u64).ok_or_else(wrong)?;
                (core, fields.get("percent").unwrap_or(&Value::Null))
            }
            plain => (index as u64, plain),
        };
        push(named, METRIC, "core", &core.to_string(), number("system.cpu_cores", METRIC, percent)?)?;
    }
    Ok(())
}

fn add_load(named: &mut NamedValues, load: &Value) -> Result<(), Reject> {
    let list = match load {
        Value::Null => return Ok(()),
        Value::Array(list) => list,
        _ => return Err(Reject::new("wrong_type", "system.load_avg (load.avg_1m) must be a list of three numbers")),
    };
    for (metric, value) in LOAD.iter().zip(list) {
        named.push(metric, Lenient(number("system.load_avg", metric, value)?));
    }
    Ok(())
}

/// `{"status", "pid", "memory_mb", "cpu_percent"}`. Of a process that does not run only that is known: memory and CPU are
/// missing then, not 0.
fn add_process(named: &mut NamedValues, name: &str, process: &Value) -> Result<(), Reject> {
    let Some(fields) = object(&format!("processes.{name}"), process)? else { return Ok(()) };
    let running = match fields.get("status") {
        Some(Value::String(status)) => status == "running",
        None | Some(Value::Null) => fields.get("pid").is_some_and(Value::is_number),
        Some(_) => return Err(Reject::new("wrong_type", format!("processes.{name}.status (process.count) must be text"))),
    };
    push(named, "process.count", "process", name, f64::from(u8::from(running)))?;
    let value = |field: &str, metric: &str| {
        let value = number(&format!("processes.{name}.{field}"), metric, fields.get(field).unwrap_or(&Value::Null))?;
        Ok(if running { value } else { f64::NAN })
    };
    push(named, "process.rss_bytes", "process", name, (value("memory_mb", "process.rss_bytes")? * MEBI).round())?;
    push(named, "process.cpu_percent", "process", name, value("cpu_percent", "process.cpu_percent")?)
}

#[cfg(test)]
#[path = "seed/tests.rs"]
mod tests;
