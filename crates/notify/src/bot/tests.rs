//! A bot against a double of Discord's gateway and API that checks what Discord checks, through serenity's own connection.

use super::*;
use crate::notification::NoticeWord;
use crate::notifier::NotifierOptions;
use crate::testing::double::{Double, Received, Reply};
use crate::testing::{channel, message, notification, notifier_with, vendors};
use futures_util::{SinkExt as _, StreamExt as _};
use std::time::Instant;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;

const TOKEN: &str = "CANARY.bot.token";
const INCIDENT: &str = "01KANB0000000000000000000A";

/// Remembers what was pressed.
#[derive(Debug, Default)]
struct Pressing {
    pressed: Mutex<Vec<Press>>,
}

impl Buttons for Pressing {
    fn press(&self, press: Press) -> Pressed<'_> {
        let said = format!("{:?} by {} <@1> @everyone", press.action, press.by);
        self.pressed.lock().unwrap().push(press);
        Box::pin(async { said })
    }
}

/// A Discord of one guild: its API, its gateway, and what the bot said to the gateway.
struct Discord {
    api: Double,
    heard: mpsc::UnboundedReceiver<Value>,
    /// Presses to dispatch, and whether to break the connection after one.
    press: mpsc::UnboundedSender<(Value, bool)>,
    answered: Arc<Notify>,
}

impl Discord {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gateway = format!("ws://{}", listener.local_addr().unwrap());
        let answered = Arc::new(Notify::new());
        let (at, wakes) = (gateway.clone(), Arc::clone(&answered));
        let api = Double::start(move |request| {
            let reply = api(request, &at);
            if request.method == "PATCH" && request.path.ends_with("/@original") {
                wakes.notify_one();
            }
            reply
        })
        .await;
        let ((said, heard), (press, presses)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        tokio::spawn(serve(listener, gateway, said, presses));
        Self { api, heard, press, answered }
    }

    fn notifier(&self) -> Notifier {
        notifier_with(NotifierOptions { discord_base: self.api.url.to_string(), ..Default::default() })
    }

    /// The body of the callback and of the answer, in the order they came.
    fn answers(&self) -> Vec<Received> {
        self.api.received().into_iter().filter(|request| request.method != "GET").collect()
    }
}

fn api(request: &Received, gateway: &str) -> Reply {
    let refuse = |why: &str| Reply::of(400, &json!({"code": 50035, "message": why}).to_string());
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/api/v10/gateway") => {
            Reply::of(200, &json!({"url": gateway}).to_string()).with("content-type", "application/json")
        }
        ("POST", "/api/v10/channels/42/messages") if request.headers["authorization"] != format!("Bot {TOKEN}") => {
            Reply::of(401, "{}")
        }
        ("POST", "/api/v10/channels/42/messages") => match vendors::discord_bot_payload(&request.json()) {
            Ok(()) => Reply::of(200, "{\"id\":\"1001\",\"channel_id\":\"42\",\"attachments\":[]}"),
            Err(why) => refuse(&why),
        },
        ("POST", path) if path.starts_with("/api/v10/interactions/") && path.ends_with("/interaction-token/callback") => {
            // Deferred and for the presser alone; a deferred answer has no words yet.
            if request.json() == json!({"type": 5, "data": {"flags": 64}}) { Reply::of(204, "") } else { refuse("callback") }
        }
        ("PATCH", "/api/v10/webhooks/7/interaction-token/messages/@original") => {
            let body = request.json();
            let text = body["content"].as_str().unwrap_or_default();
            let fits = (1..=2_000).contains(&text.encode_utf16().count()) && body["allowed_mentions"]["parse"] == json!([]);
            if fits { Reply::of(200, "{}") } else { refuse("content") }
        }
        _ => Reply::of(404, "{}"),
    }
}

/// The gateway (<https://discord.com/developers/docs/events/gateway>): hello, identify or resume, heartbeats, dispatches.
async fn serve(
    listener: TcpListener,
    url: String,
    said: mpsc::UnboundedSender<Value>,
    mut presses: mpsc::UnboundedReceiver<(Value, bool)>,
) {
    let mut sequence = 0;
    while let Ok((stream, _)) = listener.accept().await {
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        send(&mut socket, json!({"op": 10, "d": {"heartbeat_interval": 41_250}})).await;
        let opened = loop {
            let Some(frame) = next(&mut socket).await else { break None };
            match frame["op"].as_u64() {
                Some(1) => send(&mut socket, json!({"op": 11})).await,
                Some(2 | 6) => break Some(frame),
                _ => {}
            }
        };
        let Some(opened) = opened else { continue };
        let is_new = opened["op"] == 2;
        said.send(opened.clone()).unwrap();
        // Discord takes a bot's token with and without the word before it.
        let token = opened["d"]["token"].as_str().unwrap_or_default();
        if token.strip_prefix("Bot ").unwrap_or(token) != TOKEN {
            let frame = tokio_tungstenite::tungstenite::protocol::CloseFrame {
                code: 4004.into(),
                reason: "Authentication failed".into(),
            };
            socket.close(Some(frame)).await.unwrap();
            continue;
        }
        sequence += 1;
        let (name, data) = if is_new { ("READY", ready(&url)) } else { ("RESUMED", json!({"_trace": []})) };
        send(&mut socket, json!({"op": 0, "t": name, "s": sequence, "d": data})).await;
        loop {
            tokio::select! {
                frame = next(&mut socket) => match frame {
                    Some(frame) if frame["op"] == 1 => send(&mut socket, json!({"op": 11})).await,
                    Some(_) => {}
                    None => {
                        said.send(json!("closed")).unwrap();
                        break;
                    }
                },
                press = presses.recv() => {
                    let Some((press, breaks)) = press else { return };
                    sequence += 1;
                    send(&mut socket, json!({"op": 0, "t": "INTERACTION_CREATE", "s": sequence, "d": press})).await;
                    if breaks {
                        break;
                    }
                }
            }
        }
    }
}

async fn send(socket: &mut WebSocketStream<TcpStream>, value: Value) {
    socket.send(Frame::text(value.to_string())).await.unwrap();
}

async fn next(socket: &mut WebSocketStream<TcpStream>) -> Option<Value> {
    loop {
        match socket.next().await? {
            Ok(Frame::Text(text)) => return serde_json::from_str(&text).ok(),
            Ok(Frame::Close(_)) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

fn ready(url: &str) -> Value {
    json!({"v": 10, "user": user("9", "nightbell", true), "guilds": [], "session_id": "s1", "resume_gateway_url": url,
           "shard": [0, 1], "application": {"id": "7", "flags": 0}})
}

fn user(id: &str, name: &str, bot: bool) -> Value {
    json!({"id": id, "username": name, "discriminator": "0", "global_name": null, "avatar": null, "bot": bot})
}

/// A press as Discord sends it.
fn pressed(id: &str, custom_id: &str, channel: &str, is_member: bool) -> Value {
    let author = user("9", "nightbell", true);
    let mut press = json!({
        "id": id, "application_id": "7", "type": 3, "token": "interaction-token", "version": 1, "guild_id": "77", "channel_id": channel,
        "data": {"custom_id": custom_id, "component_type": 2}, "locale": "de", "guild_locale": "en-US", "entitlements": [],
        "authorizing_integration_owners": {"0": "77"}, "context": 0, "app_permissions": "0", "attachment_size_limit": 10_485_760,
        "message": {"id": "1001", "channel_id": channel, "author": author, "content": "page", "timestamp": "2026-11-22T02:09:05.000000+00:00",
            "edited_timestamp": null, "tts": false, "mention_everyone": false, "mentions": [], "mention_roles": [], "attachments": [],
            "embeds": [], "pinned": false, "type": 0, "components": []},
    });
    if is_member {
        press["member"] = json!({"user": user("5", "ana", false), "nick": "Ana\nB", "avatar": null, "roles": [],
            "joined_at": "2020-01-01T00:00:00.000000+00:00", "premium_since": null, "deaf": false, "mute": false, "flags": 0,
            "pending": false, "permissions": "0", "communication_disabled_until": null});
    } else {
        press["user"] = user("5", "ana", false);
    }
    press
}

fn config() -> ChannelConfig {
    channel("discord", &json!({"bot_token": TOKEN, "channel_id": "42", "allow_private": true}))
}

/// Presses each in turn and waits for its answer; what was asked for, and what the presser read.
async fn press_all(presses: Vec<Value>) -> (Vec<Press>, Vec<String>) {
    let mut discord = Discord::start().await;
    let (notifier, buttons) = (discord.notifier(), Arc::new(Pressing::default()));
    let bot = DiscordBot::all([&config()]).remove(0);
    let ear: Arc<dyn Buttons> = Arc::clone(&buttons) as _;
    let running = tokio::spawn(async move { bot.run(&notifier, ear).await });
    let identify = discord.heard.recv().await.unwrap();
    assert_eq!((&identify["op"], &identify["d"]["intents"]), (&json!(2), &json!(0)), "it asks for no messages");
    for press in presses {
        let begun = Instant::now();
        discord.press.send((press, false)).unwrap();
        discord.answered.notified().await;
        assert!(begun.elapsed() < Duration::from_secs(3), "Discord waits 3 s for the first answer");
    }
    running.abort();
    assert_eq!(discord.heard.recv().await, Some(json!("closed")), "a bot that is not wanted any more leaves");
    let answers = discord.answers();
    assert!(
        answers.iter().zip(["POST", "PATCH"].iter().cycle()).all(|(request, method)| request.method == *method),
        "{answers:?}"
    );
    let said = answers
        .iter()
        .filter(|request| request.method == "PATCH")
        .map(|request| request.json()["content"].as_str().unwrap().to_owned());
    let pressed = buttons.pressed.lock().unwrap().clone();
    (pressed, said.collect())
}

#[tokio::test]
async fn a_press_is_done_and_answered_to_the_presser_alone() {
    let press = |id: &str, action: Action| pressed(id, &action.custom_id(INCIDENT), "42", true);
    let (pressed, said) = press_all(vec![press("501", Action::Acknowledge), press("502", Action::SilenceHour)]).await;
    let expected = |action| Press { action, incident_id: INCIDENT.to_owned(), by: "Ana B (Discord)".to_owned() };
    assert_eq!(pressed, [expected(Action::Acknowledge), expected(Action::SilenceHour)]);
    assert_eq!(said[0], "Acknowledge by Ana B (Discord) \\<@1> @everyone", "said, but mentioning nobody");
}

#[tokio::test]
async fn who_is_not_of_the_channel_may_press_nothing() {
    let ack = Action::Acknowledge.custom_id(INCIDENT);
    let (done, said) = press_all(vec![pressed("501", &ack, "43", true), pressed("502", &ack, "42", false)]).await;
    assert_eq!((done, said.len()), (Vec::new(), 2));
    assert!(said[0].contains("another channel") && said[1].contains("Only members"), "{said:?}");
}

#[tokio::test]
async fn a_press_that_comes_again_after_a_lost_connection_counts_once() {
    let mut discord = Discord::start().await;
    let (notifier, buttons) = (discord.notifier(), Arc::new(Pressing::default()));
    let bot = DiscordBot::all([&config()]).remove(0);
    let ear: Arc<dyn Buttons> = Arc::clone(&buttons) as _;
    let running = tokio::spawn(async move { bot.run(&notifier, ear).await });
    assert_eq!(discord.heard.recv().await.unwrap()["op"], 2);
    let press = |id: &str| pressed(id, &Action::Acknowledge.custom_id(INCIDENT), "42", true);
    discord.press.send((press("501"), true)).unwrap();
    discord.answered.notified().await;
    let resumed = discord.heard.recv().await.unwrap();
    assert_eq!((&resumed["op"], &resumed["d"]["session_id"]), (&json!(6), &json!("s1")), "it goes on where the connection broke");
    discord.press.send((press("501"), false)).unwrap();
    discord.press.send((press("502"), false)).unwrap();
    discord.answered.notified().await;
    assert_eq!(buttons.pressed.lock().unwrap().len(), 2, "501 once, and 502");
    running.abort();
}

#[tokio::test]
async fn a_token_that_is_none_ends_it_and_is_not_shown() {
    let discord = Discord::start().await;
    let wrong = channel("discord", &json!({"bot_token": "CANARY.wrong", "channel_id": "42", "allow_private": true}));
    let bot = DiscordBot::all([&wrong]).remove(0);
    let ended = bot.run(&discord.notifier(), Arc::new(Pressing::default())).await;
    let error = ended.unwrap_err();
    assert!(!format!("{error} {error:?} {bot:?}").contains("CANARY"), "{error:?} {bot:?}");
}

#[test]
fn the_doubles_press_is_one() {
    for is_member in [true, false] {
        let press = pressed("501", &Action::Acknowledge.custom_id(INCIDENT), "42", is_member);
        let read: Interaction = serde_json::from_value(press).unwrap();
        assert!(matches!(read, Interaction::Component(component) if component.member.is_some() == is_member));
    }
    let _: Ready = serde_json::from_value(ready("ws://127.0.0.1:1")).unwrap();
}

#[test]
fn one_bot_listens_for_all_channels_of_its_token() {
    let with = |token: &str, id: &str| channel("discord", &json!({"bot_token": token, "channel_id": id}));
    let hook = channel("discord", &json!({"webhook_url": "https://discord.com/api/webhooks/1/t"}));
    let bots = DiscordBot::all(&[with("a", "1"), with("b", "2"), hook, with("a", "3")]);
    let channels: Vec<Vec<&str>> = bots.iter().map(|bot| bot.channels.iter().map(String::as_str).collect()).collect();
    assert_eq!(channels, [vec!["1", "3"], vec!["2"]]);
}

#[tokio::test]
async fn its_pages_have_buttons_while_something_is_the_matter() {
    let discord = Discord::start().await;
    for (kind, labels) in [
        (NoticeWord::Fired, vec!["Acknowledge", "Silence 1 h", "Open the incident"]),
        (NoticeWord::NodataStart, vec!["Silence 1 h", "Open the incident"]),
        (NoticeWord::Acked, vec!["Silence 1 h", "Open the incident"]),
        (NoticeWord::Resolved, vec!["Open the incident"]),
        (NoticeWord::Test, vec!["Open Nightbell"]),
    ] {
        let page = notification(kind);
        let report = discord.notifier().deliver(&config(), message(&page)).await;
        assert!(matches!(report.outcome, Outcome::Sent { .. }), "{report:?}");
        let body = discord.api.received().last().unwrap().json();
        let buttons = body["components"][0]["components"].as_array().unwrap().clone();
        assert_eq!(buttons.iter().map(|button| button["label"].as_str().unwrap()).collect::<Vec<_>>(), labels);
    }
}
