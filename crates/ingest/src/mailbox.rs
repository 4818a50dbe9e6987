//! Where a connection waits for the hub: answers to its submissions, and the word to close. Small, because there are ten
//! thousand of them and most are empty.

use nightbell_protocol::FromHub;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, oneshot};

/// What became of one heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is durable.
    Stored,
    /// It was before.
    Duplicate,
    /// It is older than the raw history that is kept.
    TooOld,
    /// It is refused for good.
    Refused {
        /// Stable, for programs.
        code: &'static str,
        /// For people.
        why: String,
    },
}

/// What became of a submission: one answer for each of its heartbeats, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The answers.
    pub answers: Vec<Answer>,
}

/// What lies in a mailbox.
#[derive(Debug)]
pub(crate) enum Mail {
    /// The submission `tag` was dealt with; `None` if the hub gave it up without a word.
    Done { tag: u64, done: Option<Done> },
    /// Close the connection, for this reason.
    Close(String),
    /// Say this to the agent.
    Say(FromHub),
}

#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    mail: Mutex<Vec<Mail>>,
    arrived: Notify,
}

impl Mailbox {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    fn put(&self, mail: Mail) {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner).push(mail);
        self.arrived.notify_one();
    }

    /// Everything that has arrived, waiting for the first. Giving up the wait loses nothing.
    pub(crate) async fn take(&self) -> Vec<Mail> {
        loop {
            let mail = std::mem::take(&mut *self.mail.lock().unwrap_or_else(PoisonError::into_inner));
            if !mail.is_empty() {
                return mail;
            }
            self.arrived.notified().await;
        }
    }

    pub(crate) fn reply_to(self: &Arc<Self>, tag: u64) -> ReplyTo {
        ReplyTo(Some(To::Mailbox(Arc::clone(self), tag)))
    }
}

/// Who waits for an answer.
#[derive(Debug)]
enum To {
    /// A connection with several submissions on their way.
    Mailbox(Arc<Mailbox>, u64),
    /// A request with this one.
    Request(oneshot::Sender<Done>),
}

/// Carries the answer to one submission back to whoever waits for it. Dropped unused, it says that the hub could not do it:
/// the agent is to send again.
#[derive(Debug)]
pub struct ReplyTo(Option<To>);

impl ReplyTo {
    /// Answers; nobody need be there any more to hear it.
    pub fn send(mut self, done: Done) {
        match self.0.take() {
            Some(To::Mailbox(mailbox, tag)) => mailbox.put(Mail::Done { tag, done: Some(done) }),
            Some(To::Request(sender)) => drop(sender.send(done)),
            None => {}
        }
    }
}

impl Drop for ReplyTo {
    fn drop(&mut self) {
        if let Some(To::Mailbox(mailbox, tag)) = self.0.take() {
            mailbox.put(Mail::Done { tag, done: None });
        }
    }
}

/// The other end of a [`ReplyTo`] that stands alone.
#[derive(Debug)]
pub struct Replied(oneshot::Receiver<Done>);

impl Replied {
    /// Waits for the answer; `None` if the hub gave the submission up.
    pub async fn wait(self) -> Option<Done> {
        self.0.await.ok()
    }
}

/// A way to answer one submission, and a way to wait for it.
#[must_use]
pub fn reply() -> (ReplyTo, Replied) {
    let (sender, receiver) = oneshot::channel();
    (ReplyTo(Some(To::Request(sender))), Replied(receiver))
}

/// Speaks to a connected agent from the hub's side.
#[derive(Debug, Clone)]
pub struct Closer(Arc<Mailbox>);

impl Closer {
    pub(crate) const fn new(mailbox: Arc<Mailbox>) -> Self {
        Self(mailbox)
    }

    /// Closes the connection; the agent is told the reason, a code such as `replaced` or `agent_deleted`.
    pub fn close(&self, reason: &str) {
        self.0.put(Mail::Close(reason.to_owned()));
    }

    /// Says something to the agent, such as a request for its top processes.
    pub fn say(&self, message: FromHub) {
        self.0.put(Mail::Say(message));
    }
}
