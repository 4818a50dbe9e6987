//! The parts of pages in `docs/` that are made from the source, so that they cannot fall behind it: between two marks, and
//! only there. What stands around the marks is written by hand and left alone.

use anyhow::{Context as _, Result};

use crate::console::say;
use crate::repo::Repo;
use crate::{catalogue, settings};

/// One such part.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// The page, from the root.
    pub page: &'static str,
    /// The source it is made from, from the root.
    pub source: &'static str,
    make: fn(&str) -> Result<String>,
}

/// All of them.
pub const PARTS: [Part; 2] = [
    Part { page: "docs/metrics.md", source: "crates/model/src/catalogue/rows.rs", make: catalogue::table },
    Part { page: "docs/operations.md", source: "crates/hub/src/config/keys.rs", make: settings::table },
];

const BEGIN: &str = "<!-- made by `cargo xtask docs` -->\n";
const END: &str = "<!-- end -->\n";

impl Part {
    /// The page as it is, and as it should be.
    ///
    /// # Errors
    /// When a file cannot be read, the source has another shape, or the page has lost its marks.
    pub fn renewed(&self, repo: &Repo) -> Result<(String, String)> {
        let page = repo.read(self.page)?;
        let made = (self.make)(&repo.read(self.source)?).with_context(|| format!("cannot make a table from {}", self.source))?;
        let fresh = put(&page, &made).with_context(|| format!("{} has lost its marks", self.page))?;
        Ok((page, fresh))
    }
}

/// The page with `made` between its marks.
fn put(page: &str, made: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{made}\n{END}{after}"))
}

/// Writes every part.
///
/// # Errors
/// As [`Part::renewed`], or when the disk refuses.
pub fn write(repo: &Repo) -> Result<()> {
    for part in PARTS {
        let (page, fresh) = part.renewed(repo)?;
        repo.write(part.page, &fresh)?;
        say(&format!("{}: {}", part.page, if page == fresh { "was current" } else { "written" }));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_changes() {
        let page = put(&format!("Top.\n{BEGIN}old\n{END}Bottom.\n"), "new\n").expect("it has marks");
        assert_eq!(page, format!("Top.\n{BEGIN}\nnew\n\n{END}Bottom.\n"));
        assert_eq!(put(&page, "new\n"), Some(page.clone()));
        assert_eq!(put("no marks", "new\n"), None);
    }
}
