//! Agents in groups: what a question about the fleet is asked of.

use super::Holdings;
use nightbell_model::AgentId;
use std::collections::BTreeMap;

impl Holdings {
    /// The agents, or those with the tag `only`, by id: all in one group, or in one for each tag and one for those without.
    #[must_use]
    pub fn groups(&self, by_tag: bool, only: Option<&str>) -> Vec<(Option<String>, Vec<AgentId>)> {
        let mut groups: BTreeMap<Option<&str>, Vec<AgentId>> = BTreeMap::new();
        for row in self.agents.values().filter(|row| only.is_none_or(|only| row.tags.iter().any(|tag| tag == only))) {
            if !by_tag || row.tags.is_empty() {
                groups.entry(None).or_default().push(row.id);
                continue;
            }
            for tag in &row.tags {
                groups.entry(Some(tag)).or_default().push(row.id);
            }
        }
        groups.values_mut().for_each(|group| group.sort_unstable());
        groups.into_iter().map(|(tag, group)| (tag.map(str::to_owned), group)).collect()
    }
}
