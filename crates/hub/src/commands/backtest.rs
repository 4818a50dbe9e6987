//! `nightbell backtest`: the evaluator over a series in a file.

mod series;

pub(super) use series::cells;

use super::say;
use crate::api::{Needs, Replay, read_rule, summary, time};
use crate::page::rfc3339;
use anyhow::{Context, bail};
use nightbell_alerts::{BacktestInput, BacktestReport, Clear, Rule, Threshold, Transform, backtest, median_spacing};
use nightbell_model::{RuleId, SeriesKey};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// How often samples are taken to come when there is only one.
const INTERVAL_MS: i64 = 15_000;

/// What is run over what.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A file with the rule, in the JSON of the API; name, scope and channels may be missing
    #[arg(long, value_name = "RULE.json")]
    rule: PathBuf,
    /// A CSV file with the columns time_utc and value; times are epoch seconds or RFC 3339, an empty value is missing
    #[arg(long, value_name = "SERIES.csv")]
    series: PathBuf,
    /// How often the agent sends samples; the median spacing if not said
    #[arg(long, value_name = "INTERVAL", value_parser = time::duration_ms)]
    interval: Option<i64>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let rule = rule(&arguments.rule)?;
    let key = key(&rule)?;
    let text = std::fs::read(&arguments.series).with_context(|| format!("cannot read {}", arguments.series.display()))?;
    let text = String::from_utf8(text).with_context(|| format!("{} is not UTF-8", arguments.series.display()))?;
    let samples = series::read(&text, &key).with_context(|| format!("in {}", arguments.series.display()))?;
    let Some((end, _)) = samples.last().copied() else { bail!("{} holds no sample", arguments.series.display()) };
    let times: Vec<_> = samples.iter().map(|(at, _)| *at).collect();
    let interval_ms = arguments.interval.or_else(|| median_spacing(&times)).unwrap_or(INTERVAL_MS);
    if interval_ms == 0 {
        bail!("the interval must be longer than nothing");
    }
    let raw: Vec<f64> = samples.iter().filter_map(|(_, value)| *value).collect();
    let input =
        BacktestInput { key, samples: samples.into_iter(), past: Vec::new(), interval_ms, levels: None, mutes: Vec::new(), end };
    let report = backtest(&rule, input);
    if arguments.json {
        say(&serde_json::to_string(&Replay::of(&report))?);
    } else {
        tell(&report);
        let compared = if rule.transform == Transform::None { raw } else { report.compared };
        say(&summary(compared, rule.comparison));
    }
    Ok(ExitCode::SUCCESS)
}

fn rule(path: &Path) -> anyhow::Result<Rule> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let object = serde_json::from_str(&text).with_context(|| format!("{} holds no JSON object", path.display()))?;
    let rule = read_rule(&object, Needs::Draft, RuleId::default(), 1).map_err(|faults| {
        let all: Vec<String> = faults.iter().map(|fault| format!("{}: {}", fault.pointer, fault.detail)).collect();
        anyhow::anyhow!("the rule in {} cannot be: {}", path.display(), all.join("; "))
    })?;
    if matches!(rule.threshold, Threshold::Level(_)) || matches!(rule.clear, Some(Clear::Level(_))) {
        bail!("the rule in {} names a level, and a file has none: write the number", path.display());
    }
    Ok(rule)
}

/// The series that the rule selects by its metric and labels.
fn key(rule: &Rule) -> anyhow::Result<SeriesKey> {
    let labels: Vec<(&str, &str)> = rule.selector.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Ok(SeriesKey::new(&rule.selector.metric, &labels)?)
}

fn tell(report: &BacktestReport) {
    for (at, state) in &report.transitions {
        say(&format!("{}  {}", rfc3339(*at), state.name()));
    }
    say(&format!("{} incidents, {} pages", report.incidents.len(), report.notices.len()));
    for incident in &report.incidents {
        let end = incident.resolved_at.map_or_else(|| "still firing".to_owned(), rfc3339);
        say(&format!("  {} .. {end}  peak {}", rfc3339(incident.fired_at), incident.peak));
    }
}
