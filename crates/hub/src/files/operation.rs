//! What the command line asks of a hub's configuration, whether the hub runs or not: decided here, applied by whoever owns the
//! store.

use super::{Fault, SourceFile, World, export, plan, secrets::Secrets};
use crate::registry::Holdings;
use nightbell_model::Timestamp;
use nightbell_store::{AuditEntry, Change};
use serde::{Deserialize, Serialize};

/// The most differences that one line of the audit log lists.
const AUDITED: usize = 100;

/// One operation on configuration as files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum FilesOperation {
    /// Writes the configuration as files.
    Export,
    /// Makes the configuration what files say.
    Apply {
        /// The files.
        files: Vec<SourceFile>,
        /// What their references to secrets stand for.
        secrets: Secrets,
        /// Whether it is only said what would be done.
        dry_run: bool,
        /// Whether what no file declares any more stays.
        release: bool,
    },
}

/// What an operation comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Applied {
    /// The configuration as files.
    Exported(Vec<SourceFile>),
    /// What is done, or would be.
    Planned {
        /// In words.
        text: String,
        /// How many objects it touches.
        differences: usize,
    },
    /// What is wrong with the files; nothing is done.
    Faulty(Vec<String>),
}

/// Decides an operation: what it comes to, and the changes with their line in the audit log, if there are any.
#[must_use]
pub fn carry_out(operation: FilesOperation, holdings: &Holdings, now: Timestamp) -> (Applied, Option<(Vec<Change>, AuditEntry)>) {
    match operation {
        FilesOperation::Export => (Applied::Exported(export(holdings, now)), None),
        FilesOperation::Apply { files, secrets, dry_run, release } => {
            match plan(&files, &World { holdings, secrets, now, release, is_hub: true }) {
                Err(faults) => (Applied::Faulty(faults.iter().map(Fault::to_string).collect()), None),
                Ok(plan) => {
                    let done = Applied::Planned { text: plan.to_string(), differences: plan.differences.len() };
                    let is_work = !dry_run && !plan.changes.is_empty();
                    (done, is_work.then(|| (plan.changes, audit(&plan.differences, now))))
                }
            }
        }
    }
}

fn audit(differences: &[super::compare::Difference], at: Timestamp) -> AuditEntry {
    let listed: Vec<String> = differences.iter().take(AUDITED).map(ToString::to_string).collect();
    AuditEntry {
        at,
        actor: "command line".to_owned(),
        action: "files.apply".to_owned(),
        object: "configuration".to_owned(),
        detail_json: serde_json::json!({"differences": differences.len(), "listed": listed}).to_string(),
        address: String::new(),
    }
}
