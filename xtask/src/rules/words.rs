//! Words that say a thing is unfinished or a test is asleep. Finished code has none.

use crate::repo::SourceFile;

/// Put together from pieces, so that this file does not find itself.
const BANNED: [&str; 11] = [
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("#[ig", "nore"),
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("it.sk", "ip("),
    concat!("test.sk", "ip("),
    concat!("it.on", "ly("),
    concat!("test.on", "ly("),
    concat!("describe.on", "ly("),
];

/// Searches Rust and TypeScript files, tests and comments included.
#[must_use]
pub fn check(files: &[SourceFile]) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in files {
        for (number, line) in (1..).zip(file.text.lines()) {
            if let Some(word) = BANNED.iter().find(|word| holds(line, word)) {
                wrong.push(format!("{}:{number}: `{word}`: finish it, or open an issue", file.path));
            }
        }
    }
    wrong
}

/// Whether `line` holds `word` with no letter or digit around it.
fn holds(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(|c| is_part(c) && word.starts_with(is_part));
        let after = line[at + word.len()..].chars().next().is_some_and(|c| is_part(c) && word.ends_with(is_part));
        !before && !after
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_found_alone_and_not_inside_another() {
        for word in BANNED {
            let file = SourceFile::new("a.rs", &format!("fine\n    {word} later\n"));
            assert_eq!(check(&[file]).len(), 1, "{word}");
        }
        let fine = format!("let name = \"{0}{0}\"; my{1}) {2}S", BANNED[5], BANNED[0], BANNED[4]);
        assert!(check(&[SourceFile::new("a.rs", &fine)]).is_empty());
    }
}
