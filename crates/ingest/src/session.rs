//! One agent's connection as a machine: frames and mail in, messages out. The socket is left to `socket`.

use crate::acks::{Acks, Entry};
use crate::mailbox::{Closer, Done, Mail, Mailbox};
use crate::plan::Reject;
use crate::port::{Description, Enrol, Refusal, Submission};
use crate::post::{FACTS_LIMIT, facts_json};
use crate::rate::TokenBucket;
use crate::router::Shared;
use crate::understand::{Listener, Mark};
use nightbell_model::{AgentId, Timestamp};
use nightbell_protocol::{
    Auth, DecodeError, Encoding, Envelope, Facts, FromAgent, FromHub, Heartbeat, Limits, Register, TopProcesses,
    decode_from_agent,
};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a connection has to authenticate.
const AUTH_TIMEOUT: Duration = Duration::from_secs(10);
/// Frames that break the protocol, one after the other, before the connection is closed.
const MAX_VIOLATIONS: u32 = 3;
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
        if self.violations >= MAX_VIOLATIONS {
            self.end = Some((code, format!("{MAX_VIOLATIONS} frames that break the protocol")));
        }
    }

    fn say_error(&mut self, code: impl Into<String>, message: impl Into<String>, reply: Option<String>) {
        self.out.push(FromHub::error(code, message, reply).into());
    }

    fn refuse(&mut self, refusal: Refusal, reply: Option<String>) {
        self.say_error(refusal.code, refusal.message, reply);
        self.violation(close::POLICY);
    }

    async fn register(&mut self, register: Register, reply: Option<String>) {
        if self.agent.is_some() {
            return self.say_error("already_authenticated", "this connection has its agent", reply);
        }
        let interval_ms = register.interval_ms;
        let Ok(facts_json) = self.facts(register.facts.as_ref(), &reply) else { return };
        let request = Enrol {
            token: register.token,
            name: register.name,
            hostname: register.hostname,
            ip: register.ip,
            role: register.role,
            version: register.version,
            interval_ms,
            public_key: register.public_key,
            tags: register.tags,
            facts_json,
            remote: self.remote,
        };
        let enrolled = self.shared.port.register(request).await;
        match enrolled {
            Ok(enrolled) => {
                let interval_ms = self.open(enrolled.agent, interval_ms);
                let (agent_id, credential) = (enrolled.agent.to_string(), enrolled.credential);
                let answer = FromHub::Registered { agent_id, credential, interval_s: Some(seconds(interval_ms)) };
                self.out.push(answer.answering(reply));
            }
            Err(refusal) => self.refuse(refusal, reply),
        }
    }

    async fn authenticate(&mut self, auth: Auth, reply: Option<String>) {
        if self.agent.is_some() {
            return self.say_error("already_authenticated", "this connection has its agent", reply);
        }
        let claimed = auth.agent_id.as_deref().map(str::parse::<AgentId>).transpose();
        let Ok(claimed) = claimed else {
            let refusal = Refusal { code: "bad_credential".to_owned(), message: "agent_id is not an id".to_owned() };
            return self.refuse(refusal, reply);
        };
        let Ok(facts_json) = self.facts(auth.facts.as_ref(), &reply) else { return };
        let known = self.shared.port.authenticate(claimed, &auth.credential).await;
        let agent = match known {
            Ok(agent) => agent,
            Err(refusal) => return self.refuse(refusal, reply),
        };
        let interval_ms = self.open(agent, auth.interval_ms);
        if auth.interval_ms.is_some() || auth.version.is_some() || facts_json.is_some() {
            let description =
                Description { interval_ms: auth.interval_ms, version: auth.version, facts_json, ..Description::default() };
            self.shared.port.described(agent, description);
        }
        let server_time = self.shared.port.now().as_millis();
        let answer = FromHub::AuthOk { agent_id: agent.to_string(), interval_s: seconds(interval_ms), server_time };
        self.out.push(answer.answering(reply));
    }

    /// The agent has proved who it is.
    fn open(&mut self, id: AgentId, interval_ms: Option<u64>) -> u64 {
        let interval_ms = interval_ms.unwrap_or_else(|| self.shared.port.interval_ms());
        let connection = self.shared.next_connection();
        self.violations = 0;
        self.last_frame = Instant::now();
        self.agent = Some(Agent {
            id,
            connection,
            listener: self.shared.listener(id),
            bucket: self.shared.bucket(),
            interval: Duration::from_millis(interval_ms),
            last: None,
            on_purpose: false,
            stopping: false,
        });
        self.shared.port.opened(id, connection, Closer::new(Arc::clone(&self.mailbox)));
        interval_ms
    }

    /// The facts as JSON; too many of them are refused by name.
    fn facts(&mut self, facts: Option<&Facts>, reply: &Option<String>) -> Result<Option<String>, ()> {
        let json = facts.map(facts_json);
        if json.as_ref().is_some_and(|json| json.len() > FACTS_LIMIT) {
            self.say_error("too_large", "facts may have 64 KiB", reply.clone());
            return Err(());
        }
        Ok(json)
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
                if let Err(Reject { code, why }) = agent.listener.declare(&schema) {
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
            self.shared.port.described(agent.id, description);
        }
    }

    fn top(&self, top: &TopProcesses, received: Timestamp) {
        let Some(agent) = &self.agent else { return };
        let age = i64::try_from(top.age_ms.unwrap_or(0)).unwrap_or(i64::MAX);
        let json = serde_json::json!({"cpu": top.cpu, "mem": top.mem}).to_string();
        self.shared.port.top_processes(agent.id, received.plus_millis(age.saturating_neg()), json);
    }

    fn heartbeats(&mut self, heartbeats: Vec<Heartbeat>, sent_by: Option<i64>, received: Timestamp) {
        let Some(agent) = &mut self.agent else { return };
        let mut entries = Vec::with_capacity(heartbeats.len());
        let mut heard = Vec::with_capacity(heartbeats.len());
        for heartbeat in &heartbeats {
            let mark = agent.listener.mark(heartbeat.boot_id.as_deref(), heartbeat.seq);
            let refused = match agent.listener.hear(heartbeat, sent_by, received) {
                Ok(one) => {
                    heard.push(one);
                    false
                }
                Err(Reject { code, why }) => {
                    self.out.push(heartbeat_error(code, why, mark.clone()).into());
                    true
                }
            };
            agent.last = Some(mark.clone());
            entries.push(Entry { mark, refused });
        }
        self.charge(heartbeats.len());
        self.send_in(entries, heard);
    }

    fn containers(&mut self, containers: nightbell_protocol::ContainerMetrics, reply: Option<String>, received: Timestamp) {
        let Some(agent) = &mut self.agent else { return };
        let mark = agent.listener.mark(containers.boot_id.as_deref(), containers.seq);
        match agent.listener.hear_containers(containers, agent.last.as_ref(), received) {
            Ok(None) => {}
            Ok(Some(heard)) => {
                self.charge(1);
                self.send_in(vec![Entry { mark, refused: false }], vec![heard]);
            }
            Err(Reject { code, why }) => self.say_error(code, why, reply),
        }
    }

    /// Takes heartbeats off the agent's allowance; what is overdrawn it waits for.
    fn charge(&mut self, count: usize) {
        let Some(agent) = &mut self.agent else { return };
        let wait_ms = agent.bucket.overdraw(count, self.shared.elapsed_ms());
        if wait_ms > 0 {
            self.paused_until = Some(Instant::now() + Duration::from_millis(wait_ms));
            self.out.push(FromHub::Slow { retry_after_ms: wait_ms }.into());
        }
    }

    fn send_in(&mut self, entries: Vec<Entry>, heard: Vec<crate::heard::Heard>) {
        let Some(agent) = &self.agent else { return };
        let agent = agent.id;
        let tag = self.acks.open(entries);
        if heard.is_empty() {
            return self.acknowledge();
        }
        let done = self.mailbox.reply_to(tag);
        self.submit(Submission { agent, heard, done }, None);
    }

    /// Hands heartbeats to the hub, or keeps them until it has room; the agent is told to be patient at most once a second.
    fn submit(&mut self, submission: Submission, tell_again_at: Option<Instant>) {
        let Err(submission) = self.shared.port.submit(submission) else { return };
        let now = Instant::now();
        let patience = Duration::from_millis(PATIENCE_MS);
        let tell_again_at = match tell_again_at {
            Some(at) if at > now => at,
            _ => {
                self.out.push(FromHub::Slow { retry_after_ms: PATIENCE_MS }.into());
                now + patience
            }
        };
        self.held = Some(Held { submission, retry_at: now + RETRY_SUBMIT, tell_again_at });
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
                        self.out.push(heartbeat_error(refused.code, refused.why, refused.mark).into());
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

    fn acknowledge(&mut self) {
        let due = self.acks.due();
        if due.is_empty() {
            return;
        }
        let timestamp = self.shared.port.now().as_millis();
        for Mark { boot, seq } in due {
            let boot_id = boot.map(|boot| boot.0.as_ref().to_owned());
            self.out.push(FromHub::Ack { timestamp, boot_id, seq }.into());
        }
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

fn seconds(interval_ms: u64) -> f64 {
    Duration::from_millis(interval_ms).as_secs_f64()
}

fn heartbeat_error(code: &str, why: String, mark: Mark) -> FromHub {
    let boot_id = mark.boot.map(|boot| boot.0.as_ref().to_owned());
    FromHub::Error { code: code.to_owned(), message: why, reply: None, boot_id, seq: mark.seq }
}
