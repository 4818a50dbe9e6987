//! A hub in memory: it admits by the real rules, answers at once or when told to, and writes down what it was told.

use crate::{
    Admission, Answer, BoxFuture, Closer, Description, Done, Endpoints, Enrol, Enrolled, Heard, HubPort, Refusal, ReplyTo,
    Submission, Verdict,
};
use nightbell_model::{AgentId, Timestamp};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

pub(crate) const NOW: i64 = 1_763_769_600_000;
pub(crate) const AGENT: AgentId = AgentId::from_bits(0x0123_4567_89ab_cdef);
pub(crate) const OTHER: AgentId = AgentId::from_bits(0xfedc_ba98);
pub(crate) const CREDENTIAL: &str = "nb_agent_secret";
pub(crate) const OTHER_CREDENTIAL: &str = "nb_agent_other";
pub(crate) const TOKEN: &str = "nb_enroll_token";

#[derive(Default)]
pub(crate) struct State {
    admission: Admission,
    /// What was stored: the moment relative to [`NOW`], and the heartbeat.
    pub(crate) stored: Vec<(i64, Heard)>,
    pub(crate) log: Vec<String>,
    pub(crate) enrolled: Vec<Enrol>,
    pub(crate) described: Vec<Description>,
    pub(crate) closers: Vec<Closer>,
    /// So many submissions are sent back as too many.
    pub(crate) full: usize,
    /// Answers are kept here while it is set.
    pub(crate) held: Option<Vec<(ReplyTo, Done)>>,
    /// The next submission is dropped without an answer.
    pub(crate) drop_next: bool,
}

#[derive(Clone, Default)]
pub(crate) struct Hub(Arc<Mutex<State>>);

impl Hub {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics while it looks")
    }

    /// Starts the endpoints on a free port of loopback.
    pub(crate) async fn serve(&self) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
        let address = listener.local_addr().expect("it is bound");
        let app = Endpoints::new(Arc::new(self.clone())).router(&[""]).into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, app).await });
        address
    }

    /// Every sample that is stored: moment, series and value.
    pub(crate) fn samples(&self) -> Vec<String> {
        let state = self.state();
        let lines = state.stored.iter().flat_map(|(ts, heard)| {
            let pairs = heard.schema.keys().iter().zip(&heard.values);
            pairs.filter(|(_, value)| !value.is_nan()).map(move |(key, value)| format!("{ts} {key} {value}"))
        });
        lines.collect()
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.state().log.clone()
    }

    /// Waits until the log has so many lines: the hub hears of an end only after it has said goodbye.
    pub(crate) async fn hears(&self, lines: usize) {
        while self.log().len() < lines {
            tokio::task::yield_now().await;
        }
    }
}

fn refused<T>(code: &str, message: &str) -> Result<T, Refusal> {
    Err(Refusal { code: code.to_owned(), message: message.to_owned() })
}

impl HubPort for Hub {
    fn knows_enrolment(&self, token: &str) -> Result<(), Refusal> {
        if token == TOKEN { Ok(()) } else { refused("bad_token", "this enrolment token does not exist") }
    }

    fn register(&self, request: Enrol) -> BoxFuture<'_, Result<Enrolled, Refusal>> {
        Box::pin(async move {
            self.knows_enrolment(&request.token)?;
            self.state().enrolled.push(request);
            Ok(Enrolled { agent: AGENT, credential: CREDENTIAL.to_owned() })
        })
    }

    fn authenticate<'a>(&'a self, agent: Option<AgentId>, credential: &'a str) -> BoxFuture<'a, Result<AgentId, Refusal>> {
        Box::pin(async move {
            let known = match credential {
                CREDENTIAL => AGENT,
                OTHER_CREDENTIAL => OTHER,
                _ => return refused("bad_credential", "this credential is unknown"),
            };
            if agent.is_none_or(|agent| agent == known) {
                Ok(known)
            } else {
                refused("bad_credential", "this is another agent's")
            }
        })
    }

    fn described(&self, _agent: AgentId, description: Description) -> BoxFuture<'static, Result<(), Refusal>> {
        self.state().described.push(description);
        Box::pin(async { Ok(()) })
    }

    fn opened(&self, agent: AgentId, _connection: u64, closer: Closer) {
        let mut state = self.state();
        state.log.push(format!("opened {}", if agent == AGENT { "agent" } else { "other" }));
        state.closers.push(closer);
    }

    fn closed(&self, _agent: AgentId, _connection: u64, clean: bool, on_purpose: bool) {
        self.state().log.push(format!("closed clean={clean} on_purpose={on_purpose}"));
    }

    fn submit(&self, submission: Submission) -> Result<(), Submission> {
        let mut state = self.state();
        if state.full > 0 {
            state.full -= 1;
            return Err(submission);
        }
        if std::mem::take(&mut state.drop_next) {
            return Ok(());
        }
        let mut answers = Vec::new();
        for heard in submission.heard {
            assert_eq!(heard.agent, submission.agent);
            answers.push(match state.admission.admit(&heard, Timestamp::from_millis(NOW - 7 * 86_400_000)) {
                Verdict::Admit { ts } => {
                    state.stored.push((ts.as_millis() - NOW, heard));
                    Answer::Stored
                }
                Verdict::Duplicate => Answer::Duplicate,
                Verdict::TooOld => Answer::TooOld,
                Verdict::Refused { code, why } => Answer::Refused { code, why },
            });
        }
        let done = Done { answers };
        match &mut state.held {
            Some(held) => held.push((submission.done, done)),
            None => submission.done.send(done),
        }
        Ok(())
    }

    fn top_processes(&self, _agent: AgentId, at: Timestamp, json: String) {
        self.state().log.push(format!("top at {} {json}", at.as_millis() - NOW));
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(NOW)
    }

    fn interval_ms(&self) -> u64 {
        15_000
    }
}
