//! The signed page as text: no script, one style sheet inside, readable on a phone in the dark.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use nightbell_alerts::why::value_text;
use nightbell_model::Timestamp;
use nightbell_model::catalogue::Unit;
use nightbell_notify::TopProcess;
use sha2::{Digest, Sha256};
use std::fmt::Write;

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:0 auto;padding:1rem;background:light-dark(#fff,#14171c);color:light-dark(#1b1f24,#e6e8eb)}\
h1{font-size:1.35rem;margin:.2rem 0}h2{font-size:1rem;margin:1.5rem 0 .4rem}p{margin:.4rem 0}\
.badge{display:inline-block;padding:.1rem .6rem;border-radius:1rem;font-weight:600;color:#fff}\
.critical{background:#c3282d}.warning{background:#9a6200}.info{background:#2563ac}.resolved{background:#24793f}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem;margin:.8rem 0}dt{opacity:.7}dd{margin:0;overflow-wrap:anywhere}\
img{width:100%;height:auto;border-radius:.4rem}table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.2rem .6rem .2rem 0;vertical-align:top}\
th{font-weight:400;opacity:.7}.n{text-align:right;white-space:nowrap}footer{margin-top:2rem;font-size:.85rem;opacity:.8}\
a{color:light-dark(#0b5cad,#7db7f0)}";

/// Said while the disk is full.
const UNSTORED: &str = "<p>The hub cannot write to its disk: this is what it has in memory.</p>";

/// A line of a list: when, what, and more.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) at: String,
    pub(super) what: String,
    pub(super) more: String,
}

/// Everything the page says.
#[derive(Debug)]
pub(super) struct Sheet {
    pub(super) is_open: bool,
    /// Whether what is shown is stored as well, or known to the hub's memory alone.
    pub(super) is_stored: bool,
    pub(super) severity: &'static str,
    pub(super) rule: String,
    pub(super) agent: String,
    pub(super) why: String,
    pub(super) facts: Vec<(&'static str, String)>,
    /// The picture, to which `&theme=` may be added.
    pub(super) chart: String,
    pub(super) top: Vec<TopProcess>,
    pub(super) notes: Vec<Line>,
    pub(super) timeline: Vec<Line>,
    pub(super) login: String,
    pub(super) until: String,
}

/// What the browser may load: our style, our pictures, and nothing else.
pub(super) fn policy() -> String {
    let hash = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    format!(
        "default-src 'none'; img-src 'self'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// Text that is nothing but text.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

/// A moment in the hub's time zone.
pub(super) fn moment(at: Timestamp, zone: Tz) -> String {
    let utc = DateTime::<Utc>::from_timestamp_millis(at.as_millis()).unwrap_or_default();
    utc.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S %Z").to_string()
}

/// A number with as many digits as are worth reading.
pub(super) fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn frame(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"robots\" content=\"noindex\"><title>{}</title><style>{STYLE}</style></head><body>{body}</body></html>\n",
        escaped(title)
    )
}

fn lines(title: &str, lines: &[Line]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let mut text = format!("<h2>{title}</h2><table>");
    for line in lines {
        let [at, what, more] = [&line.at, &line.what, &line.more].map(|text| escaped(text));
        let _written = write!(text, "<tr><th>{at}</th><td>{what}</td><td>{more}</td></tr>");
    }
    text + "</table>"
}

#[expect(clippy::cast_precision_loss, reason = "shown with two decimals of a larger unit")]
fn top(top: &[TopProcess]) -> String {
    if top.is_empty() {
        return String::new();
    }
    let mut text = "<h2>Top processes</h2><table>".to_owned();
    for one in top {
        let (name, cpu) = (escaped(&one.name), value_text(one.cpu_percent, Unit::Percent));
        let memory = value_text(one.rss_bytes as f64, Unit::Bytes);
        let io = one.io_bytes_per_second.map(|io| format!("{} disk", value_text(io as f64, Unit::BytesPerSecond)));
        let _written = write!(
            text,
            "<tr><td>{name}</td><td class=\"n\">{cpu} of a core</td><td class=\"n\">{memory}</td><td class=\"n\">{}</td></tr>",
            io.unwrap_or_default()
        );
    }
    text + "</table>"
}

/// The page of an incident.
pub(super) fn page(sheet: &Sheet) -> String {
    let (class, word) = if sheet.is_open { (sheet.severity, sheet.severity) } else { ("resolved", "resolved") };
    let [rule, agent, why, login, until] =
        [&sheet.rule, &sheet.agent, &sheet.why, &sheet.login, &sheet.until].map(|text| escaped(text));
    let chart = escaped(&sheet.chart);
    let mut facts = String::new();
    for (name, value) in &sheet.facts {
        let _written = write!(facts, "<dt>{name}</dt><dd>{}</dd>", escaped(value));
    }
    let memory = if sheet.is_stored { "" } else { UNSTORED };
    let body = format!(
        "<main><p><span class=\"badge {class}\">{word}</span></p><h1>{rule} on {agent}</h1><p>{why}</p>{memory}\
         <picture><source media=\"(prefers-color-scheme: dark)\" srcset=\"{chart}&amp;theme=dark\"><img src=\"{chart}\" alt=\"The series around the incident\"></picture>\
         <dl>{facts}</dl>{}{}{}</main><footer>This link shows this incident alone, until {until}. <a href=\"{login}\">Open it in Nightbell</a></footer>",
        top(&sheet.top),
        lines("Notes", &sheet.notes),
        lines("What happened", &sheet.timeline),
    );
    frame(&format!("{word}: {} on {}", sheet.rule, sheet.agent), &body)
}

/// What a link says that opens nothing (any more).
pub(super) fn no_more(has_ended: bool, login: &str) -> String {
    let (title, why) = if has_ended {
        ("This link has ended", "Links in notifications open their incident for some days only.")
    } else {
        ("There is no such incident", "The link is incomplete, or the incident is not kept any more.")
    };
    let login = escaped(login);
    frame(title, &format!("<main><h1>{title}</h1><p>{why} <a href=\"{login}\">Log in to see it in Nightbell</a></p></main>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_others_wrote_is_more_than_text() {
        let bad = "<script>alert('&\"')</script>";
        let line = || Line { at: bad.to_owned(), what: bad.to_owned(), more: bad.to_owned() };
        let sheet = Sheet {
            is_open: true,
            is_stored: true,
            severity: "critical",
            rule: bad.to_owned(),
            agent: bad.to_owned(),
            why: bad.to_owned(),
            facts: vec![("Metric", bad.to_owned())],
            chart: "/i/x/chart.png?e=1&s=\"onerror=".to_owned(),
            top: vec![TopProcess {
                name: bad.to_owned(),
                pid: None,
                cpu_percent: 99.5,
                rss_bytes: 5 << 20,
                io_bytes_per_second: Some(3_000_000),
            }],
            notes: vec![line()],
            timeline: vec![line()],
            login: "https://a/\"".to_owned(),
            until: "soon".to_owned(),
        };
        let text = page(&sheet);
        assert!(!text.contains("<script") && !text.contains("s=\"onerror") && !text.contains("a/\"\""), "{text}");
        assert_eq!(text.matches("&lt;script&gt;").count(), 13, "each of them is there as text: {text}");
        assert!(text.contains("99.5 % of a core") && text.contains("5 MiB") && text.contains("3 MB/s disk"), "{text}");
        assert!(!text.contains("in memory") && page(&Sheet { is_stored: false, ..sheet }).contains("in memory"));
        assert!(no_more(true, "https://a/<").contains("https://a/&lt;"));
        assert_eq!((number(90.0), number(1.256), number(-0.5)), ("90".to_owned(), "1.26".to_owned(), "-0.5".to_owned()));
        assert_eq!(moment(Timestamp::from_secs(1_763_800_000), chrono_tz::Europe::Berlin), "2025-11-22 09:26:40 CET");
    }
}
