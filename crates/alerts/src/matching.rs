//! Which series of an agent a rule looks at: a selector with its regular expressions compiled once.

use crate::rule::{MatchKind, Selector};
use nightbell_model::SeriesKey;
use regex::Regex;

/// Compiled expressions may take this many bytes: far above any sensible label filter, far below what hurts.
const REGEX_SIZE: usize = 256 * 1024;

/// A selector ready to be asked.
#[derive(Debug, Clone)]
pub struct Filter {
    labels: Vec<(String, String)>,
    conditions: Vec<Condition>,
}

#[derive(Debug, Clone)]
struct Condition {
    label: String,
    negated: bool,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    Is(String),
    Matches(Regex),
    Never,
}

impl Filter {
    /// Compiles a selector. An expression that does not compile (a fault that is refused where rules come in) matches nothing.
    #[must_use]
    pub fn new(selector: &Selector) -> Self {
        let conditions = selector.matchers.iter().map(|matcher| {
            let (negated, test) = match matcher.kind {
                MatchKind::Equal => (false, Test::Is(matcher.value.clone())),
                MatchKind::NotEqual => (true, Test::Is(matcher.value.clone())),
                MatchKind::Regex => (false, compile(&matcher.value).map_or(Test::Never, Test::Matches)),
                MatchKind::NotRegex => match compile(&matcher.value) {
                    Ok(regex) => (true, Test::Matches(regex)),
                    Err(_) => (false, Test::Never),
                },
            };
            Condition { label: matcher.label.clone(), negated, test }
        });
        Self { labels: selector.labels.clone(), conditions: conditions.collect() }
    }

    /// Whether the labels of a series of the right metric satisfy every condition; an absent label has the empty value.
    #[must_use]
    pub fn admits(&self, series: &SeriesKey) -> bool {
        if self.labels.is_empty() && self.conditions.is_empty() {
            return true;
        }
        let labels = series.labels();
        let value = |name: &str| labels.iter().find(|(label, _)| label == name).map_or("", |(_, value)| value.as_str());
        self.labels.iter().all(|(name, wanted)| value(name) == wanted)
            && self.conditions.iter().all(|condition| condition.admits(value(&condition.label)))
    }
}

impl Condition {
    fn admits(&self, value: &str) -> bool {
        let hit = match &self.test {
            Test::Is(wanted) => value == wanted,
            Test::Matches(regex) => regex.is_match(value),
            Test::Never => return false,
        };
        hit != self.negated
    }
}

/// Compiles an expression that must match a whole label value.
pub(crate) fn compile(expression: &str) -> Result<Regex, regex::Error> {
    // Compiled alone first, so that an unbalanced parenthesis cannot close the group around it.
    regex::RegexBuilder::new(expression).size_limit(REGEX_SIZE).build()?;
    regex::RegexBuilder::new(&format!("^(?:{expression})$")).size_limit(REGEX_SIZE).build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::{Aggregate, Matcher};

    fn filter(kind: MatchKind, value: &str) -> Filter {
        let matchers = vec![Matcher { label: "mount".into(), kind, value: value.into() }];
        Filter::new(&Selector { metric: "disk.used_percent".into(), labels: vec![], matchers, aggregate: Aggregate::Each })
    }

    fn admits(kind: MatchKind, pattern: &str, mount: &str) -> bool {
        let labels: &[(&str, &str)] = if mount.is_empty() { &[] } else { &[("mount", mount)] };
        filter(kind, pattern).admits(&SeriesKey::new("disk.used_percent", labels).unwrap())
    }

    #[test]
    fn each_kind_of_matcher_looks_at_the_whole_value() {
        use MatchKind::{Equal, NotEqual, NotRegex, Regex};
        for (kind, pattern, mount, expected) in [
            (Equal, "/", "/", true),
            (Equal, "/", "/srv", false),
            (Equal, "", "", true),
            (NotEqual, "/", "/srv", true),
            (NotEqual, "/", "/", false),
            (NotEqual, "/", "", true),
            (Regex, "/s.*", "/srv", true),
            (Regex, "/s", "/srv", false),
            (Regex, "/a|/b", "/b", true),
            (Regex, "/a|/b", "/bc", false),
            (NotRegex, "/s.*", "/srv", false),
            (NotRegex, "/s.*", "/", true),
            (Regex, "(", "(", false),
            (NotRegex, "(", "/", false),
            (Regex, "a)|(b", "a", false),
        ] {
            assert_eq!(admits(kind, pattern, mount), expected, "{kind:?} {pattern:?} {mount:?}");
        }
    }
}
