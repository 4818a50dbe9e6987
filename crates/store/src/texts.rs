//! Lists of texts as JSON arrays in one cell, so that `sqlite3` and its JSON functions can read them. Only arrays of strings.

/// The JSON array of `texts`.
#[must_use]
pub(crate) fn write<T: AsRef<str>>(texts: &[T]) -> String {
    let mut out = String::from("[");
    for (at, text) in texts.iter().enumerate() {
        out.push_str(if at == 0 { "\"" } else { ",\"" });
        for c in text.as_ref().chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                c if u32::from(c) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
                c => out.push(c),
            }
        }
        out.push('"');
    }
    out.push(']');
    out
}

/// The texts of a JSON array of strings; `None` if it is not one.
#[must_use]
pub(crate) fn read(json: &str) -> Option<Vec<String>> {
    let mut rest = json.trim().strip_prefix('[')?.trim_start();
    let mut texts = Vec::new();
    if rest == "]" {
        return Some(texts);
    }
    loop {
        let (text, after) = read_string(rest.strip_prefix('"')?)?;
        texts.push(text);
        let after = after.trim_start();
        match after.strip_prefix(',') {
            Some(next) => rest = next.trim_start(),
            None => return (after == "]").then_some(texts),
        }
    }
}

/// Reads to the closing quote; answers the text and what follows.
fn read_string(json: &str) -> Option<(String, &str)> {
    let (mut text, mut chars) = (String::new(), json.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((text, &json[at + 1..])),
            '\\' => text.push(match chars.next()?.1 {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                'b' => '\u{8}',
                'f' => '\u{c}',
                'u' => {
                    let digits: String = chars.by_ref().take(4).map(|(_, digit)| digit).collect();
                    char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?
                }
                c @ ('"' | '\\' | '/') => c,
                _ => return None,
            }),
            c => text.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn texts_come_back(texts in prop::collection::vec(any::<String>(), 0..5)) {
            prop_assert_eq!(read(&write(&texts)), Some(texts));
        }
    }

    #[test]
    fn what_other_tools_write_is_read_and_what_is_no_list_is_refused() {
        assert_eq!(read(" [ \"a\\/b\" , \"\\n\" ] "), Some(vec!["a/b".to_owned(), "\n".to_owned()]));
        for json in ["", "[", "[\"a\"", "[\"a\",]", "[1]", "{}", "[\"\\u12\"]", "[\"\\x\"]", "[\"a\"] x"] {
            assert_eq!(read(json), None, "{json}");
        }
    }
}
