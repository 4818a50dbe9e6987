//! What happens now, for whoever listens: log lines as they are committed, and a tick when the fleet changed.
//!
//! Frames for browsers are made by the API; this is only the meeting point.

use nightbell_store::LoggedEvent;
use std::sync::Arc;
use tokio::sync::broadcast;

/// How many messages a slow listener may lag behind before it loses some and is told so: some seconds of a busy hub.
const BACKLOG: usize = 1024;

/// One thing that happened.
#[derive(Debug, Clone)]
pub enum Happening {
    /// A line was written to the event log.
    Event(Arc<LoggedEvent>),
    /// The configuration changed (agents, rules, channels, silences, levels).
    Config,
}

/// Where happenings are told and heard.
#[derive(Debug, Clone)]
pub struct Live {
    sender: broadcast::Sender<Happening>,
}

impl Default for Live {
    fn default() -> Self {
        Self { sender: broadcast::channel(BACKLOG).0 }
    }
}

impl Live {
    /// Tells everybody; nobody listening is fine.
    pub fn tell(&self, happening: Happening) {
        let _nobody = self.sender.send(happening);
    }

    /// Tells of log lines in their order.
    pub fn tell_events(&self, events: Vec<LoggedEvent>) {
        for event in events {
            self.tell(Happening::Event(Arc::new(event)));
        }
    }

    /// Listens from now on.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Happening> {
        self.sender.subscribe()
    }
}
