//! The agent's one loop: waits for the next of a heartbeat that is due, a reading that is done, word from the hub, and the end.
//!
//! It owns the schedule and the courier. What is measured and how it travels is left to `collect` and `wire`.

use crate::buffer::Buffer;
use crate::clock::Moment;
use crate::collect::{Dealings, Reading, Top};
use crate::config::AgentConfig;
use crate::courier::{Courier, empty_reading};
use crate::error::AgentError;
use crate::offset::Offset;
use crate::probe::{Done, LIMIT_MS, Probe, Rank, Wanted};
use crate::schedule::Schedule;
use crate::sheet::Gap;
use crate::signals::stop_or_signal;
use crate::state;
use crate::wire::{About, Event, Link, Order, Up, chance};
use nightbell_model::id::Ulid;
use std::collections::VecDeque;
use std::future::Future;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How often the processes are ranked and the host's address is looked at.
const MINUTE_MS: i64 = 60_000;
/// The second pass over the processes follows the first after this, if the hub waits for it.
const SECOND_PASS_MS: i64 = 1_050;
/// How long the end may take while heartbeats wait for the hub's word.
const FLUSH_MS: i64 = 2_000;
/// How long the goodbye may take after that.
const GOODBYE: Duration = Duration::from_millis(700);

/// Measures the host and tells the hub, until `stop` is done (or a signal comes, if the configuration says so).
///
/// Never blocks its runtime: readings are taken on the runtime's blocking threads.
///
/// # Errors
/// If a setting cannot be used, the state folder cannot be written, or the hub refuses the enrolment at the first start. What
/// may pass (no network, a hub that restarts) is retried for ever.
pub async fn run(config: AgentConfig, stop: impl Future<Output = ()>) -> Result<(), AgentError> {
    let endpoint = config.check()?;
    state::prepare(&config.state)?;
    let config = Arc::new(config);
    let boot_id = fresh_id();
    let (orders, orders_out) = mpsc::channel(1);
    let (events_in, events) = mpsc::channel(8);
    let link = Link::new(Arc::clone(&config), endpoint, boot_id.clone(), orders_out, events_in)?;
    let stop = stop_or_signal(stop, config.install_signal_handlers)?;
    let identity = state::load(&config.state)?.map_or_else(|| boot_id.clone(), |credential| credential.agent_id);
    let agent = Agent::new(&config, &identity, boot_id, Moment::now());
    agent.run(orders, events, link.run(), stop).await
}

/// A random name for this process: 60 bits as letters, unique among the starts of one agent and short on the wire.
fn fresh_id() -> String {
    Ulid::from_bits(u128::from(chance())).to_string().split_off(26 - 12)
}

struct Agent {
    courier: Courier,
    schedule: Schedule,
    probe: Probe,
    dealings: Dealings,
    offset: Offset,
    /// When the last heartbeat was taken.
    last_ms: i64,
    /// When the processes were last ranked.
    minute_ms: Option<i64>,
    /// When to rank the processes because the hub wants to know.
    rank_at_ms: Option<i64>,
    /// The hub's question was answered without CPU use, for want of an earlier pass: the next answer is sent as it is.
    ranked_before: bool,
    /// What the hub was last told of processes.
    top: Option<Top>,
    /// What is to be sent beside heartbeats.
    outgoing: VecDeque<Order>,
    up: Option<Up>,
    ever_up: bool,
    /// What the hub was last told of this host.
    told: About,
    /// When the flush at the end is over.
    stopping: Option<i64>,
    /// The last heartbeat is still to be taken.
    wants_last: bool,
}

impl Agent {
    fn new(config: &AgentConfig, identity: &str, boot_id: String, now: Moment) -> Self {
        let interval_ms = i64::try_from(config.interval.as_millis()).unwrap_or(15_000);
        Self {
            courier: Courier::new(boot_id, Buffer::default()),
            schedule: Schedule::new(identity, interval_ms, now.boot_ms),
            probe: Probe::new(&config.roots, &config.watch),
            dealings: Dealings::default(),
            offset: Offset::default(),
            last_ms: now.boot_ms,
            minute_ms: None,
            rank_at_ms: None,
            ranked_before: false,
            top: None,
            outgoing: VecDeque::new(),
            up: None,
            ever_up: false,
            told: About::default(),
            stopping: None,
            wants_last: false,
        }
    }

    async fn run(
        mut self,
        orders: mpsc::Sender<Order>,
        mut events: mpsc::Receiver<Event>,
        link: impl Future<Output = Result<(), AgentError>>,
        stop: impl Future<Output = ()>,
    ) -> Result<(), AgentError> {
        tokio::pin!(link, stop);
        loop {
            let now = Moment::now();
            self.read_if_due(now);
            if self.is_done(now.boot_ms) {
                break;
            }
            let wait = u64::try_from(self.wakes_at(now.boot_ms).saturating_sub(now.boot_ms)).unwrap_or(0);
            let wants_to_send = self.wants_to_send(now.boot_ms);
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(wait)) => {}
                done = self.probe.finished() => if let Some(done) = done { self.take(done) },
                event = events.recv() => if let Some(event) = event { self.hear(event) },
                permit = orders.reserve(), if wants_to_send => {
                    if let (Ok(permit), Some(order)) = (permit, self.order(Moment::now().boot_ms)) {
                        permit.send(order);
                    }
                }
                ended = &mut link => return ended,
                () = &mut stop, if self.stopping.is_none() => self.begin_to_stop(),
            }
        }
        if self.courier.waiting() > 0 {
            tracing::warn!(heartbeats = self.courier.waiting(), "stopping with heartbeats that the hub has not confirmed");
        }
        let goodbye = async { tokio::join!(orders.send(Order::Stop), &mut link).1 };
        // Whoever keeps the goodbye waiting does not keep the end waiting.
        tokio::time::timeout(GOODBYE, goodbye).await.unwrap_or(Ok(()))
    }

    fn read_if_due(&mut self, now: Moment) {
        if self.wants_last && self.probe.is_idle() {
            self.wants_last = false;
            self.start_reading(now, true);
            return;
        }
        let due = self.schedule.next(self.last_ms) <= now.boot_ms && self.stopping.is_none();
        if self.probe.is_idle() {
            let rank = self.stopping.is_none() && self.rank_at_ms.is_some_and(|at| at <= now.boot_ms);
            if due || rank {
                self.start_reading(now, due);
            }
        } else if self.probe.gives_up_at().is_some_and(|at| at <= now.boot_ms) {
            self.probe.give_up();
            self.go_without(now);
        } else if self.probe.is_given_up() && due {
            self.schedule.taken();
            self.go_without(now);
        }
    }

    fn start_reading(&mut self, now: Moment, beat: bool) {
        let minute = self.minute_ms.is_none_or(|last| now.boot_ms - last >= MINUTE_MS);
        let asked = self.rank_at_ms.take_if(|at| *at <= now.boot_ms).is_some();
        let rank = match (asked, minute && beat && self.schedule.is_running()) {
            (true, _) => Rank::Asked,
            (false, true) => Rank::Routine,
            (false, false) => Rank::No,
        };
        if rank != Rank::No {
            self.minute_ms = Some(now.boot_ms);
        }
        if beat {
            self.schedule.taken();
            self.last_ms = now.boot_ms;
        }
        (self.dealings.buffered, self.dealings.dropped) = (self.courier.waiting(), self.courier.dropped());
        self.dealings.clock_offset_ms = self.offset.best_ms();
        self.probe.start(now, self.dealings, Wanted { beat, rank });
    }

    /// A heartbeat that says only that the agent lives.
    fn go_without(&mut self, now: Moment) {
        let why = format!("the host's files could not be read within {} s", LIMIT_MS / 1000);
        tracing::error!(why, "a heartbeat goes without measurements");
        self.last_ms = now.boot_ms;
        self.take_reading(empty_reading(now, Gap { source: "collection".to_owned(), why }));
    }

    fn take(&mut self, done: Done) {
        if let Some((top, asked)) = done.top.filter(|_| self.up.is_some()) {
            self.tell_top(top, asked);
        }
        if let Some(reading) = done.reading {
            for gap in reading.gaps.iter().filter(|gap| !self.told.gaps.contains(gap)) {
                tracing::warn!(source = gap.source, why = gap.why, "a gap: this cannot be measured");
            }
            self.take_reading(reading);
        }
    }

    /// One pass over the processes says nothing of their CPU use; who asked gets the answer after a second one.
    fn tell_top(&mut self, top: Top, asked: bool) {
        if !top.cpu.is_empty() || (asked && self.ranked_before) {
            self.ranked_before = false;
            self.top = Some(top.clone());
            self.outgoing.push_back(Order::Top(top));
        } else if asked {
            self.ranked_before = true;
            self.rank_at_ms = Some(Moment::now().boot_ms + SECOND_PASS_MS);
        }
    }

    fn take_reading(&mut self, reading: Reading) {
        let about = About { ip: self.address(reading.at.boot_ms), gaps: reading.gaps.clone() };
        self.courier.take(reading);
        if about != self.told {
            if self.up.is_some() {
                self.outgoing.push_back(Order::Describe(about.clone()));
            }
            self.told = about;
        }
    }

    /// The address from which the hub is reached, looked at with the ranking once a minute.
    fn address(&self, at_ms: i64) -> Option<IpAddr> {
        let peer = self.up.as_ref().and_then(|up| up.peer).filter(|_| self.minute_ms == Some(at_ms));
        peer.and_then(local_address_towards).or(self.told.ip)
    }

    fn hear(&mut self, event: Event) {
        let now_ms = Moment::now().boot_ms;
        match event {
            Event::Sent(bytes) => {
                self.dealings.beat_bytes = Some(bytes);
                return;
            }
            Event::Up(up) => self.connected(up, now_ms),
            Event::Down => {
                self.up = None;
                self.outgoing.clear();
                self.courier.disconnected();
            }
            Event::Acknowledged { boot_id, seq, clock_offset_ms } => {
                clock_offset_ms.into_iter().for_each(|difference| self.offset.heard(difference));
                self.courier.acknowledge(boot_id.as_deref(), seq);
            }
            Event::Slow(retry_after_ms) => self.courier.slow_down(retry_after_ms, now_ms),
            Event::TopRequested => self.rank_at_ms = Some(now_ms),
            Event::Heard => {}
        }
        self.courier.heard(now_ms);
    }

    fn connected(&mut self, up: Up, now_ms: i64) {
        if std::mem::replace(&mut self.ever_up, true) {
            self.dealings.reconnects += 1;
        }
        up.clock_offset_ms.into_iter().for_each(|difference| self.offset.heard(difference));
        self.schedule.identify(&up.agent_id);
        // The introduction said the address; gaps are said again on every connection.
        self.told.ip = up.local;
        if !self.told.gaps.is_empty() {
            self.outgoing.push_back(Order::Describe(self.told.clone()));
        }
        // A hub asks nobody for processes who has never told it of any, and one that has just started has forgotten who did.
        match &self.top {
            Some(top) => self.outgoing.push_back(Order::Top(top.clone())),
            None => self.rank_at_ms = Some(now_ms),
        }
        self.up = Some(up);
        self.courier.connected(now_ms);
    }

    fn begin_to_stop(&mut self) {
        let now = Moment::now();
        tracing::info!("stopping");
        self.stopping = Some(now.boot_ms + FLUSH_MS);
        // A pass over the processes that is under way brings no heartbeat: that one comes after it.
        self.wants_last = !self.probe.reads_beat();
    }

    /// Whether there is nothing left to do at the end: the last heartbeat is taken and confirmed, or it cannot be.
    fn is_done(&self, now_ms: i64) -> bool {
        let Some(end_ms) = self.stopping else { return false };
        let read = (self.probe.is_idle() && !self.wants_last) || self.probe.is_given_up();
        (read && self.courier.waiting() == 0) || now_ms >= end_ms || self.up.is_none()
    }

    fn wants_to_send(&self, now_ms: i64) -> bool {
        let due = |at: Option<i64>| at.is_some_and(|at| at <= now_ms);
        !self.outgoing.is_empty() || due(self.courier.wants_at()) || due(self.courier.gives_up_at())
    }

    fn order(&mut self, now_ms: i64) -> Option<Order> {
        if self.courier.gives_up_at().is_some_and(|at| at <= now_ms) {
            self.courier.heard(now_ms);
            return Some(Order::HangUp);
        }
        self.outgoing.pop_front().or_else(|| self.courier.next(now_ms, chance()).map(Order::Beats))
    }

    /// The next moment at which something is due by time alone; what is due already waits for something else.
    fn wakes_at(&self, now_ms: i64) -> i64 {
        let reads = self.probe.is_idle() || self.probe.is_given_up();
        let beat = (reads && self.stopping.is_none()).then(|| self.schedule.next(self.last_ms));
        let sends = [self.courier.wants_at(), self.courier.gives_up_at()].map(|at| at.filter(|at| *at > now_ms));
        let rank = self.rank_at_ms.filter(|_| self.probe.is_idle() && self.stopping.is_none());
        let all = [beat, rank, self.probe.gives_up_at(), self.stopping, sends[0], sends[1]];
        all.into_iter().flatten().min().unwrap_or(now_ms + MINUTE_MS)
    }
}

/// The address of the interface through which `peer` is reached, without sending anything.
fn local_address_towards(peer: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = if peer.is_ipv6() { ([0_u16; 8], 0).into() } else { ([0_u8; 4], 0).into() };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(peer).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}
