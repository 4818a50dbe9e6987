//! JSON that is none because of its numbers: `NaN`, `Infinity`, `-Infinity` (Python writes them) and numbers beyond f64
//! (`1e999`). They mean missing values here, so they become null; everything else stays as it is.

/// The text with null in place of such numbers, or `None` if there are none.
pub(crate) fn without_non_finite(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut mended: Option<Vec<u8>> = None;
    let mut copied = 0;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = after_string(bytes, at + 1),
            b'-' | b'+' | b'0'..=b'9' | b'N' | b'I' => {
                let end = after_token(bytes, at);
                if is_non_finite(&bytes[at..end]) {
                    let out = mended.get_or_insert_with(|| Vec::with_capacity(bytes.len()));
                    out.extend_from_slice(&bytes[copied..at]);
                    out.extend_from_slice(b"null");
                    copied = end;
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    let mut out = mended?;
    out.extend_from_slice(&bytes[copied..]);
    Some(out)
}

/// Where the string whose first byte is at `at` has ended.
fn after_string(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Where the word or number that starts at `at` has ended.
fn after_token(bytes: &[u8], at: usize) -> usize {
    let inside = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-');
    bytes[at..].iter().position(|byte| !inside(byte)).map_or(bytes.len(), |length| at + length)
}

fn is_non_finite(token: &[u8]) -> bool {
    let word = token.strip_prefix(b"-").or_else(|| token.strip_prefix(b"+")).unwrap_or(token);
    if matches!(word, b"NaN" | b"Infinity") {
        return true;
    }
    let numeric = word.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
    numeric && std::str::from_utf8(token).ok().and_then(|text| text.parse::<f64>().ok()).is_some_and(f64::is_infinite)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, mended: Option<&str>) {
        assert_eq!(without_non_finite(text.as_bytes()).as_deref(), mended.map(str::as_bytes), "{text}");
    }

    #[test]
    fn only_non_finite_numbers_are_replaced() {
        check(r#"{"a":NaN,"b":-Infinity,"c":1e999}"#, Some(r#"{"a":null,"b":null,"c":null}"#));
        check(r#"[Infinity,1.5,-1e400 ]"#, Some("[null,1.5,null ]"));
        check(r#"{"NaN":"Infinity 1e999 \" NaN","x":1e308}"#, None);
        check("Nan", None);
        check("\"unfinished NaN", None);
        check("\"\\", None);
        check("", None);
    }
}
