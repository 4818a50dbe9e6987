//! `nightbell export history`: what the hub keeps of its agents, as tables that `nightbell import` reads back to the bit, or as
//! Parquet for tools that read columns.

mod sheet;

use super::carrier::Carrier;
use crate::api::{file_part, time};
use crate::clock;
use crate::config::Config;
use crate::transfer::{Piece, Span, Transfer};
use anyhow::{Context, bail, ensure};
use nightbell_model::{SeriesKey, Timestamp, series};
use sheet::{Format, Sheet};
use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// About so many values come in one piece.
const PIECE_VALUES: usize = 50_000;
/// The fewest and the most rows of a piece.
const PIECE_ROWS: (usize, usize) = (250, 5_000);

/// What is exported, and where to.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only this agent; all of them if not said
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// Series keys and metric names, separated by commas; all of them if not said
    #[arg(long, value_name = "LIST")]
    metrics: Option<String>,
    /// From when on: 2026-11-22T03:04:05Z, epoch seconds, -7d; from the beginning if not said
    #[arg(long, value_name = "TIME", value_parser = time::moment, allow_hyphen_values = true)]
    start: Option<Timestamp>,
    /// Until when; now if not said
    #[arg(long, value_name = "TIME", value_parser = time::moment, allow_hyphen_values = true)]
    end: Option<Timestamp>,
    /// raw, 5m, hourly or daily; where it holds nothing any more, coarser ones give their means
    #[arg(long, default_value = "raw", value_parser = ["raw", "5m", "hourly", "daily"])]
    tier: String,
    /// csv: a column for each series, which import reads; parquet: a row for each value, in builds with that feature
    #[arg(long, default_value = "csv", value_enum)]
    format: Format,
    /// The file of one agent (standard output if not said), or the folder of all
    #[arg(long, value_name = "FILE|DIR")]
    out: Option<PathBuf>,
}

/// An agent whose history is exported.
struct Wanted {
    name: String,
    span: Span,
    format: Format,
}

pub(super) fn run(config: &Config, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let format = arguments.format;
    format.check()?;
    let mut carrier = Carrier::open(config)?;
    let agents = carrier.agents()?;
    let series = arguments.metrics.as_deref().map(wanted).transpose()?.unwrap_or_default();
    let end = arguments.end.unwrap_or_else(|| clock::now().plus_millis(1));
    let start = arguments.start.unwrap_or_default();
    let span = |agent: &str| Span {
        agent: agent.to_owned(),
        series: series.clone(),
        start: start.as_millis(),
        end: end.as_millis(),
        tier: arguments.tier.clone(),
    };
    let wanted = |(id, name): &(String, String)| Wanted { name: name.clone(), span: span(id), format };
    match (&arguments.agent, &arguments.out) {
        (Some(name), out) => {
            let Some(agent) = agents.iter().find(|(_, known)| known == name) else { bail!("there is no agent called {name:?}") };
            match out {
                Some(file) => export_to(&mut carrier, &wanted(agent), file)?,
                None => export_to_stdout(&mut carrier, &wanted(agent))?,
            }
        }
        (None, None) => bail!("say one agent with --agent, or a folder for all of them with --out"),
        (None, Some(folder)) => {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
            for agent in &agents {
                export_to(&mut carrier, &wanted(agent), &folder.join(file_name(agent, &agents, format)))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Series keys and metric names in their canonical form.
fn wanted(list: &str) -> anyhow::Result<Vec<String>> {
    let read = |text: &str| {
        let key = text.parse::<SeriesKey>().with_context(|| format!("--metrics {text:?} is no metric or series"))?;
        Ok(key.to_string())
    };
    series::split_list(list).into_iter().map(read).collect()
}

/// The file of an agent: called after it, and after its id as well where another would have the same.
fn file_name((id, name): &(String, String), agents: &[(String, String)], format: Format) -> String {
    let (part, ending) = (file_part(name), format.ending());
    let is_alone = agents.iter().filter(|(_, other)| file_part(other).eq_ignore_ascii_case(&part)).count() == 1;
    if is_alone { format!("{part}.{ending}") } else { format!("{part}.{id}.{ending}") }
}

fn export_to(carrier: &mut Carrier, wanted: &Wanted, file: &Path) -> anyhow::Result<()> {
    let opened = File::create_new(file).with_context(|| format!("cannot make {}", file.display()))?;
    export(carrier, wanted, BufWriter::new(opened)).with_context(|| file.display().to_string())
}

fn export_to_stdout(carrier: &mut Carrier, wanted: &Wanted) -> anyhow::Result<()> {
    let out = std::io::stdout();
    ensure!(wanted.format.is_text() || !out.is_terminal(), "Parquet is nothing for a terminal: name a file with --out");
    export(carrier, wanted, out)
}

fn export(carrier: &mut Carrier, wanted: &Wanted, out: impl Write + Send) -> anyhow::Result<()> {
    let Wanted { name, span, format } = wanted;
    let series: Vec<String> = carrier.carry(&Transfer::Outline(span.clone()))?;
    let mut sheet = Sheet::new(*format, out, name, &series)?;
    let (mut after, (fewest, most)) = (None, PIECE_ROWS);
    let rows = (PIECE_VALUES / (series.len() + 1)).clamp(fewest, most);
    while !series.is_empty() {
        let (span, series, extremes) = (span.clone(), series.clone(), format.has_extremes());
        let piece: Piece = carrier.carry(&Transfer::Take { span, series, after, rows, extremes })?;
        sheet.take(&piece.rows)?;
        match piece.next {
            Some(next) if after != Some(next) => after = Some(next),
            _ => break,
        }
    }
    sheet.end()
}
