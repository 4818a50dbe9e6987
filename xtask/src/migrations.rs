//! Shipped migrations never change: their checksums stand in `migrations/CHECKSUMS`, and a rule compares.
//!
//! A database that ran a migration will not run it again, so an edit would split the world in two. `--bless` appends what
//! is new; `--force` accepts changes as well, for the time before the first release. What a migration says is the
//! store's business.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Result, bail};
use sha2::{Digest as _, Sha256};

use crate::console::say;
use crate::repo::{Repo, SourceFile};

/// The list, from the root.
pub const LIST: &str = "migrations/CHECKSUMS";

const HEAD: &str = "# SHA-256 of every migration ever shipped; they never change. New ones: cargo xtask migrations --bless\n";

/// The migrations of the tree, each with its checksum.
///
/// # Errors
/// When the folder cannot be read.
pub fn present(repo: &Repo) -> Result<BTreeMap<String, String>> {
    Ok(sums(&repo.files(&["up.sql"])?))
}

fn sums(files: &[SourceFile]) -> BTreeMap<String, String> {
    let migrations = files.iter().filter(|file| file.path.starts_with("migrations/"));
    migrations.map(|file| (file.path.clone(), sum(&file.text))).collect()
}

fn sum(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Reads the list: one `<checksum>  <path>` on a line, as `sha256sum` prints it; `#` begins a comment.
#[must_use]
pub fn parse(list: &str) -> BTreeMap<String, String> {
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once("  ")).map(|(sum, path)| (path.to_owned(), sum.to_owned())).collect()
}

/// What is wrong between the list and the tree: changed, gone, or not yet recorded.
#[must_use]
pub fn check(listed: &BTreeMap<String, String>, present: &BTreeMap<String, String>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, sum) in listed {
        match present.get(path) {
            None => wrong.push(format!("{path}: shipped, and gone; bring it back")),
            Some(now) if now != sum => wrong.push(format!("{path}: shipped, and changed; undo it and write a new migration")),
            Some(_) => {}
        }
    }
    for path in present.keys().filter(|path| !listed.contains_key(*path)) {
        wrong.push(format!("{path}: not in {LIST}; run: cargo xtask migrations --bless"));
    }
    wrong
}

/// Writes the list anew: new migrations are added; changed and gone ones only with `force`.
///
/// # Errors
/// When a shipped migration changed and `force` was not said.
pub fn bless(repo: &Repo, force: bool) -> Result<()> {
    let listed = parse(&repo.read(LIST).unwrap_or_default());
    let present = present(repo)?;
    let known: BTreeMap<String, String> =
        present.iter().filter(|(path, _)| listed.contains_key(*path)).map(|(path, sum)| (path.clone(), sum.clone())).collect();
    let broken = check(&listed, &known);
    if !broken.is_empty() && !force {
        bail!("{}", broken.join("\n"));
    }
    let lines = present.iter().map(|(path, sum)| format!("{sum}  {path}\n"));
    repo.write(LIST, &format!("{HEAD}{}", lines.collect::<String>()))?;
    say(&format!("{LIST}: {} migrations, {} of them new", present.len(), present.len() - known.len()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_sha256sum() {
        let files = [SourceFile::new("migrations/sqlite/0001-init/up.sql", "abc"), SourceFile::new("elsewhere/up.sql", "")];
        let found = sums(&files);
        assert_eq!(found.len(), 1);
        assert_eq!(
            found["migrations/sqlite/0001-init/up.sql"],
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn changed_gone_and_new_migrations_are_named() {
        let listed = parse("# head\naa  m/1\nbb  m/2\ncc  m/3\n");
        let present = parse("aa  m/1\nxx  m/2\ndd  m/4\n");
        let wrong = check(&listed, &present);
        assert_eq!(wrong.len(), 3);
        assert!(wrong[0].starts_with("m/2: shipped, and changed") && wrong[1].starts_with("m/3: shipped, and gone"));
        assert!(wrong[2].starts_with("m/4: not in"));
        assert!(check(&listed, &listed).is_empty());
    }
}
