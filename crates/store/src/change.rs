//! What changes of the configuration are called when they are refused; shared by all engines. Pure.

use crate::entities::{Change, EnrolmentToken};
use nightbell_model::Timestamp;

/// The object a change is about, for "there is no …".
#[must_use]
pub(crate) fn object(change: &Change) -> String {
    match change {
        Change::PutAgent(agent) => format!("agent {}", agent.id),
        Change::DeleteAgent { id, .. } => format!("agent {id}"),
        Change::PutEnrolment(token) => format!("enrolment token {}", token.id),
        Change::UseEnrolment { id, .. } | Change::DeleteEnrolment(id) => format!("enrolment token {id}"),
        Change::PutUser(user) | Change::PutFirstUser(user) => format!("user {}", user.id),
        Change::DeleteUser(id) | Change::DeleteSessionsOf(id) => format!("user {id}"),
        Change::PutSession(_) | Change::DeleteSession(_) => "such session".to_owned(),
        Change::PutToken(token) => format!("token {}", token.id),
        Change::DeleteToken(id) => format!("token {id}"),
        Change::PutChannel(channel) => format!("channel {}", channel.id),
        Change::DeleteChannel(id) => format!("channel {id}"),
        Change::PutRule { rule, .. } => format!("rule {}", rule.id),
        Change::DeleteRule(id) => format!("rule {id}"),
        Change::PutSilence(silence) => format!("silence {}", silence.id),
        Change::DeleteSilence(id) => format!("silence {id}"),
        Change::PutLevels { agent, key, .. } | Change::DeleteLevels { agent, key } => match agent {
            Some(agent) => format!("level of agent {agent} for {key}"),
            None => format!("level for {key}"),
        },
        Change::PutSetting { key, .. } => format!("setting {key}"),
        Change::LogEvent(_) => "such log line".to_owned(),
        Change::PutIncident(record) => format!("incident {}", record.id),
        Change::AttachToIncident { incident, .. } => format!("incident {incident}"),
        Change::PutDelivery(row) => format!("delivery {}", row.id),
    }
}

/// The object that a change's object belongs to and that must be there.
#[must_use]
pub(crate) fn owner(change: &Change) -> Option<String> {
    match change {
        Change::PutSession(session) => Some(format!("user {}", session.user)),
        Change::PutLevels { agent: Some(agent), .. } => Some(format!("agent {agent}")),
        Change::AttachToIncident { incident, .. } => Some(format!("incident {incident}")),
        _ => None,
    }
}

/// What to say when something that must be unique is taken.
#[must_use]
pub(crate) fn taken(change: &Change) -> String {
    match change {
        Change::PutAgent(agent) => format!("there is another agent called {:?} or with this credential", agent.name),
        Change::PutUser(user) | Change::PutFirstUser(user) => format!("there is another user called {:?}", user.username),
        Change::PutChannel(channel) => format!("there is another channel called {:?}", channel.name),
        Change::PutToken(_) | Change::PutEnrolment(_) => "this token exists already".to_owned(),
        other => format!("{} is there already", object(other)),
    }
}

/// Why an enrolment token cannot be used, if it cannot.
#[must_use]
pub(crate) fn enrolment_refusal(token: Option<&EnrolmentToken>, now: Timestamp) -> Option<&'static str> {
    let Some(token) = token else { return Some("this enrolment token is not known any more") };
    if token.expires_at.is_some_and(|end| end <= now) {
        return Some("this enrolment token has expired");
    }
    (token.uses_left == Some(0)).then_some("this enrolment token is used up")
}
