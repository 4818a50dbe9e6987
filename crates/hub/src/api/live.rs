//! Live data for the UI: one WebSocket with topics, under the same rules as the REST routes.
//!
//! Frames of the whole fleet are made once a second for all listeners together; a listener that cannot keep up loses its
//! connection, not the hub its memory.

mod frames;

use super::access;
use super::extract::Caller;
use super::problem::Problem;
use crate::app::App;
use crate::auth::{Principal, Scope};
use crate::live::Happening;
use crate::server::stopped;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use bytes::Bytes;
use frames::Frames;
use nightbell_model::AgentId;
use nightbell_store::EventQuery;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, watch};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The longest message a listener may send: a list of topics.
const MESSAGE_LIMIT: usize = 16 * 1024;
/// How long a listener may take for one frame.
const SLOW: Duration = Duration::from_secs(10);
/// How many missed events are read back at once on resumption.
const RESUME: usize = 500;
/// A connection that says nothing for so many ticks (seconds) is asked whether it is still there.
const ASK_AFTER: u32 = 30;
/// One that has not answered after so many is gone.
const GONE_AFTER: u32 = 90;
/// Read and write buffers of a connection: screens are many and say little.
const BUFFER: usize = 4 << 10;

/// Close codes (RFC 6455, section 7.4, and its registry): going away, policy, try again later.
const GOING_AWAY: u16 = 1001;
const POLICY: u16 = 1008;
const TRY_AGAIN: u16 = 1013;

/// What a connection works with.
#[derive(Debug, Clone)]
struct Door {
    app: Arc<App>,
    frames: Arc<Frames>,
    stop: watch::Receiver<bool>,
}

pub(super) fn routes(app: &Arc<App>, stop: watch::Receiver<bool>) -> OpenApiRouter<Arc<App>> {
    let frames = Frames::start(Arc::clone(app), stop.clone());
    let door = Door { app: Arc::clone(app), frames, stop };
    OpenApiRouter::new().routes(routes!(connect)).layer(axum::Extension(door))
}

/// What a listener asks for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subscription {
    subscribe: Vec<String>,
    #[serde(default)]
    after: Option<u64>,
}

/// The topics a listener has.
#[derive(Debug, Default)]
struct Topics {
    fleet: bool,
    events: bool,
    metrics: bool,
    agents: BTreeSet<AgentId>,
    /// The last event sent: those read back on resumption may come again as they happen.
    seen: u64,
}

/// Opens the live connection
///
/// Send `{"subscribe":["fleet","agent:<id>","events","metrics"],"after":<seq>}`; each new list replaces the one before.
#[utoipa::path(get, path = "/ws", tag = "live", responses((status = 101, description = "Switched to WebSocket")))]
async fn connect(
    axum::Extension(door): axum::Extension<Door>,
    caller: Caller,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|error| Problem::bad_request(format!("this is a WebSocket: {error}")))?;
    let upgrade = upgrade.max_message_size(MESSAGE_LIMIT).max_frame_size(MESSAGE_LIMIT);
    let upgrade = upgrade.read_buffer_size(BUFFER).write_buffer_size(BUFFER);
    Ok(upgrade.on_upgrade(move |socket| listen(socket, door, caller.0)))
}

async fn listen(mut socket: WebSocket, door: Door, who: Principal) {
    let _counted = door.app.measure.websocket();
    let (code, reason) = match converse(&mut socket, &door, &who).await {
        Ok(()) => return,
        Err(end) => end,
    };
    let close = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
    let _gone = tokio::time::timeout(SLOW, socket.send(close)).await;
}

type End = (u16, &'static str);

async fn converse(socket: &mut WebSocket, door: &Door, who: &Principal) -> Result<(), End> {
    let (mut topics, mut events, mut ticks) = (Topics::default(), door.app.live.listen(), door.frames.listen());
    let (mut stop, mut quiet) = (door.stop.clone(), 0);
    loop {
        tokio::select! {
            () = stopped(&mut stop) => return Err((GOING_AWAY, "the hub stops")),
            message = socket.recv() => {
                quiet = 0;
                match message {
                    Some(Ok(Message::Text(text))) => subscribe(socket, door, who, &mut topics, &text).await?,
                    Some(Ok(Message::Binary(_))) => say(socket, &frames::error("send text frames")).await?,
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(()),
                }
            }
            happening = events.recv() => match happening {
                Ok(Happening::Event(event)) if topics.events && event.seq > topics.seen => {
                    topics.seen = event.seq;
                    say(socket, &frames::event(&door.app, &event)).await?;
                }
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => return Err((POLICY, "too slow; connect again and send after")),
                Err(broadcast::error::RecvError::Closed) => return Err((GOING_AWAY, "the hub stops")),
            },
            tick = ticks.recv() => {
                let Ok(tick) = tick else { return Err((POLICY, "too slow")) };
                if !access::still_welcome(&door.app, who) {
                    return Err((POLICY, "logged out"));
                }
                quiet += 1;
                still_there(socket, quiet).await?;
                relay(socket, &topics, &tick).await?;
            }
        }
    }
}

/// Asks a listener that has been quiet for long whether it is still there.
async fn still_there(socket: &mut WebSocket, quiet: u32) -> Result<(), End> {
    if quiet >= GONE_AFTER {
        return Err((GOING_AWAY, "no answer"));
    }
    if quiet.is_multiple_of(ASK_AFTER) {
        return send(socket, Message::Ping(Bytes::new())).await;
    }
    Ok(())
}

/// Hands on what a listener has asked for of one second's frames.
async fn relay(socket: &mut WebSocket, topics: &Topics, tick: &frames::Tick) -> Result<(), End> {
    if topics.fleet
        && let Some(frame) = &tick.fleet
    {
        say(socket, frame).await?;
    }
    if topics.metrics
        && let Some(frame) = &tick.metrics
    {
        say(socket, frame).await?;
    }
    for frame in topics.agents.iter().filter_map(|agent| tick.agents.get(agent)) {
        say(socket, frame).await?;
    }
    Ok(())
}

async fn subscribe(socket: &mut WebSocket, door: &Door, who: &Principal, topics: &mut Topics, text: &str) -> Result<(), End> {
    let wanted: Subscription = match serde_json::from_str(text) {
        Ok(wanted) => wanted,
        Err(error) => return say(socket, &frames::error(&format!("this is no subscription: {error}"))).await,
    };
    let mut next = Topics { seen: topics.seen, ..Topics::default() };
    for topic in &wanted.subscribe {
        match add(&mut next, topic, who, &door.app) {
            Ok(()) => {}
            Err(why) => say(socket, &frames::error(&why)).await?,
        }
    }
    if next.fleet && !topics.fleet {
        say(socket, &frames::whole_fleet(&door.app)).await?;
    }
    for agent in next.agents.difference(&topics.agents) {
        if let Some(frame) = frames::agent(&door.app, *agent) {
            say(socket, &frame).await?;
        }
    }
    if next.metrics && !topics.metrics {
        say(socket, &frames::metrics(&door.app)).await?;
    }
    if next.events
        && let Some(after) = wanted.after
    {
        next.seen = resume(socket, door, after).await?;
    }
    *topics = next;
    Ok(())
}

fn add(topics: &mut Topics, topic: &str, who: &Principal, app: &App) -> Result<(), String> {
    let (name, id) = topic.split_once(':').unwrap_or((topic, ""));
    let need = match (name, id) {
        ("events", "") => Scope::AlertsRead,
        ("fleet" | "metrics", "") | ("agent" | "agent-log", _) => Scope::MetricsRead,
        _ => return Err(format!("there is no topic {topic:?}; topics are fleet, agent:<id>, events, metrics")),
    };
    if !who.may(need) {
        return Err(format!("{topic} needs the scope {}", need.name()));
    }
    match name {
        "fleet" => topics.fleet = true,
        "events" => topics.events = true,
        "metrics" => topics.metrics = true,
        "agent" => {
            let id = id.parse().ok().filter(|id| app.registry.read().agents.contains_key(id));
            topics.agents.insert(id.ok_or_else(|| format!("{topic}: there is no such agent"))?);
        }
        _ => return Err("agents do not send their log yet".to_owned()),
    }
    Ok(())
}

/// Sends the events that a listener missed; the last one's place.
async fn resume(socket: &mut WebSocket, door: &Door, mut after: u64) -> Result<u64, End> {
    loop {
        let query = EventQuery { after: Some(after), limit: RESUME, ..EventQuery::default() };
        let Ok(missed) = door.app.read_state(move |store| store.events(&query)).await else {
            return Err((TRY_AGAIN, "missed events cannot be read now; connect again and send after"));
        };
        for event in &missed.items {
            after = event.seq;
            say(socket, &frames::event(&door.app, event)).await?;
        }
        if missed.items.len() < RESUME {
            return Ok(after);
        }
    }
}

async fn say(socket: &mut WebSocket, frame: &Arc<str>) -> Result<(), End> {
    send(socket, Message::Text(frame.as_ref().into())).await
}

async fn send(socket: &mut WebSocket, message: Message) -> Result<(), End> {
    match tokio::time::timeout(SLOW, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_gone)) => Err((GOING_AWAY, "")),
        Err(_slow) => Err((POLICY, "too slow")),
    }
}
