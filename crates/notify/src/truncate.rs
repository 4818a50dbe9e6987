//! Texts are cut to what a service takes, by characters and never through one, with a sign that something is missing.

/// What stands where something was cut off.
const ELLIPSIS: char = '…';

/// `text`, at most `limit` characters long. Services count UTF-16 units or Unicode characters; the larger of the two counts here.
pub(crate) fn to_chars(text: &str, limit: usize) -> String {
    if text.encode_utf16().count() <= limit {
        return text.to_owned();
    }
    let mut left = limit.saturating_sub(1);
    let kept: String = text
        .chars()
        .take_while(|c| {
            c.len_utf16() <= left && {
                left -= c.len_utf16();
                true
            }
        })
        .collect();
    if limit == 0 { String::new() } else { format!("{kept}{ELLIPSIS}") }
}

/// How long services count `text` to be.
pub(crate) fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_at_the_limit_and_not_before() {
        assert_eq!(to_chars("abcd", 4), "abcd");
        assert_eq!(to_chars("abcde", 4), "abc…");
        assert_eq!(to_chars("äöüß", 4), "äöüß");
        assert_eq!(to_chars("🔴🔴", 4), "🔴🔴");
        assert_eq!(to_chars("🔴🔴x", 4), "🔴…", "a character of two units is not split");
        assert_eq!(to_chars("abc", 0), "");
        assert_eq!(to_chars("abc", 1), "…");
    }
}
