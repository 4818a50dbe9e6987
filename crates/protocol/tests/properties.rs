//! What is written is read back the same, in both encodings; and bytes of any kind are refused without harm.

#![expect(clippy::cast_precision_loss, reason = "whole numbers below 2^53")]

use nightbell_protocol::http::{decode_entries, decode_node};
use nightbell_protocol::{
    ContainerMetrics, Encoding, Envelope, FromAgent, FromHub, Heartbeat, Limits, SchemaMsg, Values, decode_from_agent,
    decode_from_hub, encode_from_agent, encode_from_hub, scaled, unscaled,
};
use proptest::prelude::*;

const BOTH: [Encoding; 2] = [Encoding::Json, Encoding::Cbor];

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL | proptest::num::f64::ZERO,
        (-1_000_000_000_i64..1_000_000_000).prop_map(|whole| whole as f64),
        Just(f64::NAN),
    ]
}

fn values() -> impl Strategy<Value = Values> {
    prop_oneof![
        Just(Values::None),
        proptest::collection::vec(("\\PC{0,12}", number()), 0..20)
            .prop_map(|values| Values::named(values.into_iter().map(|(name, value)| (name, Some(value))))),
        (any::<u32>(), proptest::collection::vec(number(), 0..40)).prop_map(|(schema, v)| Values::Packed { schema, v }),
    ]
}

prop_compose! {
    fn heartbeat()(
        agent_id in proptest::option::of("\\PC{0,8}"),
        boot_id in proptest::option::of("\\PC{0,8}"),
        seq in any::<Option<u64>>(),
        age_ms in proptest::option::of(-9_000_000_000_000_000_i64..9_000_000_000_000_000),
        timestamp in proptest::option::of(100_000_000_000_i64..9_000_000_000_000_000),
        sent_at in proptest::option::of(100_000_000_000_i64..9_000_000_000_000_000),
        resumed in any::<bool>(),
        values in values(),
    ) -> Heartbeat {
        Heartbeat { agent_id, boot_id, seq, age_ms, timestamp, sent_at, values, resumed, fault: None }
    }
}

proptest! {
    #[test]
    fn heartbeats_come_back(one in heartbeat(), reply in proptest::option::of("\\PC{0,8}"), many in proptest::collection::vec(heartbeat(), 0..5)) {
        for message in [FromAgent::Heartbeat(one), FromAgent::Heartbeats(many)] {
            let envelope = Envelope { reply: reply.clone(), ..Envelope::from(message) };
            for encoding in BOTH {
                let bytes = encode_from_agent(encoding, &envelope).expect("encodes");
                prop_assert_eq!(decode_from_agent(encoding, &bytes, &Limits::FRAME), Ok(envelope.clone()));
            }
        }
    }

    #[test]
    fn schemas_come_back(id in any::<u32>(), series in proptest::collection::vec(("\\PC{0,12}", 0_u8..16), 1..50)) {
        let (names, decimals) = series.into_iter().unzip();
        let envelope = Envelope::from(FromAgent::Schema(SchemaMsg { id, names, decimals }));
        for encoding in BOTH {
            let bytes = encode_from_agent(encoding, &envelope).expect("encodes");
            prop_assert_eq!(decode_from_agent(encoding, &bytes, &Limits::FRAME), Ok(envelope.clone()));
        }
    }

    #[test]
    fn acknowledgements_come_back(timestamp in 0_i64..9_000_000_000_000_000, boot_id in proptest::option::of("\\PC{0,8}"), seq in any::<Option<u64>>()) {
        let envelope = Envelope::from(FromHub::Ack { timestamp, boot_id, seq });
        for encoding in BOTH {
            let bytes = encode_from_hub(encoding, &envelope).expect("encodes");
            prop_assert_eq!(decode_from_hub(encoding, &bytes, &Limits::FRAME), Ok(envelope.clone()));
        }
    }

    #[test]
    fn rounded_values_survive_packing(whole in -1_000_000_000_i64..1_000_000_000, decimals in 0_u8..6) {
        let value = whole as f64 / 10_f64.powi(i32::from(decimals));
        prop_assert_eq!(unscaled(scaled(value, decimals), decimals).to_bits(), (value + 0.0).to_bits());
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for encoding in BOTH {
            let _refused_or_not = decode_from_agent(encoding, &bytes, &Limits::FRAME);
            let _refused_or_not = decode_from_hub(encoding, &bytes, &Limits::FRAME);
        }
        let _refused_or_not = decode_entries(&bytes, &Limits::BODY);
        let _refused_or_not = decode_node(&bytes, &Limits::BODY);
    }

    #[test]
    fn broken_frames_are_survived(one in heartbeat(), at in any::<proptest::sample::Index>(), byte in any::<u8>(), cut in any::<proptest::sample::Index>()) {
        for message in [FromAgent::Heartbeat(one.clone()), FromAgent::Container(ContainerMetrics::default())] {
            for encoding in BOTH {
                let mut bytes = encode_from_agent(encoding, &message.clone().into()).expect("encodes");
                let at = at.index(bytes.len());
                bytes[at] = byte;
                let _refused_or_not = decode_from_agent(encoding, &bytes, &Limits::FRAME);
                bytes.truncate(cut.index(bytes.len()));
                prop_assert!(decode_from_agent(encoding, &bytes, &Limits::FRAME).is_err());
            }
        }
    }
}
