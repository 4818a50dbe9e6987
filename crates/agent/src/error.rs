//! What can go wrong for good: everything else is retried.

use std::path::PathBuf;

/// Why an agent cannot run, or cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// A setting that cannot be used.
    #[error("{what}: {why}; {mend}")]
    Config {
        /// The setting as the user wrote it: `--interval`, `NIGHTBELL_AGENT_INTERVAL`, or a file with a line.
        what: String,
        /// What is wrong with it.
        why: String,
        /// What to write instead.
        mend: String,
    },
    /// The state folder cannot be used.
    #[error("cannot {action} {}", path.display())]
    State {
        /// What was tried: `read`, `write`, `create`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The hub refused to enrol this agent.
    #[error("the hub refused to enrol this agent ({code}): {message}")]
    Enrolment {
        /// The hub's code.
        code: String,
        /// The hub's words.
        message: String,
    },
    /// The operating system refused something the agent cannot do without.
    #[error("cannot {action}")]
    System {
        /// What was tried.
        action: &'static str,
        /// Why not.
        source: std::io::Error,
    },
}

impl AgentError {
    /// The exit code of the program: 2 for what only the user can mend, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config { .. } | Self::Enrolment { .. } => 2,
            Self::State { .. } | Self::System { .. } => 1,
        }
    }

    pub(crate) fn config(what: impl Into<String>, why: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::Config { what: what.into(), why: why.into(), mend: mend.into() }
    }
}
