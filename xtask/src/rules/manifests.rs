//! Every crate takes its fields, its lints and its versions from the workspace, so that they are decided once.

use crate::repo::SourceFile;

/// What each manifest says literally.
const INHERITED: [&str; 5] = [
    "version.workspace = true",
    "edition.workspace = true",
    "rust-version.workspace = true",
    "license.workspace = true",
    "publish.workspace = true",
];

/// Holds the manifests of our crates (not the root's) against that.
#[must_use]
pub fn check(manifests: &[SourceFile]) -> Vec<String> {
    let mut wrong = Vec::new();
    for manifest in manifests {
        let says = |wanted: &str| manifest.text.lines().any(|line| line == wanted);
        for field in INHERITED.iter().filter(|field| !says(field)) {
            wrong.push(format!("{}: must say `{field}`", manifest.path));
        }
        if !manifest.text.contains("[lints]\nworkspace = true\n") {
            wrong.push(format!("{}: must take its lints from the workspace", manifest.path));
        }
        if !manifest.text.lines().any(|line| line.starts_with("description = \"")) {
            wrong.push(format!("{}: must say in its description what it is for", manifest.path));
        }
        wrong.extend(own_versions(manifest));
    }
    wrong
}

/// Dependencies whose version is decided here instead of in the root.
fn own_versions(manifest: &SourceFile) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut among_dependencies = false;
    for (number, line) in (1..).zip(manifest.text.lines()) {
        if line.starts_with('[') {
            among_dependencies = line.trim_end_matches(']').ends_with("dependencies");
        } else if among_dependencies && line.contains(" = ") && line.starts_with(char::is_alphabetic) {
            let inherits = line.contains("workspace = true");
            if !inherits {
                wrong.push(format!("{}:{number}: the version belongs into the root's [workspace.dependencies]", manifest.path));
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(dependencies: &str) -> SourceFile {
        let head = format!("[package]\nname = \"a\"\ndescription = \"A\"\n{}\n", INHERITED.join("\n"));
        SourceFile::new("a/Cargo.toml", &format!("{head}\n[lints]\nworkspace = true\n\n[dependencies]\n{dependencies}"))
    }

    #[test]
    fn own_versions_are_found() {
        let text =
            "serde.workspace = true\nregex = \"1\"\ntokio = { workspace = true, features = [\"rt\"] }\n\n[features]\nx = []\n";
        let wrong = check(&[manifest(text)]);
        assert_eq!(wrong.len(), 1);
        assert!(wrong[0].ends_with("belongs into the root's [workspace.dependencies]"), "{wrong:?}");
    }

    #[test]
    fn missing_fields_are_found() {
        assert!(check(&[manifest("")]).is_empty());
        assert_eq!(check(&[SourceFile::new("b/Cargo.toml", "[package]\n")]).len(), INHERITED.len() + 2);
    }
}
