//! How a rule stands to an agent: whether it applies, and if not, why not.

use super::Evaluator;
use nightbell_model::{AgentId, RuleId};

/// How a rule stands to an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It applies.
    Applies,
    /// There is no such rule.
    NoRule,
    /// There is no such agent.
    NoAgent,
    /// The agent is paused: none applies.
    Paused,
    /// Its scope does not cover the agent.
    OutOfScope,
    /// It is disabled.
    Disabled,
    /// A rule of the same key takes its place for this agent.
    ReplacedBy(RuleId),
}

impl Evaluator {
    /// How `rule` stands to `agent`.
    #[must_use]
    pub fn standing(&self, rule: RuleId, agent: AgentId) -> Standing {
        let Some(at) = self.book.position(rule) else { return Standing::NoRule };
        let Some(slot) = self.agents.get(&agent) else { return Standing::NoAgent };
        if slot.view.paused {
            Standing::Paused
        } else if slot.rules.binary_search(&at).is_ok() {
            Standing::Applies
        } else {
            self.book.absence(at, &slot.view)
        }
    }
}
