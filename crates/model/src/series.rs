//! Series keys: `name` or `name{label=value,…}`, the one way a series is named in rules, API, CSV and charts.
//!
//! The grammar is section 1 of the metric catalogue: labels sorted by name; a value that holds any of `{ } , = + " \`,
//! white space or a control character stands in double quotes, with `\"`, `\\` and `\n` escaped; UTF-8, at most 256 bytes.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The longest series key that is accepted, in bytes of its canonical text.
pub const MAX_KEY_LEN: usize = 256;

/// The name of one series of an agent, in canonical form. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesKey {
    text: Arc<str>,
}

/// Why a text is not a series key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeriesKeyError {
    /// The metric's name is not of the form `cpu.usage_percent`.
    Name,
    /// What stands between the braces is not `label=value,…`, or something follows the closing brace.
    Labels,
    /// The same label stands twice.
    RepeatedLabel,
    /// The canonical text is longer than [`MAX_KEY_LEN`].
    TooLong,
}

impl fmt::Display for SeriesKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "the metric's name must be lower-case words joined by dots, such as cpu.usage_percent",
            Self::Labels => "labels are written {name=value,other=\"quoted value\"}",
            Self::RepeatedLabel => "a label stands twice",
            Self::TooLong => "the key is longer than 256 bytes",
        })
    }
}

impl std::error::Error for SeriesKeyError {}

impl SeriesKey {
    /// The key of `metric` with `labels` (in any order).
    ///
    /// # Errors
    /// If the name or a label's name is malformed, a label stands twice, or the key would be too long.
    pub fn new(metric: &str, labels: &[(&str, &str)]) -> Result<Self, SeriesKeyError> {
        if !is_metric_name(metric) {
            return Err(SeriesKeyError::Name);
        }
        let mut sorted = labels.to_vec();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(SeriesKeyError::RepeatedLabel);
        }
        if !sorted.iter().all(|(name, _)| is_label_name(name)) {
            return Err(SeriesKeyError::Labels);
        }
        let mut text = String::with_capacity(metric.len() + 16);
        text.push_str(metric);
        for (index, (name, value)) in sorted.iter().enumerate() {
            text.push(if index == 0 { '{' } else { ',' });
            text.push_str(name);
            text.push('=');
            push_value(&mut text, value);
        }
        if !sorted.is_empty() {
            text.push('}');
        }
        if text.len() > MAX_KEY_LEN {
            return Err(SeriesKeyError::TooLong);
        }
        Ok(Self { text: text.into() })
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The metric's name, without labels.
    #[must_use]
    pub fn metric(&self) -> &str {
        self.text.split_once('{').map_or(&*self.text, |(metric, _)| metric)
    }

    /// The labels, sorted by name, unquoted.
    #[must_use]
    pub fn labels(&self) -> Vec<(String, String)> {
        match self.text.find('{') {
            Some(brace) => parse_labels(&self.text[brace..]).unwrap_or_default(),
            None => Vec::new(),
        }
    }

    /// The value of the label called `name`.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<String> {
        self.labels().into_iter().find(|(label, _)| label == name).map(|(_, value)| value)
    }

    /// Whether the series has labels.
    #[must_use]
    pub fn has_labels(&self) -> bool {
        self.text.ends_with('}')
    }
}

impl FromStr for SeriesKey {
    type Err = SeriesKeyError;

    fn from_str(text: &str) -> Result<Self, SeriesKeyError> {
        let Some(brace) = text.find('{') else {
            return Self::new(text, &[]);
        };
        let labels = parse_labels(&text[brace..]).ok_or(SeriesKeyError::Labels)?;
        let borrowed: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Self::new(&text[..brace], &borrowed)
    }
}

impl fmt::Display for SeriesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for SeriesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::borrow::Borrow<str> for SeriesKey {
    fn borrow(&self) -> &str {
        &self.text
    }
}

/// Whether `name` has the form of a metric's name: `[a-z][a-z0-9_]*(\.[a-z0-9_]+)+`.
#[must_use]
pub fn is_metric_name(name: &str) -> bool {
    let word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    name.contains('.') && name.split('.').all(word) && name.as_bytes()[0].is_ascii_lowercase()
}

/// Splits a list of keys at its commas, but not inside braces or quotes: `a.b,c.d{x=1,y=2}` is two keys.
#[must_use]
pub fn split_list(list: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut quoted, mut escaped) = (Vec::new(), 0, 0_u32, false, false);
    for (at, c) in list.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' if depth > 0 => quoted = !quoted,
            _ if quoted => {}
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&list[start..]);
    parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect()
}

fn is_label_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_')
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn needs_quotes(value: &str) -> bool {
    value.is_empty() || value.chars().any(|c| "{},=+\"\\".contains(c) || c.is_whitespace() || c.is_control())
}

fn push_value(text: &mut String, value: &str) {
    if !needs_quotes(value) {
        text.push_str(value);
        return;
    }
    text.push('"');
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
    text.push('"');
}

/// Reads `{name=value,…}` to its closing brace at the end of `text`.
fn parse_labels(text: &str) -> Option<Vec<(String, String)>> {
    let mut rest = text.strip_prefix('{')?;
    let mut labels = Vec::new();
    loop {
        let (name, after) = rest.split_once('=')?;
        let (value, after) = parse_value(after)?;
        labels.push((name.trim().to_owned(), value));
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return (after == "}").then_some(labels),
        }
    }
}

fn parse_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', '}'])?;
        let value = &text[..end];
        return (!needs_quotes(value)).then(|| (value.to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                c @ ('"' | '\\') => c,
                _ => return None,
            }),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Result<String, SeriesKeyError> {
        text.parse::<SeriesKey>().map(|key| key.to_string())
    }

    #[test]
    fn keys_are_brought_into_one_form() {
        assert_eq!(canonical("cpu.usage_percent").as_deref(), Ok("cpu.usage_percent"));
        assert_eq!(canonical("a.b{z=1,a=2}").as_deref(), Ok("a.b{a=2,z=1}"));
        assert_eq!(canonical("disk.used_percent{mount=/}").as_deref(), Ok("disk.used_percent{mount=/}"));
        assert_eq!(canonical("a.b{m=\"plain\"}").as_deref(), Ok("a.b{m=plain}"));
        assert_eq!(canonical("a.b{m=\"a b\\\"\\\\\\n,}\"}").as_deref(), Ok("a.b{m=\"a b\\\"\\\\\\n,}\"}"));
    }

    #[test]
    fn what_is_no_key_is_refused_with_its_reason() {
        for (text, why) in [
            ("cpu", SeriesKeyError::Name),
            ("Cpu.usage", SeriesKeyError::Name),
            ("1cpu.usage", SeriesKeyError::Name),
            ("cpu..usage", SeriesKeyError::Name),
            ("", SeriesKeyError::Name),
            ("a.b{", SeriesKeyError::Labels),
            ("a.b{}", SeriesKeyError::Labels),
            ("a.b{x=1}y", SeriesKeyError::Labels),
            ("a.b{x=\"1}", SeriesKeyError::Labels),
            ("a.b{x=a b}", SeriesKeyError::Labels),
            ("a.b{X=1}", SeriesKeyError::Labels),
            ("a.b{x=1,x=2}", SeriesKeyError::RepeatedLabel),
        ] {
            assert_eq!(canonical(text), Err(why), "{text}");
        }
        let long = format!("a.b{{x={}}}", "v".repeat(MAX_KEY_LEN));
        assert_eq!(canonical(&long), Err(SeriesKeyError::TooLong));
    }

    #[test]
    fn lists_split_only_outside_braces_and_quotes() {
        assert_eq!(split_list("a.b, c.d{x=1,y=2},e.f{m=\"},\"}"), ["a.b", "c.d{x=1,y=2}", "e.f{m=\"},\"}"]);
        assert_eq!(split_list(""), Vec::<&str>::new());
    }

    #[test]
    fn parts_can_be_read_back() -> Result<(), SeriesKeyError> {
        let key = SeriesKey::new("disk.used_percent", &[("mount", "/srv/my data")])?;
        assert_eq!(key.metric(), "disk.used_percent");
        assert_eq!(key.label("mount").as_deref(), Some("/srv/my data"));
        assert!(key.has_labels());
        Ok(())
    }
}
