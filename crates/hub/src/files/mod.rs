//! Configuration as files: channels, rules, routes, silences and thresholds declared in TOML, compared with what a hub has, and
//! applied.
//!
//! What a file says goes through the same readers as the API's bodies, so that both agree for ever; what is added here is names
//! for ids, references for secrets, places for faults, and the difference. Everything is decided on plain data: which files there
//! are, and whether a hub runs, is the command line's business.

mod compare;
mod document;
mod export;
mod identity;
pub mod managed;
mod names;
mod nearest;
mod operation;
mod plan;
mod references;
mod secrets;
#[cfg(test)]
mod tests;
mod toml;
mod wanted;

pub use export::export;
pub(crate) use nearest::hint;
pub use operation::{Applied, FilesOperation, carry_out};
pub use plan::{Plan, check, plan, references};
pub use secrets::Secrets;

use crate::registry::Holdings;
use nightbell_model::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A file with declarations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Its path below the folder that is applied.
    pub path: String,
    /// What it says.
    pub text: String,
}

/// Something wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Which file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The character in it, from 1.
    pub column: usize,
    /// What is wrong and what would be right.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.what)
    }
}

/// What files declare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Where pages go.
    Channel,
    /// When there is one.
    Rule,
    /// When it is withheld.
    Silence,
    /// Warn and crit levels.
    Threshold,
    /// Whom rules without channels of their own tell; all routes together are one object, in their order.
    Route,
}

impl Kind {
    /// All of them, in the order in which they refer to each other.
    pub const ALL: [Self; 5] = [Self::Channel, Self::Rule, Self::Silence, Self::Threshold, Self::Route];

    /// The word in files: `[[rule]]`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Rule => "rule",
            Self::Silence => "silence",
            Self::Threshold => "threshold",
            Self::Route => "route",
        }
    }

    /// The kind of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// What declarations are held against.
#[derive(Debug)]
pub struct World<'a> {
    /// What the hub has.
    pub holdings: &'a Holdings,
    /// What references to secrets stand for.
    pub secrets: Secrets,
    /// The present.
    pub now: Timestamp,
    /// Whether what no file declares any more stays, and is nobody's, instead of being removed.
    pub release: bool,
    /// Whether there is a hub; a check does without, and takes every name of an agent for one.
    pub is_hub: bool,
}

impl World<'_> {
    fn holdings_if_any(&self) -> Option<&Holdings> {
        self.is_hub.then_some(self.holdings)
    }
}
