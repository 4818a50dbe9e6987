//! What the agent keeps between starts: the credential that enrolment gave, readable by its owner alone.
//!
//! Written whole to a second file and renamed, so that a crash leaves the old one or the new one.

use crate::error::AgentError;
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const FILE: &str = "credential.json";

/// Who this agent is at its hub.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Credential {
    /// The host of the hub that gave it: it is shown to no other while a token could get a new one there.
    pub(crate) hub: String,
    /// The agent's id.
    pub(crate) agent_id: String,
    /// The secret.
    pub(crate) credential: String,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("hub", &self.hub).field("agent_id", &self.agent_id).finish_non_exhaustive()
    }
}

/// Whether the folder holds a credential, so that an agent that uses it needs no enrolment token.
#[must_use]
pub fn has_credential(state: &Path) -> bool {
    enrolled_as(state).is_some()
}

/// The id under which the agent of this folder is enrolled, if it is.
#[must_use]
pub fn enrolled_as(state: &Path) -> Option<String> {
    load(state).ok().flatten().map(|credential| credential.agent_id)
}

/// The credential, if there is one.
pub(crate) fn load(state: &Path) -> Result<Option<Credential>, AgentError> {
    let path = state.join(FILE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(AgentError::State { action: "read", path, source }),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        let source = std::io::Error::new(ErrorKind::InvalidData, format!("{error}; remove the file and enrol again"));
        AgentError::State { action: "understand", path, source }
    })
}

/// Keeps a credential.
pub(crate) fn save(state: &Path, credential: &Credential) -> Result<(), AgentError> {
    let (path, new) = (state.join(FILE), state.join(format!("{FILE}.new")));
    let bytes = serde_json::to_vec(credential).unwrap_or_default();
    write_private(&new, &bytes)
        .and_then(|()| fs::rename(&new, &path))
        .and_then(|()| fs::File::open(state)?.sync_all())
        .map_err(|source| AgentError::State { action: "write", path, source })
}

/// Makes the folder, for its owner alone, and checks that it can be written to.
pub(crate) fn prepare(state: &Path) -> Result<(), AgentError> {
    use std::os::unix::fs::DirBuilderExt;
    let failed = |action, source| AgentError::State { action, path: PathBuf::from(state), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(state).map_err(|error| failed("create", error))?;
    let probe = state.join(".writable");
    fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe)).map_err(|error| failed("write to", error))
}

fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    // An old file could be readable by others: a new one is made.
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn credential(secret: &str) -> Credential {
        Credential { hub: "hub.example".into(), agent_id: "01J".into(), credential: secret.into() }
    }

    #[test]
    fn a_credential_is_kept_for_its_owner_alone() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let state = dir.path().join("a/b");
        prepare(&state)?;
        assert!(!has_credential(&state));
        for secret in ["first", "second"] {
            save(&state, &credential(secret))?;
            assert_eq!(load(&state)?, Some(credential(secret)));
        }
        let mode = |path: &Path| fs::metadata(path).map(|meta| meta.permissions().mode() & 0o777);
        assert_eq!((mode(&state.join(FILE))?, mode(&state)?), (0o600, 0o700));
        assert_eq!(fs::read_dir(&state)?.count(), 1, "nothing else is left");
        assert!(!format!("{:?}", credential("secret")).contains("secret"));
        Ok(())
    }

    #[test]
    fn a_broken_file_and_a_folder_that_is_a_file_are_named() -> std::io::Result<()> {
        let dir = tempfile::tempdir()?;
        fs::write(dir.path().join(FILE), "{")?;
        let error = load(dir.path()).expect_err("broken");
        assert!(error.to_string().contains("credential.json"), "{error}");
        let file = dir.path().join("file");
        fs::write(&file, "")?;
        assert!(prepare(&file).is_err());
        Ok(())
    }
}
