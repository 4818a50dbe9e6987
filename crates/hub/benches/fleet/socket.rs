//! One simulated agent over a WebSocket.

use crate::Fleet;
use crate::common::Host;
use crate::support::agents::{Identity, Socket, dial};
use futures_util::{SinkExt as _, StreamExt as _};
use nightbell_protocol::{
    Auth, Encoding, Envelope, FromAgent, FromHub, Heartbeat, Limits, SchemaMsg, Values, decode_from_hub, encode_from_agent,
};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::Message;

/// Sends heartbeats, so many at once, until the fleet is dismissed; gives how many, and how long each took.
pub(crate) async fn agent(fleet: Arc<Fleet>, identity: Identity, number: u64) -> (u64, Vec<Duration>) {
    let mut host = Host::new(number, fleet.metrics);
    let mut socket = dial(&fleet.root, "nightbell.v1.cbor").await.expect("a connection");
    introduce(&mut socket, &identity, &host).await;
    fleet.assemble(number).await;
    let (mut seq, mut waiting, mut times) = (0_u64, VecDeque::new(), Vec::new());
    loop {
        while waiting.len() < fleet.in_flight && !fleet.is_over() {
            seq += 1;
            waiting.push_back(Instant::now());
            socket.feed(heartbeat(seq, fleet.age_ms(seq), &mut host)).await.expect("the hub reads");
        }
        if waiting.is_empty() {
            return (seq, times);
        }
        socket.flush().await.expect("the hub reads");
        if let FromHub::Ack { seq: Some(acked), .. } = hear(&mut socket).await {
            let done = waiting.len() as u64 - (seq - acked).min(waiting.len() as u64);
            for _ in 0..done {
                let sent: Instant = waiting.pop_front().unwrap();
                fleet.durable(1, sent.elapsed(), &mut times);
            }
            fleet.pace().await;
        }
    }
}

async fn introduce(socket: &mut Socket, identity: &Identity, host: &Host) {
    let auth = Auth { agent_id: Some(identity.id.clone()), credential: identity.credential.clone(), ..Auth::default() };
    socket.send(message(FromAgent::Auth(auth))).await.unwrap();
    let answer = hear(socket).await;
    assert!(matches!(answer, FromHub::AuthOk { .. }), "{answer:?}");
    let schema = SchemaMsg { id: 1, names: host.names.clone(), decimals: host.decimals.clone() };
    socket.send(message(FromAgent::Schema(schema))).await.unwrap();
}

fn heartbeat(seq: u64, age_ms: u64, host: &mut Host) -> Message {
    let values = Values::Packed { schema: 1, v: host.measure().iter().map(|value| *value as f64).collect() };
    message(FromAgent::Heartbeat(Heartbeat {
        boot_id: Some("K2M7Q9R4T6V8".to_owned()),
        seq: Some(seq),
        age_ms: i64::try_from(age_ms).ok(),
        values,
        ..Heartbeat::default()
    }))
}

fn message(message: FromAgent) -> Message {
    Message::binary(encode_from_agent(Encoding::Cbor, &Envelope::from(message)).unwrap())
}

async fn hear(socket: &mut Socket) -> FromHub {
    loop {
        let message = socket.next().await.expect("the connection lasts").expect("the connection lasts");
        if let Message::Binary(bytes) = message {
            let heard = decode_from_hub(Encoding::Cbor, &bytes, &Limits::FRAME).unwrap().data;
            match heard {
                FromHub::Error { .. } => panic!("{heard:?}"),
                FromHub::Slow { .. } => {}
                heard => return heard,
            }
        }
    }
}
