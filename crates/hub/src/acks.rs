//! Somebody is on it: said to the evaluator, which tells the channels that were told of the problem; its word, theirs and the audit
//! line are one transaction. Who may say so is judged where it is said: in the API, or by the chat whose button was pressed.

use crate::app::App;
use crate::pipeline::Word;
use nightbell_alerts::Ack;
use nightbell_model::IncidentId;
use nightbell_store::AuditEntry;

/// Acknowledges an open incident.
pub async fn acknowledge(app: &App, id: IncidentId, ack: Ack, audit: AuditEntry) -> Word {
    app.pipeline.acknowledge(id, ack, audit).await
}

/// The audit line of something that somebody did by a chat's button.
#[cfg(feature = "discord-bot")]
pub(crate) fn by_button(by: &str, action: &str, object: String) -> AuditEntry {
    AuditEntry {
        at: crate::clock::now(),
        actor: by.to_owned(),
        action: action.to_owned(),
        object,
        detail_json: "{}".to_owned(),
        address: "discord".to_owned(),
    }
}
