//! What the buttons of a page do, and the names by which a chat sends them back. Doing it is left to the hub.

/// What somebody asks for with one thumb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// I am on it.
    Acknowledge,
    /// Nothing of this rule on this agent for an hour.
    SilenceHour,
}

impl Action {
    const ALL: [Self; 2] = [Self::Acknowledge, Self::SilenceHour];

    const fn word(self) -> &'static str {
        match self {
            Self::Acknowledge => "ack",
            Self::SilenceHour => "silence1h",
        }
    }

    /// The name of a button that asks for this (Discord takes 100 characters; an incident's id has 26).
    pub(crate) fn custom_id(self, incident: &str) -> String {
        format!("nightbell:{}:{incident}", self.word())
    }

    /// What the button of this name asks for, and of which incident.
    #[cfg_attr(not(any(test, feature = "discord-bot")), expect(dead_code, reason = "only a bot hears of pressed buttons"))]
    pub(crate) fn of_custom_id(custom_id: &str) -> Option<(Self, &str)> {
        let (word, incident) = custom_id.strip_prefix("nightbell:")?.split_once(':')?;
        let action = Self::ALL.into_iter().find(|action| action.word() == word)?;
        let is_id = incident.len() == 26 && incident.bytes().all(|b| b.is_ascii_alphanumeric());
        is_id.then_some((action, incident))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_button_is_known_by_its_name_and_nothing_else_is() {
        let incident = "01KANB0000000000000000000A";
        for action in Action::ALL {
            assert_eq!(Action::of_custom_id(&action.custom_id(incident)), Some((action, incident)));
            assert!(action.custom_id(incident).len() <= 100);
        }
        for foreign in
            ["", "ack", "nightbell:ack:", "nightbell:ack:../../x", "nightbell:drop:01KANB0000000000000000000A", "x:ack:y"]
        {
            assert_eq!(Action::of_custom_id(foreign), None, "{foreign}");
        }
    }
}
