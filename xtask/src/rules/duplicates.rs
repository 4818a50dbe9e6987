//! One TLS stack, one HTTP stack, one runtime; a second version of anything else needs a reason in `xtask/duplicates.txt`.

use std::collections::{BTreeMap, BTreeSet};

/// Packages that must not be compiled in: a second TLS or C stack, or fonts of the system.
const BANNED: [&str; 5] = ["openssl-sys", "native-tls", "aws-lc-sys", "aws-lc-rs", "font-kit"];

/// Packages of which no reason excuses a second version.
const SINGLE: [&str; 9] =
    ["axum", "hyper", "reqwest", "ring", "rustls", "tokio", "tokio-rustls", "tokio-tungstenite", "tungstenite"];

/// Where the reasons stand, from the root.
pub const LIST: &str = "xtask/duplicates.txt";

/// Holds the packages of all our crates (name -> versions) against the lists; `reasons` is the text of [`LIST`].
#[must_use]
pub fn check(versions: &BTreeMap<String, BTreeSet<String>>, reasons: &str) -> Vec<String> {
    let mut wrong: Vec<String> = Vec::new();
    for name in BANNED.iter().filter(|name| versions.contains_key(**name)) {
        wrong.push(format!("{name}: must not be compiled in; see `cargo tree --workspace -e normal -i {name}`"));
    }
    let reasons: BTreeMap<&str, &str> = reasons.lines().filter(|line| !line.starts_with('#')).filter_map(entry).collect();
    let twice: BTreeMap<&str, String> =
        versions.iter().filter(|(_, found)| found.len() > 1).map(|(name, found)| (name.as_str(), join(found))).collect();
    for (name, found) in &twice {
        if SINGLE.contains(name) {
            wrong.push(format!("{name}: {found} together; there must be one"));
        } else if reasons.get(name).is_none_or(|reason| reason.is_empty()) {
            wrong.push(format!("{name}: {found} together; bring them to one version, or give the reason in {LIST}"));
        }
    }
    for name in reasons.keys().filter(|name| !twice.contains_key(**name)) {
        wrong.push(format!("{LIST}: {name} has one version now; take its line out"));
    }
    wrong
}

/// `name: reason`.
fn entry(line: &str) -> Option<(&str, &str)> {
    line.split_once(':').map(|(name, reason)| (name.trim(), reason.trim()))
}

fn join(versions: &BTreeSet<String>) -> String {
    versions.iter().map(String::as_str).collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(of: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
        of.iter().map(|(name, all)| ((*name).to_owned(), all.iter().map(|v| (*v).to_owned()).collect())).collect()
    }

    #[test]
    fn a_second_stack_is_found_whatever_the_list_says() {
        let found = versions(&[("hyper", &["0.14.1", "1.2.0"]), ("openssl-sys", &["0.9.1"]), ("serde", &["1.0.0"])]);
        let wrong = check(&found, "hyper: we like both\n");
        assert_eq!(wrong.len(), 2);
        assert!(wrong[0].starts_with("openssl-sys: must not") && wrong[1].starts_with("hyper: 0.14.1 and 1.2.0 together"));
    }

    #[test]
    fn a_reason_excuses_and_a_stale_one_is_found() {
        let found = versions(&[("base64", &["0.22.0", "0.23.0"]), ("rand", &["0.8.0", "0.9.0"])]);
        let wrong = check(&found, "# why\nbase64: lettre is behind\nrand:\nphf: cron\n");
        assert_eq!(wrong.len(), 2);
        assert!(wrong[0].starts_with("rand: 0.8.0 and 0.9.0 together") && wrong[1].contains("phf has one version now"));
    }
}
