//! ARCHITECTURE.md has a paragraph for every crate and stays short enough to be read.

/// The most words it may have.
const WORDS: usize = 2500;

/// Holds the page against the crates' folders (`crates/store`, `charts`): each is named in a heading, with text below it.
#[must_use]
pub fn check(page: &str, folders: &[String]) -> Vec<String> {
    let mut wrong = Vec::new();
    let words = page.split_whitespace().count();
    if words > WORDS {
        wrong.push(format!("ARCHITECTURE.md: {words} words, at most {WORDS}; move detail to the files' own `//!`"));
    }
    for folder in folders.iter().filter(|folder| !has_paragraph(page, folder)) {
        wrong.push(format!("ARCHITECTURE.md: no paragraph under a heading with `{folder}`"));
    }
    wrong
}

fn has_paragraph(page: &str, folder: &str) -> bool {
    let name = format!("`{folder}`");
    let mut lines = page.lines().skip_while(|line| !(line.starts_with('#') && line.contains(&name))).skip(1);
    lines.find(|line| !line.is_empty()).is_some_and(|line| !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_or_empty_paragraph_is_found() {
        let page = "# House\n## `crates/a`\n\nText.\n## `crates/b`\n## `crates/c`\nText.\n";
        let folders = ["crates/a", "crates/b", "crates/c", "d"].map(str::to_owned);
        assert_eq!(
            check(page, &folders),
            [
                "ARCHITECTURE.md: no paragraph under a heading with `crates/b`",
                "ARCHITECTURE.md: no paragraph under a heading with `d`"
            ]
        );
    }

    #[test]
    fn a_long_page_is_found() {
        assert_eq!(check(&"word ".repeat(2501), &[]).len(), 1);
        assert!(check(&"word ".repeat(2500), &[]).is_empty());
    }
}
