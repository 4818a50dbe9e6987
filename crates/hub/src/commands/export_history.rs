//! `nightbell export history`: what the hub keeps of its agents, as tables that `nightbell import` reads back to the bit.

use super::carrier::Carrier;
use crate::api::{file_part, time};
use crate::clock;
use crate::config::Config;
use crate::table::Table;
use crate::transfer::{Piece, Row, Span, Transfer};
use anyhow::{Context, bail};
use nightbell_model::{SeriesKey, Timestamp, series};
use nightbell_store::ExportPage;
use std::fs::File;
use std::io::{BufWriter, Write};
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
    /// The file of one agent (standard output if not said), or the folder of all
    #[arg(long, value_name = "FILE|DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(config: &Config, arguments: &Arguments) -> anyhow::Result<ExitCode> {
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
    match (&arguments.agent, &arguments.out) {
        (Some(name), out) => {
            let Some((id, _)) = agents.iter().find(|(_, known)| known == name) else {
                bail!("there is no agent called {name:?}")
            };
            match out {
                Some(file) => export_to(&mut carrier, &span(id), file)?,
                None => export(&mut carrier, &span(id), &mut std::io::stdout().lock())?,
            }
        }
        (None, None) => bail!("say one agent with --agent, or a folder for all of them with --out"),
        (None, Some(folder)) => {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
            for (id, name) in &agents {
                export_to(&mut carrier, &span(id), &folder.join(file_name(name, id, &agents)))?;
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
fn file_name(name: &str, id: &str, agents: &[(String, String)]) -> String {
    let part = file_part(name);
    let is_alone = agents.iter().filter(|(_, other)| file_part(other).eq_ignore_ascii_case(&part)).count() == 1;
    if is_alone { format!("{part}.csv") } else { format!("{part}.{id}.csv") }
}

fn export_to(carrier: &mut Carrier, span: &Span, file: &Path) -> anyhow::Result<()> {
    let opened = File::create_new(file).with_context(|| format!("cannot make {}", file.display()))?;
    let mut out = BufWriter::new(opened);
    export(carrier, span, &mut out).with_context(|| file.display().to_string())?;
    out.flush().with_context(|| format!("cannot write {}", file.display()))
}

fn export(carrier: &mut Carrier, span: &Span, out: &mut dyn Write) -> anyhow::Result<()> {
    let series: Vec<String> = carrier.carry(&Transfer::Outline(span.clone()))?;
    let keys: Vec<SeriesKey> = series.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
    let mut text = Vec::new();
    let mut table = Table::new(&mut text, &keys, false);
    let (mut after, (fewest, most)) = (None, PIECE_ROWS);
    let rows = (PIECE_VALUES / (series.len() + 1)).clamp(fewest, most);
    while !series.is_empty() {
        let piece: Piece = carrier.carry(&Transfer::Take { span: span.clone(), series: series.clone(), after, rows })?;
        table.rows(&mut text, &page(&piece.rows, series.len()), 0..piece.rows.len());
        out.write_all(&text)?;
        text.clear();
        match piece.next {
            Some(next) if after != Some(next) => after = Some(next),
            _ => break,
        }
    }
    out.write_all(&text)?;
    Ok(())
}

fn page(rows: &[Row], width: usize) -> ExportPage {
    let column = |at: usize| rows.iter().map(|row| row.v.get(at).copied().map_or(f64::NAN, f64::from_bits)).collect();
    ExportPage {
        times: rows.iter().map(|row| Timestamp::from_millis(row.t)).collect(),
        mean: (0..width).map(column).collect(),
        ..ExportPage::default()
    }
}
