//! What a host is: said once per connection and when it changes, not measured at every heartbeat.

use super::Roots;
use super::memory;
use super::scan;
use super::source::Reader;
use serde_json::{Map, Value};
use std::path::Path;

/// Name, system, kernel, processor, cores, memory and the kernel's boot id of the host below `roots`. What cannot be read is
/// left out.
#[must_use]
pub fn facts(roots: &Roots) -> Map<String, Value> {
    let mut reader = Reader::new();
    let mut facts = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            facts.insert(name.to_owned(), value);
        }
    };
    let mut word = |name: &str| {
        let text = reader.once(&roots.proc.join(name)).map(scan::text).unwrap_or_default();
        (!text.is_empty()).then_some(Value::String(text))
    };
    put("hostname", word("sys/kernel/hostname"));
    put("kernel", word("sys/kernel/osrelease"));
    put("kernel_boot_id", word("sys/kernel/random/boot_id"));
    put("os", reader.once(Path::new("/etc/os-release")).ok().and_then(parse_os_release).map(Value::String));
    if let Ok(cpuinfo) = reader.once(&roots.proc.join("cpuinfo")) {
        let (model, cores) = parse_cpuinfo(cpuinfo);
        put("cpu_model", model.map(Value::String));
        put("cores", (cores > 0).then(|| Value::from(cores)));
    }
    put("memory_bytes", reader.once(&roots.proc.join("meminfo")).ok().and_then(memory::total_bytes).map(Value::from));
    put("arch", Some(Value::from(std::env::consts::ARCH)));
    put("agent_version", Some(Value::from(env!("CARGO_PKG_VERSION"))));
    facts
}

fn parse_os_release(bytes: &[u8]) -> Option<String> {
    let line = scan::lines(bytes).find_map(|line| line.strip_prefix(b"PRETTY_NAME="))?;
    let name = scan::text(line);
    Some(name.trim_matches(['"', '\'']).to_owned()).filter(|name| !name.is_empty())
}

/// The first model name (x86; ARM boards call it "Model") and the number of processors.
fn parse_cpuinfo(bytes: &[u8]) -> (Option<String>, u32) {
    let (mut model, mut cores) = (None, 0);
    for line in scan::lines(bytes) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (line[..colon].trim_ascii(), &line[colon + 1..]);
        match name {
            b"processor" => cores += 1,
            b"model name" | b"Model" | b"cpu model" if model.is_none() => model = Some(scan::text(value)),
            _ => {}
        }
    }
    (model, cores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_as_they_are_written() {
        assert_eq!(
            parse_os_release(b"NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n").as_deref(),
            Some("Debian GNU/Linux 12 (bookworm)")
        );
        assert_eq!(parse_os_release(b"NAME=x\n"), None);
        let cpuinfo = b"processor\t: 0\nmodel name\t: AMD EPYC\n\nprocessor\t: 1\nmodel name\t: AMD EPYC\n";
        assert_eq!(parse_cpuinfo(cpuinfo), (Some("AMD EPYC".to_owned()), 2));
    }

    #[test]
    fn this_host_has_facts() {
        let facts = facts(&Roots::default());
        for name in ["hostname", "kernel", "kernel_boot_id", "cores", "memory_bytes", "agent_version"] {
            assert!(facts.contains_key(name), "{name}");
        }
    }
}
