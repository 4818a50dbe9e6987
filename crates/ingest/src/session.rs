//! One agent's connection as a machine: frames and mail in, messages out. How it proves who it is stands in `opening`, the
//! socket in `socket`.

mod beats;
mod opening;

use crate::acks::Acks;
use crate::mailbox::{Done, Mail, Mailbox};
use crate::plan::Reject;
use crate::port::{Description, Refusal, Submission};
use crate::rate::TokenBucket;
use crate::router::Shared;
use crate::understand::{Listener, Mark};
use nightbell_model::{AgentId, Timestamp};
use nightbell_protocol::{DecodeError, Encoding, Envelope, FromAgent, FromHub, Limits, TopProcesses, decode_from_agent};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a connection has to authenticate.
const AUTH_TIMEOUT: Duration = Duration::from_secs(10);
/// Frames that break the protocol, one after the other, before the connection of a stranger is closed.
const MAX_VIOLATIONS: u32 = 3;
/// The same for an agent that is known: whoever writes one reads what is wrong with each frame, and guesses no credential.
const MAX_VIOLATIONS_KNOWN: u32 = 30;
/// Heartbeats of one connection that may wait for the hub before no more are read: a whole buffer, and some.
const MAX_WAITING: usize = 8192;
/// How long an agent is asked to be patient when the hub has no room, in milliseconds.
const PATIENCE_MS: u64 = 1000;
/// How soon after a refusal the hub is asked again, while the agent is not read.
const RETRY_SUBMIT: Duration = Duration::from_millis(100);
/// The shortest silence after which a connection is given up, for agents with short intervals.
const MIN_IDLE: Duration = Duration::from_secs(60);
/// What is added to three intervals of silence before a connection is given up.
const IDLE_GRACE: Duration = Duration::from_secs(15);

/// Close codes of RFC 6455, section 7.4.
pub(crate) mod close {
    /// The other side is going away.
    pub(crate) const AWAY: u16 = 1001;
    /// A frame could not be understood.
    pub(crate) const INVALID: u16 = 1007;
    /// A rule was broken.
    pub(crate) const POLICY: u16 = 1008;
    /// A frame was too large.
    pub(crate) const TOO_LARGE: u16 = 1009;
    /// Come back later.
    pub(crate) const TRY_AGAIN: u16 = 1013;
}

/// Who is at the other end.
struct Agent {
    id: AgentId,
    connection: u64,
    listener: Listener,
    bucket: TokenBucket,
    interval: Duration,
    /// The newest heartbeat that came.
    last: Option<Mark>,
    on_purpose: bool,
    stopping: bool,
}

/// A submission that the hub had no room for.
struct Held {
    submission: Submission,
    retry_at: Instant,
    tell_again_at: Instant,
}

pub(crate) struct Session {
    shared: Arc<Shared>,
    encoding: Encoding,
    remote: IpAddr,
    mailbox: Arc<Mailbox>,
    agent: Option<Agent>,
    acks: Acks,
    held: Option<Held>,
    paused_until: Option<Instant>,
    /// Until then the agent need not be told again that it sends too much.
    told_until: Option<Instant>,
    last_frame: Instant,
    violations: u32,
    /// What is to be sent.
    pub(crate) out: Vec<Envelope<FromHub>>,
    /// The connection is to be closed, with this code and reason.
    pub(crate) end: Option<(u16, String)>,
}

impl Session {
    pub(crate) fn new(shared: Arc<Shared>, encoding: Encoding, remote: IpAddr) -> Self {
        Self {
            shared,
            encoding,
            remote,
            mailbox: Mailbox::new(),
            agent: None,
            acks: Acks::default(),
            held: None,
            paused_until: None,
            told_until: None,
            last_frame: Instant::now(),
            violations: 0,
            out: Vec::new(),
            end: None,
        }
    }

    pub(crate) fn mailbox(&self) -> Arc<Mailbox> {
        Arc::clone(&self.mailbox)
    }

    /// Whether the next frame may be read: otherwise the agent waits, and TCP tells it so.
    pub(crate) fn reads(&self) -> bool {
        self.held.is_none() && self.paused_until.is_none() && self.acks.waiting() < MAX_WAITING
    }

    /// When [`Session::tick`] is due.
    pub(crate) fn deadline(&self) -> Instant {
        if self.reads() {
            return self.last_frame + self.agent.as_ref().map_or(AUTH_TIMEOUT, |agent| idle_limit(agent.interval));
        }
        // While the agent is not read its silence is the hub's doing; without a time to go on, mail will come.
        let wakes = [self.paused_until, self.held.as_ref().map(|held| held.retry_at)];
        wakes.into_iter().flatten().min().unwrap_or_else(|| Instant::now() + MIN_IDLE)
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Instant) {
        if self.paused_until.is_some_and(|until| until <= now) {
            self.paused_until = None;
            self.last_frame = now;
        }
        if let Some(held) = self.held.take_if(|held| held.retry_at <= now) {
            self.last_frame = now;
            self.submit(held.submission, Some(held.tell_again_at));
        }
        if !self.reads() || now < self.deadline() {
            return;
        }
        match &self.agent {
            None => self.end = Some((close::POLICY, "not authenticated within 10 s".to_owned())),
            Some(_) => self.end = Some((close::POLICY, "silent for three intervals".to_owned())),
        }
    }

    /// Something came that is no message: the agent is there.
    pub(crate) fn alive(&mut self) {
        if self.agent.is_some() {
            self.last_frame = Instant::now();
        }
    }

    /// A message came.
    pub(crate) async fn frame(&mut self, bytes: &[u8]) {
        self.alive();
        let received = self.shared.port.now();
        match decode_from_agent(self.encoding, bytes, &Limits::FRAME) {
            Ok(Envelope { data: FromAgent::Register(register), reply, .. }) => self.register(register, reply).await,
            Ok(Envelope { data: FromAgent::Auth(auth), reply, .. }) => self.authenticate(auth, reply).await,
            Ok(Envelope { data, reply, timestamp, .. }) => self.message(data, reply, timestamp, received),
            Err(error) => self.bad_frame(error),
        }
    }

    fn bad_frame(&mut self, error: DecodeError) {
        let code = if error.code == "malformed" { close::INVALID } else { close::POLICY };
        self.say_error(error.code, error.message, error.reply);
        self.violation(code);
    }

    fn violation(&mut self, code: u16) {
        self.violations += 1;
        let most = if self.agent.is_some() { MAX_VIOLATIONS_KNOWN } else { MAX_VIOLATIONS };
        if self.violations >= most {
            self.end = Some((code, format!("{most} frames that break the protocol")));
        }
    }

    fn say_error(&mut self, code: impl Into<String>, message: impl Into<String>, reply: Option<String>) {
        self.out.push(FromHub::error(code, message, reply).into());
    }

    fn refuse(&mut self, refusal: Refusal, reply: Option<String>) {
        self.say_error(refusal.code, refusal.message, reply);
        self.violation(close::POLICY);
    }

    /// Everything an agent says once it is known.
    fn message(&mut self, message: FromAgent, reply: Option<String>, sent_by: Option<i64>, received: Timestamp) {
        let Some(agent) = &mut self.agent else {
            let message = "say agent.register or agent.auth first";
            self.say_error("not_authenticated", message, reply);
            return self.violation(close::POLICY);
        };
        self.violations = 0;
        match message {
            FromAgent::Heartbeat(heartbeat) => self.heartbeats(vec![heartbeat], sent_by, received),
            FromAgent::Heartbeats(heartbeats) => self.heartbeats(heartbeats, None, received),
            FromAgent::Schema(schema) => {
                if let Err(Reject { code, why, .. }) = agent.listener.declare(&schema) {
                    self.say_error(code, why, reply);
                }
            }
            FromAgent::Container(containers) => self.containers(containers, reply, received),
            FromAgent::Facts(facts) => {
                if let Ok(facts_json) = self.facts(Some(&facts), &reply) {
                    self.describe(Description { facts_json, ..Description::default() });
                }
            }
            FromAgent::Top(top) => self.top(&top, received),
            FromAgent::Stopping(stopping) => {
                agent.stopping = true;
                agent.on_purpose = stopping.on_purpose;
            }
            FromAgent::Unknown { subject } => {
                self.say_error("unknown_subject", format!("the hub does not know {subject}"), reply);
            }
            FromAgent::Register(_) | FromAgent::Auth(_) => {}
        }
    }

    fn describe(&self, description: Description) {
        if let Some(agent) = &self.agent {
            drop(self.shared.port.described(agent.id, description));
        }
    }

    fn top(&self, top: &TopProcesses, received: Timestamp) {
        let Some(agent) = &self.agent else { return };
        let age = i64::try_from(top.age_ms.unwrap_or(0)).unwrap_or(i64::MAX);
        let json = serde_json::json!({"cpu": top.cpu, "mem": top.mem, "io": top.io}).to_string();
        self.shared.port.top_processes(agent.id, received.plus_millis(age.saturating_neg()), json);
    }

    /// The hub has something to say.
    pub(crate) fn mail(&mut self, mail: Vec<Mail>) {
        if !self.reads() {
            self.alive();
        }
        for one in mail {
            match one {
                Mail::Done { tag, done: Some(Done { answers }) } => {
                    for refused in self.acks.answer(tag, answers) {
                        self.out.push(beats::heartbeat_error(refused.code, refused.why, refused.mark).into());
                    }
                }
                Mail::Done { done: None, .. } => {
                    self.end = Some((
                        close::TRY_AGAIN,
                        "the hub could not store heartbeats: send again what is not acknowledged".to_owned(),
                    ));
                }
                Mail::Close(reason) => {
                    let code = if reason == "shutdown" || reason == "shutting_down" { close::AWAY } else { close::POLICY };
                    self.end = Some((code, reason));
                }
                Mail::Say(message) => self.out.push(message.into()),
            }
        }
        self.acknowledge();
    }

    /// The connection is over; `closed` says that the agent closed it.
    pub(crate) fn finish(&mut self, closed: bool) {
        if let Some(agent) = self.agent.take() {
            let clean = closed || agent.stopping;
            self.shared.port.closed(agent.id, agent.connection, clean, agent.on_purpose);
        }
    }
}

impl Drop for Session {
    /// A task that is dropped or panics has lost its connection, too.
    fn drop(&mut self) {
        self.finish(false);
    }
}

fn idle_limit(interval: Duration) -> Duration {
    interval.saturating_mul(3).saturating_add(IDLE_GRACE).clamp(MIN_IDLE, Duration::from_secs(86_400))
}
