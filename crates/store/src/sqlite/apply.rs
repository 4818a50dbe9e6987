//! Changes of the configuration, each with what it answers when it contradicts what is stored.

use super::cache::Cache;
use super::failure::{Answer, Failure};
use super::people::run;
use super::{agents, alerts, log, outbox, people, rules};
use crate::entities::Change;
use crate::seams::{LoggedEvent, StoreError};
use rusqlite::{Connection, params};

/// Makes one change; the log lines it wrote are added to `logged`.
pub(super) fn apply(connection: &Connection, cache: &mut Cache, change: &Change, logged: &mut Vec<LoggedEvent>) -> Answer<()> {
    make(connection, cache, change, logged).map_err(|failure| {
        let object = crate::change::object(change);
        if failure.is_taken() {
            Failure::Said(StoreError::Conflict(crate::change::taken(change)))
        } else if failure.is_dangling() {
            Failure::Said(StoreError::NotFound(crate::change::owner(change).unwrap_or(object)))
        } else {
            failure
        }
    })
}

fn make(connection: &Connection, cache: &mut Cache, change: &Change, logged: &mut Vec<LoggedEvent>) -> Answer<()> {
    match change {
        Change::PutAgent(agent) => agents::put(connection, agent),
        Change::PutEnrolment(token) => agents::put_enrolment(connection, token),
        Change::UseEnrolment { id, now } => agents::use_enrolment(connection, *id, *now),
        Change::PutFirstUser(_) if people::has_users(connection)? => {
            Err(StoreError::Conflict("there is a first user already".to_owned()).into())
        }
        Change::PutUser(user) | Change::PutFirstUser(user) => people::put_user(connection, user),
        Change::PutSession(session) => people::put_session(connection, session),
        Change::PutToken(token) => people::put_token(connection, token),
        Change::PutChannel(channel) => people::put_channel(connection, channel),
        Change::PutRule { rule, created_at } => rules::put(connection, rule, *created_at),
        Change::PutSilence(silence) => people::put_silence(connection, silence),
        Change::PutLevels { agent, key, levels } => agents::put_levels(connection, *agent, key, *levels),
        Change::PutSetting { key, value } => people::put_setting(connection, key, value),
        Change::PutIncident(record) => alerts::put_incident(connection, record),
        Change::AttachToIncident { incident, at, kind, json } => alerts::attach(connection, *incident, *at, kind, json),
        Change::LogEvent(event) => {
            logged.push(log::write(connection, event)?);
            Ok(())
        }
        Change::PutDelivery(row) => {
            if let Some(event) = outbox::put(connection, row)? {
                logged.push(log::write(connection, &event)?);
            }
            Ok(())
        }
        Change::DeleteSessionsOf(user) => {
            run(connection, "DELETE FROM sessions WHERE user_id = ?1", params![user.to_string()]).map(drop)
        }
        _ => match delete(connection, cache, change)? {
            0 => Err(StoreError::NotFound(crate::change::object(change)).into()),
            _ => Ok(()),
        },
    }
}

/// Removes what `change` says; how many there were.
fn delete(connection: &Connection, cache: &mut Cache, change: &Change) -> Answer<usize> {
    match change {
        Change::DeleteAgent { id, purge } => agents::delete(connection, cache, *id, *purge),
        Change::DeleteEnrolment(id) => agents::delete_enrolment(connection, *id),
        Change::DeleteUser(id) => run(connection, "DELETE FROM users WHERE id = ?1", params![id.to_string()]),
        Change::DeleteSession(hash) => run(connection, "DELETE FROM sessions WHERE hash = ?1", params![hash]),
        Change::DeleteToken(id) => run(connection, "DELETE FROM tokens WHERE id = ?1", params![id.to_string()]),
        Change::DeleteChannel(id) => {
            outbox::cancel_channel(connection, &id.to_string())?;
            run(connection, "DELETE FROM channels WHERE id = ?1", params![id.to_string()])
        }
        Change::DeleteRule(id) => rules::delete(connection, *id),
        Change::DeleteSilence(id) => run(connection, "DELETE FROM silences WHERE id = ?1", params![id.to_string()]),
        Change::DeleteLevels { agent, key } => agents::delete_levels(connection, *agent, key),
        _ => Ok(1),
    }
}
