//! The line of the event log that tells of a change of the configuration: what stands between the firing and the silence of a
//! night is often that somebody changed a rule. Who logged in, and with what, stays in the audit log.

use super::Holdings;
use nightbell_alerts::{Event, EventKind};
use nightbell_model::{AgentId, RuleId};
use nightbell_store::{AuditEntry, Change};

/// The kinds of objects whose changes the event log tells.
const TOLD: [&str; 8] = ["agent", "channel", "files", "routes", "rule", "settings", "silence", "threshold"];

/// The line for a change, if it is one of configuration. `before` is what the hub had.
pub(super) fn line(audit: &AuditEntry, changes: &[Change], before: &Holdings) -> Option<Event> {
    let (object, done) = audit.action.split_once('.')?;
    if !TOLD.contains(&object) || done == "test" {
        return None;
    }
    let mut about = (None::<RuleId>, None::<AgentId>);
    let mut name = None;
    for change in changes {
        match change {
            Change::PutRule { rule, .. } => (name, about.0) = (Some(rule.name.clone()), Some(rule.id)),
            Change::DeleteRule(id) => name = before.rules.get(id).map(|(rule, _)| rule.name.clone()),
            Change::PutChannel(row) => name = Some(row.name.clone()),
            Change::DeleteChannel(id) => name = before.channels.get(id).map(|row| row.name.clone()),
            Change::PutSilence(row) => name = Some(row.comment.clone()).filter(|comment| !comment.is_empty()),
            Change::DeleteSilence(id) => name = before.silences.get(id).map(|row| row.comment.clone()),
            Change::PutAgent(row) => (name, about.1) = (Some(row.name.clone()), Some(row.id)),
            Change::DeleteAgent { id, .. } => name = before.agents.get(id).map(|row| row.name.clone()),
            Change::PutLevels { agent, key, .. } | Change::DeleteLevels { agent, key } => {
                (name, about.1) = (Some(key.clone()), agent.filter(|id| before.agents.contains_key(id)));
            }
            _ => {}
        }
    }
    // Several at once have no one name.
    let name = name.filter(|_| object != "files" && done != "defaults").map_or_else(String::new, |name| format!(" {name}"));
    Some(Event {
        agent: about.1.filter(|_| object != "files"),
        rule: about.0.filter(|_| object != "files"),
        ..Event::line(audit.at, EventKind::Config, format!("{}: {}{name}", audit.actor, audit.action))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use nightbell_model::{Levels, Timestamp, Ulid};

    fn said(action: &str, changes: &[Change]) -> Option<String> {
        let audit = AuditEntry {
            at: Timestamp::from_secs(1),
            actor: "user:ada".to_owned(),
            action: action.to_owned(),
            object: String::new(),
            detail_json: "{}".to_owned(),
            address: String::new(),
        };
        line(&audit, changes, &Holdings::default()).map(|event| event.reason)
    }

    #[test]
    fn a_change_of_configuration_is_told_with_its_author_and_name() {
        let levels = Levels { warn: 1.0, crit: 2.0 };
        let put = Change::PutLevels { agent: None, key: "cpu.usage_percent".to_owned(), levels };
        assert_eq!(
            said("threshold.set", std::slice::from_ref(&put)).as_deref(),
            Some("user:ada: threshold.set cpu.usage_percent")
        );
        assert_eq!(said("files.apply", &[put]).as_deref(), Some("user:ada: files.apply"));
        assert_eq!(said("rule.delete", &[Change::DeleteRule(RuleId::from_bits(1))]).as_deref(), Some("user:ada: rule.delete"));
        for action in ["channel.test", "token.create", "user.password_reset", "incident.ack", "session"] {
            assert_eq!(said(action, &[Change::DeleteToken(Ulid::default())]), None, "{action}");
        }
    }
}
