//! Heartbeats in the words of the protocol.

use crate::buffer::{Beat, Parcel};
use crate::clock::{self, Moment};
use crate::collect::{Process, Top};
use crate::sheet::{MISSING, Names, unscaled};
use nightbell_protocol::http::HeartbeatsRequest;
use nightbell_protocol::{FromAgent, Heartbeat, Lenient, SchemaMsg, TopProcess, TopProcesses, Values};

/// What packed heartbeats of these names mean.
pub(super) fn schema(names: &Names) -> FromAgent {
    FromAgent::Schema(SchemaMsg { id: names.id, names: names.keys.clone(), decimals: names.decimals.clone() })
}

/// A parcel for the WebSocket: one heartbeat, or an array that is a replay.
pub(super) fn packed(parcel: &Parcel, boot_id: &str, now: Moment) -> FromAgent {
    let heartbeat = |beat: &Beat| Heartbeat {
        boot_id: Some(boot_id.to_owned()),
        seq: Some(beat.seq),
        age_ms: Some(age_ms(beat, now)),
        values: packed_values(&parcel.names, beat),
        resumed: beat.resumed,
        ..Heartbeat::default()
    };
    match parcel.beats.as_slice() {
        [beat] => FromAgent::Heartbeat(heartbeat(beat)),
        beats => FromAgent::Heartbeats(beats.iter().map(heartbeat).collect()),
    }
}

/// A parcel for HTTP: every heartbeat with its names and a time by the wall clock.
pub(super) fn named(parcel: &Parcel, boot_id: &str, now: Moment) -> HeartbeatsRequest {
    let wall_ms = clock::wall_ms();
    let heartbeat = |beat: &Beat| Heartbeat {
        boot_id: Some(boot_id.to_owned()),
        seq: Some(beat.seq),
        timestamp: Some(wall_ms - age_ms(beat, now)),
        values: named_values(&parcel.names, beat),
        resumed: beat.resumed,
        ..Heartbeat::default()
    };
    HeartbeatsRequest { heartbeats: parcel.beats.iter().map(heartbeat).collect(), sent_at: Some(wall_ms) }
}

/// The processes that use most.
pub(super) fn top(top: &Top, now: Moment) -> FromAgent {
    let process = |process: &Process| TopProcess {
        name: process.name.clone(),
        pid: Some(process.pid.into()),
        cpu_percent: Lenient((process.cpu_percent * 10.0).round() / 10.0),
        rss_bytes: process.rss_bytes,
        io_bytes_per_second: process.io_bytes_per_second,
    };
    let age_ms = u64::try_from(now.boot_ms - top.at.boot_ms).ok();
    FromAgent::Top(TopProcesses {
        age_ms,
        cpu: top.cpu.iter().map(process).collect(),
        mem: top.mem.iter().map(process).collect(),
        io: top.io.iter().map(process).collect(),
    })
}

fn age_ms(beat: &Beat, now: Moment) -> i64 {
    now.boot_ms.saturating_sub(beat.at_ms).max(0)
}

#[expect(clippy::cast_precision_loss, reason = "the sheet scaled an f64, so nothing is lost that was there")]
fn packed_values(names: &Names, beat: &Beat) -> Values {
    if names.keys.is_empty() {
        return Values::None;
    }
    let number = |value: &i64| if *value == MISSING { f64::NAN } else { *value as f64 };
    Values::Packed { schema: names.id, v: beat.row.iter().map(number).collect() }
}

fn named_values(names: &Names, beat: &Beat) -> Values {
    if names.keys.is_empty() {
        return Values::None;
    }
    let values = names.keys.iter().zip(&names.decimals).zip(&beat.row);
    Values::named(values.map(|((key, decimals), value)| (key, unscaled(*value, *decimals))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::{Collector, Dealings, Reading, Roots};
    use nightbell_protocol::{Encoding, encode_from_agent};
    use std::sync::Arc;

    fn parcel(series: usize, beats: u64) -> Parcel {
        let keys = (0..series).map(|at| format!("disk.used_bytes{{mount=/{at}}}")).collect();
        let names = Arc::new(Names { id: 1, keys, decimals: vec![2; series] });
        let beat = |seq| Beat {
            seq,
            at_ms: 1_000,
            resumed: false,
            row: (0..series).map(|at| i64::try_from(at % 97 * 100).unwrap()).collect(),
        };
        Parcel { names, beats: (1..=beats).map(beat).collect() }
    }

    #[test]
    fn a_heartbeat_takes_at_most_400_bytes_for_120_series() {
        let tree = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/host8/first"));
        let roots = Roots { proc: tree.join("proc"), sys: tree.join("sys"), cgroup: tree.join("cgroup") };
        let mut collector = Collector::new(&roots, &crate::watch::Watch::default(), false);
        collector.collect(Moment { boot_ms: 0, awake_ns: 0 }, &Dealings::default());
        let now = Moment { boot_ms: 15_000, awake_ns: 15_000_000_000 };
        let Reading { names, row, .. } = collector.collect(now, &Dealings::default());
        let series = names.keys.len();
        let parcel = Parcel { names, beats: vec![Beat { seq: 5_760, at_ms: 15_000, resumed: false, row }] };
        let message = packed(&parcel, "K2M7Q9R4T6V8", now);
        let bytes = encode_from_agent(Encoding::Cbor, &message.into()).unwrap().len();
        assert!(series >= 120 && bytes * 120 <= 400 * series, "{bytes} bytes for {series} series");
    }

    #[test]
    fn values_mean_the_same_on_both_ways() {
        let now = Moment { boot_ms: 1_005, awake_ns: 0 };
        let parcel = parcel(3, 2);
        let FromAgent::Heartbeats(beats) = packed(&parcel, "b", now) else { panic!("a replay is an array") };
        assert_eq!((beats[1].seq, beats[1].age_ms), (Some(2), Some(5)));
        assert_eq!(beats[0].values, Values::Packed { schema: 1, v: vec![0.0, 100.0, 200.0] });
        let request = named(&parcel, "b", now);
        let Values::Named(values) = &request.heartbeats[0].values else { panic!("names") };
        assert_eq!(values.iter().last(), Some(("disk.used_bytes{mount=/2}", 2.0)));
        assert_eq!(request.sent_at.zip(request.heartbeats[0].timestamp).map(|(sent, taken)| sent - taken), Some(5));
    }

    #[test]
    fn a_heartbeat_without_values_has_none() {
        let now = Moment::default();
        let parcel = parcel(0, 1);
        assert!(matches!(packed(&parcel, "b", now), FromAgent::Heartbeat(beat) if beat.values == Values::None));
        assert_eq!(named(&parcel, "b", now).heartbeats[0].values, Values::None);
    }
}
