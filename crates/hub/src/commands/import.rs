//! `nightbell import`: history of another system, or of another hub, as the history of an agent here.

mod table;

use super::carrier::Carrier;
use super::say;
use crate::clock;
use crate::config::Config;
use crate::transfer::{Row, Taken, Transfer};
use anyhow::{Context, bail, ensure};
use nightbell_model::{SeriesKey, Timestamp};
use std::path::PathBuf;
use std::process::ExitCode;
use table::Rows;

/// About so many values go into one piece.
const PIECE_VALUES: usize = 20_000;
/// So many refused rows are told one by one.
const TOLD: usize = 20;
/// What an import ends with that left rows out: neither all is well, nor did nothing happen.
const SOME_REFUSED: u8 = 3;
/// What agents send most often, for series that say nothing of their own spacing.
const INTERVAL_MS: i64 = 15_000;

/// What is imported.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The agent whose history this becomes; it is made if there is none of that name, and is never missed
    #[arg(long, value_name = "NAME")]
    agent: String,
    /// A table: `timestamp,value`, or `time_utc,<series>,…` as exported; may be given several times
    #[arg(long, value_name = "FILE", required = true)]
    csv: Vec<PathBuf>,
    /// What the values of the table are called, once for each --csv; else its header or its file says it
    #[arg(long, value_name = "SERIES")]
    metric: Vec<String>,
    /// Moves the history in time so that it ends now
    #[arg(long)]
    shift_to_now: bool,
    /// Keeps the agent's history whatever its age
    #[arg(long)]
    keep: bool,
}

pub(super) fn run(config: &Config, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let now = clock::now();
    let mut rows = read(arguments, now)?;
    if arguments.shift_to_now {
        rows.shift_to(now);
    }
    let oldest = rows.values.first_key_value().map(|(at, _)| *at);
    let refused = rows.refused.len();
    tell_refused(&rows.refused);
    let Some(oldest) = oldest else { bail!("of {} rows none can be stored", rows.read) };
    let (read, doubled, count) = (rows.read, rows.duplicates, rows.series.len());
    let empty = if rows.empty > 0 { format!("{} without a value, ", rows.empty) } else { String::new() };
    let taken = give(config, arguments, rows)?;
    let refused = refused as u64 + taken.too_old;
    say(&format!(
        "{read} rows of {count} series read: {} stored, {} duplicate, {empty}{refused} refused",
        taken.stored,
        doubled + taken.duplicates,
    ));
    if taken.too_old > 0 {
        eprintln!("nightbell: {} rows lie before what is still open of this agent's history", taken.too_old);
    }
    warn_of_age(config, arguments, oldest, now);
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::from(SOME_REFUSED) })
}

fn read(arguments: &Arguments, now: Timestamp) -> anyhow::Result<Rows> {
    let metrics: Vec<SeriesKey> = arguments
        .metric
        .iter()
        .map(|text| text.parse().with_context(|| format!("--metric {text:?} is no metric or series")))
        .collect::<anyhow::Result<_>>()?;
    ensure!(metrics.is_empty() || metrics.len() == arguments.csv.len(), "say --metric once for each --csv, or not at all");
    let mut rows = Rows { up_to: (!arguments.shift_to_now).then_some(now), ..Rows::default() };
    for (at, file) in arguments.csv.iter().enumerate() {
        let name = file.display().to_string();
        let bytes = std::fs::read(file).with_context(|| format!("cannot read {name}"))?;
        // Lines that are no text are refused by their number, like others that cannot be read.
        rows.add(&name, &String::from_utf8_lossy(&bytes), metrics.get(at)).with_context(|| name.clone())?;
    }
    Ok(rows)
}

fn tell_refused(refused: &[String]) {
    for why in refused.iter().take(TOLD) {
        eprintln!("nightbell: refused {why}");
    }
    if refused.len() > TOLD {
        eprintln!("nightbell: refused {} more rows", refused.len() - TOLD);
    }
}

/// Carries the rows to the hub, piece by piece, oldest first.
fn give(config: &Config, arguments: &Arguments, rows: Rows) -> anyhow::Result<Taken> {
    let mut carrier = Carrier::open(config)?;
    let agent = carrier.agent(&arguments.agent, rows.spacing_ms().unwrap_or(INTERVAL_MS))?;
    let series: Vec<String> = rows.series.iter().map(ToString::to_string).collect();
    let missing = f64::NAN.to_bits();
    let row = |(at, values): (Timestamp, Vec<f64>)| {
        let mut v: Vec<u64> = values.into_iter().map(f64::to_bits).collect();
        v.resize(series.len(), missing);
        Row { t: at.as_millis(), v, bucket: None }
    };
    let mut all = rows.values.into_iter().map(row).peekable();
    let mut taken = Taken::default();
    while all.peek().is_some() {
        let rows = all.by_ref().take((PIECE_VALUES / series.len()).max(1)).collect();
        let piece = Transfer::Give { agent: agent.clone(), keep: arguments.keep, series: series.clone(), rows };
        let done: Taken = carrier.carry(&piece)?;
        taken.stored += done.stored;
        taken.duplicates += done.duplicates;
        taken.too_old += done.too_old;
    }
    Ok(taken)
}

fn warn_of_age(config: &Config, arguments: &Arguments, oldest: Timestamp, now: Timestamp) {
    let age = now.millis_since(oldest);
    if !arguments.keep && age > config.retention.raw_ms {
        let days = age / 86_400_000;
        eprintln!(
            "nightbell: some of this is {days} days old and will be thinned out as any history of that age; --keep keeps it, --shift-to-now makes it new"
        );
    }
}
