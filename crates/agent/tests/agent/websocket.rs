//! The agent against a hub over a real WebSocket: enrolment, order, repetition, patience, the end.

use crate::common::{Conversation, Hub, ID, config, run, within};
use nightbell_agent::{AgentConfig, AgentError, Encoding, has_credential};
use nightbell_protocol::{FromAgent, FromHub, Stopping};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

#[tokio::test]
async fn enrols_once_sends_rates_after_a_second_and_says_goodbye() {
    let (hub, state) = (Hub::start().await, tempfile::tempdir().unwrap());
    let mut agent = run(AgentConfig {
        name: Some("db-01".into()),
        tags: vec!["db".into()],
        ..config(&hub.url(), state.path(), Some("nb_enr_token"))
    });
    let mut conversation = hub.accept().await;
    assert_eq!((conversation.path.as_str(), conversation.encoding), ("/api/v1/agents/connect", Encoding::Cbor));
    let FromAgent::Register(register) = conversation.welcome().await else { panic!("the first start enrols") };
    assert_eq!((register.token.as_str(), register.name.as_deref()), ("nb_enr_token", Some("db-01")));
    assert_eq!(
        (register.interval_ms, register.ip.as_deref(), register.tags),
        (Some(1000), Some("127.0.0.1"), vec!["db".to_owned()])
    );
    let facts = register.facts.unwrap().0;
    assert!(facts.contains_key("kernel_boot_id") && facts.contains_key("cores"));

    let first = conversation.heartbeats().await;
    assert_eq!((first.len(), first[0].seq), (1, Some(1)));
    assert!(first[0].age_ms.is_some_and(|age| (0..5_000).contains(&age)));
    assert!(conversation.value(&first[0], "mem.used_bytes").is_some_and(|used| used > 0.0));
    assert_eq!(conversation.value(&first[0], "cpu.usage_percent"), None, "no rate yet");
    conversation.acknowledge(&first).await;
    let second = conversation.heartbeats().await;
    assert_eq!(second[0].seq, Some(2));
    assert!(conversation.value(&second[0], "cpu.usage_percent").is_some_and(|usage| (0.0..=100.0).contains(&usage)));
    // The hub of the tests lives in November 2026.
    assert!(conversation.value(&second[0], "clock.offset_seconds").is_some_and(|offset| offset > 0.0));
    assert_eq!(conversation.schemas.len(), 1, "the names are sent once");
    conversation.acknowledge(&second).await;
    let file = state.path().join("credential.json");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(has_credential(state.path()));

    agent.stop();
    let mut goodbye = None;
    let mut last = 2;
    while let Some(envelope) = conversation.next().await {
        match envelope.data {
            FromAgent::Heartbeat(beat) => {
                assert!(goodbye.is_none(), "the last heartbeat comes before the goodbye");
                last = beat.seq.unwrap();
                conversation.acknowledge(&[beat]).await;
            }
            FromAgent::Stopping(stopping) => goodbye = Some(stopping),
            _ => {}
        }
    }
    assert!(last >= 3, "a last heartbeat was taken");
    assert_eq!(goodbye, Some(Stopping { on_purpose: true }));
    drop(conversation);
    agent.ended().await.unwrap();

    let mut again = run(config(&hub.url(), state.path(), None));
    let mut conversation = hub.accept().await;
    let FromAgent::Auth(auth) = conversation.welcome().await else { panic!("later starts authenticate") };
    assert_eq!((auth.agent_id.as_deref(), auth.credential.as_str()), (Some(ID), "nb_agent_secret"));
    let beats = conversation.heartbeats().await;
    assert_ne!(beats[0].boot_id, first[0].boot_id, "every process has its own name");
    again.stop();
    conversation.close().await;
    again.ended().await.unwrap();
}

#[tokio::test]
async fn what_was_not_confirmed_comes_again_in_order_with_its_own_time_and_live_ones_follow() {
    let (hub, state) = (Hub::start().await, tempfile::tempdir().unwrap());
    let _agent = run(config(&hub.url(), state.path(), Some("t")));
    let mut conversation = hub.accept().await;
    conversation.welcome().await;
    let unconfirmed = conversation.heartbeats().await;
    drop(conversation);
    let address = hub.address;
    drop(hub);
    // The hub is away for a few heartbeats of this agent.
    tokio::time::sleep(std::time::Duration::from_millis(3_500)).await;
    let hub = Hub::at(address).await;
    let mut conversation = hub.accept().await;
    assert!(matches!(conversation.welcome().await, FromAgent::Auth(_)));
    let replay = conversation.heartbeats().await;
    let numbers: Vec<u64> = replay.iter().filter_map(|beat| beat.seq).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    assert!(numbers.len() >= 3, "{numbers:?}");
    assert_eq!(replay[0].boot_id, unconfirmed[0].boot_id);
    let ages: Vec<i64> = replay.iter().filter_map(|beat| beat.age_ms).collect();
    assert!(ages.windows(2).all(|pair| pair[0] > pair[1]) && ages[0] >= 3_000, "{ages:?}");
    conversation.acknowledge(&replay).await;
    let mut live = conversation.heartbeats().await;
    assert_eq!(live[0].seq, Some(numbers.len() as u64 + 1), "nothing is skipped and nothing comes twice");
    conversation.acknowledge(&live).await;
    live = conversation.heartbeats().await;
    assert_eq!(conversation.value(live.last().unwrap(), "agent.reconnects"), Some(1.0));
    assert_eq!(conversation.value(live.last().unwrap(), "agent.buffered_beats"), Some(0.0));
}

#[tokio::test]
async fn a_refused_token_ends_the_first_start_with_the_hubs_words() {
    let (hub, state) = (Hub::start().await, tempfile::tempdir().unwrap());
    let agent = run(config(&hub.url(), state.path(), Some("expired")));
    let mut conversation = hub.accept().await;
    conversation.refuse("unavailable").await;
    drop(conversation);
    let mut conversation = hub.accept().await;
    conversation.refuse("bad_token").await;
    let error = agent.ended().await.unwrap_err();
    assert!(matches!(&error, AgentError::Enrolment { code, .. } if code == "bad_token"), "what may pass is tried again: {error}");
    assert_eq!(error.exit_code(), 2);
    assert!(!has_credential(state.path()));
}

#[tokio::test]
async fn without_credential_and_token_there_is_nothing_to_try() {
    let state = tempfile::tempdir().unwrap();
    let error = run(config("ws://127.0.0.1:1", state.path(), None)).ended().await.unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("nightbell enroll create"), "{error}");
}

#[tokio::test]
async fn a_revoked_credential_is_replaced_if_there_is_a_token() {
    let (hub, state) = (Hub::start().await, tempfile::tempdir().unwrap());
    let _agent = run(config(&hub.url(), state.path(), Some("t")));
    let mut conversation = hub.accept().await;
    conversation.welcome().await;
    drop(conversation);
    let mut conversation = hub.accept().await;
    assert!(matches!(conversation.refuse("bad_credential").await, FromAgent::Auth(_)));
    drop(conversation);
    let mut conversation = hub.accept().await;
    assert!(matches!(conversation.welcome().await, FromAgent::Register(_)));
    let beats = conversation.heartbeats().await;
    assert_eq!(beats[0].seq, Some(1), "what was measured meanwhile is not lost");
}

#[tokio::test]
async fn a_hub_that_asks_for_patience_gets_it_and_questions_are_answered() {
    let (hub, state) = (Hub::start().await, tempfile::tempdir().unwrap());
    let _agent = run(AgentConfig { encoding: Encoding::Json, ..config(&hub.url(), state.path(), Some("t")) });
    let mut conversation = hub.accept().await;
    assert_eq!(conversation.encoding, Encoding::Json);
    conversation.welcome().await;
    let beats = conversation.heartbeats().await;
    let asked = std::time::Instant::now();
    conversation.say(FromHub::Slow { retry_after_ms: 1_500 }, None).await;
    let again = conversation.heartbeats().await;
    assert!(asked.elapsed() >= std::time::Duration::from_millis(1_450), "{:?}", asked.elapsed());
    assert_eq!(again[0].seq, beats[0].seq, "what was not confirmed is sent again");
    conversation.acknowledge(&again).await;
    conversation.say(FromHub::TopRequest, None).await;
    let top = loop {
        match conversation.next().await.unwrap().data {
            FromAgent::Top(top) => break top,
            FromAgent::Heartbeat(beat) => conversation.acknowledge(&[beat]).await,
            _ => {}
        }
    };
    assert!(top.age_ms.is_some() && (1..=5).contains(&top.mem.len()) && top.mem[0].rss_bytes > 0);
}

/// What the agent says of its processes next; heartbeats on the way are acknowledged.
async fn next_top(conversation: &mut Conversation) -> nightbell_protocol::TopProcesses {
    loop {
        match conversation.next().await.unwrap().data {
            FromAgent::Top(top) => return top,
            FromAgent::Heartbeat(beat) => conversation.acknowledge(&[beat]).await,
            _ => {}
        }
    }
}

#[tokio::test]
async fn each_connection_begins_with_what_the_host_is_busy_with() {
    let (hub, state) = (Hub::start().await, tempfile::tempdir().unwrap());
    let config = AgentConfig { interval: std::time::Duration::from_secs(3), ..config(&hub.url(), state.path(), Some("t")) };
    let _agent = run(config);
    let mut conversation = hub.accept().await;
    conversation.welcome().await;
    let begun = std::time::Instant::now();
    let first = next_top(&mut conversation).await;
    assert!(!first.mem.is_empty() && begun.elapsed() < std::time::Duration::from_secs(20), "not only after a minute");
    drop(conversation);
    let mut conversation = hub.accept().await;
    conversation.welcome().await;
    let again = next_top(&mut conversation).await;
    assert_eq!((&again.cpu, &again.mem), (&first.cpu, &first.mem), "a hub that has just started learns that it may ask");
    assert!(again.age_ms > first.age_ms, "its age is told");
}

#[tokio::test]
async fn gaps_are_named_to_the_hub() {
    let (hub, state) = (Hub::start().await, tempfile::tempdir().unwrap());
    let mut config = config(&hub.url(), state.path(), Some("t"));
    config.roots.proc = state.path().join("nothing");
    let _agent = run(config);
    let mut conversation = hub.accept().await;
    conversation.welcome().await;
    let facts = loop {
        match conversation.next().await.unwrap().data {
            FromAgent::Facts(facts) => break facts,
            FromAgent::Heartbeat(beat) => conversation.acknowledge(&[beat]).await,
            _ => {}
        }
    };
    let gaps = facts.0["gaps"].as_array().unwrap();
    assert!(gaps.iter().any(|gap| gap["source"] == "/proc/stat" && gap["why"] == "is not there"), "{gaps:?}");
}

#[tokio::test]
async fn tls_is_verified_against_the_named_certificate() {
    const TLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls");
    use rustls_pki_types::pem::PemObject;
    use rustls_pki_types::{CertificateDer, PrivateKeyDer};
    let certificate = CertificateDer::from_pem_file(format!("{TLS}/cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(format!("{TLS}/key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
    let (hub, state) = (Hub::start().await, tempfile::tempdir().unwrap());
    let url = format!("wss://localhost:{}", hub.address.port());

    let stranger = run(config(&url, state.path(), Some("t")));
    let (stream, _) = within(hub.listener.accept()).await.unwrap();
    assert!(within(acceptor.accept(stream)).await.is_err(), "an unknown certificate is refused");
    stranger.task.abort();

    let _agent = run(AgentConfig { ca_file: Some(format!("{TLS}/cert.pem").into()), ..config(&url, state.path(), Some("t")) });
    let mut conversation = loop {
        let (stream, _) = within(hub.listener.accept()).await.unwrap();
        if let Ok(stream) = within(acceptor.accept(stream)).await {
            break Conversation::upgrade(stream).await;
        }
    };
    assert!(matches!(conversation.welcome().await, FromAgent::Register(_)));
    assert_eq!(conversation.heartbeats().await[0].seq, Some(1));
}
