//! How a connection proves whose it is: by an enrolment token, or by the credential that one was exchanged for.

use super::{Agent, Session};
use crate::introduction::{check_interval, check_register};
use crate::mailbox::Closer;
use crate::plan::Reject;
use crate::port::{Description, Enrol, Refusal};
use crate::post::{FACTS_LIMIT, facts_json};
use nightbell_model::AgentId;
use nightbell_protocol::{Auth, Facts, FromHub, Register};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

impl Session {
    pub(super) async fn register(&mut self, register: Register, reply: Option<String>) {
        if self.agent.is_some() {
            return self.say_error("already_authenticated", "this connection has its agent", reply);
        }
        if let Err(Reject { code, why, .. }) = check_register(&register) {
            return self.say_error(code, why, reply);
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

    pub(super) async fn authenticate(&mut self, auth: Auth, reply: Option<String>) {
        if self.agent.is_some() {
            return self.say_error("already_authenticated", "this connection has its agent", reply);
        }
        let claimed = auth.agent_id.as_deref().map(str::parse::<AgentId>).transpose();
        let Ok(claimed) = claimed else {
            let refusal = Refusal { code: "bad_credential".to_owned(), message: "agent_id is not an id".to_owned() };
            return self.refuse(refusal, reply);
        };
        if let Err(Reject { code, why, .. }) = check_interval(auth.interval_ms) {
            return self.say_error(code, why, reply);
        }
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
            drop(self.shared.port.described(agent, description));
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
    pub(super) fn facts(&mut self, facts: Option<&Facts>, reply: &Option<String>) -> Result<Option<String>, ()> {
        let json = facts.map(facts_json);
        if json.as_ref().is_some_and(|json| json.len() > FACTS_LIMIT) {
            self.say_error("too_large", "facts may have 64 KiB", reply.clone());
            return Err(());
        }
        Ok(json)
    }
}

fn seconds(interval_ms: u64) -> f64 {
    Duration::from_millis(interval_ms).as_secs_f64()
}
