//! The hub's settings as a table for people, made from the text of `crates/hub/src/config/keys.rs`. Where the table goes is
//! decided in [`generated`](crate::generated).

use anyhow::{Context as _, Result, bail};

/// A line for each `key("name", default, "help")` of the source, on one line of it or on several.
///
/// # Errors
/// When a row has another shape, or there is none.
pub fn table(source: &str) -> Result<String> {
    let mut lines = Vec::new();
    let mut text = source.lines().map(str::trim).filter(|text| !text.starts_with("//"));
    while let Some(first) = text.next() {
        let row = match first {
            "key(" => format!("key({}", text.by_ref().take_while(|part| *part != "),").collect::<Vec<_>>().join(" ")),
            _ if first.starts_with("key(\"") => first.to_owned(),
            _ => continue,
        };
        let row = row.strip_suffix(',').map(|row| row.trim_end_matches(')')).unwrap_or(&row);
        lines.push(line(row).with_context(|| format!("cannot read the setting: {row}"))?);
    }
    if lines.is_empty() {
        bail!("there is no setting");
    }
    Ok(format!("| key | environment | default | what it means |\n|---|---|---|---|\n{}", lines.concat()))
}

/// `key("listen", Some("127.0.0.1:8787"), "Address"` -> one line of the table.
fn line(row: &str) -> Option<String> {
    let (name, rest) = row.strip_prefix("key(\"")?.split_once("\", ")?;
    let rest = rest.strip_suffix('"')?;
    let (default, help) = match rest.strip_prefix("None, \"") {
        Some(help) => (None, help),
        None => rest.strip_prefix("Some(\"")?.split_once("\"), \"").map(|(default, help)| (Some(default), help))?,
    };
    let default = default.filter(|text| !text.is_empty()).map_or_else(|| "none".to_owned(), |text| format!("`{text}`"));
    let variable = format!("NIGHTBELL_{}", name.to_uppercase().replace('.', "_"));
    Some(format!("| `{name}` | `{variable}` | {default} | {help} |\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_become_lines() {
        let source = "    key(\"jobs.retain\", Some(\"40 */10 * * * *\"), \"When, in cron (seconds first)\"),\n    key(\"tls_cert\", None, \"A file\"),\n";
        let page = table(source).expect("two settings");
        assert!(
            page.contains("| `jobs.retain` | `NIGHTBELL_JOBS_RETAIN` | `40 */10 * * * *` | When, in cron (seconds first) |\n"),
            "{page}"
        );
        assert!(page.contains("| `tls_cert` | `NIGHTBELL_TLS_CERT` | none | A file |\n"), "{page}");
        let long = "    key(\n        \"a.b\",\n        None,\n        \"Long (or not)\",\n    ),\n";
        assert!(table(long).expect("one setting").contains("| `a.b` | `NIGHTBELL_A_B` | none | Long (or not) |\n"));
    }

    #[test]
    fn a_setting_of_another_shape_is_refused() {
        assert!(table("key(\"listen\", DEFAULT, \"Address\"),").is_err());
        assert!(table("").is_err());
    }
}
