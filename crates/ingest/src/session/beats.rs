//! Heartbeats of a connection on their way into the hub, and their acknowledgements on the way back.

use super::{Held, PATIENCE_MS, RETRY_SUBMIT, Session};
use crate::acks::Entry;
use crate::heard::Heard;
use crate::plan::Reject;
use crate::port::Submission;
use crate::understand::Mark;
use nightbell_model::Timestamp;
use nightbell_protocol::{ContainerMetrics, FromHub, Heartbeat};
use std::time::Duration;
use tokio::time::Instant;

impl Session {
    pub(super) fn heartbeats(&mut self, heartbeats: Vec<Heartbeat>, sent_by: Option<i64>, received: Timestamp) {
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
                Err(Reject { code, why, .. }) => {
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

    pub(super) fn containers(&mut self, containers: ContainerMetrics, reply: Option<String>, received: Timestamp) {
        let Some(agent) = &mut self.agent else { return };
        let mark = agent.listener.mark(containers.boot_id.as_deref(), containers.seq);
        match agent.listener.hear_containers(containers, agent.last.as_ref(), received) {
            Ok(None) => {}
            Ok(Some(heard)) => {
                self.charge(1);
                self.send_in(vec![Entry { mark, refused: false }], vec![heard]);
            }
            Err(Reject { code, why, .. }) => self.say_error(code, why, reply),
        }
    }

    /// Takes heartbeats off the agent's allowance; what is overdrawn it waits for, and is told so at most once a second.
    fn charge(&mut self, count: usize) {
        let Some(agent) = &mut self.agent else { return };
        let wait_ms = agent.bucket.overdraw(count, self.shared.elapsed_ms());
        if wait_ms == 0 {
            return;
        }
        let now = Instant::now();
        self.paused_until = Some(now + Duration::from_millis(wait_ms));
        if self.told_until.is_none_or(|until| until <= now) {
            self.told_until = Some(now + Duration::from_millis(wait_ms.max(PATIENCE_MS)));
            self.out.push(FromHub::Slow { retry_after_ms: wait_ms }.into());
        }
    }

    fn send_in(&mut self, entries: Vec<Entry>, heard: Vec<Heard>) {
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
    pub(super) fn submit(&mut self, submission: Submission, tell_again_at: Option<Instant>) {
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

    pub(super) fn acknowledge(&mut self) {
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
}

pub(super) fn heartbeat_error(code: &str, why: String, mark: Mark) -> FromHub {
    let boot_id = mark.boot.map(|boot| boot.0.as_ref().to_owned());
    FromHub::Error { code: code.to_owned(), message: why, reply: None, boot_id, seq: mark.seq }
}
