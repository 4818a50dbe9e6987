//! The messages of an agent beside its heartbeats: who it is, what its packed values mean, what its host is and does.

use crate::Limits;
use crate::error::DecodeError;
use crate::fields::Fields;
use crate::number::Lenient;
use serde::Serialize;
use serde_json::{Map, Value};

/// What an agent says of its host, free of form: `os`, `kernel`, `cpu_model`, `cores`, `memory_bytes` and what else it knows.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(transparent)]
pub struct Facts(pub Map<String, Value>);

/// A request for a credential, by an enrolment token that works once or for a while.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Register {
    /// The enrolment token.
    pub token: String,
    /// What the agent wants to be called; the hub may give it another name if this one is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The host's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The host's address as it sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// What the host is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The agent program's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How often it will send heartbeats, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<u64>,
    /// The agent's Ed25519 key in text form, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// Tags it wants; they count at enrolment only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What its host is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facts: Option<Facts>,
}

/// The credential, at every connection after the first.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Auth {
    /// Who it is; the credential alone is enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// The credential that enrolment gave.
    pub credential: String,
    /// How often it will send heartbeats, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<u64>,
    /// The agent program's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What its host is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facts: Option<Facts>,
}

/// In [`SchemaMsg::decimals`]: the values of this series stand on the wire as they are, not scaled.
pub const PLAIN_DECIMALS: u8 = 255;

/// The series that packed heartbeats mean from now on; sent once per connection and when they change.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct SchemaMsg {
    /// Chosen by the agent, unique on the connection; heartbeats of a replaced schema may still follow its successor.
    pub id: u32,
    /// The series keys, in the order of the values.
    pub names: Vec<String>,
    /// For each series, how many decimals its values are scaled by, or [`PLAIN_DECIMALS`]. Empty means plain for all.
    pub decimals: Vec<u8>,
}

/// One of the processes that use most.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct TopProcess {
    /// Its name.
    pub name: String,
    /// Its process id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u64>,
    /// Its CPU use, 100 for each core.
    pub cpu_percent: Lenient,
    /// Its resident memory.
    pub rss_bytes: u64,
    /// What it reads from and writes to disks each second, where the agent may know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io_bytes_per_second: Option<u64>,
}

/// The processes that use most CPU, most memory and the disks most, each list with the greatest first.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct TopProcesses {
    /// How long ago this was so, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<u64>,
    /// By CPU.
    pub cpu: Vec<TopProcess>,
    /// By memory.
    pub mem: Vec<TopProcess>,
    /// By what they read from and write to disks; empty where the agent may not know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io: Vec<TopProcess>,
}

/// The agent is about to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Stopping {
    /// Somebody wants it so: nobody need be paged.
    pub on_purpose: bool,
}

/// The values of one container.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Container {
    /// Its name (or id, if it has none), the label of its series.
    pub name: String,
    /// `cpu_percent`, `mem_used_bytes` and so on: the metric's name without `container.`, and the value (NaN is missing).
    pub values: Vec<(String, f64)>,
}

/// Values of containers that belong to the heartbeat with the same `boot_id` and `seq`. Sent before it they are covered by its
/// acknowledgement; sent later they are stored as well and the acknowledgement is repeated.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ContainerMetrics {
    /// The agent it claims to come from.
    pub agent_id: Option<String>,
    /// Names the start of the agent process.
    pub boot_id: Option<String>,
    /// The number of the heartbeat.
    pub seq: Option<u64>,
    /// Its age when it was sent, in milliseconds.
    pub age_ms: Option<i64>,
    /// The containers.
    pub containers: Vec<Container>,
}

/// A message that is made from a tree of values.
pub(crate) trait FromTree: Sized {
    /// Reads the fields; unknown ones are ignored.
    fn from_tree(value: &Value, limits: &Limits) -> Result<Self, DecodeError>;
}

fn facts(fields: Fields<'_>) -> Result<Option<Facts>, DecodeError> {
    Ok(fields.object(&["facts"])?.cloned().map(Facts))
}

impl FromTree for Facts {
    fn from_tree(value: &Value, _limits: &Limits) -> Result<Self, DecodeError> {
        Fields::of(value, "facts")?;
        Ok(Self(value.as_object().cloned().unwrap_or_default()))
    }
}

impl FromTree for Register {
    fn from_tree(value: &Value, _limits: &Limits) -> Result<Self, DecodeError> {
        let fields = Fields::of(value, "data")?;
        Ok(Self {
            token: fields.required_text(&["token"])?,
            name: fields.text(&["name"])?,
            hostname: fields.text(&["hostname"])?,
            ip: fields.text(&["ip"])?,
            role: fields.text(&["role"])?,
            version: fields.text(&["version"])?,
            interval_ms: fields.whole(&["interval_ms"])?,
            public_key: fields.text(&["public_key"])?,
            tags: fields.texts(&["tags"])?,
            facts: facts(fields)?,
        })
    }
}

impl FromTree for Auth {
    fn from_tree(value: &Value, _limits: &Limits) -> Result<Self, DecodeError> {
        let fields = Fields::of(value, "data")?;
        Ok(Self {
            agent_id: fields.text(&["agent_id", "agentId"])?,
            credential: fields.required_text(&["credential"])?,
            interval_ms: fields.whole(&["interval_ms"])?,
            version: fields.text(&["version"])?,
            facts: facts(fields)?,
        })
    }
}

impl FromTree for SchemaMsg {
    fn from_tree(value: &Value, limits: &Limits) -> Result<Self, DecodeError> {
        let fields = Fields::of(value, "data")?;
        let id = fields.whole(&["id"])?.ok_or_else(|| DecodeError::invalid("id is missing"))?;
        let names = fields.texts(&["names"])?;
        if names.len() > limits.values {
            return Err(DecodeError::new("too_many", format!("names holds more than {} series", limits.values)));
        }
        let decimal = |value: &Value| value.as_u64().and_then(|decimals| u8::try_from(decimals).ok());
        let decimals: Option<Vec<u8>> = fields.list(&["decimals"])?.iter().map(decimal).collect();
        let mut decimals = decimals.ok_or_else(|| DecodeError::invalid("decimals must be whole numbers from 0 to 255"))?;
        if decimals.is_empty() {
            decimals = vec![PLAIN_DECIMALS; names.len()];
        }
        if decimals.len() != names.len() {
            return Err(DecodeError::invalid(format!("{} decimals for {} names", decimals.len(), names.len())));
        }
        if decimals.iter().any(|decimals| (16..PLAIN_DECIMALS).contains(decimals)) {
            return Err(DecodeError::invalid("decimals must be 0 to 15, or 255 for plain numbers"));
        }
        let id = u32::try_from(id).map_err(|_range| DecodeError::invalid("id must be below 2^32"))?;
        Ok(Self { id, names, decimals })
    }
}

impl FromTree for TopProcess {
    fn from_tree(value: &Value, _limits: &Limits) -> Result<Self, DecodeError> {
        let fields = Fields::of(value, "a process")?;
        Ok(Self {
            name: fields.required_text(&["name"])?,
            pid: fields.whole(&["pid"])?,
            cpu_percent: Lenient::from(fields.number(&["cpu_percent"])?),
            rss_bytes: fields.whole(&["rss_bytes"])?.unwrap_or(0),
            io_bytes_per_second: fields.whole(&["io_bytes_per_second"])?,
        })
    }
}

/// The longest list of processes that is taken: the agent sends five.
const TOP_LIMIT: usize = 50;

impl FromTree for TopProcesses {
    fn from_tree(value: &Value, limits: &Limits) -> Result<Self, DecodeError> {
        let fields = Fields::of(value, "data")?;
        let list = |name: &str| -> Result<Vec<TopProcess>, DecodeError> {
            fields.list(&[name])?.iter().take(TOP_LIMIT).map(|process| TopProcess::from_tree(process, limits)).collect()
        };
        Ok(Self { age_ms: fields.whole(&["age_ms"])?, cpu: list("cpu")?, mem: list("mem")?, io: list("io")? })
    }
}

impl FromTree for Stopping {
    fn from_tree(value: &Value, _limits: &Limits) -> Result<Self, DecodeError> {
        if value.is_null() {
            return Ok(Self::default());
        }
        let fields = Fields::of(value, "data")?;
        Ok(Self { on_purpose: fields.flag(&["on_purpose"])?.unwrap_or(false) })
    }
}

impl Serialize for Container {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;
        let mut map = serializer.serialize_map(Some(self.values.len() + 1))?;
        map.serialize_entry("name", &self.name)?;
        for (name, value) in &self.values {
            map.serialize_entry(name, &Lenient(*value))?;
        }
        map.end()
    }
}

impl Serialize for ContainerMetrics {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Written<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            agent_id: &'a Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            boot_id: &'a Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            seq: &'a Option<u64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            age_ms: &'a Option<i64>,
            containers: &'a [Container],
        }
        let Self { agent_id, boot_id, seq, age_ms, containers } = self;
        Written { agent_id, boot_id, seq, age_ms, containers }.serialize(serializer)
    }
}

impl FromTree for Container {
    fn from_tree(value: &Value, _limits: &Limits) -> Result<Self, DecodeError> {
        let fields = Fields::of(value, "a container")?;
        let name = fields.text(&["name"])?.or(fields.text(&["id"])?).or(fields.text(&["container"])?);
        let name = name.ok_or_else(|| DecodeError::invalid("a container's name is missing"))?;
        let mut values = Vec::new();
        for (field, value) in value.as_object().into_iter().flatten() {
            match value {
                _ if matches!(field.as_str(), "name" | "id" | "container") => {}
                Value::String(_) | Value::Array(_) | Value::Object(_) if is_measured(field) => {
                    let found = crate::fields::kind(value);
                    return Err(DecodeError::invalid(format!(
                        "{field} of container {name} must be a number or null, not {found}"
                    )));
                }
                Value::Number(number) => values.push((field.clone(), number.as_f64().unwrap_or(f64::NAN))),
                Value::Bool(flag) => values.push((field.clone(), f64::from(u8::from(*flag)))),
                Value::Null => values.push((field.clone(), f64::NAN)),
                // Its state or image as text is no value; what else it says is for later versions.
                Value::String(_) | Value::Array(_) | Value::Object(_) => {}
            }
        }
        Ok(Self { name, values })
    }
}

/// Whether a field's name says that it is a number: by its unit, as all names with one do.
fn is_measured(field: &str) -> bool {
    ["_percent", "_bytes", "_per_second"].iter().any(|unit| field.ends_with(unit))
}

impl FromTree for ContainerMetrics {
    fn from_tree(value: &Value, limits: &Limits) -> Result<Self, DecodeError> {
        let fields = Fields::of(value, "data")?;
        let containers: Vec<_> = fields
            .list(&["containers"])?
            .iter()
            .map(|container| Container::from_tree(container, limits))
            .collect::<Result<_, _>>()?;
        if containers.iter().map(|container| container.values.len()).sum::<usize>() > limits.values {
            return Err(DecodeError::new("too_many", format!("containers hold more than {} values", limits.values)));
        }
        let age_ms = fields.whole(&["age_ms", "ageMs"])?.map(|age| i64::try_from(age).unwrap_or(i64::MAX));
        Ok(Self {
            agent_id: fields.text(&["agent_id", "agentId"])?,
            boot_id: fields.text(&["boot_id", "bootId"])?,
            seq: fields.whole(&["seq"])?,
            age_ms,
            containers,
        })
    }
}
