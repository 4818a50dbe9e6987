//! The metric catalogue as a table for people, made from the text of `crates/model/src/catalogue/rows.rs`, since this program
//! knows none of our crates. Where the table goes is decided in [`generated`](crate::generated).

use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};

/// The fields of a row, in their order.
const FIELDS: [&str; 9] = ["name", "unit", "decimals", "worse", "label", "min", "max", "period_ms", "help"];

/// One row, each field as it stands in the source.
struct Row<'a>([&'a str; FIELDS.len()]);

/// A section for each family (`cpu`, `disk`, …), with a line for each row of the source.
///
/// # Errors
/// When a row has another shape, or there is none.
pub fn table(source: &str) -> Result<String> {
    let rows = parse(source)?;
    let mut page = String::new();
    let mut family = "";
    for row in &rows {
        let of = row.get("name").split('.').next().unwrap_or_default();
        if of != family {
            family = of;
            let space = if page.is_empty() { "" } else { "\n" };
            // Writing to a string cannot fail.
            let _ = write!(page, "{space}### {family}\n\n{HEAD}");
        }
        let cells =
            [format!("`{}`", row.key()), row.unit(), row.get("decimals").to_owned(), row.worse().to_owned(), row.period()];
        let _ = writeln!(page, "| {} | {} |", cells.join(" | "), row.get("help").replace('|', "\\|"));
    }
    Ok(page)
}

const HEAD: &str = "| series | unit | decimals | worse | own period | what it is |\n|---|---|---|---|---|---|\n";

fn parse(text: &str) -> Result<Vec<Row<'_>>> {
    let lines = text.lines().map(str::trim).filter(|line| line.starts_with("Metric {"));
    let rows = lines.map(|line| row(line).with_context(|| format!("cannot read the row: {line}")));
    let rows = rows.collect::<Result<Vec<_>>>()?;
    if rows.is_empty() {
        bail!("the catalogue holds no row");
    }
    Ok(rows)
}

/// Cuts `Metric { name: "a.b", unit: Unit::Bytes, …, help: "Text." },` at the names of the fields.
fn row(line: &str) -> Option<Row<'_>> {
    let mut rest = line.strip_prefix("Metric { ")?.strip_suffix(" },")?;
    let mut values = [""; FIELDS.len()];
    for (at, field) in FIELDS.iter().enumerate() {
        rest = rest.strip_prefix(field)?.strip_prefix(": ")?;
        let end = match FIELDS.get(at + 1) {
            Some(next) => rest.find(&format!(", {next}: "))?,
            None => rest.len(),
        };
        values[at] = rest[..end].trim_matches('"');
        rest = rest[end..].trim_start_matches(", ");
    }
    Some(Row(values))
}

impl Row<'_> {
    fn get(&self, field: &str) -> &str {
        FIELDS.iter().position(|name| *name == field).map_or("", |at| self.0[at])
    }

    /// `Some(Worse::High)` -> `high`, `None` -> nothing.
    fn worse(&self) -> &'static str {
        match self.get("worse") {
            "Some(Worse::High)" => "high",
            "Some(Worse::Low)" => "low",
            _ => "",
        }
    }

    /// The series key: the name, with its label if it has one.
    fn key(&self) -> String {
        let label = self.get("label").trim_start_matches("Some(\"").trim_end_matches("\")");
        if label == "None" { self.get("name").to_owned() } else { format!("{}{{{label}}}", self.get("name")) }
    }

    /// `Unit::BytesPerSecond` -> `bytes per second`.
    fn unit(&self) -> String {
        let mut words = String::new();
        for letter in self.get("unit").trim_start_matches("Unit::").chars() {
            if letter.is_uppercase() && !words.is_empty() {
                words.push(' ');
            }
            words.extend(letter.to_lowercase());
        }
        if words == "none" { String::new() } else { words }
    }

    /// How often it is measured, where that is slower than the heartbeat: `1 h`.
    fn period(&self) -> String {
        let digits: String = self.get("period_ms").chars().filter(char::is_ascii_digit).collect();
        match digits.parse::<u64>() {
            Ok(ms) if ms % 3_600_000 == 0 => format!("{} h", ms / 3_600_000),
            Ok(ms) if ms % 60_000 == 0 => format!("{} min", ms / 60_000),
            Ok(ms) => format!("{} s", ms / 1000),
            Err(_) => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = r#"
    Metric { name: "disk.used_percent", unit: Unit::Percent, decimals: 2, worse: Some(Worse::High), label: Some("mount"), min: 0.0, max: 100.0, period_ms: None, help: "Used, as df shows it." },
    Metric { name: "smart.age_seconds", unit: Unit::None, decimals: 0, worse: None, label: None, min: 0.0, max: HUGE, period_ms: Some(3_600_000), help: "Age." },
    "#;

    #[test]
    fn rows_become_lines() {
        let page = table(TWO).expect("two rows");
        assert!(page.starts_with("### disk\n\n| series |") && page.contains("\n\n### smart\n\n"));
        assert!(page.contains("| `disk.used_percent{mount}` | percent | 2 | high |  | Used, as df shows it. |"), "{page}");
        assert!(page.contains("| `smart.age_seconds` |  | 0 |  | 1 h | Age. |"), "{page}");
    }

    #[test]
    fn a_row_of_another_shape_is_refused() {
        assert!(table("Metric { name: \"a.b\", kind: 3 },").is_err());
        assert!(table("nothing").is_err());
    }
}
