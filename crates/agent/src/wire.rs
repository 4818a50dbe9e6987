//! The way to the hub: connects, introduces the agent, carries orders there and events back, and comes again when it is lost.
//!
//! What to send and when is decided by the courier; this shell only knows how. Two transports give the same events.

mod dial;
mod encode;
mod http;
mod introduce;
mod websocket;

use crate::backoff::Backoff;
use crate::buffer::Parcel;
use crate::clock::Moment;
use crate::collect::Top;
use crate::config::{AgentConfig, Transport};
use crate::endpoint::Endpoint;
use crate::error::AgentError;
use crate::sheet::Gap;
use crate::state;
use dial::Dialer;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{Receiver, Sender};

/// What the agent wants sent.
#[derive(Debug)]
pub(crate) enum Order {
    /// Heartbeats, oldest first.
    Beats(Parcel),
    /// The host has changed: another address, other gaps.
    Describe(About),
    /// The processes that use most.
    Top(Top),
    /// Nothing comes from the hub any more: connect anew.
    HangUp,
    /// The agent ends: say so and close.
    Stop,
}

/// What can change in the description of a host while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct About {
    /// The address from which the hub is reached.
    pub(crate) ip: Option<IpAddr>,
    /// What could not be read.
    pub(crate) gaps: Vec<Gap>,
}

/// What happened on the way.
#[derive(Debug)]
pub(crate) enum Event {
    /// The hub accepts heartbeats.
    Up(Up),
    /// It does not any more.
    Down,
    /// A single heartbeat of this size was sent.
    Sent(u64),
    /// Heartbeats are durable.
    Acknowledged {
        /// Of which process; an old hub does not say.
        boot_id: Option<String>,
        /// Up to which number.
        seq: Option<u64>,
        /// The host's clock minus the hub's in milliseconds, if the hub told its time.
        clock_offset_ms: Option<i64>,
    },
    /// The hub asks for patience.
    Slow(u64),
    /// The hub wants to know the processes that use most.
    TopRequested,
    /// The hub said anything at all.
    Heard,
}

/// A connection that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Up {
    /// Who this agent is.
    pub(crate) agent_id: String,
    /// Our end and the hub's.
    pub(crate) local: Option<IpAddr>,
    /// The hub's address and port.
    pub(crate) peer: Option<std::net::SocketAddr>,
    /// The host's clock minus the hub's in milliseconds, if the hub told its time.
    pub(crate) clock_offset_ms: Option<i64>,
}

/// How a connection ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// We wanted it so.
    Stopped,
    /// It broke, or was never made; the hub may have said when to come again.
    Lost { why: String, retry_after: Option<Duration> },
    /// The hub does not know our credential.
    Refused { code: String, message: String },
    /// There is nothing that trying again could mend.
    Fatal(AgentError),
}

impl Ended {
    fn lost(why: impl std::fmt::Display) -> Self {
        Self::Lost { why: why.to_string(), retry_after: None }
    }
}

/// What every connection needs.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) config: Arc<AgentConfig>,
    pub(crate) endpoint: Endpoint,
    pub(crate) dialer: Dialer,
    pub(crate) boot_id: String,
    pub(crate) orders: Receiver<Order>,
    pub(crate) events: Sender<Event>,
    /// Whether the token is to be used though there is a credential: the hub does not know it any more.
    pub(crate) enrol_again: bool,
    /// Whether the hub ever accepted us, now or in an earlier life: then a refusal may be the hub's trouble and not ours.
    pub(crate) known: bool,
    up_since: Option<Moment>,
    /// The hub has asked for patience until then.
    quiet_until: Option<Instant>,
}

impl Link {
    /// A link that is not connected yet.
    pub(crate) fn new(
        config: Arc<AgentConfig>,
        endpoint: Endpoint,
        boot_id: String,
        orders: Receiver<Order>,
        events: Sender<Event>,
    ) -> Result<Self, AgentError> {
        let known = state::load(&config.state)?.is_some();
        if !known && config.token.is_none() {
            let mend = "give an enrolment token with --token (on the hub: nightbell enroll create)";
            return Err(AgentError::config("--token", "this agent is not enrolled and has no enrolment token", mend));
        }
        let dialer = Dialer::new(&endpoint, config.ca_file.as_deref())?;
        Ok(Self {
            config,
            endpoint,
            dialer,
            boot_id,
            orders,
            events,
            enrol_again: false,
            known,
            up_since: None,
            quiet_until: None,
        })
    }

    /// Connects again and again until told to stop.
    pub(crate) async fn run(mut self) -> Result<(), AgentError> {
        let mut backoff = Backoff::new(i64::try_from(self.config.reconnect_max.as_millis()).unwrap_or(60_000));
        loop {
            let ended = match self.config.transport {
                Transport::WebSocket => websocket::session(&mut self).await,
                Transport::Http => http::session(&mut self).await,
            };
            let lasted = self.up_since.take().map_or(0, |since| Moment::now().boot_ms - since.boot_ms);
            backoff.lost(lasted);
            self.tell(Event::Down).await;
            let wait_ms = match ended {
                Ended::Stopped => return Ok(()),
                Ended::Fatal(error) => return Err(error),
                Ended::Lost { why, retry_after } => {
                    let asked = retry_after.map_or(0, |wait| i64::try_from(wait.as_millis()).unwrap_or(0));
                    let wait_ms = backoff.wait_ms(chance()).max(asked);
                    tracing::warn!(
                        hub = self.endpoint.authority(),
                        why,
                        wait_ms,
                        "no connection to the hub; heartbeats are kept"
                    );
                    wait_ms
                }
                Ended::Refused { code, message } => self.refused(&backoff, &code, &message),
            };
            if !self.pause(Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0))).await {
                return Ok(());
            }
        }
    }

    /// The hub accepts heartbeats. Orders from before belong to an earlier connection.
    pub(crate) async fn up(&mut self, up: Up) -> Option<Ended> {
        while let Ok(order) = self.orders.try_recv() {
            if matches!(order, Order::Stop) {
                return Some(Ended::Stopped);
            }
        }
        tracing::info!(hub = self.endpoint.authority(), agent_id = up.agent_id, "connected");
        (self.known, self.enrol_again, self.up_since, self.quiet_until) = (true, false, Some(Moment::now()), None);
        self.tell(Event::Up(up)).await;
        None
    }

    /// The hub asks for patience. Heartbeats that are on their way here already would overtake those it did not take, so they
    /// are dropped until then: the courier sends them all again, in order.
    async fn slow_down(&mut self, retry_after_ms: u64) {
        self.quiet_until = Instant::now().checked_add(Duration::from_millis(retry_after_ms));
        self.tell(Event::Slow(retry_after_ms)).await;
    }

    /// Whether the hub wants no heartbeats now.
    fn is_quiet(&self) -> bool {
        self.quiet_until.is_some_and(|until| Instant::now() < until)
    }

    /// Reports an event; the agent's end is gone only when everything ends.
    pub(crate) async fn tell(&self, event: Event) {
        let _gone = self.events.send(event).await;
    }

    /// What to do without a credential that works: take the token if there is one, else keep trying now and then.
    fn refused(&mut self, backoff: &Backoff, code: &str, message: &str) -> i64 {
        let wait_ms = backoff.long_wait_ms(chance());
        if self.config.token.is_some() && !self.enrol_again {
            tracing::warn!(code, message, "the hub does not accept the credential; enrolling again");
            self.enrol_again = true;
            return backoff.wait_ms(chance());
        }
        self.enrol_again = false;
        tracing::error!(code, message, wait_ms, "the hub does not accept this agent; give it a new enrolment token with --token");
        wait_ms
    }

    /// Waits; says whether to go on. Orders that come meanwhile are for a connection that is not there.
    async fn pause(&mut self, wait: Duration) -> bool {
        let end = tokio::time::sleep(wait);
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => return true,
                order = self.orders.recv() => match order {
                    None | Some(Order::Stop) => return false,
                    Some(Order::Beats(_) | Order::Describe(_) | Order::Top(_) | Order::HangUp) => {}
                }
            }
        }
    }
}

/// Whether the hub's refusal may pass by itself.
pub(crate) fn may_pass(code: &str) -> bool {
    matches!(
        code,
        "unavailable" | "internal" | "slow_down" | "rate_limited" | "too_many_requests" | "timeout" | "busy" | "shutting_down"
    )
}

/// A random number; where the system has none, the clock's last digits do for spreading waits.
pub(crate) fn chance() -> u64 {
    getrandom::u64().unwrap_or_else(|_none| Moment::now().awake_ns.cast_unsigned())
}
