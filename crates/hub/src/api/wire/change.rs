//! Who changes the configuration, and in what order: each change is read, checked and applied while no other is.

use crate::api::extract::{Caller, Remote};
use crate::api::problem::Problem;
use crate::clock;
use crate::files::managed::Object as Managed;
use crate::registry::Holdings;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use nightbell_store::AuditEntry;
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard};

/// Held from reading an object to applying its change, so that `If-Match` and unique names cannot be overtaken.
static TURN: Mutex<()> = Mutex::const_new(());

/// Waits until nobody else changes the configuration through the API.
pub(crate) async fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().await
}

/// Refuses to change what a file declares: the next time the files are applied it would be undone.
///
/// # Errors
/// `managed`, with the file's name.
pub(crate) fn not_by_file(holdings: &Holdings, object: &Managed) -> Result<(), Problem> {
    let Some(source) = holdings.settings.managed.get(object) else { return Ok(()) };
    let (word, file) = (object.kind.word(), &source.file);
    let detail = format!("this {word} is declared in the file {file}: change it there, then run nightbell apply");
    Err(Problem::new(StatusCode::CONFLICT, "managed", "Managed by a file", detail))
}

/// Who changes something, and from where.
#[derive(Debug, Clone)]
pub(crate) struct Editor {
    caller: Caller,
    remote: Remote,
}

impl<S: Sync> FromRequestParts<S> for Editor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let Ok(remote) = Remote::from_request_parts(parts, state).await;
        Ok(Self { caller, remote })
    }
}

impl Editor {
    /// Who, as logs and acknowledgements name them.
    pub(crate) fn name(&self) -> String {
        self.caller.0.actor()
    }

    /// The line of the audit log for what is done to `object`. `detail` carries no secrets.
    pub(crate) fn entry(&self, action: &str, object: impl std::fmt::Display, detail: &Value) -> AuditEntry {
        AuditEntry {
            at: clock::now(),
            actor: self.name(),
            action: action.to_owned(),
            object: object.to_string(),
            detail_json: detail.to_string(),
            address: self.remote.0.clone(),
        }
    }
}
