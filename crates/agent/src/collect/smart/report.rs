//! From what smartctl prints (`--json`, format 1.0; smartctl(8)) to what is told of a disk. Pure.
//!
//! ATA, NVMe and SCSI disks say the same things in different places; what a disk does not say is missing.

use crate::sheet::Sheet;
use serde_json::Value;

/// Bits of the exit status: a wrong command, a device that could not be opened or sleeps. The others tell of its health.
const NO_REPORT: u64 = 0b11;
/// Attributes of flash disks that count down from 100 with wear, by vendor: life left, wearout indicator, wear levelling,
/// lifetime left.
const WEAR: [u64; 4] = [231, 233, 177, 202];
const REALLOCATED: u64 = 5;
const PENDING: u64 = 197;
const REPORTED_UNCORRECTABLE: u64 = 187;
const OFFLINE_UNCORRECTABLE: u64 = 198;

/// How to ask for a disk.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) name: String,
    pub(crate) kind: String,
}

/// What a disk said.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Report {
    /// The label `device`.
    pub(crate) label: String,
    /// When, in seconds since the Unix epoch.
    pub(crate) at_s: Option<i64>,
    healthy: Option<f64>,
    celsius: Option<f64>,
    hours: Option<f64>,
    wear: Option<f64>,
    reallocated: Option<f64>,
    pending: Option<f64>,
    media_errors: Option<f64>,
}

impl Report {
    /// Writes all of `smart.*` but the age.
    pub(crate) fn write(&self, sheet: &mut Sheet) {
        for (metric, value) in [
            ("smart.healthy", self.healthy),
            ("smart.temperature_celsius", self.celsius),
            ("smart.power_on_hours", self.hours),
            ("smart.wear_percent", self.wear),
            ("smart.reallocated_sectors", self.reallocated),
            ("smart.pending_sectors", self.pending),
            ("smart.media_errors", self.media_errors),
        ] {
            if value.is_some() {
                sheet.put_for(metric, &self.label, value);
            }
        }
    }
}

/// The disks that `smartctl --scan` found.
pub(crate) fn devices(text: &[u8]) -> Result<Vec<Device>, String> {
    let document = parse(text)?;
    let devices = document["devices"].as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Ok(devices.iter().filter_map(|device| Some(Device { name: text(&device["name"])?, kind: text(&device["type"])? })).collect())
}

/// The report of one disk; nothing if it is asleep.
pub(crate) fn report(text: &[u8]) -> Result<Option<Report>, String> {
    let document = parse(text)?;
    if document["smartctl"]["exit_status"].as_u64().is_some_and(|status| status & NO_REPORT != 0) {
        let messages = document["smartctl"]["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
        let error = messages.iter().find(|message| message["severity"] == "error");
        return error.map_or(Ok(None), |error| Err(error["string"].as_str().unwrap_or("refused").to_owned()));
    }
    let Some(label) = label(&document["device"]) else { return Err("names no device".to_owned()) };
    let number = |path: &str| document.pointer(path).and_then(Value::as_f64);
    let raw = |id| attribute(&document, id).and_then(|attribute| attribute["raw"]["value"].as_f64());
    let nvme = |name: &str| number(&format!("/nvme_smart_health_information_log/{name}"));
    Ok(Some(Report {
        label,
        at_s: document.pointer("/local_time/time_t").and_then(Value::as_i64),
        healthy: document.pointer("/smart_status/passed").and_then(Value::as_bool).map(|passed| f64::from(u8::from(passed))),
        // A volume of a controller has no sensor, and says 0.
        celsius: number("/temperature/current").filter(|celsius| celsius.abs() > 0.0),
        hours: number("/power_on_time/hours"),
        wear: number("/endurance_used/current_percent")
            .or_else(|| nvme("percentage_used"))
            .or_else(|| number("/scsi_percentage_used_endurance_indicator"))
            .or_else(|| wear(&document)),
        reallocated: raw(REALLOCATED).or_else(|| number("/scsi_grown_defect_list")),
        pending: raw(PENDING),
        media_errors: nvme("media_errors")
            .or_else(|| raw(REPORTED_UNCORRECTABLE))
            .or_else(|| raw(OFFLINE_UNCORRECTABLE))
            .or_else(|| uncorrected(&document)),
    }))
}

fn parse(text: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(text).ok().ok_or_else(|| "is no report of smartctl".to_owned())
}

/// `sda`; `bus/0/megaraid_1` for a disk behind a controller, which has its device's name in common with others.
fn label(device: &Value) -> Option<String> {
    let name = device["name"].as_str()?;
    let name = name.strip_prefix("/dev/").unwrap_or(name);
    let behind = device["type"].as_str().and_then(|kind| kind.rsplit('+').next()).filter(|kind| kind.contains(','));
    Some(behind.map_or_else(|| name.to_owned(), |kind| format!("{name}/{}", kind.replace(',', "_"))))
}

fn attribute(document: &Value, id: u64) -> Option<&Value> {
    document.pointer("/ata_smart_attributes/table")?.as_array()?.iter().find(|attribute| attribute["id"] == id)
}

/// Of disks without moving parts only: others count something else under the same numbers.
fn wear(document: &Value) -> Option<f64> {
    document["rotation_rate"].as_u64().filter(|rate| *rate == 0)?;
    let left = WEAR.iter().find_map(|id| attribute(document, *id)?["value"].as_f64());
    left.map(|left| (100.0 - left).max(0.0))
}

fn uncorrected(document: &Value) -> Option<f64> {
    let kinds = document["scsi_error_counter_log"].as_object()?.values();
    kinds.filter_map(|kind| kind["total_uncorrected_errors"].as_f64()).reduce(|sum, errors| sum + errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(json: &str) -> Report {
        report(json.as_bytes()).unwrap().unwrap()
    }

    /// The frame that smartctl 7.3 puts around what a disk says.
    fn framed(kind: &str, status: u8, said: &str) -> String {
        format!(
            r#"{{"json_format_version":[1,0],"smartctl":{{"version":[7,3],"argv":["smartctl"],"exit_status":{status}}},"local_time":{{"time_t":1795997466,"asctime":"Mon Nov 30 00:11:06 2026 UTC"}},"device":{{"name":"/dev/sda","info_name":"/dev/sda","type":"{kind}","protocol":"ATA"}},{said}}}"#
        )
    }

    #[test]
    fn an_ata_disk_that_fails() {
        let said = r#""rotation_rate":7200,"smart_status":{"passed":false},"temperature":{"current":25},"power_on_time":{"hours":65592},
            "ata_smart_attributes":{"revision":16,"table":[
            {"id":5,"name":"Reallocated_Sector_Ct","value":1,"worst":1,"thresh":36,"when_failed":"now","raw":{"value":1975,"string":"1975"}},
            {"id":177,"name":"Wear_Leveling_Count","value":60,"raw":{"value":3,"string":"3"}},
            {"id":197,"name":"Current_Pending_Sector","value":100,"raw":{"value":8,"string":"8"}},
            {"id":198,"name":"Offline_Uncorrectable","value":100,"raw":{"value":2,"string":"2"}}]}"#;
        let expected = Report {
            label: "sda".to_owned(),
            at_s: Some(1_795_997_466),
            healthy: Some(0.0),
            celsius: Some(25.0),
            hours: Some(65_592.0),
            wear: None,
            reallocated: Some(1_975.0),
            pending: Some(8.0),
            media_errors: Some(2.0),
        };
        // 216 = failing now, attributes below their thresholds, errors logged, tests that failed.
        assert_eq!(one(&framed("usbjmicron", 216, said)), expected);
    }

    #[test]
    fn flash_by_ata_and_nvme() {
        let attribute = |id, value| {
            format!(
                r#""rotation_rate":0,"ata_smart_attributes":{{"table":[{{"id":{id},"value":{value},"raw":{{"value":278}}}}]}}"#
            )
        };
        assert_eq!(one(&framed("sat", 0, &attribute(177, 81))).wear, Some(19.0));
        assert_eq!(one(&framed("sat", 0, &attribute(231, 97))).wear, Some(3.0));
        assert_eq!(one(&framed("sat", 0, &attribute(187, 100))).media_errors, Some(278.0));
        let newer = format!(r#"{},"endurance_used":{{"current_percent":7}}"#, attribute(177, 81));
        assert_eq!(one(&framed("sat", 0, &newer)).wear, Some(7.0));
        let nvme = one(&framed(
            "nvme",
            0,
            r#""smart_status":{"passed":true,"nvme":{"value":0}},"nvme_smart_health_information_log":{"critical_warning":0,"temperature":35,"percentage_used":3,"media_errors":5},"temperature":{"current":35},"power_on_time":{"hours":12798}"#,
        ));
        assert_eq!((nvme.healthy, nvme.wear, nvme.media_errors, nvme.celsius), (Some(1.0), Some(3.0), Some(5.0), Some(35.0)));
        assert_eq!((nvme.reallocated, nvme.pending), (None, None));
    }

    #[test]
    fn scsi_and_what_is_behind_a_controller() {
        let said = r#""rotation_rate":10500,"smart_status":{"passed":true},"temperature":{"current":31,"drive_trip":60},"power_on_time":{"hours":5675,"minutes":39},
            "scsi_grown_defect_list":56,"scsi_error_counter_log":{"read":{"total_uncorrected_errors":2},"write":{"total_uncorrected_errors":1}}"#;
        let disk = one(&framed("scsi", 0, said));
        assert_eq!((disk.reallocated, disk.media_errors, disk.hours), (Some(56.0), Some(3.0), Some(5_675.0)));
        assert_eq!(one(&framed("sat+megaraid,1", 4, said)).label, "sda/megaraid_1");
        let volume = one(&framed("scsi", 4, r#""temperature":{"current":0,"drive_trip":0}"#));
        assert_eq!((volume.celsius, volume.healthy), (None, None));
    }

    #[test]
    fn a_disk_asleep_says_nothing_and_one_that_cannot_be_read_says_why() {
        let message = |severity, string| {
            format!(
                r#"{{"smartctl":{{"messages":[{{"string":"{string}","severity":"{severity}"}}],"exit_status":2}},"device":{{"name":"/dev/sda","type":"sat"}}}}"#
            )
        };
        let asleep = message("information", "Device is in STANDBY mode, exit(2)");
        assert_eq!(report(asleep.as_bytes()), Ok(None));
        let refused = message("error", "Smartctl open device: /dev/sda failed: Permission denied");
        assert_eq!(report(refused.as_bytes()), Err("Smartctl open device: /dev/sda failed: Permission denied".to_owned()));
        for bad in ["", "{", "[]", "{}", r#"{"device":{}}"#, r#"{"device":7}"#] {
            assert!(report(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_disks_of_a_scan() {
        let text = br#"{"devices":[{"name":"/dev/sda","info_name":"/dev/sda [SAT]","type":"sat","protocol":"ATA"},{"name":"/dev/bus/0","type":"megaraid,0"},{"name":7}]}"#;
        let device = |name: &str, kind: &str| Device { name: name.to_owned(), kind: kind.to_owned() };
        assert_eq!(devices(text), Ok(vec![device("/dev/sda", "sat"), device("/dev/bus/0", "megaraid,0")]));
        assert_eq!(devices(br#"{"smartctl":{"exit_status":0}}"#), Ok(vec![]));
        assert!(devices(b"").is_err());
    }
}
