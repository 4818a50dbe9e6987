//! How objects stand in other objects: by id and name. What was deleted since keeps its id as its name.

use crate::page::nobody;
use crate::registry::Holdings;
use nightbell_model::{AgentId, RuleId, SeriesKey};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// An object by id and name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Named {
    pub(crate) id: String,
    pub(crate) name: String,
}

/// An agent.
pub(crate) fn agent(holdings: &Holdings, id: AgentId) -> Named {
    Named { id: id.to_string(), name: holdings.agents.get(&id).map_or_else(|| nobody(id), |row| row.name.clone()) }
}

/// A rule.
pub(crate) fn rule(holdings: &Holdings, id: RuleId) -> Named {
    Named { id: id.to_string(), name: holdings.rules.get(&id).map_or_else(|| id.to_string(), |(rule, _)| rule.name.clone()) }
}

/// The labels of a series.
pub(crate) fn labels(key: &SeriesKey) -> BTreeMap<String, String> {
    key.labels().into_iter().collect()
}

/// `text` as a part of a file's name: letters, digits, `.`, `_` and `-`, at most 60 of them.
pub(crate) fn file_part(text: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    text.chars().map(safe).take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_carry_nothing_dangerous() {
        assert_eq!(file_part("db-01/../\"x\"\r\n"), "db-01_..__x___");
        assert_eq!(file_part(&"ä".repeat(200)).len(), 60);
    }
}
