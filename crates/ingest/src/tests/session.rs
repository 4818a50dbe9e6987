//! Time and allowance of one connection, with the clock moved by hand.

use super::hub::{CREDENTIAL, Hub};
use crate::router::Shared;
use crate::session::Session;
use nightbell_protocol::{Encoding, FromHub};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

fn session(hub: &Hub) -> Session {
    let shared = Arc::new(Shared::new(Arc::new(hub.clone())));
    Session::new(shared, Encoding::Json, std::net::Ipv4Addr::LOCALHOST.into())
}

async fn authenticated(hub: &Hub, interval_ms: u64) -> Session {
    let mut session = session(hub);
    let auth = format!(r#"{{"subject":"agent.auth","data":{{"credential":"{CREDENTIAL}","interval_ms":{interval_ms}}}}}"#);
    session.frame(auth.as_bytes()).await;
    session.out.clear();
    session
}

/// How long the session is silent before it is given up, in whole seconds.
fn patience(mut session: Session) -> u64 {
    let start = Instant::now();
    for second in 0..100_000 {
        session.tick(start + Duration::from_secs(second));
        if session.end.is_some() {
            return second;
        }
    }
    u64::MAX
}

#[tokio::test]
async fn silence_ends_a_connection() {
    let hub = Hub::default();
    assert_eq!(patience(session(&hub)), 10);
    assert_eq!(patience(authenticated(&hub, 1000).await), 60);
    assert_eq!(patience(authenticated(&hub, 15_000).await), 60);
    assert_eq!(patience(authenticated(&hub, 60_000).await), 195);
    assert_eq!(patience(authenticated(&hub, 86_400_000).await), 86_400);
}

#[tokio::test]
async fn an_interval_that_cannot_be_is_refused() {
    let hub = Hub::default();
    for wrong in [0, u64::MAX] {
        let mut session = session(&hub);
        let auth = format!(
            r#"{{"subject":"agent.auth","reply":"_INBOX.1","data":{{"credential":"{CREDENTIAL}","interval_ms":{wrong}}}}}"#
        );
        session.frame(auth.as_bytes()).await;
        let [answer] = session.out.as_slice() else { panic!("one answer: {:?}", session.out) };
        let FromHub::Error { code, message, reply, .. } = &answer.data else { panic!("{answer:?}") };
        assert_eq!((code.as_str(), reply.as_deref()), ("invalid_message", Some("_INBOX.1")));
        assert!(message.contains("interval_ms"), "{message}");
    }
}

#[tokio::test]
async fn an_agent_that_is_known_may_learn_from_many_wrong_frames() {
    let hub = Hub::default();
    let mut session = authenticated(&hub, 15_000).await;
    for _ in 0..29 {
        session.frame(b"{").await;
    }
    assert!(session.end.is_none() && session.out.len() == 29);
    session.frame(b"{").await;
    assert!(session.end.is_some());
}

#[tokio::test]
async fn whoever_sends_too_much_is_told_so_once_a_second() {
    let hub = Hub::default();
    let mut session = authenticated(&hub, 15_000).await;
    let many = vec!["{}"; 5500].join(",");
    let frame = format!(r#"{{"subject":"agent.heartbeats","data":[{many}]}}"#);
    for _ in 0..2 {
        session.frame(frame.as_bytes()).await;
    }
    for _ in 0..20 {
        session.frame(br#"{"subject":"agent.heartbeat","data":{}}"#).await;
    }
    let told = session.out.iter().filter(|envelope| matches!(envelope.data, FromHub::Slow { .. })).count();
    assert_eq!(told, 1);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_sends_too_much_waits() {
    let hub = Hub::default();
    let mut session = authenticated(&hub, 15_000).await;
    let many = vec!["{}"; 6000].join(",");
    let frame = format!(r#"{{"subject":"agent.heartbeats","data":[{many}]}}"#);
    session.frame(frame.as_bytes()).await;
    assert!(session.reads() && session.out.is_empty());
    session.mail(session.mailbox().take().await);
    session.out.clear();
    session.frame(frame.as_bytes()).await;
    let Some(FromHub::Slow { retry_after_ms }) = session.out.first().map(|envelope| envelope.data.clone()) else {
        panic!("is not slowed")
    };
    assert_eq!(retry_after_ms, 2000);
    assert!(!session.reads());
    let later = Instant::now() + Duration::from_secs(2);
    assert!(session.deadline() <= later);
    session.tick(later);
    session.mail(session.mailbox().take().await);
    assert!(session.reads() && session.end.is_none());
    let too_many = format!(r#"{{"subject":"agent.heartbeats","data":[{many},{{}}]}}"#);
    session.out.clear();
    session.frame(too_many.as_bytes()).await;
    assert!(matches!(&session.out[0].data, FromHub::Error { code, .. } if code == "too_many"));
}

#[tokio::test]
async fn a_hub_that_does_not_answer_is_not_flooded() {
    let hub = Hub::default();
    hub.state().held = Some(Vec::new());
    let mut session = authenticated(&hub, 15_000).await;
    let frame = format!(r#"{{"subject":"agent.heartbeats","data":[{}]}}"#, vec!["{}"; 4500].join(","));
    session.frame(frame.as_bytes()).await;
    assert!(session.reads());
    session.frame(frame.as_bytes()).await;
    assert!(!session.reads() && session.end.is_none());
    // However long that takes, the agent is not blamed for it.
    session.tick(Instant::now() + Duration::from_secs(10_000));
    assert!(session.end.is_none());
    let held = hub.state().held.take().expect("was set");
    held.into_iter().for_each(|(reply, done)| reply.send(done));
    session.mail(session.mailbox().take().await);
    assert!(session.reads());
    session.tick(Instant::now() + Duration::from_secs(59));
    assert!(session.end.is_none());
}
